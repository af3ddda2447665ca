"""The neural multiplicative reciprocal unit (Mistry et al. 2022, the division modules)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear, multiply

EPSILON = torch.finfo(torch.float32).eps


class NMRU(Unit):
    """y = Π_j (W_j |v_j| + 1 - W_j) · cos(π Σ_j W_j 1[v_j < 0]),  v = [x, 1/x],  W ∈ [0, 1]: products and quotients.

    In training the reciprocal is 1/(x + ε), ε = 2^-23. Without `sign` it is Π_j (W_j v_j + 1 - W_j).
    W is clamped after every step and starts as U(¼, ¾). At x = 0 the reciprocal is inf, and so or nan is the output.
    """

    def __init__(self, inputs: int, outputs: int, sign: bool = True):
        super().__init__(inputs, outputs)
        self.sign = sign
        self.bounds = {"W": (0.0, 1.0)}
        self.W = self.parameter(outputs, 2 * inputs)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(¼, ¾)."""
        return {"W": draw.uniform((self.outputs, 2 * self.inputs), 0.25, 0.75)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Weights of 1 at the factors, the reciprocals last."""
        weights = {"mul": [1.0, 1.0, 0.0, 0.0], "div": [1.0, 0.0, 0.0, 1.0], "identity": [1.0, 0.0],
                   "reciprocal": [0.0, 1.0]}.get(operation)  # fmt: skip
        if weights is None:
            return Impossible("it can only multiply its inputs and their reciprocals")
        return {"W": torch.tensor([weights])}

    def forward(self, x: Tensor) -> Tensor:
        """y = Π (W |v| + 1 - W) cos(π W 1[v < 0])."""
        v = torch.cat([x, 1 / (x + EPSILON if self.training else x)], -2)  # [..., 2 in, batch]
        if not self.sign:
            return multiply(self.W, v)
        return multiply(self.W, v.abs()) * torch.cos(math.pi * linear(self.W, (v < 0).to(v.dtype)))
