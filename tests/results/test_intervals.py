"""Intervals are those of their papers: the published ones where these are right, and honest at the edges."""

import hashlib

import numpy as np
import pytest
from scipy import special, stats
from scipy.optimize.elementwise import find_root

from benchmark.results import intervals

ROUGHLY = {"xatol": 1e-6}


def of_each(mean, samples):
    """A mean with its interval of each sample: [sample, 3]."""
    of = np.repeat(np.arange(len(samples)), [len(sample) for sample in samples])
    return mean(np.concatenate(samples), of, len(samples))


def test_bootstrap_intervals_cover_the_true_median_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    _, low, high = intervals.estimate(rng.exponential(size=(200, 1, 40)), [(str(cell),) for cell in range(200)])[:, 0].T
    assert 0.88 <= np.mean((low <= np.log(2)) & (np.log(2) <= high)) <= 0.99


def test_infinite_and_single_and_absent_values_have_honest_estimates():
    values = np.array([[1.0, 2, 3, np.inf], [1, 2, 3, 4], [np.inf] * 4])
    some, whole, none = intervals.estimate(values[None], [("c",)])[0]
    assert some.tolist() == intervals.estimate(np.array([[[1.0, 2, 3]]]), [("c",)])[0, 0].tolist()
    assert whole[0] == 2.5 and np.isfinite(whole).all()
    assert np.isinf(none[0]) and np.isnan(none[1:]).all()
    assert np.isnan(intervals.estimate(np.array([[[3.0]]]), [("c",)])[0, 0]).tolist() == [False, True, True]
    assert np.isnan(intervals.estimate(np.empty((1, 1, 0)), [("c",)])).all()


@pytest.mark.parametrize("seeds", [1, 2, 25, 100])
def test_rates_have_wilsons_interval_and_means_students_to_the_last_bit_of_scipys(seeds):
    for solved in range(seeds + 1):
        theirs = stats.binomtest(solved, seeds).proportion_ci(0.95, "wilson")
        assert intervals.success_rate(solved, seeds) == (solved / seeds, theirs.low, theirs.high)
    assert special.stdtrit(seeds, 0.975) == stats.t.ppf(0.975, seeds)
    assert stats.chi2.ppf(0.95, 1) == 2 * intervals.HALF_DROP


@pytest.mark.parametrize("seeds", [25, 130])
def test_an_estimate_is_the_same_whatever_cells_and_metrics_are_taken_together(seeds, monkeypatch):
    values = np.random.default_rng(1).normal(size=(3, 3, seeds))
    values[:, 1] = np.exp(values[:, 0])  # of the same order
    values[2, 2, :5] = np.inf
    cells = [("a", str(number)) for number in range(3)]
    together = intervals.estimate(values, cells)
    monkeypatch.setattr(intervals, "AT_ONCE", 200 * seeds)
    for number, cell in enumerate(cells):
        for metric in range(3):
            alone = intervals.estimate(values[[number], metric : metric + 1], [cell])[0, 0]
            assert np.array_equal(together[number, metric], alone)


# Madsen & Johansen 2020, table 1 and the appendix's table of all models: (solved seeds, mean, low, high) of the
# sparsity error. Their fit takes x for 2x, which halves mean and interval alike; doubled, they are those of a beta
# distribution of x on [0, 1].
PUBLISHED_SPARSITY = {
    "NAC• NMU, sqrt": (3, 0.167521, 0.159449, 0.175798),
    "NAC•, sqrt": (7, 0.240724, 0.223703, 0.257859),
    "NAC+, add": (100, 0.226559, 0.220071, 0.23309),
    "NAC+, sub": (100, 0.229801, 0.224386, 0.235242),
    "Linear, add": (100, 0.248904, 0.248548, 0.249259),
    "Linear, sub": (7, 0.176111, 0.11805, 0.248257),
    "NALU, add": (14, 0.173734, 0.149224, 0.200603),
    "NALU, sub": (14, 0.214724, 0.193204, 0.236983),
    "NAU, sub": (100, 0.0662118, 0.0474886, 0.0915599),
    "ReLU, add": (62, 0.245327, 0.242962, 0.247693),
}


