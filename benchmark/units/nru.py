"""The neural reciprocal unit (Mistry et al. 2022, the division modules)."""

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nau import NAU
from benchmark.units.unit import Ideal, Impossible, Unit, product

SHARPNESS = 1000.0


class NRU(Unit):
    """y_o = Π_i (sign(x_i) |x_i|^W_oi u_oi + 1 - u_oi),  W ∈ [-1, 1]: products and quotients, whatever the signs.

    u = |W|, and in training u = tanh(1000 W)², which is 1 unless W is 0. `separate_sign` multiplies the magnitudes,
    Π (|x|^W u + 1 - u), by Π sign(x)^round(W). W is clamped after every step and starts as a NAU's.

    At x = 0 a negative weight gives inf and the gradient nan: training on inputs of 0 diverges.
    """

    def __init__(self, inputs: int, outputs: int, separate_sign: bool = False):
        super().__init__(inputs, outputs)
        self.separate_sign = separate_sign
        self.bounds = {"W": (-1.0, 1.0)}
        self.W = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """As a NAU's."""
        return NAU(self.inputs, self.outputs).initial(draw)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Weights of 1 and -1."""
        weights = {"mul": [1.0, 1.0], "div": [1.0, -1.0], "identity": [1.0], "reciprocal": [-1.0]}.get(operation)
        if weights is None:
            return Impossible("with weights within [-1, 1] it can only multiply and divide")
        return {"W": torch.tensor([weights])}

    def forward(self, x: Tensor) -> Tensor:
        """y = Π (sign(x) |x|^W u + 1 - u)."""
        W, x = self.W.unsqueeze(-1), x.unsqueeze(-3)  # [..., out, in, 1] and [..., 1, in, batch]
        u = torch.tanh(SHARPNESS * W).square() if self.training else W.abs()
        power = x.abs() ** W
        # 1 - u by itself: so does the published module, and weights of 1 let small numbers pass as they are.
        if self.separate_sign:
            sign = torch.where(W.round() == 0, 1.0, x.sign())
            return product(power * u + (1 - u)) * product(sign)
        return product(x.sign() * power * u + (1 - u))
