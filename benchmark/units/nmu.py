"""The neural multiplication unit (Madsen & Johansen 2020, on the multiplication unit)."""

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, multiply


class NMU(Unit):
    """y_o = Π_i (W_oi x_i + 1 - W_oi),  W ∈ [0, 1]: products of the selected inputs, whatever their signs.

    W is clamped after every step and starts as U(¼, ¾), the paper's mean of ½ with as much variance as fits.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.bounds = {"W": (0.0, 1.0)}
        self.W = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(¼, ¾)."""
        return {"W": draw.uniform((self.outputs, self.inputs), 0.25, 0.75)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Weights of 1."""
        weights = {"mul": [1.0, 1.0], "identity": [1.0]}.get(operation)
        return (
            Impossible("a product of W x + 1 - W can only multiply")
            if weights is None
            else {"W": torch.tensor([weights])}
        )

    def forward(self, x: Tensor) -> Tensor:
        """y = Π (W x + 1 - W)."""
        return multiply(self.W, x)
