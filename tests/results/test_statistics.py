"""Judgement and summaries say what their definitions say, for finite, infinite and missing numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.asked.replicas import CELL
from benchmark.results import statistics
from benchmark.showing import texts

FACTS = {
    "inputs": 2, "operands": 2, "trained": "[1, 2]", "judged": "[2, 6]", "middle": 1.5, "half_width": 0.5,
    "representable": "yes", "representable_trained": "yes", "why": "", "variance_trained": "finite",
    "variance_judged": "finite", "fits": 0.05, "dtype": "float32", "device": "cpu", "engine": "eager",
    "torch": "2", "benchmark": "0", "digest": "d", "semantics": 1,
}  # fmt: skip


def judged(curves, threshold=1e-4, target=1.0, best=-1, **facts):
    """Outcomes of replicas given as lists of (interpolation, extrapolation) at steps 0, 10, 20, …"""
    runs, rows = [], []
    for seed, curve in enumerate(curves):
        steps = 10 * np.arange(len(curve))
        runs.append(
            dict.fromkeys(CELL, "c") | FACTS | facts
            | {"seed": seed, "run": seed, "best_step": steps[best], "steps": steps[-1], "threshold": threshold}
            | {"target_interpolation": target, "target_extrapolation": target, "seconds": 1.0}
        )  # fmt: skip
        inside, outside = np.array(curve, dtype=float).T
        rows.append(
            pd.DataFrame(
                {"run": seed, "step": steps, "interpolation": inside, "extrapolation": outside, "sparsity": 0.1}
            )
        )
    return statistics.outcomes(pd.DataFrame(runs), pd.concat(rows, ignore_index=True))


@pytest.mark.parametrize(
    ("curve", "facts", "verdict"),
    [
        ([(1, 9), (1e-6, 1e-5)], {}, "solved"),
        ([(1, 9), (np.inf, 1e-5)], {}, "diverged"),
        ([(1, 9), (np.inf, 1e-5), (1e-6, 1e-5)], {}, "diverged"),
        ([(1, 9), (1e-8, 9e-7)], {"threshold": 1e-9}, "near_miss"),
        ([(1, 9), (1e-5, 1e-5)], {"threshold": 1e-9}, "inexact"),
        ([(1, 9), (0.5, 1e-3)], {"representable": "no"}, "inexact"),
        ([(1, 9), (1e-3, 0.05**2)], {}, "interpolates"),
        ([(1, 9), (1e-3, 5)], {}, "interpolates"),
        ([(1, 9), (1e-3, 5)], {"representable": "no"}, "interpolates"),
        ([(1, 9), (0.5, 5)], {"representable": "no"}, "cannot_represent"),
        ([(1, 9), (0.5, 5)], {"representable": "unknown"}, "not_learned"),
        ([(1, 9), (1e-6, np.inf)], {}, "interpolates"),
        ([(1, 9), (1e-8, 1e-8)], {"threshold": np.inf}, "unjudged"),
        ([(1, 9), (1e-6, 1)], {"threshold": np.inf}, "interpolates"),
    ],
)
def test_the_verdict_is_the_first_that_applies(curve, facts, verdict):
    outcome = judged([curve], **facts).iloc[0]
    assert outcome["verdict"] == verdict
    assert outcome["solved"] == (verdict == "solved")


def test_a_diverged_replica_counts_as_infinitely_wrong_from_then_on_and_knows_when():
    outcome = judged([[(1, 9), (1e-6, 1e-5), (np.inf, np.inf)]], best=1).iloc[0]
    assert outcome["diverged_at"] == 20
    assert np.isinf(
        outcome[["interpolation", "extrapolation", "last_interpolation", "last_extrapolation"]].astype(float)
    ).all()
    assert np.isnan(outcome["solved_at"])
    assert outcome["untrained"] == 9


def test_solved_at_is_the_first_step_under_the_threshold_selected_or_not():
    outcome = judged([[(1, 9), (3, 1e-5), (1e-6, 5), (1e-5, 1e-6)]], best=2).iloc[0]
    assert (outcome["solved_at"], outcome["best_step"], outcome["solved"]) == (10, 20, False)
    assert (outcome["extrapolation"], outcome["last_extrapolation"]) == (5, 1e-6)


def test_relative_errors_are_roots_of_ratios():
    outcome = judged([[(1, 9), (0.04, 0.16)]], target=4.0).iloc[0]
    assert (outcome["relative_interpolation"], outcome["relative_extrapolation"]) == pytest.approx((0.1, 0.2))


def profiled(errors, target=1.0, x=(0.0, 1.0, 2.0, 3.0), diverged=()):
    runs = pd.DataFrame([dict.fromkeys(CELL, "c") | {"run": run} for run in range(len(errors))])
    tables = [pd.DataFrame({"run": i, "x": x, "error": row, "target": target}) for i, row in enumerate(errors)]
    return statistics.profile(runs, pd.concat(tables, ignore_index=True), runs["run"].isin(diverged))


def test_a_profile_holds_means_and_quartiles_of_what_is_finite_and_counts_the_rest():
    table = profiled([[1, 1, 1, 1], [2, 2, 2, np.inf], [6, 2, np.inf, np.inf]], target=2.0)
    assert table["error"].tolist() == [3, 5 / 3, np.inf, np.inf]
    assert table["median"].tolist() == [2, 2, 1.5, 1]
    assert table["relative"].tolist() == [1, 1, 0.75, 0.5]
    assert table["low"].tolist() == [1.5, 1.5, 1.25, 1]
    assert table["high"].tolist() == [4, 2, 1.75, 1]
    assert table["seeds"].unique().tolist() == [3]
    assert list(table)[-1] == "not_finite" and table["not_finite"].tolist() == [0, 0, 1, 2]
    nobody = profiled([[np.inf] * 4] * 3)
    assert np.isinf(nobody[["median", "low", "high", "relative"]]).all(axis=None)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_quantiles_are_numpys_of_what_is_finite_to_the_last_bit_whatever_cells_are_taken_together(dtype):
    values = np.random.default_rng(0).lognormal(size=(3, 6, 40)).astype(dtype)
    values[1, :4, ::3], values[2, :, 5] = np.inf, np.nan
    low, median, high, lost = statistics._quartiles(values)
    finite = np.where(np.isfinite(values), values, np.nan)[:, :, np.r_[:5, 6:40]]
    for mine, share in ((low, 0.25), (median, 0.5), (high, 0.75)):
        theirs = np.nanquantile(finite, share, axis=1)
        theirs[0] = np.median(finite[0], axis=0) if share == 0.5 else theirs[0]
        assert mine.dtype == dtype and np.array_equal(mine[:, np.r_[:5, 6:40]], theirs)
    assert np.isnan(median[2, 5]) and lost[:, 5].tolist() == [0, 0, 6] and lost[1, 0] == 4


def test_cells_of_other_numbers_of_seeds_and_points_stand_in_order_each_with_its_own():
    cells = {"a": (2, 3), "b": (1, 2), "c": (2, 3), "d": (1, 3)}
    runs = pd.DataFrame([dict.fromkeys(CELL, name) for name, (seeds, _) in cells.items() for _ in range(seeds)])
    runs["run"] = range(len(runs))
    points = [
        pd.DataFrame({"run": run, "x": range(cells[name][1]), "error": float(run), "target": 1.0})
        for run, name in reversed([*enumerate(runs["model"])])
    ]
    table = statistics.profile(runs, pd.concat(points, ignore_index=True), runs["run"] == 5)
    assert table["model"].tolist() == [*"aaabbcccddd"]
    assert table["x"].tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 2]
    assert table["error"].tolist() == [0.5] * 3 + [2] * 2 + [3.5] * 3 + [np.inf] * 3
    assert table["seeds"].tolist() == [2] * 3 + [1] * 2 + [2] * 3 + [1] * 3


def horizon(profile, **facts):
    """That of the profile's cell, beside those of a cell that fails and of one that never does."""
    columns = profile.select_dtypes("number")
    three = {name: np.stack([values, values, values]) for name, values in columns.items()}
    three["median"][0], three["median"][2] = np.inf, 0
    return statistics.horizon(three, pd.DataFrame([FACTS | facts] * 3))[1].tolist()


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ([0, 0.001, 0.009, 0.02], 2.0),
        ([0, 0.02, 0.001, 0.001], 0.0),
        ([0.1] * 4, 0.0),
        ([0] * 4, 3.0),
        ([0, 0, np.inf, 0], 1.0),
        ([0.5, 0.001, 0.001, 0.02], 2.0),
    ],
)
def test_the_horizon_ends_where_the_median_seed_first_errs_by_one_per_cent(medians, expected):
    assert horizon(profiled([medians] * 3))[0] == expected


