"""Every unit as an ordinary layer of torch, for networks of one's own: rows in, rows out.

>>> from benchmark.layers import NAU, NMU
>>> net = torch.nn.Sequential(NAU(3, 2), NMU(2, 1))
>>> net(torch.rand(5, 3)).shape
torch.Size([5, 1])

A layer is its unit, turned from columns to rows: the equation stands in one place. `Dense`, too, is here.
"""

from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmark import units
from benchmark.asked.streams import Draw

_bounded: "WeakSet[Layer]" = WeakSet()  # the layers whose weights are clamped after every step of any optimizer


class Layer(nn.Module):
    """A unit on rows, [..., in_features] -> [..., out_features].

    options: the unit's. It starts as its paper says, from torch's generator. Weights that its paper keeps within bounds
    are clamped after every step of whatever `torch.optim` optimizer trains them.
    """

    kind: type[units.Unit]

    def __init__(self, in_features: int, out_features: int, *, device: Any = None, dtype: Any = None, **options: Any):
        super().__init__()
        self.in_features, self.out_features, self.options = in_features, out_features, options
        self.unit = self.kind(in_features, out_features, **options).to(device=device, dtype=dtype)
        self.reset_parameters()
        self._follow()

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self._follow()  # a copy, or what was loaded

    def _follow(self) -> None:
        if self.unit.bounds:
            _bounded.add(self)

    def reset_parameters(self) -> None:
        """Start anew."""
        seed = torch.randint(2**62, (1,))
        with torch.no_grad():
            for name, values in self.unit.initial(Draw(seed)).items():
                self.unit.get_parameter(name).copy_(values[0])

    def forward(self, x: Tensor) -> Tensor:
        """The unit's answer to each row; a noisy one's (SNMU) in training with fresh noise."""
        columns = x.reshape(-1, self.in_features).mT
        noise = (torch.rand_like(columns),) if self.unit.noisy and self.training else ()
        return self.unit(columns, *noise).mT.reshape(*x.shape[:-1], self.out_features)

    def regularization(self, name: str = "sparsity", x: Tensor | None = None) -> Tensor:
        """A term to add to a loss: "sparsity", how far the weights are from −1, 0 and 1; or another of the unit's (see
        `Unit.regularizer`). x: the rows that the layer is given, for terms that depend on them, as "division" of
        `EQLDivision` does. Raises ValueError for what it does not know.
        """
        return self.unit.regularizer(name) if x is None else self.unit.penalty(name, x.reshape(-1, self.in_features).mT)

    def clamp(self) -> None:
        """Bring weights back into their bounds, for who trains without `torch.optim`."""
        with torch.no_grad():
            for name, (low, high) in self.unit.bounds.items():
                self.unit.get_parameter(name).clamp_(low, high)

    def extra_repr(self) -> str:
        """Sizes and options."""
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"{self.in_features}, {self.out_features}{options}"


def _clamp(optimizer: torch.optim.Optimizer, arguments: Any, keywords: Any) -> None:
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for layer in list(_bounded):
        if any(id(parameter) in trained for parameter in layer.unit.parameters()):
            layer.clamp()


register_optimizer_step_post_hook(_clamp)


def _layer(name: str, kind: type[units.Unit]) -> type[Layer]:
    rows = (
        f"\n\n    On rows, [..., in_features] -> [..., out_features]; options are those of `{kind.__module__}.{name}`."
    )
    return type(name, (Layer,), {"kind": kind, "__doc__": f"{kind.__doc__}{rows}", "__module__": __name__})


__all__ = []
for _name in units.__all__:
    _kind = getattr(units, _name)
    if isinstance(_kind, type) and issubclass(_kind, units.Unit) and _kind not in (units.Unit, units.Rows):
        globals()[_name] = _layer(_name, _kind)
        __all__ += [_name]
