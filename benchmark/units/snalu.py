"""NALU with the sign of its inputs in the multiplicative path (the "SNALU" of open implementations)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import SATURATED, additive, multiplicative
from benchmark.units.nalu import NALU
from benchmark.units.unit import Ideal, Impossible, linear, product


class SNALU(NALU):
    """a = W x,  m = Π sign(x) · exp(W log(|x| + ε)),  y = g a + (1 - g) m,  g = σ(G), one number.

    The sign is that of all inputs, also of those that W leaves out. Every parameter starts Xavier-uniform; ε = 1e-8.
    """

    def __init__(self, inputs: int, outputs: int, epsilon: float = 1e-8):
        super().__init__(inputs, outputs, epsilon=epsilon, gate="scalar")

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-r, r), r = √(6 / (in + out)); for G, √3."""
        shape, r = (self.outputs, self.inputs), math.sqrt(6 / (self.inputs + self.outputs))
        start = {name: draw.uniform(shape, -r, r) for name in ("W_hat", "M_hat")}
        return start | {"G": draw.uniform((1, 1), -math.sqrt(3), math.sqrt(3))}

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A NAC's weights behind a gate that depends on no input."""
        weights, path = additive(operation), SATURATED
        if isinstance(weights, Impossible):
            weights, path = multiplicative(operation, "positive" if operation != "sqrt" else sign), -SATURATED
        return weights | {"G": torch.full((1, 1), path)} if isinstance(weights, dict) else weights

    def forward(self, x: Tensor) -> Tensor:
        """y = g a + (1 - g) m."""
        m = product(x.sign()).unsqueeze(-2) * torch.exp(linear(self.W, torch.log(x.abs() + self.epsilon)))
        g = torch.sigmoid(self.G)
        return g * linear(self.W, x) + (1 - g) * m
