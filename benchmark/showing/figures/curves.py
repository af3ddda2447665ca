"""Error against the training step."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.showing.figures.layout import grid, model_legend, worst_first
from benchmark.showing.figures.look import FEW, by_task_and_range, panel_title, paper, style


@paper
def learning_curves(curves: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Mean squared error against the training step, median over seeds, one panel per task × training range.

    Solid is outside the training range and dashed, with hollow marks, inside; dotted is the threshold of success. Up to
    six models have their quartile bands. The axis ends at a thousand times the median error before training:
    diverged runs leave it.
    """
    groups = by_task_and_range(curves)
    height = 2.4 if len(groups) < 5 else 1.6
    figure, places = grid(len(groups), 2.8, height, "training step", "mean squared error")
    thin = {"linewidth": 0.9, "linestyle": "-"}
    hollow = {
        "linewidth": 0.9,
        "linestyle": "--",
        "markersize": 2.5,
        "markerfacecolor": "white",
        "markeredgewidth": 0.6,
    }
    sides = {"extrapolation": thin, "interpolation": hollow}
    for axes, ((task, name), part) in zip(places, groups, strict=True):
        errors = part.set_index(["model", "step"])[list(sides)].clip(1e-16, 1e100)
        low, middle, high = (errors.groupby(level=[0, 1]).quantile(share) for share in (0.25, 0.5, 0.75))
        threshold = cells.loc[(cells["task"] == task) & (cells["range"] == name), "threshold"].min()
        ceiling = 1e3 * np.median(middle.xs(part["step"].min(), level="step"))
        models = middle.index.unique(0)
        for number, model in enumerate(models):
            steps = middle.loc[model].index
            marks = (number * len(steps) // (5 * len(models)), max(1, len(steps) // 5))
            for side, look in sides.items():
                curve = middle.loc[model, side].clip(upper=1e3 * ceiling)
                axes.plot(steps, curve, **style(model) | look, markevery=marks)
                if len(models) <= FEW:
                    band = low.loc[model, side], high.loc[model, side].clip(upper=1e3 * ceiling)
                    axes.fill_between(steps, *band, color=style(model)["color"], alpha=0.15, linewidth=0)
        if np.isfinite(threshold):
            axes.axhline(threshold, color="black", linewidth=0.8, linestyle=":")
        seen = np.append(middle.to_numpy().ravel(), threshold)
        seen = seen[np.isfinite(seen) & (seen > 0)]
        axes.set(
            yscale="log", ylim=(seen.min() / 2, 2 * min(seen.max(), ceiling)), title=panel_title(cells, name, task)
        )
        axes.margins(x=0.02)
    meanings = {"outside": "-", "inside": "--"} | ({"threshold": ":"} if np.isfinite(cells["threshold"]).any() else {})
    lines = [Line2D([], [], color="black", linewidth=0.9, ls=dash, label=key) for key, dash in meanings.items()]
    model_legend(figure, worst_first(curves, "step", "extrapolation"), thin, lines)
    return figure
