"""What stands around the panels: pages, grids, colour bars, the names of lines."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch, Rectangle

from benchmark.showing.figures.look import BAD, FEW, GOOD, LOST, OTHERS, wrapped
from benchmark.showing.names import label, not_finite

NARROWEST = 4.2  # a legend has room beside one panel, too
WIDTH, HEIGHT = 7.2, 8.5  # inches of a page; half an inch of its nine is left for the name of a set
PANELS = 9  # a page has no more
ROWS = 45  # of a heatmap, at 0.15 inches
Panel = TypeVar("Panel")


def pages(
    panels: Sequence[Panel], across: int, height: float, around: float, together: int = 1, most: int = PANELS
) -> list[list[Panel]]:
    """The panels of each figure, about as many on each: `across` in a row of `height` inches, `around` inches for else.

    together: how many panels in a row belong together. most: how many a figure holds at most.
    """
    down = max(1, int((HEIGHT - around) / height))
    most = max(together, min(most, across * down) // together * together)
    count = -(-len(panels) // most)
    size = -(-len(panels) // (max(count, 1) * together)) * together
    return [list(panels[i : i + size]) for i in range(0, len(panels), size or 1)]


def chunks(names: Sequence[Panel], most: int = ROWS) -> list[list[Panel]]:
    """Names in parts of about the same length, none longer than `most`."""
    count = max(1, -(-len(names) // most))
    return [list(part) for part in np.array_split(np.array(names, dtype=object), count)]


def grid(
    panels: int, across: int, width: float, height: float, around: tuple[float, float], xlabel: str = "",
    ylabel: str = "",
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure with up to `across` panels a row, each `width` × `height` inches, and `around` them (width, height).

    xlabel, ylabel: of all panels.
    """
    columns = min(across, panels)
    rows = -(-panels // columns)
    figure = Figure((max(NARROWEST, around[0] + width * columns), around[1] + rows * height), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in places[panels:]:
        axes.remove()
    for axes in places[max(0, panels - columns) : panels]:
        axes.set_xlabel(wrapped(xlabel, max(2, width - 1)))
    figure.supylabel(ylabel)
    return figure, places[:panels]


def boxes(axes: Axes, corners: Iterable, widths: Iterable[float], height: float, **look: Any) -> None:
    """Rectangles of one look from their lower left corners."""
    made = [Rectangle(corner, width, height) for corner, width in zip(corners, widths, strict=True)]
    axes.add_collection(PatchCollection(made, **look), autolim=False)


def colorbar(figure: Figure | SubFigure, of: Axes | list[Axes], colors: ScalarMappable, **options: Any) -> None:
    """A horizontal colour bar a tenth of an inch below the panels, which says where its colours are good or bad."""
    pad = 0.1 * figure.dpi / figure.bbox.height
    bar = figure.colorbar(
        colors,
        ax=of,
        location="bottom",
        shrink=0.7 if figure.bbox.width > 5 * figure.dpi else 0.85,
        aspect=30,
        pad=pad,
        **options,
    )
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    if (name := colors.get_cmap().name) in (GOOD, BAD):
        ends = ("bad", "good") if name == GOOD else ("good", "bad")
        for x, word, side in zip((-0.07, 1.07), ends, ("right", "left"), strict=True):
            bar.ax.text(x, 0.5, word, transform=bar.ax.transAxes, va="center", ha=side, fontsize=7)


def with_lines(ends: pd.Series) -> list[str]:
    """The models that have a line, from best to worst: all, or where there are many the three best and the three worst.

    ends: error by model, where the lines end.
    """
    order = list(ends.sort_values(kind="stable").index)
    return order if len(order) <= FEW else [*order[: FEW // 2], *order[-FEW // 2 :]]


def others(axes: Axes, curves: pd.DataFrame, upright: bool = False) -> Patch | None:
    """A grey band from the least to the largest of the curves that have no line of their own, and what names it.

    curves: x × model; y × model where they are upright.
    """
    if curves.empty:
        return None
    fill = axes.fill_betweenx if upright else axes.fill_between
    fill(curves.index, curves.min(axis=1), curves.max(axis=1), **OTHERS)
    return Patch(label=f"{curves.shape[1]} other model{'s' * (curves.shape[1] > 1)}", **OTHERS)


def name_lines(
    axes: Axes,
    ends: Mapping[str, float],
    looks: Mapping[str, dict],
    height: float,
    lost: Mapping[str, float] | None = None,
) -> None:
    """The models' names beside the ends of their lines, after the lines' markers, moved up and down until they do not
    touch.

    ends: where on the y axis, whose limits are set, each line ends. height: of the axes in inches, about. lost: how
    many seeds a line leaves out; none where it is not given.
    """
    to_axes = axes.transScale + axes.transLimits
    low, high = axes.get_ylim()
    heights = {
        model: float(np.nan_to_num(to_axes.transform((axes.get_xlim()[1], np.clip(end, low, high)))[1], nan=1.0))
        for model, end in ends.items()
        if not np.isnan(end)
    }
    order = sorted(heights, key=lambda model: heights[model])
    gap = 0.12 / height
    places: list[float] = []
    for model in order:
        places.append(max(heights[model], places[-1] + gap if places else -1))
    top = max(1.0, (len(places) - 1) * gap)
    for i in reversed(range(len(places))):  # those that were pushed over the top come down again
        places[i] = min(places[i], top)
        top = places[i] - gap
    for model, place in zip(order, places, strict=True):
        color = looks[model]["color"]
        name = label(model) + ("" if lost is None else not_finite(lost[model]))
        mark = looks[model].get("marker")
        if mark:  # the line's, without which grey print does not tell whose it is
            axes.plot([1.05], [place], mark, color=color, markersize=3, transform=axes.transAxes, clip_on=False)
        axes.annotate(
            name, (1, heights[model]), (1.08 if mark else 1.05, place), "axes fraction", "axes fraction", va="center",
            fontsize=7, color=color,
            arrowprops={"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0,
                        "relpos": (0, 0.5)},
            annotation_clip=False,
        )  # fmt: skip


def lost_mark(lost: pd.Series) -> Artist | None:
    """What tells in a legend how to read the counts beside names, where there are some."""
    return Patch(label=LOST.replace("\n", " "), color="none") if (lost > 0).any() else None


def legend(figure: Figure, handles: Iterable[Artist | None], columns: int = 4, title: str = "") -> None:
    """The handles that there are, each name once, below the panels."""
    named = {str(handle.get_label()): handle for handle in handles if handle is not None}
    if named:
        columns = min(columns, int(figure.get_figwidth() / max(0.6 + 0.065 * len(name) for name in named)) or 1)
        figure.legend(handles=list(named.values()), loc="outside lower center", ncols=columns, title=title or None)
