"""Where a network is trained and where it is judged: distributions over unions of intervals, and fixed grids."""

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np

from benchmark import exact
from benchmark.errors import UsageError, number, short, unknown, whole

Interval = tuple[float, float]
MOST_ROWS = 1 << 20  # of a grid
BELOW_ONE = 1 - 2.0**-53  # the largest probability that is not certainty


@dataclass(frozen=True)
class Distribution:
    """One input's distribution: a law restricted to a union of intervals.

    law: "uniform", "normal" (mean `location`, standard deviation `scale`) or "exponential" (mean `scale`). An interval
    of a union is chosen by its mass under the law (its length, if uniform), or by a fair coin where `coin` is set, as
    Madsen & Johansen's data set does.
    """

    intervals: tuple[Interval, ...]
    law: str = "uniform"
    location: float = 0.0
    scale: float = 1.0
    coin: bool = False

    laws: ClassVar[tuple[str, ...]] = ("uniform", "normal", "exponential")

    def __post_init__(self) -> None:
        if self.law not in self.laws:
            raise unknown("distribution", self.law, self.laws)
        if not self.intervals:
            raise UsageError("a range needs at least one interval [low, high]")
        for low, high in self.intervals:
            if not low < high:
                raise UsageError(f"an interval's low ({low:g}) must be below its high ({high:g})")
            if self.law == "exponential" and low < 0:
                raise UsageError(f"an exponential law lives above 0, not on [{low:g}, {high:g}]")
            if self.law == "exponential" and self.location:
                raise UsageError(f"an exponential law begins at 0 and has no location ({self.location:g})")
            if self.law == "uniform" and not math.isfinite(high - low):
                raise UsageError(f"a uniform interval must be finite, not [{low:g}, {high:g}]")
        for (_, high), (low, _) in zip(self.intervals, self.intervals[1:], strict=False):
            if low < high:
                raise UsageError(f"the intervals of {self} must be in order and must not overlap")

    def __str__(self) -> str:
        return " ∪ ".join(f"[{low:g}, {high:g}]" for low, high in self.intervals)

    def within(self, domain: tuple[Interval, ...]) -> "Distribution | None":
        """The same law on the intersection with a union of intervals; None where nothing is left."""
        both = [(max(a, low), min(b, high)) for a, b in self.intervals for low, high in domain]
        left = tuple(sorted((low, high) for low, high in both if low < high))
        if self.coin and any(sum(a <= low and high <= b for low, high in left) > 1 for a, b in self.intervals):
            raise UsageError(
                f"{self} leaves the domain within an interval of a coin; name the intervals on either side"
            )
        return replace(self, intervals=left) if left else None

    @cached_property
    def hull(self) -> Interval:
        """Lowest and highest value; an unbounded interval ends where 1e-3 of its mass is left."""
        (low, _), (_, high) = self.intervals[0], self.intervals[-1]
        pieces = self.pieces()
        tail = lambda piece, share: float(self.quantile((1 - share) * piece.low + share * piece.high, piece.sign))
        shares = [0.999 if piece.sign < 0 else 0.001 for piece in pieces]
        return (
            float(low) if math.isfinite(low) else tail(pieces[0], shares[0]),
            float(high) if math.isfinite(high) else tail(pieces[-1], 1 - shares[-1]),
        )

    def _below(self, x: np.ndarray) -> np.ndarray:
        """The law's probability of values below x; for the uniform law x itself, which is linear in it."""
        if self.law == "normal":
            return exact.normal_cdf((x - self.location) / self.scale)
        return -exact.expm1(-np.maximum(x, 0) / self.scale) if self.law == "exponential" else x

    def _above(self, x: np.ndarray) -> np.ndarray:
        """The law's probability of values above x, as exact in the upper tail as `_below` is in the lower one."""
        if self.law == "normal":
            return exact.normal_cdf((self.location - x) / self.scale)
        return exact.exp(-np.maximum(x, 0) / self.scale)

    def quantile(self, p: np.ndarray | float, sign: float = 1.0) -> np.ndarray:
        """The value below which the law has the probability p; above which, where sign is -1."""
        if self.law == "uniform":
            return np.asarray(p)
        return standard_quantile(self.law, p, sign) * self.scale + self.location

    def pieces(self) -> list["Piece"]:
        """What is drawn from the intervals, in order."""
        ends = np.array(self.intervals, dtype=float)
        upper = np.zeros(len(ends), dtype=bool)
        low, high = self._below(ends).T
        if self.law != "uniform":
            upper = low >= 0.5  # beyond the median
            low, high = np.where(upper, self._above(ends).T[::-1], (low, high))
        mass = high - low
        if not (mass.min() if self.coin else mass.sum()) > 0:
            raise UsageError(f"the {self.law} distribution leaves no mass on {self}")
        mass = np.ones(len(mass)) if self.coin else mass
        # No u is a multiple of 2^-32, so that none is a cut, where an unbounded interval would end.
        cuts = np.rint(np.concatenate([[0.0], np.cumsum(mass / mass.sum())]) * 2.0**32) * 2.0**-32
        signs = np.where(upper, -1.0, 1.0)
        rows = zip(cuts, np.diff(cuts), low, high, signs, strict=False)
        return [Piece(*map(float, row)) for row in rows if row[1] > 0]

    def moment(self, power: float) -> float:
        """E |x|^power; inf where it does not exist."""
        if power <= -1 and any(low <= 0 <= high for low, high in self.intervals):
            return math.inf
        return _moment(self, power)


