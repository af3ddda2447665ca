"""What is asked: an operation on operands a and b, each an input or a sum of chosen inputs; or a formula of inputs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from benchmark import exact
from benchmark.asked.ranges import Distribution, Grid, Interval, Ranges, Where, parse
from benchmark.errors import UsageError, number, unknown

DISTINCT = 1000  # numbers that an interval holds at least
PROFILE_SIZE = 81  # values of x at which the error is profiled
RESPONSE_SIZE = 41  # values of an operand at which answers are recorded
Moment = Callable[[float, float], float]


@dataclass(frozen=True)
class Operation:
    """compute: of tensors or arrays a[, b, …]. threshold: the ε-threshold of one module whose inputs are the operands,
    from ε and E(p, q) = E[|a|^p |b|^q] (Mistry et al. 2022; for one operand by the same rule). low: smallest operand.
    divides: the last operand is a divisor. parts: the operations whose results it has at once, one an output; none
    where it is itself the one output.
    """

    operands: int
    compute: Callable[..., Any]
    threshold: Callable[[float, Moment], float]
    low: float = -math.inf
    divides: bool = False
    parts: tuple[str, ...] = ()


# By what a module with weights wrong by ε multiplies a product or quotient of two inputs.
FACTORS: dict[str, Callable[[float], float]] = {"mul": lambda e: (1 - e) ** 2, "div": lambda e: (1 - e) / (1 + e)}


def sqrt(x: Any) -> Any:
    """Of a tensor that is traced, or of numbers and arrays, where numpy rounds it correctly."""
    return x.sqrt() if hasattr(x, "sqrt") else np.sqrt(x)


def sin(x: Any) -> Any:
    """As `sqrt`; `exact`'s where nothing is traced."""
    return x.sin() if hasattr(x, "sin") else exact.sin(x)


def cos(x: Any) -> Any:
    """As `sin`."""
    return x.cos() if hasattr(x, "cos") else exact.cos(x)


OPERATIONS = {
    "add": Operation(2, lambda a, b: a + b, lambda e, E: e**2 * (E(2, 0) + 2 * E(1, 1) + E(0, 2))),
    "sub": Operation(2, lambda a, b: a - b, lambda e, E: e**2 * (E(2, 0) + 2 * E(1, 1) + E(0, 2))),
    "mul": Operation(2, lambda a, b: a * b, lambda e, E: (1 - FACTORS["mul"](e)) ** 2 * E(2, 2)),
    "div": Operation(2, lambda a, b: a / b, lambda e, E: (1 - FACTORS["div"](e)) ** 2 * E(2, -2), divides=True),
    "square": Operation(1, lambda a: a * a, lambda e, E: (1 - (1 - e) ** 2) ** 2 * E(4, 0)),
    "sqrt": Operation(1, sqrt, lambda e, E: (1 - (1 - e) ** 0.5) ** 2 * E(1, 0), low=0.0),
    "identity": Operation(1, lambda a: a, lambda e, E: e**2 * E(2, 0)),
    "reciprocal": Operation(1, lambda a: 1 / a, lambda e, E: (1 / (1 - e) - 1) ** 2 * E(-2, 0), divides=True),
}


def _formula(operands: int, compute: Callable[..., Any]) -> Operation:
    """Of inputs, in order. No module computes it, so that no error of a module's weights could be its threshold."""
    return Operation(operands, compute, lambda e, E: math.inf)


PI = math.pi


def _several(*names: str) -> Operation:
    """Operations of the same inputs at once, each an output of one network: `compute` returns a list.

    Networks are trained where all of them are defined, and an output is asked, in all that is judged, where its own
    operation is. One error is that of all outputs, over every point at which each is asked. No module computes them
    all, as for a formula.
    """
    parts = [OPERATIONS[name] for name in names]
    compute = lambda *x: [part.compute(*x[: part.operands]) for part in parts]
    operands, divides = max(part.operands for part in parts), any(part.divides for part in parts)
    return Operation(operands, compute, lambda e, E: math.inf, divides=divides, parts=names)


# Sahoo et al. 2018, the formulas DIV and F1 to F4. None is an operation of the arithmetic data set or a unit's own.
FORMULAS = {
    "sahoo_div": _formula(2, lambda a, b: sin(PI * a) / (b * b + 1)),
    "sahoo_f1": _formula(4, lambda a, b, c, d: (sin(PI * a) + sin(2 * PI * b + PI / 8) + b - c * d) / 3),
    "sahoo_f2": _formula(4, lambda a, b, c, d: (sin(PI * a) + b * cos(2 * PI * a + PI / 4) + c - d * d) / 3),
    "sahoo_f3": _formula(4, lambda a, b, c, d: ((1 + b) * sin(PI * a) + b * c * d) / 3),
    "sahoo_f4": _formula(4, lambda a, b, c, d: (sin(PI * a) + cos(2 * b * sin(PI * a)) + b * c * d) / 2),
    "heim_simple": _several("add", "mul", "div", "sqrt"),  # Heim et al. 2020, the simple arithmetic task
}
EVERY = OPERATIONS | FORMULAS


