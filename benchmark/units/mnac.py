"""MNAC, a product of gated inputs (Madsen & Johansen 2020, the authors' code)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import SATURATED
from benchmark.units.unit import Ideal, Impossible, Unit, multiply


class MNAC(Unit):
    """y_o = Π_i (W_oi x_i + 1 - W_oi),  W = σ(Ŵ): an NMU whose weights are bounded by construction.

    Ŵ starts as U(-√3/2, √3/2). What other code bases call MNAC is NAC•.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.W_hat = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-√3/2, √3/2)."""
        r = math.sqrt(3) / 2
        return {"W_hat": draw.uniform((self.outputs, self.inputs), -r, r)}

    @property
    def W(self) -> Tensor:
        """σ(Ŵ), [..., out, in]."""
        return torch.sigmoid(self.W_hat)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Saturated Ŵ."""
        count = {"mul": 2, "identity": 1}.get(operation)
        if count is None:
            return Impossible("a product of W x + 1 - W can only multiply")
        return {"W_hat": torch.full((1, count), SATURATED)}

    def forward(self, x: Tensor) -> Tensor:
        """y = Π (W x + 1 - W)."""
        return multiply(self.W, x)