@cache  # an integral takes a tenth of a second, and every tile of a range asks for the same ones
def _moment(where: Distribution, power: float) -> float:
    pieces = where.pieces()
    if where.law == "uniform":
        means = [_mean_power(piece.low, piece.high, power) for piece in pieces]
    else:
        from scipy import integrate  # which takes a second to load, and few ranges need it

        value = lambda p, sign: abs(where.quantile(p, sign)) ** power
        means = [
            integrate.quad(value, piece.low, piece.high, (piece.sign,), limit=200)[0] / (piece.high - piece.low)
            for piece in pieces
        ]
    return float(np.dot([piece.width for piece in pieces], means))


def standard_quantile(law: str, p: np.ndarray | float, sign: np.ndarray | float) -> np.ndarray:
    """The value below which the standard normal or exponential law has the probability p; above which, for sign -1."""
    p = np.minimum(p, BELOW_ONE)
    if law == "exponential":
        return -np.where(np.less(sign, 0), exact.log(p), exact.log1p(-p))
    return sign * exact.normal_quantile(p)


@dataclass(frozen=True)
class Piece:
    """One interval's share of (0, 1): for u from `cut` on, `width` far, values grow with u.

    The law's probability of values below runs from low to high meanwhile, or where sign is -1 that of values above from
    high to low; it is (u - origin) · slope + low. Of the uniform law it is the value itself.
    """

    cut: float
    width: float
    low: float
    high: float
    sign: float

    @property
    def origin(self) -> float:
        """Where the probability is `low`."""
        return self.cut if self.sign > 0 else self.cut + self.width

    @property
    def slope(self) -> float:
        """Of the probability over u."""
        return self.sign * (self.high - self.low) / self.width


def _mean_power(low: float, high: float, power: float) -> float:
    """The mean of |x|^power over [low, high]."""
    if low < 0 < high:
        return (-low * _mean_power(0, -low, power) + high * _mean_power(0, high, power)) / (high - low)
    low, high = sorted((abs(low), abs(high)))
    if power == -1:
        return math.log(high / low) / (high - low)
    return (high ** (power + 1) - low ** (power + 1)) / ((power + 1) * (high - low))


