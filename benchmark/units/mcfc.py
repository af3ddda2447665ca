"""Mass-conserving fully connected layers (Hoedt et al. 2021; as a single module in Mistry et al.'s code)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import SATURATED
from benchmark.units.unit import Ideal, Impossible, Unit, linear, multiply


class MCFC(Unit):
    """y = o ⊙ (P x),  o = σ(w + b),  P = softmax of Q over the outputs, so that each column of P sums to 1.

    `trash` gives it one more output, which is dropped, as in Hoedt et al.; Mistry et al. do without. Q starts as the
    identity if it is square, else orthogonal, w orthogonal, b at 0.
    """

    def __init__(self, inputs: int, outputs: int, trash: bool = False):
        super().__init__(inputs, outputs)
        self.all = outputs + trash
        self.Q = self.parameter(self.all, inputs)
        self.w, self.b = self.parameter(self.all, 1), self.parameter(self.all, 1)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """The identity or an orthogonal Q, an orthogonal w, b = 0."""
        shape = (self.all, self.inputs)
        square = self.all == self.inputs
        Q = torch.eye(self.inputs) + draw.constant(shape, 0.0) if square else draw.orthogonal(shape)
        return {"Q": Q, "w": draw.orthogonal((self.all, 1)), "b": draw.constant((self.all, 1), 0.0)}

    @property
    def o(self) -> Tensor:
        """σ(w + b), [..., out, 1]."""
        return torch.sigmoid(self.w + self.b)[..., : self.outputs, :]

    @property
    def P(self) -> Tensor:
        """The softmax of Q over its rows, the trash left out, [..., out, in]."""
        return torch.softmax(self.Q, -2)[..., : self.outputs, :]

    def effective_weights(self) -> tuple[Tensor, ...]:
        """o ⊙ P."""
        return (self.o * self.P,)

    def regularizer(self, name: str) -> Tensor:
        """Also "saturation": -mean Q² - mean w² - mean b²."""
        if name == "saturation":
            return -torch.stack([theta.square().mean((-2, -1)) for theta in (self.Q, self.w, self.b)]).sum(0)
        return super().regularizer(name)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """All of the mass to the one output."""
        count = {"add": 2, "identity": 1}.get(operation)
        return Impossible("it can only add what it is given") if count is None else self.selecting(count, SATURATED)

    def selecting(self, count: int, openness: float) -> dict[str, Tensor]:
        """One output that takes the whole of `count` inputs, times σ(openness)."""
        trashed = torch.tensor([[1.0], [-1.0]])[: self.all - self.outputs + 1]
        Q, w = (SATURATED * trashed).expand(-1, count).clone(), openness * torch.ones_like(trashed)
        return {"Q": Q, "w": w, "b": torch.zeros_like(w)}

    def forward(self, x: Tensor) -> Tensor:
        """y = o ⊙ (P x)."""
        return self.o * linear(self.P, x)


class MulMCFC(MCFC):
    """y = exp(MCFC(log x) + c), for positive inputs: what is negative gives nan. c starts at 0.

    With `sign` it is exp(MCFC(log |x|) + c), times Π (sign(x) P + 1 - P) ("inalu") or cos(π P (ĝ 1[x < 0])), with a
    gate ĝ = min(max(g, 0), 1) for each input that starts at ½ ("real_npu").
    """

    def __init__(self, inputs: int, outputs: int, trash: bool = False, sign: str | None = None):
        super().__init__(inputs, outputs, trash)
        if sign not in (None, "inalu", "real_npu"):
            raise ValueError(f"MulMCFC has no sign {sign!r}: inalu, real_npu")
        self.sign = sign
        self.c = self.parameter(outputs, 1)
        self.g = self.parameter(inputs, 1) if sign == "real_npu" else None

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """As MCFC; c = 0 and g = ½."""
        start = super().initial(draw) | {"c": draw.constant((self.outputs, 1), 0.0)}
        return start if self.g is None else start | {"g": draw.constant((self.inputs, 1), 0.5)}

    def regularizer(self, name: str) -> Tensor:
        """Also "gate": the mean of min(|g|, |1 - g|)."""
        if name == "gate" and self.g is not None:
            return torch.minimum(self.g.abs(), (1 - self.g).abs()).mean((-2, -1))
        return super().regularizer(name)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """The whole of the logarithms, or half of it for a root."""
        form = {"mul": (2, SATURATED), "identity": (1, SATURATED), "sqrt": (1, 0.0)}.get(operation)
        if form is None:
            return Impossible("it can only add the logarithms it is given")
        if sign != "positive" and (self.sign is None or operation == "sqrt"):
            return Impossible("the logarithm of what is negative is not real")
        weights = self.selecting(*form) | {"c": torch.zeros(1, 1)}
        return weights if self.g is None else weights | {"g": torch.ones(form[0], 1)}

    def forward(self, x: Tensor) -> Tensor:
        """y = exp(o ⊙ (P log x) + c), times the sign."""
        m = torch.exp(super().forward(torch.log(x if self.sign is None else x.abs())) + self.c)
        if self.sign is None:
            return m
        if self.g is None:
            return m * multiply(self.P, x.sign())
        return m * torch.cos(math.pi * linear(self.P, self.g.clamp(0, 1) * (x < 0)))
