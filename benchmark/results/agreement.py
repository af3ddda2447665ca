"""Is A better than B, worse, or the same? From two tables to a table of differences and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmark.asked.conf_files import members_of
from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError, unknown
from benchmark.results.intervals import bootstrap, difference_of_rates, holm, minus, rates_test, success_rate
from benchmark.results.statistics import OUTPUT_ERRORS, by_cell
from benchmark.results.tables import COUNT

RATES = ("success_rate", "success_rate_relative")
ERRORS = ("interpolation", "extrapolation", "relative_extrapolation", "solved_at", "sparsity")
# No row of outcomes has one: shown side by side.
UNTESTED = ("score", "score_interpolation", "solved_at_mean", "sparsity_mean", *OUTPUT_ERRORS)
OF_SOLVED = ("solved_at", "sparsity")  # measured on the solved seeds only
SIGNIFICANCE = 0.05
RATE_MARGIN = 0.25  # success rates closer than this are the same
ERROR_MARGIN = float(np.log10(2))  # and errors within a factor of 2
ROUNDING = float(np.log10(1 + 1e-6))  # networks of one seed that differ by less are the same
COMPARISON = ["value", "low", "high", "seeds"]
SYMBOLS = {"better": "▲", "worse": "▼", "same": "=", "inconclusive": "?"}
VERDICTS = list(SYMBOLS)


@dataclass(frozen=True)
class Table:
    """A summary under the name that people know it by; where known, its seeds' outcomes, its semantics' version and
    what was known of its cells.
    """

    name: str
    summary: pd.DataFrame
    outcomes: pd.DataFrame | None = None
    semantics: int | None = None
    cells: pd.DataFrame | None = None


def differences(a: Table, b: Table, on: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """One row a cell and metric that both tables have: both values, A - B with its 95% interval, p, and A's verdict.

    Success rates: Boschloo's test (`intervals.rates_test`) and Newcombe's interval. A is better or worse where the test
    rejects, Holm-corrected over the metric's cells; the same where it does not and the interval lies within ±0.25.
    Other metrics, of which less is better: where both tables hold the same seeds, `difference` is the median of
    log10 (A / B) over the seeds and the test is Wilcoxon's; else it is log10 of the ratio of the medians and the test
    is Mann and Whitney's; with bootstrap intervals; an error that is not finite is larger than any other. A is the same
    where the interval lies within a factor of 2, and otherwise better or worse where the test rejects and the interval
    lies on that side. Whatever is left is inconclusive, which is not agreement.

    on: the columns of the key by which cells are joined. Raises UsageError where they do not tell a table's cells
    apart, a metric is not in both tables, or no cell is.
    """
    sides = [_side(table, on, metrics) for table in (a, b)]
    joined = sides[0].merge(sides[1], on=[*on, "metric"], suffixes=("_a", "_b"))
    for metric in metrics:
        if metric not in (*RATES, *ERRORS, *UNTESTED):
            raise unknown("metric to compare by", metric, (*RATES, *ERRORS, *UNTESTED))
        if not {metric} <= set(a.summary["metric"]) & set(b.summary["metric"]):
            raise UsageError(f"{a.name} and {b.name} do not both hold the metric {metric}")
    if joined.empty:
        raise UsageError(_nothing_in_common(a, b, on))
    seeds = [_Seeds.of(table, on) for table in (a, b)]
    tested = [_tested(row, seeds, on) for row in joined.to_dict("records")]
    table = joined.assign(**pd.DataFrame(tested, columns=["difference", "low", "high", "p"]).to_dict("list"))
    table["p_adjusted"] = table.groupby("metric")["p"].transform(lambda p: holm(p.to_numpy()))
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    order = [f"{name}_{side}" for side in "ab" for name in COMPARISON]
    judged = ["difference", "low", "high", "p", "p_adjusted", "verdict"]
    return table[[*on, "metric", *order, *judged, f"{COUNT}_a", f"{COUNT}_b"]]


def both_over_sets_of_ranges(a: Table, b: Table) -> tuple[Table, Table]:
    """The tables, where one of them has success rates over a set of ranges, with such rates in the other as well.

    The range of such a rate is a preset's name, `mistry2022` for example, and it is of all of the preset's ranges
    together: where a table lacks one of them, it has no such rate.
    """
    both = [_with_pools(table, other) for table, other in ((a, b), (b, a))]
    return both[0], both[1]


def _with_pools(table: Table, other: Table) -> Table:
    rates = table.summary[table.summary["metric"] == "success_rate"]
    rates = rates.assign(solved=rates["value"] * rates["seeds"])
    key = [name for name in CELL if name != "range"]
    rows = []
    for preset in sorted(set(other.summary["range"]) - set(table.summary["range"])):
        ranges = members_of("range", preset)
        for _, cells in rates[rates["range"].isin(ranges)].groupby(key, sort=False):
            if len(cells) == len(ranges):
                pool = success_rate(round(cells["solved"].sum()), int(cells["seeds"].sum()))
                row = cells.iloc[0].to_dict() | dict(zip(("value", "low", "high"), pool, strict=True))
                rows.append(row | {"range": preset, "seeds": cells["seeds"].sum()})
    if not rows:
        return table
    pools = pd.DataFrame(rows).reindex(columns=[*CELL, "metric", *COMPARISON, COUNT])
    return replace(table, summary=pd.concat([table.summary, pools], ignore_index=True))


def _side(table: Table, on: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """A table's rows of these metrics, once each."""
    rows = table.summary[table.summary["metric"].isin(metrics)]
    twice = rows[rows.duplicated([*on, "metric"])]
    if len(twice):
        cell = " × ".join(str(twice.iloc[0][name]) for name in on)
        raise UsageError(f"{', '.join(on)} do not tell the cells of {table.name} apart: it has {cell} more than once")
    return rows.reindex(columns=[*on, "metric", *COMPARISON, COUNT])


