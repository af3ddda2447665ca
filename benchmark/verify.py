"""`python -m benchmark.verify DIR`: rows of a results folder compared number by number with what is trained here."""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.asked.configs import Request
from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import CELL, KEY, SEMANTICS, Cell, Replica
from benchmark.errors import Parser, UsageError, guarded, say, to_stderr
from benchmark.results import statistics
from benchmark.results.configured import cells_of
from benchmark.results.tables import COUNT, check_together, read_table, table_path
from benchmark.run import run, workers_for
from benchmark.training.cost import seconds, to_compile

# What does not decide a number, or says who computed it.
APART = {*KEY, "digest", "seconds", "device", "engine", "torch", "benchmark"}
# The tables whose rows are of all seeds, and their keys.
BY_CELL = {
    "profile": [*CELL, "x"], "plane": [*CELL, "a", "b"], "responses": [*CELL, "operand", "x"],
    "initialisation": CELL, "cells": CELL,
}  # fmt: skip


@dataclass
class Sample(Request):
    """Some seeds of some cells."""

    chosen: list[Replica] = field(default_factory=list)

    def replicas(self) -> list[Replica]:
        """Those."""
        return self.chosen


def sample(outcomes: pd.DataFrame, cells: dict[tuple, Cell], count: int | None, seed: int) -> pd.DataFrame:
    """`count` rows, or all: drawn without replacement, in proportion to what they cost."""
    if count is None or count >= len(outcomes):
        return outcomes
    cost = {names: seconds([Replica(cell, 0)]) for names, cell in cells.items()}
    told = [cost.get(names, 0.0) for names in outcomes[CELL].itertuples(index=False, name=None)]
    # What cannot be trained here is drawn as often as the average.
    weights = np.where(np.array(told) > 0, told, np.mean([one for one in told if one > 0] or [1.0]))
    rows = np.random.default_rng(seed).choice(len(outcomes), count, replace=False, p=weights / weights.sum())
    return outcomes.iloc[np.sort(rows)]


def obstacles(rows: pd.DataFrame, cells: dict[tuple, Cell], facts: pd.DataFrame) -> pd.Series:
    """Why each row cannot be trained here; "" where it can."""
    version = facts.set_index(CELL)["semantics"].to_dict()

    def obstacle(row: dict) -> str:
        names = tuple(row[name] for name in CELL)
        if (own := version.get(names, SEMANTICS)) != SEMANTICS:
            return f"its numbers are of version {own} of the semantics, and this is version {SEMANTICS}"
        if names not in cells:
            return (
                f"no configuration here gives {' × '.join(names[:3])}; a class of your own is named by --model, "
                "and where yaml of your own lies by --config-dir"
            )
        if cells[names].specification.digest != row["digest"]:
            return "the configuration of its name here is another one (its digest differs)"
        return ""

    return pd.Series([obstacle(row) for row in rows.to_dict("records")], index=rows.index, dtype=object)


def differences(ours: pd.DataFrame, theirs: pd.DataFrame, key: Sequence[str]) -> list[str]:
    """A sentence for each number of `theirs` that is another in `ours`; both hold the rows of the same keys."""
    ours, theirs = (table.set_index(list(key)).sort_index() for table in (ours, theirs))
    told = []
    for column in (name for name in theirs if name not in APART):
        mine, other = ours[column].reindex(theirs.index), theirs[column]
        for names in theirs.index[~((mine == other) | (mine.isna() & other.isna()))]:
            a, b = mine[names], other[names]
            numbers = all(isinstance(one, float | int | np.number) for one in (a, b))
            much = f", {abs(a - b) / abs(b):.1e} of it" if numbers and b and np.isfinite([a, b]).all() else ""
            told.append(f"{' × '.join(map(str, np.atleast_1d(names)))}: {column} is {b} there and {a} here{much}")
    return told


def not_derived(folder: Path) -> list[str]:
    """A sentence for each number of a folder's summary that does not follow from its other tables."""
    paths = {name: table_path(folder, name) for name in (*statistics.SOURCES, "summary", "outputs")}
    tables = {name: read_table(path, statistics.TABLES[name]) for name, path in paths.items() if path.is_file()}
    if not {*statistics.SOURCES, "summary"} <= {*tables}:
        return []
    theirs = tables.pop("summary")
    check_together(folder, tables)
    ours = statistics.summary(*(tables.get(name) for name in (*statistics.SOURCES, "outputs")))
    key = [*CELL, "metric"]
    told = differences(ours, theirs, key)
    lost = ours[~pd.MultiIndex.from_frame(ours[key]).isin(pd.MultiIndex.from_frame(theirs[key]))]
    told += [f"{' × '.join(names)} is missing" for names in lost[key].itertuples(index=False)]
    return [f"{paths['summary'].name}: {sentence}, by the other tables" for sentence in told]


