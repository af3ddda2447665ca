"""What networks are like before training."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmark.asked.replicas import CELL
from benchmark.showing.figures.layout import chunks, legend, lost_mark, pages
from benchmark.showing.figures.look import log_axis, lost_of, models_of, paper, power, range_title, ranges_of, wrapped
from benchmark.showing.names import label, not_finite

QUARTILES = ["output_low", "output", "output_high"]
FAR = 1e6  # outputs larger than a million times the targets, and infinite ones, stand there
ALIKE = 0.05  # saturations that differ by less are not worth a column
LOOKS = [{"marker": "o"}, {"marker": "s", "markerfacecolor": "none"}, {"marker": "^"}, {"marker": "D"}]
POINTS: dict[str, Any] = {"color": "black", "linestyle": ""}
TARGETS: dict[str, Any] = {"color": "0.8", "linewidth": 1.2}


def initialisation(initialisation: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Before training: the size of the outputs beside that of the targets, and saturation; a row per model.

    Saturation is the share of effective weights that hardly move with their parameters; it has its column where models
    differ in it. Size is the root mean square over the training range. Tasks of so many inputs share their networks: a
    point is the median over them.
    """
    table = initialisation.merge(cells[[*CELL, "inputs"]], on=CELL)
    saturates = bool(np.ptp(table["saturation"]) > ALIKE)
    for models in chunks(models_of(table)):
        height = 0.6 + 0.15 * len(models)
        # A range takes a row of the page, of two panels or one.
        for ranges in pages(ranges_of(table, cells), 1, height, 1.3, most=4 if saturates else 9):
            here = table[table["range"].isin(ranges) & table["model"].isin(models)]
            yield _page(here, cells, ranges, models, height, saturates)


@paper()
def _page(
    table: pd.DataFrame, cells: pd.DataFrame, ranges: list[str], models: list[str], height: float, saturates: bool
) -> Figure:
    looks = dict(zip(sorted(set(table["inputs"])), cycle(LOOKS), strict=False))
    figure = Figure((7 if saturates else 4.5, 1.3 + len(ranges) * height), layout="constrained")
    grid = figure.subplots(len(ranges), 1 + saturates, squeeze=False, sharey=True, sharex="col")
    for row, name in zip(grid, ranges, strict=True):
        here = table[table["range"] == name]
        size = row[0]
        size.axvspan(here["target"].min(), here["target"].max(), zorder=0, **TARGETS)
        for place, (inputs, look) in enumerate(looks.items()):
            same = here[here["inputs"] == inputs].groupby("model")
            medians = same[["saturation", *QUARTILES]].median().reindex(models).clip(upper=FAR * here["target"].max())
            _points(row, medians, 0.4 * ((place + 0.5) / len(looks) - 0.5), POINTS | look)
        size.set_title(wrapped(f"{range_title(cells, name)}: size of the output before training", 3))
        log_axis(size, power, "x")
        lost = lost_of(here).reindex(models)
        size.set_yticks(range(len(models)), [label(model) + not_finite(count) for model, count in lost.items()])
        size.set_ylim(len(models) - 0.5, -0.5)
        if saturates:
            row[1].set(title="saturation before training", xlim=(-0.04, 1.04))
        for axes in row:
            axes.grid(axis="y", color="0.92", linewidth=0.6)
    grid[-1, 0].set_xlabel("root mean square over the training range,\nmedian and quartiles over seeds")
    if saturates:
        grid[-1, 1].set_xlabel("share of effective weights that hardly\nmove with their parameters, mean over seeds")
    points = [
        Line2D([], [], **POINTS | look, label=f"{inputs} input" + "s" * int(inputs > 1))
        for inputs, look in looks.items()
    ]
    targets = Patch(**TARGETS, label="root mean square of the targets, by task")
    legend(figure, [*points, targets, lost_mark(lost_of(table))])
    return figure


def _points(row: np.ndarray, medians: pd.DataFrame, offset: float, look: dict) -> None:
    """A point per model in each panel of a row, a little above or below the middle of its place."""
    places = np.arange(len(medians)) + offset
    low, output, high = medians[QUARTILES].to_numpy().T
    size: Axes = row[0]
    size.errorbar(output, places, xerr=(output - low, high - output), elinewidth=0.8, **look)
    for axes in row[1:]:
        axes.plot(medians["saturation"], places, clip_on=False, **look)
