"""The functions made of correctly rounded operations are those of scipy and numpy, to the last digits."""

import math

import numpy as np
import pytest
import torch
from scipy import special

from benchmark import exact
from benchmark.asked.streams import Draw

RANDOM = np.random.default_rng(0)
TINY, HUGE = 5e-324, np.finfo(float).max
UNDEFINED = [math.nan] * 3
MAGNITUDES = np.concatenate([2.0 ** RANDOM.uniform(-1074, 1023.9, 40_000), [TINY, 2.0**-1022, HUGE]])
NEAR_ZERO = RANDOM.choice([-1, 1], 20_000) * 10 ** RANDOM.uniform(-320, -0.05, 20_000)
NEAR_ONE = np.concatenate([1 + NEAR_ZERO, RANDOM.uniform(0.4, 3, 20_000), [np.nextafter(1, 0), np.nextafter(1, 2)]])
EXPONENTS = np.concatenate([RANDOM.uniform(-745, 709.78, 40_000), RANDOM.uniform(-2, 2, 20_000), NEAR_ZERO])
TAILS = np.concatenate([10 ** RANDOM.uniform(-300, -0.31, 40_000), RANDOM.uniform(0, 1, 40_000)])
# Those near whole quarters of a turn too, where sine or cosine is next to nothing.
ANGLES = np.concatenate([RANDOM.uniform(-1e6, 1e6, 20_000), RANDOM.integers(-600_000, 600_000, 20_000) * (math.pi / 2)])


def ulps(value, expected):
    """Largest distance in units of the last place of what is expected."""
    return (np.abs(value - expected) / np.spacing(np.abs(expected))).max()


def relative(value, expected):
    return np.abs(value / expected - 1).max()


# numpy's and scipy's own errors, of up to an ulp, are in these bounds.
@pytest.mark.parametrize(
    ("ours", "reference", "x", "bound"),
    [
        (exact.log, np.log, MAGNITUDES, 2),
        (exact.log, np.log, NEAR_ONE[NEAR_ONE != 1], 2),
        (exact.log1p, np.log1p, NEAR_ZERO, 3),
        (exact.log1p, np.log1p, RANDOM.uniform(-1, 10, 40_000), 3),
        (exact.log1p, np.log1p, MAGNITUDES, 3),
        (exact.exp, np.exp, EXPONENTS, 2),
        (exact.expm1, np.expm1, EXPONENTS, 3),
        (exact.tanh, np.tanh, EXPONENTS, 4),
        (exact.sin, np.sin, ANGLES, 3),
        (exact.cos, np.cos, ANGLES, 3),
    ],
)
def test_elementary_functions_are_numpys_to_a_few_ulps(ours, reference, x, bound):
    assert ulps(ours(x), reference(x)) <= bound


@pytest.mark.parametrize(
    ("function", "x", "expected"),
    [
        (exact.log, [0, 1, -0.0, math.inf, -1, -math.inf, math.nan], [-math.inf, 0, -math.inf, math.inf, *UNDEFINED]),
        (exact.log1p, [0, -1, math.inf, -2, -math.inf, math.nan], [0, -math.inf, math.inf, *UNDEFINED]),
        (exact.exp, [0, -math.inf, math.inf, 709.8, -745.2, math.nan], [1, 0, math.inf, math.inf, 0, math.nan]),
        (exact.exp, [-745, -740], [TINY, np.exp(-740)]),
        (exact.expm1, [0, TINY, -math.inf, math.inf, 710, math.nan], [0, TINY, -1, math.inf, math.inf, math.nan]),
        (exact.tanh, [0, 1e-300, 40, -HUGE, math.inf, -math.inf, math.nan], [0, 1e-300, 1, -1, 1, -1, math.nan]),
        (exact.sin, [0, TINY, math.inf, -math.inf, math.nan], [0, TINY, *UNDEFINED]),
        (exact.cos, [0, TINY, math.inf, -math.inf, math.nan], [1, 1, *UNDEFINED]),
        (exact.normal_cdf, [0, -math.inf, math.inf, -40, 9, math.nan], [0.5, 0, 1, 0, 1, math.nan]),
        (exact.normal_quantile, [0, 0.5, 1, -0.1, 1.1, math.nan], [-math.inf, 0, math.inf, *UNDEFINED]),
    ],
)  # fmt: skip
def test_ends_and_what_lies_beyond(function, x, expected):
    assert np.array_equal(function(x), expected, equal_nan=True)


def test_the_smallest_number_has_a_quantile():
    assert exact.normal_quantile(TINY) == pytest.approx(special.ndtri_exp(math.log(TINY)), rel=1e-13)


