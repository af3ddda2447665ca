"""Error against the distance from the training range."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import HORIZON_ERROR, of_most
from benchmark.showing.figures.layout import grid, legend, lost_mark, name_lines, others, pages, with_lines
from benchmark.showing.figures.look import (
    FEW,
    SHADE,
    by_task_and_range,
    log_axis,
    looks,
    lost_of,
    panel_title,
    paper,
    share,
)

QUARTILES = ["low", "relative", "high"]
ENDS = 1e-7, 1e3  # float32 resolves no more; and who errs a thousandfold need not be told from who errs more
DOTTED: dict[str, Any] = {"color": "black", "linewidth": 0.8, "linestyle": ":"}
WIDTH, HEIGHT, AROUND = 3.4, 2.0, (0.3, 0.8)


def error_by_distance(profile: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Median relative error against the distance from the middle of the training range, a panel per task × range.

    Distance in half-widths of the training range, which is shaded; of two inputs at one distance, the worse. A curve's
    horizon is where it crosses the dotted line. Of many models the three best and the three worst have lines; up to six
    have their quartile bands. Beside a name stands how many seeds its line leaves out, since they are not finite.
    """
    errors = by_distance(profile, cells)
    groups = [(place, part) for place, part in by_task_and_range(errors, cells) if np.isfinite(part["relative"]).any()]
    seen = errors["relative"].clip(*ENDS)
    ends = min(seen.min(), HORIZON_ERROR) / 2, 2 * max(seen.max(), HORIZON_ERROR)
    for page in pages(groups, 2, HEIGHT, AROUND[1]):
        yield _page(page, cells, ends)


@paper()
def _page(groups: list[tuple[tuple[str, str], pd.DataFrame]], cells: pd.DataFrame, ends: tuple[float, float]) -> Figure:
    xlabel = "distance from the middle of the training range (1: its edge)"
    figure, places = grid(len(groups), 2, WIDTH, HEIGHT, AROUND, xlabel, "relative error, median over seeds")
    bottom, top = ends
    style, handles, counted = looks(cells["model"]), list[Artist | None](), []
    for axes, ((task, name), part) in zip(places, groups, strict=True):
        low, middle, high = (part.pivot(index="distance", columns="model", values=name) for name in QUARTILES)
        middle = middle.clip(bottom, 10 * top)
        last = middle.ffill().iloc[-1]
        models = with_lines(last)
        for model in models:
            curve = middle[model].dropna()
            axes.plot(curve.index, curve, **style[model] | {"markevery": max(1, len(curve) // 8), "linewidth": 1})
            if middle.shape[1] <= FEW:
                band = low.loc[curve.index, model].clip(bottom), high.loc[curve.index, model].clip(bottom, 10 * top)
                axes.fill_between(curve.index, *band, color=style[model]["color"], alpha=0.12, linewidth=0)
        handles.append(others(axes, middle.drop(columns=models)))
        axes.axvspan(0, 1, **SHADE)
        axes.axhline(HORIZON_ERROR, **DOTTED)
        log_axis(axes, lambda error: share(error, long=True))
        axes.set(ylim=ends, title=panel_title(cells, name, task, WIDTH))
        axes.margins(x=0)
        lost = lost_of(part)
        name_lines(axes, last[models], style, HEIGHT - 0.5, lost)
        counted.append(lost[models])
    marks = [Patch(label="trained here", **SHADE), Line2D([], [], label=f"{HORIZON_ERROR:.0%} (horizon)", **DOTTED)]
    legend(figure, [*marks, *handles, lost_mark(pd.concat(counted))])
    return figure


def by_distance(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Quartiles of the relative error (low, relative, high) by distance; signed inputs are folded, the worse side kept.

    The two sides of a range that does not lie in the middle of its profile have their points at different distances:
    they meet at the nearest multiple of the spacing.
    """
    table = of_most(profile[profile["relative"].notna()], "relative", "median").merge(
        cells[[*CELL, "inputs", "middle", "half_width"]], on=CELL
    )
    spacing = table.groupby(CELL)["x"].transform(lambda x: np.diff(np.sort(x.unique())).min()) / table["half_width"]
    signed = (table["x"] - table["middle"]).abs() / table["half_width"]
    folded = (signed / spacing).round() * spacing
    table["distance"] = table["x"].where(table["inputs"] > 1, folded.round(9))
    scale = (table["relative"] / table["median"]).where(table["median"] > 0, 0)
    quartiles = table[["low", "high"]].mul(scale, axis=0)
    table[["low", "high"]] = quartiles.where(np.isfinite(table["median"]), np.inf)
    columns = [*QUARTILES, *({"not_finite"} & set(table))]
    return table.groupby([*CELL, "distance"], sort=False)[columns].max().reset_index()
