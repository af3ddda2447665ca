"""Hill Space: a NAC whose weights snap, and its exponential primitive (DuJardin 2025, preprint and repository)."""

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import NAC, multiplicative
from benchmark.units.product_unit import power
from benchmark.units.unit import Ideal, linear

NEAR = 1e-6  # what is nearer to saturation is saturated


def snap(values: Tensor, low: float) -> Tensor:
    """What is within `NEAR` of `low` or of 1 becomes it, and has no slope any more."""
    return torch.where(values > 1 - NEAR, 1.0, torch.where(values < low + NEAR, low, values))


class HillSpaceAdd(NAC):
    """The additive primitive: W = snap(tanh Ŵ) ⊙ snap(σ(M̂)),  y = W x: weights that become exactly -1, 0 or 1.

    tanh above 1 - 1e-6 or below 1e-6 - 1 and σ above 1 - 1e-6 or below 1e-6 are snapped to what they are near to.
    Ŵ, M̂ ~ N(0, start²), by default 0.
    """

    def __init__(self, inputs: int, outputs: int, start: float = 0.0):
        super().__init__(inputs, outputs)
        self.start = start

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """N(0, start²)."""
        return {name: draw.normal((self.outputs, self.inputs), 0.0, self.start) for name in ("W_hat", "M_hat")}

    @property
    def W(self) -> Tensor:
        """snap(tanh Ŵ) ⊙ snap(σ(M̂)), [..., out, in]."""
        return snap(torch.tanh(self.W_hat), -1.0) * snap(torch.sigmoid(self.M_hat), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """y = W x."""
        return linear(self.W, x)


class HillSpaceExp(HillSpaceAdd):
    """The exponential primitive: y_o = Re Π_i x_i^W_oi with the W of `HillSpaceAdd`: exact signs, no ε.

    Published in complex128; the same in real arithmetic, see `product_unit.power`. Which primitive a task needs is
    given to it: there is no gate.
    """

    closed = False

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A NAC•'s weights, for operands of any sign but below a root, which its authors say it does not learn."""
        return multiplicative(operation, sign if operation == "sqrt" else "positive")

    def forward(self, x: Tensor) -> Tensor:
        """y = Re Π x^W."""
        return power(self.W, x)