def test_the_normal_distribution_function_is_scipys_in_both_tails():
    x = np.concatenate([RANDOM.uniform(-37.5, 8, 40_000), RANDOM.uniform(-1, 1, 10_000), NEAR_ZERO])
    # scipy's own tail loses digits, as it squares its argument; the error function's scaled complement does not.
    assert relative(exact.normal_cdf(x), special.ndtr(x)) < 3e-13
    whole = np.arange(-37.0, 1.0)
    assert (
        relative(exact.normal_cdf(whole), 0.5 * special.erfcx(-whole / math.sqrt(2)) * np.exp(-whole * whole / 2))
        < 3e-15
    )


def test_the_normal_quantile_is_scipys_in_both_tails():
    assert relative(exact.normal_quantile(TAILS), special.ndtri(TAILS)) < 3e-15
    upper = 1 - 2.0 ** RANDOM.uniform(-53, -1, 10_000)
    assert relative(exact.normal_quantile(upper), special.ndtri(upper)) < 3e-15


def test_the_quantile_undoes_the_distribution_function():
    x = np.linspace(-37, 0, 5001)
    assert np.allclose(exact.normal_quantile(exact.normal_cdf(x)), x, rtol=5e-15, atol=5e-16)


def test_the_quantile_is_odd_and_grows():
    p = np.arange(1, 2**12) / 2**12
    x = exact.normal_quantile(p)
    assert (x == -x[::-1]).all()
    assert (np.diff(x) > 0).all()


@pytest.mark.parametrize(
    ("function", "x"),
    [
        *((function, MAGNITUDES) for function in (exact.log, exact.log1p)),
        *((function, EXPONENTS) for function in (exact.exp, exact.expm1, exact.tanh, exact.normal_cdf)),
        (exact.normal_quantile, TAILS),
    ],
)
def test_an_elements_bits_depend_on_nothing_but_the_element(function, x):
    x = x[:1001]
    whole = function(x)
    assert whole.dtype == np.float64
    assert (function(x[1:]) == whole[1:]).all()
    assert (function(x[::3]) == whole[::3]).all()
    assert (function(x[1:].reshape(10, 4, 25)) == whole[1:].reshape(10, 4, 25)).all()
    assert [float(function(value)) for value in x[:100].tolist()] == whole[:100].tolist()
    assert function(x[:0]).shape == (0,)


# As an x86-64 processor computed them; every other one must, too.
@pytest.mark.parametrize(
    ("function", "x", "bits"),
    [
        (exact.log, [0.1, 3.0, 1e-310], ["-0x1.26bb1bbb55515p+1", "0x1.193ea7aad030ap+0", "-0x1.64e69394d9508p+9"]),
        (exact.log1p, [1e-10, -0.7, 5.0], ["0x1.b7cdfd9d1d693p-34", "-0x1.34378fcbda720p+0", "0x1.cab0bfa2a2002p+0"]),
        (exact.exp, [0.1, -30.3, 700.7], ["0x1.1aec7b35a00d4p+0", "0x1.3833f323dbf98p-44", "0x1.dc86ff276fcf3p+1010"]),
        (exact.expm1, [1e-10, -0.7, 2.5], ["0x1.b7cdfd9dda4e3p-34", "-0x1.01bf92311555fp-1", "0x1.65d6fd931e0bbp+3"]),
        (exact.tanh, [0.3, 5.0], ["0x1.2a4dda7d914fap-2", "0x1.fff419668df11p-1"]),
        (
            exact.normal_cdf,
            [-30.3, -1.1, 0.7],
            ["0x1.676969d381f80p-669", "0x1.15d8167788ec0p-3", "0x1.841d5715c32a8p-1"],
        ),
        (
            exact.normal_quantile,
            [1e-300, 0.01, 0.6],
            ["-0x1.286074064c26ep+5", "-0x1.29c5c4630ff0ep+1", "0x1.036d6c4a04b59p-2"],
        ),
    ],
)
def test_some_bits_are_written_down(function, x, bits):
    assert [float(value).hex() for value in function(x)] == bits


def test_some_bits_of_initial_parameters_are_written_down():
    Q, rows = Draw(torch.arange(1)).orthogonal((2, 2)), Draw(torch.arange(1)).truncated_normal((2,), 0.02)
    expected = ["-0x1.aa4e6f282b3edp-1", "-0x1.1b8fa0c40525cp-1", "-0x1.1b8fa0c40525dp-1", "0x1.aa4e6f282b3ecp-1"]
    assert [value.hex() for value in Q.flatten().tolist()] == expected
    assert [value.hex() for value in rows.flatten().tolist()] == ["-0x1.15bc91a62f087p-6", "-0x1.47514a0706a03p-5"]
    assert [value.hex() for value in exact.power(0.999, [10, 1000]).tolist()] == [
        "0x1.fae7299c256e4p-1",
        "0x1.788526411edacp-2",
    ]


