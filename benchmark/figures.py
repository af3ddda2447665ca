"""The figures of the benchmark: each function turns tables of one protocol and one set of overrides into a Figure.

Only `save` touches a file, and no figure enters pyplot's registry.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any
from zlib import crc32

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import PercentFormatter

# One hue per kind of unit, one shade per member; the arithmetic units get strong colours of their own.
FAMILIES = {
    "linear": ["black"],
    "mlp_hardtanh mlp_sigmoid mlp_relu6 mlp_tanh mlp_softsign mlp_threshold": sns.color_palette("Blues", 9)[3:],
    "mlp_tanhshrink mlp_hardshrink mlp_softshrink": sns.color_palette("Greens", 7)[2::2],
    "mlp_relu mlp_leakyrelu mlp_prelu": sns.color_palette("YlOrBr", 7)[2::2],
    "mlp_softplus mlp_elu mlp_selu mlp_gelu mlp_silu mlp_mish": sns.color_palette("Purples", 9)[3:],
    "nac nac_mul nalu": ["#e41a1c", "#f0b400", "#d6006e"],
    "nau nmu inalu npu real_npu nru": ["#00a6a6", "#8c510a", "#ff7fbf", "#00b84a", "#7f8c00", "#a00000"],
}
# Thirteen markers and five dashes have no common factor: 65 pairs before one repeats tell models apart in grey print.
MARKERS = "os^DvP<X>ph*d"
DASHES = ["-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1))]
LABELS = {"nac_mul": "NAC•", "inalu": "iNALU", "real_npu": "RealNPU"} | {
    name: name.upper() for name in ("nac", "nalu", "nau", "nmu", "npu", "nru")
}
ACTIVATIONS = {name.lower(): name for name in ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "ELU", "SELU", "GELU", "SiLU")}
TASKS = {
    "add": "a + b", "sub": "a − b", "mul": "a × b", "div": "a ÷ b",
    "square": "a²", "sqrt": "√a", "identity": "a", "reciprocal": "1/a",
}  # fmt: skip
TARGETS: dict[str, Callable] = {"square": np.square, "sqrt": np.sqrt, "reciprocal": np.reciprocal}
COMBINATION = ["protocol", "overrides"]
FEW = 6  # a panel has room for the quartile bands of so many models
HATCH: dict[str, Any] = {"fill": False, "hatch": "////", "edgecolor": "0.65", "linewidth": 0}
MISSING = "0.92"

_paper = mpl.rc_context({
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "lines.markersize": 3.5, "hatch.linewidth": 0.4,
})  # fmt: skip


def _look(index: int, color: object, linewidth: float) -> dict:
    return {"color": color, "linewidth": linewidth, "linestyle": DASHES[index % 5], "marker": MARKERS[index % 13]}


_colors = {name: color for names, kind in FAMILIES.items() for name, color in zip(names.split(), kind, strict=True)}
# The look of each model in every figure; its order is that of the heatmaps' rows.
STYLE = {name: _look(i, color, 1.1 if "mlp" in name else 1.7) for i, (name, color) in enumerate(_colors.items())}


def style(model: str) -> dict:
    """Line properties of a model; those of an unknown name follow from the name alone."""
    number = crc32(model.encode())
    return STYLE.get(model) or _look(number, sns.husl_palette(12, l=0.5)[number % 12], 1.7)


def label(model: str) -> str:
    """The name of a model as papers write it: `mlp_relu` is "MLP ReLU"; an unknown name stays as it is."""
    kind, _, activation = model.partition("_")
    return f"MLP {ACTIVATIONS.get(activation, activation.capitalize())}" if kind == "mlp" else LABELS.get(model, model)


@_paper
def success_heatmap(summary: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Share of the seeds that solved each task, in percent: model × task, one panel per training range."""
    rates = summary[summary["metric"] == "success_rate"]
    panels = [(_title(cells, name), name, part, "value") for name, part in rates.groupby("range", sort=False)]
    colors, percent = ScalarMappable(Normalize(0, 1), "Blues"), PercentFormatter(1)
    return _heatmaps(panels, cells, colors, "{:.0%}".format, label="success rate", format=percent)


