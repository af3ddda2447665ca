"""NAC• with weights between 0 and 1 (Madsen & Johansen 2020, the comparison of multiplication layers)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import SATURATED
from benchmark.units.nac_nmu import weights
from benchmark.units.unit import Impossible, Unit, linear


class NACSigma(Unit):
    """NAC•,σ: y = exp(W log(|x| + ε)),  W = σ(Ŵ): products of magnitudes.

    Ŵ starts Xavier-normal. ε = 1e-7 as in the authors' code.
    """

    closed = True

    def __init__(self, inputs: int, outputs: int, epsilon: float = 1e-7):
        super().__init__(inputs, outputs)
        self.epsilon = epsilon
        self.W_hat = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """N(0, 2 / (in + out))."""
        sd = math.sqrt(2 / (self.inputs + self.outputs))
        return {"W_hat": draw.normal((self.outputs, self.inputs), 0.0, sd)}

    @property
    def W(self) -> Tensor:
        """σ(Ŵ), [..., out, in]."""
        return torch.sigmoid(self.W_hat)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> dict[str, Tensor] | Impossible:
        """Saturated Ŵ, or 0 for a root."""
        W = weights(operation, sign)
        return W if isinstance(W, Impossible) else {"W_hat": W.logit().clamp(-SATURATED, SATURATED)}

    def forward(self, x: Tensor) -> Tensor:
        """y = exp(W log(|x| + ε))."""
        return torch.exp(linear(self.W, torch.log(x.abs() + self.epsilon)))
