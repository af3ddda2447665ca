"""Estimates with their 95% intervals, from plain arrays. Nothing here knows a table."""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

import numpy as np
from scipy import optimize, special

RESAMPLES, BATCH = 2000, 100  # of the bootstrap; the samples take turns after every batch
AT_ONCE = 1 << 20  # numbers of seeds that are drawn at once
Z = float(special.ndtri(0.975))
# Of the log-likelihood at the ends of a 95% profile interval: half of what χ² of one degree of freedom is under.
HALF_DROP = float(special.gammaincinv(0.5, 0.95))
EXACT_SEEDS = 500  # of both sides together, with which an exact test takes half a second
BEYOND = "the score test"  # what takes its place
Interval = tuple[float, float, float]  # estimate, low, high


@lru_cache(1 << 12)
def success_rate(solved: int, seeds: int) -> Interval:
    """The share of solved seeds with its 95% Wilson interval.

    >>> tuple(round(x, 3) for x in success_rate(93, 100))
    (0.93, 0.863, 0.966)
    """
    if not seeds:
        return math.nan, math.nan, math.nan
    share, whole = solved / seeds, 2 * (seeds + Z**2)
    centre = (2 * seeds * share + Z**2) / whole
    reach = Z / whole * math.sqrt(4 * seeds * share * (1 - share) + Z**2)
    return share, centre - reach if solved else 0.0, centre + reach if solved < seeds else 1.0


def difference_of_rates(solved_a: int, seeds_a: int, solved_b: int, seeds_b: int) -> Interval:
    """The difference a - b of two independent success rates with its 95% interval: Newcombe 1998, method 10.

    >>> tuple(round(x, 4) for x in difference_of_rates(56, 70, 48, 80))  # the paper's table II, (a)
    (0.2, 0.0524, 0.3339)
    """
    a, low_a, high_a = success_rate(solved_a, seeds_a)
    b, low_b, high_b = success_rate(solved_b, seeds_b)
    return a - b, a - b - math.hypot(a - low_a, high_b - b), a - b + math.hypot(high_a - a, b - low_b)


@lru_cache(1 << 12)
def boschloo(solved_a: int, seeds_a: int, solved_b: int, seeds_b: int) -> float:
    """The two-sided p-value of Boschloo's exact test that two success rates are the same."""
    if (solved_a + solved_b) in (0, seeds_a + seeds_b):
        return 1.0
    from scipy import stats  # which takes a second to load, and only comparisons need it

    table = [[solved_a, solved_b], [seeds_a - solved_a, seeds_b - solved_b]]
    return float(stats.boschloo_exact(table).pvalue)


