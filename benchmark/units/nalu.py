"""The neural arithmetic logic unit (Trask et al. 2018, section 3, equations 2 and 3)."""

import math

import torch
from torch import Tensor

from benchmark.asked.streams import Draw
from benchmark.units.nac import NAC, SATURATED, additive, multiplicative
from benchmark.units.unit import Ideal, Impossible, linear

GATES = ("matrix", "vector", "scalar", "constant", "two")
LOGARITHMS = ("plain", "safe", "max_safe", "asinh")
CONSTANT = ("scalar", "constant")  # gates that depend on no input
MEANS = {"W_hat": 1.0, "M_hat": -1.0}  # of Schlör et al. 2020's initial Ŵ and M̂
SHARP = 1e6  # a gate this steep is 0 or 1 in float64 for |x| ≥ 4e-5


class NALU(NAC):
    """a = W x,  m = exp(W log(|x| + ε)),  g = σ(G x),  y = g ⊙ a + (1 - g) ⊙ m,  with the W of a NAC in both paths.

    The gate has no bias, so g(-x) = 1 - g(x): on a range on both sides of 0 it cannot choose one path, and the unit can
    represent no operation of two operands there, addition included. (The identity it can: x below 0, |x|
    above.) `gate_bias` adds one, g = σ(G x + b), as NeuralArithmetic.jl does. Initialisations as NAC's, for G as for
    Ŵ and M̂, but with "stable_nalu" G is Xavier-uniform and with `gate_bias` b starts at 0; and "schloer2020", as
    its authors start an iNALU: Ŵ ~ N(1, 0.1²), M̂ ~ N(-1, 0.1²), all else N(0, 0.1²); and
    "heim2020_large", Ŵ, M̂, G ~ U(0, 0.1), of Heim et al.'s larger experiment.

    gate: "matrix"; "vector", one gate for all outputs; "scalar", σ of one number that depends on no input; "two", a
    gate for each path, y = σ(G x) ⊙ a + σ(G_m x) ⊙ m. logarithm: "plain"; "safe", log(|x - 1| + 1); "max_safe",
    log(max(x - 1, 0) + 1); "asinh", m = sinh(W asinh x), which keeps the sign of a single input and has no ε, but is no
    product (wassname's re-implementation, 2018). All of these are variants in Madsen & Johansen's code. gate
    "constant", σ of one number an output that depends on no input, is the "independent gate" of Passo et al. 2024.
    """

    closed = False
    initialisations = (*NAC.initialisations, "schloer2020", "heim2020_large")

    def __init__(
        self,
        inputs: int,
        outputs: int,
        initialisation: str = "tutorial_normal",
        epsilon: float = 1e-7,
        gate_bias: bool = False,
        gate: str = "matrix",
        logarithm: str = "plain",
    ):
        super().__init__(inputs, outputs, initialisation)
        self.form, self.logarithm, self.epsilon = gate, logarithm, epsilon
        if gate not in GATES or logarithm not in LOGARITHMS:
            raise ValueError(f"gates are {', '.join(GATES)}; logarithms {', '.join(LOGARITHMS)}")
        if gate_bias and gate in (*CONSTANT, "two"):
            raise ValueError(f"gate_bias is for the gates matrix and vector, not for {gate}")
        shapes = {"vector": (1, inputs), "scalar": (1, 1), "constant": (outputs, 1)}
        self.G = self.parameter(*shapes.get(gate, (outputs, inputs)))
        self.G_m = self.parameter() if gate == "two" else None
        self.b = self.parameter(outputs, 1) if gate_bias else None

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Ŵ, M̂ and the gates by the chosen initialisation, b = 0."""
        parameters = [(name, tuple(p.shape[-2:])) for name, p in self.named_parameters()]
        if self.initialisation == "heim2020_large":
            return {name: draw.uniform(shape, 0.0, 0.0 if name == "b" else 0.1) for name, shape in parameters}
        if self.initialisation == "schloer2020":
            return {name: draw.normal(shape, MEANS.get(name[:5], 0.0), 0.1) for name, shape in parameters}
        start = super().initial(draw)
        gates = {name: tuple(p.shape[-2:]) for name, p in (("G", self.G), ("G_m", self.G_m)) if p is not None}
        for name, (rows, columns) in gates.items():
            if self.initialisation == "stable_nalu":
                bound = math.sqrt(6 / (columns + rows))
                start[name] = draw.uniform((rows, columns), -bound, bound)
            else:
                start[name] = self.draw_matrix(draw, (rows, columns))
        return start if self.b is None else start | {"b": draw.constant((self.outputs, 1), 0.0)}

    def ideal(self, operation: str, sign: str) -> Ideal:
        """A NAC's weights behind a shut or open gate; without a bias the gate needs operands of one known sign."""
        weights, path = additive(operation), 1.0
        if isinstance(weights, Impossible):
            if self.logarithm == "asinh":
                return Impossible("both its paths are smooth and have the sign of W x where one input alone is not 0")
            weights, path = multiplicative(operation, sign), -1.0
            if self.logarithm != "plain":
                return None  # they are the logarithm above 1, and nobody has said what they can do below
        free = self.b is not None or self.form in CONSTANT
        reasons = [weights.why] if isinstance(weights, Impossible) else []
        if not free and sign == "mixed":
            if operation == "identity":
                if self.logarithm in ("safe", "max_safe"):
                    return None
                path = -1.0  # a = x where x < 0, m = |x| where x > 0
            else:
                reasons.append("a gate without bias, g(-x) = 1 - g(x), cannot choose one path on both sides of 0")
        if not isinstance(weights, dict) or reasons:
            return Impossible(", and ".join(reasons))
        if self.form in CONSTANT:
            return weights | {"G": torch.full((1, 1), path * SATURATED)}
        if self.b is None:
            steep = path * SHARP * (-1 if sign == "negative" else 1)
            G = torch.full_like(weights["W_hat"], steep)
            return weights | {"G": G} | ({} if self.G_m is None else {"G_m": -G})
        return weights | {"G": torch.zeros_like(weights["W_hat"]), "b": torch.full((1, 1), path * SHARP)}

    @property
    def W_m(self) -> Tensor:
        """The weights of the multiplicative path: those of the additive one."""
        return self.W

    def multiplied(self, x: Tensor) -> Tensor:
        """m, by the chosen logarithm."""
        if self.logarithm == "asinh":
            return torch.sinh(linear(self.W_m, torch.asinh(x)))
        if self.logarithm == "safe":
            return torch.exp(linear(self.W_m, torch.log((x - 1).abs() + 1)))
        size = (x - 1).clamp(min=0) + 1 if self.logarithm == "max_safe" else x.abs() + self.epsilon
        return torch.exp(linear(self.W_m, torch.log(size)))

    def gate(self, G: Tensor, x: Tensor) -> Tensor:
        """g = σ(G x), [..., out, batch]."""
        z = G if self.form in CONSTANT else linear(G, x)
        return torch.sigmoid(z if self.b is None else z + self.b)

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ a + (1 - g) ⊙ m."""
        a, m = linear(self.W, x), self.multiplied(x)
        g = self.gate(self.G, x)
        return g * a + (1 - g if self.G_m is None else self.gate(self.G_m, x)) * m
