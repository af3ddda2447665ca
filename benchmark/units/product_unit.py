"""The product unit (Durbin & Rumelhart 1989, recalled, not checked against a copy)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear, product


def power(W: Tensor, x: Tensor) -> Tensor:
    """Re Π_i x_i^W_oi, the real part of the complex product, in real arithmetic; shapes as for `linear`.

    x^w = |x|^w (cos πw + i sin πw) where x < 0, so that the factors' angles add up. Without an ε: 0^0 = 1, and where
    x = 0 the gradient of a W that is not negative is 0.
    """
    size = product(x.abs().unsqueeze(-3) ** W.unsqueeze(-1))
    return size * torch.cos(math.pi * linear(W, (x < 0).to(x.dtype)))


class ProductUnit(Unit):
    """y_o = Re Π_i x_i^W_oi with real W: a power of each input, and the sign of the real part.

    W starts Xavier-uniform, which is ours: the paper's start is not known to us.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.W = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-r, r), r = √(6 / (in + out))."""
        r = math.sqrt(6 / (self.inputs + self.outputs))
        return {"W": draw.uniform((self.outputs, self.inputs), -r, r)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """The powers themselves."""
        powers = {"mul": [1.0, 1.0], "div": [1.0, -1.0], "square": [2.0], "sqrt": [0.5], "identity": [1.0],
                  "reciprocal": [-1.0]}.get(operation)  # fmt: skip
        if powers is None:
            return Impossible("products of powers can only multiply and divide")
        if operation == "sqrt" and sign != "positive":
            return Impossible("the root of what is negative is not real")
        return {"W": torch.tensor([powers])}

    def forward(self, x: Tensor) -> Tensor:
        """y = Re Π x^W."""
        return power(self.W, x)
