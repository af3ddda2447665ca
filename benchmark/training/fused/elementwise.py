"""Torch's elementwise operations, each as a formula of the few that numbers have."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.training.fused.numbers import BINARY, COMPARE, LOGIC, UNARY


class Array:
    """Numbers in formulas: the `trace.Tracer` that records them, and their shadow's part."""

    def __init__(self, tracer: Any, numbers: np.ndarray):
        self.tracer, self.numbers = tracer, numbers


def formula(op: str) -> Callable[..., Any]:
    """An operation of Arrays and numbers, elementwise. Masks and reals turn into each other where that is asked for."""

    def apply(*args: Any) -> Any:
        tracer = next(arg.tracer for arg in args if isinstance(arg, Array))
        lifted: list[Any] = []
        for i, arg in enumerate(args):
            logic = op in LOGIC or (op == "where" and i == 0)
            if isinstance(arg, Array):
                lifted.append(tracer.as_mask(arg.numbers) if logic else tracer.as_real(arg.numbers))
            else:
                lifted.append(bool(arg) if logic else float(arg))
        return Array(tracer, tracer.apply(op, *lifted))

    return apply


absolute, exp, log1p, expm1, tanh, sigmoid, sqrt, erf, sign = map(
    formula, ("abs", "exp", "log1p", "expm1", "tanh", "sigmoid", "sqrt", "erf", "sign")
)
add, sub, mul, div, power, minimum, maximum, where, both = map(
    formula, ("add", "sub", "mul", "div", "pow", "minimum", "maximum", "where", "and")
)
for name, op in {"add": add, "sub": sub, "mul": mul, "truediv": div, "and": both}.items():
    setattr(Array, f"__{name}__", lambda a, b, op=op: op(a, b))
    setattr(Array, f"__r{name}__", lambda a, b, op=op: op(b, a))
for name, op in {name: formula(name) for name in ("lt", "le", "gt", "ge")}.items():
    setattr(Array, f"__{name}__", lambda a, b, op=op: op(a, b))


def _clamp(a: Any, low: Any = None, high: Any = None, min: Any = None, max: Any = None) -> Any:
    low, high = (min if low is None else low), (max if high is None else high)
    a = a if low is None else maximum(a, low)
    return a if high is None else minimum(a, high)


def _power(a: Any, b: Any) -> Any:
    """A few exponents need no logarithm."""
    if not isinstance(b, int | float) or abs(b) not in (0.5, 1, 2, 3, 4):
        return power(a, b)
    square = a * a
    whole = {0.5: sqrt(a), 1: a, 2: square, 3: square * a, 4: square * square}[abs(b)]
    return whole if b > 0 else 1.0 / whole


