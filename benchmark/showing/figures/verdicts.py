"""What became of the seeds."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.showing.figures.look import (
    HATCH,
    NARROWED,
    models_of,
    narrowed,
    page_title,
    panel_title,
    paper,
    tasks_of,
)
from benchmark.showing.names import TASKS, label

# From left to right, the best first; lightness and hatches tell them apart in grey print.
LOOKS: dict[str, dict[str, Any]] = {
    "solved": {"color": "#08306b"},
    "near_miss": {"color": "#3180bd"},
    "inexact": {"color": "#9ecae1"},
    "unjudged": {"facecolor": "#9ecae1", "hatch": ".....", "edgecolor": "white", "linewidth": 0},
    "interpolates": {"color": "#e3a930"},
    "not_learned": {"color": "0.85"},
    "cannot_represent": HATCH,
    "diverged": {"facecolor": "#8c1515", "hatch": "xxxxx", "edgecolor": "white", "linewidth": 0},
}
MEANINGS = {
    "solved": "solved",
    "near_miss": "near miss (relative error < 0.1%)",
    "inexact": "inexact (below the limit of fitting)",
    "unjudged": "below that limit, no threshold exists",
    "interpolates": "interpolates (fails outside)",
    "not_learned": "not learned",
    "cannot_represent": "cannot represent the task",
    "diverged": "diverged",
}


@paper
def verdict_bars(outcomes: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """The shares of the verdicts among the seeds of each model, one panel per task, one block of panels per range."""
    models, tasks, ranges = models_of(outcomes), tasks_of(outcomes), list(outcomes["range"].unique())
    columns = min(6, len(tasks))
    rows = -(-len(tasks) // columns)
    height = 0.5 + rows * (0.45 + 0.14 * len(models))
    figure = Figure((min(7.2, 2.6 + 1.2 * columns), 1 + height * len(ranges)), layout="constrained")
    title = page_title if columns > 3 else panel_title
    blocks = figure.subfigures(len(ranges), 1, squeeze=False)[:, 0]
    for block, name in zip(blocks, ranges, strict=True):
        block.suptitle(title(cells, name), fontsize=8)
        grid, here = block.subplots(rows, columns, squeeze=False, sharey=True).ravel(), outcomes["range"] == name
        for axes, task in zip(grid, tasks, strict=False):
            _stack(axes, shares(outcomes[here & (outcomes["task"] == task)], models))
            axes.set_title(TASKS.get(task, task) + "*" * (task in narrowed(cells, name)))
        for axes in grid[len(tasks) :]:
            axes.remove()
    seeds = outcomes.groupby(["model", "task", "range"]).size().unique()
    blocks[-1].supxlabel(f"share of {seeds[0] if len(seeds) == 1 else 'the'} seeds", fontsize=8)
    handles = [Patch(**look, label=MEANINGS[verdict]) for verdict, look in LOOKS.items()]
    if any(narrowed(cells, name) for name in ranges):
        handles.append(Patch(color="none", label=NARROWED))
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns > 3 else 2)
    return figure


def shares(outcomes: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """The share of each verdict among a model's seeds: model × verdict, the best verdict first."""
    counted = pd.crosstab(outcomes["model"], outcomes["verdict"], normalize="index")
    return counted.reindex(index=models, columns=list(LOOKS), fill_value=0.0)


def _stack(axes: Axes, shares: pd.DataFrame) -> None:
    """One bar per model, its parts side by side."""
    starts = shares.cumsum(axis=1) - shares
    for verdict, look in LOOKS.items():
        axes.barh(range(len(shares)), shares[verdict], left=starts[verdict], height=0.8, **look)
    axes.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6))
    axes.set_xticks((0, 0.5, 1), ("0", "½", "1"))
    axes.set_yticks(range(len(shares)), map(label, shares.index))
    axes.tick_params(labelsize=7, length=2)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
