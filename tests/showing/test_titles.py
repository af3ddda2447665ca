"""The titles of figures, which are also what reports say instead of them, are what their tables hold."""

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import CELLS, SUMMARY
from benchmark.results.tables import read_table, table_path
from benchmark.showing.figures import titles

HEADLINE = Path(__file__).parent.parent.parent / "results/reference/headline"
INTERVALS = {"trained": "[1, 2]", "judged": "[2, 6]", "middle": 1.5, "half_width": 0.5, "inputs": 2, "threshold": 1e-3}


def rows(*values, **columns):
    """A row a (model, task, overrides, value) on the positive range."""
    table = pd.DataFrame(values, columns=["model", "task", "overrides", "value"])
    return table.assign(**{"range": "positive", "protocol": "default"} | columns)


def cells_of(table):
    return table[CELL].drop_duplicates().assign(**INTERVALS, representable="yes")


RATES = {
    "NAC and NALU add in at least 90% of the seeds; of the others 1 in none.": [
        *[("nac", "add", 1), ("nalu", "add", 0.9), ("nau", "add", 0)],
    ],
    "Solved in at least 90% of the seeds, of 2 tasks: by NALU 2 and NAC 1.": [
        *[("nac", "add", 1), ("nac", "mul", 0)],
        *[("nalu", "add", 0.9), ("nalu", "mul", 1)],
    ],
    "No model solves a task in 90% of its seeds; best, NMU multiplies in 8% of them.": [
        *[("nmu", "mul", 0.08), ("nac", "mul", 0)],
    ],
}  # fmt: skip


@pytest.mark.parametrize("told", RATES)
def test_success_says_who_solves_how_much(told):
    table = rows(*[(model, task, "", value) for model, task, value in RATES[told]], metric="success_rate")
    assert titles.success(table, cells_of(table)) == told


@pytest.mark.parametrize(
    ("metric", "least", "told"),
    [
        ("success_rate", 0.1, "NMU multiplies in 90% of the seeds with hidden = 2 and in 10% with hidden = 10."),
        (
            "relative_extrapolation", 3e7,
            "NMU's error outside on a × b is 90% with hidden = 2 and × 30 million with hidden = 10.",
        ),
    ],
)  # fmt: skip
def test_a_sweep_says_between_which_settings_most_changes(metric, least, told):
    settings = ["protocol.hidden=[2]", "protocol.hidden=[10]"]
    table = rows(("nmu", "mul", settings[0], 0.9), ("nmu", "mul", settings[1], least), metric=metric)
    steady = rows(*[("nac", "mul", setting, 0.5) for setting in settings], metric=metric)
    assert titles.sweep(pd.concat([table, steady]), cells_of(table)) == told


def test_verdicts_and_errors_are_counted():
    table = rows(*[("nac", "add", "", 0)] * 4, verdict=["solved", "solved", "solved", "diverged"])
    assert titles.verdicts(table, cells_of(table)) == "Of 4 networks 75% solve their task and 25% diverge."
    errors = table.assign(relative_interpolation=[0, 0, 0, 1], relative_extrapolation=1.0)
    assert (
        titles.error(errors, cells_of(table)) == "NAC's median error is 0% inside the training range and 100% outside."
    )
    both = pd.concat([errors, errors.assign(model="nalu")])
    assert titles.error(both, cells_of(both).assign(judged="[1, 2]")) == (
        "Of 2 median errors 2 are below 1% inside the training range, 0 where networks are judged."
    )


def test_distances_and_horizons_are_counted_at_the_edge_and_at_the_end():
    table = rows(*[("nac", "add", "", 0)] * 3, x=[0.0, 1.0, 9.0], relative=[0.1, 1e-3, 0.5], median=1.0, low=0, high=1)
    cells = cells_of(table)
    assert (
        titles.distance(table, cells) == "NAC's median error is 0.1% next to the edge of training and 50% farthest out."
    )
    both = pd.concat([table, table.assign(model="nalu")])
    told = "Of 2 median errors 2 are below 1% next to the edge of training, 0 farthest out."
    assert titles.distance(both, cells_of(both)) == told
    horizon = rows(("nac", "add", "", 9.0), metric="horizon")
    told = "Of {} median errors 1 stay below 1% as far as was measured, and {} not even next to the edge."
    assert titles.horizon(horizon, table, cells) == told.format(1, 0)
    beyond = pd.concat([table, table.assign(model="nalu", x=[0.0, 1.05, 9.0])])  # the edge itself is not measured
    rates = pd.concat([horizon, horizon.assign(model="nalu", value=0.0)])
    assert titles.horizon(rates, beyond, cells_of(beyond)) == told.format(2, 1)


