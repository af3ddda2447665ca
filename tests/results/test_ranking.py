"""Ranks and verdicts of small tables, as one counts them by hand."""

import numpy as np
import pandas as pd
import pytest

from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError
from benchmark.results.agreement import Table
from benchmark.results.intervals import success_rate
from benchmark.results.ranking import Source, ranking, verdicts


def summary(*rows, task="mul", protocol="p", metric="success_rate", **more):
    """Rows of (model, range, solved or value, seeds, overrides)."""
    found = []
    for model, name, value, seeds, *rest in rows:
        rate = success_rate(value, seeds) if metric == "success_rate" else (value, value / 2, value * 2)
        key = dict(zip(CELL, (model, task, name, protocol, *(rest or [""])), strict=True))
        found.append(
            key | {"metric": metric} | dict(zip(("value", "low", "high"), rate, strict=True)) | {"seeds": seeds}
        )
    return pd.DataFrame(found).assign(**more)


def source(name, *tables, cells=None, outcomes=None, semantics=None, published=False):
    return Source(Table(name, pd.concat(tables, ignore_index=True), outcomes, semantics, cells), published)


def places(table, name="positive", **more):
    rows = table[(table["range"] == name) & (table[list(more)] == list(more.values())).all(axis=1)]
    return rows.set_index("entrant")["rank"].to_dict()


REFERENCE = summary(
    ("nmu", "positive", 100, 100), ("nalu", "positive", 40, 100), ("npu", "positive", 100, 100),
    ("nac", "positive", 0, 100), ("nmu", "symmetric", 100, 100), ("nalu", "symmetric", 0, 100),
)  # fmt: skip
MINE = summary(("net", "positive", 20, 25), ("net", "symmetric", 25, 25))


def test_rates_that_tie_share_a_rank_and_what_solves_nothing_or_cannot_represent_the_task_has_none():
    cells = REFERENCE[CELL].assign(representable=["yes", "yes", "yes", "no", "yes", "no"])
    none = summary(("nau", "positive", 0, 25))
    table, notes = ranking([source("mine", MINE, none), source("reference", REFERENCE, cells=cells)])
    assert notes == []
    positive = places(table)
    assert np.isnan(positive.pop("nau"))
    assert np.isnan(positive.pop("nac"))
    assert positive == {"nmu": 1, "npu": 1, "net": 3, "nalu": 4}
    symmetric = places(table, "symmetric")
    assert (symmetric["net"], symmetric["nmu"]) == (1, 1) and np.isnan(symmetric["nalu"])
    assert set(table.loc[table["cannot"], "entrant"]) == {"nac", "nalu"}


def test_errors_are_ranked_by_all_seeds_of_which_those_that_are_not_finite_err_most():
    rows = summary(("net", "positive", 0.100, 5), ("nmu", "positive", 0.108, 5), metric="relative_extrapolation")
    rows = rows.assign(not_finite=[2, 0])
    errors = {"net": [0.1, 0.1, 0.2, np.inf, np.inf], "nmu": [0.108] * 5}
    outcomes = pd.DataFrame(
        [
            dict(zip(CELL, (model, "mul", "positive", "p", ""), strict=True))
            | {"seed": seed, "relative_extrapolation": error, "digest": model}
            for model, own in errors.items()
            for seed, error in enumerate(own)
        ]
    )
    assert places(ranking([source("mine", rows)])[0]) == {"net": 1, "nmu": 2}
    assert places(ranking([source("mine", rows, outcomes=outcomes)])[0]) == {"nmu": 1, "net": 2}


def test_one_is_compared_with_each_other_in_one_family():
    sources = [source("mine", MINE), source("reference", REFERENCE)]
    found = verdicts(ranking(sources)[0], sources, "net")
    told = found.set_index(["against", "range"])["verdict"].to_dict()
    assert len(told) == 6
    assert told["nac", "positive"] == told["nalu", "positive"] == told["nalu", "symmetric"] == "better"
    assert told["nmu", "positive"] == told["npu", "positive"] == "worse"
    assert told["nmu", "symmetric"] == "same"
    p = found.sort_values("p")[["p", "p_adjusted"]].to_numpy()
    assert p[0, 1] == pytest.approx(min(1, 6 * p[0, 0])) and p[1, 1] == pytest.approx(5 * p[1, 0])


def test_cells_without_a_threshold_are_ranked_by_the_median_relative_error_and_tested_seed_by_seed():
    rates = summary(("net", "positive", 0, 0), ("nmu", "positive", 0, 0))
    errors = summary(("net", "positive", 1e-3, 25), ("nmu", "positive", 0.5, 25), metric="relative_extrapolation")
    seeds = [
        dict(zip(CELL, (model, "mul", "positive", "p", ""), strict=True))
        | {"seed": seed, "digest": model, "relative_extrapolation": error * (1 + seed / 50)}
        for model, error in (("net", 1e-3), ("nmu", 0.5))
        for seed in range(25)
    ]
    sources = [source("mine", rates, errors, outcomes=pd.DataFrame(seeds))]
    table, _ = ranking(sources)
    assert set(table["metric"]) == {"relative_extrapolation"}
    assert places(table) == {"net": 1, "nmu": 2}
    assert list(verdicts(table, sources, "net")["verdict"]) == ["better"]
    assert list(verdicts(table, sources, "nmu")["verdict"]) == ["worse"]
    alone = [source("mine", rates, errors)]
    assert list(verdicts(ranking(alone)[0], alone, "net")["verdict"]) == ["inconclusive"]


