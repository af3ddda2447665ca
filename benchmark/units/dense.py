"""The ordinary dense layer, alone a linear model, stacked an MLP."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark import exact
from benchmark.asked.streams import Draw
from benchmark.units.activations import DENOMINATOR, NUMERATOR, rational, snake
from benchmark.units.unit import Ideal, Impossible, Unit, linear


def _xavier(gain: float) -> Callable[[int, int], float]:
    return lambda inputs, outputs: gain * math.sqrt(6 / (inputs + outputs))


def affine(features: np.ndarray, t: np.ndarray, bias: bool = True) -> dict[str, Tensor]:
    """The W and b with which W features + b is nearest to t in least squares: [feature, row], [row]."""
    columns = np.vstack([np.ones((int(bias), len(t))), features]).T
    w = torch.from_numpy(exact.least_squares(columns, t))
    return {"W": w[None, int(bias) :]} | ({"b": w[None, :1]} if bias else {})


def _kaiming(inputs: int, outputs: int) -> float:
    return math.sqrt(6 / inputs)


# The r of W ~ U(-r, r) in Madsen & Johansen's code; an activation's gain is torch's.
STABLE_NALU: dict[str | None, Callable[[int, int], float]] = {
    **{None: _xavier(1.0), "sigmoid": _xavier(1.0), "softsign": _xavier(1.0), "tanh": _xavier(5 / 3)},
    **{"relu": _kaiming, "relu6": _kaiming, "elu": _kaiming},
    "selu": lambda inputs, outputs: math.sqrt(3 / inputs),
}


class Dense(Unit):
    """y = f(W x + b).

    activation: the name of a function in torch.nn.functional, with `activation_options` as its arguments; None for the
    identity; "prelu" learns its one slope, as torch's module does. "snake", with `a` as its option, and "rational",
    which learns its ten coefficients, are those of `activations`. What a network of these layers does far outside its
    range follows from f: it becomes constant with one that saturates (tanh, σ), linear along rays with ReLU and its kin
    and with rational, linear plus something bounded with Snake.

    initialisation: "torch", W and b from U(-1/√in, 1/√in), torch's default (Kaiming-uniform with a = √5), which
    kevinzakka's reproduction of Trask et al. 2018, Figure 1 uses as well; or "stable_nalu", W by its activation as in
    Madsen & Johansen's code and b = 0; or "heim2020_large", W ~ U(0, 0.1) and b = 0, as in Heim et al.'s larger
    experiment, whose sums are such layers without b.
    """

    initialisations = ("torch", "stable_nalu", "heim2020_large")

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: str | None = None,
        activation_options: dict[str, Any] | None = None,
        bias: bool = True,
        initialisation: str = "torch",
    ):
        super().__init__(inputs, outputs)
        own = activation in ("snake", "rational")
        if activation is not None and not own and not callable(getattr(F, activation, None)):
            raise ValueError(f"torch.nn.functional has no activation {activation!r}")
        self.activation, self.activation_options = activation, dict(activation_options or {})
        self.closed = self.solvable = activation is None
        self.initialisation = self.choose(initialisation, self.initialisations)
        if initialisation == "stable_nalu" and activation not in STABLE_NALU:
            known = ", ".join(str(name) for name in STABLE_NALU)
            raise ValueError(f"stable_nalu initialises no {activation}, only {known}")
        self.W = self.parameter()
        self.b = self.parameter(outputs, 1) if bias else None
        self.slope = self.parameter(1, 1) if activation == "prelu" else None
        self.p = self.parameter(1, len(NUMERATOR)) if activation == "rational" else None
        self.q = self.parameter(1, len(DENOMINATOR)) if activation == "rational" else None

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """W and b by the chosen initialisation, ¼ for PReLU's slope, leaky ReLU for the rational function."""
        r_b = 1 / math.sqrt(self.inputs) if self.initialisation == "torch" else 0.0
        if self.initialisation == "heim2020_large":
            low, high = 0.0, 0.1
        elif self.initialisation == "stable_nalu":
            high = STABLE_NALU[self.activation](self.inputs, self.outputs)
            low = -high
        else:
            low, high = -r_b, r_b
        start = {"W": draw.uniform((self.outputs, self.inputs), low, high)}
        if self.b is not None:
            start["b"] = draw.uniform((self.outputs, 1), -r_b, r_b)
        if self.slope is not None:
            start["slope"] = draw.constant((1, 1), 0.25)
        for name, values in (("p", NUMERATOR), ("q", DENOMINATOR)):
            if getattr(self, name) is not None:
                start[name] = draw.constant((1, len(values)), 1.0) * torch.tensor(values, dtype=torch.float64)
        return start

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Without an activation: addition, subtraction and the identity, and nothing else; with one: not known."""
        if self.activation is not None:
            return None
        weights = {"add": [1.0, 1.0], "sub": [1.0, -1.0], "identity": [1.0]}.get(operation)
        if weights is None:
            return Impossible("a linear map can only add and subtract")
        return {"W": torch.tensor([weights])} | ({} if self.b is None else {"b": torch.zeros(1, 1)})

    def solve(self, x: np.ndarray, t: np.ndarray) -> dict[str, Tensor]:
        """W and b of least squares on (1, x)."""
        return affine(x, t, self.b is not None)

    def activate(self, z: Tensor) -> Tensor:
        """f(z), elementwise."""
        if self.activation is None:
            return z
        if self.slope is not None:
            return torch.where(z > 0, z, self.slope * z)
        if self.p is not None and self.q is not None:
            return rational(z, self.p, self.q)
        if self.activation == "snake":
            return snake(z, **self.activation_options)
        return getattr(F, self.activation)(z, **self.activation_options)

    def forward(self, x: Tensor) -> Tensor:
        """y = f(W x + b)."""
        z = linear(self.W, x)
        return self.activate(z if self.b is None else z + self.b)