def test_the_intervals_of_the_mean_sparsity_are_the_published_ones():
    """A beta fit has two sufficient statistics. Those that give the published mean and low end give the high end."""
    seeds, mean, low, high = np.array([*PUBLISHED_SPARSITY.values()]).T * [[1], [2], [2], [2]]

    def fit(log_concentration, seeds, mean):
        a, b = mean * np.exp(log_concentration), (1 - mean) * np.exp(log_concentration)
        logs = special.digamma([a, b]) - special.digamma(a + b)
        return intervals.beta_mean(seeds, *logs)

    off = lambda c, seeds, mean, low: fit(c, seeds, mean)[1] - low
    bracket = np.full(len(low), -1.0), np.full(len(low), 15.0)
    c = find_root(off, bracket, args=(seeds, mean, low), tolerances=ROUGHLY).x
    ours = fit(c, seeds, mean)
    assert ours[0] == pytest.approx(mean, rel=1e-5)
    assert ours[2] - mean == pytest.approx(high - mean, rel=0.01)


# (solved seeds, mean, low, high) of the first solved step, for the rows whose ends fit one gamma distribution; the
# other fits had not converged.
PUBLISHED_SOLVED_AT = {
    "NMU, sub": (56, 1.00193e6, 1.00135e6, 1.00251e6),
    "NAC+, add": (100, 492493, 447626, 544457),
    "NAU, add": (100, 390919, 353874, 434567),
    "ReLU, add": (62, 76368.1, 69396.7, 84715.3),
}


def test_the_intervals_of_the_mean_solved_at_are_the_published_ones():
    seeds, mean, low, high = np.array([*PUBLISHED_SOLVED_AT.values()]).T
    fit = lambda c, seeds, mean: intervals.gamma_mean(seeds, mean, -np.exp(c))
    off = lambda c, seeds, mean, low: fit(c, seeds, mean)[1] - low
    bracket = np.full(len(low), -15.0), np.full(len(low), 1.0)
    c = find_root(off, bracket, args=(seeds, mean, low), tolerances=ROUGHLY).x
    assert fit(c, seeds, mean)[2] - mean == pytest.approx(high - mean, rel=0.06)


def test_the_mean_of_a_gamma_fit_is_the_samples_mean_as_the_published_ones_should_have_been():
    steps = np.random.default_rng(0).gamma(0.5, 4e5, size=100) + 1000
    mean, low, high = of_each(intervals.mean_solved_at, [steps])[0]
    assert mean == pytest.approx(steps.mean(), rel=1e-14)
    assert low < mean < high


@pytest.mark.parametrize(("shape", "seeds"), [(0.7, 30), (5.0, 20), (400.0, 100)])
def test_profile_intervals_of_gamma_means_cover_as_often_as_they_say(shape, seeds):
    samples = np.random.default_rng(1).gamma(shape, 1000 / shape, size=(300, seeds))
    _, low, high = of_each(intervals.mean_solved_at, samples).T
    assert 0.91 <= np.mean((low <= 1000) & (high >= 1000)) <= 0.985


@pytest.mark.parametrize(("a", "b"), [(2, 40), (0.5, 3), (30, 2)])
def test_profile_intervals_of_beta_means_cover_as_often_as_they_say(a, b):
    mean, low, high = of_each(intervals.mean_sparsity, np.random.default_rng(2).beta(a, b, size=(300, 30)) / 2).T
    assert ((low < mean) & (mean < high)).all()
    true = a / (a + b) / 2
    assert 0.91 <= np.mean((low <= true) & (true <= high)) <= 0.985


def test_a_beta_fit_is_scipys():
    errors = np.random.default_rng(3).beta(2, 9, size=50) / 2
    a, b, _, _ = stats.beta.fit(2 * errors, floc=0, fscale=1)
    assert of_each(intervals.mean_sparsity, [errors])[0, 0] == pytest.approx(a / (a + b) / 2, rel=1e-5)


# (mean, low, high) in 40 digits, rounded.
EXACT = {
    1: (0.07436867383963777, 0.033021802124789904, 0.1675421597389858),
    1e-08: (7.739285709593313e-10, 3.151313328716791e-10, 2.7810937132192485e-09),
    1000000.0: (0.2000005, 0.20000024301846112, 0.20000075698168565),
}


@pytest.mark.parametrize("scale", EXACT)
def test_profile_intervals_are_right_to_nine_digits_whether_errors_are_large_tiny_or_hardly_vary(scale):
    errors = np.linspace(0.1, 1, 8) ** 3 / 4 * scale if scale <= 1 else 0.2 + np.linspace(0, 1 / scale, 8)
    assert of_each(intervals.mean_sparsity, [errors])[0] == pytest.approx(EXACT[scale], rel=1e-9)


