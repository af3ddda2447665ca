"""NAC• with the weights of an NMU (Madsen & Johansen 2020, the comparison of multiplication layers)."""

import torch
from torch import Tensor

from benchmark.units.nmu import NMU
from benchmark.units.unit import Impossible, linear


class NACNMU(NMU):
    """NAC•,NMU: y = exp(W log(|x| + ε)),  W ∈ [0, 1]: products of magnitudes.

    W starts and is clamped as an NMU's. ε = 1e-7 as in the authors' code.
    """

    closed = True

    def __init__(self, inputs: int, outputs: int, epsilon: float = 1e-7):
        super().__init__(inputs, outputs)
        self.epsilon = epsilon

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