def retrain(rows: pd.DataFrame, cells: dict[tuple, Cell], folder: Path) -> list[Path]:
    """The rows trained anew, each by the engine that it was trained by: the results folders, inside an empty one."""
    folders = []
    for mode, part in rows.groupby("engine"):
        chosen = [Replica(cells[tuple(names)], seed) for *names, seed in part[KEY].itertuples(index=False, name=None)]
        asked = list({id(replica.cell): replica.cell for replica in chosen}.values())
        request = Sample(asked, range(0), Engine(mode=str(mode)), folder / str(mode), None, chosen=chosen)
        folders.append(run(request).folder)
    return folders


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 where a number differs; 2 where a row cannot be trained here, or there are none."""
    parser = Parser(
        prog="python -m benchmark.verify",
        description="Draw rows of a results folder, train them anew here and compare every number; and hold its "
        "summary against its tables. The folder is only read, and its tables suffice: configurations follow from the "
        "names in them.",
    )
    parser.add_argument("DIR", type=Path, help="a results folder")
    several = parser.add_mutually_exclusive_group()
    several.add_argument("--sample", type=int, default=20, help="how many rows are drawn (%(default)s)")
    several.add_argument("--all", action="store_true", help="every row, and the tables by cell")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument(
        "--model", action="append", default=[], help="a class of your own that the folder's rows are of"
    )
    parser.add_argument("--config-dir", metavar="DIR", help="where yaml of your own lies that the rows are of")
    options = parser.parse_args(arguments)
    if options.sample < 1 or options.seed < 0:
        parser.error("--sample must be at least 1 and --seed at least 0")
    return guarded(lambda: _verify(options))


def _verify(options: argparse.Namespace) -> int:
    folder: Path = options.DIR
    if not folder.is_dir():
        raise UsageError(f"There is no results folder {folder}")
    outcomes = read_table(table_path(folder, "outcomes"), statistics.OUTCOMES)
    facts = read_table(table_path(folder, "cells"), [*CELL, "semantics"])
    cells = cells_of(outcomes, folder.resolve().name, options.model, options.config_dir)
    drawn = sample(outcomes, cells, None if options.all else options.sample, options.seed)
    why = obstacles(drawn, cells, facts)
    for reason, count in Counter(reason for reason in why if reason).items():
        to_stderr(f"{count} of {len(drawn)} rows cannot be trained here: {reason}")
    rows = drawn[why == ""]
    told = not_derived(folder)
    if rows.empty:
        for sentence in told:
            say(sentence)
        return 1 if told else 2
    replicas = [Replica(cells[tuple(names)], seed) for *names, seed in rows[KEY].itertuples(index=False, name=None)]
    took, compiling = (each(replicas) / workers_for(replicas, Engine()) for each in (seconds, to_compile))
    more = f", and {max(1, compiling):,.0f} for what is not compiled yet" if compiling else ""
    say(f"{len(rows)} of {len(outcomes):,} rows are trained anew: about {max(1, took):,.0f} s on this machine{more}")
    with tempfile.TemporaryDirectory(prefix="verify-") as scratch:
        numbers = 0
        for here in retrain(rows, cells, Path(scratch)):
            ours = read_table(here / "outcomes.csv", KEY)
            theirs = rows.merge(ours[KEY], on=KEY)
            told += differences(ours, theirs, KEY)
            numbers += theirs[[name for name in theirs if name not in APART]].size
            if (table := table_path(folder, "outputs")).is_file() and (here / "outputs.csv").is_file():
                mine = read_table(here / "outputs.csv", statistics.OUTPUTS)
                theirs = read_table(table, statistics.OUTPUTS).merge(ours[KEY], on=KEY)
                told += differences(mine, theirs, [*KEY, "operation"])
                numbers += len(theirs)
            for name, key in BY_CELL.items():
                whole, table = _whole_cells(outcomes, ours), table_path(folder, name)
                if table.is_file() and not whole.empty:
                    theirs = read_table(table, CELL).merge(whole, on=CELL)
                    mine = read_table(table_path(here, name), CELL).merge(whole, on=CELL)
                    if COUNT in mine and COUNT not in theirs:
                        mine, theirs = _of_finite(mine, theirs, key, table.name)
                    told += differences(mine, theirs, key)
                    numbers += theirs.drop(columns=key).size
    for sentence in told:
        say(sentence)
    eager = int((rows["engine"] == "eager").sum())
    if told and eager:
        say(f"{eager} rows were trained eagerly, whose last digits are the same on one kind of machine only.")
    say(f"{len(rows)} rows, {numbers:,} numbers: " + (f"{len(told):,} differ." if told else "all are the same."))
    return 1 if told else 2 if len(rows) < len(drawn) else 0


def _of_finite(
    ours: pd.DataFrame, theirs: pd.DataFrame, key: Sequence[str], name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows in which every seed has a finite number: what medians are of elsewhere, `theirs` does not tell."""
    finite = ours[ours[COUNT] == 0]
    if rest := len(ours) - len(finite):
        to_stderr(f"{rest} rows of {name}, which has no {COUNT}, are not compared: seeds have no finite number there")
    return finite, theirs.merge(finite[list(key)], on=list(key))


def _whole_cells(outcomes: pd.DataFrame, ours: pd.DataFrame) -> pd.DataFrame:
    """The names of the cells of which all seeds were trained anew."""
    trained, count = ours.groupby(CELL).size(), outcomes.groupby(CELL).size()
    return trained[trained == count.reindex(trained.index)].reset_index()[CELL]


if __name__ == "__main__":
    raise SystemExit(main())
