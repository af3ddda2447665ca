"""The neural power unit and its simpler forms (Heim et al. 2020; the modified one: Mistry et al. 2022)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, distance_from_sparse, linear

EPSILON = torch.finfo(torch.float32).eps


class NPU(Unit):
    """y = exp(W_r log r - W_i k) ⊙ cos(W_r k + W_i log r),  r = ĝ (|x| + ε) + 1 - ĝ,  k = π ĝ 1[x < 0].

    ĝ = min(max(g, 0), 1), one gate an input. `imaginary=False` is the RealNPU, without W_i; `gate=False` the NaiveNPU,
    ĝ = 1. `modified` is the RealNPU of Mistry et al. 2022, that clamps W_r to [-1, 1] and g to [0, 1] and whose
    regularizer "sparsity" is the mean of |1 - |W|| and that of min(|g|, |1 - g|).

    W_i starts at 0. initialisation: "xavier", W_r Xavier-uniform (modified: at most ±½) and g = ½; or "heim2020_large",
    W_r ~ U(0, 0.1) and g = 1, as in the authors' larger experiment. ε = 2^-23, the spacing of float32 at 1.
    """

    initialisations = ("xavier", "heim2020_large")

    def __init__(
        self,
        inputs: int,
        outputs: int,
        imaginary: bool = True,
        gate: bool = True,
        modified: bool = False,
        epsilon: float = EPSILON,
        initialisation: str = "xavier",
    ):
        super().__init__(inputs, outputs)
        self.initialisation = self.choose(initialisation, self.initialisations)
        self.modified, self.epsilon = modified, epsilon
        self.W_r = self.parameter()
        self.W_i = self.parameter() if imaginary else None
        self.g = self.parameter(inputs, 1) if gate else None
        if modified:
            self.bounds = {"W_r": (-1.0, 1.0), "g": (0.0, 1.0)}

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """W_r and g by the chosen initialisation, W_i = 0."""
        high = math.sqrt(6 / (self.inputs + self.outputs))
        high = min(0.5, high) if self.modified else high
        low, g = -high, 0.5
        if self.initialisation == "heim2020_large":
            low, high, g = 0.0, 0.1, 1.0
        start = {"W_r": draw.uniform((self.outputs, self.inputs), low, high)}
        if self.W_i is not None:
            start["W_i"] = draw.constant((self.outputs, self.inputs), 0.0)
        return start if self.g is None else start | {"g": draw.constant((self.inputs, 1), g)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W_r, and W_i where there is one."""
        return (self.W_r,) if self.W_i is None else (self.W_r, self.W_i)

    def regularizer(self, name: str) -> Tensor:
        """The modified RealNPU's "sparsity" wants weights of ±1, and gates of 0 or 1."""
        if name == "sparsity" and self.modified and self.g is not None:
            return (1 - self.W_r.abs()).abs().mean((-2, -1)) + distance_from_sparse(self.g).mean((-2, -1))
        return super().regularizer(name)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Powers, with the sign of a real power."""
        powers = {"mul": [1.0, 1.0], "div": [1.0, -1.0], "square": [2.0], "sqrt": [0.5], "identity": [1.0],
                  "reciprocal": [-1.0]}.get(operation)  # fmt: skip
        if powers is None:
            return Impossible("products of powers can only multiply and divide")
        if operation == "square" and self.modified:
            return Impossible("its weights stay within [-1, 1] and a square needs 2")
        if operation == "sqrt" and sign != "positive":
            return Impossible("the root of what is negative is not real")
        weights = {"W_r": torch.tensor([powers])}
        if self.W_i is not None:
            weights["W_i"] = torch.zeros(1, len(powers))
        return weights if self.g is None else weights | {"g": torch.ones(len(powers), 1)}

    def forward(self, x: Tensor) -> Tensor:
        """y = exp(W_r log r - W_i k) ⊙ cos(W_r k + W_i log r)."""
        r, k = x.abs() + self.epsilon, math.pi * (x < 0).to(x.dtype)
        if self.g is not None:
            g = self.g.clamp(0, 1)
            r, k = g * r + (1 - g), g * k  # so that a gate of 1 lets small numbers pass as they are
        log_r = torch.log(r)
        if self.W_i is None:
            return torch.exp(linear(self.W_r, log_r)) * torch.cos(linear(self.W_r, k))
        magnitude = torch.exp(linear(self.W_r, log_r) - linear(self.W_i, k))
        return magnitude * torch.cos(linear(self.W_r, k) + linear(self.W_i, log_r))
