"""`python -m benchmark.compare A B`: is A better than B, worse, or the same, cell by cell?"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark.asked.conf_files import published_tables
from benchmark.asked.replicas import CELL
from benchmark.errors import Parser, UsageError, guarded, outlet, say, unknown
from benchmark.results.agreement import (
    COMPARISON,
    COUNT,
    ERROR_MARGIN,
    RATE_MARGIN,
    RATES,
    VERDICTS,
    Table,
    both_over_sets_of_ranges,
    differences,
)
from benchmark.results.intervals import BEYOND, EXACT_SEEDS
from benchmark.results.statistics import CELLS, OUTCOMES, SUMMARY, by_cell
from benchmark.results.tables import read_table, table_path, to_csv, write_text
from benchmark.showing import published
from benchmark.showing.names import not_finite
from benchmark.showing.texts import in_markdown, markdown, number

FEW = 5  # cells that are named
METRICS = ["success_rate", "relative_extrapolation"]
FACTOR = 10**ERROR_MARGIN
EXPLANATION = f"""\
Success rates: A is better or worse where Boschloo's test ({BEYOND}, where both sides together hold more than
{EXACT_SEEDS} seeds) rejects that both are the same (5%, Holm-corrected over the cells), and the same where it does not
and the 95% interval of the difference lies within ±{RATE_MARGIN:g}.
Errors: A is the same where the 95% interval of their ratio lies within a factor of {FACTOR:g}, otherwise better or
worse where a rank test rejects (5%, Holm-corrected over the cells) and the interval lies on that side. Where both hold
the same seeds it is the median ratio over the seeds (one within a millionth of 1 is rounding and counts as 1), else the
ratio of the medians; an error that is not finite is larger than any other. The medians of either side are of its finite
errors: beside them, (24 of 25 ∞) stands for 24 seeds whose error is not finite.
Whatever is left is inconclusive, which is not agreement: more seeds would tell, or the single seeds where a table does
not hold them."""


def load(source: str) -> Table:
    """The table at a path or of a published name.

    source: a results folder, a summary.csv, or a name in results/published. Raises UsageError for anything else.
    """
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    file = table_path(path, "summary") if path.is_dir() else path
    if not file.is_file():
        if file.parent == path:
            raise UsageError(f"{source} holds no summary.csv; run the benchmark into it or name another results folder")
        if path.suffix or path.parent != Path("."):
            raise UsageError(f"There is no results folder and no table at {source}")
        if source not in published_tables("source"):
            raise unknown("results folder, table or published table", source, published_tables("metric"))
        table = published.load(source)
        if missing := [column for column in SUMMARY if column not in table]:
            raise UsageError(
                f"The published table {source} has no {', '.join(missing)}: it holds no summary to compare"
            )
        return Table(source, table)
    summary = read_table(file, SUMMARY)
    rates = summary.loc[summary["metric"].isin(RATES) & (summary["seeds"] > 0), "value"]
    if not rates.between(0, 1).all():
        raise UsageError(f"{file} is no results table of this benchmark: success rates lie between 0 and 1")
    outcomes = cells = semantics = None
    if file.name in ("summary.csv", "summary.csv.gz"):  # the other tables of its folder belong to it
        if (others := table_path(folder, "outcomes")).is_file():
            outcomes = read_table(others, OUTCOMES)
            _check_together(folder, summary, outcomes)
        if (others := table_path(folder, "cells")).is_file():
            cells = read_table(others, CELLS)
            versions = cells["semantics"].dropna().unique()
            if len(versions) > 1:
                raise UsageError(f"{folder} mixes results of several versions of the semantics; run it anew")
            semantics = int(versions[0]) if len(versions) else None
    return Table(source, summary, outcomes, semantics, cells)


def _check_together(folder: Path, summary: pd.DataFrame, outcomes: pd.DataFrame) -> None:
    """UsageError where a folder's summary does not follow from its outcomes: it tells of other cells or seeds."""
    told = summary[summary["metric"] == "success_rate_relative"].set_index(CELL)["seeds"].to_dict()
    held = {cell: len(places) for cell, places in by_cell(outcomes).items()}
    for cell in sorted(told.keys() | held.keys()) if told else []:
        if told.get(cell) != held.get(cell):
            seeds = [f"{count:.0f}" if count else "no" for count in (told.get(cell), held.get(cell))]
            raise UsageError(
                f"{folder}: of {' × '.join(cell[:3])} the summary tells {seeds[0]} seeds and the outcomes {seeds[1]}; "
                f"python -m benchmark.report {folder} derives one from the other"
            )