def test_the_horizon_of_the_worse_quartile_passes_where_the_median_is_exact():
    profile = profiled([[0, 0.001, 0.001, 0.001], [0, 0.002, 0.002, 0.02], [1e-6, 0.003, 0.003, 0.03]])
    assert horizon(profile) == [2.0, 2.0, 2.0]
    run_out = profiled([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, np.inf, np.inf]])
    assert horizon(run_out) == [3.0, 1.0, 3.0]


def test_the_horizon_of_one_input_is_measured_from_the_middle_of_the_training_range():
    profile = profiled([[1, 0, 0, 0.001, 1]], x=(-2.0, 1.0, 1.5, 2.5, 6.0))
    assert horizon(profile, inputs=1)[0] == pytest.approx(2.0)


def test_a_target_that_passes_zero_does_not_end_the_horizon_of_one_input():
    x = np.linspace(-6, 6, 13)
    profile = profiled([0.001 + 0 * x] * 3, target=np.abs(x), x=x)
    # At 0, one half-width below the middle, the target is 0.
    assert horizon(profile, inputs=1, middle=1.0, half_width=1.0)[0] == 7


def test_a_summary_has_every_metric_with_its_interval_and_seed_count():
    outcomes = judged([[(1, 9), (1e-6, 1e-5 * (i + 1))] for i in range(20)])
    cells = pd.DataFrame([dict.fromkeys(CELL, "c") | FACTS | {"threshold": 1e-4}])[statistics.CELLS]
    before = pd.DataFrame([dict.fromkeys(CELL, "c") | {"untrained": 2.0}])
    table = statistics.summary(outcomes, profiled([[0, 0, 0, 1]] * 20), cells, before).set_index("metric")
    rate = table.loc["success_rate"]
    assert (rate["value"], rate["seeds"]) == (0.45, 20)
    interval = stats.binomtest(9, 20).proportion_ci(0.95, "wilson")
    assert (rate["low"], rate["high"]) == pytest.approx((interval.low, interval.high))
    assert table.loc["extrapolation", "value"] == pytest.approx(1.05e-4)
    assert table.loc["extrapolation", "low"] < 1.05e-4 < table.loc["extrapolation", "high"]
    assert table.loc["score", "value"] == pytest.approx(100 * 1.05e-4 / 9)
    assert table.loc["score_interpolation", "value"] == pytest.approx(100 * 1e-6 / 2)
    assert (table.loc["solved_at", "value"], table.loc["solved_at", "seeds"]) == (10, 9)
    assert (table.loc["sparsity", "value"], table.loc["sparsity", "seeds"]) == (0.1, 9)
    assert table.loc["sparsity_mean", ["value", "low", "high"]].tolist() == pytest.approx([0.1] * 3)
    assert (table.loc["horizon", "value"], table.loc["horizon", "seeds"]) == (2.0, 20)


