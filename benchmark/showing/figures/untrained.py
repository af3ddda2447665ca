"""What networks are like before training."""

from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmark.asked.replicas import CELL
from benchmark.showing.figures.look import models_of, panel_title, paper
from benchmark.showing.names import label

QUARTILES = ["output_low", "output", "output_high"]
FAR = 1e6  # outputs larger than a million times the targets, and infinite ones, stand there
LOOKS = [{"marker": "o"}, {"marker": "s", "markerfacecolor": "none"}, {"marker": "^"}, {"marker": "D"}]
POINTS: dict[str, Any] = {"color": "black", "linestyle": ""}
TARGETS: dict[str, Any] = {"color": "#f5c04d", "alpha": 0.6, "linewidth": 1.2}


@paper
def initialisation(initialisation: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Before training: saturation, and the size of the outputs beside that of the targets; a row per model.

    Saturation is the share of effective weights that hardly move with their parameters. Size is the root mean square
    over the training range. Tasks of so many inputs share their networks: a point is the median over them.
    """
    table = initialisation.merge(cells[[*CELL, "inputs"]], on=CELL)
    models, ranges = models_of(table), list(table["range"].unique())
    looks = dict(zip(sorted(set(table["inputs"])), cycle(LOOKS), strict=False))
    figure = Figure((7, 1.1 + len(ranges) * (0.5 + 0.15 * len(models))), layout="constrained")
    grid = figure.subplots(len(ranges), 2, squeeze=False, sharey=True, sharex="col")
    for (left, right), name in zip(grid, ranges, strict=True):
        here = table[table["range"] == name]
        right.axvspan(here["target"].min(), here["target"].max(), zorder=1, **TARGETS)
        for place, (inputs, look) in enumerate(looks.items()):
            same = here[here["inputs"] == inputs].groupby("model")
            medians = same[["saturation", *QUARTILES]].median().reindex(models).clip(upper=FAR * here["target"].max())
            _points(left, right, medians, 0.4 * ((place + 0.5) / len(looks) - 0.5), POINTS | look)
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
    handles: list[Artist] = [
        Line2D([], [], **POINTS | look, label=f"{inputs} input" + "s" * int(inputs > 1))
        for inputs, look in looks.items()
    ]
    handles.append(Patch(**TARGETS, label="root mean square of the targets, by task"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _points(left: Axes, right: Axes, medians: pd.DataFrame, offset: float, look: dict) -> None:
    """A point per model in both panels, a little above or below the middle of its row."""
    rows = np.arange(len(medians)) + offset
    left.plot(medians["saturation"], rows, clip_on=False, **look)
    low, output, high = medians[QUARTILES].to_numpy().T
    right.errorbar(output, rows, xerr=(output - low, high - output), elinewidth=0.8, **look)