def together(name: str) -> list[str]:
    """What one program computes: all operations, or formulas of as many operands; several outputs at once alone."""
    if name not in FORMULAS:
        return list(OPERATIONS)
    own = FORMULAS[name]
    alike = [other for other, it in FORMULAS.items() if it.operands == own.operands and not it.parts]
    return [name] if own.parts else alike


def outputs_of(name: str) -> tuple[str, ...]:
    """The operation of each output.

    >>> outputs_of("add"), outputs_of("heim_simple")
    (('add',), ('add', 'mul', 'div', 'sqrt'))
    """
    return EVERY[name].parts or (name,)


@dataclass
class Task:
    """An operation or a formula, and the margin that its divisor keeps from 0 where inputs are operands (0: none)."""

    operation: str
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.operation not in EVERY:
            raise unknown("operation", self.operation, EVERY)
        number("margin", self.margin, least=0)
        if self.margin and not EVERY[self.operation].divides:
            raise UsageError(f"margin ({self.margin:g}) is for division: {self.operation} divides by nothing")


@dataclass(frozen=True)
class Subsets:
    """How n inputs become operands: each is the sum of the inputs start, …, stop - 1 of its span.

    Madsen & Johansen 2020, section on the arithmetic data set: spans of ⌊subset · n⌋ inputs, of which ⌊overlap · size⌋
    are shared with the next; a seed's offset, at most `free`, shifts them together.
    """

    inputs: int
    spans: tuple[tuple[int, int], ...]

    @property
    def free(self) -> int:
        """The largest offset."""
        return self.inputs - max(stop for _, stop in self.spans)


@dataclass(frozen=True)
class Problem:
    """A task on a range in a given form: what the network sees, and where it is trained, judged and profiled.

    interpolation, extrapolation: a Grid, or one effective Distribution for each input. extent: for each input the
    interval over which the error is profiled. subsets: None where the inputs are the operands.
    """

    operation: str
    inputs: int
    interpolation: Grid | tuple[Distribution, ...]
    extrapolation: Grid | tuple[Distribution, ...]
    extent: tuple[Interval, ...]
    margin: float
    subsets: Subsets | None

    @property
    def operands(self) -> int:
        """One or two; a formula's may be more."""
        return EVERY[self.operation].operands

    @property
    def outputs(self) -> int:
        """How many numbers the network says."""
        return len(outputs_of(self.operation))

    @property
    def trained_hulls(self) -> tuple[Interval, ...]:
        """Lowest and highest training value of each input."""
        return hulls(self.interpolation)

    @property
    def has_plane(self) -> bool:
        """Whether one output's error can be drawn over the operand plane: its operands are inputs trained within it."""
        inside = all(low >= -20 and high <= 20 for low, high in self.trained_hulls)
        return self.operands == self.inputs == 2 and self.subsets is None and inside and self.outputs == 1

    @property
    def sign_trained(self) -> str:
        """ "positive", "negative" or "mixed": of all inputs in training."""
        return _sign(self.trained_hulls)

    @property
    def sign_judged(self) -> str:
        """The same of all inputs on which networks are judged."""
        return _sign(hulls(self.extrapolation))


def _sign(hulls: Sequence[Interval]) -> str:
    ends = [end for hull in hulls for end in hull]
    return "positive" if min(ends) >= 0 else "negative" if max(ends) <= 0 else "mixed"


def plane_points() -> np.ndarray:
    """The operand plane: the middles of 20 × 20 squares that tile [-20, 20]², none on 0, a varying slowest: [2, point].

    >>> plane_points()[:, :2].tolist()
    [[-19.0, -19.0], [-19.0, -17.0]]
    """
    middles = np.arange(-19.0, 20.0, 2.0)
    return np.stack(np.meshgrid(middles, middles, indexing="ij")).reshape(2, -1)


def held(low: float, high: float) -> float:
    """Where an operand that is trained from low to high stays while the other is swept: in the middle.

    Of a range across 0, where nothing would be seen of a product and a quotient would be none, in the middle of its
    longer side, of the positive one where both are as long.

    >>> held(1, 2), held(-5, 5)
    (1.5, 2.5)
    """
    if low < 0 < high:
        low, high = (0, high) if high >= -low else (low, 0)
    return (low + high) / 2