@dataclass(frozen=True)
class Grid:
    """Fixed rows in a fixed order, never reshuffled: one (start, step) for each input, `count` rows.

    count: of each input where it is several; the rows are all combinations then, the last input's values fastest.
    """

    axes: tuple[tuple[float, float], ...]
    count: int | tuple[int, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many values each input has."""
        return self.count if isinstance(self.count, tuple) else (self.count,) * len(self.axes)

    def rows(self) -> np.ndarray:
        """The rows as columns, float64 [input, row]."""
        with np.errstate(over="ignore"):  # what leaves float64 is refused with what leaves the precision
            columns = [start + step * np.arange(n) for (start, step), n in zip(self.axes, self.counts, strict=True)]
        if isinstance(self.count, tuple):
            columns = [column.ravel() for column in np.meshgrid(*columns, indexing="ij")]
        return np.array(columns)

    def __str__(self) -> str:
        each = zip(self.axes, self.counts, strict=True)
        ends = [f"{start:g}, {start + step:g}, …, {start + step * (n - 1):g}" for (start, step), n in each]
        return " × ".join(f"{{{end}}}" for end in ends)


Where = Distribution | Grid | tuple[Distribution, ...]


def parse(name: str, spec: Any) -> Where:
    """A distribution, one for each operand, or a grid from its spelling in YAML.

    [[low, high], ...] is uniform; {law: normal, location: 0, scale: 1, intervals: [[-3, 3]], coin: false} anything
    else; {operands: [..., ...]} has such a spelling for each operand; {count: 11, axes: [[start, step], ...]} is a grid
    with one axis for each input, and with a list of counts one of all combinations.

    >>> print(parse("interpolation", [[-20, -5], [5, 20]]))
    [-20, -5] ∪ [5, 20]
    """
    if isinstance(spec, dict) and "axes" in spec:
        _known(name, spec, ("axes", "count"))
        axes = _pairs(name, spec["axes"], "axes [[start, step], ...]")
        grid = Grid(axes, _count(name, spec.get("count"), len(axes)))
        if not np.isfinite(axes).all():
            raise UsageError(f"{name} axes ({short(spec['axes'])}) must be finite")
        if any(n > 1 and step == 0 for n, (_, step) in zip(grid.counts, axes, strict=True)):
            raise UsageError(f"{name} axes ({short(spec['axes'])}) must have steps other than 0")
        return grid
    if isinstance(spec, dict) and "operands" in spec:
        _known(name, spec, ("operands",))
        parts = [parse(name, part) for part in spec["operands"]] if isinstance(spec["operands"], list) else []
        distributions = tuple(part for part in parts if isinstance(part, Distribution))
        if len(distributions) != len(parts) or len(parts) != 2:
            raise UsageError(f"{name} operands ({spec['operands']}) must be two distributions")
        return distributions
    if isinstance(spec, dict):
        _known(name, spec, ("law", "location", "scale", "intervals", "coin"))
        if not isinstance(spec.get("coin", False), bool):
            raise UsageError(f"{name} coin ({short(spec['coin'])}) must be true or false")
        laws: dict[str, Any] = {key: spec[key] for key in ("law", "coin") if key in spec}
        if spec.get("law", "uniform") == "uniform" and {"location", "scale"} & set(spec):
            raise UsageError(f"{name}: a uniform law has no location and no scale; it has intervals")
        numbers: dict[str, Any] = {"location": number(f"{name} location", spec.get("location", 0.0))}
        numbers["scale"] = number(f"{name} scale", spec.get("scale", 1.0), above=0)
        intervals = _intervals(name, spec.get("intervals", []))
        if spec.get("coin") and len(intervals) == 1:
            raise UsageError(f"{name}: a coin chooses between intervals, and there is one; leave it out")
        return Distribution(intervals, **laws, **numbers)
    return Distribution(_intervals(name, spec))


def spelled(where: Where) -> Any:
    """The one spelling of what `parse` reads.

    >>> spelled(parse("interpolation", {"law": "uniform", "intervals": [[-2.0, 1e0]]}))
    [[-2, 1]]
    """
    if isinstance(where, tuple):
        return {"operands": [spelled(part) for part in where]}
    if isinstance(where, Grid):
        count = list(where.count) if isinstance(where.count, tuple) else where.count
        return {"axes": [[_plain(end) for end in axis] for axis in where.axes], "count": count}
    intervals = [[_plain(end) for end in interval] for interval in where.intervals]
    own: dict[str, Any] = {"coin": True} if where.coin else {}
    if where.law != "uniform":
        own |= {"law": where.law, "scale": _plain(where.scale)}
    if where.law == "normal":
        own |= {"location": _plain(where.location)}
    return own | {"intervals": intervals} if own else intervals


def _plain(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _count(name: str, count: Any, axes: int) -> int | tuple[int, ...]:
    if not isinstance(count, list):
        return whole(f"{name} count", count, 1, MOST_ROWS)
    if len(count) != axes:
        raise UsageError(f"{name} count ({short(count)}) must be one number, or one for each of {axes} axes")
    counts = tuple(whole(f"{name} count", one, 1, MOST_ROWS) for one in count)
    whole(f"the product of {name} count", math.prod(counts), 1, MOST_ROWS)
    return counts


def _known(name: str, spec: dict[str, Any], keys: tuple[str, ...]) -> None:
    for key in spec:
        if key not in keys:
            raise unknown(f"key of {name}", str(key), keys)


def _intervals(name: str, spec: Any) -> tuple[Interval, ...]:
    return _pairs(name, spec, "intervals [[low, high], ...]")


def _pairs(name: str, spec: Any, what: str) -> tuple[tuple[float, float], ...]:
    if not isinstance(spec, list) or not spec or not all(isinstance(pair, list) and len(pair) == 2 for pair in spec):
        raise UsageError(f"{name} ({short(spec)}) must be a list of {what}")
    first, second = what.split("[[")[1].split("]")[0].split(", ")
    return tuple(
        (number(f"{name} {first}", a, infinite=True), number(f"{name} {second}", b, infinite=True)) for a, b in spec
    )


@dataclass
class Ranges:
    """Where a task is trained and validated (interpolation) and judged (extrapolation).

    Each is a spelling that `parse` reads. profile: the interval [[low, high]] over which the error is profiled, beside
    the training range; the hull of the two if None.
    """

    interpolation: Any
    extrapolation: Any
    profile: Any = None

    def __post_init__(self) -> None:
        for name in ("interpolation", "extrapolation"):
            setattr(self, name, spelled(parse(name, getattr(self, name))))
        if self.profile is not None:
            whole = Distribution(_intervals("profile", self.profile))
            if len(whole.intervals) != 1:
                raise UsageError(f"profile ({self.profile}) must be one interval [[low, high]]")
            self.profile = spelled(whole)
