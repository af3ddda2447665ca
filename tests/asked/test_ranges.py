"""Ranges are read as they are spelled, and their distributions have the masses, quantiles and moments of their law."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from benchmark.asked.ranges import Distribution, Grid, Ranges, parse, spelled
from benchmark.errors import UsageError

LAWS = {
    "uniform": stats.uniform(-50, 100),
    "normal": stats.norm(1.5, 2.0),
    "exponential": stats.expon(scale=0.8),
}
DISTRIBUTIONS = [
    Distribution(((1, 2),)),
    Distribution(((-2, 2),)),
    Distribution(((-20, -5), (5, 20))),
    Distribution(((-6, -1), (2, 3), (3, 4))),
    Distribution(((-6, -1), (2, 3)), coin=True),
    Distribution(((-3, 3),), "normal", 1.5, 2.0),
    Distribution(((-3, -1), (2, 9)), "normal", 1.5, 2.0),
    Distribution(((-3, -1), (2, 9)), "normal", 1.5, 2.0, coin=True),
    Distribution(((-math.inf, math.inf),), "normal", 1.5, 2.0),
    Distribution(((0, math.inf),), "exponential", scale=0.8),
    Distribution(((0.1, 0.4), (2, math.inf)), "exponential", scale=0.8),
]


def masses(distribution):
    law = LAWS[distribution.law]
    mass = np.array([law.cdf(high) - law.cdf(low) for low, high in distribution.intervals])
    return np.full(len(mass), 1 / len(mass)) if distribution.coin else mass / mass.sum()


def cdf(distribution, x):
    """The restricted law's distribution function, from scipy's unrestricted one."""
    law, result = LAWS[distribution.law], 0.0
    for (low, high), mass in zip(distribution.intervals, masses(distribution), strict=True):
        share = (law.cdf(np.clip(x, low, high)) - law.cdf(low)) / (law.cdf(high) - law.cdf(low))
        result = result + mass * share
    return result


def sample(distribution, u):
    """The documented inverse: x = quantile((u - origin) slope + low, sign) of the last piece whose cut is not above."""
    x = np.empty_like(u)
    for piece in distribution.pieces():
        own = u >= piece.cut
        x[own] = distribution.quantile((u[own] - piece.origin) * piece.slope + piece.low, piece.sign)
    return x


def described(distribution):
    return f"{distribution.law}{distribution.intervals}{'coin' if distribution.coin else ''}"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ([[1, 2]], Distribution(((1.0, 2.0),))),
        ([[-20, -5], [5, 20]], Distribution(((-20.0, -5.0), (5.0, 20.0)))),
        ([[1, 2], [2, 3]], Distribution(((1.0, 2.0), (2.0, 3.0)))),
        ({"intervals": [[0, 1]]}, Distribution(((0.0, 1.0),))),
        ({"intervals": [[-2, -1], [1, 4]], "coin": True}, Distribution(((-2.0, -1.0), (1.0, 4.0)), coin=True)),
        (
            {"law": "normal", "location": 3, "scale": 0.5, "intervals": [[-1, 4]]},
            Distribution(((-1.0, 4.0),), "normal", 3.0, 0.5),
        ),
        (
            {"law": "exponential", "scale": 0.2, "intervals": [[0, "inf"]]},
            Distribution(((0.0, math.inf),), "exponential", 0.0, 0.2),
        ),
        (
            {"operands": [[[-2, -1]], {"law": "exponential", "intervals": [[0, 3]]}]},
            (Distribution(((-2.0, -1.0),)), Distribution(((0.0, 3.0),), "exponential")),
        ),
        ({"count": 11, "axes": [[-5, 1]]}, Grid(((-5.0, 1.0),), 11)),
        ({"count": 2000, "axes": [[0, 5], [5, 5]]}, Grid(((0.0, 5.0), (5.0, 5.0)), 2000)),
        ({"count": [2, 3], "axes": [[0, 5], [5, 5]]}, Grid(((0.0, 5.0), (5.0, 5.0)), (2, 3))),
    ],
)
def test_every_spelling_is_read(spec, expected):
    assert parse("interpolation", spec) == expected


def test_a_grid_of_several_counts_has_every_combination_the_last_fastest():
    grid = Grid(((0.0, 5.0), (1.0, 1.0)), (2, 3))
    assert grid.rows().tolist() == [[0, 0, 0, 5, 5, 5], [1, 2, 3, 1, 2, 3]]
    assert parse("interpolation", spelled(grid)) == grid and str(grid) == "{0, 5, …, 5} × {1, 2, …, 3}"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ([], "must be a list of intervals"),
        ({"law": "normal"}, "must be a list of intervals"),
        ("1..2", "must be a list of intervals"),
        ([1, 2], "must be a list of intervals"),
        ([[1, 2, 3]], "must be a list of intervals"),
        (None, "must be a list of intervals"),
        ([[1, math.nan]], "must be a number"),
        ([["one", 2]], "must be a number"),
        ([[None, 2]], "must be a number"),
        ([[True, 2]], "must be a number"),
        ([[2, 1]], "low .2. must be below its high .1."),
        ([[1, 1]], "must be below"),
        ([[1, 3], [2, 4]], "must not overlap"),
        ([[3, 4], [1, 2]], "must be in order"),
        ([[0, math.inf]], "must be finite"),
        ({"law": "nomal", "intervals": [[0, 1]]}, "no distribution 'nomal' .did you mean normal"),
        ({"law": "normal", "mean": 2, "intervals": [[0, 1]]}, "no key of interpolation 'mean'"),
        ({"law": "normal", "scale": 0, "intervals": [[0, 1]]}, "must exceed 0"),
        ({"law": "normal", "scale": -1, "intervals": [[0, 1]]}, "must exceed 0"),
        ({"law": "normal", "location": "here", "intervals": [[0, 1]]}, "must be a number"),
        ([[-math.inf, 0]], "must be finite"),
        ({"law": "exponential", "intervals": [[-1, 1]]}, "lives above 0"),
        ({"operands": [[[0, 1]]]}, "must be two distributions"),
        ({"operands": 3}, "must be two distributions"),
        ({"operands": [[[0, 1]], {"count": 3, "axes": [[0, 1]]}]}, "must be two distributions"),
        ({"operands": [[[0, 1]], [[2, 1]]]}, "must be below"),
        ({"operands": [[[0, 1]], [[1, 2]]], "law": "normal"}, "no key of interpolation 'law'"),
        ({"count": 0, "axes": [[0, 1]]}, "must be at least 1"),
        ({"count": 2.5, "axes": [[0, 1]]}, "whole number from 1 to 1,048,576"),
        ({"axes": [[0, 1]]}, "whole number from 1 to 1,048,576"),
        ({"count": 10**13, "axes": [[0, 1]]}, "must be at most 1,048,576"),
        ({"count": 3, "axes": [[1, 0]]}, "steps other than 0"),
        ({"count": [3], "axes": [[0, 1], [0, 1]]}, "one number, or one for each of 2 axes"),
        ({"count": [2000, 2000], "axes": [[0, 1], [0, 1]]}, "must be at most 1,048,576"),
        ({"count": [3, 2], "axes": [[0, 1], [0, 0]]}, "steps other than 0"),
        ({"law": "uniform", "coin": "abc", "intervals": [[1, 2], [3, 4]]}, "must be true or false"),
        ({"count": 3, "axes": [[0]]}, "must be a list of axes"),
        ({"count": 3, "axes": 3}, "must be a list of axes"),
        ({"count": 3, "axes": [[0, math.inf]]}, "must be finite"),
        ({"count": 3, "axes": [["x", 1]]}, "must be a number"),
        ({"count": 3, "axes": [[0, 1]], "law": "uniform"}, "no key of interpolation 'law'"),
    ],
)
def test_what_is_no_range_is_refused_with_a_reason(spec, complaint):
    with pytest.raises(UsageError, match=complaint):
        parse("interpolation", spec)


def test_no_uniform_interval_is_infinite():
    for interval in [(-math.inf, math.inf), (-math.inf, 0), (0, math.inf)]:
        with pytest.raises(UsageError, match="must be finite"):
            Distribution((interval,))


@pytest.mark.parametrize("broken", [{"interpolation": [[2, 1]]}, {"extrapolation": [[0, math.nan]]}])
def test_ranges_refuse_what_parse_refuses(broken):
    with pytest.raises(UsageError):
        Ranges(**({"interpolation": [[1, 2]], "extrapolation": [[2, 6]]} | broken))


@pytest.mark.parametrize("profile", [[], [[1, 2], [3, 4]], [1, 2], [["a", 2]]])
def test_a_profile_is_one_interval(profile):
    with pytest.raises(UsageError):
        Ranges([[1, 2]], [[2, 6]], profile)


@pytest.mark.parametrize(
    ("domain", "left"),
    [
        (((0, math.inf),), ((5, 20),)),
        (((-math.inf, math.inf),), ((-20, -5), (5, 20))),
        (((-7, 7),), ((-7, -5), (5, 7))),
        (((-math.inf, -10), (10, math.inf)), ((-20, -10), (10, 20))),
        (((6, 7), (8, 9)), ((6, 7), (8, 9))),
        (((-5, 5),), None),  # a point is no interval
        (((-1, 1),), None),
    ],
)
def test_within_is_the_intersection(domain, left):
    restricted = Distribution(((-20, -5), (5, 20))).within(domain)
    assert (restricted and restricted.intervals) == left


def test_within_keeps_the_law():
    normal = Distribution(((-3, 3),), "normal", 1.0, 2.0, coin=True)
    assert normal.within(((0, math.inf),)) == Distribution(((0, 3),), "normal", 1.0, 2.0, coin=True)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=described)
def test_each_interval_has_its_mass(distribution):
    pieces = distribution.pieces()
    assert pieces[0].cut == 0
    assert [piece.width for piece in pieces] == pytest.approx(masses(distribution), abs=2.0**-32)
    assert sum(piece.width for piece in pieces) == 1
    assert all(piece.cut * 2**32 % 1 == 0 for piece in pieces)


def test_intervals_are_chosen_by_length_unless_by_a_fair_coin():
    intervals = ((-6, -1), (2, 3))
    u = (np.arange(6000) + 0.5) / 6000
    assert (sample(Distribution(intervals), u) < 0).mean() == pytest.approx(5 / 6)
    assert (sample(Distribution(intervals, coin=True), u) < 0).mean() == pytest.approx(1 / 2)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=described)
def test_the_inverse_distribution_function_inverts_scipys(distribution):
    u = (np.arange(10_000) + 0.5) / 10_000
    x = sample(distribution, u)
    assert (np.diff(x) > 0).all()
    assert any(low <= x[0] <= high for low, high in distribution.intervals)
    assert cdf(distribution, x) == pytest.approx(u, abs=2.0**-32)


@pytest.mark.parametrize(("law", "arguments"), [("normal", (1.5, 2.0)), ("exponential", (0.0, 0.8))])
def test_quantiles_undo_the_distribution_function(law, arguments):
    distribution = Distribution(((0, math.inf),), law, *arguments)
    x = np.linspace(0.01, 4, 50)
    assert distribution.quantile(LAWS[law].cdf(x)) == pytest.approx(x, rel=1e-10)
    assert distribution.quantile(LAWS[law].sf(x), -1) == pytest.approx(x, rel=1e-10)


@pytest.mark.parametrize("law", ["normal", "exponential"])
@pytest.mark.parametrize("interval", [(8, 9), (7, math.inf), (30, 31)])
def test_upper_tails_are_as_fine_as_lower_ones(law, interval):
    distribution, reference = (
        Distribution((interval,), law),
        {"normal": stats.norm(), "exponential": stats.expon()}[law],
    )
    u = (np.arange(10_000) + 0.5) / 10_000
    x = sample(distribution, u)
    assert len(np.unique(x.astype(np.float32))) > 9_000
    assert np.isfinite(x).all()
    low, high = reference.sf(interval)
    assert (low - reference.sf(x)) / (low - high) == pytest.approx(u, abs=1e-9)
    if law == "normal":
        mirrored = Distribution(((-interval[1], -interval[0]),), law)
        assert sample(mirrored, u[::-1]) == pytest.approx(-x, rel=1e-12)


@pytest.mark.parametrize("power", [1, 2, 4])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=described)
def test_moments_are_integrals_of_the_density(distribution, power):
    law, expected = LAWS[distribution.law], 0.0
    for (low, high), mass in zip(distribution.intervals, masses(distribution), strict=True):
        ends = sorted({low, high} | ({0.0} if low < 0 < high else set()))
        density = mass / (law.cdf(high) - law.cdf(low))
        for a, b in pairwise(ends):
            expected += density * integrate.quad(lambda x: abs(x) ** power * law.pdf(x), a, b, limit=500)[0]
    assert distribution.moment(power) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "distribution",
    [
        Distribution(((1, 2),)),
        Distribution(((-20, -5), (5, 20))),
        Distribution(((-6, -1), (2, 3)), coin=True),
        Distribution(((0.5, 3),), "normal", 1.5, 2.0),
        Distribution(((-3, -1), (2, 9)), "normal", 1.5, 2.0),
        Distribution(((0.1, 0.4), (2, 5)), "exponential", scale=0.8),
    ],
    ids=described,
)
@pytest.mark.parametrize("power", [-1, -2, -3])
def test_negative_moments_are_means_over_the_distribution_away_from_zero(distribution, power):
    u = (np.arange(200_000) + 0.5) / 200_000
    assert distribution.moment(power) == pytest.approx((np.abs(sample(distribution, u)) ** power).mean(), rel=1e-4)


@pytest.mark.parametrize("intervals", [((-2, 2),), ((0, 1),), ((-1, 0),), ((-6, -2), (-1, 3))])
@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_the_mean_of_a_quotient_does_not_exist_around_zero(intervals, law):
    distribution = Distribution(intervals, law)
    assert distribution.moment(-1) == distribution.moment(-2) == math.inf


@pytest.mark.parametrize(
    ("distribution", "hull"),
    [
        (Distribution(((-20, -5), (5, 20))), (-20, 20)),
        (Distribution(((-3, 1),), "normal"), (-3, 1)),
        (
            Distribution(((-math.inf, 1),), "normal", 1.5, 2.0),
            (stats.norm(1.5, 2.0).ppf(1e-3 * stats.norm(1.5, 2.0).cdf(1)), 1),
        ),
        (Distribution(((5, math.inf),), "normal"), (5, stats.norm.isf(1e-3 * stats.norm.sf(5)))),
        (Distribution(((0, math.inf),), "exponential", scale=0.8), (0, stats.expon(scale=0.8).ppf(0.999))),
    ],
)
def test_the_hull_is_the_lowest_and_highest_value(distribution, hull):
    assert distribution.hull == pytest.approx(hull)


def test_a_distribution_without_mass_on_its_intervals_is_refused():
    with pytest.raises(UsageError, match="no mass"):
        Distribution(((50, 60),), "normal").pieces()


def test_the_tutorial_trains_on_its_two_thousand_rows_and_tests_on_its_125():
    train = parse("interpolation", {"axes": [[0, 5], [5, 5]], "count": 2000}).rows()
    assert train.shape == (2, 2000)
    assert (train[0] == np.arange(0, 10_000, 5)).all()
    assert (train[1] == train[0] + 5).all()
    assert train[:, -1].tolist() == [9995, 10_000]
    test = parse("extrapolation", {"axes": [[1000, 8], [1000, 4]], "count": 125}).rows()
    assert (test[0] == np.arange(1000, 1993, 8)).all()
    assert (test[1] == np.arange(1000, 1497, 4)).all()


def test_a_grid_is_described_by_its_ends():
    assert str(Grid(((0, 5), (5, 5)), 2000)) == "{0, 5, …, 9995} × {5, 10, …, 10000}"


def test_an_exponential_law_has_no_location():
    with pytest.raises(UsageError, match="has no location"):
        Distribution(((0, 1),), "exponential", location=1.0)


def test_a_coin_is_refused_where_a_domain_splits_one_of_its_intervals():
    distribution = Distribution(((-2.0, 2.0), (4.0, 6.0)), coin=True)
    assert distribution.within(((-9.0, 9.0),)) == distribution
    with pytest.raises(UsageError, match="within an interval of a coin; name the intervals on either side"):
        distribution.within(((-9.0, -0.1), (0.1, 9.0)))
