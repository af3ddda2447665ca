"""Our numbers beside published ones: a dumbbell for each."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, PercentFormatter

from benchmark.results.agreement import RATES
from benchmark.results.intervals import success_rate
from benchmark.showing.figures.layout import NARROWEST, WIDTH, grid, legend, pages
from benchmark.showing.figures.look import amount, models_of, paper, range_title, ranges_of, tasks_of, wrapped
from benchmark.showing.names import TASKS, label

METRICS = {
    "success_rate": "share of the seeds that solve",
    "score": "score outside: 100 × the error over an untrained network's",
}
SCORES = 1e-3, 1e3  # between which scores are told apart
ROW = 0.13  # inches
# What the agreement rule says: dark where both agree, a colour of its own where they differ, grey where it is open.
VERDICTS: dict[str, tuple[str, dict[str, Any]]] = {
    "same": ("they agree", {"color": "black", "linewidth": 1.2}),
    "differ": ("they differ", {"color": "#d1500b", "linewidth": 2.4}),
    "inconclusive": ("inconclusive", {"color": "0.55", "linewidth": 1.2}),
    "": ("not tested", {"color": "0.3", "linewidth": 1.2, "linestyle": ":"}),
}
OURS: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 3.5}
THEIRS: dict[str, Any] = OURS | {"markerfacecolor": "white", "markersize": 5}


def rates_and_scores(comparison: pd.DataFrame) -> pd.DataFrame:
    """The rows of a comparison that are success rates or scores, on both sides."""
    if not {"metric", "published"} <= set(comparison):
        return pd.DataFrame(columns=["value", "published"])
    rows = comparison[comparison["metric"].isin(METRICS)].dropna(subset=["value", "published"])
    tested = rows["metric"].isin(RATES) & rows["p"].notna()
    verdicts = rows["verdict"].where(~rows["verdict"].isin(["better", "worse"]), "differ").where(tested, "")
    return rows.assign(verdict=verdicts)


def agreement(comparison: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Our success rates and scores (full dots) beside the published ones (open), with 95% intervals; a panel a range.

    A published rate without an interval has Wilson's, of its seeds. Scores beyond the axis are drawn at its ends.
    """
    table = rates_and_scores(comparison)
    for metric in METRICS:
        rows = table[table["metric"] == metric]
        order = [(task, model) for task in tasks_of(rows) for model in models_of(rows[rows["task"] == task])]
        height = 0.45 + ROW * len(order)
        groups = [(name, rows[rows["range"] == name]) for name in ranges_of(rows, cells)]
        for page in pages(groups, min(3, len(groups) or 1), height, 1.1):
            yield _page(page, cells, metric, order, height)


@paper()
def _page(
    groups: list[tuple[str, pd.DataFrame]],
    cells: pd.DataFrame,
    metric: str,
    order: list[tuple[str, str]],
    height: float,
) -> Figure:
    across = min(3, len(groups))
    width = max(1.8, (NARROWEST if across == 1 else WIDTH - 1.3) / across)
    figure, places = grid(len(groups), across, width, height, (1.3, 1.1), METRICS[metric])
    for place, (axes, (name, rows)) in enumerate(zip(places, groups, strict=True)):
        _dumbbells(axes, rows, metric, order)
        axes.set_title(wrapped(range_title(cells, name), width))
        axes.set_yticks(range(len(order)), [] if place % across else _names(order))
    here = set().union(*(set(rows["verdict"]) for _, rows in groups))
    handles = [
        Line2D([], [], **look, label=meaning) for verdict, (meaning, look) in VERDICTS.items() if verdict in here
    ]
    dots = [Line2D([], [], color="black", label=text, **look) for text, look in (("ours", OURS), ("published", THEIRS))]
    of = pd.concat([rows for _, rows in groups])[["source", "standing"]].drop_duplicates()
    origins = {source: " or ".join(dict.fromkeys(part["standing"].str.partition(":")[0]))
               for source, part in of.groupby("source", sort=False)}  # fmt: skip
    told = "; ".join(f"{source}, {standings}" for source, standings in origins.items())
    legend(figure, [*dots, *handles], 5, wrapped(f"Published: {told}.", 0.9 * figure.get_figwidth()))
    return figure


def _names(order: list[tuple[str, str]]) -> list[str]:
    """What each row is of: its model, its task or both, as much as tells them apart."""
    one_task, one_model = (len({row[of] for row in order}) == 1 for of in (0, 1))
    told = [(TASKS.get(task, task), label(model)) for task, model in order]
    return [model if one_task else task if one_model else f"{model}, {task}" for task, model in told]


def _dumbbells(axes: Axes, rows: pd.DataFrame, metric: str, order: list[tuple[str, str]]) -> None:
    """A row for each task and model: both numbers, their intervals, and the line between them."""
    known = {(row["task"], row["model"]): row for row in rows.to_dict("records")}
    limits = (0.0, 1.0) if metric in RATES else SCORES
    for y, row in ((y, known[key]) for y, key in enumerate(order) if key in known):
        _, look = VERDICTS[row["verdict"]]
        theirs = [row[f"published{end}"] for end in ("", "_low", "_high")]
        if metric in RATES and np.isnan(theirs[1]) and row["published_seeds"] > 0:
            theirs[1:] = success_rate(round(theirs[0] * row["published_seeds"]), int(row["published_seeds"]))[1:]
        both = [np.clip(side, *limits) for side in ([row["value"], row["low"], row["high"]], theirs)]
        axes.plot([both[0][0], both[1][0]], [y, y], **look, zorder=2)
        for (value, low, high), shift, dot in zip(both[::-1], (-0.16, 0.16), (THEIRS, OURS), strict=True):
            axes.plot([low, high], [y + shift] * 2, color=look["color"], linewidth=0.6, zorder=1)
            axes.plot([value], [y], color=look["color"], **dot, zorder=3, clip_on=False)
    if metric in RATES:
        axes.set(xlim=(-0.03, 1.03))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    else:
        axes.set(xscale="log", xlim=(SCORES[0] / 1.5, 1.5 * SCORES[1]))
        axes.set_xticks([SCORES[0], 0.1, 10, SCORES[1]])
        axes.xaxis.set_major_formatter(FuncFormatter(_score))
        axes.xaxis.minorticks_off()
    axes.set(ylim=(len(order) - 0.5, -0.5))
    for y in (y for y in range(1, len(order)) if order[y][0] != order[y - 1][0]):
        axes.axhline(y - 0.5, color="0.85", linewidth=0.6, zorder=0)
    axes.tick_params(axis="y", length=0)


def _score(value: float, _: Any) -> str:
    return {SCORES[0]: f"≤{SCORES[0]:g}", SCORES[1]: f"≥{SCORES[1]:,.0f}"}.get(value, amount(value))
