"""What stands around the panels: grids, colour bars, legends."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from benchmark.showing.figures.look import style
from benchmark.showing.names import label


def grid(
    panels: int, width: float, height: float, xlabel: str = "", ylabel: str = "", margin: float = 1.2
) -> tuple[Figure, list[Axes]]:
    """A figure with two panels a row, each `width` × `height` inches, or a single one that is half as wide again."""
    rows, columns = -(-panels // 2), min(2, panels)
    size = margin + width * (2 if columns == 2 else 1.5), 0.6 + rows * height
    figure = Figure(size, layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in places:
        axes.tick_params(labelsize=7)  # ticks are made when drawn, after `paper`
    for axes in places[panels:]:
        axes.remove()
    figure.supxlabel(xlabel, fontsize=8)
    figure.supylabel(ylabel, fontsize=8)
    return figure, places[:panels]


def colorbar(figure: Figure | SubFigure, of: Axes | list[Axes], colors: ScalarMappable, **options: Any) -> None:
    """A horizontal colour bar a tenth of an inch below the panels."""
    pad = 0.1 * figure.dpi / figure.bbox.height
    bar = figure.colorbar(colors, ax=of, location="bottom", shrink=0.7, aspect=30, pad=pad, **options)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)


def model_legend(figure: Figure, models: list[str], look: dict, more: Iterable[Artist] = ()) -> None:
    """The models in the given order, beside the panels."""
    lines = [Line2D([], [], **style(model) | look, label=label(model)) for model in models]
    figure.legend(handles=[*lines, *more], loc="outside right center", handlelength=3.2)


def worst_first(table: pd.DataFrame, place: str, error: str) -> list[str]:
    """The models by the error at their farthest places, largest first: a legend in the order of the line ends.

    Over several panels, by the mean of the ranks: the errors of one task would drown those of another.
    """
    panel, far = ["task", "range"], table[place].abs()
    ends = table[far == far.groupby([table[key] for key in ["model", *panel]]).transform("max")]
    ranks = ends.groupby(["model", *panel])[error].median().groupby(panel).rank().groupby("model").mean()
    return list(ranks.sort_values(ascending=False, kind="stable").index)