def hulls(where: Grid | tuple[Distribution, ...]) -> tuple[Interval, ...]:
    """Lowest and highest value of each input."""
    if isinstance(where, Grid):
        return tuple((float(row.min()), float(row.max())) for row in where.rows())
    return tuple(distribution.hull for distribution in where)


def pose(
    task: Task,
    ranges: Ranges,
    inputs: int | None = None,
    subset: float = 0.25,
    overlap: float = 0.5,
    spans: Sequence[Sequence[int]] | None = None,
) -> Problem:
    """The problem that a task poses on a range; UsageError where its operation is undefined there.

    inputs: None for one input an operand, else the number of inputs of the arithmetic data set. spans: its operands'
    [start, stop], instead of what `subset` and `overlap` say.

    >>> problem = pose(Task("sqrt"), Ranges([[-5, 5]], [[-20, -5], [5, 20]]))
    >>> print(*problem.interpolation, *problem.extrapolation)
    [0, 5] [5, 20]
    """
    operation = EVERY[task.operation]
    subsets = None
    if inputs is not None and task.operation in FORMULAS:
        raise UsageError(f"{task.operation} is a formula of {operation.operands} inputs; leave protocol.inputs out")
    if inputs is not None:
        if spans is None:
            size = _whole(subset * inputs)
            starts = [k * (size - _whole(overlap * size)) for k in range(operation.operands)]
            subsets = Subsets(inputs, tuple((start, start + size) for start in starts))
        else:
            subsets = Subsets(inputs, tuple((start, stop) for start, stop in spans[: operation.operands]))
        if subsets.free < 0 or any(not 0 <= start < stop for start, stop in subsets.spans):
            asked = f"subsets of {subset:g} with overlap {overlap:g}" if spans is None else f"spans {spans}"
            raise UsageError(f"{inputs} inputs hold no {operation.operands} {asked}")
    count = inputs or operation.operands

    def effective(name: str, low: float) -> Grid | tuple[Distribution, ...]:
        domains: list[tuple[Interval, ...]] = [((low, math.inf),)] * count
        if operation.divides and task.margin and subsets is None:
            sides = ((-math.inf, -task.margin), (max(low, task.margin), math.inf))
            domains[-1] = sides if low < 0 else sides[1:]
        return _effective(name, parse(name, getattr(ranges, name)), task.operation, domains)

    lowest = max(EVERY[name].low for name in outputs_of(task.operation))
    interpolation, extrapolation = effective("interpolation", lowest), effective("extrapolation", operation.low)
    profiled = hulls(extrapolation)
    if ranges.profile is not None:
        profiled = tuple((max(float(low), operation.low), float(high)) for low, high in ranges.profile) * count
    both = zip(hulls(interpolation), profiled, strict=True)
    extent = tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in both)
    return Problem(task.operation, count, interpolation, extrapolation, extent, task.margin, subsets)


def _effective(
    name: str, where: Where, operation: str, domains: list[tuple[Interval, ...]]
) -> Grid | tuple[Distribution, ...]:
    if isinstance(where, Grid):
        if len(where.axes) != len(domains):
            raise UsageError(f"the {name} grid has {len(where.axes)} inputs, {operation} needs {len(domains)}")
        rows = where.rows()
        inside = [any(low <= x <= high for low, high in d) for row, d in zip(rows, domains, strict=True) for x in row]
        if not all(inside) or (EVERY[operation].divides and 0 in rows[-1]):
            raise UsageError(f"the {name} grid {where} leaves the domain of {operation}")
        return where
    each = where if isinstance(where, tuple) else (where,) * len(domains)
    if len(each) != len(domains):
        raise UsageError(f"the {name} range is of 2 operands that are inputs, {operation} has {len(domains)} inputs")
    within = cache(Distribution.within)  # inputs that are alike share what is computed of them
    effective = [within(distribution, domain) for distribution, domain in zip(each, domains, strict=True)]
    if None in effective:
        told = " and ".join(map(str, dict.fromkeys(each)))
        raise UsageError(f"{operation} is not defined anywhere on the {name} range {told}")
    return tuple(distribution for distribution in effective if distribution is not None)


