"""What networks are like before training."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmark.figures.look import label, models_of, panel_title, paper
from benchmark.replicas import CELL

MARKERS = "os^D"
TARGETS: dict[str, Any] = {"color": "#f5c04d", "alpha": 0.6, "linewidth": 1.2}
QUARTILES = ["output_low", "output", "output_high"]


@paper
def initialisation(initialisation: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Before training: saturation, and the size of the outputs beside that of the targets; model × range.

    Saturation is the share of effective weights that hardly move with their parameters. Size is the root mean square
    over the training range, median and quartiles over seeds. Both are medians over the tasks of so many inputs.
    """
    table = initialisation.merge(cells[[*CELL, "inputs"]], on=CELL)
    models, ranges, inputs = models_of(table), list(table["range"].unique()), sorted(set(map(int, table["inputs"])))
    height = 0.75 + 0.15 * len(models)
    figure = Figure((7, 0.6 + height * len(ranges)), layout="constrained")
    grid = figure.subplots(len(ranges), 2, squeeze=False, sharey=True, sharex="col")
    for (left, right), name in zip(grid, ranges, strict=True):
        here = table[table["range"] == name]
        right.axvspan(here["target"].min(), here["target"].max(), zorder=0, **TARGETS)
        for marker, number in zip(MARKERS, inputs, strict=False):
            middle = (
                here[here["inputs"] == number].groupby("model")[["saturation", *QUARTILES]].median().reindex(models)
            )
            _rows(left, right, middle, marker, offset=0.4 * ((inputs.index(number) + 0.5) / len(inputs) - 0.5))
        intervals = panel_title(cells, name).split(",\n")[0]
        left.set(title=f"{intervals}:\nsaturation before training", xlim=(-0.04, 1.04))
        right.set(title=f"{intervals}:\nsize of the output before training", xscale="log")
        left.set_yticks(range(len(models)), map(label, models))
        left.set_ylim(len(models) - 0.5, -0.5)
        for axes in (left, right):
            axes.tick_params(labelsize=7)
            axes.grid(axis="y", color="0.92", linewidth=0.6)
    grid[-1, 0].set_xlabel("share of effective weights that hardly\nmove with their parameters, mean over seeds")
    grid[-1, 1].set_xlabel("root mean square over the training range,\nmedian and quartiles over seeds")
    handles = [
        Line2D([], [], color="black", linestyle="", marker=marker, label=f"{number} input{'s' * (number > 1)}")
        for marker, number in zip(MARKERS, inputs, strict=False)
    ]
    figure.legend(handles=[*handles, Patch(**TARGETS, label="targets, by task")], loc="outside lower center", ncols=5)
    return figure


def _rows(left: Axes, right: Axes, middle: pd.DataFrame, marker: str, offset: float) -> None:
    """A point per model in both panels; models with a hue of their own keep it."""
    y = np.arange(len(middle)) + offset
    left.plot(middle["saturation"], y, color="black", linestyle="", marker=marker, clip_on=False)
    low, output, high = middle[QUARTILES].to_numpy().T
    right.errorbar(output, y, xerr=(output - low, high - output), color="black", fmt=marker, elinewidth=0.8)