def check_comparable(a: Table, b: Table) -> None:
    """UsageError where two tables were measured under different versions of the semantics."""
    if None not in (a.semantics, b.semantics) and a.semantics != b.semantics:
        raise UsageError(
            f"{a.name} was measured under version {a.semantics} of the semantics and {b.name} under {b.semantics}: one "
            "configuration means different numbers there; run the older one anew"
        )


def check_same_configurations(a: Table, b: Table) -> None:
    """UsageError where one key stands for two configurations."""
    if a.outcomes is None or b.outcomes is None:
        return
    ours, theirs = (table[[*CELL, "digest"]].drop_duplicates() for table in (a.outcomes, b.outcomes))
    both = ours.merge(theirs, on=CELL, suffixes=("_a", "_b"))
    for row in both[both["digest_a"] != both["digest_b"]].to_dict("records"):
        raise UsageError(
            f"{a.name} and {b.name} mean different configurations by {' × '.join(row[name] for name in CELL[:3])} "
            f"(digests {row['digest_a']} and {row['digest_b']}); run one of them anew, or join by less of the key: "
            f"--on {','.join(CELL[:3])}"
        )


def alone(a: Table, b: Table, on: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """A sentence for each of the two that holds cells, of these metrics, which the other does not."""
    told = []
    cells_of = lambda table: set(
        table.summary.loc[table.summary["metric"].isin(metrics), [*on]].itertuples(index=False, name=None)
    )
    for table, other in ((a, b), (b, a)):
        names = sorted(" × ".join(str(name) for name in cell if name) for cell in cells_of(table) - cells_of(other))
        if names:
            few = ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
            told.append(f"Only {table.name} has {len(names)} of the cells: {few}")
    return told


def table_of(rows: pd.DataFrame, on: Sequence[str]) -> str:
    """The differences of one metric as a Markdown table."""
    rate = rows["metric"].iloc[0] in RATES
    percent = lambda value: number(100 * value) + "%" if value == value else "–"
    told = percent if rate else number

    def side(row: pd.Series, name: str) -> str:
        value, low, high, seeds = (row[f"{column}_{name}"] for column in COMPARISON)
        interval = f" [{told(low)}, {told(high)}]" if low == low else ""
        lost = not_finite(row[f"{COUNT}_{name}"], seeds)
        return f"{told(value)}{interval}" + (f", {seeds:.0f}" if seeds == seeds else "") + lost

    def difference(row: pd.Series) -> str:
        # Logarithms are told as what they are of: ratios.
        value, low, high = (row[name] if rate else 10.0 ** row[name] for name in ("difference", "low", "high"))
        return told(value) + (f" [{told(low)}, {told(high)}]" if low == low else "")

    shown = [name for name in on if rows[name].nunique() > 1 or name in ("model", "task", "range")]
    columns = {name: rows[name].map(in_markdown) for name in shown}
    columns |= {f"{name.upper()} [95%], seeds": [side(row, name) for _, row in rows.iterrows()] for name in "ab"}
    columns["A − B [95%]" if rate else "A ÷ B [95%]"] = [difference(row) for _, row in rows.iterrows()]
    columns |= {"p (Holm)": [number(p) for p in rows["p_adjusted"]], "A is": rows["verdict"]}
    return markdown(pd.DataFrame(columns))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 where --fail-on found its verdict, 2 for tables that cannot be compared."""
    parser = Parser(
        prog="python -m benchmark.compare",
        description="Compare two results cell by cell: values, difference, 95% intervals, and whether A is better, "
        "worse or the same.",
        epilog=EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = ", ".join(published_tables("metric"))
    for name in "AB":
        parser.add_argument(name, help=f"a results folder, a summary.csv, or a published table ({names})")
    parser.add_argument(
        "--on", default=",".join(CELL), metavar="COLUMNS",
        help="join cells by these columns of the key only, for tables that differ in the others on purpose: "
        "model,task,range for other protocols, task,range for other models (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--metric", action="append", metavar="NAME",
        help=f"a metric of summary.csv, repeatable (default: {' and '.join(METRICS)})",
    )  # fmt: skip
    parser.add_argument(
        "--fail-on", action="append", choices=[*VERDICTS, "missing"],
        help="exit with 1 if any cell has this verdict, or is missing on one side; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="DIR", help="where the CSV and the heatmap go (default: results/compare/A-B)"
    )
    options = parser.parse_args(arguments)
    return guarded(lambda: _compare(options))


def _compare(options: argparse.Namespace) -> int:
    on = list(dict.fromkeys(name.strip() for name in options.on.split(",")))
    for name in on:
        if name not in CELL:
            raise unknown("column of the key", name, CELL)
    a, b = both_over_sets_of_ranges(load(options.A), load(options.B))
    check_comparable(a, b)
    if on == CELL:
        check_same_configurations(a, b)
    metrics = options.metric or _shared_defaults(a, b)
    names = stems(options.A, options.B)
    own = Path("results/compare") / "-".join(names)
    output = outlet("--output", own if options.output is None else options.output)
    table = differences(a, b, on, metrics)
    write_text(output / "differences.csv", to_csv(table))
    from benchmark.showing import figures

    written = ["differences.csv"]
    if not (nothing := figures.nothing("differences", table["difference"])):
        claim = figures.titles.differences(table)
        known = [side.cells for side in (a, b) if side.cells is not None]
        for stem, figure in figures.numbered("differences", figures.difference_heatmap(table, known)):
            figures.entitle(figure, claim, "A: {}, B: {}".format(*names))
            written += [path.name for path in figures.save(figure, output / stem)]
    say(f"A: {options.A}\nB: {options.B}")
    for metric in metrics:
        rows = table[table["metric"] == metric]
        counts = rows["verdict"].value_counts()
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
        say(f"\n{metric}: A is {told}\n\n{table_of(rows, on)}")
        if metric in RATES and (many := (rows["seeds_a"] + rows["seeds_b"] > EXACT_SEEDS).sum()):
            say(f"\n{many} of these cells hold more than {EXACT_SEEDS} seeds together: their p is {BEYOND}'s.")
    missing = alone(a, b, on, metrics)
    for text in missing:
        say(f"\n{text}")
    say(f"\n{EXPLANATION}\n\n{output}: {', '.join(written)}{f'; no figure: {nothing}' if nothing else ''}")
    return int(bool(set(options.fail_on or ()) & {*table["verdict"], *(["missing"] if missing else [])}))


def _shared_defaults(a: Table, b: Table) -> list[str]:
    """The default metrics that both tables hold: published tables often have success rates only."""
    held = set(a.summary["metric"]) & set(b.summary["metric"])
    return [metric for metric in METRICS if metric in held] or METRICS


def stems(*sources: str) -> list[str]:
    """The names of the tables' folders or files, as much of their paths as tells them apart."""
    paths = [path.resolve() for path in map(Path, sources)]
    paths = [path.parent if path.name in ("summary.csv", "summary.csv.gz") else path for path in paths]
    parts = [path.with_name(re.sub(r"\.csv(\.gz)?$", "", path.name)).parts[1:] for path in paths]
    deepest = max(map(len, parts))
    depth = next((n for n in range(1, deepest + 1) if len({part[-n:] for part in parts}) == len(parts)), 1)
    return ["_".join(part[-depth:]) for part in parts]


if __name__ == "__main__":
    raise SystemExit(main())
