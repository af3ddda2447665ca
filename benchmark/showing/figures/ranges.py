"""Success on one range beside another, and under one setting of a protocol beside another."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    MultipleLocator,
    NullLocator,
    PercentFormatter,
)

from benchmark.results.statistics import of_most
from benchmark.showing.figures.layout import chunks, legend, others, pages
from benchmark.showing.figures.look import (
    FEW,
    by_task_and_range,
    log_axis,
    looks,
    models_of,
    paper,
    power,
    range_title,
    ranges_of,
    settings,
    share,
    tasks_of,
    wrapped,
)
from benchmark.showing.findings import all_outside
from benchmark.showing.names import TASKS, label, natural, not_finite, setting, spaced, spoken

METRICS = {"success_rate": "success rate", "solved_at": "solved at step", "sparsity": "sparsity error"}
BY_SETTING = {
    "success_rate": "success rate",
    "solved_at": "solved at step",
    "relative_extrapolation": "relative error outside",
}
MEANINGS = {
    "success_rate": "Success rate: Wilson's interval.",
    "solved_at": "Step: median of the solved seeds.",
    "sparsity": "Sparsity error, of the solved seeds, too: how far the weight farthest from −1, 0 and 1 is from the "
    "nearest of them; not of MLPs, whose weights are to be none of these.",
    "relative_extrapolation": "Error: median of all seeds, (24∞) but for so many that are not finite.",
}
ON_AXIS = 14  # ranges
UNBROKEN = "\N{NO-BREAK SPACE}"
HEIGHT = 1.9  # of a row of panels, in inches
EXACT = 1e-8  # the axis of the sparsity error starts here: exact weights have none
LARGE = 1e3  # and that of the relative error ends about here


def solved_somewhere(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of each task's models that solved it with a seed on some range; none where there is one range only."""
    rows = summary[summary["metric"].isin(METRICS)]
    rates = rows["value"].where(rows["metric"] == "success_rate", 0)
    solved = rates.groupby([rows["model"], rows["task"]]).transform("max") > 0
    return rows[solved & (summary["range"].nunique() > 1)]


