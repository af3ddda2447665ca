"""Estimates with their 95% intervals, from plain arrays. Nothing here knows a table."""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from scipy import special
from scipy.optimize.elementwise import find_root

RESAMPLES, BATCH = 2000, 100  # of the bootstrap; the samples take turns after every batch
AT_ONCE, IN_CACHE = 1 << 20, 1 << 17  # numbers of seeds that are drawn at once, and counted
Z = float(special.ndtri(0.975))
# Of the log-likelihood at the ends of a 95% profile interval: half of what χ² of one degree of freedom is under.
HALF_DROP = float(special.gammaincinv(0.5, 0.95))
EXACT_SEEDS = 500  # of both sides together, with which an exact test takes half a second
BEYOND = "the score test"  # what takes its place
Interval = tuple[float, float, float]  # estimate, low, high
Intervals = tuple[np.ndarray, np.ndarray, np.ndarray]  # the same of each cell


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


def estimate(values: np.ndarray, cells: Sequence[tuple[str, ...]]) -> np.ndarray:
    """Medians of what is finite of [cell, metric, seed], and 95% percentile bootstrap intervals: [cell, metric, 3].

    The generator is seeded by the cell's key. One number has no interval. Where nothing is finite the estimate is
    infinite, or nan where nothing is known.
    """
    finite = np.isfinite(values)
    found = np.full((*values.shape[:2], 3), np.nan)
    found[..., 0] = np.where(np.isinf(values).any(axis=-1), np.inf, np.nan)
    alike: dict[int, list[tuple[int, int]]] = {}
    for (cell, metric), size in np.ndenumerate(finite.sum(axis=-1)):
        alike.setdefault(int(size), []).append((cell, metric))
    for size, places in alike.items():
        of, metrics = np.array(places).T
        own = values[of, metrics][finite[of, metrics]].reshape(len(of), size)
        if size:
            found[of, metrics, 0] = np.median(own, axis=-1)
        if size > 1:
            found[of, metrics, 1:] = bootstrap((own,), of, cells)
    return found


