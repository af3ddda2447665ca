"""The numbers that the tracer records are those that torch computes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import special

from benchmark.training.fused.numbers import Graph, Number, uses
from benchmark.training.fused.trace import NotFusable, Tracer, Watched

BATCH = 5
COMPUTE = {
    **{"neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log, "log1p": np.log1p, "expm1": np.expm1},
    **{"tanh": np.tanh, "sigmoid": special.expit, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "erf": special.erf},
    **{"round": np.rint, "sign": np.sign, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide},
    **{"pow": np.power, "minimum": np.minimum, "maximum": np.maximum, "lt": np.less, "le": np.less_equal},
    **{"gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "where": np.where},
    **{"and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "sum": lambda *terms: sum(terms)},
    "over_lanes": lambda values: values.sum() * np.ones(BATCH),
}


def values(roots: list[Number], arrays: dict[str, np.ndarray]) -> np.ndarray:
    """What numbers are, [root, example]."""
    known = {}
    for number in uses(roots):
        if number.op == "constant":
            known[number] = np.full(BATCH, number.args[0])
        elif number.op == "place":
            known[number] = np.broadcast_to(arrays[number.args[0]][number.args[1]], BATCH)
        else:
            known[number] = COMPUTE[number.op](*(known[arg] for arg in number.args))
    return np.array([known[root] for root in roots], dtype=float)


def loss(function):
    """A function's slopes, as training takes them."""

    def slopes(w, x):
        w = w.detach().requires_grad_()
        return torch.autograd.grad((function(w, x) ** 2).mean(), w)[0]

    return slopes


def written(w, x):
    y = torch.zeros(2, *x.shape[1:], dtype=x.dtype)
    y[0] = x[1] * w[0, 0]
    y[1].copy_(x[2]).mul_(w[1, 1]).add_(1)
    return y


def into_constants(w, x):
    y = torch.full_like(x, 2.0)
    y[1:] *= x[1:] * w[0, :2, None]
    y.sub_(x.exp(), alpha=2)
    return y.addcmul_(torch.ones_like(x).mul_(x), w[:1, 2:])


def put_in_rows(w, x):
    rows = x.mT.clone()
    rows[:, [0, 2]] = (w @ x).mT
    return rows.mT