def test_several_outputs_have_an_error_each_and_its_mean_over_the_seeds_in_the_summary():
    outcomes = judged([[(1, 9), (1e-6, 1e-5)]] * 3)
    runs = outcomes.assign(run=[0, 1, 2])
    errors = pd.DataFrame({"run": [0, 0, 1, 1, 2, 2], "operation": ["mul", "add"] * 3, "error": [1, 4, 2, 5, 3, 6.0]})
    table = statistics.outputs(runs, errors, pd.Series([False, False, False]))
    assert table["error"].tolist() == [1, 4, 2, 5, 3, 6] and list(table) == statistics.OUTPUTS
    cells = pd.DataFrame([dict.fromkeys(CELL, "c") | FACTS | {"threshold": 1e-4}])[statistics.CELLS]
    before = pd.DataFrame([dict.fromkeys(CELL, "c") | {"untrained": 2.0}])
    told = statistics.summary(outcomes, profiled([[0, 0, 0, 1]] * 20), cells, before, table).set_index("metric")
    reach = stats.t.ppf(0.975, 2) / np.sqrt(3)
    for name, mean in (("error_mul", 2), ("error_add", 5)):
        assert told.loc[name, ["value", "low", "high"]].tolist() == pytest.approx(
            [mean, max(0, mean - reach), mean + reach]
        )
    diverged = statistics.outputs(runs, errors, pd.Series([False, True, False]))
    assert diverged["error"].tolist() == [1, 4, np.inf, np.inf, 3, 6]