@_paper
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
            panels.append((_lines(f"{name}: {side},\n{verb} on {here[verb].mode()[0]}"), name, part, error))

    def text(value: float) -> str:
        digits = 0 if abs(value) >= 9.95 else 1
        return f"{round(value, digits) + 0.0:.{digits}f}".replace("inf", "∞").replace("-", "−")

    colors = ScalarMappable(Normalize(-7, 1), "rocket_r")
    return _heatmaps(panels, cells, colors, text, label="log10 of the relative error", extend="both")


@_paper
def error_by_input(profile: pd.DataFrame, cells: pd.DataFrame, published: pd.DataFrame | None = None) -> Figure:
    """Mean absolute error over the seeds against the input, one-operand tasks: Figure 1 of Trask et al. (2018).

    The training range is shaded. The axis ends no higher than the error of a network that always answers zero; lines
    of larger errors run out of it. `published` adds a panel of published values beside the task and range they fit.
    """
    profile, panels = _one_operand(profile, cells), []
    for (task, name), part in profile.groupby(["task", "range"], sort=False):
        theirs = part[:0] if published is None else published[published["task"] == task]
        theirs = theirs if theirs["x"].between(part["x"].min(), part["x"].max()).all() else theirs[:0]
        cell, top = part.iloc[0], _top(part.iloc[0], pd.concat([part, theirs]))
        panels += [(cell, part, top, _title(cells, name, task)), (cell, theirs, top, f"{_name(task)}, published:\n")]
    if all(shown.empty for _, shown, *_ in panels[1::2]):
        panels = panels[::2]
    figure, grid = _grid(len(panels), 2.7, 2.9, "input", "mean absolute error")
    for axes, (cell, shown, top, title) in zip(grid, panels, strict=True):
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
        axes.axvspan(*_trained(cell), color="0.9", linewidth=0, zorder=0)
        axes.set(title=title, ylim=(0, top))
        axes.margins(x=0.02)
    _legend(figure, _worst_first(profile, "x", "error"), {})
    return figure


