"""NALU with weights of its own in each path (Madsen & Johansen 2020, the experiment on gating)."""

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nalu import NALU
from benchmark.units.unit import Ideal


class NALUSeparate(NALU):
    """a = W_a x,  m = exp(W_m log(|x| + ε)),  g = σ(G x),  y = g ⊙ a + (1 - g) ⊙ m, with a NAC's W_a and another W_m.

    Options and initialisations as NALU's.
    """

    def __init__(self, inputs: int, outputs: int, **options):
        super().__init__(inputs, outputs, **options)
        self.W_hat_m, self.M_hat_m = self.parameter(), self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """As NALU's, Ŵ and M̂ of the multiplicative path alike."""
        start = super().initial(draw)
        return start | {name: self.draw_matrix(draw) for name in ("W_hat_m", "M_hat_m") if name not in start}

    @property
    def W_m(self) -> Tensor:
        """tanh(Ŵ_m) ⊙ σ(M̂_m), [..., out, in]."""
        return torch.tanh(self.W_hat_m) * torch.sigmoid(self.M_hat_m)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W_a and W_m."""
        return self.W, self.W_m

    def ideal(self, operation: str, sign: str) -> Ideal:
        """NALU's, the same in both paths."""
        weights = super().ideal(operation, sign)
        if not isinstance(weights, dict):
            return weights
        return weights | {"W_hat_m": weights["W_hat"], "M_hat_m": weights["M_hat"]}

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ a + (1 - g) ⊙ m."""
        return super().forward(x)