def test_networks_without_a_threshold_have_no_success_rate():
    outcomes = judged([[(1, 9), (1e-6, 1e-7)]] * 20, threshold=np.inf)
    cells = pd.DataFrame([dict.fromkeys(CELL, "c") | FACTS | {"threshold": np.inf}])[statistics.CELLS]
    before = pd.DataFrame([dict.fromkeys(CELL, "c") | {"untrained": 2.0}])
    table = statistics.summary(outcomes, profiled([[0, 0, 0, 1]] * 20), cells, before).set_index("metric")
    assert table.loc["success_rate", ["value", "low", "high"]].isna().all()
    assert table.loc[["success_rate", "success_rate_relative"], "seeds"].tolist() == [0, 20]
    assert table.loc["success_rate_relative", "value"] == 1


def test_long_curves_are_thinned_to_200_steps_with_both_ends():
    runs = pd.DataFrame([dict.fromkeys(CELL, "c") | {"seed": 0, "run": 0}])
    steps = np.arange(0, 5_000_001, 1000)
    curves = pd.DataFrame({"run": 0, "step": steps, "interpolation": 1.0, "extrapolation": 1.0, "sparsity": 0.0})
    thin = statistics.thin(runs, curves)
    assert len(thin) == 200
    assert (thin["step"].iloc[0], thin["step"].iloc[-1]) == (0, 5_000_000)


def test_the_profile_of_a_diverged_replica_is_infinite_whatever_step_was_selected():
    table = profiled([[1, 1, 1, 1], [2, 2, 2, 2]], diverged=[1])
    assert np.isinf(table["error"]).all()
    assert table["low"].tolist() == [1] * 4


def test_a_long_run_does_not_thin_a_short_one():
    runs = pd.DataFrame([dict.fromkeys(CELL, "c") | {"seed": i, "run": i} for i in range(2)])
    lengths = {0: np.arange(0, 2001, 100), 1: np.arange(0, 5_000_001, 1000)}
    parts = [pd.DataFrame({"run": run, "step": steps}) for run, steps in lengths.items()]
    curves = pd.concat(parts, ignore_index=True).assign(interpolation=1.0, extrapolation=1.0, sparsity=0.0)
    thin = statistics.thin(runs, curves)
    assert thin.groupby("seed").size().tolist() == [21, 200]
    assert thin.groupby("seed")["step"].max().tolist() == [2000, 5_000_000]


def test_a_plane_holds_the_median_over_the_seeds_at_each_point_and_knows_no_relative_error_of_zero():
    runs = pd.DataFrame([dict.fromkeys(CELL, "c") | {"run": run} for run in range(3)])
    errors, target = [[1.0, 2.0], [3.0, 4.0], [8.0, 0.0]], [2.0, 0.0]
    parts = [pd.DataFrame({"run": run, "error": row, "target": target}) for run, row in enumerate(errors)]
    planes, points = pd.concat(parts, ignore_index=True), np.array([[-1.0, 1.0], [5.0, 7.0]])
    table = statistics.plane(runs, planes, pd.Series([False] * 3), points)
    assert list(table.columns) == statistics.PLANE
    assert table[["a", "b"]].to_numpy().tolist() == [[-1, 5], [1, 7]]
    assert table["error"].tolist() == [3, 2]
    assert table["relative"].iloc[0] == 1.5
    assert np.isnan(table["relative"].iloc[1])
    thirds = planes.astype({"error": "float32", "target": "float32"}) / np.float32(3)
    table = statistics.plane(runs, thirds.assign(run=planes["run"]), pd.Series([False] * 3), points)
    assert table["error"].tolist() == [1, 0.6666667]  # as few digits as tell a number of single precision
    diverged = statistics.plane(runs, planes, pd.Series([True, True, False]), points)
    assert diverged["error"].tolist() == [8, 0]
    assert diverged["not_finite"].tolist() == [2, 2]


