"""From tables to what the terminal says."""

import math

import pandas as pd

from benchmark.replicas import CELL
from benchmark.statistics import VERDICTS

MEANINGS = {
    "diverged": "training ended in numbers that are not finite",
    "solved": "the error outside the training range is below that of weights which are each wrong by ε",
    "near_miss": "above that threshold, but relative error outside below 0.1%",
    "interpolates": "fits its training range and fails outside",
    "cannot_represent": "no weights of this model compute the task on this range, so no training could",
    "not_learned": "does not even fit its training range",
}


def number(value: float) -> str:
    """Three figures, as short as they can be read.

    >>> [number(x) for x in (0.98, 1.79e-4, 123456.0, float("inf"), float("nan"))]
    ['0.98', '1.8e-04', '1.2e+05', '∞', '–']
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    return f"{value:.1e}" if value != 0 and not 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def table(rows: list[dict[str, str]]) -> str:
    """Aligned columns under a header; the columns are those of the first row."""
    header = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in header}
    lines = [dict(zip(header, header, strict=True)), {name: "─" * widths[name] for name in header}, *rows]
    return "\n".join("  ".join(line[name].ljust(widths[name]) for name in header).rstrip() for line in lines)


def report(outcomes: pd.DataFrame, summary: pd.DataFrame, cells: pd.DataFrame) -> str:
    """The cells' success rates, errors and verdicts, what the verdicts mean, and why what is impossible is so."""
    metrics = summary.set_index([*CELL, "metric"])
    varying = [name for name in ("protocol", "overrides") if outcomes[name].nunique() > 1]
    rows = []
    for names, group in outcomes.groupby(CELL, sort=False):
        own = dict(zip(CELL, names, strict=True))
        rate, at = metrics.loc[(*names, "success_rate")], metrics.loc[(*names, "solved_at")]
        counts = group["verdict"].value_counts()
        verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
        rows.append(
            {name: own[name] for name in ("model", "task", "range", *varying)}
            | {"success [95%]": f"{rate['value']:4.0%} [{100 * rate['low']:.0f}–{100 * rate['high']:.0f}]"}
            | {"solved at": "–" if math.isnan(at["value"]) else f"{at['value']:,.0f}"}
            | {"error inside": number(group["relative_interpolation"].median())}
            | {"outside": number(group["relative_extrapolation"].median())}
            | {"verdicts (seeds)": verdicts}
        )
    seen = [verdict for verdict in VERDICTS if (outcomes["verdict"] == verdict).any()]
    lines = [table(rows), "", "Errors are relative (RMS error over RMS target), medians over the seeds."]
    lines += [f"{verdict}: {MEANINGS[verdict]}." for verdict in seen]
    impossible = cells[cells["representable"] == "no"]
    for (model, range_, why), group in impossible.groupby(["model", "range", "why"], sort=False):
        lines.append(f"{model} cannot represent {', '.join(group['task'].unique())} on {range_}: {why}.")
    for (range_, trained, judged), group in cells.groupby(["range", "trained", "judged"], sort=False):
        lines.append(f"{', '.join(group['task'].unique())} on {range_}: trained on {trained}, judged on {judged}.")
    return "\n".join(lines)
