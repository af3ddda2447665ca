"""Any row-wise module as a unit: what is written for examples in rows, [batch, in] -> [batch, out]."""

import pkgutil
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from benchmark.asked.streams import Draw
from benchmark.units.unit import Unit


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What is drawn from torch's, numpy's or Python's generator follows from the seed; they are then as before."""
    numpys, pythons = np.random.get_state(), random.getstate()  # noqa: NPY002  whose generator it is
    try:
        with torch.random.fork_rng(devices=()):
            torch.random.default_generator.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)


class Rows(Unit):
    """y = module(xᵀ)ᵀ, for an ordinary `torch.nn.Module` that is made with (in, out, **options).

    module: its importable name, or the class. Its parameters start as its own constructor draws them, with a seed of
    the replica's own. It runs for all replicas at once under `torch.func.vmap`, which costs up to 2.5 times what a unit
    written for columns does. It may have no buffers, and nothing random in its forward pass.
    """

    def __init__(self, inputs: int, outputs: int, module: str | type[nn.Module], **options):
        super().__init__(inputs, outputs)
        kind = pkgutil.resolve_name(module) if isinstance(module, str) else module
        self.make = partial(kind, inputs, outputs, **options)
        with seeded(0):
            self.module = self.make()
        # Each parameter's own axes, counted from the last: replicas stand before them.
        self.dims = {name: tuple(range(-p.dim(), 0)) for name, p in self.module.named_parameters()}
        if any(True for _ in self.module.buffers()):
            raise ValueError(f"{kind.__name__} has buffers, and replicas could not have their own")

    def regularizer(self, name: str) -> Tensor:
        """Only "l1": it has no weights that ought to become −1, 0 or 1."""
        if name == "l1":
            named = {key: p.abs() for key, p in self.module.named_parameters()}
            sums = [p.sum(axes) if (axes := self.dims[key]) else p for key, p in named.items()]
            return torch.stack(sums).sum(0)
        raise ValueError(f"{type(self.module).__name__} has no regularizer {name!r}: of an ordinary module there is l1")

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """What the module's constructor draws, one seed of torch's, numpy's and Python's generators a replica."""
        seeds = (draw.uniform((1,), 0.0, 1.0) * 2.0**53).long().flatten().tolist()
        drawn = []
        for seed in seeds:
            with seeded(seed):
                drawn.append({name: p.detach().double() for name, p in self.make().named_parameters()})
        return {f"module.{name}": torch.stack([one[name] for one in drawn]) for name in drawn[0]}

    def forward(self, x: Tensor) -> Tensor:
        """y = module(xᵀ)ᵀ."""
        parameters = dict(self.module.named_parameters())

        def one(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
            y = functional_call(self.module, parameters, (x.mT,))
            return y.mT if isinstance(y, Tensor) and y.dim() == 2 else y  # which is none, as `trial` says

        replicas = x.dim() - 2
        call = one
        for _ in range(replicas):
            call = vmap(call)
        return call(parameters, x)