def test_learning_starts_and_planes_are_told():
    curves = rows(*[("nac", "add", "", 0)] * 2, step=[0, 10], extrapolation=[1.0, 1e-4])
    told = "NAC's median error outside ends below the threshold of success."
    assert titles.learning(curves, cells_of(curves)) == told
    both = pd.concat([curves, curves.assign(model="nalu", extrapolation=1.0)])
    told = "Of 2 median errors outside 1 end below the threshold of success."
    assert titles.learning(both, cells_of(both)) == told
    before = rows(("nac_normal", "add", "", 0), ("nac_uniform", "add", "", 0)).assign(
        output=[1.0, 6.0], target=4.0, saturation=[0.0, 0.44]
    )
    assert titles.untrained(before, cells_of(before)) == (
        "Before training outputs are, by root mean square, from NAC normal 25% to NAC uniform 150% of the targets; "
        "NAC uniform saturates 44% of its weights."
    )
    plane = rows(*[(model, "add", "", 0) for model in ("nac", "nalu") for _ in range(2)])
    plane = plane.assign(error=[0.01, 0.05, 0.01, 0.01], relative=[0.01, 0.02, 0.01, 0.01])  # targets up to 2.5
    assert titles.plane(plane, cells_of(plane)) == (
        "Within 1% of the largest target: NALU on 100% of the plane, NAC on 50%."
    )


def test_what_is_alike_for_all_is_told_once():
    alike = rows(("nac", "square", "", 0), ("nalu", "square", "", 0)).assign(error=0.01, relative=0.005, x=6.0)
    told = "Within 1% of the largest target: each of 2 models on 100% of the plane."
    assert titles.plane(alike, cells_of(alike)) == told
    told = "Errors farthest outside: of a², trained on 1 to 2: 0.01 (each)."
    assert titles.inputs(alike, cells_of(alike).assign(inputs=1)) == told
    before = alike.assign(output=1.0, target=4.0, saturation=0.0)
    told = "Before training outputs are, by root mean square, 25% of the targets."
    assert titles.untrained(before, cells_of(before)) == told


def test_errors_by_input_are_told_of_where_they_lie_farthest_outside():
    table = rows(*[(model, "square", "", 0) for model in ("nac", "nalu") for _ in range(2)], x=[1.0, 6.0, 1.0, 6.0])
    told = titles.inputs(table.assign(error=[9.0, 32.0, 0.0, 12.0]), cells_of(table).assign(inputs=1))
    assert told == "Errors farthest outside: of a², trained on 1 to 2: 12 (NALU) to 32 (NAC)."


def test_answers_are_told_to_be_outside_only_where_networks_are_judged_there():
    table = rows(("nalu", "mul", "", 0), solved=True)
    cells = cells_of(table)
    assert titles.responses(table, table, cells).startswith("NALU multiplies outside the training range in most seeds")
    inside = titles.responses(table, table, cells.assign(judged="[1.2, 1.5]"))
    assert inside.startswith("NALU multiplies where judged in most seeds")


def test_differences_speeds_and_what_can_be_represented_are_counted():
    table = pd.DataFrame({"verdict": ["better", "same", "same"]})
    assert titles.differences(table) == "Of 3 numbers A is better in 1 and the same in 2."
    speed = pd.DataFrame({
        "workload": ["nalu", "nalu"], "processor": ["EPYC, 2 cores, AVX2", "H100"], "plain_loop": [100.0, 50.0],
        "replica_steps_per_second": [5e3, 4.5e8], "ratio": [50.0, 9e6],
    })  # fmt: skip
    told = "Up to 450 million replica-steps a second (nalu), × 50 to × 50 the plain loop."
    assert titles.speed(speed) == told
    known = [("nac", "add", "yes"), ("nac", "mul", "no"), ("nmu", "add", "no"), ("nmu", "mul", "yes")]
    declared = pd.DataFrame(known, columns=["model", "task", "representable"]).assign(sign="mixed")
    assert titles.representable(declared) == (
        "Of 2 models so many can compute, with operands of both signs: a + b 1, a × b 1."
    )


def test_the_title_of_the_headlines_success_is_what_its_summary_holds():
    tables = {
        name: read_table(table_path(HEADLINE, name), columns)
        for name, columns in (("summary", SUMMARY), ("cells", CELLS))
    }
    told = titles.success(tables["summary"], tables["cells"])
    rates = tables["summary"].query("metric == 'success_rate'")
    counts = rates[rates["value"] >= 0.9].groupby("model").size()
    assert sorted(map(int, re.findall(r" (\d+)(?:,| and|;)", told)), reverse=True) == sorted(counts, reverse=True)
    best = rates.groupby("model")["value"].max()
    fewer, none = ((best > 0) & (best < 0.9)).sum(), (best == 0).sum()
    assert fewer and none and told.endswith(f"; of the others {fewer} in fewer, {none} in none.")
