"""What became of the seeds."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.showing.figures.layout import WIDTH, boxes, chunks, grid, legend, pages
from benchmark.showing.figures.look import (
    HATCH,
    NARROWED,
    by_task_and_range,
    models_of,
    narrowed,
    panel_title,
    paper,
    tasks_of,
)
from benchmark.showing.names import label

# From left to right, the best first; lightness and hatches tell them apart in grey print.
LOOKS: dict[str, dict[str, Any]] = {
    "solved": {"color": "#08306b"},
    "near_miss": {"color": "#3180bd"},
    "inexact": {"color": "#5c99d4"},
    "unjudged": {"facecolor": "#5c99d4", "hatch": ".....", "edgecolor": "white", "linewidth": 0},
    "interpolates": {"color": "#e3a930"},
    "not_learned": {"color": "0.85"},
    "cannot_represent": HATCH,
    "diverged": {"facecolor": "#8c1515", "hatch": "xxxxx", "edgecolor": "white", "linewidth": 0},
}
MEANINGS = {
    "solved": "solved",
    "near_miss": "near miss (relative error < 0.1%)",
    "inexact": "inexact (below the limit of fitting)",
    "unjudged": "below the limit of fitting, no threshold exists",
    "interpolates": "interpolates (fails outside)",
    "not_learned": "not learned",
    "cannot_represent": "cannot represent the task",
    "diverged": "diverged",
}


def verdict_bars(outcomes: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """The shares of the verdicts among the seeds of each model, one panel per task and range.

    What no weights of a model compute is hatched, as everywhere, also where its networks fit their training range.
    """
    tasks = len(tasks_of(outcomes))
    across = 3 if tasks % 3 == 0 or tasks > 4 else 2 if tasks > 1 else 3
    for models in chunks(models_of(outcomes)):
        groups = by_task_and_range(outcomes[outcomes["model"].isin(models)], cells)
        height = 0.6 + 0.13 * len(models)
        for page in pages(groups, across, height, 0.9, tasks if tasks <= across * int(7.6 // height) else 1):
            yield _page(page, cells, models, across, height)


@paper()
def _page(
    groups: list[tuple[tuple[str, str], pd.DataFrame]],
    cells: pd.DataFrame,
    models: list[str],
    across: int,
    height: float,
) -> Figure:
    width = (WIDTH - 1.1) / across
    seeds = {seeds for _, part in groups for seeds in part.groupby("model").size()}
    xlabel = f"share of {seeds.pop() if len(seeds) == 1 else 'the'} seeds"
    figure, places = grid(len(groups), across, width, height, (1.1, 0.9), xlabel)
    there = {verdict for _, part in groups for verdict in part["verdict"]}
    for place, (axes, ((task, name), part)) in enumerate(zip(places, groups, strict=True)):
        stack(axes, shares(part, models))
        here = cells[(cells["task"] == task) & (cells["range"] == name) & (cells["representable"] == "no")]
        rows = np.flatnonzero(np.isin(models, here["model"]))
        if len(rows):
            boxes(axes, zip(np.zeros(len(rows)), rows - 0.4, strict=True), np.ones(len(rows)), 0.8, **HATCH)
            there.add("cannot_represent")
        title = panel_title(cells, name, task, width)
        axes.set_title(title + "*" * (task in narrowed(cells, name)))
        if place % across:
            axes.set_yticks([])
    handles = [Patch(**look, label=MEANINGS[verdict]) for verdict, look in LOOKS.items() if verdict in there]
    if any(task in narrowed(cells, name) for (task, name), _ in groups):
        handles.append(Patch(color="none", label=NARROWED))
    legend(figure, handles, 3)
    return figure


def shares(outcomes: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """The share of each verdict among a model's seeds: model × verdict, the best verdict first."""
    counted = pd.crosstab(outcomes["model"], outcomes["verdict"], normalize="index")
    return counted.reindex(index=models, columns=list(LOOKS), fill_value=0.0)


def stack(axes: Axes, shares: pd.DataFrame) -> None:
    """One bar per model, its parts side by side."""
    starts = shares.cumsum(axis=1) - shares
    for verdict, look in LOOKS.items():
        rows = np.flatnonzero(shares[verdict])
        boxes(axes, zip(starts[verdict].iloc[rows], rows - 0.4, strict=True), shares[verdict].iloc[rows], 0.8, **look)
    axes.set(xlim=(0, 1), ylim=(len(shares) - 0.4, -0.6))
    axes.set_xticks((0, 0.5, 1), ("0", "½", "1"))
    axes.set_yticks(range(len(shares)), map(label, shares.index))
    axes.tick_params(length=2)
    axes.tick_params(axis="y", length=0)
    sns.despine(ax=axes, left=True, bottom=True)
