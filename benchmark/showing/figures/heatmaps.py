"""Numbers of every model and task at a glance: annotated heatmaps, model × task, one panel per training range."""

from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import PercentFormatter

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import HORIZON_ERROR
from benchmark.showing.figures.layout import colorbar, grid
from benchmark.showing.figures.look import (
    HATCH,
    MISSING,
    NARROWED,
    models_of,
    narrowed,
    panel_title,
    paper,
    tasks_of,
    wrapped,
)
from benchmark.showing.names import TASKS, label


@paper
def success_heatmap(summary: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Share of the seeds that solved each task, in percent: model × task, one panel per training range."""
    rates = summary[summary["metric"] == "success_rate"]
    rates = rates.assign(text=rates["value"].map("{:.0%}".format))
    colors, percent = ScalarMappable(Normalize(0, 1), "Blues"), PercentFormatter(1)
    return _heatmaps(_by_range(rates, cells), cells, colors, label="success rate", format=percent)


@paper
def error_heatmap(outcomes: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """log10 of the relative error (RMS error ÷ RMS target, median over seeds): inside and outside each training range.

    The colours stop at −7 and 1; the numbers do not.
    """
    sides = {"inside": ("trained", "relative_interpolation"), "outside": ("judged", "relative_extrapolation")}
    errors = [error for _, error in sides.values()]
    with np.errstate(divide="ignore"):
        medians = np.log10(outcomes.groupby(["model", "task", "range"], sort=False)[errors].median()).reset_index()
    panels = []
    for name, part in medians.groupby("range", sort=False):
        here = cells[cells["range"] == name]
        for side, (verb, error) in sides.items():
            shown = part.assign(value=part[error], text=part[error].map(number))
            panels.append((wrapped(f"{name}: {side},\n{verb} on {here[verb].mode()[0]}"), name, shown))
    colors = ScalarMappable(Normalize(-7, 1), "rocket_r")
    return _heatmaps(panels, cells, colors, label="log10 of the relative error", extend="both")


@paper
def horizon_heatmap(summary: pd.DataFrame, profile: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """How far each model extrapolates: the horizon, model × task, one panel per training range.

    The horizon is the largest distance from the middle of the training range, in multiples of its half-width, up to
    which the median relative error stays below 1%; ≥ marks one that lies at or beyond the end of the profile.
    """
    horizons = summary[summary["metric"] == "horizon"].merge(farthest(profile, cells), on=CELL)
    at_least = horizons["value"] >= horizons["farthest"]
    texts = horizons["value"].map(lambda value: f"{value:.1f}" if value < 9.95 else f"{value:.0f}")
    horizons = horizons.assign(text=np.where(at_least, "≥", "") + texts)
    colors = ScalarMappable(Normalize(0, horizons["farthest"].max()), "Blues")
    meaning = (
        "horizon: distance from the middle of the training\nrange, in its half-widths, up to which the median\n"
        f"relative error stays below {HORIZON_ERROR:.0%} (1: edge of that\nrange; ≥: to the farthest distance measured)"
    )
    return _heatmaps(_by_range(horizons, cells), cells, colors, label=meaning)


def farthest(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The largest distance, in half-widths of the training range, at which each cell's relative error is known."""
    known = profile[profile["relative"].notna()].merge(cells, on=CELL)
    signed = (known["x"] - known["middle"]).abs() / known["half_width"]
    known["farthest"] = known["x"].where(known["inputs"] > 1, signed)
    return known.groupby(CELL, sort=False)["farthest"].max().reset_index()


def number(value: float) -> str:
    """A number as short as a cell of a heatmap: two digits, a proper minus sign, ∞.

    >>> [number(value) for value in (-2.04, 12.3, float("-inf"))]
    ['−2.0', '12', '−∞']
    """
    digits = 0 if abs(value) >= 9.95 else 1
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("inf", "∞").replace("-", "−")


def annotated(axes: Axes, values: pd.DataFrame, texts: pd.DataFrame, colors: ScalarMappable, **labels: Any) -> None:
    """One heatmap of values with a text in each cell; what is missing stays grey."""
    sns.heatmap(
        values.clip(*colors.get_clim()), annot=texts, fmt="", annot_kws={"size": 7}, ax=axes, cbar=False,
        cmap=colors.cmap, norm=colors.norm, linewidths=0.5, linecolor="0.85", **labels,
    )  # fmt: skip
    axes.set(xlabel="", ylabel="", facecolor=MISSING)
    axes.tick_params(length=0, labelrotation=0, labelsize=7)


def _by_range(table: pd.DataFrame, cells: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    return [(panel_title(cells, str(name)), str(name), part) for name, part in table.groupby("range", sort=False)]


def _heatmaps(
    panels: list[tuple[str, str, pd.DataFrame]], cells: pd.DataFrame, colors: ScalarMappable, **bar: Any
) -> Figure:
    """Model × task heatmaps, one per (title, range, table with value and text); hatched where success is impossible."""
    everything = pd.concat([table for _, _, table in panels])
    shape = {"index": models_of(everything), "columns": tasks_of(everything)}
    models, tasks = shape.values()
    figure, places = grid(len(panels), max(2.2, 0.43 * len(tasks)), max(1.1, 0.7 + 0.18 * len(models)), margin=1)
    legend: dict[str, dict] = {}
    for place, (axes, (title, range_, table)) in enumerate(zip(places, panels, strict=True)):
        values, texts = (
            table.pivot(index="model", columns="task", values=c).reindex(**shape) for c in ("value", "text")
        )
        narrow = narrowed(cells, range_)
        if narrow:
            legend[NARROWED] = {"color": "none"}
        annotated(
            axes, values, texts, colors,
            xticklabels=[TASKS.get(task, task) + "*" * (task in narrow) for task in tasks],
            yticklabels=False if place % 2 else [label(model) for model in models],
        )  # fmt: skip
        possible = cells[cells["range"] == range_].pivot(index="model", columns="task", values="representable")
        for row, column in np.argwhere((possible.reindex(**shape) == "no").to_numpy()):
            axes.add_patch(Rectangle((column, row), 1, 1, **HATCH))
            legend["cannot represent the task"] = HATCH
        if values.isna().any(axis=None):
            legend["no result"] = {"color": MISSING}
        axes.set(title=title)
    figure.set_figheight(figure.get_figheight() + 0.13 * bar["label"].count("\n"))
    colorbar(figure, places, colors, **bar)
    if legend:
        handles = [Patch(label=meaning, **look) for meaning, look in legend.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
