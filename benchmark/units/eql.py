"""The equation learner's layers (Martius & Lampert 2016; with division Sahoo et al. 2018). From the papers alone."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear

EVALUATED = 1e-4  # θ in evaluation


class EQL(Unit):
    """z = W x + b; the outputs are z itself, sin z and cos z of one z each, and products z z' of two.

    A quarter of the outputs, rounded down, are products, a quarter cosines and a quarter sines; the rest are z itself.
    (A single output is linear, as the last layer of the published network.) W, b ~ U(-1/√in, 1/√in), which is ours.

    Of the published training are left out: that after 19/20 of the steps weights below 0.001 are fixed at 0, so that a
    formula can be read off (no recipe here stops training single weights; what the L1 term until then left small stays
    small); that training examples have noise of 0.01 (all tasks here are exact); and that the network among several
    depths and weights of L1 is chosen by errors on the judged range too, which would be a leak.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__(inputs, outputs)
        n = outputs // 4
        self.kinds = [outputs - 3 * n, n, n, n, n]  # rows of z: themselves, sin, cos, one factor and the other
        self.W, self.b = self.parameter(outputs + n, inputs), self.parameter(outputs + n, 1)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-1/√in, 1/√in)."""
        r, rows = 1 / math.sqrt(self.inputs), sum(self.kinds)
        return {"W": draw.uniform((rows, self.inputs), -r, r), "b": draw.uniform((rows, 1), -r, r)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A sum as the first output, or a product as the last one."""
        sums, factors = {"add": [1.0, 1.0], "sub": [1.0, -1.0], "identity": [1.0]}, {"mul": (0, 1), "square": (0, 0)}
        W = torch.zeros(sum(self.kinds), self.inputs)
        if operation in sums:
            W[0] = torch.tensor(sums[operation])
        elif operation not in (*factors, "div", "reciprocal", "sqrt"):
            return None
        elif operation not in factors:
            return Impossible("sums, sines, cosines and products are smooth everywhere; quotients and roots are not")
        elif not self.kinds[-1]:
            return Impossible("fewer than four outputs are linear, and a linear map can only add and subtract")
        else:
            W[-1 - self.kinds[-1], factors[operation][0]] = W[-1, factors[operation][1]] = 1.0
        return {"W": W, "b": torch.zeros(len(W), 1)}

    def forward(self, x: Tensor) -> Tensor:
        """y = (z, sin z, cos z, z z')."""
        z, to_sin, to_cos, one, other = (linear(self.W, x) + self.b).split(self.kinds, -2)
        return torch.cat([z, torch.sin(to_sin), torch.cos(to_cos), one * other], -2)


class EQLDivision(Unit):
    """The last layer of EQL÷: (a, c) = W x + b,  y = a / c where c > θ and 0 elsewhere.

    θ is 1e-4 in evaluation and an option in training, published as 1 / √(t + 1) in epoch t, from 1 down to 0.01. The
    regularizer "division" is the mean over examples and outputs of max(θ - c, 0), which the paper sums. W ~ U(-1/√in,
    1/√in), b = 0 for a and 1 for c, so that divisors start above θ; these are ours.

    Beside what `EQL` leaves out: every 50th published epoch is one of penalties alone, on the judged range and with a
    bound of 10 on the outputs. Here no network sees the range where it is judged before it is judged.
    """

    def __init__(self, inputs: int, outputs: int, theta: float = 0.01):
        super().__init__(inputs, outputs)
        self.theta = theta
        self.W, self.b = self.parameter(2 * outputs, inputs), self.parameter(2 * outputs, 1)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-1/√in, 1/√in); 0 and 1."""
        r, shape = 1 / math.sqrt(self.inputs), (self.outputs, 1)
        b = torch.cat([draw.constant(shape, 0.0), draw.constant(shape, 1.0)], -2)
        return {"W": draw.uniform((2 * self.outputs, self.inputs), -r, r), "b": b}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Dividends a and divisors c, [..., out, batch] each."""
        a, c = (linear(self.W, x) + self.b).split(self.outputs, -2)
        return a, c

    def regularizer(self, name: str) -> Tensor:
        """Not "division", which depends on the inputs."""
        if name == "division":
            raise ValueError("the regularizer 'division' depends on what the layer is given: ask with its inputs x")
        return super().regularizer(name)

    def penalty(self, name: str, x: Tensor) -> Tensor:
        """ "division": how far divisors are below θ."""
        if name != "division":
            return super().penalty(name, x)
        return (self.theta - self.parts(x)[1]).clamp(min=0).mean((-2, -1))

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A sum over 1, or a quotient of operands that have one sign, which dividend and divisor then take."""
        sums = {"add": [1.0, 1.0], "sub": [1.0, -1.0], "identity": [1.0]}
        if operation in sums:
            above = torch.tensor(sums[operation])
            return {"W": torch.stack([above, torch.zeros_like(above)]), "b": torch.tensor([[0.0], [1.0]])}
        if operation not in ("mul", "square", "sqrt", "div", "reciprocal"):
            return None
        if operation not in ("div", "reciprocal"):
            return Impossible("a quotient of two linear maps is no product and no root")
        if sign == "mixed":
            return Impossible("its divisors stay above θ and those of the operation do not")
        s = -1.0 if sign == "negative" else 1.0
        if operation == "div":
            return {"W": s * torch.eye(2), "b": torch.zeros(2, 1)}
        return {"W": torch.tensor([[0.0], [s]]), "b": torch.tensor([[s], [0.0]])}

    def forward(self, x: Tensor) -> Tensor:
        """y = a / c where c > θ, else 0."""
        a, c = self.parts(x)
        above = c > (self.theta if self.training else EVALUATED)
        return torch.where(above, a / torch.where(above, c, 1.0), 0.0)  # no slope where nothing is divided
