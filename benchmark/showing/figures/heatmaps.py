"""Numbers of every model and task at a glance: annotated heatmaps, model × task, one panel per training range."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, PercentFormatter

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import HORIZON_ERROR, finite_medians
from benchmark.showing.figures.layout import NARROWEST, WIDTH, boxes, chunks, colorbar, grid, legend, pages
from benchmark.showing.figures.look import (
    BAD,
    BLANK,
    GOOD,
    HATCH,
    LOST,
    NARROWED,
    law_of,
    models_of,
    narrowed,
    paper,
    range_title,
    ranges_of,
    share,
    tasks_of,
    wrapped,
)
from benchmark.showing.findings import all_outside
from benchmark.showing.names import TASKS, label, not_finite, spoken

ERRORS = 1e-6, 10.0  # between which errors differ in colour
END = 0.13  # of a cell, which tells a quartile
TICKS = [1e-6, 1e-4, 1e-2, 1]
SIDES = {"trained": "relative_interpolation", "judged": "relative_extrapolation"}
SOLVED = "share of the seeds that solve: their squared error where they are judged is below the threshold of success"


def success_heatmap(summary: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Share of the seeds that solved each task, in percent: model × task, one panel per training range."""
    rates = summary[summary["metric"] == "success_rate"]
    rates = rates.assign(text=rates["value"].map("{:.0%}".format))
    colors, percent = ScalarMappable(Normalize(0, 1), GOOD), PercentFormatter(1)
    yield from _heatmaps(_by_range(rates, cells), cells, colors, label=SOLVED, format=percent)