def _softplus(a: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return where(beta * a > threshold, a, log1p(exp(beta * a)) / beta)


def _asinh(a: Any) -> Any:
    size = absolute(a)
    near = log1p(size + size * size / (1.0 + sqrt(1.0 + size * size)))
    return sign(a) * where(size > 1e9, formula("log")(size) + math.log(2.0), near)


def _floor(a: Any) -> Any:
    near = formula("round")(a)
    return where(near > a, near - 1.0, near)


def _trunc(a: Any) -> Any:
    return sign(a) * _floor(absolute(a))


def _silu_slope(a: Any) -> Any:
    return sigmoid(a) * (1.0 + a * (1.0 - sigmoid(a)))


def _mish_slope(a: Any) -> Any:
    w = tanh(_softplus(a))
    return w + a * sigmoid(a) * (1.0 - w * w)


def _share(a: Any) -> Any:
    """Of a standard normal law, below a."""
    return 0.5 * (1.0 + erf(a * math.sqrt(0.5)))


def _elu_slope(g: Any, alpha: float, scale: float, inner: float, of_result: bool, a: Any) -> Any:
    falling = inner * (a + alpha * scale) if of_result else alpha * scale * inner * exp(inner * a)
    return g * where(a > 0.0, scale, falling)


# Torch's elementwise operations, also those that it could tell by simpler ones but takes a second to load the rules of.
ELEMENTWISE: dict[str, Callable] = {
    **{name: formula(name) for name in (*UNARY, *BINARY, *COMPARE, "where")},
    **{"sgn": sign, "square": lambda a: a * a, "pow": _power, "reciprocal": lambda a: 1.0 / a, "clamp": _clamp},
    "add": lambda a, b, alpha=1: add(a, mul(b, alpha) if alpha != 1 else b),
    "sub": lambda a, b, alpha=1: sub(a, mul(b, alpha) if alpha != 1 else b),
    "rsub": lambda a, b, alpha=1: sub(b, mul(a, alpha)),
    "rsqrt": lambda a: 1.0 / sqrt(a),
    "clamp_min": lambda a, low: maximum(a, low),
    "clamp_max": lambda a, high: minimum(a, high),
    "masked_fill": lambda a, mask, value: where(mask, value, a),
    "addcmul": lambda a, b, c, value=1: a + value * (b * c),
    "addcdiv": lambda a, b, c, value=1: a + value * (b / c),
    "lerp": lambda a, b, weight: a + weight * (b - a),
    "floor": _floor,
    "ceil": lambda a: -1.0 * _floor(-1.0 * a),
    "trunc": _trunc,
    "frac": lambda a: a - _trunc(a),
    "log2": lambda a: formula("log")(a) / math.log(2.0),
    "log10": lambda a: formula("log")(a) / math.log(10.0),
    "exp2": lambda a: power(2.0, a),
    "tan": lambda a: formula("sin")(a) / formula("cos")(a),
    "asinh": _asinh,
    "sinh": lambda a: 0.5 * (expm1(a) - expm1(-1.0 * a)),
    "cosh": lambda a: 0.5 * (exp(a) + exp(-1.0 * a)),
    "isnan": lambda a: formula("ne")(a, a),
    **{name: formula("and") for name in ("logical_and", "bitwise_and", "__and__")},
    **{name: formula("or") for name in ("logical_or", "bitwise_or", "__or__")},
    **{name: formula("not") for name in ("logical_not", "bitwise_not")},
    "tanh_backward": lambda g, y: g * (1.0 - y * y),
    "sigmoid_backward": lambda g, y: g * (y * (1.0 - y)),
    "relu": lambda a: maximum(a, 0.0),
    "threshold": lambda a, level, value: where(a <= level, value, a),
    "threshold_backward": lambda g, a, level: where(a <= level, 0.0, g),
    "hardtanh": lambda a, low=-1.0, high=1.0: _clamp(a, low, high),
    "hardtanh_backward": lambda g, a, low, high: where((a > low) & (a < high), g, 0.0),
    "leaky_relu": lambda a, slope=0.01: where(a > 0.0, a, slope * a),
    "leaky_relu_backward": lambda g, a, slope, of_result: where(a > 0.0, g, slope * g),
    "hardshrink": lambda a, level=0.5: where(absolute(a) <= level, 0.0, a),  # nan stays nan
    "hardshrink_backward": lambda g, a, level: where(absolute(a) <= level, 0.0, g),
    "softshrink": lambda a, level=0.5: where(absolute(a) <= level, 0.0, a - level * sign(a)),
    "softshrink_backward": lambda g, a, level: where(absolute(a) <= level, 0.0, g),
    "elu": lambda a, alpha=1.0, scale=1.0, inner=1.0: where(a > 0.0, scale * a, alpha * scale * expm1(inner * a)),
    "elu_backward": _elu_slope,
    "silu": lambda a: a * sigmoid(a),
    "silu_backward": lambda g, a: g * _silu_slope(a),
    "softplus": _softplus,
    "softplus_backward": lambda g, a, beta, level: where(beta * a > level, g, g * sigmoid(beta * a)),
    "mish": lambda a: a * tanh(_softplus(a)),
    "mish_backward": lambda g, a: g * _mish_slope(a),
    "gelu": lambda a: a * _share(a),
    "gelu_backward": lambda g, a: g * (_share(a) + a * exp(-0.5 * (a * a)) * (1 / math.sqrt(2 * math.pi))),
}