@pytest.mark.parametrize("base", [0.9, 0.999, 0.5, 2.0, -1.5])
def test_powers_are_pythons(base):
    n = np.arange(500)
    expected = np.array([base**k for k in n.tolist()])
    assert (np.abs(exact.power(base, n) / expected - 1) <= np.maximum(n, 1) * 2.0**-52).all()
    assert exact.power(base, 3) == base * (base * base)
    assert exact.power(base, [[0, 1]]).tolist() == [[1, base]]


def test_a_power_of_very_many_factors_vanishes():
    assert exact.power(0.999, [10**6, 2**40]).tolist() == [0, 0]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 64, 1000])
def test_totals_are_sums_in_halves(size):
    values = RANDOM.normal(size=(5, size)) * 10 ** RANDOM.uniform(-5, 5, (5, size))
    sums = exact.total(values)
    for row, found in zip(values, sums, strict=True):
        assert abs(found - math.fsum(row)) <= 2.0**-53 * max(1, size).bit_length() * np.abs(row).sum()
    assert (exact.total(values.T, axis=0) == sums).all()
    padded = np.pad(values, ((0, 0), (0, (1 << max(0, size - 1).bit_length()) - size)))
    assert (exact.total(padded) == sums).all()
    assert (exact.total(torch.from_numpy(values)).numpy() == sums).all()


def test_a_total_does_not_change_what_it_sums():
    values = np.arange(5.0)
    assert exact.total(values) == 10
    assert values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (4, 4), (7, 3), (100, 20), (40, 40)])
def test_columns_become_orthonormal_with_a_positive_diagonal(shape):
    columns = RANDOM.normal(size=(50, *shape))
    Q = exact.orthonormal(columns)
    assert np.abs(Q.mT @ Q - np.eye(shape[1])).max() < 1e-14
    R = Q.mT @ columns
    assert (np.diagonal(R, axis1=1, axis2=2) > 0).all()
    assert np.allclose(Q @ R, columns, rtol=0, atol=1e-13)
    assert np.abs(np.tril(R, -1)).max() < 1e-12


@pytest.mark.parametrize("shape", [(1, 1), (50, 3), (200, 20), (4, 4)])
def test_least_squares_are_numpys(shape):
    columns, target = RANDOM.normal(size=shape) + 3, RANDOM.normal(size=shape[0])
    assert exact.least_squares(columns, target) == pytest.approx(np.linalg.lstsq(columns, target)[0], rel=1e-9)


def test_a_column_that_others_make_up_gets_nothing_and_what_is_no_number_is_seen():
    columns, target = RANDOM.normal(size=(30, 2)), RANDOM.normal(size=30)
    first, second = exact.least_squares(columns, target).tolist()
    assert exact.least_squares(columns[:, [0, 0, 1]], target).tolist() == [first, 0.0, second]
    assert np.isnan(exact.least_squares(np.full((3, 1), np.nan), np.ones(3))).all()
    assert np.isnan(exact.least_squares(columns, np.full(30, np.nan))).all()


def test_nearly_dependent_columns_become_orthonormal():
    columns = RANDOM.normal(size=(1000, 4, 1)) + 1e-7 * RANDOM.normal(size=(1000, 4, 4))
    Q = exact.orthonormal(columns)
    assert np.abs(Q.mT @ Q - np.eye(4)).max() < 1e-14


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (4, 1), (1, 6)])
def test_orthogonal_draws_have_orthonormal_rows_or_columns_spread_evenly(shape):
    drawn = Draw(torch.arange(4000)).orthogonal(shape)
    assert drawn.shape == (4000, *shape) and drawn.is_contiguous()
    Q = drawn if shape[0] >= shape[1] else drawn.mT
    assert (Q.mT @ Q - torch.eye(min(shape)).double()).abs().max() < 1e-14
    # An element of an evenly spread orthonormal matrix has mean 0, variance 1/n and fourth moment 3 / (n (n + 2)).
    n = max(shape)
    assert drawn.mean(0).abs().max() < 5 / math.sqrt(4000 * n)
    assert (drawn**2).mean(0).numpy() == pytest.approx(1 / n, rel=0.12)
    assert (drawn**4).mean().item() == pytest.approx(3 / (n * (n + 2)), rel=0.05)


def test_a_seeds_orthogonal_draw_does_not_depend_on_the_other_seeds():
    together, alone = Draw(torch.arange(9)).orthogonal((5, 3)), Draw(torch.tensor([6])).orthogonal((5, 3))
    assert torch.equal(together[6], alone[0])


def test_normal_draws_are_quantiles_of_uniform_ones():
    uniform = Draw(torch.arange(100)).uniform((50,), 0, 1)
    drawn = Draw(torch.arange(100)).normal((50,), 0.5, 2.0)
    assert drawn.dtype == torch.float64
    assert torch.allclose(drawn, torch.special.ndtri(uniform) * 2 + 0.5, rtol=1e-14, atol=1e-14)
