"""Error over the plane of both operands."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from benchmark.showing.figures.layout import colorbar
from benchmark.showing.figures.look import models_of, page_title, panel_title, paper, trained
from benchmark.showing.names import label

DECADES = 5  # of the colour scale


@paper
def operand_plane(plane: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Absolute error (median over seeds) over the operand plane, one panel per model; for one task and one range.

    The square is the training range. The colours end at the largest target in the plane, the error of a network that
    always answers zero, and five decades below it.
    """
    task, name = plane[["task", "range"]].iloc[0]
    here = cells[(cells["task"] == task) & (cells["range"] == name)].set_index("model")
    models = models_of(plane)
    figure, places = _grid(len(models))
    norm = _scale(plane)
    for axes, model in zip(places, models, strict=True):
        errors = plane[plane["model"] == model].pivot(index="b", columns="a", values="error").clip(norm.vmin, norm.vmax)
        axes.pcolormesh(
            *map(_edges, (errors.columns, errors.index)), errors, cmap="rocket_r", norm=norm, rasterized=True
        )
        low, high = trained(here.loc[model])
        halo = [withStroke(linewidth=2.4, foreground="white")]
        square = Rectangle((low, low), high - low, high - low, fill=False, linewidth=1, path_effects=halo)
        axes.add_patch(square)
        axes.set_title(label(model), fontsize=7)
    title = page_title if len(models) > 3 else panel_title
    figure.suptitle(title(cells, name, task), fontsize=8)
    meaning = "absolute error, median over seeds\n(square: training range)"
    colorbar(figure, places, ScalarMappable(norm, "rocket_r"), label=meaning, extend="both")
    return figure


def _grid(panels: int) -> tuple[Figure, list]:
    """Up to six square panels a row, larger ones if they fill no row; labels on the left and below the last row."""
    columns = min(6, panels)
    rows, size = -(-panels // columns), 1.1 if columns > 3 else 1.7
    layout = ConstrainedLayoutEngine(compress=True, h_pad=0.06)
    figure = Figure((max(3.4, 0.6 + size * columns), 1.3 + (size + 0.2) * rows), layout=layout)
    places = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for number, axes in enumerate(places[:panels]):
        left, lowest = number % columns == 0, number >= columns * (rows - 1)
        axes.set(aspect="equal", xticks=(-10, 0, 10), yticks=(-10, 0, 10))
        axes.set(xlabel="a" if lowest else "", ylabel="b" if left else "")
        axes.tick_params(labelsize=7, length=2, labelleft=left, labelbottom=lowest)
        axes.spines[:].set_visible(False)
    for axes in places[panels:]:
        axes.remove()
    return figure, places[:panels]


def _scale(plane: pd.DataFrame) -> LogNorm:
    with np.errstate(divide="ignore", invalid="ignore"):
        targets = plane["error"] / plane["relative"]
    known = targets[np.isfinite(targets)]
    top = known.max() if len(known) else 1.0
    return LogNorm(top / 10**DECADES, top)


def _edges(points: pd.Index) -> np.ndarray:
    """The edges of equal cells around their middles."""
    half = (points[1] - points[0]) / 2
    return np.append(points - half, points[-1] + half)
