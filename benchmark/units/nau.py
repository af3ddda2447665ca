"""The neural addition unit (Madsen & Johansen 2020, on the addition unit)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear


class NAU(Unit):
    """y = W x,  W ∈ [-1, 1]: additions and subtractions.

    W is clamped after every step and starts as U(-r, r), r = min(½, √3 √(2 / (in + out))), in the authors' code.
    """

    closed = True

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.bounds = {"W": (-1.0, 1.0)}
        self.W = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-r, r)."""
        r = min(0.5, math.sqrt(6 / (self.inputs + self.outputs)))
        return {"W": draw.uniform((self.outputs, self.inputs), -r, r)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Weights of 1 and -1."""
        weights = {"add": [1.0, 1.0], "sub": [1.0, -1.0], "identity": [1.0]}.get(operation)
        return Impossible("W x can only add and subtract") if weights is None else {"W": torch.tensor([weights])}

    def forward(self, x: Tensor) -> Tensor:
        """y = W x."""
        return linear(self.W, x)
