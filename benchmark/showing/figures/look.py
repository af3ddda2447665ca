"""What models, tasks and panels look like and are called, the same in every figure."""

from itertools import product
from textwrap import wrap
from typing import Any
from zlib import crc32

import matplotlib as mpl
import pandas as pd
import seaborn as sns

from benchmark.showing.names import MODELS, TASKS, ordered

# One hue per kind of unit, one shade per member; the arithmetic units get strong colours of their own.
COLORS = [
    *["black"], *sns.color_palette("Blues", 9)[3:], *sns.color_palette("Greens", 7)[2::2],
    *sns.color_palette("YlOrBr", 7)[2::2], *sns.color_palette("Purples", 9)[3:],
    *["#e41a1c", "#f0b400", "#d6006e"], *["#00a6a6", "#8c510a", "#ff7fbf", "#00b84a", "#7f8c00", "#a00000"],
    *sns.husl_palette(14, h=0.05, s=0.75, l=0.45),
]  # fmt: skip
# Thirteen markers and five dashes have no common factor: 65 pairs before one repeats tell models apart in grey print.
MARKERS = "os^DvP<X>ph*d"
DASHES = ["-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1))]
COMBINATION = ["protocol", "overrides"]
FEW = 6  # a panel has room for the quartile bands of so many models
HATCH: dict[str, Any] = {"fill": False, "hatch": "////", "edgecolor": "0.65", "linewidth": 0}
MISSING = "0.92"
NARROWED = "* on the part of the range where the task is defined"

paper = mpl.rc_context({
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "lines.markersize": 3.5, "hatch.linewidth": 0.4,
})  # fmt: skip


def _look(index: int, color: object, linewidth: float) -> dict:
    return {"color": color, "linewidth": linewidth, "linestyle": DASHES[index % 5], "marker": MARKERS[index % 13]}


# The look of each model in every figure.
STYLE = {
    name: _look(i, color, 1.1 if "mlp" in name else 1.7)
    for i, (name, color) in enumerate(zip(MODELS, COLORS, strict=True))
}


def style(model: str) -> dict:
    """Line properties of a model; those of an unknown name follow from the name alone."""
    number = crc32(model.encode())
    return STYLE.get(model) or _look(number, sns.husl_palette(12, l=0.5)[number % 12], 1.7)


def models_of(table: pd.DataFrame) -> list[str]:
    """The models of a table in the order of every figure's rows and panels."""
    return ordered(table["model"], MODELS)


def tasks_of(table: pd.DataFrame) -> list[str]:
    """The tasks of a table in the order of every figure's columns and panels."""
    return ordered(table["task"], TASKS)


def by_task_and_range(table: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """((task, range), its rows): the tasks in their order, the ranges of each in order of appearance."""
    places = product(tasks_of(table), table["range"].unique())
    groups = dict(iter(table.groupby(["task", "range"])))
    return [(place, groups[place]) for place in places if place in groups]


def trained(cell: pd.Series) -> tuple[float, float]:
    """The ends of a cell's training range."""
    return cell["middle"] - cell["half_width"], cell["middle"] + cell["half_width"]


def narrowed(cells: pd.DataFrame, name: str) -> set[str]:
    """The tasks that are defined on a part of the range only."""
    here = cells[cells["range"] == name]
    return set(here.loc[here["trained"] != here["trained"].mode()[0], "task"])


def task_name(task: str) -> str:
    """A task with its formula: add (a + b)."""
    return f"{task} ({TASKS[task]})" if task in TASKS else task


def panel_title(cells: pd.DataFrame, name: str, task: str = "") -> str:
    """Where a panel's models were trained and judged; the most common intervals if they differ by task."""
    here = cells[(cells["range"] == name) & (cells["task"].eq(task) | (task == ""))]
    intervals = ("trained on " + here["trained"] + ",\njudged on " + here["judged"]).mode()[0]
    return wrapped(f"{task_name(task)}, {name}:\n{intervals}" if task else f"{name}: {intervals}")


def page_title(cells: pd.DataFrame, name: str, task: str = "") -> str:
    """The same on one line, or two where a page is not wide enough."""
    title = panel_title(cells, name, task).replace("\n", " ")
    return title if len(title) < 96 else title.replace(", judged", ",\njudged")


def wrapped(text: str) -> str:
    """With proper minus signs, in lines no longer than a panel is wide."""
    return "\n".join(part for line in text.replace("-", "−").splitlines() for part in wrap(line, 38))