def _nothing_in_common(a: Table, b: Table, on: Sequence[str]) -> str:
    apart = []
    for name in on:
        ours, theirs = (sorted(set(table.summary[name].astype(str))) for table in (a, b))
        if not set(ours) & set(theirs):
            apart.append(f"{name} ({_few(ours)} against {_few(theirs)})")
    told = f": they differ in {' and '.join(apart)}; join on the other columns with --on" if apart else ""
    return f"{a.name} and {b.name} have no cell in common{told}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(name or "none" for name in names[:3]) + (", …" if len(names) > 3 else "")


@dataclass(frozen=True)
class _Seeds:
    """A table's outcomes, and the places of each cell's rows there."""

    outcomes: pd.DataFrame
    places: dict[tuple, np.ndarray]

    @classmethod
    def of(cls, table: Table, on: Sequence[str]) -> "_Seeds":
        outcomes = pd.DataFrame(columns=on) if table.outcomes is None else table.outcomes
        return cls(outcomes, by_cell(outcomes, on))

    def values(self, cell: tuple, metric: str) -> pd.Series | None:
        """The metric of each seed of a cell, by seed; None where the table has no outcomes or no such column."""
        if metric not in self.outcomes:
            return None
        rows = self.outcomes.iloc[self.places.get(cell, [])]
        rows = rows[rows["solved"]] if metric in OF_SOLVED else rows
        return rows.set_index("seed")[metric]


def _tested(row: dict, seeds: Sequence[_Seeds], on: Sequence[str]) -> tuple[float, float, float, float]:
    """(difference, low, high, p) of one cell and metric."""
    if row["metric"] in RATES:
        if not row["seeds_a"] > 0 or not row["seeds_b"] > 0:
            return row["value_a"] - row["value_b"], np.nan, np.nan, np.nan
        counts = [(round(row[f"value_{side}"] * row[f"seeds_{side}"]), int(row[f"seeds_{side}"])) for side in "ab"]
        return *difference_of_rates(*counts[0], *counts[1]), rates_test(*counts[0], *counts[1])
    cell = tuple(str(row[name]) for name in (*on, "metric"))
    ours, theirs = (side.values(tuple(row[name] for name in on), row["metric"]) for side in seeds)
    if ours is None or theirs is None or min(len(ours), len(theirs)) < 2:
        return float(minus(*_log10([row["value_a"], row["value_b"]]))), np.nan, np.nan, np.nan
    paired = set(ours.index) == set(theirs.index)
    x, y = (_log10(side.sort_index()) for side in (ours, theirs))
    samples = (_unless_rounding(minus(x, y)),) if paired else (x, y)
    with np.errstate(invalid="ignore"):
        medians = [np.median(sample) for sample in samples]
    low, high = bootstrap(samples, cell)
    return float(medians[0] if paired else minus(*medians)), float(low), float(high), _rank_test(*samples)


def _log10(values: Sequence[float] | pd.Series) -> np.ndarray:
    """-inf for an error of 0."""
    with np.errstate(divide="ignore"):
        return np.log10(np.asarray(values, dtype=float))


def _unless_rounding(differences: np.ndarray) -> np.ndarray:
    """0 where two numbers differ by rounding only: the rank of such a difference would say which engine computed."""
    return np.where(np.abs(differences) < ROUNDING, 0.0, differences)


def _rank_test(*samples: np.ndarray) -> float:
    """The two-sided p-value of one sample of differences, or of two; infinite values have the extreme ranks."""
    from scipy import stats  # which takes a second to load

    if len(samples) == 2:
        return float(stats.mannwhitneyu(*samples).pvalue)
    return float(stats.wilcoxon(samples[0]).pvalue) if samples[0].any() else 1.0


def _verdict(row: dict) -> str:
    rate = row["metric"] in RATES
    margin = RATE_MARGIN if rate else ERROR_MARGIN
    within = -margin <= row["low"] and row["high"] <= margin
    rejected = row["p_adjusted"] < SIGNIFICANCE
    if within and not (rate and rejected):
        return "same"
    above, below = (row["difference"] > 0, row["difference"] < 0) if rate else (row["low"] > 0, row["high"] < 0)
    if rejected and (above or below):
        return "better" if above == rate else "worse"
    return "inconclusive"
