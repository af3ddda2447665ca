"""Success on one range beside another, and under one setting of a protocol beside another."""

import re

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from benchmark.showing.figures.look import (
    by_task_and_range,
    models_of,
    panel_title,
    paper,
    style,
    task_name,
    tasks_of,
    wrapped,
)
from benchmark.showing.names import label

METRICS = {"success_rate": "success rate", "solved_at": "solved at step", "sparsity": "sparsity error"}
BY_SETTING = {
    "success_rate": "success rate",
    "solved_at": "solved at step",
    "relative_extrapolation": "relative error outside",
}
EXPLANATION = (
    "Bars: 95% intervals. Success rate: Wilson. Step and sparsity error: median of the solved seeds, bootstrap.\n"
    "Sparsity error: how far the weight farthest from −1, 0 and 1 is from the nearest of them."
)
SIDE_BY_SIDE = 3  # a panel has room for the names of so many ranges
CROWDED = 9  # settings; more have no room for names of two lines
ROOM = 18  # for where a range trains, beside its name
EXACT = 1e-8  # the axis of the sparsity error starts here: exact weights have none
LARGE = 1e3  # and that of the relative error ends about here


def solved_somewhere(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of each task's models that solved it with a seed on some range; none where there is one range only."""
    rows = summary[summary["metric"].isin(METRICS)]
    rates = rows["value"].where(rows["metric"] == "success_rate", 0)
    solved = rates.groupby([rows["model"], rows["task"]]).transform("max") > 0
    return rows[solved & (summary["range"].nunique() > 1)]


@paper
def success_by_range(summary: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Success rate, step at which a seed solves the task and sparsity error against the range, one row per task.

    With 95% intervals, as Madsen & Johansen (2020) and Mistry et al. (2022) compare ranges. A task has the models that
    solved it with a seed on some range, and the number of the others; a task that nobody solved has no row.
    """
    shown = solved_somewhere(summary)
    tasks, ranges = tasks_of(shown), list(cells["range"].unique())
    below = 1 + 0.13 * (shown["model"].nunique() // 6) + 0.9 * (len(ranges) > SIDE_BY_SIDE)
    figure = Figure((7.2, below + 1.6 * len(tasks)), layout="constrained")
    grid = figure.subplots(len(tasks), len(METRICS), sharex=True, squeeze=False)
    errors = shown.loc[shown["metric"] == "sparsity", ["low", "value", "high"]].clip(lower=EXACT)
    ends = min(errors.min(axis=None), 0.01) / 3, 2 * max(errors.max(axis=None), 0.5)
    for row, task in zip(grid, tasks, strict=True):
        part = shown[shown["task"] == task]
        for axes, (metric, name) in zip(row, METRICS.items(), strict=True):
            _points(axes, part[part["metric"] == metric], models_of(part), ranges)
            axes.set_ylabel(name)
            axes.tick_params(labelsize=7)
        rate, step, sparsity = row
        rate.set(ylim=(-0.04, 1.04))
        rate.yaxis.set_major_formatter(PercentFormatter(1))
        step.set(ylim=(0, 1.06 * step.dataLim.ymax))
        sparsity.set(yscale="log", ylim=ends)
        others = cells.loc[cells["task"] == task, "model"].nunique() - part["model"].nunique()
        rest = f"; {others} other model{'s' * (others > 1)}: 0%" if others else ""
        rate.set_title(task_name(task) + rest, loc="left")
    figure.align_ylabels()
    _name_ranges(grid[-1], ranges, cells)
    markers = [Line2D([], [], **style(model) | {"linestyle": ""}, label=label(model)) for model in models_of(shown)]
    figure.legend(handles=markers, loc="outside lower center", ncols=6, title=EXPLANATION, title_fontsize=7)
    return figure


def several_settings(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of the models, tasks and ranges that a protocol tried under more than one set of overrides."""
    groups = summary.groupby(["protocol", "model", "task", "range"])["overrides"]
    return summary[(groups.transform("nunique") > 1) & summary["metric"].isin(BY_SETTING)]


@paper
def success_by_setting(summary: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Success rate, step at which a seed solves the task and relative error against the settings of one protocol.

    One row per task and range. With 95% intervals, as Madsen & Johansen (2020) show their sweeps.
    """
    shown = several_settings(summary).reset_index(drop=True)
    errors = shown.loc[shown["metric"] == "relative_extrapolation", ["low", "value", "high"]].clip(EXACT, LARGE)
    shown.loc[errors.index, errors.columns] = errors
    ends = np.fmin(errors.min(axis=None), 1) / 3, 3 * np.fmax(errors.max(axis=None), 1)  # 1: who always answers 0
    rows, settings = by_task_and_range(shown), sorted(shown["overrides"].unique(), key=_natural)
    crowded = len(settings) > CROWDED
    names = [name.replace("protocol.", "").replace(";", ", " if crowded else ",\n") or "as it is" for name in settings]
    below = 1.9 + 0.13 * (shown["model"].nunique() // 6) + 0.6 * crowded
    figure = Figure((7.2, below + 1.6 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(BY_SETTING), sharex=True, squeeze=False)
    for row, ((task, range_), part) in zip(grid, rows, strict=True):
        for axes, (metric, name) in zip(row, BY_SETTING.items(), strict=True):
            _points(axes, part[part["metric"] == metric], models_of(part), settings, "overrides")
            axes.set_ylabel(name)
            axes.tick_params(labelsize=7)
        rate, step, error = row
        rate.set(ylim=(-0.04, 1.04))
        rate.yaxis.set_major_formatter(PercentFormatter(1))
        if part.loc[part["metric"] == "success_rate", "value"].isna().all():
            rate.text(0.5, 0.5, "no threshold", transform=rate.transAxes, ha="center", color="grey")
        highest = part.loc[part["metric"] == "solved_at", ["value", "high"]].max(axis=None)
        step.set(ylim=(0, 1.06 * highest if highest > 0 else 1))
        error.set(yscale="log", ylim=ends)
        rate.set_title(panel_title(cells, range_, task).replace("\n", " "), loc="left")
    figure.align_ylabels()
    for axes in grid[-1]:
        axes.set_xticks(range(len(settings)), names, rotation=90)
        axes.set(xlim=(-0.5, len(settings) - 0.5))
    markers = [Line2D([], [], **style(model) | {"linestyle": ""}, label=label(model)) for model in models_of(shown)]
    told = EXPLANATION.partition(" Step")[0] + " Step: median of the solved seeds; error: of all; bootstrap."
    told += f" Errors above {LARGE:,.0f} are drawn there." if errors.max(axis=None) == LARGE else ""
    figure.legend(handles=markers, loc="outside lower center", ncols=6, title=told, title_fontsize=7)
    return figure


def _natural(name: str) -> list:
    """A sorting key in which 9 comes before 10."""
    return [
        (0, float(part), "") if part[:1].isdigit() else (1, 0.0, part) for part in re.split(r"(\d+(?:\.\d+)?)", name)
    ]


def _points(axes: Axes, table: pd.DataFrame, models: list[str], places: list[str], by: str = "range") -> None:
    """A point with its interval for each model and place, the models of a place side by side."""
    for i, model in enumerate(models):
        line = table[table["model"] == model].set_index(by).reindex(places)[["low", "value", "high"]]
        low, value, high = line.clip(lower=EXACT).to_numpy().T
        x = np.arange(len(places)) + 0.7 * ((i + 0.5) / len(models) - 0.5)
        look = style(model) | {"linestyle": "", "elinewidth": 0.8, "linewidth": 0.8}
        axes.errorbar(x, value, ((value - low).clip(0), (high - value).clip(0)), **look)


def _name_ranges(row: np.ndarray, ranges: list[str], cells: pd.DataFrame) -> None:
    """Under the lowest panels the ranges and where they train, upright where there is no room beside each other."""
    trained = cells.groupby("range")["trained"].agg(lambda intervals: intervals.mode()[0])
    few = len(ranges) <= SIDE_BY_SIDE
    told = [trained[name] if len(trained[name]) <= ROOM else "" for name in ranges]
    names = [
        wrapped(name + ("\n" if few else " ") * bool(text) + text) for name, text in zip(ranges, told, strict=True)
    ]
    for axes in row:
        axes.set_xticks(range(len(ranges)), names, rotation=0 if few else 90)
        axes.set(xlim=(-0.5, len(ranges) - 0.5), xlabel="trained on")
