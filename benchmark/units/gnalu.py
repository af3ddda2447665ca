"""The golden-ratio NALU (Mistry et al. 2022, "G-NALU")."""

import math

import torch
from torch import Tensor

from benchmark.units.nalu import NALU
from benchmark.units.unit import Ideal

LN_PHI = math.log((1 + math.sqrt(5)) / 2)


class GNALU(NALU):
    """NALU with the golden ratio φ for e in its tanh and σ: W = tanh_φ(Ŵ) ⊙ σ_φ(M̂),  g = σ_φ(G x).

    tanh_φ(z) = tanh(z ln φ) and σ_φ(z) = σ(z ln φ): a NALU whose parameters are ln φ ≈ 0.481 times these. The
    logarithm and the exponential stay natural.
    """

    @property
    def W(self) -> Tensor:
        """tanh_φ(Ŵ) ⊙ σ_φ(M̂), [..., out, in]."""
        return torch.tanh(LN_PHI * self.W_hat) * torch.sigmoid(LN_PHI * self.M_hat)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """NALU's parameters over ln φ."""
        weights = super().ideal(operation, sign)
        return {name: value / LN_PHI for name, value in weights.items()} if isinstance(weights, dict) else weights

    def gate(self, G: Tensor, x: Tensor) -> Tensor:
        """g = σ_φ(G x)."""
        return super().gate(LN_PHI * G, x)

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ a + (1 - g) ⊙ m."""
        return super().forward(x)