def test_a_median_of_the_few_seeds_that_did_not_diverge_comes_last():
    rows = summary(("net", "positive", 1e-9, 25), ("nmu", "positive", 0.5, 25), metric="relative_extrapolation")
    assert places(ranking([source("mine", rows.assign(not_finite=[24, 12]))])[0]) == {"nmu": 1, "net": 2}
    assert places(ranking([source("mine", rows.assign(not_finite=[12, 24]))])[0]) == {"net": 1, "nmu": 2}


def test_settings_of_a_models_own_make_another_entrant_and_those_of_all_another_cell():
    mine = summary(
        ("net", "positive", 5, 25, "model.net.options.width=8"),
        ("net", "positive", 25, 25, "protocol.models.net.recipe.learning_rate=1.0"),
        ("net", "positive", 25, 25, "protocol.inputs=10"),
    )
    table, _ = ranking([source("mine", mine), source("reference", REFERENCE[:1])])
    assert places(table, overrides="") == {
        "nmu": 1, "net (recipe.learning_rate=1.0)": 1, "net (options.width=8)": 3,
    }  # fmt: skip
    assert places(table, overrides="protocol.inputs=10") == {"net": 1}


def test_only_what_was_asked_alike_stands_side_by_side():
    quick = MINE.assign(protocol="p/quick")
    with pytest.raises(UsageError, match="reference has no cell of mine: its protocol is p, and here it is p/quick"):
        ranking([source("mine", quick), source("reference", REFERENCE)])
    more = summary(("nmu", "small", 3, 5))
    table, notes = ranking([source("mine", MINE), source("reference", REFERENCE, more), source("q", quick)])
    assert set(table["range"]) == {"positive", "symmetric"}
    assert notes == [
        "1 of the 3 cells of reference are not in mine and are left out",
        "q has no cell of mine: its protocol is p/quick, and here it is p",
    ]
    with pytest.raises(UsageError, match="neither success rates nor relative errors"):
        ranking([source("mine", MINE.assign(metric="score"))])


def outcomes(table, digest):
    return table[CELL].assign(digest=digest, seed=0)


def test_a_model_of_two_tables_counts_once_or_under_the_names_of_both():
    a, b = summary(("net", "positive", 20, 25)), summary(("net", "positive", 90, 100))
    alike = [source(name, rows, outcomes=outcomes(rows, "x"), semantics=2) for name, rows in (("a", a), ("b", b))]
    table, notes = ranking(alike)
    assert table[["source", "seeds"]].to_numpy().tolist() == [["b", 100]]
    assert notes == ["net of a counts as in b, which holds as many seeds of it, or more"]
    other = source("b", b, outcomes=outcomes(b, "y"), semantics=2)
    assert places(ranking([alike[0], other])[0]) == {"net (b)": 1, "net (a)": 2}
    older = source("b", b, outcomes=outcomes(b, "y"), semantics=1)
    table, notes = ranking([alike[0], older])
    assert table[["source", "seeds"]].to_numpy().tolist() == [["a", 25]]
    assert notes == ["net of b counts as in a, which is of a newer version of the semantics"]


def test_published_rates_are_marked_and_stand_beside_all_ranges_of_a_set_together():
    ranges = ["pos_10_20", "positive", "pos_1p1_1p2", "pos_0p1_0p2", "mixed_2", "neg_0p2_0p1", "neg_1p2_1p1",
              "neg_2_1", "neg_20_10"]  # fmt: skip
    mine = summary(*(("nru", name, 25 if name != "mixed_2" else 0, 25) for name in ranges), task="div")
    paper = summary(("nru", "mistry2022", 207, 225), task="div", standing="read").assign(low=np.nan, high=np.nan)
    sources = [source("mine", mine), source("paper", paper, published=True)]
    table, _ = ranking(sources)
    assert places(table, "mistry2022") == {"nru (published)": 1, "nru": 2}
    rows = table[table["range"] == "mistry2022"].set_index("entrant")
    assert rows.loc["nru", ["value", "seeds"]].tolist() == [200 / 225, 225]
    assert rows.loc["nru (published)", ["low", "high"]].tolist() == list(success_rate(207, 225)[1:])
    assert rows["standing"].to_dict() == {"nru (published)": "read", "nru": ""}
    assert verdicts(table, sources, "nru")[["against", "range"]].to_numpy().tolist() == [
        ["nru (published)", "mistry2022"]
    ]
