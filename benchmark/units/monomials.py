"""The general polynomial of degree two."""

import math

import numpy as np
import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.dense import affine
from benchmark.units.unit import Ideal, Impossible, Unit, linear

# Of (a, b, a², ab, b²), or of (a, a²).
WEIGHTS = {"add": [1.0, 1.0, 0.0, 0.0, 0.0], "sub": [1.0, -1.0, 0.0, 0.0, 0.0], "mul": [0.0, 0.0, 0.0, 1.0, 0.0],
           "square": [0.0, 1.0], "identity": [1.0, 0.0]}  # fmt: skip


class Monomials(Unit):
    """y = W m + b,  m = (x_i; x_i x_j for i ≤ j): all monomials up to degree two.

    Outside its range it grows quadratically. W and b start as those of a dense layer on m, U(-1/√n, 1/√n).
    """

    solvable = True

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.features = inputs + inputs * (inputs + 1) // 2
        self.W, self.b = self.parameter(outputs, self.features), self.parameter(outputs, 1)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-1/√n, 1/√n) for n monomials."""
        r = 1 / math.sqrt(self.features)
        shapes = {"W": (self.outputs, self.features), "b": (self.outputs, 1)}
        return {name: draw.uniform(shape, -r, r) for name, shape in shapes.items()}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def solve(self, x: np.ndarray, t: np.ndarray) -> dict[str, Tensor]:
        """W and b of least squares on (1, m)."""
        return affine(self.monomials(torch.from_numpy(x)).numpy(), t)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Addition, subtraction, products and squares: all that is a polynomial of degree two."""
        if operation not in WEIGHTS:
            return Impossible("it is a polynomial of degree two")
        return {"W": torch.tensor([WEIGHTS[operation]]), "b": torch.zeros(1, 1)}

    def monomials(self, x: Tensor) -> Tensor:
        """x_i, then x_i x_j for i ≤ j: [..., in, batch] -> [..., features, batch]."""
        return torch.cat([x, *(x[..., i : i + 1, :] * x[..., i:, :] for i in range(self.inputs))], -2)

    def forward(self, x: Tensor) -> Tensor:
        """y = W m + b."""
        return linear(self.W, self.monomials(x)) + self.b
