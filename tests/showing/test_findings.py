"""What reports and the terminal say first is what the tables hold."""

import re
from pathlib import Path

import pytest
from conftest import needs_references

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import CELLS, OUTCOMES
from benchmark.results.tables import read_table, table_path
from benchmark.showing.findings import findings, in_short

REFERENCE = Path(__file__).parent.parent.parent / "results/reference"
FOLDERS = sorted(path.parent for path in REFERENCE.glob("*/outcomes.csv*"))


def tables(folder):
    known = {"outcomes": OUTCOMES, "cells": CELLS}
    return [read_table(table_path(folder, name), columns) for name, columns in known.items()]


def percent(truths):
    return f"{100 * sum(truths) / len(truths):.0f}%"


@pytest.mark.parametrize("folder", [f for f in FOLDERS if f.name != "mistry2022_single_module"], ids=lambda f: f.name)
def test_each_number_of_a_finding_follows_from_the_tables(folder):
    outcomes, cells = tables(folder)
    near, able, nobody = findings(outcomes, cells)
    for mlps, group in outcomes.groupby(outcomes["model"].str.startswith("mlp_")):
        kind = "MLPs" if mlps else "networks"
        inside, outside = (
            percent([e < 0.01 for e in group[f"relative_{s}"]]) for s in ("interpolation", "extrapolation")
        )
        found = re.search(rf"[Oo]f {len(group):,} (?:other )?{kind} (\d+%) (?:.*? )?and (\d+%)", near)
        assert found.groups() == (inside, outside)
    rates = outcomes.groupby(CELL)["solved"].mean().reset_index()
    reliable = rates[rates["solved"] >= 0.9].groupby("model").size()
    if counts := re.findall(r" (\d+) \(", able):
        assert sorted(map(int, counts), reverse=True) == sorted(reliable, reverse=True)[:4]
        places = rates.drop_duplicates(["task", "range", "protocol", "overrides"])
        assert f"of {len(places)} combinations" in able
    else:
        assert len(reliable) == 0 or rates["task"].nunique() * rates["range"].nunique() == 1
    best = rates.groupby("model")["solved"].max()
    of_others = {"fewer": ((best > 0) & (best < 0.9)).sum(), "none": (best == 0).sum()}
    for number, where in re.findall(r"(\d+) in (fewer|none)", able):
        assert int(number) == of_others.pop(where)
    assert reliable.empty or len(rates) == 1 or not any(of_others.values())
    if found := re.search(r"in (\d+) of (\d+) seeds", able):
        cell = outcomes.groupby(CELL)["solved"].agg(["sum", "size"]).sort_values("sum").iloc[-1]
        assert [int(number) for number in found.groups()] == cell.tolist()
    assert nobody.startswith(f"Of {len(outcomes):,} networks ")
    diverged = (outcomes["verdict"] == "diverged").sum()
    assert re.search(r"(none|[\d,]+) diverge", nobody)[1] == (f"{diverged:,}" if diverged else "none")
    impossible = outcomes.merge(cells[cells["representable"] == "no"][CELL]).shape[0]
    assert (f"{impossible:,} are asked for" in nobody) == bool(impossible)


@needs_references
def test_the_headline_is_what_readers_are_told():
    near, able, nobody = findings(*tables(REFERENCE / "headline"))
    assert re.match(r"Of 5,400 MLPs \d+% come within 1% of the truth where they are trained and \d% outside", near)
    assert "NALU 5 (a + b, a − b, a × b, a ÷ b, √a)" in able
    assert "none solves a² (of 1,100)" in nobody


@needs_references
def test_the_terminal_says_of_few_cells_what_each_model_does_where_and_why_it_cannot():
    outcomes, cells = tables(REFERENCE / "headline")
    wanted = lambda table: table[(table["model"] == "nalu") & (table["task"] == "mul")]
    told = " ".join(in_short(wanted(outcomes), wanted(cells)))
    assert told.startswith("NALU multiplies 1 to 2 → 2 to 6 in 25 of 25 seeds. On −5 to 5 NALU cannot: log |x| loses")
    assert in_short(outcomes, cells) == findings(outcomes, cells)


@needs_references
def test_a_sweep_says_how_much_hangs_on_the_setting():
    outcomes, cells = tables(REFERENCE / "madsen2020_hidden_size")
    told = findings(outcomes, cells)[2]
    model = outcomes[outcomes["model"] == "nmu"]
    shares = (model["relative_extrapolation"] < 0.01).groupby(model["overrides"]).mean()
    assert f"from {shares.min():.0%} with hidden = 10 to {shares.max():.0%} with hidden = 2" in told