def test_tiny_and_extreme_sparsity_errors_have_finite_intervals():
    samples = [np.linspace(0, 1e-6, 30), np.array([0.0] * 9 + [0.5]), 0.5 - np.linspace(0, 1e-5, 10)]
    mean, low, high = of_each(intervals.mean_sparsity, samples).T
    assert ((low >= 0) & (low < mean) & (mean < high) & (high <= 0.5)).all()


def test_values_that_do_not_vary_and_weights_beyond_one_get_students_t():
    same = of_each(intervals.mean_solved_at, [np.full(3, 1.003e6)])  # as published for NAC• NMU, √
    assert same.tolist() == [[1.003e6, 1.003e6, 1.003e6]]
    errors = np.array([0.1, 0.9, 1.2])
    reach = stats.t.ppf(0.975, 2) * stats.sem(errors)
    found = of_each(intervals.mean_sparsity, [np.full(5, 0.2), errors])
    assert found == pytest.approx(np.array([[0.2] * 3, [errors.mean(), 0.0, errors.mean() + reach]]))


def test_seeds_that_were_solved_before_they_were_trained_get_students_t():
    samples = [np.array([100.0, 300.0]), np.array([0.0, 100.0, 200.0])]
    gammas, students = (of_each(mean, samples) for mean in (intervals.mean_solved_at, intervals.student))
    assert (gammas == students).all(axis=1).tolist() == [False, True]


def test_one_value_has_no_interval_and_none_no_mean():
    for function in (intervals.mean_solved_at, intervals.mean_sparsity):
        one, none = of_each(function, [np.array([0.25]), np.array([])])
        assert one[0] == 0.25 and np.isnan(one[1:]).all() and np.isnan(none).all()


@pytest.mark.filterwarnings("ignore:The BCa confidence interval")
@pytest.mark.parametrize("sizes", [(5,), (12,), (25,), (9, 14)])
def test_the_bootstrap_of_medians_is_scipys(sizes):
    rng = np.random.default_rng(4)
    samples = tuple(np.exp(rng.normal(0, 5, (3, size))) for size in sizes)
    samples[0][1, :2] = np.inf
    seed = int.from_bytes(hashlib.sha256(b"a\nb").digest()[:8], "little")

    def statistic(*of, axis):
        medians = [np.median(one, axis=axis) for one in of]
        return medians[0] if len(medians) == 1 else np.subtract(*medians)

    options = {"n_resamples": 2000, "batch": 100, "method": "percentile", "axis": -1}
    with np.errstate(invalid="ignore"):
        result = stats.bootstrap(samples, statistic, rng=np.random.default_rng(seed), **options)
    scipys = result.bootstrap_distribution
    ends = np.sort(scipys)[:, [49, 1950]]
    assert np.array_equal(intervals.bootstrap(samples, np.zeros(3, dtype=int), [("a", "b")]), ends)


def test_boschloo_is_scipys_and_sees_no_difference_where_all_or_none_are_solved():
    assert intervals.boschloo(3, 25, 15, 25) == stats.boschloo_exact([[3, 15], [22, 10]]).pvalue
    assert intervals.boschloo(0, 25, 0, 25) == intervals.boschloo(25, 25, 100, 100) == 1


def test_beyond_a_stated_size_success_rates_are_tested_by_the_score_test_which_agrees_there(monkeypatch):
    assert intervals.rates_test(3, 25, 15, 25) == intervals.boschloo(3, 25, 15, 25)
    for a, b in ((50, 60), (50, 70), (10, 25)):
        exact = intervals.rates_test(a, 100, b, 100)
        with monkeypatch.context() as smaller:
            smaller.setattr(intervals, "EXACT_SEEDS", 199)
            assert 0 < abs(intervals.rates_test(a, 100, b, 100) - exact) < 0.1 * exact
    monkeypatch.setattr(intervals, "boschloo", None)
    assert intervals.rates_test(50_000, 100_000, 50_500, 100_000) == pytest.approx(0.0253, rel=0.01)


def test_few_seeds_never_have_a_narrow_difference():
    assert intervals.difference_of_rates(10, 10, 10, 10)[2] > 0.25
    assert intervals.difference_of_rates(25, 25, 25, 25)[2] < 0.25