FUNCTIONS = {
    "a product of matrices": lambda w, x: w @ x,
    "a batch of products": lambda w, x: torch.bmm(w.expand(2, 2, 3), torch.stack([x, x + 1])),
    "a layer in rows": lambda w, x: F.linear(x.mT, w, w[:, 0]).mT,
    "einsum": lambda w, x: torch.einsum("oi,ib->ob", w, x),
    "views": lambda w, x: (w.T.reshape(2, 3).unsqueeze(-1) * x[None]).permute(1, 0, 2).flip(0).flatten(0, 1)[1::2],
    "parts": lambda w, x: torch.cat([x.split([1, 2])[1] * w[0, 1:, None], torch.stack(x.unbind())[:1]]),
    "writing in place": written,
    "writing into constants": into_constants,
    "weighing": lambda w, x: torch.lerp(x, w[0, :, None] * x, torch.sigmoid(x * w[1, :, None])),
    "picking": lambda w, x: x[torch.tensor([2, 0])] * w[:, [1]] + x.index_select(0, torch.tensor([1])),
    "picking in rows": lambda w, x: (x.mT[:, [2, 0, 2]] * x.mT[:, torch.tensor([[0, 1, 1]])].sum(1) @ w.mT).mT,
    "adding in places": lambda w, x: (
        torch.zeros_like(x).index_add(0, torch.tensor([1, 1, 0]), x * w[:1].mT, alpha=2) + x
    ),
    "putting in rows": put_in_rows,
    "padding": lambda w, x: F.pad(x, (0, 0, 1, 2), value=3.0) * w[0, 0],
    "reductions": lambda w, x: x.sum(0) * w.mean() + x.mean() - w.amax(-1).sum() + x.amin(0) + w.prod(-1).sum(),
    "deviations": lambda w, x: x.std(-1, keepdim=True) + x.var() * w.var(),
    "softmax": lambda w, x: torch.softmax(w, 0) @ torch.softmax(x, 0),
    "log_softmax": lambda w, x: F.log_softmax(w @ x, 0),
    "norms": lambda w, x: F.layer_norm((w @ x).mT, (2,)).mT + w.norm() + F.normalize(w, dim=-1).sum(),
    "nothing": lambda w, x: x + w[:, :0].prod() - x[:0].prod(0) + (w[:0] > 1).all() - (w[:0] > 1).any().double(),
    "not a number": lambda w, x: torch.cat([F.hardshrink(w @ x * math.nan), F.softshrink(w @ x * math.nan)]),
    "comparing": lambda w, x: torch.where((x > 0.4) & ~(x == 1) | (x < 0.1), x, -x) + (x <= w[0, 0]).double(),
    "clamping": lambda w, x: x.clamp(0.2, 0.6) + w.clamp(min=0).sum() + torch.minimum(x, w[0, 1]).clamp(max=0.5),
    "powers": lambda w, x: x**3 + x**-2 + x**0.5 + x**2.5 + 2**x + x.abs() ** w[0, 0].abs() + x.square() + x.rsqrt(),
    "elementary": lambda w, x: x.sin() + (w[0, 0] * x).cos() + x.erf() + x.expm1() + x.log1p() + x.round() + x.sign(),
    "hyperbolic": lambda w, x: (w @ x).asinh() + (w @ x).sinh().cosh() + torch.asinh(x[:2] * w[0, :1] * 1e10),
    "other bases": lambda w, x: x.log2() * w[0, 0] + x.log10() + (w @ x).exp2().sum(0) + x.tan(),
    "whole parts": lambda w, x: sum(getattr(9 * w @ x, name)() for name in ("floor", "ceil", "trunc", "frac")),
    "leftovers": lambda w, x: torch.lerp(x, x * w[0, 0], 0.3) + torch.addcmul(x, x, w[1, 0], value=2) + x.reciprocal(),
    "glu": lambda w, x: F.glu(torch.cat([w @ x, w @ x + 1]), 0),
    "gelu by tanh": lambda w, x: F.gelu(w @ x, approximate="tanh"),
    **{
        name: lambda w, x, name=name: getattr(F, name)(w @ x - 0.2)
        for name in (
            *("relu", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign", "tanhshrink"),
            *("hardtanh", "hardshrink", "softshrink", "leaky_relu", "logsigmoid", "hardswish", "hardsigmoid"),
        )
    },
}


# No gradient, or one that torch rounds to float32, or takes by looking for zeros.
UNSLOPED = {"comparing", "hardsigmoid", "reductions"}


def traced(function):
    """(what the tracer recorded, what torch computes), [element, example] of all elements of the result."""
    generator = np.random.default_rng(0)
    w = torch.tensor(generator.uniform(-1, 1, (2, 3)))
    x = torch.tensor(generator.uniform(0.05, 0.9, (3, BATCH)))
    expected = function(w.clone(), x.clone()).detach()
    tracer = Tracer(Graph(np.float64), BATCH)
    ours, lanes = tracer.given(w.clone(), "state"), tracer.given(x.clone(), "x")
    with tracer, Watched(tracer):
        result = function(ours, lanes)
    numbers, axis = tracer.read(result)
    full = tracer.full(numbers, axis, result.shape)
    found = values(list(full.ravel()), {"state": w.flatten().numpy(), "x": x.numpy()})
    if axis is None:
        return found, expected.reshape(-1, 1).expand(-1, BATCH).numpy()
    return found, expected.movedim(axis, -1).reshape(-1, BATCH).numpy()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_recorded_is_what_torch_computes(name):
    found, expected = traced(FUNCTIONS[name])
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in UNSLOPED])
def test_so_are_its_slopes(name):
    found, expected = traced(loss(FUNCTIONS[name]))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda w, x: x[:, :2], "slice|single examples"),
        (lambda w, x: x.amax(-1), "amax looks for an extreme or a product among the examples"),
        (lambda w, x: x.cumsum(-1), "cumsum"),
        (lambda w, x: x.sort(0).values, "sort is not known"),
        (lambda w, x: x * torch.arange(5.0, dtype=x.dtype), "mul takes another parameter for each example"),
        (lambda w, x: x if w.sum() > 0 else -x, "lets what is computed depend on the numbers"),
        (lambda w, x: w[(w > 0).long()[0]], "indexes by what is computed|turns numbers into int64"),
        (lambda w, x: x.mT @ x, "multiplies examples with examples"),
        (lambda w, x: x.mT[[0, 1]], "picks single examples"),
        (lambda w, x: x.mT[:, [0, 2]][torch.tensor([True, False, True, False, True])], "picks single examples"),
        (lambda w, x: torch.zeros_like(x).index_add(1, torch.arange(BATCH), x), "scatters examples"),
        (lambda w, x: x.mT.index_put((torch.arange(BATCH), torch.zeros(BATCH).long()), w[0, 0]), "scatters examples"),
        (lambda w, x: x.float().double(), "turns numbers into float32"),
        (lambda w, x: x * torch.tensor(w.tolist())[:1, :1], "tolist takes numbers out of torch"),
        (lambda w, x: x + torch.from_numpy(np.abs(w.numpy()))[0, 0], "numpy takes numbers out of torch"),
        (lambda w, x: x + torch.as_tensor(np.asarray(w.detach()))[0, 0], "array takes numbers out of torch"),
        (lambda w, x: x + torch.zeros(2, 3, dtype=torch.int64).copy_(w).sum(), "copy turns numbers into int64"),
        (lambda w, x: torch.div(x, w[0, 0], rounding_mode="floor"), "div is asked for with rounding_mode"),
        (lambda w, x: torch.round(x, decimals=1), "round is asked for with decimals"),
        (lambda w, x: torch.addmm(w[:, :1], w, x, beta=0.5), "addmm weighs its parts"),
        (lambda w, x: torch.dot(x[0], x[1]) + x, "dot multiplies examples with examples"),
        (lambda w, x: torch.mul(x, w[0, 0], out=torch.empty_like(x)), "mul writes into a tensor that it is given"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(function, told):
    with pytest.raises(NotFusable, match=told):
        traced(function)
