"""Error against the distance from the training range."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import HORIZON_ERROR
from benchmark.showing.figures.layout import grid, model_legend, worst_first
from benchmark.showing.figures.look import FEW, by_task_and_range, models_of, panel_title, paper, style

QUARTILES = ["low", "relative", "high"]
ENDS = 1e-7, 1e3  # float32 resolves no more; and who errs a thousandfold need not be told from who errs more
THIN: dict[str, Any] = {"linewidth": 0.9, "linestyle": "-"}
SHADE: dict[str, Any] = {"color": "0.9", "linewidth": 0, "zorder": 0}
DOTTED: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": ":"}


@paper
def error_by_distance(profile: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Median relative error against the distance from the middle of the training range, a panel per task × range.

    Distance in half-widths of the training range, which is shaded; of two inputs at one distance, the worse. A curve's
    horizon is where it crosses the dotted line. Up to six models have their quartile bands.
    """
    errors = _by_distance(profile, cells)
    groups = by_task_and_range(errors)
    height = 2.4 if len(groups) < 5 else 1.6
    xlabel = "distance from the middle of the training range (1: its edge)"
    figure, places = grid(len(groups), 2.8, height, xlabel, "relative error, median over seeds")
    seen = errors["relative"].clip(*ENDS)
    bottom, top = min(seen.min(), HORIZON_ERROR) / 2, 2 * max(seen.max(), HORIZON_ERROR)
    for axes, ((task, name), part) in zip(places, groups, strict=True):
        models = models_of(part)
        for number, model in enumerate(models):
            curve = part[part["model"] == model].set_index("distance").sort_index()[QUARTILES].clip(bottom, 10 * top)
            marks = (number * len(curve) // (5 * len(models)), max(1, len(curve) // 5))
            axes.plot(curve.index, curve["relative"], **style(model) | THIN, markevery=marks)
            if len(models) <= FEW:
                band = {"color": style(model)["color"], "alpha": 0.15, "linewidth": 0}
                axes.fill_between(curve.index, curve["low"], curve["high"], **band)
        axes.axvspan(0, 1, **SHADE)
        axes.axhline(HORIZON_ERROR, **DOTTED)
        axes.set(yscale="log", ylim=(bottom, top), title=panel_title(cells, name, task))
        axes.margins(x=0)
    more = [Patch(label="training range", **SHADE), Line2D([], [], label=f"{HORIZON_ERROR:.0%} (horizon)", **DOTTED)]
    model_legend(figure, worst_first(errors, "distance", "relative"), THIN, more)
    return figure


def _by_distance(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Quartiles of the relative error (low, relative, high) by distance; signed inputs are folded, the worse side kept.

    The two sides of a range that does not lie in the middle of its profile have their points at different distances:
    they meet at the nearest multiple of the spacing.
    """
    table = profile[profile["relative"].notna()].merge(cells[[*CELL, "inputs", "middle", "half_width"]], on=CELL)
    spacing = table.groupby(CELL)["x"].transform(lambda x: np.diff(np.sort(x.unique())).min()) / table["half_width"]
    signed = (table["x"] - table["middle"]).abs() / table["half_width"]
    folded = (signed / spacing).round() * spacing
    table["distance"] = table["x"].where(table["inputs"] > 1, folded.round(9))
    scale = (table["relative"] / table["median"]).where(table["median"] > 0, 0)
    quartiles = table[["low", "high"]].mul(scale, axis=0)
    table[["low", "high"]] = quartiles.where(np.isfinite(table["median"]), np.inf)
    return table.groupby([*CELL, "distance"], sort=False)[QUARTILES].max().reset_index()
