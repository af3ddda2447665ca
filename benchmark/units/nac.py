"""The neural accumulator and its multiplicative form (Trask et al. 2018, section 3)."""

from functools import cache

import torch
from torch import Tensor

from benchmark import exact
from benchmark.asked.streams import Draw
from benchmark.units.unit import Ideal, Impossible, Unit, linear

SATURATED = 40.0  # tanh and σ of it are 1 to the last bit in float64


@cache
def stable_bound(inputs: int, outputs: int) -> float:
    """The r for which W = tanh(Ŵ) ⊙ σ(M̂) with Ŵ, M̂ ~ U(-r, r) has the variance 2 / max(in + out, 5).

    Madsen & Johansen 2020, appendix on initialisation, as their code computes it:
    Var W = (1 - tanh(r)/r) (r - tanh(r/2)) / 2r.

    >>> round(stable_bound(2, 1), 2), round(stable_bound(100, 2), 3)
    (9.47, 0.504)
    """

    def variance(r: float) -> float:
        tanh, tanh_half = exact.tanh([r, r / 2]).tolist()
        return (1 - tanh / r) * (r - tanh_half) / (2 * r)

    wanted, low, high = 2 / max(inputs + outputs, 5), 1e-3, 1e3
    while low < (r := (low + high) / 2) < high:
        low, high = (r, high) if variance(r) < wanted else (low, r)
    return r


class NAC(Unit):
    """NAC+: W = tanh(Ŵ) ⊙ σ(M̂),  y = W x: additions and subtractions.

    initialisation: "tutorial_normal" (Ŵ, M̂ truncated normal, sd 0.02), "tutorial_uniform" (U(-2, 2)), both of the
    founding tutorial, or "stable_nalu" (`stable_bound`, Madsen & Johansen's code).
    """

    closed = True
    initialisations: tuple[str, ...] = ("tutorial_normal", "tutorial_uniform", "stable_nalu")

    def __init__(self, inputs: int, outputs: int, initialisation: str = "tutorial_normal"):
        super().__init__(inputs, outputs)
        self.initialisation = self.choose(initialisation, self.initialisations)
        self.W_hat, self.M_hat = self.parameter(), self.parameter()

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Ŵ and M̂ by the chosen initialisation."""
        return {name: self.draw_matrix(draw) for name in ("W_hat", "M_hat")}

    def draw_matrix(self, draw: Draw, shape: tuple[int, int] | None = None) -> Tensor:
        """One matrix [replica, out, in], or of another shape, by the chosen initialisation."""
        shape = shape or (self.outputs, self.inputs)
        if self.initialisation == "tutorial_normal":
            return draw.truncated_normal(shape, sd=0.02)
        r = 2.0 if self.initialisation == "tutorial_uniform" else stable_bound(self.inputs, self.outputs)
        return draw.uniform(shape, -r, r)

    @property
    def W(self) -> Tensor:
        """tanh(Ŵ) ⊙ σ(M̂), [..., out, in]."""
        return torch.tanh(self.W_hat) * torch.sigmoid(self.M_hat)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W."""
        return (self.W,)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Saturated Ŵ and M̂ for addition, subtraction and the identity."""
        return additive(operation)

    def forward(self, x: Tensor) -> Tensor:
        """y = W x."""
        return linear(self.W, x)


class NACMul(NAC):
    """NAC•: W = tanh(Ŵ) ⊙ σ(M̂),  y = exp(W log(|x| + ε)): products and quotients of magnitudes.

    ε = 1e-7 as in the tutorial and in Madsen & Johansen's code. Initialisations as NAC's.
    """

    def __init__(self, inputs: int, outputs: int, initialisation: str = "tutorial_normal", epsilon: float = 1e-7):
        super().__init__(inputs, outputs, initialisation)
        self.epsilon = epsilon

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Saturated weights where the result is positive whatever the operands' magnitudes."""
        return multiplicative(operation, sign)

    def forward(self, x: Tensor) -> Tensor:
        """y = exp(W log(|x| + ε))."""
        return torch.exp(linear(self.W, torch.log(x.abs() + self.epsilon)))


def additive(operation: str) -> Ideal:
    """Ŵ and M̂ of an ideal NAC+; W is exact."""
    weights = {"add": [1.0, 1.0], "sub": [1.0, -1.0], "identity": [1.0]}.get(operation)
    return Impossible("W x can only add and subtract") if weights is None else _saturated(weights)


def multiplicative(operation: str, sign: str) -> Ideal:
    """Ŵ and M̂ of an ideal NAC•: two negative factors have a positive product, one alone is lost."""
    weights = {"mul": [1.0, 1.0], "div": [1.0, -1.0], "sqrt": [0.5], "identity": [1.0], "reciprocal": [-1.0]}
    if operation == "square":
        return Impossible("its weights stay below 1 and a square needs 2")
    if operation not in weights:
        return Impossible("exp(W log |x|) can only multiply and divide")
    if sign not in (("positive", "negative") if operation in ("mul", "div") else ("positive",)):
        return Impossible("log |x| loses the sign of x")
    return _saturated(weights[operation])


def _saturated(weights: list[float]) -> dict[str, Tensor]:
    W = torch.tensor([weights])
    return {"W_hat": SATURATED * W.sign(), "M_hat": W.abs().logit().clamp(-SATURATED, SATURATED)}
