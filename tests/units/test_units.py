"""Every unit is its paper's formula, starts as its authors start it, and follows its parameters."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.interpolate import BSpline
from torch import nn
from torch.func import functional_call

from benchmark.asked.streams import Draw
from benchmark.units import (
    DMU,
    EQL,
    GLU,
    GNALU,
    INALU,
    KAN,
    MCFC,
    MNAC,
    NAC,
    NACNMU,
    NALU,
    NAU,
    NMRU,
    NMU,
    NPU,
    NRU,
    SNALU,
    SNMU,
    Dense,
    EQLDivision,
    GatedNAUNMU,
    HillSpaceAdd,
    HillSpaceExp,
    Impossible,
    Monomials,
    MulMCFC,
    NACMul,
    NACSigma,
    NALUSeparate,
    PowerLaw,
    ProductUnit,
    Rows,
    linear,
    power,
    product,
)
from benchmark.units.nac import stable_bound

ACTIVATIONS = {
    "elu": nn.ELU(),
    "gelu": nn.GELU(),
    "hardshrink": nn.Hardshrink(),
    "hardtanh": nn.Hardtanh(),
    "leaky_relu": nn.LeakyReLU(),
    "mish": nn.Mish(),
    "prelu": nn.PReLU(),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(),
    "selu": nn.SELU(),
    "sigmoid": nn.Sigmoid(),
    "silu": nn.SiLU(),
    "softplus": nn.Softplus(),
    "softshrink": nn.Softshrink(),
    "softsign": nn.Softsign(),
    "tanh": nn.Tanh(),
    "tanhshrink": nn.Tanhshrink(),
    None: nn.Identity(),
}
SIZES = [(1, 1), (2, 1), (3, 4), (100, 2)]
UNITS = {
    "Dense": Dense,
    "Dense-tanh": lambda i, o: Dense(i, o, "tanh"),
    "Dense-prelu": lambda i, o: Dense(i, o, "prelu"),
    "Dense-no-bias": lambda i, o: Dense(i, o, bias=False),
    "Dense-snake": lambda i, o: Dense(i, o, "snake", {"a": 2.0}),
    "Dense-rational": lambda i, o: Dense(i, o, "rational"),
    "PowerLaw": PowerLaw,
    "Monomials": Monomials,
    **{f"GLU-{f}": lambda i, o, f=f: GLU(i, o, f, width=3) for f in ("identity", "sigmoid", "relu", "silu")},
    "KAN": lambda i, o: KAN(i, o, intervals=4, span=[-5.0, 3.0]),
    "NAC": NAC,
    "NACMul": NACMul,
    "NALU": NALU,
    "NAU": NAU,
    "NMU": NMU,
    "NALU-gate-bias": lambda i, o: NALU(i, o, gate_bias=True),
    "NALU-vector": lambda i, o: NALU(i, o, gate="vector"),
    "NALU-scalar": lambda i, o: NALU(i, o, gate="scalar"),
    "NALU-two": lambda i, o: NALU(i, o, gate="two"),
    "NALU-safe": lambda i, o: NALU(i, o, logarithm="safe"),
    "NALU-max-safe": lambda i, o: NALU(i, o, logarithm="max_safe"),
    "NALU-asinh": lambda i, o: NALU(i, o, logarithm="asinh"),
    "NALUIG": lambda i, o: NALU(i, o, epsilon=1e-10, gate="constant"),
    "NALU2MIG": lambda i, o: NALUSeparate(i, o, epsilon=1e-10, gate="constant"),
    "NALUSeparate": NALUSeparate,
    "GNALU": GNALU,
    "SNALU": SNALU,
    "INALU": INALU,
    "INALU-shared": lambda i, o: INALU(i, o, shared=True),
    "INALU-matrix": lambda i, o: INALU(i, o, gate="matrix", initialisation="xavier"),
    "NACSigma": NACSigma,
    "NACNMU": NACNMU,
    "MNAC": MNAC,
    "GatedNAUNMU": GatedNAUNMU,
    "SNMU": SNMU,
    "NPU": NPU,
    "NPU-naive": lambda i, o: NPU(i, o, gate=False),
    "RealNPU": lambda i, o: NPU(i, o, imaginary=False),
    "RealNPU-modified": lambda i, o: NPU(i, o, imaginary=False, modified=True),
    "NRU": lambda i, o: NRU(i, o).eval(),
    "NMRU": lambda i, o: NMRU(i, o).eval(),
    "ProductUnit": ProductUnit,
    "HillSpaceAdd": HillSpaceAdd,
    "HillSpaceExp": HillSpaceExp,
    "DMU": lambda i, o: DMU(i, o).eval(),
    "DMU-training": DMU,
    "DMU-sum": lambda i, o: DMU(i, o, operands="sum"),
    "DMU-difference": lambda i, o: DMU(i, o, operands="difference").eval(),
    "EQL": EQL,
    "EQLDivision": lambda i, o: EQLDivision(i, o).eval(),
    "MCFC": MCFC,
    "MCFC-trash": lambda i, o: MCFC(i, o, trash=True),
    "MulMCFC": MulMCFC,
    "MulMCFC-inalu": lambda i, o: MulMCFC(i, o, sign="inalu"),
    "MulMCFC-real-npu": lambda i, o: MulMCFC(i, o, sign="real_npu"),
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def filled(unit, seed=0, scale=1.0):
    """The unit in float64 with normally distributed parameters, and these as arrays."""
    random = np.random.default_rng(seed)
    arrays = {name: scale * random.normal(size=tuple(p.shape)) for name, p in unit.named_parameters()}
    unit = unit.double()
    unit.load_state_dict({name: torch.tensor(value) for name, value in arrays.items()})
    return unit, arrays


def inputs(size, points=13, seed=1):
    return np.random.default_rng(seed).normal(scale=3, size=(size, points))


def output(unit, x):
    return unit(torch.tensor(x)).detach().numpy()


def test_linear_is_the_matrix_product():
    random = np.random.default_rng(0)
    W, x = random.normal(size=(5, 4, 3, 7)), random.normal(size=(5, 4, 7, 11))
    y = linear(torch.tensor(W), torch.tensor(x))
    assert y.shape == (5, 4, 3, 11)
    assert y.numpy() == pytest.approx(W @ x, rel=1e-12, abs=1e-12)


def test_linear_shares_examples_among_replicas():
    random = np.random.default_rng(0)
    W, x = random.normal(size=(5, 3, 7)), random.normal(size=(7, 11))
    assert linear(torch.tensor(W), torch.tensor(x)).numpy() == pytest.approx(W @ x, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_a_dense_layer_is_torchs_linear_layer_and_activation(activation):
    for size, outputs in SIZES:
        unit, arrays = filled(Dense(size, outputs, activation))
        layer, f = nn.Linear(size, outputs).double(), ACTIVATIONS[activation].double()
        layer.load_state_dict({"weight": torch.tensor(arrays["W"]), "bias": torch.tensor(arrays["b"][:, 0])})
        if activation == "prelu":
            f.load_state_dict({"weight": torch.tensor(arrays["slope"][0])})
        x = inputs(size)
        expected = f(layer(torch.tensor(x.T))).T.detach().numpy()
        assert output(unit, x) == pytest.approx(expected, rel=1e-12, abs=1e-12), (size, outputs)


@pytest.mark.parametrize(
    ("activation", "options", "module"),
    [
        ("threshold", {"threshold": 0.0, "value": 1.0}, nn.Threshold(0.0, 1.0)),
        ("leaky_relu", {"negative_slope": 0.3}, nn.LeakyReLU(0.3)),
        ("elu", {"alpha": 2.0}, nn.ELU(2.0)),
        ("gelu", {"approximate": "tanh"}, nn.GELU("tanh")),
    ],
)
def test_an_activation_takes_its_options(activation, options, module):
    unit, arrays = filled(Dense(3, 2, activation, options))
    x = inputs(3)
    z = torch.tensor(arrays["W"] @ x + arrays["b"])
    assert output(unit, x) == pytest.approx(module(z).numpy(), rel=1e-12, abs=1e-12)


def test_a_dense_layer_without_bias_has_none():
    unit, arrays = filled(Dense(3, 2, bias=False))
    assert list(arrays) == ["W"]
    x = inputs(3)
    assert output(unit, x) == pytest.approx(arrays["W"] @ x, rel=1e-12)


@pytest.mark.parametrize("activation", ["rleu", "__doc__"])
def test_an_unknown_activation_is_refused(activation):
    with pytest.raises(ValueError, match="has no activation"):
        Dense(2, 1, activation)


@pytest.mark.parametrize(("size", "outputs"), SIZES)
def test_a_nac_is_its_formula(size, outputs):
    unit, p = filled(NAC(size, outputs))
    x = inputs(size)
    W = np.tanh(p["W_hat"]) * sigmoid(p["M_hat"])
    assert output(unit, x) == pytest.approx(W @ x, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("size", "outputs"), SIZES)
def test_a_nau_is_its_formula(size, outputs):
    unit, arrays = filled(NAU(size, outputs))
    x = inputs(size)
    assert output(unit, x) == pytest.approx(arrays["W"] @ x, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("size", "outputs"), SIZES)
def test_an_nmu_is_its_formula(size, outputs):
    unit, arrays = filled(NMU(size, outputs), scale=0.3)
    x, W = inputs(size), arrays["W"]
    expected = [np.prod(w[:, None] * x + 1 - w[:, None], axis=0) for w in W]
    assert output(unit, x) == pytest.approx(np.array(expected), rel=1e-11)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_a_product_and_its_gradient_are_exact_also_at_zero(count):
    factors = torch.randn(4, count, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    factors[0, 0, 0] = factors[1, :2, 1] = 0.0
    factors.requires_grad_()
    product(factors).sum().backward()
    assert torch.allclose(product(factors), factors.prod(-2), rtol=1e-12)
    others = [torch.cat([factors[:, :i], factors[:, i + 1 :]], 1).prod(1) for i in range(count)]
    assert torch.allclose(factors.grad, torch.stack(others, 1), rtol=1e-12)


def each(W, factor):
    """Π over the inputs of factor(weight, its input's number), one row an output."""
    return np.array([np.prod([factor(w[i], i) for i in range(len(w))], axis=0) for w in W])


def chosen(W, x):
    """Π (W x + 1 - W)."""
    return each(W, lambda w, i: w * x[i] + 1 - w)


def nac_weights(p, suffix="", scale=1.0):
    return np.tanh(scale * p[f"W_hat{suffix}"]) * sigmoid(scale * p[f"M_hat{suffix}"])


def nalu(p, x, suffix="", scale=1.0, gate=None, logs=None):
    g = sigmoid(scale * p["G"] @ x) if gate is None else gate
    powers = nac_weights(p, suffix, scale) @ (np.log(np.abs(x) + 1e-7) if logs is None else logs)
    return g * (nac_weights(p, scale=scale) @ x) + (1 - g) * np.exp(powers)


def snalu(p, x):
    W, g = nac_weights(p), sigmoid(p["G"])
    return g * (W @ x) + (1 - g) * np.prod(np.sign(x), axis=0) * np.exp(W @ np.log(np.abs(x) + 1e-8))


def inalu(p, x, gate=None):
    a, m = nac_weights(p), nac_weights(p, "_m" if "W_hat_m" in p else "")
    magnitude = np.exp(np.minimum(m @ np.log(np.maximum(np.abs(x), 1e-7)), 20))
    g = sigmoid(p["g"] if gate is None else gate)
    return g * (a @ x) + (1 - g) * magnitude * chosen(np.abs(m), np.sign(x))


def npu(p, x):
    """The definition in complex numbers: exp(W log r + i W k), of which the real part is taken."""
    g = np.clip(p["g"], 0, 1) if "g" in p else 1.0
    r, k = g * (np.abs(x) + 2.0**-23) + 1 - g, g * np.where(x < 0, np.pi, 0.0)
    return np.exp((p["W_r"] + 1j * p.get("W_i", 0.0)) @ (np.log(r) + 1j * k)).real


def nru(p, x):
    return each(p["W"], lambda w, i: np.sign(x[i]) * np.abs(x[i]) ** w * abs(w) + 1 - abs(w))


def nmru(p, x):
    v = np.concatenate([x, 1 / x])
    return chosen(p["W"], np.abs(v)) * np.cos(np.pi * p["W"] @ (v < 0))


def complex_power(W, x):
    return np.array([np.prod(x.astype(complex) ** w[:, None], axis=0).real for w in W])


def snapped_weights(p):
    parts = [(np.tanh(p["W_hat"]), -1.0), (sigmoid(p["M_hat"]), 0.0)]
    return math.prod(np.select([v > 1 - 1e-6, v < low + 1e-6], [1.0, low], v) for v, low in parts)


def softplus(z):
    return np.logaddexp(0, z)


def dmu(p, x, O, training):
    away = x - x.mean(0)
    normal = p["scale"] * away / np.sqrt((away**2).mean(0) + 1e-5) + p["shift"]
    logits = np.stack([p["G"] @ normal + p["b_g"], p["H"] @ normal + p["b_h"]])
    g, h = np.exp(logits) / np.exp(logits).sum(0) if training else logits == logits.max(0)
    low, high, limit = (1e-11, 1e6, np.log(1e6) - 1) if training else (1e-20, 1e20, 50)
    O = O if training else np.clip(np.round(O), -1, 1)
    lin, log = O @ x, O @ np.log(np.maximum(np.abs(x), low))
    sign = g * np.tanh(lin / 1e-4) + h * np.cos(np.pi * (np.abs(O) @ (x < 0)))
    log = softplus(limit - softplus(limit - log) + limit) - limit
    return sign * np.clip(g * np.sqrt(lin**2 + 1e-8) + h * np.exp(log), low, high)


def eql(p, x, outputs):
    n, z = outputs // 4, p["W"] @ x + p["b"]
    ends = np.cumsum([outputs - 3 * n, n, n, n])
    own, to_sin, to_cos, one, other = np.split(z, ends)
    return np.concatenate([own, np.sin(to_sin), np.cos(to_cos), one * other])


def eql_division(p, x, outputs, theta):
    a, c = np.split(p["W"] @ x + p["b"], [outputs])
    return np.where(c > theta, a / c, 0)


def mcfc(p, x, outputs):
    P = np.exp(p["Q"]) / np.exp(p["Q"]).sum(0)
    return (sigmoid(p["w"] + p["b"]) * (P @ x))[:outputs]


def signed_mcfc(p, x, outputs):
    P = np.exp(p["Q"]) / np.exp(p["Q"]).sum(0)
    sign = np.cos(np.pi * P @ (np.clip(p["g"], 0, 1) * (x < 0))) if "g" in p else chosen(P, np.sign(x))
    return np.exp(mcfc(p, np.log(np.abs(x)), outputs) + p["c"]) * sign


def dense(p, x):
    return p["W"] @ x + p["b"]


def rational(z, p):
    below = sum(b * z**k for k, b in enumerate(p["q"][0], start=1))
    return sum(a * z**j for j, a in enumerate(p["p"][0])) / (1 + abs(below))


def monomials(x):
    i, j = np.triu_indices(len(x))
    return np.concatenate([x, x[i] * x[j]])


GATES = {
    "identity": lambda z: z,
    "sigmoid": sigmoid,
    "relu": lambda z: np.maximum(z, 0),
    "silu": lambda z: z * sigmoid(z),
}


def glu(p, x, f):
    return p["D"] @ (GATES[f](p["G"] @ x + p["g"]) * (p["U"] @ x + p["u"])) + p["d"]


def kan(p, x, o):
    """The B-splines by the recursion of Cox and de Boor, on four intervals of [-5, 3] and three more on each side."""
    knots = np.arange(-5 - 3 * 2, 3 + 3 * 2 + 1, 2.0)
    bells = [BSpline.basis_element(knots[k : k + 5], extrapolate=False) for k in range(7)]
    B = np.nan_to_num(np.stack([bell(x) for bell in bells]))  # [k, in, point]
    z = (x + 1) / 4
    c = p["c"].reshape(o, len(x), 7) * p["w_s"][..., None]
    return p["w_b"] @ (z * sigmoid(z)) + np.einsum("oik,kip->op", c, B)


FORMULAS = {
    "Dense-snake": lambda p, x, o: (z := dense(p, x)) + np.sin(2 * z) ** 2 / 2,
    "Dense-rational": lambda p, x, o: rational(dense(p, x), p),
    "PowerLaw": lambda p, x, o: np.exp(p["b"]) * each(p["W"], lambda w, i: np.abs(x[i]) ** w),
    "Monomials": lambda p, x, o: dense(p, monomials(x)),
    **{f"GLU-{f}": lambda p, x, o, f=f: glu(p, x, f) for f in GATES},
    "KAN": kan,
    "NALUSeparate": lambda p, x, o: nalu(p, x, "_m"),
    "GNALU": lambda p, x, o: nalu(p, x, scale=math.log((1 + math.sqrt(5)) / 2)),
    "NALU-vector": lambda p, x, o: nalu(p, x),
    "NALU-scalar": lambda p, x, o: nalu(p, x, gate=sigmoid(p["G"])),
    "NALU-two": lambda p, x, o: (
        sigmoid(p["G"] @ x) * (nac_weights(p) @ x)
        + sigmoid(p["G_m"] @ x) * np.exp(nac_weights(p) @ np.log(np.abs(x) + 1e-7))
    ),
    "NALU-safe": lambda p, x, o: nalu(p, x, logs=np.log(np.abs(x - 1) + 1)),
    "NALU-max-safe": lambda p, x, o: nalu(p, x, logs=np.log(np.maximum(x - 1, 0) + 1)),
    "NALU-asinh": lambda p, x, o: (
        (g := sigmoid(p["G"] @ x)) * (nac_weights(p) @ x) + (1 - g) * np.sinh(nac_weights(p) @ np.arcsinh(x))
    ),
    "NALUIG": lambda p, x, o: nalu(p, x, gate=sigmoid(p["G"]), logs=np.log(np.abs(x) + 1e-10)),
    "NALU2MIG": lambda p, x, o: nalu(p, x, "_m", gate=sigmoid(p["G"]), logs=np.log(np.abs(x) + 1e-10)),
    "SNALU": lambda p, x, o: snalu(p, x),
    "INALU": lambda p, x, o: inalu(p, x),
    "INALU-shared": lambda p, x, o: inalu(p, x),
    "INALU-matrix": lambda p, x, o: inalu(p, x, p["g"] @ x),
    "NACSigma": lambda p, x, o: np.exp(sigmoid(p["W_hat"]) @ np.log(np.abs(x) + 1e-7)),
    "NACNMU": lambda p, x, o: np.exp(p["W"] @ np.log(np.abs(x) + 1e-7)),
    "MNAC": lambda p, x, o: chosen(sigmoid(p["W_hat"]), x),
    "GatedNAUNMU": lambda p, x, o: (g := sigmoid(p["G"] @ x)) * (p["A"] @ x) + (1 - g) * chosen(p["M"], x),
    "SNMU": lambda p, x, o: chosen(p["W"], x),
    "NPU": lambda p, x, o: npu(p, x),
    "NPU-naive": lambda p, x, o: npu(p, x),
    "RealNPU": lambda p, x, o: npu(p, x),
    "NRU": lambda p, x, o: nru(p, x),
    "NMRU": lambda p, x, o: nmru(p, x),
    "ProductUnit": lambda p, x, o: complex_power(p["W"], x),
    "HillSpaceAdd": lambda p, x, o: snapped_weights(p) @ x,
    "HillSpaceExp": lambda p, x, o: complex_power(snapped_weights(p), x),
    "DMU": lambda p, x, o: dmu(p, x, np.tanh(p["S"]) * softplus(p["M"]), False),
    "DMU-training": lambda p, x, o: dmu(p, x, np.tanh(p["S"]) * softplus(p["M"]), True),
    "DMU-sum": lambda p, x, o: dmu(p, x, np.ones((o, len(x))), True),
    "DMU-difference": lambda p, x, o: dmu(p, x, np.outer(np.ones(o), [1.0] * (len(x) - 1) + [-1.0]), False),
    "EQL": eql,
    "EQLDivision": lambda p, x, o: eql_division(p, x, o, 1e-4),
    "MCFC": mcfc,
    "MCFC-trash": mcfc,
    "MulMCFC": lambda p, x, o: np.exp(mcfc(p, np.log(x), o) + p["c"]),
    "MulMCFC-inalu": signed_mcfc,
    "MulMCFC-real-npu": signed_mcfc,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_unit_is_its_formula(name):
    for size, outputs in itertools.product([1, 2, 3, 10], [1, 9]):
        unit, arrays = filled(UNITS[name](size, outputs), scale=0.5)
        x = inputs(size)
        x = np.abs(x) if name == "MulMCFC" else x
        # What cancels in a sum is lost of the answer's digits: 1e-12 of the whole output.
        expected = FORMULAS[name](arrays, x, outputs)
        near = pytest.approx(expected, rel=1e-12, abs=1e-12 * max(1.0, np.abs(expected).max()))
        assert output(unit, x) == near, (size, outputs)


def test_a_division_is_learned_from_divisors_above_theta_and_the_others_are_penalised():
    unit = EQLDivision(1, 1, theta=0.5).double()
    unit.load_state_dict({"W": torch.tensor([[0.0], [1.0]]), "b": torch.tensor([[1.0], [0.0]])})
    x = torch.tensor([[0.4, 0.6, -0.1, 0.0]]).double()
    y = unit(x)
    assert y[0].tolist() == [0.0, 1 / x[0, 1].item(), 0.0, 0.0]
    y.sum().backward()
    assert unit.W.grad[1, 0].item() == pytest.approx(-1 / 0.6)  # d(1/wx)/dw of the second example alone
    assert unit.penalty("division", x).item() == pytest.approx((0.1 + 0.6 + 0.5) / 4)
    assert unit.penalty("l1", x) == unit.regularizer("l1")
    assert unit.eval()(x)[0, 0].item() == pytest.approx(2.5)


@pytest.mark.parametrize("operation", ["mul", "square"])
def test_an_equation_learners_layer_multiplies_with_its_last_output(operation):
    unit = EQL(2 if operation == "mul" else 1, 9).double()
    unit.load_state_dict(unit.ideal(operation, "mixed"))
    x = inputs(unit.inputs)
    assert output(unit, x)[-1] == pytest.approx(x[0] * x[-1])


def test_hill_space_weights_snap_near_saturation_and_only_there():
    unit = HillSpaceAdd(5, 1).double()
    unit.load_state_dict({
        "W_hat": torch.tensor([[7.3, 7.2, -7.3, 7.3, 7.3]]), "M_hat": torch.tensor([[13.9, 13.9, 13.9, -13.9, 13.8]])
    })  # fmt: skip
    whole = [1.0, math.tanh(7.2), -1.0, 0.0, sigmoid(13.8)]
    assert unit.W.detach().numpy()[0] == pytest.approx(whole, rel=1e-7) and unit.W[0, 4] < 1 - 1e-7
    assert unit.W[0, [0, 2, 3]].tolist() == [1.0, -1.0, 0.0]


def test_a_power_of_zero_is_what_it_is_and_lets_training_go_on():
    W = torch.tensor([[0.0, 1.0, 2.0]]).requires_grad_()
    x = torch.tensor([[0.0, 3.0], [-2.0, -2.0], [5.0, 0.0]])
    y = power(W, x)
    assert y.tolist() == [[-50.0, 0.0]]
    y.sum().backward()
    assert W.grad.isfinite().all() and W.grad[0, 0] == 0


def test_an_nru_in_training_takes_every_weight_that_is_not_zero_for_whole():
    unit, arrays = filled(NRU(3, 2), scale=0.5)
    x = inputs(3)
    u = np.tanh(1000 * arrays["W"]) ** 2
    expected = [np.prod([np.sign(x[i]) * np.abs(x[i]) ** w[i] * u[o, i] + 1 - u[o, i] for i in range(3)], axis=0)
                for o, w in enumerate(arrays["W"])]  # fmt: skip
    assert output(unit, x) == pytest.approx(np.array(expected), rel=1e-9)


def test_an_nru_with_a_separate_sign_rounds_its_weights_for_it():
    unit, arrays = filled(NRU(3, 2, separate_sign=True).eval(), scale=0.5)
    x, W = inputs(3), arrays["W"]
    magnitude = each(W, lambda w, i: np.abs(x[i]) ** w * abs(w) + 1 - abs(w))
    assert output(unit, x) == pytest.approx(
        magnitude * each(W, lambda w, i: np.sign(x[i]) ** abs(np.round(w))), rel=1e-9
    )


def test_an_nmru_in_training_keeps_the_reciprocal_finite():
    unit = NMRU(1, 1)
    unit.W.data = torch.tensor([[0.0, 1.0]])
    assert unit(torch.tensor([[0.0]])).item() == 2.0**23
    assert unit.eval()(torch.tensor([[0.0]])).item() != 2.0**23
    assert output(NMRU(2, 1, sign=False).eval(), np.ones((2, 4), dtype=np.float32)) == pytest.approx(np.ones((1, 4)))


@pytest.mark.parametrize("batch", [False, True])
def test_an_snmus_noise_cancels_where_its_weights_are_whole(batch):
    unit = SNMU(3, 1, batch=batch).double()
    noise, x = torch.rand(3, 50, dtype=torch.float64), torch.tensor(inputs(3, 50))
    unit.W.data = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    assert torch.allclose(unit(x, noise), unit(x), rtol=1e-12)
    unit.W.data = torch.tensor([[0.5, 0.2, 0.7]], dtype=torch.float64)
    n = (1 + noise / x.std() if batch else 1 + 4 * noise).numpy()
    W = unit.W.data.numpy()
    assert unit(x, noise).detach().numpy() == pytest.approx(chosen(W, x.numpy() * n) / chosen(W, n), rel=1e-12)


def test_regularizers_of_a_units_own():
    unit, p = filled(INALU(3, 2), scale=15.0)
    expected = sum(np.maximum(np.minimum(v, -v) + 20, 0).mean() for v in p.values())
    assert unit.regularizer("saturation").item() == pytest.approx(expected)
    unit, p = filled(NPU(3, 2, imaginary=False, modified=True))
    gates = np.minimum(np.abs(p["g"]), np.abs(1 - np.abs(p["g"]))).mean()
    assert unit.regularizer("sparsity").item() == pytest.approx(np.abs(1 - np.abs(p["W_r"])).mean() + gates)
    unit, p = filled(MulMCFC(3, 2, sign="real_npu"))
    assert unit.regularizer("saturation").item() == pytest.approx(-sum((p[name] ** 2).mean() for name in "Qwb"))
    assert unit.regularizer("gate").item() == pytest.approx(np.minimum(np.abs(p["g"]), np.abs(1 - p["g"])).mean())
    with pytest.raises(ValueError, match="no regularizer 'gate'"):
        NAU(2, 1).regularizer("gate")


@pytest.mark.parametrize("epsilon", [1e-7, 0.1])
@pytest.mark.parametrize(("size", "outputs"), SIZES)
def test_a_multiplicative_nac_is_its_formula(size, outputs, epsilon):
    unit, p = filled(NACMul(size, outputs, epsilon=epsilon))
    x = inputs(size)
    W = np.tanh(p["W_hat"]) * sigmoid(p["M_hat"])
    expected = np.prod((np.abs(x) + epsilon)[None] ** W[:, :, None], axis=1)
    assert output(unit, x) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("gate_bias", [False, True])
@pytest.mark.parametrize("epsilon", [1e-7, 0.1])
@pytest.mark.parametrize(("size", "outputs"), SIZES)
def test_a_nalu_is_its_formula(size, outputs, epsilon, gate_bias):
    unit, p = filled(NALU(size, outputs, epsilon=epsilon, gate_bias=gate_bias), scale=0.5)
    assert set(p) == {"W_hat", "M_hat", "G"} | ({"b"} if gate_bias else set())
    x = inputs(size)
    W = np.tanh(p["W_hat"]) * sigmoid(p["M_hat"])
    g = sigmoid(p["G"] @ x + p.get("b", 0))
    m = np.prod((np.abs(x) + epsilon)[None] ** W[:, :, None], axis=1)
    assert output(unit, x) == pytest.approx(g * (W @ x) + (1 - g) * m, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("unit", [NACMul, NALU])
def test_epsilon_is_that_of_the_papers_code_unless_told_otherwise(unit):
    assert unit(2, 1).epsilon == 1e-7


@pytest.mark.parametrize("unit", [NAC, NACMul, NALU])
def test_weights_follow_the_parameters(unit):
    layer, _ = filled(unit(3, 2), seed=0)
    x, before = inputs(3), output(layer, inputs(3))
    with torch.no_grad():
        layer.W_hat += 0.5
    between = output(layer, x)
    with torch.no_grad():
        layer.M_hat -= 0.5
    assert not np.isclose(before, between, rtol=1e-6).any()
    assert not np.isclose(between, output(layer, x), rtol=1e-6).any()
    W = np.tanh(layer.W_hat.detach().numpy()) * sigmoid(layer.M_hat.detach().numpy())
    assert layer.effective_weights()[0].detach().numpy() == pytest.approx(W, rel=1e-12)


@pytest.mark.parametrize(("name", "effective"), [("Dense", 1), ("NAC", 1), ("NACMul", 1), ("NALU", 1)])
def test_effective_weights_are_matrices_without_biases_and_gates(name, effective):
    unit, p = filled(UNITS[name](3, 2))
    weights = unit.effective_weights()
    assert len(weights) == effective
    W = p["W"] if "W" in p else np.tanh(p["W_hat"]) * sigmoid(p["M_hat"])
    assert weights[0].detach().numpy() == pytest.approx(W, rel=1e-12)


@pytest.mark.parametrize(
    ("size", "outputs", "published"),
    # Mistry et al.'s code inherits Madsen & Johansen's initialisation, which gives these bounds.
    [(2, 1, 9.47), (4, 2, 5.43), (10, 1, 2.26), (100, 2, 0.504)],
)
def test_the_stable_bound_is_the_published_one(size, outputs, published):
    assert stable_bound(size, outputs) == pytest.approx(published, rel=2e-3)


@pytest.mark.parametrize(("size", "outputs"), [(1, 1), (2, 1), (4, 2), (10, 1), (100, 2), (300, 10)])
def test_the_stable_bound_gives_its_variance(size, outputs):
    r = stable_bound(size, outputs)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    mean = lambda f: np.dot(weights, f(r * nodes)) / 2
    tanh, square = mean(np.tanh), mean(lambda u: np.tanh(u) ** 2)
    variance = square * mean(lambda u: sigmoid(u) ** 2) - (tanh * mean(sigmoid)) ** 2
    assert variance == pytest.approx(2 / max(size + outputs, 5), rel=1e-9)


def test_the_stable_bound_gives_the_variance_that_weights_have():
    unit = NAC(10, 1, "stable_nalu")
    start = unit.initial(Draw(torch.arange(20_000)))
    W = torch.tanh(start["W_hat"]) * torch.sigmoid(start["M_hat"])
    assert W.mean().item() == pytest.approx(0, abs=0.005)
    assert W.var().item() == pytest.approx(2 / 11, rel=0.01)


@pytest.mark.parametrize("name", UNITS)
def test_initial_values_are_given_for_every_parameter_in_its_shape(name):
    unit = UNITS[name](3, 2)
    start = unit.initial(Draw(torch.arange(4)))
    assert {key: tuple(value.shape) for key, value in start.items()} == {
        key: (4, *p.shape) for key, p in unit.named_parameters()
    }
    assert all(value.dtype == torch.float64 for value in start.values())


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


INITIALISATIONS = [
    (lambda: Dense(4, 3), {"W": uniform(0.5), "b": uniform(0.5)}),
    (lambda: Dense(100, 1), {"W": uniform(0.1), "b": uniform(0.1)}),
    *(
        (lambda unit=unit, i=i: unit(2, 1, i), dict.fromkeys(names, law))
        for unit, names in [(NAC, ["W_hat", "M_hat"]), (NACMul, ["W_hat", "M_hat"]), (NALU, ["W_hat", "M_hat", "G"])]
        for i, law in [("tutorial_normal", stats.truncnorm(-2, 2, scale=0.02)), ("tutorial_uniform", uniform(2))]
    ),
    (lambda: NAU(2, 1), {"W": uniform(0.5)}),
    (lambda: NAU(100, 20), {"W": uniform(math.sqrt(6 / 120))}),
    *(
        (
            lambda i=i: INALU(2, 1, initialisation=i),
            {
                "W_hat": stats.norm(w, sd),
                "W_hat_m": stats.norm(w, sd),
                "M_hat": stats.norm(m, sd),
                "M_hat_m": stats.norm(m, sd),
                "g": stats.norm(0, sd),
            },
        )
        for i, w, m, sd in [("experiments", 1, -1, 0.1), ("module", 0.88, 0.5, 0.2)]
    ),
    (lambda: NACSigma(5, 3), {"W_hat": stats.norm(0, 0.5)}),
    (lambda: NACNMU(2, 1), {"W": stats.uniform(0.25, 0.5)}),
    (lambda: MNAC(2, 1), {"W_hat": uniform(math.sqrt(3) / 2)}),
    (lambda: SNALU(2, 1), {"W_hat": uniform(math.sqrt(2)), "M_hat": uniform(math.sqrt(2)), "G": uniform(math.sqrt(3))}),
    (lambda: GatedNAUNMU(2, 1), {"A": uniform(0.5), "M": stats.uniform(0.25, 0.5), "G": uniform(math.sqrt(2))}),
    (lambda: NPU(100, 20, modified=True, gate=False, imaginary=False), {"W_r": uniform(math.sqrt(6 / 120))}),
    (lambda: NPU(2, 1, modified=True, gate=False, imaginary=False), {"W_r": uniform(0.5)}),
    (lambda: NPU(2, 1, gate=False, imaginary=False), {"W_r": uniform(math.sqrt(2))}),
    (lambda: NRU(2, 1), {"W": uniform(0.5)}),
    (lambda: EQL(4, 5), {"W": uniform(0.5), "b": uniform(0.5)}),
    (lambda: DMU(2, 1), dict.fromkeys("GH", uniform(math.sqrt(1.5))) | dict.fromkeys("SM", uniform(math.sqrt(2)))),
    (lambda: ProductUnit(2, 1), {"W": uniform(math.sqrt(2))}),
    (lambda: HillSpaceExp(2, 1, start=0.02), dict.fromkeys(["W_hat", "M_hat"], stats.norm(0, 0.02))),
    (lambda: NMRU(2, 1), {"W": stats.uniform(0.25, 0.5)}),
    (lambda: SNMU(2, 1), {"W": stats.uniform(0.25, 0.5)}),
    (lambda: NMU(2, 1), {"W": stats.uniform(0.25, 0.5)}),
    (lambda: NMU(2, 1, "heim2020_simple"), {"W": stats.uniform(0, 1)}),
    (lambda: NMU(2, 1, "heim2020_large"), {"W": stats.uniform(0, 0.1)}),
    (lambda: NPU(2, 1, initialisation="heim2020_large"), {"W_r": stats.uniform(0, 0.1)}),
    (lambda: Dense(2, 1, initialisation="heim2020_large"), {"W": stats.uniform(0, 0.1)}),
    (
        lambda: NALU(2, 1, "heim2020_large", gate_bias=True),
        dict.fromkeys(["W_hat", "M_hat", "G"], stats.uniform(0, 0.1)),
    ),
    (lambda: NAC(2, 1, "stable_nalu"), dict.fromkeys(["W_hat", "M_hat"], uniform(stable_bound(2, 1)))),
    (lambda: NACMul(10, 1, "stable_nalu"), dict.fromkeys(["W_hat", "M_hat"], uniform(stable_bound(10, 1)))),
    (
        lambda: NALU(10, 2, "stable_nalu"),
        dict.fromkeys(["W_hat", "M_hat"], uniform(stable_bound(10, 2))) | {"G": uniform(math.sqrt(0.5))},
    ),
]


@pytest.mark.parametrize(("make", "laws"), INITIALISATIONS)
def test_initial_values_have_the_law_of_their_initialisation(make, laws):
    start = make().initial(Draw(torch.arange(2000)))
    assert {name for name, values in start.items() if values.std() > 0} == set(laws)
    for name, law in laws.items():
        values = start[name].flatten().numpy()
        low, high = law.support()
        if np.isfinite(high - low):
            assert low < values.min() < low + 0.02 * (high - low)
            assert high - 0.02 * (high - low) < values.max() < high
        assert values.std() == pytest.approx(law.std(), rel=0.04)
        assert stats.kstest(values, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("make", [make for make, laws in INITIALISATIONS if len(laws) > 1])
def test_the_parameters_of_a_unit_start_independently(make):
    start = make().initial(Draw(torch.arange(3000)))
    first = np.array([value.flatten(1)[:, 0].numpy() for value in start.values() if value.std() > 0])
    r = np.corrcoef(first)[np.triu_indices(len(first), 1)]
    assert np.abs(r).max() < 4.5 / math.sqrt(3000)


def test_an_npus_gates_start_half_open_or_open():
    for initialisation, opened in (("xavier", 0.5), ("heim2020_large", 1.0)):
        start = NPU(3, 1, initialisation=initialisation).initial(Draw(torch.arange(2)))
        assert (start["g"] == opened).all() and (start["W_i"] == 0).all()


def test_an_nmu_clamped_within_computes_with_clamped_weights_and_learns_none_of_those_beyond():
    unit, x = NMU(3, 1, clamp_within=True), torch.tensor([[2.0], [3.0], [5.0]])
    assert unit.bounds == {} and NMU(3, 1).bounds == {"W": (0.0, 1.0)}
    unit.W.data = torch.tensor([[1.5, -0.5, 0.5]])
    y = unit(x)
    assert y.item() == 2.0 * 1.0 * 3.0
    y.backward()
    assert unit.W.grad.tolist() == [[0.0, 0.0, 2.0 * 4.0]]


@pytest.mark.parametrize("initialisation", ["tutorial_normal", "tutorial_uniform", "stable_nalu"])
def test_a_gates_bias_starts_at_zero_and_leaves_the_other_parameters_as_they_are(initialisation):
    start = NALU(2, 1, initialisation, gate_bias=True).initial(Draw(torch.arange(5)))
    assert (start.pop("b") == 0).all()
    for name, value in NALU(2, 1, initialisation).initial(Draw(torch.arange(5))).items():
        assert torch.equal(start[name], value)


def test_a_power_units_gates_start_half_open_and_its_imaginary_weights_at_zero():
    start = NPU(3, 2).initial(Draw(torch.arange(4)))
    assert (start["g"] == 0.5).all() and (start["W_i"] == 0).all()


@pytest.mark.parametrize(("size", "outputs", "trash"), [(1, 1, False), (2, 1, True), (3, 3, False)])
def test_a_square_mass_conserving_layer_starts_with_the_identity(size, outputs, trash):
    Q = MCFC(size, outputs, trash).initial(Draw(torch.arange(4)))["Q"]
    assert torch.equal(Q, torch.eye(size).double().expand(4, -1, -1))


@pytest.mark.parametrize(("size", "outputs"), [(2, 1), (5, 3), (3, 5)])
def test_other_mass_conserving_layers_start_orthogonal(size, outputs):
    start = MCFC(size, outputs).initial(Draw(torch.arange(4000)))
    Q = start["Q"] if outputs <= size else start["Q"].mT
    eye = torch.eye(min(size, outputs)).double().expand(4000, -1, -1)
    assert torch.allclose(Q @ Q.mT, eye, atol=1e-12)
    assert Q.mean((0, 1)).abs().max() < 0.05  # no direction is preferred
    assert torch.allclose(start["w"].square().sum((-2, -1)), torch.ones(4000).double())
    assert (start["b"] == 0).all()


@pytest.mark.parametrize("gate", ["matrix", "vector", "scalar", "constant", "two"])
@pytest.mark.parametrize(("operation", "sign"), [("add", "positive"), ("mul", "negative"), ("identity", "mixed")])
def test_every_gate_form_computes_with_its_ideal_weights(gate, operation, sign):
    unit = NALU(1 if operation == "identity" else 2, 1, gate=gate).double()
    unit.load_state_dict(unit.ideal(operation, sign))
    low, high = {"positive": (1, 5), "negative": (-5, -1), "mixed": (-5, 5)}[sign]
    x = np.random.default_rng(0).uniform(low, high, (unit.inputs, 200))
    expected = {"add": x.sum(0), "mul": x.prod(0), "identity": x[0]}[operation]
    assert output(unit, x)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{"gate": "wide"}, {"logarithm": "log2"}, {"gate": "two", "gate_bias": True}])
def test_gates_and_logarithms_that_there_are_not_are_refused(options):
    with pytest.raises(ValueError, match="gate"):
        NALU(2, 1, **options)


def test_a_learned_slope_starts_at_a_quarter():
    assert (Dense(2, 3, "prelu").initial(Draw(torch.arange(5)))["slope"] == 0.25).all()


@pytest.mark.parametrize("unit", [NAC, NACMul, NALU])
def test_an_unknown_initialisation_is_refused_with_those_there_are(unit):
    with pytest.raises(ValueError, match="tutorial_normal, tutorial_uniform, stable_nalu"):
        unit(2, 1, "xavier")


@pytest.mark.parametrize("name", UNITS)
def test_replicas_of_a_unit_equal_single_ones_to_rounding(name):
    for (size, outputs), dtype in itertools.product(SIZES, [torch.float32, torch.float64]):
        unit = UNITS[name](size, outputs).to(dtype)
        stacked = {key: value.to(dtype) for key, value in unit.initial(Draw(torch.arange(6))).items()}
        x = torch.tensor(np.random.default_rng(0).uniform(-2, 2, (6, size, 13)), dtype=dtype)
        x = x.abs() if name == "MulMCFC" else x
        together = functional_call(unit, stacked, (x,))
        assert together.shape == (6, outputs, 13)
        assert together.dtype == dtype
        deeper = {key: value.unflatten(0, (2, 3)) for key, value in stacked.items()}
        assert torch.equal(functional_call(unit, deeper, (x.unflatten(0, (2, 3)),)), together.unflatten(0, (2, 3)))
        for r in (0, 5):
            alone = functional_call(unit, {key: value[r] for key, value in stacked.items()}, (x[r],))
            assert torch.allclose(alone, together[r], rtol=1e-5 if dtype is torch.float32 else 1e-13, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", UNITS)
def test_a_replica_is_the_same_bit_for_bit_in_any_full_company(name, dtype):
    unit = UNITS[name](2, 3).to(dtype)
    stacked = {key: value.to(dtype) for key, value in unit.initial(Draw(torch.arange(64))).items()}
    x = torch.tensor(np.random.default_rng(0).uniform(-2, 2, (64, 2, 13)), dtype=dtype)
    x = x.abs() if name == "MulMCFC" else x
    together = functional_call(unit, stacked, (x,))
    for r in (0, 17, 63):
        copies = {key: value[[r] * 32] for key, value in stacked.items()}
        assert torch.equal(functional_call(unit, copies, (x[[r] * 32],))[0], together[r])


def test_nalu_multiplies_exactly_with_its_ideal_weights():
    unit = NALU(2, 1).double()
    unit.load_state_dict(unit.ideal("mul", "positive"))
    x = np.array([[2.0, 3.0, 10.0], [5.0, 0.5, 7.0]])
    assert output(unit, x)[0] == pytest.approx([10, 1.5, 70], rel=5e-7)


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        (Dense(2, 1), "a linear map can only add and subtract"),
        (NAC(2, 1), "W x can only add and subtract"),
        (NACMul(2, 1), "log |x| loses the sign of x"),
        (NALU(2, 1), "log |x| loses the sign of x, and a gate without bias"),
    ],
)
def test_a_product_of_both_signs_is_impossible_for_a_reason(unit, reason):
    declared = unit.ideal("mul", "mixed")
    assert isinstance(declared, Impossible)
    assert declared.why.startswith(reason)


def test_a_layer_with_an_activation_declares_nothing():
    assert Dense(2, 1, "relu").ideal("add", "positive") is None


POWERS = {"mul": "+-±", "div": "+-±", "sqrt": "+", "identity": "+-±", "reciprocal": "+-±"}
QUADRATIC = {"add": "+-±", "sub": "+-±", "mul": "+-±", "square": "+-±", "identity": "+-±"}
ANY_SIGN = POWERS | {"add": "+-±", "sub": "+-±"}
REPRESENTED = {
    # Rows of the table of what one layer can represent, with its corrections: "+" positive, "-" negative, "±" mixed.
    "Dense": {"add": "+-±", "sub": "+-±", "identity": "+-±"},
    "NAC": {"add": "+-±", "sub": "+-±", "identity": "+-±"},
    "NAU": {"add": "+-±", "sub": "+-±", "identity": "+-±"},
    "NMU": {"mul": "+-±", "identity": "+-±"},
    "NALU-scalar": {
        "add": "+-±", "sub": "+-±", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"
    },
    "NALU-asinh": {"add": "+-", "sub": "+-", "identity": "+-±"},
    "NALUIG": {
        "add": "+-±", "sub": "+-±", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"
    },
    "NALU2MIG": {
        "add": "+-±", "sub": "+-±", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"
    },
    "NALU-two": {"add": "+-", "sub": "+-", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"},
    "NALU-safe": {"add": "+-", "sub": "+-", "identity": "+-"},
    "NALUSeparate": {
        "add": "+-", "sub": "+-", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"
    },
    "GNALU": {"add": "+-", "sub": "+-", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"},
    "SNALU": ANY_SIGN, "INALU": ANY_SIGN, "INALU-shared": ANY_SIGN,
    "NACSigma": {"mul": "+-", "sqrt": "+", "identity": "+"},
    "NACNMU": {"mul": "+-", "sqrt": "+", "identity": "+"},
    "MNAC": {"mul": "+-±", "identity": "+-±"},
    "SNMU": {"mul": "+-±", "identity": "+-±"},
    "GatedNAUNMU": {"add": "+-", "sub": "+-", "mul": "+-", "identity": "+-±"},
    "NPU": POWERS | {"square": "+-±"}, "NPU-naive": POWERS | {"square": "+-±"}, "RealNPU": POWERS | {"square": "+-±"},
    "RealNPU-modified": POWERS,
    "ProductUnit": POWERS | {"square": "+-±"},
    "HillSpaceAdd": {"add": "+-±", "sub": "+-±", "identity": "+-±"},
    "HillSpaceExp": POWERS,
    "EQL": {"add": "+-±", "sub": "+-±", "identity": "+-±"},
    "EQLDivision": {"add": "+-±", "sub": "+-±", "div": "+-", "identity": "+-±", "reciprocal": "+-"},
    "DMU": {name: "+-±" for name in ("add", "sub", "mul", "div", "identity", "reciprocal")},
    "DMU-sum": {name: "+-±" for name in ("add", "mul", "identity")},
    "DMU-difference": {name: "+-±" for name in ("sub", "div", "reciprocal")},
    "NRU": {"mul": "+-±", "div": "+-±", "identity": "+-±", "reciprocal": "+-±"},
    "NMRU": {"mul": "+-±", "div": "+-±", "identity": "+-±", "reciprocal": "+-±"},
    "MCFC": {"add": "+-±", "identity": "+-±"},
    "MCFC-trash": {"add": "+-±", "identity": "+-±"},
    "MulMCFC": {"mul": "+", "sqrt": "+", "identity": "+"},
    "MulMCFC-inalu": {"mul": "+-±", "sqrt": "+", "identity": "+-±"},
    "MulMCFC-real-npu": {"mul": "+-±", "sqrt": "+", "identity": "+-±"},
    "NACMul": {"mul": "+-", "div": "+-", "sqrt": "+", "identity": "+", "reciprocal": "+"},
    "NALU": {
        "add": "+-", "sub": "+-", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"
    },
    "PowerLaw": {
        "mul": "+-", "div": "+-", "square": "+-±", "sqrt": "+", "identity": "+", "reciprocal": "+"
    },
    "Monomials": QUADRATIC, "GLU-identity": QUADRATIC, "GLU-relu": QUADRATIC, "GLU-silu": QUADRATIC,
    "GLU-sigmoid": {"add": "+-±", "sub": "+-±", "identity": "+-±"},
    "NALU-gate-bias": {
        "add": "+-±", "sub": "+-±", "mul": "+-", "div": "+-", "sqrt": "+", "identity": "+-±", "reciprocal": "+"
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REPRESENTED)
def test_units_represent_what_the_field_says_they_do(name):
    signs = {"+": "positive", "-": "negative", "±": "mixed"}
    for operation in ("add", "sub", "mul", "div", "square", "sqrt", "identity", "reciprocal"):
        unit = UNITS[name](2 if operation in ("add", "sub", "mul", "div") else 1, 1)
        can = {mark for mark, sign in signs.items() if isinstance(unit.ideal(operation, sign), dict)}
        assert can == set(REPRESENTED[name].get(operation, "")), operation


class Net(nn.Module):
    """An ordinary module with examples in rows, made for `Rows`."""

    def __init__(self, inputs, outputs, width=5, buffered=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, outputs))
        if buffered:
            self.register_buffer("mean", torch.zeros(1))

    def forward(self, x):
        return self.layers(x)


def test_a_row_wise_module_computes_for_each_replica_what_it_computes_alone():
    unit = Rows(3, 2, module=Net, width=7)
    start = {name: value.float() for name, value in unit.initial(Draw(torch.tensor([4, 9]))).items()}
    x = torch.tensor(inputs(3), dtype=torch.float32).expand(2, -1, -1)
    together = functional_call(unit, start, (x,))
    assert together.shape == (2, 2, 13)
    for r in range(2):
        net = Net(3, 2, width=7)
        net.load_state_dict({name.removeprefix("module."): value[r] for name, value in start.items()})
        assert torch.allclose(together[r], net(x[r].T).T, rtol=1e-5, atol=1e-6)
        l1 = sum(parameter.abs().sum() for parameter in net.parameters())
        assert functional_call(L1(unit), {f"unit.{k}": v for k, v in start.items()}, ())[r] == pytest.approx(l1.item())


class L1(nn.Module):
    def __init__(self, unit):
        super().__init__()
        self.unit = unit

    def forward(self):
        return self.unit.regularizer("l1")


def test_a_row_wise_module_starts_as_its_constructor_draws_it_by_the_replicas_own_seed():
    unit = Rows(3, 2, module=Net)
    state = torch.random.get_rng_state()
    alone, together = unit.initial(Draw(torch.tensor([9]))), unit.initial(Draw(torch.tensor([4, 9, 9])))
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in together.items():
        assert torch.equal(value[1], alone[name][0]) and torch.equal(value[1], value[2])
        assert not torch.equal(value[0], value[1])
    assert together["module.layers.0.weight"].abs().max() <= 1 / math.sqrt(3)


def test_a_row_wise_module_is_named_where_it_lacks_a_regularizer():
    with pytest.raises(ValueError, match=r"^Net has no regularizer 'sparsity': of an ordinary module there is l1$"):
        Rows(3, 2, module=Net).regularizer("sparsity")


def test_a_row_wise_module_with_buffers_is_refused():
    with pytest.raises(ValueError, match="buffers"):
        Rows(3, 2, module=Net, buffered=True)
