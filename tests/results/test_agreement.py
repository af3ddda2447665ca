"""Verdicts on differences: right about clear ones, silent about noise, and honest about few seeds."""

import numpy as np
import pandas as pd
import pytest

from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError
from benchmark.results.agreement import Table, differences
from benchmark.results.intervals import boschloo, difference_of_rates, success_rate

KEY = dict.fromkeys(CELL, "c")


def table(name, cells, seeds=None):
    """A table whose cells, task -> (solved, errors), are given seed by seed."""
    summary, outcomes = [], []
    for task, (solved, errors) in cells.items():
        key, count = KEY | {"task": task}, len(errors)
        value, low, high = success_rate(int(np.sum(solved)), count)
        row = {"metric": "success_rate", "value": value, "low": low, "high": high, "seeds": count}
        middle = {"metric": "relative_extrapolation", "value": np.median(errors), "low": 0.0, "high": 1.0}
        summary += [key | row, key | middle | {"seeds": count}]
        each = {"seed": seeds if seeds is not None else range(count), "solved": solved}
        outcomes.append(pd.DataFrame(key | each | {"relative_extrapolation": errors}))
    return Table(name, pd.DataFrame(summary), pd.concat(outcomes, ignore_index=True))


def verdicts(a, b, metric, on=CELL):
    rows = differences(a, b, on, [metric])
    return dict(zip(rows["task"], rows["verdict"], strict=True))


def rates(solved, seeds):
    return np.arange(seeds) < solved, np.ones(seeds)


def errors(values):
    return np.zeros(len(values), dtype=bool), np.asarray(values, dtype=float)


def test_success_rates_follow_the_agreement_rule():
    a = table("a", {"clear": rates(0, 25), "same": rates(100, 100), "few": rates(5, 10), "rise": rates(60, 100)})
    b = table("b", {"clear": rates(25, 25), "same": rates(99, 100), "few": rates(5, 10), "rise": rates(20, 100)})
    told = verdicts(a, b, "success_rate")
    assert told == {"clear": "worse", "same": "same", "few": "inconclusive", "rise": "better"}


def test_ten_seeds_never_agree_and_a_hundred_equal_ones_do():
    for solved in range(11):
        assert verdicts(*[table("t", {"x": rates(solved, 10)})] * 2, "success_rate")["x"] == "inconclusive"
    for solved in (0, 50, 100):
        assert verdicts(*[table("t", {"x": rates(solved, 100)})] * 2, "success_rate")["x"] == "same"


def test_a_difference_stands_with_its_interval_and_test():
    row = differences(table("a", {"x": rates(3, 25)}), table("b", {"x": rates(15, 25)}), CELL, ["success_rate"]).iloc[0]
    assert row[["difference", "low", "high"]].tolist() == list(difference_of_rates(3, 25, 15, 25))
    assert row["p"] == row["p_adjusted"] == boschloo(3, 25, 15, 25)
    assert (row["value_a"], row["seeds_a"], row["value_b"], row["seeds_b"]) == (0.12, 25, 0.6, 25)


def test_holm_makes_one_doubtful_difference_among_many_inconclusive():
    assert 0.01 < boschloo(8, 25, 17, 25) < 0.05
    alone = table("a", {"x": rates(8, 25)}), table("b", {"x": rates(17, 25)})
    assert verdicts(*alone, "success_rate")["x"] == "worse"
    others = {f"y{i}": rates(12, 25) for i in range(10)}
    among = table("a", others | {"x": rates(8, 25)}), table("b", others | {"x": rates(17, 25)})
    assert verdicts(*among, "success_rate")["x"] == "inconclusive"


def test_errors_within_a_factor_of_two_are_the_same_and_decades_apart_are_not():
    rng = np.random.default_rng(0)
    base = 1e-3 * rng.lognormal(0, 0.1, size=25)
    a = table("a", {"near": errors(base * 1.2), "far": errors(base * 100), "below": errors(base / 100)})
    b = table("b", dict.fromkeys(("near", "far", "below"), errors(base)))
    assert verdicts(a, b, "relative_extrapolation") == {"near": "same", "far": "worse", "below": "better"}
    rows = differences(a, b, CELL, ["relative_extrapolation"]).set_index("task")
    assert rows.loc["far", ["difference", "low", "high"]].tolist() == pytest.approx([2.0] * 3)