def check_precision(problem: Problem, dtype: str) -> None:
    """UsageError where numbers of this type (float32, float64) cannot hold the inputs or the targets in training."""
    info, kind = np.finfo(dtype), np.dtype(dtype).type
    most = float(info.max)
    for name in ("interpolation", "extrapolation"):
        where = getattr(problem, name)
        if isinstance(where, Grid):
            if np.abs(where.rows()).max() > most:
                raise UsageError(f"the {name} grid {where} leaves what {dtype} holds")
            continue
        for distribution in dict.fromkeys(where):
            for low, high in distribution.intervals:
                ends = [end for end in (low, high) if math.isfinite(end)]
                if any(abs(end) > most for end in ends):
                    raise UsageError(f"the {name} range {distribution} leaves what {dtype} holds, ±{most:.2g}")
                largest = max(map(abs, distribution.hull if len(ends) < 2 else ends))
                if high - low < DISTINCT * max(float(np.spacing(kind(largest))), float(info.smallest_subnormal)):
                    told = f"fewer than {DISTINCT:,} numbers of {dtype}; widen it or set protocol.dtype=float64"
                    raise UsageError(f"the {name} range [{low!r}, {high!r}] holds {told}")
    if any(abs(end) > most for hull in problem.extent for end in hull):
        raise UsageError(f"the profile {problem.extent} leaves what {dtype} holds, ±{most:.2g}")
    constant = {"sub": "sub of a subset from itself is 0", "div": "div of a subset by itself is 1"}
    if problem.operation in constant and problem.subsets and len({*problem.subsets.spans}) == 1:
        raise UsageError(f"{constant[problem.operation]} for all inputs; let the subsets overlap less")
    largest = max(abs(end) for hull in problem.trained_hulls for end in hull)
    if problem.subsets:
        largest *= max(stop - start for start, stop in problem.subsets.spans)
    if {"mul", "square"} & {*outputs_of(problem.operation)} and largest > math.sqrt(most):
        raise UsageError(f"the targets of {problem.operation} leave what {dtype} holds, ±{most:.2g}")


def _whole(size: float) -> int:
    """So many inputs, down to a whole number but for rounding: 0.29 of 100 are 29."""
    return int(size + 1e-9)


@cache
def threshold(problem: Problem, epsilon: float, rule: str | float | None = None) -> float:
    """Mean squared error, on the extrapolation range, of a solution whose every weight is wrong by ε.

    One module (Mistry et al. 2022, published threshold script): the closed forms of `OPERATIONS`. Arithmetic data set
    (Madsen & Johansen 2020, section on the success criterion): the first layer has 1 - ε inside a subset and ε outside,
    so a becomes a + ε (T - 2a), T the sum of all inputs. inf where the expectation does not exist.

    rule: None for that; "inclusive" for subsets that hold one input more, as the published script of Madsen & Johansen
    has them; "module" for one module with distractors x (Mistry et al. 2022, published threshold script), whose sums
    are wrong by ε T and whose products are multiplied by 1 - ε |x| for each; or a number, the threshold itself.
    UsageError where such weights make no error, as where two inputs are added that are all there are.
    """
    if isinstance(rule, int | float):
        return float(rule)
    return _rounded(_threshold(problem, epsilon, rule), 12)


def _rounded(value: float, digits: int) -> float:
    """To so many significant digits, so that the last ones of a libm or of LAPACK decide nothing."""
    return float(f"{value:.{digits}g}")


def _threshold(problem: Problem, epsilon: float, rule: str | None) -> float:
    operation = EVERY[problem.operation]
    where = problem.extrapolation
    if rule == "module" and problem.inputs > operation.operands == 2 and isinstance(where, tuple):
        return _with_distractors(problem.operation, epsilon, where[0], problem.inputs)
    if problem.subsets is None or rule == "module":
        if isinstance(where, Grid):
            rows = np.abs(where.rows())
            moment: Moment = lambda p, q: float(np.mean(rows[0] ** p * (rows[1] ** q if q else 1.0)))
        else:
            moment = lambda p, q: (where[0].moment(p) if p else 1.0) * (where[1].moment(q) if q else 1.0)
        return float(operation.threshold(epsilon, moment))
    if isinstance(where, Grid):
        raise UsageError("the arithmetic data set is judged on intervals, not on a grid")
    wider = int(rule == "inclusive")
    subsets = replace(problem.subsets, spans=tuple((start, stop + wider) for start, stop in problem.subsets.spans))
    if operation.divides and _reaches_zero(where[0], subsets.spans[-1][1] - subsets.spans[-1][0], 4):
        return math.inf
    groups, membership = _groups(subsets)
    rules = [_sum_rule(where[0], size) for size in groups]
    error = scale = 0.0
    for nodes in product(*(zip(*rule, strict=True) for rule in rules)):
        sums = np.array([node for node, _ in nodes])
        right = membership @ sums
        wrong = right + epsilon * (sums.sum() - 2 * right)
        weight = math.prod(w for _, w in nodes)
        error += weight * (operation.compute(*wrong) - operation.compute(*right)) ** 2
        scale += weight * operation.compute(*right) ** 2
    if error < 1e-12 * epsilon**2 * scale:
        raise UsageError(
            f"weights that are each wrong by epsilon make no error in {problem.operation} of all inputs, and no "
            "threshold follows; choose protocol.threshold=module, or a number"
        )
    return _rounded(error, 9)  # one ulp in a moment of `_sum_rule` moves the eleventh digit


