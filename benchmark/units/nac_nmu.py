"""NAC• with the weights of an NMU (Madsen & Johansen 2020, the comparison of multiplication layers)."""

import torch
from torch import Tensor

from benchmark.streams import Draw
from benchmark.units.unit import Impossible, Unit, linear


class NACNMU(Unit):
    """NAC•,NMU: y = exp(W log(|x| + ε)),  W ∈ [0, 1]: products of magnitudes.

    W is clamped after every step and starts as U(¼, ¾). ε = 1e-7 as in the authors' code.
    """

    closed = True

    def __init__(self, inputs: int, outputs: int, epsilon: float = 1e-7):
        super().__init__(inputs, outputs)
        self.epsilon = epsilon
        self.bounds = {"W": (0.0, 1.0)}
        self.W = self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """U(¼, ¾)."""
        return {"W": draw.uniform((self.outputs, self.inputs), 0.25, 0.75)}

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> dict[str, Tensor] | Impossible:
        """Weights of 1, or ½ for a root."""
        W = weights(operation, sign)
        return W if isinstance(W, Impossible) else {"W": W}

    def forward(self, x: Tensor) -> Tensor:
        """y = exp(W log(|x| + ε))."""
        return torch.exp(linear(self.W, torch.log(x.abs() + self.epsilon)))


def weights(operation: str, sign: str) -> Tensor | Impossible:
    """The W between 0 and 1 with which exp(W log |x|) computes the operation."""
    W = {"mul": [1.0, 1.0], "identity": [1.0], "sqrt": [0.5]}.get(operation)
    if W is None:
        return Impossible("with weights between 0 and 1, exp(W log |x|) can only multiply and take roots")
    if sign not in (("positive", "negative") if operation == "mul" else ("positive",)):
        return Impossible("log |x| loses the sign of x")
    return torch.tensor([W])
