"""The neural multiplication unit (Madsen & Johansen 2020, on the multiplication unit)."""

from typing import ClassVar

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, multiply


class NMU(Unit):
    """y_o = Π_i (W_oi x_i + 1 - W_oi),  W ∈ [0, 1]: products of the selected inputs, whatever their signs.

    W is clamped after every step and starts as U(¼, ¾), the paper's mean of ½ with as much variance as fits.
    `clamp_within` clamps the W that `forward` takes instead, so that a weight which left [0, 1] gets no gradient of the
    error any more (NeuralArithmetic.jl, with which Heim et al. 2020 compare). initialisation: "madsen2020" as above;
    "heim2020_simple", that package's U(0, 1); "heim2020_large", U(0, 0.1).
    """

    STARTS: ClassVar = {"madsen2020": (0.25, 0.75), "heim2020_simple": (0.0, 1.0), "heim2020_large": (0.0, 0.1)}

    def __init__(self, inputs: int, outputs: int, initialisation: str = "madsen2020", clamp_within: bool = False):
        super().__init__(inputs, outputs)
        self.initialisation = self.choose(initialisation, tuple(self.STARTS))
        self.clamp_within = clamp_within
        self.bounds = {} if clamp_within else {"W": (0.0, 1.0)}
        self.W = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """W by the chosen initialisation."""
        return {"W": draw.uniform((self.outputs, self.inputs), *self.STARTS[self.initialisation])}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W, clamped."""
        return (self.W.clamp(0, 1) if self.clamp_within else self.W,)

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
        (W,) = self.effective_weights()
        return multiply(W, x)
