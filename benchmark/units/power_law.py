"""The power law, linear on the logarithms: what Gauss would have tried first."""

import math

import numpy as np
import torch
from torch import Tensor

from benchmark import exact
from benchmark.asked.streams import Draw
from benchmark.units.dense import affine
from benchmark.units.unit import Ideal, Impossible, Unit, linear

TINY = torch.finfo(torch.float32).tiny
EXPONENTS = {"mul": [1.0, 1.0], "div": [1.0, -1.0], "square": [2.0], "sqrt": [0.5], "identity": [1.0],
             "reciprocal": [-1.0]}  # fmt: skip


class PowerLaw(Unit):
    """y = exp(W log |x| + b): Π |x_i|^W_i, times a constant, whatever the signs.

    Below 2^-126, the least normal float32, |x| counts as that. Outside its range it stays the power law that it is
    inside. Solved, it is least squares of log |t| on (1, log |x|): the sign of a target is lost like those of the
    inputs, so it fails where signs mix. Trained, it is a NAC• whose weights are free; W and b then start as a dense
    layer's, U(-1/√in, 1/√in).
    """

    solvable = closed = True

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.W, self.b = self.parameter(), self.parameter(outputs, 1)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-1/√in, 1/√in)."""
        r = 1 / math.sqrt(self.inputs)
        shapes = {"W": (self.outputs, self.inputs), "b": (self.outputs, 1)}
        return {name: draw.uniform(shape, -r, r) for name, shape in shapes.items()}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def solve(self, x: np.ndarray, t: np.ndarray) -> dict[str, Tensor]:
        """W and b of least squares of log |t| on (1, log |x|)."""
        log_x, log_t = (exact.log(np.maximum(np.abs(values), TINY)) for values in (x, t))
        return affine(log_x, log_t)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """The exponents, where the result is positive whatever the operands' signs."""
        if operation not in EXPONENTS:
            return Impossible("exp(W log |x|) can only multiply, divide and take powers")
        even = {"mul": ("positive", "negative"), "div": ("positive", "negative"), "square": (sign,)}
        if sign not in even.get(operation, ("positive",)):
            return Impossible("log |x| loses the sign of x")
        return {"W": torch.tensor([EXPONENTS[operation]]), "b": torch.zeros(1, 1)}

    def forward(self, x: Tensor) -> Tensor:
        """y = exp(W log |x| + b)."""
        return torch.exp(linear(self.W, torch.log(x.abs().clamp(min=TINY))) + self.b)
