"""Error against the training step."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.showing.figures.layout import grid, legend, lost_mark, name_lines, others, pages, with_lines
from benchmark.showing.figures.look import FEW, by_task_and_range, log_axis, looks, panel_title, paper, power

WIDTH, HEIGHT, AROUND = 3.4, 2.0, (0.3, 0.7)
SIDES: dict[str, dict[str, Any]] = {"extrapolation": {"linestyle": "-"}, "interpolation": {"linestyle": "--"}}


def learning_curves(curves: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Mean squared error against the training step, median over seeds, one panel per task × training range.

    Solid is outside the training range and dashed inside; dotted is the threshold of success. Of many models the three
    best and the three worst have lines; up to six have their quartile bands. Medians and quartiles are of what is
    finite; beside a name stands how many seeds are not at the last step, and where those are half or more
    a line leaves the axis, which ends at a thousand times the median error before training.
    """
    groups = [(place, part) for place, part in by_task_and_range(curves, cells) if np.isfinite(_seen(part)).any()]
    for page in pages(groups, 2, HEIGHT, AROUND[1]):
        yield _page(page, cells)


def _seen(part: pd.DataFrame) -> np.ndarray:
    return part[list(SIDES)].to_numpy()


@paper()
def _page(groups: list[tuple[tuple[str, str], pd.DataFrame]], cells: pd.DataFrame) -> Figure:
    figure, places = grid(len(groups), 2, WIDTH, HEIGHT, AROUND, "training step", "mean squared error")
    style, handles, counted = looks(cells["model"]), list[Artist | None](), []
    for axes, ((task, name), part) in zip(places, groups, strict=True):
        errors = part.set_index(["model", "step"])[list(SIDES)]
        errors = errors.where(np.isfinite(errors)).clip(1e-16, 1e100)
        end = part[part["step"] == part["step"].max()]
        lost = (~np.isfinite(end["extrapolation"])).groupby(end["model"]).sum()
        most = errors.isna().groupby(level=[0, 1]).mean() >= 0.5  # few others make no model look good
        low, middle, high = (errors.groupby(level=[0, 1]).quantile(share) for share in (0.25, 0.5, 0.75))
        middle = middle.mask(most, 1e100)
        threshold = cells.loc[(cells["task"] == task) & (cells["range"] == name), "threshold"].min()
        ceiling = 1e3 * np.nanmedian(middle.xs(part["step"].min(), level="step"))
        outside = middle["extrapolation"].unstack("model").clip(upper=1e3 * ceiling)
        models = with_lines(outside.ffill().iloc[-1])
        for model in models:
            for side, dash in SIDES.items():
                curve = middle.loc[model, side].clip(upper=1e3 * ceiling)
                axes.plot(
                    curve.index, curve, **style[model] | dash | {"markevery": max(1, len(curve) // 8), "linewidth": 1}
                )
                if outside.shape[1] <= FEW:
                    band = low.loc[model, side], high.loc[model, side].clip(upper=1e3 * ceiling)
                    axes.fill_between(curve.index, *band, color=style[model]["color"], alpha=0.12, linewidth=0)
        handles.append(others(axes, outside.drop(columns=models)))
        if np.isfinite(threshold):
            axes.axhline(threshold, color="black", linewidth=0.8, linestyle=":")
        seen = np.append(middle.to_numpy().ravel(), threshold)
        seen = seen[np.isfinite(seen) & (seen > 0)]
        log_axis(axes, power)
        axes.set(ylim=(seen.min() / 2, 2 * min(seen.max(), ceiling)), title=panel_title(cells, name, task, WIDTH))
        axes.margins(x=0.02)
        name_lines(axes, outside.ffill().iloc[-1][models], style, HEIGHT - 0.5, lost)
        counted.append(lost[models])
    meanings = {"outside": "-", "inside": "--"} | ({"threshold": ":"} if np.isfinite(cells["threshold"]).any() else {})
    lines = [Line2D([], [], color="black", linewidth=0.9, ls=dash, label=key) for key, dash in meanings.items()]
    legend(figure, [*lines, *handles, lost_mark(pd.concat(counted))])
    return figure
