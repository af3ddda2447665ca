"""The neural arithmetic logic unit (Trask et al. 2018, section 3, equations 2 and 3)."""

import math

import torch
from torch import Tensor

from benchmark.streams import Draw
from benchmark.units.nac import NAC, additive, multiplicative
from benchmark.units.unit import Ideal, Impossible, linear

SHARP = 1e6  # a gate this steep is 0 or 1 in float64 for |x| ≥ 4e-5


class NALU(NAC):
    """a = W x,  m = exp(W log(|x| + ε)),  g = σ(G x),  y = g ⊙ a + (1 - g) ⊙ m,  with the W of a NAC in both paths.

    The gate has no bias, so g(-x) = 1 - g(x): on a range on both sides of 0 it cannot choose one path, and the unit can
    represent no operation of two operands there, addition included. (The identity it can: x below 0, |x|
    above.) `gate_bias` adds one, g = σ(G x + b), as NeuralArithmetic.jl does. Initialisations as NAC's, for G as for
    Ŵ and M̂, but with "stable_nalu" G is Xavier-uniform and with `gate_bias` b starts at 0.
    """

    closed = False

    def __init__(
        self,
        inputs: int,
        outputs: int,
        initialisation: str = "tutorial_normal",
        epsilon: float = 1e-7,
        gate_bias: bool = False,
    ):
        super().__init__(inputs, outputs, initialisation)
        self.epsilon = epsilon
        self.G = self.parameter()
        self.b = self.parameter(outputs, 1) if gate_bias else None

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Ŵ, M̂ and G by the chosen initialisation, b = 0."""
        start = super().initial(draw)
        if self.initialisation == "stable_nalu":
            bound = math.sqrt(6 / (self.inputs + self.outputs))
            start["G"] = draw.uniform((self.outputs, self.inputs), -bound, bound)
        else:
            start["G"] = self.draw_matrix(draw)
        return start if self.b is None else start | {"b": draw.constant((self.outputs, 1), 0.0)}

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A NAC's weights behind a shut or open gate; without a bias the gate needs operands of one known sign."""
        weights, path = additive(operation), 1.0
        if isinstance(weights, Impossible):
            weights, path = multiplicative(operation, sign), -1.0
        reasons = [weights.why] if isinstance(weights, Impossible) else []
        if self.b is None and sign == "mixed":
            if operation == "identity":
                path = -1.0  # a = x where x < 0, m = |x| where x > 0
            else:
                reasons.append("a gate without bias, g(-x) = 1 - g(x), cannot choose one path on both sides of 0")
        if not isinstance(weights, dict) or reasons:
            return Impossible(", and ".join(reasons))
        if self.b is None:
            steep = path * SHARP * (-1 if sign == "negative" else 1)
            return weights | {"G": torch.full_like(weights["W_hat"], steep)}
        return weights | {"G": torch.zeros_like(weights["W_hat"]), "b": torch.full((1, 1), path * SHARP)}

    @property
    def W_m(self) -> Tensor:
        """The weights of the multiplicative path: those of the additive one."""
        return self.W

    def gate(self, x: Tensor) -> Tensor:
        """g = σ(G x), [..., out, batch]."""
        z = linear(self.G, x)
        return torch.sigmoid(z if self.b is None else z + self.b)

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ a + (1 - g) ⊙ m."""
        a = linear(self.W, x)
        m = torch.exp(linear(self.W_m, torch.log(x.abs() + self.epsilon)))
        g = self.gate(x)
        return g * a + (1 - g) * m