def rates_test(solved_a: int, seeds_a: int, solved_b: int, seeds_b: int) -> float:
    """The two-sided p-value of the test that two success rates are the same.

    Boschloo's exact one, whose time grows with the product of the seeds; beyond EXACT_SEEDS of both sides together the
    score test, Pearson's χ² without a correction, which agrees with it there but where almost all or none are solved.
    """
    if seeds_a + seeds_b <= EXACT_SEEDS or (solved_a + solved_b) in (0, seeds_a + seeds_b):
        return boschloo(solved_a, seeds_a, solved_b, seeds_b)
    from scipy import stats

    table = [[solved_a, seeds_a - solved_a], [solved_b, seeds_b - solved_b]]
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down adjustment of p-values; nan stays nan and counts for nothing.

    >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).round(2)
    array([0.03, 0.06,  nan, 0.06])
    """
    adjusted = np.full(len(p), np.nan)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def estimate(values: np.ndarray, cell: tuple[str, ...]) -> np.ndarray:
    """The median of what is finite in each row of [metric, seed], its 95% percentile bootstrap interval: [metric, 3].

    The generator is seeded by the cell's key. One number has no interval. Where nothing is finite the estimate is
    infinite, or nan where nothing is known.
    """
    finite = np.isfinite(values)
    found = np.full((len(values), 3), np.nan)
    found[:, 0] = np.where(np.isinf(values).any(axis=-1), np.inf, np.nan)
    for kept in {row.tobytes(): row for row in finite if row.any()}.values():
        rows = (finite == kept).all(axis=-1)
        own = values[rows][:, kept]
        found[rows, 0] = np.median(own, axis=-1)
        if kept.sum() > 1:
            found[rows, 1:] = np.stack(bootstrap((own,), cell), axis=-1)
    return found


def bootstrap(samples: Sequence[np.ndarray], cell: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) of the median of a sample [..., seed], or of the difference of two samples' medians.

    The 95% percentile bootstrap interval. Its ends are elements of the bootstrap distribution, not interpolated between
    them: a half may be infinite. nan where an element is.
    """
    seed = hashlib.sha256("\n".join(cell).encode()).digest()
    rng = np.random.default_rng(int.from_bytes(seed[:8], "little"))
    sizes = [sample.shape[-1] for sample in samples]
    at_once = max(1, AT_ONCE // (BATCH * max(sizes)))
    parts = []
    for begin in range(0, RESAMPLES // BATCH, at_once):
        batches = range(begin, min(begin + at_once, RESAMPLES // BATCH))
        if len(sizes) == 1:
            drawn = [rng.integers(0, sizes[0], (BATCH * len(batches), sizes[0]))]
        else:
            turns = [[rng.integers(0, size, (BATCH, size)) for size in sizes] for _ in batches]
            drawn = [np.concatenate(own) for own in zip(*turns, strict=True)]
        medians = [_medians(np.atleast_2d(sample), own) for sample, own in zip(samples, drawn, strict=True)]
        parts.append(medians[0] if len(medians) == 1 else minus(*medians))
    distribution = np.concatenate(parts, axis=-1)
    ends = math.floor(0.025 * (RESAMPLES - 1)), math.ceil(0.975 * (RESAMPLES - 1))
    ordered = np.partition(distribution, [*ends, RESAMPLES - 1], axis=-1)
    unknown = np.isnan(ordered[..., -1])  # nan comes last
    low, high = (np.where(unknown, np.nan, ordered[..., end]).reshape(samples[0].shape[:-1]) for end in ends)
    return low[()], high[()]


def _medians(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The medians of what is drawn of [metric, seed] by numbers of seeds [resample, seed]: [metric, resample].

    It is the value at which as many are drawn as half a resample has, counted upwards from the lowest.
    """
    resamples, seeds = drawn.shape
    places = drawn * resamples + np.arange(resamples)[:, None]
    counts = np.bincount(places.ravel(), minlength=drawn.size).reshape(seeds, resamples)
    counts = counts.astype(np.min_scalar_type(-seeds - 1))  # the narrower, the faster
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, -1)
    middles = sorted({(seeds + 1) // 2, seeds // 2 + 1})  # two of an even number
    upto = np.zeros((len(values), resamples), counts.dtype)
    below = [np.zeros_like(upto) for _ in middles]
    for place in order.T:
        upto += counts[place]
        for found, middle in zip(below, middles, strict=True):
            found += (upto < middle).view(np.int8)
    at = [np.take_along_axis(ordered, found.astype(np.intp), -1) for found in below]
    with np.errstate(invalid="ignore"):
        medians = at[0] if len(at) == 1 else (at[0] + at[1]) / 2
    if np.isnan(ordered[:, -1]).any():
        medians[(np.isnan(values).astype(int) @ (counts > 0)) > 0] = np.nan
    return medians


def minus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x - y, where two infinities of one sign are the same."""
    with np.errstate(invalid="ignore"):
        return np.where(x == y, 0.0, x - y)


def mean_solved_at(steps: np.ndarray) -> Interval:
    """Mean of the steps at which seeds were solved, with the profile-likelihood interval of a gamma distribution.

    Madsen & Johansen 2020, appendix on the statistics. The maximum-likelihood mean of a gamma distribution is the
    sample's mean; the published means, from fits that had not converged, are often another. Student's t where the
    sample has fewer than two values or does not vary, as there, or where a seed was solved before it was trained.
    """
    if len(steps) < 2 or not np.std(steps) > 1e-5 or np.min(steps) <= 0:
        return student(steps, 0, np.inf)
    mean = float(np.mean(steps))
    return gamma_mean(len(steps), mean, float(np.mean(np.log(steps / mean))))


def gamma_mean(count: int, mean: float, mean_log: float) -> Interval:
    """The mean of a gamma distribution with its 95% profile-likelihood interval.

    From the sufficient statistics of `count` values: their mean, and the mean of log(value / mean), which is negative.
    """

    @cache
    def profile(ratio: float) -> float:
        """The log-likelihood a value, up to a constant, at the mean `ratio` · mean and its best shape."""
        # The best shape solves log α - ψ(α) = s; both ends of the bracket follow from 1/2α < log α - ψ(α) < 1/α.
        s = 1 / ratio - 1 + math.log(ratio) - mean_log
        shape = optimize.brentq(lambda a: math.log(a) - float(special.digamma(a)) - s, 0.4 / s, 1.1 / s, rtol=1e-14)
        return float(shape * (math.log(shape) - s - 1) - special.gammaln(shape))

    top = profile(1.0)
    outside = lambda log_ratio: count * (top - profile(math.exp(log_ratio))) - HALF_DROP
    low, high = (_root(outside, sign * math.sqrt(-mean_log / count)) for sign in (-1, 1))
    return mean, mean * math.exp(low), mean * math.exp(high)


def mean_sparsity(errors: np.ndarray) -> Interval:
    """Mean sparsity error of the solved seeds, with the profile-likelihood interval of a beta distribution on [0, ½].

    Madsen & Johansen 2020, appendix on the statistics. Their code fits the error where its double belongs, which
    halves the published means; here 2 · error is fitted. As there, errors are kept 1e-16 away from the ends, and
    Student's t serves where they do not vary. It does so, too, where an error exceeds ½, as unbounded weights' can.
    """
    if len(errors) < 2 or not np.std(errors) > 1e-10 or np.max(errors) > 0.5:
        return student(errors, 0, np.inf)
    values = 2 * np.clip(errors, 1e-16, 0.5 - 1e-16)
    mean, low, high = beta_mean(len(values), float(np.mean(np.log(values))), float(np.mean(np.log1p(-values))))
    return mean / 2, low / 2, high / 2


def beta_mean(count: int, mean_log: float, mean_log_complement: float) -> Interval:
    """The mean of a beta distribution on [0, 1] with its 95% profile-likelihood interval.

    From the sufficient statistics of `count` values: the means of log(value) and of log(1 - value).
    """

    @cache
    def profile(logit: float) -> float:
        """The log-likelihood a value at the mean of this logit and the best concentration."""
        mean, complement = float(special.expit(logit)), float(special.expit(-logit))

        def loss(log_concentration: float) -> float:
            a, b = math.exp(log_concentration) * mean, math.exp(log_concentration) * complement
            return float(special.betaln(a, b)) - (a - 1) * mean_log - (b - 1) * mean_log_complement

        return -_least(loss, -60.0, 60.0)[1]

    # Jensen: the mean lies above the geometric mean, and its complement above the geometric mean of complements.
    of_complement = lambda log: math.log(-math.expm1(log))
    bounds = mean_log - of_complement(mean_log), of_complement(mean_log_complement) - mean_log_complement
    best, loss = _least(lambda z: -profile(z), *bounds)
    outside = lambda z: count * (-loss - profile(z)) - HALF_DROP
    low, high = (_root(outside, sign / math.sqrt(count), best) for sign in (-1, 1))
    return tuple(float(special.expit(z)) for z in (best, low, high))  # type: ignore[return-value]


def _least(loss: Callable[[float], float], low: float, high: float) -> tuple[float, float]:
    """Where between these ends a function is least, and what it is there."""
    place, value, *_ = optimize.fminbound(loss, low, high, xtol=1e-10, full_output=True)
    return float(place), float(value)


def _root(outside: Callable[[float], float], stride: float, start: float = 0.0) -> float:
    """Where `outside` first is 0 in the stride's direction; at `start` it is negative."""
    inner, outer = start, start + stride
    while outside(outer) < 0:
        inner, outer, stride = outer, outer + 2 * stride, 2 * stride
    return float(optimize.brentq(outside, *sorted((inner, outer)), xtol=1e-12))


def student(values: np.ndarray, least: float, most: float) -> Interval:
    """The mean with Student's 95% interval, clipped to [least, most]; one value has no interval, none no mean."""
    if len(values) < 2:
        return (float(values[0]) if len(values) else math.nan), math.nan, math.nan
    mean = float(np.mean(values))
    reach = float(_t(len(values) - 1) * (np.std(values, ddof=1) / math.sqrt(len(values))))
    return mean, max(mean - reach, least), min(mean + reach, most)


@lru_cache(1 << 12)
def _t(freedom: int) -> float:
    return float(special.stdtrit(freedom, 0.975))