@_paper
def error_by_input_heatmap(profile: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Mean absolute error over the seeds: model × input, one-operand tasks, the model of largest end errors on top.

    The numbers of `error_by_input` on a logarithmic colour scale of the four decades below the end of its axis, so that
    small errors show, too; the training range lies between the two lines.
    """
    panels = list(_one_operand(profile, cells).groupby(["task", "range"], sort=False))
    models = max(part["model"].nunique() for _, part in panels)
    figure, grid = _grid(len(panels), 3.1, 1.4 + 0.17 * models)
    for axes, ((task, name), part) in zip(grid, panels, strict=True):
        order, top = _worst_first(part, "x", "error"), _top(part.iloc[0], part)
        norm = LogNorm(top / 1e4, top)
        errors = part.pivot(index="model", columns="x", values="error").loc[order].clip(norm.vmin, norm.vmax)
        inputs = errors.columns.to_numpy()
        edges = np.concatenate([inputs[:1], (inputs[:-1] + inputs[1:]) / 2, inputs[-1:]])
        axes.pcolormesh(edges, np.arange(len(order) + 1) - 0.5, errors, cmap="rocket_r", norm=norm)
        for edge in _trained(part.iloc[0]):
            axes.axvline(edge, color="#00a6a6", linewidth=1.2)
        axes.set(title=_title(cells, name, task), xlabel="input", facecolor=MISSING)
        axes.set_yticks(range(len(order)), map(label, order))
        axes.invert_yaxis()
        _colorbar(figure, axes, ScalarMappable(norm, "rocket_r"), label="mean absolute error", extend="both")
    return figure


@_paper
def learning_curves(curves: pd.DataFrame, cells: pd.DataFrame) -> Figure:
    """Mean squared error against the training step, median over seeds, one panel per task × training range.

    Solid is outside the training range and dashed inside; dotted is the threshold of success. Up to six models have
    their quartile bands. The axis ends at a thousand times the median error before training: diverged runs leave it.
    """
    tasks = _ordered(curves["task"], TASKS)
    groups = sorted(curves.groupby(["task", "range"], sort=False), key=lambda group: tasks.index(group[0][0]))
    height = 2.4 if len(groups) < 5 else 1.6
    figure, grid = _grid(len(groups), 2.8, height, "training step", "mean squared error")
    thin, dashed = {"linewidth": 0.9, "linestyle": "-"}, {"linewidth": 0.9, "linestyle": "--", "marker": ""}
    sides = {"extrapolation": thin, "interpolation": dashed}
    for axes, ((task, name), part) in zip(grid, groups, strict=True):
        errors = part.set_index(["model", "step"])[list(sides)].clip(1e-16, 1e100)
        low, middle, high = (errors.groupby(level=[0, 1]).quantile(share) for share in (0.25, 0.5, 0.75))
        threshold = cells.loc[(cells["task"] == task) & (cells["range"] == name), "threshold"].min()
        ceiling = 1e3 * np.median(middle.xs(part["step"].min(), level="step"))
        models = middle.index.unique(0)
        for number, model in enumerate(models):
            steps = middle.loc[model].index
            marks = (number * len(steps) // (5 * len(models)), max(1, len(steps) // 5))
            for side, look in sides.items():
                curve = middle.loc[model, side].clip(upper=1e3 * ceiling)
                axes.plot(steps, curve, **style(model) | look, markevery=marks)
                if len(models) <= FEW:
                    band = low.loc[model, side], high.loc[model, side].clip(upper=1e3 * ceiling)
                    axes.fill_between(steps, *band, color=style(model)["color"], alpha=0.15, linewidth=0)
        if np.isfinite(threshold):
            axes.axhline(threshold, color="black", linewidth=0.8, linestyle=":")
        seen = np.append(middle.to_numpy().ravel(), threshold)
        seen = seen[np.isfinite(seen) & (seen > 0)]
        axes.set(yscale="log", ylim=(seen.min() / 2, 2 * min(seen.max(), ceiling)), title=_title(cells, name, task))
        axes.margins(x=0.02)
    meanings = {"outside": "-", "inside": "--"} | ({"threshold": ":"} if np.isfinite(cells["threshold"]).any() else {})
    lines = [Line2D([], [], color="black", linewidth=0.9, ls=dash, label=key) for key, dash in meanings.items()]
    _legend(figure, _worst_first(curves, "step", "extrapolation"), thin, lines)
    return figure


def draw(tables: Mapping[str, pd.DataFrame], published: pd.DataFrame | None = None) -> Iterator[tuple[str, Figure]]:
    """Every figure that the tables allow, as (file stem, Figure): one set per protocol and overrides.

    Where there is more than one set, the stem ends in its protocol and overrides and the figure's title names them.
    """
    tables = {name: table for name, table in tables.items() if set(COMBINATION) <= set(table)}
    sets = tables["cells"][COMBINATION].drop_duplicates().to_numpy().tolist()
    for combination in sets:
        part = {name: table[table[COMBINATION].eq(combination).all(axis=1)] for name, table in tables.items()}
        one_operand = partial(_one_operand, cells=part["cells"])
        for stem, function, name, rows in (
            ("success", success_heatmap, "summary", lambda table: table[table["metric"] == "success_rate"]),
            ("error", error_heatmap, "outcomes", pd.DataFrame),
            ("error_by_input", partial(error_by_input, published=published), "profile", one_operand),
            ("error_by_input_heatmap", error_by_input_heatmap, "profile", one_operand),
            ("learning_curves", learning_curves, "curves", pd.DataFrame),
        ):
            if name not in part or rows(part[name]).empty:
                continue
            figure = function(part[name], part["cells"])
            if len(sets) > 1:
                figure.suptitle(" · ".join(filter(None, combination)).replace(",", ", "), fontsize=9, wrap=True)
                figure.set_figheight(figure.get_figheight() + 0.25)
                stem = _stem(stem, *combination)
            yield stem, figure


def _stem(*parts: str) -> str:
    """A file name that every system takes: long or odd ones end in a number of their own."""
    whole = "-".join(filter(None, parts))
    plain = re.sub(r"[^A-Za-z0-9_.=-]+", "-", whole)
    return plain if plain == whole and len(plain) <= 80 else f"{plain[:80]}-{crc32(whole.encode()):08x}"


def save(figure: Figure, stem: Path) -> None:
    """Write `stem`.png (150 dpi) and `stem`.svg, never half written; the same figure gives the same bytes."""
    # The layout depends a little on the format's resolution and on the layout before it: settle it once.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for suffix, nothing in {".png": ["Software"], ".svg": ["Date", "Creator"]}.items():
        temporary = stem.with_name(f".{stem.name}.{os.getpid()}{suffix}")
        with mpl.rc_context({"svg.hashsalt": "benchmark"}):
            figure.savefig(temporary, dpi=150, metadata=dict.fromkeys(nothing))
        temporary.replace(stem.with_name(stem.name + suffix))


def _heatmaps(panels: list[tuple], cells: pd.DataFrame, colors: ScalarMappable, text: Callable, **bar: Any) -> Figure:
    """Annotated model × task heatmaps, one per (title, range, table, column); hatched where a model cannot succeed."""
    models = _ordered((model for _, _, table, _ in panels for model in table["model"]), STYLE)
    tasks = _ordered((task for _, _, table, _ in panels for task in table["task"]), TASKS)
    shape = {"index": models, "columns": tasks}
    figure, grid = _grid(len(panels), max(2.2, 0.43 * len(tasks)), max(1.1, 0.7 + 0.18 * len(models)), margin=1)
    legend: dict[str, dict] = {}
    for number, (axes, (title, range_, table, column)) in enumerate(zip(grid, panels, strict=True)):
        values = table.pivot(index="model", columns="task", values=column).reindex(**shape)
        here = cells[cells["range"] == range_]
        narrow = set(here.loc[here["trained"] != here["trained"].mode()[0], "task"])
        if narrow:
            legend["* on the part of the range where the task is defined"] = {"color": "none"}
        sns.heatmap(
            values.clip(*colors.get_clim()), annot=values.map(text), fmt="", annot_kws={"size": 7}, ax=axes, cbar=False,
            cmap=colors.cmap, norm=colors.norm, linewidths=0.5, linecolor="0.85",
            xticklabels=[TASKS.get(task, task) + "*" * (task in narrow) for task in tasks],
            yticklabels=False if number % 2 else [label(model) for model in models],
        )  # fmt: skip
        possible = here.pivot(index="model", columns="task", values="representable")
        for row, place in np.argwhere((possible.reindex(**shape) == "no").to_numpy()):
            axes.add_patch(Rectangle((place, row), 1, 1, **HATCH))
            legend["cannot represent the task"] = HATCH
        if values.isna().any(axis=None):
            legend["no result"] = {"color": MISSING}
        axes.set(title=title, xlabel="", ylabel="", facecolor=MISSING)
        axes.tick_params(length=0, labelrotation=0)
    _colorbar(figure, grid, colors, **bar)
    if legend:
        handles = [Patch(label=meaning, **look) for meaning, look in legend.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _grid(
    panels: int, width: float, height: float, xlabel: str = "", ylabel: str = "", margin: float = 1.2
) -> tuple[Figure, list[Axes]]:
    """A figure with two panels a row, each `width` × `height` inches, or a single one that is half as wide again."""
    rows, columns = -(-panels // 2), min(2, panels)
    size = margin + width * (2 if columns == 2 else 1.5), 0.6 + rows * height
    figure = Figure(size, layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in places:
        axes.tick_params(labelsize=7)  # ticks are made when drawn, after `_paper`
    for axes in places[panels:]:
        axes.remove()
    figure.supxlabel(xlabel, fontsize=8)
    figure.supylabel(ylabel, fontsize=8)
    return figure, places[:panels]


def _colorbar(figure: Figure, of: Axes | list[Axes], colors: ScalarMappable, **options: Any) -> None:
    """A horizontal colour bar a tenth of an inch below the panels."""
    pad = 0.1 / figure.get_figheight()
    bar = figure.colorbar(colors, ax=of, location="bottom", shrink=0.7, aspect=30, pad=pad, **options)
    bar.ax.tick_params(labelsize=7)
    bar.outline.set_visible(False)


def _legend(figure: Figure, models: list[str], look: dict, more: Iterable[Line2D] = ()) -> None:
    """The models in the given order, beside the panels."""
    lines = [Line2D([], [], **style(model) | look, label=label(model)) for model in models]
    figure.legend(handles=[*lines, *more], loc="outside right center", handlelength=3.2)


def _one_operand(profile: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The profiles of the cells with one input, each row with its cell's columns."""
    return profile.merge(cells[cells["inputs"] == 1], on=["model", "task", "range", *COMBINATION])


def _trained(cell: pd.Series) -> tuple[float, float]:
    return cell["middle"] - cell["half_width"], cell["middle"] + cell["half_width"]


def _top(cell: pd.Series, part: pd.DataFrame) -> float:
    """The end of an error axis: the largest error, but between two errors that any reader can name.

    At least that of a network constant outside its training range, at most that of one that always answers zero.
    """
    target = TARGETS.get(cell["task"], np.positive)
    inputs = part["x"][(part["x"] - cell["middle"]).abs() >= cell["half_width"]]
    with np.errstate(invalid="ignore", divide="ignore"):
        zero = target(inputs).abs().max()
        constant = (target(inputs) - target(inputs.clip(*_trained(cell)))).abs().max()
    worst = part["error"][np.isfinite(part["error"])].max()
    return max(1.05 * constant, min(1.05 * worst, zero))


def _worst_first(table: pd.DataFrame, place: str, error: str) -> list[str]:
    """The models by the error at their farthest places, largest first: a legend in the order of the line ends.

    Over several panels, by the mean of the ranks: the errors of one task would drown those of another.
    """
    panel, far = ["task", "range"], table[place].abs()
    ends = table[far == far.groupby([table[key] for key in ["model", *panel]]).transform("max")]
    ranks = ends.groupby(["model", *panel])[error].median().groupby(panel).rank().groupby("model").mean()
    return list(ranks.sort_values(ascending=False, kind="stable").index)


def _ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Each name once, the known ones in their order, the others after them by name."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(set(names), key=lambda name: (places.get(name, len(places)), name))


def _name(task: str) -> str:
    return f"{task} ({TASKS[task]})" if task in TASKS else task


def _title(cells: pd.DataFrame, name: str, task: str = "") -> str:
    """Where a panel's models were trained and judged; the most common intervals if they differ by task."""
    here = cells[(cells["range"] == name) & (cells["task"].eq(task) | (task == ""))]
    intervals = ("trained on " + here["trained"] + ",\njudged on " + here["judged"]).mode()[0]
    return _lines(f"{_name(task)}, {name}:\n{intervals}" if task else f"{name}: {intervals}")


def _lines(text: str) -> str:
    """With proper minus signs, in lines no longer than a panel is wide."""
    return "\n".join(wrapped for line in text.replace("-", "−").splitlines() for wrapped in wrap(line, 38))
