"""One set of results beside another."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.asked.replicas import CELL
from benchmark.results.agreement import SYMBOLS
from benchmark.showing.figures.heatmaps import annotated, number
from benchmark.showing.figures.layout import colorbar
from benchmark.showing.figures.look import MISSING, paper, wrapped
from benchmark.showing.names import MODELS, TASKS, label, ordered

METRICS = {
    "success_rate": "success rate",
    "success_rate_relative": "success rate (relative error < 0.1%)",
    "interpolation": "mean squared error inside",
    "extrapolation": "mean squared error outside",
    "relative_extrapolation": "relative error outside",
}
ORDERS: dict[str, Iterable[str]] = {"model": MODELS, "task": TASKS}
MEANINGS = "▲ {} is better    ▼ {} is worse    = the same    ? inconclusive"


class Scale(NamedTuple):
    """How differences of one kind are shown. one: what a difference of 1 in the table is in the figure."""

    colors: ScalarMappable
    one: int
    text: Callable[[float], str]
    bar: dict[str, str]


def _points(value: float) -> str:
    return f"{round(value):+d}".replace("-", "−")


# Blue is better for A, red worse.
RATES = Scale(
    ScalarMappable(Normalize(-100, 100), "vlag_r"),
    100,
    _points,
    {"label": "success rate, {} − {}, in percentage points"},
)
ERRORS = Scale(
    ScalarMappable(Normalize(-3, 3), "vlag"),
    1,
    number,
    {"label": "log10 of {} ÷ {} (1: ten times as large)", "extend": "both"},
)


@paper
def difference_heatmap(differences: pd.DataFrame, names: tuple[str, str] = ("A", "B")) -> Figure:
    """The differences between results A and B, or other names, each with its verdict; one panel per metric and range.

    Success rates differ by percentage points (A − B), other metrics by the log10 of their ratio (A ÷ B). Rows and
    columns are the first two of model, task and range that the table has; what else varies makes the panels.
    """
    keys = [key for key in ("model", "task", "range") if key in differences][:2]
    shape = [ordered(differences[key], ORDERS.get(key, ())) for key in keys]
    if len(keys) == 1:
        differences, keys, shape = differences.assign(all=""), [*keys, "all"], [*shape, [""]]
    rows, columns = shape
    rates = differences["metric"].str.startswith("success_rate")
    kinds = ((RATES, differences[rates]), (ERRORS, differences[~rates]))
    blocks = [(scale, _panels(table, keys)) for scale, table in kinds if len(table)]
    width, height = max(2.2, 0.5 * len(columns)), max(1.1, 0.7 + 0.18 * len(rows))
    across = 2 if any(len(panels) > 1 for _, panels in blocks) and 1 + 2 * width <= 7.2 else 1
    heights = [0.6 + height * -(-len(panels) // across) for _, panels in blocks]
    figure = Figure((max(4.4, 1 + width * across), 0.3 + sum(heights)), layout="constrained")
    parts = figure.subfigures(len(blocks), 1, squeeze=False, height_ratios=heights)[:, 0]
    for part, (scale, panels) in zip(parts, blocks, strict=True):
        places = list(part.subplots(-(-len(panels) // across), across, squeeze=False).ravel())
        for axes in places[len(panels) :]:
            axes.remove()
        for place, (axes, (title, table)) in enumerate(zip(places, panels, strict=False)):
            table = table.assign(value=scale.one * table["difference"].fillna(0), text=_texts(table, scale))
            values, texts = (
                table.pivot(index=keys[0], columns=keys[1], values=name).reindex(index=rows, columns=columns)
                for name in ("value", "text")
            )
            named = False if place % across else _named(keys[0], rows)
            annotated(axes, values, texts, scale.colors, xticklabels=_named(keys[1], columns), yticklabels=named)
            axes.set_title(title)
        bar = scale.bar | {"label": scale.bar["label"].format(*names)}
        colorbar(part, places[: len(panels)], scale.colors, **bar)
    handles = [Patch(color="none", label=MEANINGS.format(names[0], names[0]))]
    if any(len(table) < len(rows) * len(columns) for _, panels in blocks for _, table in panels):
        handles.append(Patch(color=MISSING, label="no result"))
    figure.legend(handles=handles, loc="outside lower center", handlelength=1)
    return figure


def _named(key: str, names: list[str]) -> list[str]:
    """Rows or columns as every figure writes them."""
    return [label(name) if key == "model" else TASKS.get(name, name) for name in names]


def _panels(differences: pd.DataFrame, keys: list[str]) -> list[tuple[str, pd.DataFrame]]:
    """(title, table) of each metric and of whatever else differs beside the rows and columns."""
    others = [key for key in CELL if key in differences and key not in keys]
    varying = [key for key in others if key == "range" or differences[key].nunique() > 1]
    groups = differences.groupby(["metric", *varying], sort=False)
    return [(wrapped(", ".join([METRICS.get(m, m), *filter(None, rest)])), part) for (m, *rest), part in groups]


def _texts(differences: pd.DataFrame, scale: Scale) -> list[str]:
    """Each difference with its verdict's symbol; the symbol alone where both are infinite."""
    shown = (scale.one * differences["difference"]).map(scale.text, na_action="ignore").fillna("")
    return list(shown + "\N{THIN SPACE}" + differences["verdict"].map(SYMBOLS))
