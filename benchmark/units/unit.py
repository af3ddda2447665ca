"""What every arithmetic unit is: a module on its last two axes, examples as columns, as the papers write y = W x."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.asked.streams import Draw

FAR = 20.0  # where tanh and σ are saturated: the regularizer "saturation" pushes parameters beyond it


@dataclass(frozen=True)
class Impossible:
    """No parameters compute the operation. why: the reason, to be read after "because"."""

    why: str


Ideal = dict[str, Tensor] | Impossible | None


def linear(W: Tensor, x: Tensor) -> Tensor:
    """W x: [..., out, in] and [..., in, batch] -> [..., out, batch].

    Broadcast, multiply, reduce: unlike `W @ x` its result for one replica does not depend on how many there are.
    """
    return (W.unsqueeze(-1) * x.unsqueeze(-3)).sum(-2)


def product(factors: Tensor) -> Tensor:
    """Π over the last axis but one: [..., out, in, batch] -> [..., out, batch].

    By halves: unlike torch.prod's, the gradient is exact at 0 without a search for zeros.
    """
    while (count := factors.shape[-2]) > 1:
        half, rest = factors.split([count // 2 * 2, count % 2], -2)
        factors = torch.cat([half[..., ::2, :] * half[..., 1::2, :], rest], -2)
    return factors.squeeze(-2)


def multiply(W: Tensor, x: Tensor) -> Tensor:
    """Π_i (W_oi x_i + 1 - W_oi), the product of what W selects; shapes as for `linear`."""
    W = W.unsqueeze(-1)  # [..., out, in, 1]
    return product(W * x.unsqueeze(-3) + 1 - W)


def distance_from_sparse(W: Tensor) -> Tensor:
    """min(|W|, |1 - |W||), elementwise: how far each weight is from -1, 0 or 1."""
    return torch.minimum(W.abs(), (1 - W.abs()).abs())


class Unit(nn.Module, ABC):
    """One layer, `forward`: [..., in, batch] -> [..., out, batch]; its parameters may carry leading replica axes.

    It knows nothing of replicas, steps or optimizers. A subclass registers its parameters with `self.parameter`, says
    in `initial` how its authors draw them, and may declare what it can represent in `ideal`.
    """

    noisy = False  # whether `forward` takes in training, as its second argument, noise in [0, 1) of the shape of x
    solvable = False  # whether it has a method `solve`
    closed = False  # whether layers of this kind on top of each other compute no more than one, but for powers

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.bounds: dict[str, tuple[float, float]] = {}  # parameters that are clamped after every step

    def parameter(self, *shape: int) -> nn.Parameter:
        """An unfilled parameter of this shape (default: [out, in])."""
        return nn.Parameter(torch.zeros(shape or (self.outputs, self.inputs)))

    @abstractmethod
    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Starting values of every parameter by name, [replica, *shape]."""

    def effective_weights(self) -> tuple[Tensor, ...]:
        """The weights [..., out, in] that ought to become -1, 0 or 1: no biases, no gates."""
        return ()

    def regularizer(self, name: str) -> Tensor:
        """A term of the loss, [...].

        "sparsity": the mean min(|W|, |1 - |W||) of the effective weights. "l1": Σ |θ|. "saturation": the sum of
        mean(max(min(-θ, θ) + 20, 0)) over the parameters, the pull of Schlör et al. 2020 towards saturated weights and
        gates. Raises ValueError for what the unit does not know.
        """
        if name == "sparsity" and (weights := self.effective_weights()):
            return torch.stack([distance_from_sparse(W).mean((-2, -1)) for W in weights]).sum(0)
        if name == "l1":
            return torch.stack([parameter.abs().sum((-2, -1)) for parameter in self.parameters()]).sum(0)
        if name == "saturation":
            return torch.stack([(FAR - p.abs()).clamp(min=0).mean((-2, -1)) for p in self.parameters()]).sum(0)
        raise ValueError(f"{type(self).__name__} has no regularizer {name!r}")

    def penalty(self, name: str, x: Tensor) -> Tensor:
        """The term `regularizer` while the unit is given x, [..., in, batch]: for those that depend on it. [...]."""
        return self.regularizer(name)

    def solve(self, x: np.ndarray, t: np.ndarray) -> dict[str, Tensor]:
        """Every parameter by name, for one output: those of least squares on these examples, [in, row] and [row].

        Only of a unit that is `solvable`, float64, the same bit for bit on every machine (see `exact`).
        """
        raise NotImplementedError

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Parameters with which one output computes `operation` of inputs that are its operands, in order.

        sign: "positive", "negative" or "mixed", of all operands inside and outside the training range. None where it is
        not known whether any parameters will do.
        """
        return None

    def choose(self, initialisation: str, choices: tuple[str, ...]) -> str:
        """`initialisation` if it is one of the unit's; a ValueError that lists them otherwise."""
        if initialisation not in choices:
            raise ValueError(f"{type(self).__name__} has no initialisation {initialisation!r}: {', '.join(choices)}")
        return initialisation
