"""What every arithmetic unit is: a module on its last two axes, examples as columns, as the papers write y = W x."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmark.streams import Draw


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


class Unit(nn.Module, ABC):
    """One layer, `forward`: [..., in, batch] -> [..., out, batch]; its parameters may carry leading replica axes.

    It knows nothing of replicas, steps or optimizers. A subclass registers its parameters with `self.parameter`, says
    in `initial` how its authors draw them, and may declare what it can represent in `ideal`.
    """

    closed = False  # whether layers of this kind on top of each other compute no more than one, but for powers

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.inputs, self.outputs = inputs, outputs

    def parameter(self, *shape: int) -> nn.Parameter:
        """An unfilled parameter of this shape (default: [out, in])."""
        return nn.Parameter(torch.zeros(shape or (self.outputs, self.inputs)))

    @abstractmethod
    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Starting values of every parameter by name, [replica, *shape]."""

    def effective_weights(self) -> tuple[Tensor, ...]:
        """The weights [..., out, in] that ought to become -1, 0 or 1: no biases, no gates."""
        return ()

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
