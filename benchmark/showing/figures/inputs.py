"""Error against the input of tasks with one operand: Figure 1 of Trask et al. (2018)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from benchmark.results.statistics import of_most
from benchmark.showing.figures.layout import (
    chunks,
    colorbar,
    grid,
    legend,
    lost_mark,
    name_lines,
    others,
    pages,
    with_lines,
)
from benchmark.showing.figures.look import (
    BAD,
    COMBINATION,
    LOST,
    SHADE,
    brief,
    by_task_and_range,
    looks,
    lost_of,
    models_of,
    panel_title,
    paper,
    share,
    trained,
    wrapped,
)
from benchmark.showing.names import TASKS, label, not_finite

TARGETS: dict[str, Callable] = {"square": np.square, "sqrt": np.sqrt, "reciprocal": np.reciprocal}
DECADES = 4  # of the colour scale
WIDTH, HEIGHT, AROUND = 3.4, 2.6, (0.3, 0.7)


class Panel(NamedTuple):
    """Errors by input: their cell's row, whose models have lines, the end of the axis, what stands above them."""

    cell: pd.Series
    rows: pd.DataFrame
    models: list[str]
    top: float
    title: str


def error_by_input(
    profile: pd.DataFrame, cells: pd.DataFrame, comparison: pd.DataFrame | None = None
) -> Iterator[Figure]:
    """Mean absolute error over the seeds against the input, one-operand tasks: Figure 1 of Trask et al. (2018).

    Where no mean is finite, since each has a seed that is not, the figure is of medians. Beside a name stands how many
    seeds are not finite. The training range is shaded. The axis ends no higher than the error of a network that always
    answers zero; lines of larger errors run out of it. Of many models the three best and the three worst have lines.
    `comparison` (our errors beside published ones) adds a panel of the published values of a task and range.
    """
    profile, what = errors(profile, cells)
    published, panels = _published(comparison, profile), []
    for (task, name), part in _finite(profile, cells):
        theirs = published[(published["task"] == task) & (published["range"] == name)]
        cell, top = part.iloc[0], _top(part.iloc[0], pd.concat([part, theirs]))
        models = with_lines(at_the_ends(part))
        panels.append(Panel(cell, part, models, top, panel_title(cells, name, task, WIDTH)))
        if len(theirs):
            origin = "; ".join((theirs["source"] + ", " + theirs["standing"]).unique())
            title = wrapped(f"{TASKS.get(task, task)}, published: {origin}", WIDTH)
            panels.append(Panel(cell, theirs, models, top, title))
    together = 2 if any("source" in panel.rows for panel in panels) else 1
    for page in pages(panels, 2, HEIGHT, AROUND[1], together):
        yield _page(page, cells, what)