def _with_distractors(operation: str, e: float, x: Distribution, inputs: int) -> float:
    """The threshold of one module that computes with two of its inputs, which all follow x."""
    mean, square, others = x.moment(1), x.moment(2), inputs - 2
    if operation in ("add", "sub"):  # e² E(Σ|x|)²
        return e**2 * (inputs * square + inputs * (inputs - 1) * mean**2)
    # E t² · E(1 - c Π(1 - e |x|))², the product over the distractors
    c, t = FACTORS[operation](e), square * x.moment(2 if operation == "mul" else -2)
    return t * (1 - 2 * c * (1 - e * mean) ** others + c**2 * (1 - 2 * e * mean + e**2 * square) ** others)


def has_variance(problem: Problem, where: Grid | tuple[Distribution, ...]) -> bool:
    """Whether the targets of a problem on one of its ranges have a finite variance; the others' mean squared errors
    depend on how near to 0 a divisor happened to come.

    >>> problem = pose(Task("div"), Ranges([[-2, 2]], [[2, 6]]))
    >>> has_variance(problem, problem.interpolation), has_variance(problem, problem.extrapolation)
    (False, True)
    """
    if not EVERY[problem.operation].divides or isinstance(where, Grid):
        return True
    start, stop = problem.subsets.spans[-1] if problem.subsets else (0, 1)
    return not _reaches_zero(where[-1], stop - start, 2)


def _reaches_zero(distribution: Distribution, count: int, power: int) -> bool:
    """Whether E[1/|b|^power] of a sum b of `count` inputs diverges: b can be 0, and is near it too often."""
    low, high = distribution.intervals[0][0], distribution.intervals[-1][1]
    if count == 1:
        return any(low <= 0 <= high for low, high in distribution.intervals)
    return low < 0 < high or (0 in (low, high) and count <= power)


def _groups(subsets: Subsets) -> tuple[list[int], np.ndarray]:
    """Sizes of the groups of inputs that share their operands, and which operand [operand, group] holds which."""
    members: dict[tuple[int, ...], int] = {}
    for i in range(subsets.inputs):
        held = tuple(int(start <= i < stop) for start, stop in subsets.spans)
        members[held] = members.get(held, 0) + 1
    return list(members.values()), np.array(list(members)).T


def _sum_rule(distribution: Distribution, count: int, order: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the Gauss rule for the sum of `count` independent inputs.

    Exact for polynomials up to degree 2·order - 1, by the Golub-Welsch algorithm from the sum's moments. Smooth
    quotients of sums converge as fast.
    """
    x, w = np.polynomial.legendre.leggauss(64)
    pieces = distribution.pieces()
    nodes_of = lambda piece: (piece.low + piece.high) / 2 + (piece.high - piece.low) / 2 * x
    values = np.concatenate([distribution.quantile(nodes_of(piece), piece.sign) for piece in pieces])
    weights = np.concatenate([piece.width * w / 2 for piece in pieces])
    mean = float(weights @ values)
    spread = float(np.sqrt(weights @ (values - mean) ** 2)) * math.sqrt(count)
    single = [float(weights @ ((values - mean) / spread) ** k) for k in range(2 * order + 1)]
    total = [1.0] + [0.0] * (2 * order)
    for _ in range(count):
        total = [sum(math.comb(k, j) * total[k - j] * single[j] for j in range(k + 1)) for k in range(2 * order + 1)]
    hankel = np.array([[total[i + j] for j in range(order + 1)] for i in range(order + 1)])
    R = np.linalg.cholesky(hankel).T
    ratio = np.diagonal(R, 1)[:order] / np.diagonal(R)[:order]
    off = (np.diagonal(R)[1:] / np.diagonal(R)[:-1])[: order - 1]
    nodes, vectors = np.linalg.eigh(np.diag(np.diff(ratio, prepend=0.0)) + np.diag(off, 1) + np.diag(off, -1))
    return nodes * spread + mean * count, vectors[0] ** 2