def error_heatmap(outcomes: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Relative error (RMS error ÷ RMS target, median over seeds): inside and outside each training range.

    In percent, and from ten times the target on as a multiple. The ends of a cell have the colours of the lower and the
    upper quartile of all seeds, an error that is not finite being the largest. The colours stop at 0.0001% and ten
    times the target; the numbers do not. Medians are of the seeds whose error is finite, with the count of the others
    beside them; where those are half of all or more, the colour is that of an infinite error.
    """
    key = ["model", "task", "range"]
    medians, lost = finite_medians(outcomes, key, list(SIDES.values()))
    seeds = outcomes.groupby(key, sort=False).size()
    most, told = lost.ge(seeds / 2, axis=0), lost.map(not_finite)
    medians, infinite = medians.reset_index(), medians.mask(most, np.inf).reset_index()
    whole = (
        outcomes[list(SIDES.values())].where(np.isfinite, np.inf).groupby([outcomes[name] for name in key], sort=False)
    )
    # Between an error and an infinite one lies none.
    low, high = whole.quantile(0.25, interpolation="lower"), whole.quantile(0.75, interpolation="higher")
    panels = []
    for name in ranges_of(medians, cells):
        part, here = medians[medians["range"] == name], cells[cells["range"] == name]
        law = law_of(name, here["middle"].median())
        names = {"trained": "inside", "judged": "outside" if all_outside(here) else "judged on"}
        for number, (side, error) in enumerate(SIDES.items()):
            text = part[error].map(share) + told[error].to_numpy()[part.index]
            ends = {end: of[error].to_numpy()[part.index] for end, of in (("left", low), ("right", high))}
            shown = part.assign(value=infinite[error], text=text, **ends)
            where = f"exponential, mean {law[number]:g}" if law else spoken(here[side].mode()[0])
            panels.append((f"{names[side]}: {where}", name, shown))
    colors, percent = ScalarMappable(LogNorm(*ERRORS), BAD), FuncFormatter(lambda error, _: share(error))
    scaled = pd.concat([table["text"] for *_, table in panels]).str.contains("[kMBT]")
    meaning = "relative error, median over the seeds; left and right in a cell: quartiles"
    meaning += "\n(×3M: three million times the target)" if scaled.any() else ""
    meaning, width = (f"{meaning}\n{LOST}", 0.8) if lost.any(axis=None) else (meaning, 0.5)
    yield from _heatmaps(panels, cells, colors, width, 2, label=meaning, format=percent, extend="both", ticks=TICKS)


def horizon_heatmap(summary: pd.DataFrame, profile: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """How far each model extrapolates: the horizon, model × task, one panel per training range.

    The horizon is the largest distance from the middle of the training range, in multiples of its half-width, up to
    which the median relative error stays below 1%; ≥ marks one that lies at or beyond the end of the profile, and < the
    first distance measured from the edge on, where the error is larger already. Colours are its share of the farthest.
    """
    horizons = summary[summary["metric"] == "horizon"].merge(reached(profile, cells), on=CELL)
    at_least, less = horizons["value"] >= horizons["farthest"], horizons["value"] < horizons["nearest"]
    told = horizons["value"].where(~less, horizons["nearest"])
    texts = told.map(lambda value: f"{value:.1f}" if value < 9.95 else f"{value:.0f}")
    lost = horizons.get("not_finite", 0 * horizons["value"])
    texts += lost.map(not_finite)
    reach = (horizons["value"] / horizons["farthest"]).clip(upper=1)
    horizons = horizons.assign(text=np.select([at_least, less], ["≥", "<"], "") + texts, value=reach)
    meaning = (
        "numbers: distance from the middle of the training range, in its half-widths, up to which the median "
        f"relative error stays below {HORIZON_ERROR:.0%} (1: edge of that range; <: not even at the first distance "
        "measured from there on)\ncolours: that distance as a share of the farthest measured (≥)"
    )
    meaning, width = (f"{meaning}\n{LOST}", 0.7) if (lost > 0).any() else (meaning, 0.42)
    colors, percent = ScalarMappable(Normalize(0, 1), GOOD), PercentFormatter(1)
    yield from _heatmaps(_by_range(horizons, cells), cells, colors, width, label=meaning, format=percent)


def reached(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The nearest distance from the edge on and the farthest at which the relative error of each cell is known, in
    half-widths of the training range.
    """
    known = profile[profile["relative"].notna()].merge(cells, on=CELL)
    signed = (known["x"] - known["middle"]).abs() / known["half_width"]
    known["farthest"] = known["x"].where(known["inputs"] > 1, signed)
    known["nearest"] = known["farthest"].where(known["farthest"] > 1 - 1e-9)
    return known.groupby(CELL, sort=False).agg({"nearest": "min", "farthest": "max"}).reset_index()


def annotated(
    axes: Axes, values: pd.DataFrame, texts: pd.DataFrame, colors: ScalarMappable, columns: list[str], rows: list[str],
    cannot: pd.DataFrame | None = None, ends: Sequence[pd.DataFrame] = (),
) -> None:  # fmt: skip
    """One heatmap of values with a text in each cell, under these names; what is missing stays blank.

    cannot: which cells are impossible; they are hatched. ends: whose colours the left and the right end of a cell have.
    Each cell is drawn by itself: a library that asks every text for its extent keeps a canvas alive for each.
    """
    cannot = values.isna() & False if cannot is None else cannot
    norm: Any = colors.norm
    shown = values.clip(*colors.get_clim()).mask(cannot)
    axes.pcolormesh(shown, cmap=colors.get_cmap(), norm=norm, edgecolors="white", linewidth=0.5)
    for left, of in zip((0.01, 0.99 - END), ends, strict=False):
        places = np.argwhere((shown.notna() & of.notna()).to_numpy())
        strips = [Rectangle((column + left, row + 0.04), END, 0.92) for row, column in places]
        strips_of = of.clip(*colors.get_clim()).to_numpy()[tuple(places.T)]
        axes.add_collection(
            PatchCollection(strips, array=strips_of, cmap=colors.get_cmap(), norm=norm, linewidth=0), autolim=False
        )
    for row in range(len(values) + 1 if ends else 0):
        axes.axhline(row, color="white", linewidth=0.5)  # over what the strips have of it
    light = colors.to_rgba(shown.to_numpy())[..., :3] @ (0.299, 0.587, 0.114)
    for row, column in np.argwhere(texts.notna().to_numpy() & values.notna().to_numpy()):
        impossible, text = cannot.iloc[row, column], texts.iloc[row, column]
        color = "black" if impossible or light[row, column] > 0.5 else "white"
        written = axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7, color=color)
        if impossible:
            written.set_path_effects([withStroke(linewidth=3, foreground="white")])
        written.set_in_layout(False)  # it lies within its cell
    places = np.argwhere(cannot.to_numpy())
    boxes(axes, places[:, ::-1], np.ones(len(places)), 1, **HATCH)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(rows)) + 0.5 if rows else [], rows)
    axes.set(xlim=(0, values.shape[1]), ylim=(values.shape[0], 0))
    axes.tick_params(length=0)
    sns.despine(ax=axes, left=True, bottom=True)


