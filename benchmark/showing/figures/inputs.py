"""Error against the input of tasks with one operand: Figure 1 of Trask et al. (2018)."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from benchmark.showing.figures.layout import colorbar, grid, model_legend, worst_first
from benchmark.showing.figures.look import COMBINATION, MISSING, panel_title, paper, style, task_name, trained
from benchmark.showing.names import label

TARGETS: dict[str, Callable] = {"square": np.square, "sqrt": np.sqrt, "reciprocal": np.reciprocal}


@paper
def error_by_input(profile: pd.DataFrame, cells: pd.DataFrame, comparison: pd.DataFrame | None = None) -> Figure:
    """Mean absolute error over the seeds against the input, one-operand tasks: Figure 1 of Trask et al. (2018).

    The training range is shaded. The axis ends no higher than the error of a network that always answers zero; lines
    of larger errors run out of it. `comparison` (our errors beside published ones) adds a panel of the published values
    of a task and range.
    """
    profile, published, panels = one_operand(profile, cells), _published(comparison, profile), []
    for (task, name), part in profile.groupby(["task", "range"], sort=False):
        theirs = published[(published["task"] == task) & (published["range"] == name)]
        cell, top = part.iloc[0], _top(part.iloc[0], pd.concat([part, theirs]))
        panels += [
            (cell, part, top, panel_title(cells, name, task)),
            (cell, theirs, top, f"{task_name(task)}, published:\n"),
        ]
    if all(shown.empty for _, shown, *_ in panels[1::2]):
        panels = panels[::2]
    figure, places = grid(len(panels), 2.7, 2.9, "input", "mean absolute error")
    for axes, (cell, shown, top, title) in zip(places, panels, strict=True):
        if shown.empty:
            axes.remove()
            continue
        look, side = {}, np.zeros(len(shown))
        if "source" in shown:  # the few published points: thin lines, none through the training range
            look, side = {"linewidth": 0.6}, shown["x"] > cell["middle"]
            title += "; ".join((shown["source"] + ",\n" + shown["standing"]).unique())
        lines = shown.assign(error=shown["error"].clip(upper=10 * top), side=side).sort_values("x")
        for number, ((model, _), line) in enumerate(lines.groupby(["model", "side"])):
            every = max(1, len(line) // 8)
            axes.plot(line["x"], line["error"], **style(model) | look, markevery=(number % every, every))
        axes.axvspan(*trained(cell), color="0.9", linewidth=0, zorder=0)
        axes.set(title=title, ylim=(0, top))
        axes.margins(x=0.02)
    model_legend(figure, worst_first(profile, "x", "error"), {})
    return figure


@paper
def error_by_input_heatmap(profile: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Mean absolute error over the seeds: model × input, one-operand tasks, the model of largest end errors on top.

    The numbers of `error_by_input` on a logarithmic colour scale of the four decades below the end of its axis, so that
    small errors show, too; the training range lies between the two lines.
    """
    panels = list(one_operand(profile, cells).groupby(["task", "range"], sort=False))
    models = max(part["model"].nunique() for _, part in panels)
    figure, places = grid(len(panels), 3.0, 1.4 + 0.17 * models)
    for axes, ((task, name), part) in zip(places, panels, strict=True):
        order, top = worst_first(part, "x", "error"), _top(part.iloc[0], part)
        norm = LogNorm(top / 1e4, top)
        errors = part.pivot(index="model", columns="x", values="error").loc[order].clip(norm.vmin, norm.vmax)
        inputs = errors.columns.to_numpy()
        edges = np.concatenate([inputs[:1], (inputs[:-1] + inputs[1:]) / 2, inputs[-1:]])
        axes.pcolormesh(edges, np.arange(len(order) + 1) - 0.5, errors, cmap="rocket_r", norm=norm)
        for edge in trained(part.iloc[0]):
            axes.axvline(edge, color="#00a6a6", linewidth=1.2)
        axes.set(title=panel_title(cells, name, task), xlabel="input", facecolor=MISSING)
        axes.set_yticks(range(len(order)), map(label, order))
        axes.invert_yaxis()
        colorbar(figure, axes, ScalarMappable(norm, "rocket_r"), label="mean absolute error", extend="both")
    return figure


def one_operand(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The profiles of the cells with one input, each row with its cell's columns."""
    return profile.merge(cells[cells["inputs"] == 1], on=["model", "task", "range", *COMBINATION])


def _published(comparison: pd.DataFrame | None, profile: pd.DataFrame) -> pd.DataFrame:
    """The published errors of a comparison as rows of a profile; none where it does not compare errors at inputs."""
    if comparison is None or "x" not in comparison:
        return profile[:0]
    return comparison[comparison["x"].notna() & comparison["published"].notna()].assign(error=comparison["published"])


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
