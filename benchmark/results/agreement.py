"""Is A better than B, worse, or the same? From two tables to a table of differences and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from benchmark.asked.conf_files import members_of
from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError, unknown
from benchmark.results.intervals import bootstrap, difference_of_rates, holm, minus, rates_test, success_rate
from benchmark.results.statistics import OF_SOLVED, OUTPUT_ERRORS, by_cell
from benchmark.results.tables import COUNT

RATES = ("success_rate", "success_rate_relative")
ERRORS = ("interpolation", "extrapolation", "relative_extrapolation", "solved_at", "sparsity")
# No row of outcomes has one: shown side by side.
UNTESTED = ("score", "score_interpolation", "solved_at_mean", "sparsity_mean", *OUTPUT_ERRORS)
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
    tested = _tested(joined, [_Seeds.of(table, on) for table in (a, b)], on)
    table = joined.assign(**dict(zip(("difference", "low", "high", "p"), tested.T, strict=True)))
    table = judged(table)
    order = [f"{name}_{side}" for side in "ab" for name in COMPARISON]
    told = ["difference", "low", "high", "p", "p_adjusted", "verdict"]
    return table[[*on, "metric", *order, *told, f"{COUNT}_a", f"{COUNT}_b"]]


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """A table of differences with `p_adjusted` and `verdict`, all of a metric in it being one family."""
    table = table.assign(p_adjusted=table.groupby("metric")["p"].transform(lambda p: holm(p.to_numpy())))
    return table.assign(verdict=[_verdict(row) for row in table.to_dict("records")])


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
    """The columns of a table's outcomes, and the places of each cell's rows there, by seed."""

    columns: dict[str, np.ndarray]
    places: dict[tuple, np.ndarray]

    @classmethod
    def of(cls, table: Table, on: Sequence[str]) -> "_Seeds":
        if table.outcomes is None:
            return cls({}, {})
        outcomes = table.outcomes.sort_values("seed", kind="stable")
        return cls({name: outcomes[name].to_numpy() for name in outcomes}, by_cell(outcomes, on))

    def values(self, cell: tuple, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
        """The seeds of a cell and their values of a metric; None where the table has no such column."""
        if metric not in self.columns:
            return None
        rows = self.places.get(cell, np.array([], dtype=int))
        rows = rows[self.columns["solved"][rows]] if metric in OF_SOLVED else rows
        return self.columns["seed"][rows], self.columns[metric][rows]


def _tested(joined: pd.DataFrame, seeds: Sequence[_Seeds], on: Sequence[str]) -> np.ndarray:
    """(difference, low, high, p) of each cell and metric."""
    found = np.full((len(joined), 4), np.nan)
    found[:, 0] = joined["value_a"] - joined["value_b"]
    alike: dict[tuple[int, ...], dict[int, tuple[np.ndarray, ...]]] = {}  # sizes of samples -> row -> samples
    rows = joined.to_dict("records")
    for number, row in enumerate(rows):
        if row["metric"] in RATES:
            if row["seeds_a"] > 0 and row["seeds_b"] > 0:
                counts = [int(row[f"seeds_{side}"]) for side in "ab"]
                solved = [round(row[f"value_{side}"] * row[f"seeds_{side}"]) for side in "ab"]
                four = solved[0], counts[0], solved[1], counts[1]
                found[number] = *difference_of_rates(*four), rates_test(*four)
        elif samples := _samples([side.values(tuple(row[name] for name in on), row["metric"]) for side in seeds]):
            alike.setdefault(tuple(map(len, samples)), {})[number] = samples
        else:
            found[number, 0] = minus(*_log10([row["value_a"], row["value_b"]]))
    for same in alike.values():
        numbers, every = [*same], [np.stack(sample) for sample in zip(*same.values(), strict=True)]
        with np.errstate(invalid="ignore"):
            medians = [np.median(sample, axis=1) for sample in every]
        found[numbers, 0] = medians[0] if len(medians) == 1 else minus(*medians)
        cells = [tuple(str(rows[number][name]) for name in (*on, "metric")) for number in numbers]
        found[numbers, 1:3] = bootstrap(every, np.arange(len(cells)), cells)
        found[numbers, 3] = [_rank_test(*samples) for samples in same.values()]
    return found


def _samples(sides: Sequence[tuple[np.ndarray, np.ndarray] | None]) -> tuple[np.ndarray, ...]:
    """What is tested: the differences of the logarithms where both sides have the same seeds, else those of each side.

    Nothing where a side has no two values.
    """
    known = [side for side in sides if side is not None and len(side[0]) > 1]
    if len(known) < 2:
        return ()
    x, y = (_log10(values) for _, values in known)
    return (_unless_rounding(minus(x, y)),) if np.array_equal(known[0][0], known[1][0]) else (x, y)


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