def success_by_range(summary: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Success rate, step at which a seed solves the task and sparsity error against the range, one row per task.

    With 95% intervals, as Madsen & Johansen (2020) and Mistry et al. (2022) compare ranges. A task has the models that
    solved it with a seed on some range, and the number of the others; a task that nobody solved has no row.
    """
    shown, count = solved_somewhere(summary), summary["model"].nunique()
    for ranges in chunks(ranges_of(shown, cells), ON_AXIS):
        for tasks in pages(tasks_of(shown), 1, _height(len(ranges)), 1.4, most=3):
            yield _by_range([(task, shown[shown["task"] == task]) for task in tasks], cells, ranges, count)


@paper()
def _by_range(rows: list[tuple[str, pd.DataFrame]], cells: pd.DataFrame, ranges: list[str], count: int) -> Figure:
    figure = Figure((7.2, 1.4 + _height(len(ranges)) * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(METRICS), sharey=True, squeeze=False)
    style, handles = looks(cells["model"]), list[Artist | None]()
    for row, (task, part) in zip(grid, rows, strict=True):
        places = {name: float(place) for place, name in enumerate(ranges)}
        handles += _metrics(row, part, "range", places, style, METRICS, listed=True)
        rest = count - part["model"].nunique()
        others_told = f"; {rest} other model{'s' * (rest > 1)}: 0%" if rest else ""
        row[0].set_title(f"{TASKS.get(task, task)}{others_told}", loc="left")
    here = cells.groupby("range")["trained"].agg(lambda intervals: intervals.mode()[0])
    told = [spoken(here[name]) for name in ranges]
    names = [text if told.count(text) == 1 else f"{text} ({name})" for text, name in zip(told, ranges, strict=True)]
    _list(grid, names, METRICS)
    for axes in grid[:, 0]:
        axes.set_ylabel("trained on")
    legend(figure, handles, 6, _told(METRICS))
    return figure


def several_settings(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of the models, tasks and ranges that a protocol tried under more than one set of overrides."""
    groups = summary.groupby(["protocol", "model", "task", "range"])["overrides"]
    return summary[(groups.transform("nunique") > 1) & summary["metric"].isin(BY_SETTING)]


def success_by_setting(summary: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Success rate, step at which a seed solves the task and relative error against the settings of one protocol.

    One row per task and range, with 95% intervals, as Madsen & Johansen (2020) show their sweeps; a metric that nothing
    has is left out, and so is a success rate that is the same everywhere. A swept number is an axis; where another
    setting changes along with it is marked.
    """
    shown = several_settings(summary).reset_index(drop=True)
    metrics = {name: text for name, text in BY_SETTING.items()
               if np.isfinite(shown.loc[shown["metric"] == name, "value"]).any()}  # fmt: skip
    if not all_outside(cells):
        metrics |= (
            {"relative_extrapolation": "relative error where judged"} if "relative_extrapolation" in metrics else {}
        )
    told, rates = "", shown.loc[shown["metric"] == "success_rate", "value"].dropna()
    if rates.nunique() == 1 and len(metrics) > 1:
        told = f" The success rate is {rates.iloc[0]:.0%} everywhere."
        del metrics["success_rate"]
    every = sorted(shown["overrides"].unique(), key=natural)
    height = HEIGHT if settings(every)[0] else _height(len(every))
    for rows in pages(by_task_and_range(shown, cells), 1, height, 2.2, most=9 // max(1, len(metrics))):
        yield _by_setting(rows, cells, every, metrics, height, told)


def _height(places: int) -> float:
    """Of a row of panels in which places are listed from top to bottom, with their names horizontal."""
    return 0.5 + 0.36 * max(2, places)


@paper()
def _by_setting(
    rows: list[tuple[tuple[str, str], pd.DataFrame]], cells: pd.DataFrame, every: list[str], metrics: dict[str, str],
    height: float, told: str,
) -> Figure:  # fmt: skip
    swept, numbers, rest = settings(every)
    places: dict[str, float] = dict(sorted(numbers.items(), key=lambda item: item[1]))
    if not swept:
        places = {setting: float(place) for place, setting in enumerate(every)}
    figure = Figure((7.2, 1.4 + height * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(metrics), sharex=bool(swept), sharey=not swept, squeeze=False)
    style, handles = looks(cells["model"]), list[Artist | None]()
    values = list(places.values())
    logarithmic = bool(swept) and min(values) > 0 and max(values) / min(values) > 20
    for row, ((task, range_), part) in zip(grid, rows, strict=True):
        handles += _metrics(row, part, "overrides", places, style, metrics, logarithmic, listed=not swept)
        title = f"{TASKS.get(task, task)}, {range_title(cells, range_, task)}"
        row[0].set_title(wrapped(title, 7.2 / len(metrics)), loc="left")
        for axes in row:
            if logarithmic:
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(FixedLocator(values) if len(values) < 5 else LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
                axes.xaxis.set_minor_locator(NullLocator())
            elif swept:
                axes.xaxis.set_major_locator(MaxNLocator("auto", integer=all(value % 1 == 0 for value in values)))
        _mark_changes(row[0], places, rest, logarithmic)
    if swept:
        figure.align_ylabels()
        for axes in grid[-1]:
            axes.set_xlabel(spaced(swept))
    else:
        _list(grid, [setting(name) for name in every], metrics)
    errors = pd.concat([part for _, part in rows]).query("metric == 'relative_extrapolation'")[["low", "value", "high"]]
    beyond = f" Errors above {share(LARGE, long=True)} are drawn there." if (errors > LARGE).any(axis=None) else ""
    legend(figure, handles, 6, _told(metrics, beyond + told))
    return figure


def _list(grid: np.ndarray, names: list[str], metrics: dict[str, str]) -> None:
    """The names of places that are listed from top to bottom, and below the panels what is measured."""
    whole = [name.replace(" ", UNBROKEN).replace(f",{UNBROKEN}", ", ") for name in names]
    grid[0, 0].set_yticks(range(len(names)), [wrapped(name, 1.4).replace(UNBROKEN, " ") for name in whole])
    grid[0, 0].set_ylim(len(names) - 0.5, -0.5)
    for axes in grid.flat:
        axes.tick_params(axis="y", length=0)
        for place in range(1, len(names)):
            axes.axhline(place - 0.5, color="0.85", linewidth=0.6, zorder=0)
    for axes, name in zip(grid[-1], metrics.values(), strict=True):
        axes.set_xlabel(name)


def _mark_changes(axes: Axes, places: dict[str, float], rest: dict[str, str], logarithmic: bool) -> None:
    """A line in all panels between two places where what is set besides the swept number changes, and to what."""
    points = list(places.items())
    for (one, x), (other, y) in pairwise(points):
        if rest.get(one) != rest.get(other):
            middle = (x * y) ** 0.5 if logarithmic else (x + y) / 2
            for panel in axes.figure.axes:
                panel.axvline(middle, color="0.4", linewidth=0.8, linestyle=":")
            told = f" {rest[other] or 'as before'} →"
            axes.text(middle, 0.98, told, transform=axes.get_xaxis_transform(), rotation=90, va="top", fontsize=7)


def _told(metrics: dict[str, str], more: str = "") -> str:
    """How to read the panels."""
    return wrapped("Bars: 95% intervals. " + " ".join(MEANINGS[name] for name in metrics) + more, 6.5)


def _metrics(
    row: np.ndarray, part: pd.DataFrame, by: str, places: dict[str, float], style: dict[str, dict],
    metrics: dict[str, str], logarithmic: bool = False, listed: bool = False,
) -> list[Artist | None]:  # fmt: skip
    """One metric in each panel of a row, by place; the handles of what is drawn.

    Of many models the six of the highest mean success rate, then of the least error, have points, the others a band.
    listed: places are no numbers, and stand from top to bottom; no line leads from one to the next.
    """
    style = {model: look | {"linestyle": ""} for model, look in style.items()} if listed else style
    along = "x" if listed else "y"  # the axis of the values
    table = part.assign(place=part[by].map(places)).dropna(subset="place")
    means = table.groupby(["model", "metric"])["value"].mean().unstack()
    means = means.reindex(columns=["success_rate", "relative_extrapolation"]).fillna({"success_rate": 0})
    order = means.sort_values(list(means), ascending=[False, True], kind="stable").index
    models = [model for model in models_of(part) if model in set(order[:FEW])]
    handles: list[Artist | None] = [Line2D([], [], **style[model], label=label(model)) for model in models]
    for axes, (metric, name) in zip(row, metrics.items(), strict=True):
        of = table[table["metric"] == metric].sort_values("place")
        if metric == "relative_extrapolation":
            of = of_most(of, "value", "high")
            of = of.assign(**of[["low", "value", "high"]].clip(EXACT, LARGE))
        elif metric == "sparsity":
            of = of[~of["model"].str.startswith("mlp_")]
            of = of.assign(**of[["low", "value", "high"]].clip(lower=EXACT))
        _points(axes, of, models, style, list(places.values()), logarithmic, listed)
        rest = of[~of["model"].isin(models)].pivot(index="place", columns="model", values="value")
        handles.append(others(axes, rest.dropna(axis="columns", how="all"), listed))
        axis = axes.xaxis if listed else axes.yaxis
        if not listed:
            axes.set_ylabel(name)
        if metric == "success_rate":
            axes.set(**{f"{along}lim": (-0.04, 1.04)})
            axis.set_major_formatter(PercentFormatter(1))
            axis.set_major_locator(MultipleLocator(0.5 if listed else 0.2))
        elif metric == "solved_at":
            highest = of[["value", "high"]].max(axis=None)
            axes.set(**{f"{along}lim": (0, 1.06 * highest if highest > 0 else 1)})
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        else:
            log_axis(axes, power if metric == "sparsity" else share, along)
            low, high = np.log10(axes.get_xlim() if listed else axes.get_ylim())
            axes.set(**{f"{along}lim": (10.0 ** np.floor(low), 10.0 ** np.ceil(high))})  # or it may have no number
        if listed and metric != "success_rate":  # numbers beside each other need more room than below
            axis.set_major_locator(MaxNLocator(4) if metric == "solved_at" else LogLocator(numticks=4))
        if of["value"].isna().all():
            axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color="0.4")
    return handles


def _points(
    axes: Axes, table: pd.DataFrame, models: list[str], style: dict[str, dict], places: list[float], logarithmic: bool,
    listed: bool,
) -> None:  # fmt: skip
    """A point with its interval for each model and place, the models of a place side by side, or below each other."""
    gaps = np.diff(np.log(places) if logarithmic else places)
    gap = gaps.min() if len(gaps) else 1.0
    for i, model in enumerate(models):
        line = table[table["model"] == model]
        low, value, high = line[["low", "value", "high"]].to_numpy(float).T
        shift = (0.7 if listed else 0.5) * gap * ((i + 0.5) / len(models) - 0.5)
        x = line["place"] * np.exp(shift) if logarithmic else line["place"] + shift
        bars = ((value - low).clip(0), (high - value).clip(0))
        look = style[model] | {"elinewidth": 0.8, "linewidth": 0.6, "xerr" if listed else "yerr": bars}
        points = [value, x] if listed else [x, value]
        axes.errorbar(*points, **look)
        if line["metric"].eq("relative_extrapolation").all():
            for place, lost in zip(zip(*points, strict=True), line.get("not_finite", 0 * line["value"]), strict=True):
                axes.annotate(not_finite(lost), place, fontsize=6, color=look["color"], annotation_clip=True)
