"""The Domain Mixed Unit, one step of the "DAG layer" (Curry 2025, arXiv:2509.08180, and its repository)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import SATURATED
from benchmark.units.unit import Ideal, Impossible, Unit, linear

OPERANDS = ("learned", "sum", "difference")
NORMALISED = 1e-5  # torch's constant in LayerNorm
SMOOTH = 1e-4  # within which of 0 the sign and the size of a sum are smoothed
LIMITS = {True: (1e-11, 1e6, math.log(1e6) - 1), False: (1e-20, 1e20, 50.0)}  # in training, and in evaluation


def soft_clamp(x: Tensor, limit: float) -> Tensor:
    """x within ± limit, smoothly; beyond 40 of it the identity to the last bit in float64."""
    below = limit - F.softplus(limit - x, threshold=40)
    return F.softplus(below + limit, threshold=40) - limit


class DMU(Unit):
    """A sum and a product of powers with the same operands W (its author's O), mixed by a gate.

    R = W x,  P = W log max(|x|, ε),  (g, h) = softmax of two linear maps of LayerNorm(x),
    s = g tanh(R / 1e-4) + h cos(π |W| 1[x < 0]),  m = g √(R² + 1e-8) + h exp(softclamp(P, ± (log μ - 1))),
    y = s ⊙ clamp(m, ε, μ) with ε = 1e-11 and μ = 1e6. In evaluation the larger of g and h is 1 and the other 0, W is
    rounded to -1, 0 or 1, ε = 1e-20, μ = 1e20 and the soft clamp is at ± 50. (The gate of LayerNorm(x) knows of two
    inputs only which is the larger. The paper has a single learned gate; versions of the repository mix the logarithms
    of the sizes.)

    operands: "sum", all 1, or "difference", 1 but for the last, -1: frozen at the answer, as in all published runs,
    where no more than the gate is learned. "learned", a trial that gives nothing away: W = tanh(S) ⊙ softplus(M) as in
    the repository, which has S and M linear in LayerNorm(x) while they are plain parameters here.

    The maps of the gate start Xavier-uniform with no bias, LayerNorm as torch's; S and M Xavier-uniform, which is ours.
    """

    epsilon = SMOOTH

    def __init__(self, inputs: int, outputs: int, operands: str = "learned"):
        super().__init__(inputs, outputs)
        if operands not in OPERANDS:
            raise ValueError(f"a DMU's operands are {', '.join(OPERANDS)}, not {operands}")
        self.operands = operands
        self.scale, self.shift = self.parameter(inputs, 1), self.parameter(inputs, 1)
        self.G, self.H = self.parameter(), self.parameter()
        self.b_g, self.b_h = self.parameter(outputs, 1), self.parameter(outputs, 1)
        self.S = self.parameter() if operands == "learned" else None
        self.M = self.parameter() if operands == "learned" else None

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-r, r), r = √(6 / (in + 2 out)) for G and H and √(6 / (in + out)) for S and M; 1; 0."""
        shape, r = (self.outputs, self.inputs), math.sqrt(6 / (self.inputs + 2 * self.outputs))
        start = {"scale": draw.constant((self.inputs, 1), 1.0), "shift": draw.constant((self.inputs, 1), 0.0)}
        start |= {name: draw.uniform(shape, -r, r) for name in ("G", "H")}
        start |= {name: draw.constant((self.outputs, 1), 0.0) for name in ("b_g", "b_h")}
        r = math.sqrt(6 / (self.inputs + self.outputs))
        return start | {name: draw.uniform(shape, -r, r) for name in ("S", "M") if self.S is not None}

    @property
    def W(self) -> Tensor:
        """The operands, [..., out, in]."""
        if self.S is not None and self.M is not None:
            return torch.tanh(self.S) * F.softplus(self.M, threshold=40)
        ones = torch.ones_like(self.G)
        return ones if self.operands == "sum" else torch.cat([ones[..., :-1], -ones[..., -1:]], -1)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W if it is learned, and g where all inputs are equal: its author's sparsity error is that of the gate."""
        z = linear(self.G - self.H, self.shift) + self.b_g - self.b_h
        return (torch.sigmoid(z),) if self.S is None else (self.W, torch.sigmoid(z))

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A gate that depends on no input, and operands of 1 or -1."""
        sums, products = {"add": 1.0, "sub": -1.0, "identity": 1.0}, {"mul": 1.0, "div": -1.0, "reciprocal": -1.0}
        last = (sums | products).get(operation)
        if last is None:
            return Impossible("its operands are rounded to -1, 0 or 1, and a square or a root needs others")
        if self.operands != "learned" and last != (1.0 if self.operands == "sum" else -1.0):
            return Impossible(f"its operands are frozen at those of a {self.operands}")
        zero, shut = torch.zeros(1, self.inputs), torch.zeros(1, 1)
        gate = torch.full((1, 1), SATURATED if operation in sums else -SATURATED)
        weights = {"scale": zero.mT, "shift": zero.mT, "G": zero, "H": zero, "b_g": gate, "b_h": shut}
        if self.operands != "learned":
            return weights
        S = torch.full((1, self.inputs), SATURATED)
        S[0, -1] *= last
        return weights | {"S": S, "M": torch.full_like(S, math.log(math.e - 1))}

    def forward(self, x: Tensor) -> Tensor:
        """y = s ⊙ clamp(m, ε, μ)."""
        low, high, limit = LIMITS[self.training]
        away = x - x.mean(-2, keepdim=True)
        normal = away * (away.square().mean(-2, keepdim=True) + NORMALISED).rsqrt() * self.scale + self.shift
        z = linear(self.G, normal) + self.b_g - (linear(self.H, normal) + self.b_h)
        g, h, W = torch.sigmoid(z), torch.sigmoid(-z), self.W
        if not self.training:
            g, h, W = (z >= 0).to(x.dtype), (z < 0).to(x.dtype), W.round().clamp(-1, 1)
        R, P = linear(W, x), linear(W, torch.log(x.abs().clamp(min=low)))
        s = g * torch.tanh(R / SMOOTH) + h * torch.cos(math.pi * linear(W.abs(), (x < 0).to(x.dtype)))
        m = g * (R.square() + SMOOTH**2).sqrt() + h * torch.exp(soft_clamp(P, limit))
        return s * m.clamp(low, high)
