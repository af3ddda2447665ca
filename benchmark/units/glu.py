"""Gated linear units, the feed-forward layers of language models (Dauphin et al. 2017; Shazeer 2020; recalled)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear

ACTIVATIONS = {"identity": lambda z: z, "sigmoid": torch.sigmoid, "relu": F.relu, "silu": F.silu}
OPEN = 64.0  # σ of it is 1 to the last bit in float64
STEEP = 2.0**20  # SiLU this steep is ReLU in float64 for |x| ≥ 4e-5; its inverse is exact
# Of the unit's sum over its width, the parts (G, g, U, u, D), where f(z) is z for z ≥ 0 and 0 below: relu, and silu far
# from 0. A product of both signs needs two parts, f(a) b and f(-a) (-b).
ADDED = {"add": [1.0, 1.0], "sub": [1.0, -1.0], "identity": [1.0]}
FACTORS = {"mul": ([1.0, 0.0], [0.0, 1.0]), "square": ([1.0], [1.0])}


class GLU(Unit):
    """y = D (f(G x + g) ⊙ (U x + u)) + d, with `width` products inside.

    activation: f, "identity" (the bilinear layer), "sigmoid" (the GLU), "relu" (ReGLU) or "silu" (SwiGLU). Along a ray
    far outside, f of the identity, ReLU and SiLU grows linearly or vanishes, and y becomes a quadratic function of the
    distance; σ becomes constant, and y with it linear. The bilinear layer is a quadratic polynomial everywhere, exact
    for products and squares of any sign. All start as torch's linear layers, U(-1/√in, 1/√in).
    """

    def __init__(self, inputs: int, outputs: int, activation: str = "sigmoid", width: int = 8):
        super().__init__(inputs, outputs)
        if activation not in ACTIVATIONS:
            raise ValueError(f"GLU has no activation {activation!r}: {', '.join(ACTIVATIONS)}")
        if width < 1:
            raise ValueError(f"width ({width}) must be at least 1")
        self.activation, self.width = activation, width
        self.G, self.g = self.parameter(width, inputs), self.parameter(width, 1)
        self.U, self.u = self.parameter(width, inputs), self.parameter(width, 1)
        self.D, self.d = self.parameter(outputs, width), self.parameter(outputs, 1)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-1/√n, 1/√n), where n are the inputs of each linear map."""
        start = {}
        for name, parameter in self.named_parameters():
            r = 1 / math.sqrt(self.width if name in "Dd" else self.inputs)
            start[name] = draw.uniform(tuple(parameter.shape[-2:]), -r, r)
        return start

    def effective_weights(self) -> tuple[Tensor, ...]:
        """G, U and D."""
        return self.G, self.U, self.D

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Sums behind an open gate; products where f passes one factor on."""
        if operation in ADDED:
            U, opened = ADDED[operation], 1.0 if self.activation in ("identity", "relu") else OPEN
            scale = 1.0 if self.activation == "sigmoid" else 1 / opened
            return self._of([([0.0] * len(U), opened, U, scale)])
        if operation not in FACTORS:
            return Impossible("it is a polynomial of degree two") if self.activation == "identity" else None
        if self.activation == "sigmoid":
            return None  # to any accuracy on a bounded range, by cancellation
        G, U = FACTORS[operation]
        signs = {"positive": [1.0], "negative": [-1.0], "mixed": [1.0, -1.0]}[sign]
        if self.activation == "identity":
            signs = [1.0]
        if len(signs) > self.width:
            return None
        steep = STEEP if self.activation == "silu" else 1.0
        return self._of([([s * steep * w for w in G], 0.0, [s * w for w in U], 1 / steep) for s in signs])

    def _of(self, parts: list[tuple[list[float], float, list[float], float]]) -> dict[str, Tensor]:
        """Parameters of as many inputs as a row has, whose first products are these; all others are 0.

        parts: G's row, g, U's row and D's weight.
        """
        start = {name: torch.zeros(parameter.shape) for name, parameter in self.named_parameters()}
        start |= {name: torch.zeros(self.width, len(parts[0][0])) for name in "GU"}
        for i, (G, g, U, weight) in enumerate(parts):
            start["G"][i], start["g"][i], start["U"][i] = torch.tensor(G), g, torch.tensor(U)
            start["D"][0, i] = weight
        return start

    def forward(self, x: Tensor) -> Tensor:
        """y = D (f(G x + g) ⊙ (U x + u)) + d."""
        gate = ACTIVATIONS[self.activation](linear(self.G, x) + self.g)
        return linear(self.D, gate * (linear(self.U, x) + self.u)) + self.d