def _by_range(table: pd.DataFrame, cells: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    return [
        (range_title(cells, name), name, table[table["range"] == name]) for name in ranges_of(table, cells)
    ]  # fmt: skip


def _heatmaps(
    panels: list[tuple[str, str, pd.DataFrame]],
    cells: pd.DataFrame,
    colors: ScalarMappable,
    cell: float = 0.42,
    together: int = 1,
    **bar: Any,
) -> Iterator[Figure]:
    """Model × task heatmaps, one per (title, range, table with value and text); hatched where success is impossible."""
    everything = pd.concat([table for _, _, table in panels])
    tasks = tasks_of(everything)
    for models in chunks(models_of(everything)):
        width, height = max(1.5, cell * len(tasks)), 0.55 + 0.15 * len(models)
        across = max(together, int((WIDTH - 1.1) / width) // together * together)
        names = 1.2
        below = max(NARROWEST - names, width * min(across, len(panels)))
        meaning = "\n".join(wrapped(line, below) for line in bar["label"].splitlines())
        around = names, 0.9 + 0.13 * meaning.count("\n")
        for page in pages(panels, across, height, around[1], together):
            yield _page(page, cells, colors, models, tasks, (across, width, height, around), bar | {"label": meaning})


@paper()
def _page(
    panels: list[tuple[str, str, pd.DataFrame]], cells: pd.DataFrame, colors: ScalarMappable, models: list[str],
    tasks: list[str], size: tuple[int, float, float, tuple[float, float]], bar: dict[str, Any],
) -> Figure:  # fmt: skip
    figure, places = grid(len(panels), *size)
    across, width, *_ = size
    names: dict[str, dict] = {}
    shape = {"index": models, "columns": tasks}
    for place, (axes, (title, range_, table)) in enumerate(zip(places, panels, strict=True)):
        values, texts, *ends = (
            table.pivot(index="model", columns="task", values=c).reindex(**shape)
            for c in ("value", "text", *(end for end in ("left", "right") if end in table))
        )
        narrow = narrowed(cells, range_)
        if narrow:
            names[NARROWED] = {"color": "none"}
        columns = [TASKS.get(task, task) + "*" * (task in narrow) for task in tasks]
        possible = cells[cells["range"] == range_].pivot(index="model", columns="task", values="representable")
        cannot = possible.reindex(**shape) == "no"
        rows = [] if place % across else [label(model) for model in models]
        annotated(axes, values, texts, colors, columns, rows, cannot, ends)
        if cannot.any(axis=None):
            names["cannot represent the task"] = HATCH
        if values.isna().any(axis=None):
            names["no result"] = BLANK
        axes.set_title(wrapped(title, width))
    colorbar(figure, places, colors, **bar)
    legend(figure, [Patch(label=meaning, **look) for meaning, look in names.items()], 3)
    return figure