def test_the_initialisation_is_told_before_the_first_step():
    facts = [
        dict.fromkeys(CELL, "c")
        | {"run": run, "initial_output": output, "initial_saturation": share, "target_interpolation": 9.0}
        for run, (output, share) in enumerate([(1.0, 0.5), (2.0, 0.0), (np.inf, 1.0)])
    ]
    curves = pd.DataFrame({"run": [0, 0, 1, 1, 2, 2], "step": [0, 9] * 3, "interpolation": [4, 0, 5, 0, 6, 0]})
    row = statistics.initialisation(pd.DataFrame(facts), curves).iloc[0]
    assert row[["saturation", "output", "target", "untrained", "seeds"]].tolist() == [0.5, 1.5, 3.0, 5.0, 3]
    assert (row["output_high"], row["not_finite"]) == (1.75, 1)


def test_responses_tell_the_spread_of_the_finite_answers_and_count_the_others():
    answers = np.array([[1, -np.inf, np.nan], [3, 2, np.nan], [2, 7, np.nan], [9, np.inf, np.nan], [4, np.nan, np.nan]])
    runs = pd.DataFrame([dict.fromkeys(CELL, "c") | {"seed": 9 - s, "run": s} for s in range(5)])
    points = np.pad(answers, ((0, 0), (0, 38)))
    table = statistics.responses(
        runs,
        pd.DataFrame({"run": np.repeat(range(5), 41), "x": [*range(41)] * 5, "target": 0.1, "answer": points.ravel()}),
    )
    assert list(table) == statistics.RESPONSES
    assert set(table["operand"]) == {"a"}
    spread = ["median", "low", "high", "lowest", "highest"]
    assert table.loc[0, spread].tolist() == [3, 2, 4, 1, 9]
    assert table.loc[1, spread].tolist() == [4.5, 3.25, 5.75, 2, 7]
    assert table.loc[2, spread].isna().all()
    assert table["seeds"].eq(5).all()
    assert table.loc[:2, "not_finite"].tolist() == [0, 3, 5]
    # The first seeds in order are the last runs.
    assert table.loc[0, [f"seed_{i}" for i in range(5)]].tolist() == [4, 9, 2, 3, 1]


def test_a_cell_whose_inputs_are_no_operands_has_no_responses():
    runs = pd.DataFrame([dict.fromkeys(CELL, "c") | {"seed": 0, "run": 0}])
    none = pd.DataFrame({"run": [], "x": [], "target": [], "answer": []})
    assert statistics.responses(runs, none).empty


def test_a_score_beyond_what_numbers_hold_is_infinite():
    outcomes = judged([[(1, 9), (1e-6, 1.7e308)]] * 3)
    cells = pd.DataFrame([dict.fromkeys(CELL, "c") | FACTS | {"threshold": 1e-4}])[statistics.CELLS]
    before = pd.DataFrame([dict.fromkeys(CELL, "c") | {"untrained": 2.0}])
    rows = statistics.summary(outcomes, profiled([[0, 0, 0, 0]] * 3), cells, before).set_index("metric")
    assert rows.loc["extrapolation", ["value", "not_finite"]].tolist() == [1.7e308, 0]
    assert rows.loc["score", ["value", "not_finite"]].tolist() == [np.inf, 3]


def test_a_model_of_which_24_of_25_diverge_shows_so_beside_its_median():
    outcomes = judged([[(1, 9), (1e-6, 1e-5)]] + [[(1, 9), (np.inf, np.inf)]] * 24)
    cells = pd.DataFrame([dict.fromkeys(CELL, "c") | FACTS | {"threshold": 1e-4}])[statistics.CELLS]
    before = pd.DataFrame([dict.fromkeys(CELL, "c") | {"untrained": 2.0}])
    profile = profiled([[0, 0, 0, 0]] * 25, diverged=range(1, 25))
    table = statistics.summary(outcomes, profile, cells, before)
    rows = table.set_index("metric")
    assert rows.loc["extrapolation", ["value", "seeds", "not_finite"]].tolist() == [1e-5, 25, 24]
    assert rows.loc["horizon", ["value", "seeds", "not_finite"]].tolist() == [0, 25, 24]
    assert rows.loc["success_rate", "not_finite"] == 0
    assert "(24 of 25 ∞)" in texts.markdown_tables(table) and "(24 of 25 ∞)" in texts.report(outcomes, table, cells)
    assert "**0.0" not in texts.markdown_tables(table)  # it is nobody's best
