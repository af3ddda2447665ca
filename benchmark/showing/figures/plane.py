"""Error over the plane of both operands."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from benchmark.results.statistics import of_most
from benchmark.showing.figures.layout import PANELS, colorbar
from benchmark.showing.figures.look import (
    BAD,
    LOST,
    best_of_families,
    judged,
    lost_of,
    models_of,
    panel_title,
    paper,
    share,
    trained,
)
from benchmark.showing.names import label, not_finite

DECADES = 5  # of the colour scale
NORM = LogNorm(10.0**-DECADES, 1)
JUDGED: dict[str, Any] = {"fill": False, "linewidth": 0.8, "linestyle": ":", "clip_on": True}


def operand_plane(plane: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Absolute error (median over seeds) over the operand plane, one panel per model; for one task and one range.

    As a share of the largest target in the plane, the error of a network that always answers zero. The square is the
    training range, and dotted is where networks are judged. Of more models than a page has panels the best of each
    family are shown. Beside a name stands how many seeds the median leaves out at most, since they are not finite.
    """
    top, plane = largest_target(plane), of_most(plane, "error")
    errors = plane.groupby("model")["error"].median()
    models = best_of_families(models_of(plane), errors, PANELS)
    yield _page(plane[plane["model"].isin(models)], cells, models, top)


@paper()
def _page(plane: pd.DataFrame, cells: pd.DataFrame, models: list[str], top: float) -> Figure:
    task, name = plane[["task", "range"]].iloc[0]
    here = cells[(cells["task"] == task) & (cells["range"] == name)].set_index("model")
    figure, places = _grid(len(models))
    lost = lost_of(plane)
    for axes, model in zip(places, models, strict=True):
        errors = plane[plane["model"] == model].pivot(index="b", columns="a", values="error") / top
        axes.pcolormesh(
            *map(_edges, (errors.columns, errors.index)), errors.clip(NORM.vmin, NORM.vmax), cmap=BAD, norm=NORM,
            rasterized=True,
        )  # fmt: skip
        (left, right), (low, high) = (trained(here.loc[model], operand) for operand in "ab")
        halo = [withStroke(linewidth=2.4, foreground="white")]
        square = Rectangle((left, low), right - left, high - low, fill=False, linewidth=1, path_effects=halo)
        axes.add_patch(square)
        for (left, right), (bottom, upper) in product(*(judged(here.loc[model], operand) for operand in "ab")):
            axes.add_patch(Rectangle((left, bottom), right - left, upper - bottom, path_effects=halo, **JUDGED))
        axes.set_title(label(model) + not_finite(lost[model]))
    figure.suptitle(panel_title(cells, name, task, figure.get_figwidth()), fontsize=8)
    meaning = "absolute error, median over seeds,\nas a share of the largest target\n(square: trained; dotted: judged)"
    meaning += f"\n{LOST}" if (lost > 0).any() else ""
    percent = FuncFormatter(lambda error, _: share(error))
    colorbar(figure, places, ScalarMappable(NORM, BAD), label=meaning, format=percent, extend="both")
    return figure


def _grid(panels: int) -> tuple[Figure, list]:
    """Three square panels a row; labels on the left and below the last row."""
    columns = min(3, panels)
    rows, size = -(-panels // columns), 1.7
    layout = ConstrainedLayoutEngine(compress=True, h_pad=0.06)
    figure = Figure((max(3.8, 0.6 + size * columns), 1.3 + (size + 0.2) * rows), layout=layout)
    places = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for number, axes in enumerate(places[:panels]):
        left, lowest = number % columns == 0, number >= panels - columns
        axes.set(aspect="equal", xticks=(-10, 0, 10), yticks=(-10, 0, 10))
        axes.set(xlabel="a" if lowest else "", ylabel="b" if left else "")
        axes.tick_params(length=2, labelleft=left, labelbottom=lowest)
        sns.despine(ax=axes, left=True, bottom=True)
    for axes in places[panels:]:
        axes.remove()
    return figure, places[:panels]


def largest_target(plane: pd.DataFrame) -> float:
    """The largest target in the plane."""
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = plane["error"] / plane["relative"]
    known = targets[np.isfinite(targets)]
    return known.max() if len(known) and known.max() > 0 else 1.0


def _edges(points: pd.Index) -> np.ndarray:
    """The edges of equal cells around their middles."""
    half = (points[1] - points[0]) / 2
    return np.append(points - half, points[-1] + half)
