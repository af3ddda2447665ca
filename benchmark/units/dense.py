"""The ordinary dense layer, alone a linear model, stacked an MLP."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear


class Dense(Unit):
    """y = f(W x + b).

    activation: the name of a function in torch.nn.functional, with `activation_options` as its arguments; None for the
    identity; "prelu" learns its one slope, as torch's module does. W and b start as U(-1/√in, 1/√in), torch's default
    (Kaiming-uniform with a = √5), which kevinzakka's reproduction of Trask et al. 2018, Figure 1 uses as well.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: str | None = None,
        activation_options: dict[str, Any] | None = None,
        bias: bool = True,
    ):
        super().__init__(inputs, outputs)
        if activation is not None and not callable(getattr(F, activation, None)):
            raise ValueError(f"torch.nn.functional has no activation {activation!r}")
        self.activation, self.activation_options = activation, dict(activation_options or {})
        self.closed = activation is None
        self.W = self.parameter()
        self.b = self.parameter(outputs, 1) if bias else None
        self.slope = self.parameter(1, 1) if activation == "prelu" else None

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(-1/√in, 1/√in) for W and b, ¼ for PReLU's slope."""
        bound = 1 / math.sqrt(self.inputs)
        start = {"W": draw.uniform((self.outputs, self.inputs), -bound, bound)}
        if self.b is not None:
            start["b"] = draw.uniform((self.outputs, 1), -bound, bound)
        if self.slope is not None:
            start["slope"] = draw.constant((1, 1), 0.25)
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

    def activate(self, z: Tensor) -> Tensor:
        """f(z), elementwise."""
        if self.activation is None:
            return z
        if self.slope is not None:
            return torch.where(z > 0, z, self.slope * z)
        return getattr(F, self.activation)(z, **self.activation_options)

    def forward(self, x: Tensor) -> Tensor:
        """y = f(W x + b)."""
        z = linear(self.W, x)
        return self.activate(z if self.b is None else z + self.b)
