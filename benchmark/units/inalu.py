"""The improved NALU (Schlör et al. 2020)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import SATURATED, additive, multiplicative
from benchmark.units.unit import Ideal, Impossible, Unit, linear, multiply

INITIALISATIONS = {  # (mean of g, of M̂, of Ŵ, standard deviation of all)
    "experiments": (0.0, -1.0, 1.0, 0.1),  # the paper's experiments 1, 2 and 4
    "module": (0.0, 0.5, 0.88, 0.2),  # the default of the authors' module, which Mistry et al. 2022 inherit
}


class INALU(Unit):
    """y = g ⊙ a + (1 - g) ⊙ m ⊙ s,  a = W_a x,  m = exp(min(W_m log(max(|x|, ε)), ω)).

    s = Π (sign(x) |W_m| + 1 - |W_m|) is the sign of the product.

    W_a = tanh(Ŵ_a) ⊙ σ(M̂_a), and W_m likewise with parameters of its own, or the same W in both paths (`shared`). The
    gate, σ of a parameter, is one number an output and depends on no input; with the gate "matrix" it is σ(g x), as in
    NeuralArithmetic.jl. ε = 1e-7 is a maximum, ω = 20. Its authors regularize it by "saturation". Initialisation
    "xavier": Xavier-uniform.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        shared: bool = False,
        initialisation: str = "experiments",
        epsilon: float = 1e-7,
        omega: float = 20.0,
        gate: str = "constant",
    ):
        super().__init__(inputs, outputs)
        self.initialisation = self.choose(initialisation, (*INITIALISATIONS, "xavier"))
        if gate not in ("constant", "matrix"):
            raise ValueError("gates are constant, matrix")
        self.epsilon, self.omega = epsilon, omega
        self.W_hat, self.M_hat = self.parameter(), self.parameter()
        self.W_hat_m = None if shared else self.parameter()
        self.M_hat_m = None if shared else self.parameter()
        self.gate, self.g = gate, self.parameter(outputs, 1 if gate == "constant" else inputs)

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Normal, around the chosen means, or uniform."""
        if self.initialisation == "xavier":
            shapes = {name: tuple(p.shape[-2:]) for name, p in self.named_parameters()}
            bounds = {name: math.sqrt(6 / sum(shape)) for name, shape in shapes.items()}
            return {name: draw.uniform(shape, -bounds[name], bounds[name]) for name, shape in shapes.items()}
        gate, inner, outer, sd = INITIALISATIONS[self.initialisation]
        means = {"W_hat": outer, "M_hat": inner, "W_hat_m": outer, "M_hat_m": inner, "g": gate}
        return {name: draw.normal(tuple(p.shape[-2:]), means[name], sd) for name, p in self.named_parameters()}

    @property
    def W_a(self) -> Tensor:
        """tanh(Ŵ_a) ⊙ σ(M̂_a), [..., out, in]."""
        return torch.tanh(self.W_hat) * torch.sigmoid(self.M_hat)

    @property
    def W_m(self) -> Tensor:
        """tanh(Ŵ_m) ⊙ σ(M̂_m), [..., out, in]."""
        if self.W_hat_m is None or self.M_hat_m is None:
            return self.W_a
        return torch.tanh(self.W_hat_m) * torch.sigmoid(self.M_hat_m)

    def effective_weights(self) -> tuple[Tensor, ...]:
        """W_a and W_m, or the one W of both."""
        return (self.W_a,) if self.W_hat_m is None else (self.W_a, self.W_m)

    def ideal(self, operation: str, sign: str) -> Ideal:
        """Saturated weights behind an open or shut gate; the sign of a product is s. Unknown of a gate with inputs."""
        if self.gate == "matrix":
            return None
        weights, gate = additive(operation), SATURATED
        if isinstance(weights, Impossible):
            weights, gate = multiplicative(operation, sign if operation == "sqrt" else "positive"), -SATURATED
        if not isinstance(weights, dict):
            return weights
        both = {} if self.W_hat_m is None else {f"{name}_m": value for name, value in weights.items()}
        return weights | both | {"g": torch.full((1, 1), gate)}

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ a + (1 - g) ⊙ m ⊙ s."""
        a, W_m = linear(self.W_a, x), self.W_m
        g = torch.sigmoid(self.g if self.gate == "constant" else linear(self.g, x))
        m = torch.exp(linear(W_m, torch.log(x.abs().clamp(min=self.epsilon))).clamp(max=self.omega))
        s = multiply(W_m.abs(), x.sign())
        return g * a + (1 - g) * m * s