@paper()
def _page(panels: list[Panel], cells: pd.DataFrame, what: str) -> Figure:
    figure, places = grid(len(panels), 2, WIDTH, HEIGHT, AROUND, "input", what)
    style, handles, counted = looks(cells["model"]), list[Artist | None](), []
    for axes, panel in zip(places, panels, strict=True):
        errors = panel.rows.pivot(index="x", columns="model", values="error").clip(upper=10 * panel.top)
        models = [model for model in panel.models if model in errors]
        parts = [errors]
        if "source" in panel.rows:  # the few published points: none through the training range
            parts = [errors[errors.index <= panel.cell["middle"]], errors[errors.index > panel.cell["middle"]]]
        for part in parts:
            for model in models:
                curve = part[model].dropna()
                axes.plot(curve.index, curve, **style[model] | {"markevery": max(1, len(curve) // 8)})
            handles.append(others(axes, part.drop(columns=models)))
        axes.axvspan(*trained(panel.cell), **SHADE)
        axes.set(title=panel.title, ylim=(0, panel.top))
        axes.margins(x=0.02)
        axes.locator_params(axis="x", nbins=4)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
        axes.autoscale_view(scaley=False)
        lost = lost_of(panel.rows)
        name_lines(axes, errors.ffill().iloc[-1][models], style, HEIGHT - 0.5, lost)
        counted.append(lost[models])
    legend(figure, [Patch(label="trained here", **SHADE), *handles, lost_mark(pd.concat(counted))])
    return figure


def error_by_input_heatmap(profile: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Absolute error over the seeds: model × input, one-operand tasks.

    The numbers of `error_by_input` as shares of the end of its axis, on a logarithmic colour scale, so that small
    errors show, too; the training range lies between the two lines.
    """
    profile, what = errors(profile, cells)
    for models in chunks(models_of(profile)):
        groups = list(_finite(profile[profile["model"].isin(models)], cells))
        height = 0.6 + 0.15 * len(models)
        for page in pages(groups, 2, height, 1.0):
            yield _heatmap_page(page, cells, models, height, what)


@paper()
def _heatmap_page(
    groups: list[tuple[tuple[str, str], pd.DataFrame]], cells: pd.DataFrame, models: list[str], height: float, what: str
) -> Figure:
    figure, places = grid(len(groups), 2, 2.9, height, (1.2, 1.0), "input")
    norm, counted = LogNorm(10.0**-DECADES, 1), []
    for place, (axes, ((task, name), part)) in enumerate(zip(places, groups, strict=True)):
        errors = part.pivot(index="model", columns="x", values="error").reindex(models) / _top(part.iloc[0], part)
        inputs = errors.columns.to_numpy()
        edges = np.concatenate([inputs[:1], (inputs[:-1] + inputs[1:]) / 2, inputs[-1:]])
        rows = np.arange(len(models) + 1) - 0.5
        axes.pcolormesh(edges, rows, errors.clip(norm.vmin, norm.vmax), cmap=BAD, norm=norm, rasterized=True)
        for edge in trained(part.iloc[0]):
            axes.axvline(edge, color="#d1500b", linewidth=1.2)
        axes.set(title=panel_title(cells, name, task, 2.9))
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
        lost = lost_of(part).reindex(models)
        names = [(model, not_finite(count)) for model, count in lost.items() if not place % 2 or count > 0]
        axes.set_yticks([models.index(model) for model, _ in names], [label(model) + told for model, told in names])
        counted.append(lost)
        axes.invert_yaxis()
    percent = FuncFormatter(lambda error, _: share(error))
    meaning = f"{what}, as a share of the largest target\n(between the lines: trained here)"
    meaning += f"\n{LOST}" if (pd.concat(counted) > 0).any() else ""
    colorbar(figure, places, ScalarMappable(norm, BAD), label=meaning, format=percent, extend="both")
    return figure


def errors(profile: pd.DataFrame, cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Profiles of one input, whose "error" is drawn, and what that is: the mean, or a median where none is finite."""
    profile = one_operand(profile, cells)
    if profile.empty or np.isfinite(profile["error"]).any():
        return profile, "mean absolute error"
    return profile.assign(error=of_most(profile, "median")["median"]), "absolute error, median over seeds"


def _finite(profile: pd.DataFrame, cells: pd.DataFrame) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """The tasks and ranges where an error is finite."""
    return ((place, part) for place, part in by_task_and_range(profile, cells) if np.isfinite(part["error"]).any())


def at_the_ends(part: pd.DataFrame) -> pd.Series:
    """The mean error of each model at the ends of the input where it is finite: those outside the training range, if
    one is there.
    """
    ends = part[part["x"].isin([part["x"].min(), part["x"].max()]) & np.isfinite(part["error"])]
    outside = ends[(ends["x"] - ends["middle"]).abs() > 1.001 * ends["half_width"]]
    return (ends if outside.empty else outside).groupby("model")["error"].mean()


def one_operand(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The profiles of the cells with one input, each row with its cell's columns."""
    return profile.merge(cells[cells["inputs"] == 1], on=["model", "task", "range", *COMBINATION])


def _published(comparison: pd.DataFrame | None, profile: pd.DataFrame) -> pd.DataFrame:
    """The published errors of a comparison as rows of a profile; none where it does not compare errors at inputs."""
    if comparison is None or "x" not in comparison:
        return profile[:0]
    return comparison[comparison["x"].notna() & comparison["published"].notna()].assign(
        error=comparison["published"], not_finite=0
    )


def _top(cell: pd.Series, part: pd.DataFrame) -> float:
    """The end of an error axis: the largest error, but between two errors that any reader can name.

    At least that of a network constant outside its training range, at most that of one that always answers zero.
    """
    target = TARGETS.get(cell["task"], np.positive)
    inputs = part["x"][(part["x"] - cell["middle"]).abs() >= cell["half_width"]]
    with np.errstate(invalid="ignore", divide="ignore"):
        zero = target(inputs).abs().max()
        constant = (target(inputs) - target(inputs.clip(*trained(cell)))).abs().max()
    worst = part["error"][np.isfinite(part["error"])].max()
    top = max(1.05 * constant, min(1.05 * worst, zero))
    return top if 0 < top < np.inf else 1.0  # nothing finite lies outside the training range
