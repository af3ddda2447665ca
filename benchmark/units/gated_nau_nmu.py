"""NAU and NMU behind a gate (Madsen & Johansen 2020, the experiment on gating)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nalu import SHARP
from benchmark.units.nau import NAU
from benchmark.units.nmu import NMU
from benchmark.units.unit import Ideal, Impossible, Unit, linear, multiply


class GatedNAUNMU(Unit):
    """y = g ⊙ NAU(x) + (1 - g) ⊙ NMU(x),  g = σ(G x).

    The gate has no bias, so on a range on both sides of 0 it cannot choose one path. A and M, the weights of the two
    units, start and are clamped as theirs; G is Xavier-uniform.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        self.bounds = {"A": (-1.0, 1.0), "M": (0.0, 1.0)}
        self.A, self.M, self.G = self.parameter(), self.parameter(), self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """A as a NAU's W, M as an NMU's, G ~ U(-r, r) with r = √(6 / (in + out))."""
        shape, r = (self.outputs, self.inputs), math.sqrt(6 / (self.inputs + self.outputs))
        start = {"A": NAU(self.inputs, self.outputs).initial(draw)["W"]}
        return start | {"M": NMU(self.inputs, self.outputs).initial(draw)["W"], "G": draw.uniform(shape, -r, r)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """A and M."""
        return self.A, self.M

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Either unit's weights, where a gate without bias can choose it."""
        paths = [unit(self.inputs, self.outputs).ideal(operation, sign) for unit in (NAU, NMU)]
        chosen = next((i for i, weights in enumerate(paths) if isinstance(weights, dict)), None)
        if chosen is None:
            return Impossible("W x can only add and subtract, and a product of W x + 1 - W only multiply")
        weights = paths[chosen]["W"]  # type: ignore[index]
        if operation == "identity":  # both paths pass it on
            return {"A": weights, "M": weights, "G": torch.zeros_like(weights)}
        if sign == "mixed":
            return Impossible("a gate without bias, g(-x) = 1 - g(x), cannot choose one path on both sides of 0")
        steep = (SHARP if chosen == 0 else -SHARP) * (-1 if sign == "negative" else 1)
        both = {"A": torch.zeros_like(weights), "M": torch.zeros_like(weights)} | {"AM"[chosen]: weights}
        return both | {"G": torch.full_like(weights, steep)}

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ A x + (1 - g) ⊙ Π (M x + 1 - M)."""
        g = torch.sigmoid(linear(self.G, x))
        return g * linear(self.A, x) + (1 - g) * multiply(self.M, x)
