"""One set of results beside another."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from benchmark.asked.replicas import CELL
from benchmark.results.agreement import SYMBOLS
from benchmark.showing.figures.heatmaps import annotated
from benchmark.showing.figures.layout import WIDTH, chunks, colorbar, grid, legend, pages
from benchmark.showing.figures.look import (
    BLANK,
    DIFFERENCE,
    UNKNOWN,
    as_text,
    balanced,
    paper,
    range_titles,
    ranges_of,
    times,
    wrapped,
)
from benchmark.showing.names import MODELS, TASKS, label, natural, ordered, setting

METRICS = {
    "success_rate": "success rate",
    "success_rate_relative": "success rate (relative error < 0.1%)",
    "interpolation": "mean squared error inside",
    "extrapolation": "mean squared error outside",
    "relative_extrapolation": "relative error outside",
}
MEANINGS = "▲ {0} is better    ▼ {0} is worse    = the same    ? inconclusive"
Panel = tuple[str, pd.DataFrame]


class Scale(NamedTuple):
    """How differences of one kind are shown. one: what a difference of 1 in the table is in the figure."""

    colors: ScalarMappable
    one: int
    text: Callable[[float], str]
    bar: dict[str, Any]


def _points(value: float) -> str:
    return f"{round(value):+d}".replace("-", "−")


def _ratio(value: float) -> str:
    with np.errstate(over="ignore"):
        return times(float(np.power(10.0, value)))


# Blue is better for A, yellow worse.
RATES = Scale(
    ScalarMappable(Normalize(-100, 100), DIFFERENCE),
    100,
    _points,
    {"label": "success rate, {} − {}, in percentage points"},
)
ERRORS = Scale(
    ScalarMappable(Normalize(-3, 3), DIFFERENCE.reversed()),
    1,
    _ratio,
    {"label": "{} ÷ {}", "extend": "both", "format": FuncFormatter(lambda value, _: _ratio(value))},
)


def difference_heatmap(
    differences: pd.DataFrame, cells: Sequence[pd.DataFrame] = (), names: tuple[str, str] = ("A", "B")
) -> Iterator[Figure]:
    """The differences between results A and B, or other names, each with its verdict; one panel per metric and range.

    Success rates differ by percentage points (A − B), other metrics by their ratio (A ÷ B). Rows and columns are the
    first two of model, task and range that the table has; what else varies makes the panels. cells: what is known of
    the cells of A, of B or of both, to tell their ranges.
    """
    differences, sides = as_text(differences), list(map(as_text, cells))
    keys = [key for key in ("model", "task", "range") if key in differences][:2]
    if len(keys) == 1:
        differences, keys = differences.assign(all=""), [*keys, "all"]
    ranges = ranges_of(differences, pd.concat(sides) if sides else UNKNOWN) if "range" in differences else []
    orders: dict[str, Iterable[str]] = {"model": MODELS, "task": TASKS, "range": ranges}
    rows, columns = (ordered(differences[key], orders.get(key, ())) for key in keys)
    named = {name: range_titles(sides, name) for name in ranges}
    cell = 0.8 if keys[1] == "range" else 0.5  # inches
    for scale, rates in ((RATES, True), (ERRORS, False)):
        panels = _panels(differences[differences["metric"].str.startswith("success_rate") == rates], keys, named)
        for across_columns in chunks(columns, int(6 // cell)):
            width = max(2.0, cell * len(across_columns))
            across = max(1, int((WIDTH - 1.1) / width))
            for part in chunks(rows):
                height = 0.6 + 0.15 * len(part)
                for page in pages(panels, across, height, 1.1):
                    size = (across, width, height, (1.2, 1.1))
                    yield _page(page, scale, (keys, part, across_columns), size, names, named)


@paper()
def _page(
    panels: list[Panel], scale: Scale, shape: tuple[list[str], list[str], list[str]],
    size: tuple[int, float, float, tuple[float, float]], names: tuple[str, str], ranges: Mapping[str, str],
) -> Figure:  # fmt: skip
    keys, rows, columns = shape
    figure, places = grid(len(panels), *size)
    left = [_said(keys[0], name, ranges) for name in rows]
    below = [_said(keys[1], name, ranges) for name in columns]
    below = [wrapped(name, 0.7) for name in below] if keys[1] == "range" else below
    gaps = False
    for place, (axes, (title, table)) in enumerate(zip(places, panels, strict=True)):
        table = table.assign(value=scale.one * table["difference"].fillna(0), text=_texts(table, scale))
        values, texts = (
            table.pivot(index=keys[0], columns=keys[1], values=name).reindex(index=rows, columns=columns)
            for name in ("value", "text")
        )
        annotated(axes, values, texts, scale.colors, below, [] if place % size[0] else left)
        axes.set_title("\n".join(balanced(title, size[1])))
        gaps |= bool(values.isna().any(axis=None))
    colorbar(figure, places, scale.colors, **scale.bar | {"label": scale.bar["label"].format(*names)})
    meaning = Patch(color="none", label=MEANINGS.format(names[0]))
    legend(figure, [meaning, Patch(**BLANK, label="no result") if gaps else None], 2)
    return figure


def _said(key: str, name: str, ranges: Mapping[str, str]) -> str:
    """A metric, or what a column of the key holds, as every figure writes it."""
    if key == "model":
        return label(name)
    if key == "overrides":
        return name and setting(name)
    return {"metric": METRICS, "task": TASKS, "range": ranges}.get(key, {}).get(name, name)


def _panels(differences: pd.DataFrame, keys: list[str], ranges: Mapping[str, str]) -> list[Panel]:
    """(title, table) of each metric and of whatever else differs beside the rows and columns, ranges in their order."""
    others = [key for key in CELL if key in differences and key not in keys]
    by = ["metric", *(key for key in others if key == "range" or differences[key].nunique() > 1)]
    places = {name: place for place, name in enumerate(ranges)}
    groups = sorted(
        differences.groupby(by, sort=False),
        key=lambda group: [
            places[name] if key == "range" else natural(name) for key, name in zip(by, group[0], strict=True)
        ],
    )
    told = [[_said(key, name, ranges) for key, name in zip(by, names, strict=True)] for names, _ in groups]
    return [(", ".join(filter(None, title)), part) for title, (_, part) in zip(told, groups, strict=True)]


def _texts(differences: pd.DataFrame, scale: Scale) -> list[str]:
    """Each difference with its verdict's symbol; the symbol alone where both are infinite."""
    shown = (scale.one * differences["difference"]).map(scale.text, na_action="ignore").fillna("")
    return list(shown + "\N{THIN SPACE}" + differences["verdict"].map(SYMBOLS))
