"""The stochastic neural multiplication unit (Mistry et al., "sNMU")."""

from torch import Tensor

from benchmark.units.nmu import NMU
from benchmark.units.unit import multiply


class SNMU(NMU):
    """An NMU that trains on noisy inputs: y = NMU(x ⊙ n) / NMU(n),  n ~ U(low, high) for each example and input.

    With weights of 0 and 1 the noise cancels, and with others it does not. `batch` draws n from U(1, 1 + 1/sd(x)), sd
    over the whole batch. Evaluated it is the NMU, and it starts and is clamped as that.
    """

    noisy = True

    def __init__(self, inputs: int, outputs: int, low: float = 1.0, high: float = 5.0, batch: bool = False):
        super().__init__(inputs, outputs)
        self.low, self.high, self.batch = low, high, batch

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """y = NMU(x ⊙ n) / NMU(n)."""
        if noise is None:
            return multiply(self.W, x)
        span = 1 / x.std((-2, -1), keepdim=True) if self.batch else self.high - self.low
        n = (1.0 if self.batch else self.low) + span * noise
        return multiply(self.W, x * n) / multiply(self.W, n)
