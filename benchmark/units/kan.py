"""The Kolmogorov-Arnold layer (Liu et al. 2024, as pykan has it)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Unit, linear

NOISE = 0.3  # of the splines' first coefficients, pykan's default (recalled)


class KAN(Unit):
    """y_o = Σ_i φ_oi(z_i),  φ(z) = w_b SiLU(z) + w_s Σ_k c_k B_k(z), with cubic B-splines B_k.

    span: the interval of inputs that is mapped to [-1, 1], x to z, and is cut into `intervals` of equal length; three
    more on each side make the extended grid on which all B_k that are felt within lie. A model's option "trained range"
    makes it the training range of all inputs in a first layer, and [-1, 1] in the layers after it. The grid never
    moves. Outside the extended grid all B_k are 0 and the layer is exactly its base, Σ w_b SiLU(z): linear far above,
    0 far below. Starts: c ~ U(-0.15, 0.15) / intervals, w_b ~ U(-1, 1)/√in, w_s = 1/√in.
    """

    def __init__(self, inputs: int, outputs: int, intervals: int = 5, span: Sequence[float] = (-1.0, 1.0)):
        super().__init__(inputs, outputs)
        ends = [end for end in span if isinstance(end, int | float)] if isinstance(span, Sequence) else []
        if len(ends) != 2 or len(span) != 2 or not -math.inf < ends[0] < ends[1] < math.inf:
            raise ValueError(f"span ({span}) must be the two ends of an interval, such as [-1, 1]")
        if intervals < 1:
            raise ValueError(f"intervals ({intervals}) must be at least 1")
        self.intervals, self.splines = intervals, intervals + 3
        self.middle, self.radius = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
        self.c = self.parameter(outputs, inputs * self.splines)
        self.w_b, self.w_s = self.parameter(), self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Noise in the splines, U(-1, 1)/√in for the base, and 1/√in for the splines' weights."""
        noise, r = NOISE / 2 / self.intervals, 1 / math.sqrt(self.inputs)
        shape = (self.outputs, self.inputs)
        c = draw.uniform((self.outputs, self.inputs * self.splines), -noise, noise)
        return {"c": c, "w_b": draw.uniform(shape, -r, r), "w_s": draw.constant(shape, r)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """w_b and w_s."""
        return self.w_b, self.w_s

    def basis(self, z: Tensor) -> Tensor:
        """B_k(z): [..., in, batch] -> [..., in, k, batch]. Two truncated powers make the bell over four intervals."""
        centres = torch.arange(-1, self.splines - 1, dtype=z.dtype, device=z.device).unsqueeze(-1)  # [k, 1]
        away = (((z + 1) * (self.intervals / 2)).unsqueeze(-2) - centres).abs()
        return ((2 - away).clamp(min=0) ** 3 - 4 * (1 - away).clamp(min=0) ** 3) / 6

    def forward(self, x: Tensor) -> Tensor:
        """y = w_b SiLU(z) + w_s Σ c B(z)."""
        z = (x - self.middle) / self.radius
        c = (self.c.unflatten(-1, (self.inputs, self.splines)) * self.w_s.unsqueeze(-1)).flatten(-2)
        return linear(self.w_b, F.silu(z)) + linear(c, self.basis(z).flatten(-3, -2))