def bootstrap(samples: Sequence[np.ndarray], of: np.ndarray, cells: Sequence[tuple[str, ...]]) -> np.ndarray:
    """[low, high] of the median of each row of a sample [row, seed], or of the difference of two samples' medians.

    of: the number of each row's cell, by whose key its resamples are drawn; rows of one cell have the same.

    The 95% percentile bootstrap interval. Its ends are elements of the bootstrap distribution, not interpolated between
    them: a half may be infinite. nan where an element is.
    """
    found, ends = np.empty((len(of), 2)), [math.floor(0.025 * (RESAMPLES - 1)), math.ceil(0.975 * (RESAMPLES - 1))]
    drawn, at_once = np.unique(of), max(1, AT_ONCE // (RESAMPLES * max(sample.shape[1] for sample in samples)))
    for some in np.split(drawn, range(at_once, len(drawn), at_once)):
        rows = np.flatnonzero(np.isin(of, some))
        own = [sample[rows] for sample in samples]
        medians = _resampled(own, np.searchsorted(some, of[rows]), [cells[number] for number in some])
        distribution = np.sort(medians[0] if len(medians) == 1 else minus(*medians), axis=-1)
        unknown = np.isnan(distribution[:, -1:])  # nan comes last
        found[rows] = np.where(unknown, np.nan, distribution[:, ends])
    return found


def _resampled(samples: Sequence[np.ndarray], of: np.ndarray, cells: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
    """Of each sample [row, seed] the medians of its resamples, [row, resample]; of, cells: as for `bootstrap`."""
    keys = [hashlib.sha256("\n".join(cell).encode()).digest() for cell in cells]
    generators = [np.random.default_rng(int.from_bytes(key[:8], "little")) for key in keys]
    sizes = [sample.shape[1] for sample in samples]
    at_once = max(1, AT_ONCE // (BATCH * max(sizes)))
    parts = []
    for begin in range(0, RESAMPLES // BATCH, at_once):
        batches = min(at_once, RESAMPLES // BATCH - begin)
        if len(sizes) == 1:
            drawn = [[_counted(rng.integers(0, sizes[0], (BATCH * batches, sizes[0])))] for rng in generators]
        else:
            turns = [[[rng.integers(0, n, (BATCH, n)) for n in sizes] for _ in range(batches)] for rng in generators]
            drawn = [[_counted(np.concatenate(own)) for own in zip(*turn, strict=True)] for turn in turns]
        counts = [np.concatenate(own) for own in zip(*drawn, strict=True)]
        parts.append([_medians(sample, of, own) for sample, own in zip(samples, counts, strict=True)])
    return [np.concatenate(own, axis=1) for own in zip(*parts, strict=True)]


def _counted(drawn: np.ndarray) -> np.ndarray:
    """How often each seed is drawn, [seed, resample], of numbers of seeds [resample, seed]."""
    size, parts = drawn.shape[1], []
    for own in np.split(drawn, range(IN_CACHE // size + 1, len(drawn), IN_CACHE // size + 1)):
        places = own * len(own) + np.arange(len(own))[:, None]
        counts = np.bincount(places.ravel(), minlength=own.size).reshape(size, len(own))
        parts.append(counts.astype(np.min_scalar_type(-size - 1)))  # the narrower, the faster
    return np.concatenate(parts, axis=1)


def _medians(values: np.ndarray, of: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The medians of the resamples of [row, seed], [row, resample].

    of: the number of each row's cell. counts: how often each seed is drawn, [cell × seed, resample].

    It is the value at which as many are drawn as half a resample has, counted upwards from the lowest.
    """
    seeds, resamples = values.shape[1], counts.shape[1]
    order = np.argsort(values, axis=-1)
    ordered, places = np.take_along_axis(values, order, -1), order + of[:, None] * seeds
    # Metrics of one order, as an error and its square root are, have their medians at the same places.
    alike = {own.tobytes(): number for number, own in enumerate(places)}
    middles = sorted({(seeds + 1) // 2, seeds // 2 + 1})  # two of an even number
    upto = np.zeros((len(alike), resamples), counts.dtype)
    below, skipped = [np.zeros_like(upto) for _ in middles], 0
    for number, place in enumerate(places[[*alike.values()]].T):
        upto += counts[place]
        if number == skipped and upto.max() < middles[0]:  # no median is reached yet
            skipped += 1
            continue
        for found, middle in zip(below, middles, strict=True):
            found += (upto < middle).view(np.int8)
        if number % 8 == 0 and upto.min() >= middles[-1]:  # all are
            break
    row = {own: number for number, own in enumerate(alike)}
    same = [row[own.tobytes()] for own in places]
    at = [np.take_along_axis(ordered, found[same].astype(np.intp) + skipped, -1) for found in below]
    with np.errstate(invalid="ignore"):
        medians = at[0] if len(at) == 1 else (at[0] + at[1]) / 2
    for median, own, cell in zip(medians, values, of, strict=True):
        if np.isnan(own).any():
            median[(counts[np.flatnonzero(np.isnan(own)) + cell * seeds] > 0).any(axis=0)] = np.nan
    return medians


def minus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x - y, where two infinities of one sign are the same."""
    with np.errstate(invalid="ignore"):
        return np.where(x == y, 0.0, x - y)


def mean_solved_at(steps: np.ndarray, of: np.ndarray, cells: int) -> np.ndarray:
    """The mean of the steps at which the seeds of each cell were solved, with the profile-likelihood interval of a
    gamma distribution: [cell, 3].

    steps: of all cells. of: the number of each one's cell. cells: how many there are.

    Madsen & Johansen 2020, appendix on the statistics. The maximum-likelihood mean of a gamma distribution is the
    sample's mean; the published means, from fits that had not converged, are often another. Student's t where the
    sample has fewer than two values or does not vary, as there, or where a seed was solved before it was trained.
    """
    found = student(steps, of, cells)
    varies = _deviations(steps, of, cells) > 1e-5
    own = varies & (np.bincount(of[steps <= 0], minlength=cells) == 0)
    if own.any():
        mean, some = found[:, 0], own[of]
        logs = _means(np.log(steps[some] / mean[of[some]]), of[some], cells)
        found[own] = np.stack(gamma_mean(_counts(of, cells)[own], mean[own], logs[own]), axis=-1)
    return found


def gamma_mean(count: np.ndarray | int, mean: np.ndarray | float, mean_log: np.ndarray | float) -> Intervals:
    """The means of gamma distributions with their 95% profile-likelihood intervals, elementwise.

    From the sufficient statistics of `count` values each: their mean, and the mean of log(value / mean), which is
    negative.
    """

    def profile(log_ratio: np.ndarray, mean_log: np.ndarray) -> np.ndarray:
        """The log-likelihood a value at the mean exp(log_ratio) · mean and its best shape."""
        return _best_scale([np.ones_like(log_ratio)], np.expm1(-log_ratio) + log_ratio - mean_log)[1]

    count, mean_log = np.broadcast_arrays(count, mean_log)
    low, high = _profile_interval(profile, np.zeros(count.shape), np.sqrt(-mean_log / count), count, mean_log)
    return np.broadcast_to(mean, count.shape), mean * np.exp(low), mean * np.exp(high)


def mean_sparsity(errors: np.ndarray, of: np.ndarray, cells: int) -> np.ndarray:
    """The mean sparsity error of the solved seeds of each cell, with the profile-likelihood interval of a beta
    distribution on [0, ½]: [cell, 3]. errors, of, cells: as for `mean_solved_at`.

    Madsen & Johansen 2020, appendix on the statistics. Their code fits the error where its double belongs, which
    halves the published means; here 2 · error is fitted. As there, errors are kept 1e-16 away from the ends, and
    Student's t serves where they do not vary. It does so, too, where an error exceeds ½, as unbounded weights' can.
    """
    found = student(errors, of, cells)
    varies = _deviations(errors, of, cells) > 1e-10
    own = varies & (np.bincount(of[errors > 0.5], minlength=cells) == 0)
    if own.any():
        values = 2 * np.clip(errors, 1e-16, 0.5 - 1e-16)
        logs = [_means(log, of, cells)[own] for log in (np.log(values), np.log1p(-values))]
        found[own] = np.stack(beta_mean(_counts(of, cells)[own], *logs), axis=-1) / 2
    return found


def beta_mean(
    count: np.ndarray | int, mean_log: np.ndarray | float, mean_log_complement: np.ndarray | float
) -> Intervals:
    """The means of beta distributions on [0, 1] with their 95% profile-likelihood intervals, elementwise.

    From the sufficient statistics of `count` values each: the means of log(value) and of log(1 - value).
    """

    def best(logit: np.ndarray, *logs: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """The mean of this logit and its complement, their best concentration, and the log-likelihood a value."""
        parts = [special.expit(logit), special.expit(-logit)]
        apart = parts[0] * (special.log_expit(logit) - logs[0]) + parts[1] * (special.log_expit(-logit) - logs[1])
        return parts, *_best_scale([*parts, -np.ones_like(logit)], np.maximum(apart, np.finfo(float).eps))

    def slope(logit: np.ndarray, *logs: np.ndarray) -> np.ndarray:
        """0 at the best logit, and above it negative."""
        parts, concentration, _ = best(logit, *logs)
        gaps = [_log_less_digamma(concentration * part) for part in parts]
        return logs[0] - logs[1] - logit + gaps[0] - gaps[1]

    count, *logs = np.broadcast_arrays(count, mean_log, mean_log_complement)
    # Jensen: the mean lies above the geometric mean, and its complement above the geometric mean of complements.
    low, high = (log - np.log(-np.expm1(log)) for log in logs)
    middle = _root(slope, low - 1, 1 - high, *logs)
    ends = _profile_interval(lambda *at: best(*at)[-1], middle, 1 / np.sqrt(count), count, *logs)
    return tuple(map(special.expit, (middle, *ends)))  # type: ignore[return-value]


def _profile_interval(
    profile: Callable[..., np.ndarray], best: np.ndarray, stride: np.ndarray, count: np.ndarray, *known: np.ndarray
) -> list[np.ndarray]:
    """Where below and above `best` a log-likelihood of `count` values is by HALF_DROP less than there, elementwise.

    profile: that of one value, of a place and what is `known`. stride: about how far it is.
    """

    def outside(place: np.ndarray, count: np.ndarray, top: np.ndarray, *known: np.ndarray) -> np.ndarray:
        return count * (top - profile(place, *known)) - HALF_DROP

    ends, given = [], (count, profile(best, *known), *known)
    for step in (-stride, stride):
        inner, outer = best, best + step
        while (inside := outside(outer, *given) < 0).any():
            step = np.where(inside, 2 * step, step)
            inner, outer = np.where(inside, outer, inner), np.where(inside, outer + step, outer)
        ends.append(_root(outside, inner, outer, *given))
    return ends


def _root(function: Callable[..., np.ndarray], low: np.ndarray, high: np.ndarray, *known: np.ndarray) -> np.ndarray:
    """Where a function of a place and what is `known` is 0 between these ends, elementwise."""
    tolerances = {"xatol": 1e-13, "xrtol": 1e-13}
    return find_root(function, (low, high), args=known, tolerances=tolerances).x


def _best_scale(parts: Sequence[np.ndarray], apart: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scale c > 0 at which a log-likelihood is greatest, and that up to a constant, elementwise.

    It is log G - c · apart, where G is the product of (p c)^(p c) exp(-p c) / Γ(p c) over the parts p, a negative part
    being one of the reciprocal: of a gamma distribution at a given mean the part is 1 and the scale its shape; of a
    beta distribution they are the mean, its complement and -1, and the scale is their concentration.
    """
    c = 0.75 / apart  # x (log x - ψ(x)) is convex and falls from 1 to 1/2: the best scale is 1/2 to 1 of 1 / apart
    for _ in range(4):  # of Newton's steps on logarithms, from 0.4 off at most to 1e-16
        slope = sum(part * _log_less_digamma(abs(part) * c) for part in parts)
        bend = sum(part * abs(part) * _log_less_digamma(abs(part) * c, 1) for part in parts)
        c = c * np.exp(np.log(apart / slope) * slope / (c * bend))
    return c, sum(np.sign(part) * _stirling(abs(part) * c) for part in parts) - c * apart


LARGE = 50.0  # from where on the asymptotic series below have every digit


def _log_less_digamma(x: np.ndarray, derivative: int = 0) -> np.ndarray:
    """log x - ψ(x) or its derivative, without cancellation (Abramowitz & Stegun 6.3.18, 6.4.12)."""
    small, inverse = np.minimum(x, LARGE), 1 / np.maximum(x, LARGE)
    square = inverse**2
    if derivative:
        series = -square * (1 / 2 + inverse * (1 / 6 - square * (1 / 30 - square / 42)))
        return np.where(x < LARGE, 1 / small - special.zeta(2, small), series)
    series = inverse * (1 / 2 + inverse * (1 / 12 - square * (1 / 120 - square / 252)))
    return np.where(x < LARGE, np.log(small) - special.digamma(small), series)


def _stirling(x: np.ndarray) -> np.ndarray:
    """x log x - x - log Γ(x), without cancellation (Abramowitz & Stegun 6.1.41)."""
    small, large = np.minimum(x, LARGE), np.maximum(x, LARGE)
    series = np.log(large / (2 * np.pi)) / 2 - (1 / 12 - (1 / 360 - 1 / (1260 * large**2)) / large**2) / large
    return np.where(x < LARGE, small * np.log(small) - small - special.gammaln(small), series)


def student(values: np.ndarray, of: np.ndarray, cells: int) -> np.ndarray:
    """The means of positive values with Student's 95% intervals, not below 0: [cell, 3].

    One value has no interval, none no mean. of, cells: as for `mean_solved_at`.
    """
    count, mean = _counts(of, cells), _means(values, of, cells)
    several = np.where(count > 1, count, np.nan)
    reach = special.stdtrit(several - 1, 0.975) * _deviations(values, of, cells) / np.sqrt(several - 1)
    return np.stack([mean, np.maximum(mean - reach, 0), mean + reach], axis=-1)


def _counts(of: np.ndarray, cells: int) -> np.ndarray:
    return np.bincount(of, minlength=cells)


def _means(values: np.ndarray, of: np.ndarray, cells: int) -> np.ndarray:
    """Of each cell the mean of its values; nan where it has none."""
    with np.errstate(invalid="ignore"):
        return np.bincount(of, values, cells) / _counts(of, cells)


def _deviations(values: np.ndarray, of: np.ndarray, cells: int) -> np.ndarray:
    """Of each cell the standard deviation of its values, of the sample."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(_means((values - _means(values, of, cells)[of]) ** 2, of, cells))