def test_errors_are_paired_where_both_have_the_same_seeds():
    """A factor that every seed shows is seen under a spread that hides it from unpaired ranks."""
    wide = np.logspace(-6, 0, 25)
    a, b = table("a", {"x": errors(wide * 3)}), table("b", {"x": errors(wide)})
    shifted = table("b", {"x": errors(wide)}, seeds=range(100, 125))
    paired, unpaired = (differences(a, one, CELL, ["relative_extrapolation"]).iloc[0] for one in (b, shifted))
    assert paired["p"] < 1e-4 < 0.05 < unpaired["p"]
    assert (paired["verdict"], unpaired["verdict"]) == ("worse", "inconclusive")


def test_the_same_networks_to_rounding_are_the_same_to_the_test_as_well():
    values = np.logspace(-6, 0, 25)
    a, b = table("a", {"x": errors(values * (1 + 1e-7))}), table("b", {"x": errors(values)})
    row = differences(a, b, CELL, ["relative_extrapolation"]).iloc[0]
    assert (row["difference"], row["p"], row["verdict"]) == (0, 1, "same")


def test_paired_test_interval_and_verdict_speak_of_one_quantity():
    """Two-humped errors: A is better in 24 of 25 seeds, though its median lies on the other hump."""
    y = np.concatenate([np.linspace(-6, -5, 12), [-5], np.linspace(-1, 0, 12)])
    x = y - 0.5
    x[12] = -1
    a, b = table("a", {"x": errors(10**x)}), table("b", {"x": errors(10**y)})
    row = differences(a, b, CELL, ["relative_extrapolation"]).iloc[0]
    assert row["verdict"] == "better"
    assert row["difference"] == pytest.approx(-0.5)
    assert row["high"] < 0


def test_infinite_errors_rank_last_and_equal_ones_are_equal():
    infinite, half = [np.inf] * 25, [np.inf] * 13 + [1e-3] * 12
    a = table("a", {"all": errors(infinite), "more": errors(infinite), "zero": errors([0.0] * 25)})
    b = table("b", {"all": errors(infinite), "more": errors(half), "zero": errors([0.0] * 25)})
    told = differences(a, b, CELL, ["relative_extrapolation"]).set_index("task")
    assert told["verdict"].to_dict() == {"all": "same", "more": "inconclusive", "zero": "same"}
    assert told.loc["more", "p"] < 0.01  # but the medians are the same
    low = table("b", {"all": errors([1e-3] * 25)})
    assert verdicts(a, low, "relative_extrapolation") == {"all": "worse"}


def test_noise_is_never_called_a_difference_more_often_than_five_per_cent():
    rng = np.random.default_rng(1)

    def drawn(name, first):
        cells = {f"t{i}": (rng.random(15) < 0.5, rng.lognormal(0, 2, size=15)) for i in range(10)}
        return table(name, cells, seeds=range(first, first + 15))

    wrong = 0
    for _ in range(10):
        a, b = drawn("a", 0), drawn("b", 100)
        for metric in ("success_rate", "relative_extrapolation"):
            wrong += bool({"better", "worse"} & set(verdicts(a, b, metric).values()))
    assert wrong <= 3  # of 20 tables; 1 is expected, more than 3 have a probability of 2%


def test_without_seeds_or_outcomes_nothing_is_concluded():
    ours = table("ours", {"x": rates(25, 25)})
    summary = ours.summary.assign(low=np.nan, high=np.nan, seeds=np.nan)
    published = Table("published", summary)
    told = differences(ours, published, CELL, ["success_rate", "relative_extrapolation"])
    assert set(told["verdict"]) == {"inconclusive"}
    assert told["p"].isna().all()


def test_cells_are_joined_by_what_is_asked_and_must_then_be_one_each():
    a = table("a", {"x": rates(0, 25)})
    b = Table("b", a.summary.assign(model="other", value=1.0), a.outcomes.assign(model="other"))
    with pytest.raises(UsageError, match=r"no cell in common: they differ in model \(c against other\)"):
        differences(a, b, CELL, ["success_rate"])
    assert verdicts(a, b, "success_rate", on=["task", "range"]) == {"x": "worse"}
    both = Table("both", pd.concat([a.summary, b.summary]))
    with pytest.raises(UsageError, match="do not tell the cells of both apart"):
        differences(both, a, ["task", "range"], ["success_rate"])
    with pytest.raises(UsageError, match="no metric to compare by 'horizon'"):
        differences(a, b, ["task"], ["horizon"])
    with pytest.raises(UsageError, match="do not both hold the metric solved_at"):
        differences(a, b, ["task"], ["solved_at"])
