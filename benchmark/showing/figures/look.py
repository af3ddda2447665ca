"""The one visual language: colours, line styles, how numbers and panels are written, the same in every figure.

Dark blue is good and yellow is bad, wherever a colour stands for a number; hatched is impossible, blank is not
measured. Lines have the hue of their model's family and a shade, dash and marker of their own.
"""

import re
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from itertools import product
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmark.asked.conf_files import members_of, range_of
from benchmark.errors import plain
from benchmark.showing.names import MODELS, SUPERSCRIPTS, TASKS, natural, ordered, setting, spoken

LOST = "(24∞): so many seeds\nare not finite; the median is of the others"
GOOD = "cividis_r"  # more is better: from yellow to dark blue, ever darker, for the colour-blind and in grey print, too
BAD = "cividis"  # less is better
DIFFERENCE = LinearSegmentedColormap.from_list("difference", ["#c9a400", "white", "#1f4e9c"])  # worse, same, better
HATCH: dict[str, Any] = {"facecolor": "none", "hatch": "////", "edgecolor": "0.65", "linewidth": 0}
BLANK: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.6", "linewidth": 0.5}
SHADE: dict[str, Any] = {"color": "0.92", "linewidth": 0, "zorder": 0}
OTHERS: dict[str, Any] = {"color": "0.6", "alpha": 0.35, "linewidth": 0, "zorder": 0.5}  # models that have no line
NARROWED = "* on the part of the range where the task is defined"
COMBINATION = ["protocol", "overrides"]
UNKNOWN = pd.DataFrame(
    columns=["task", "range", "trained", "judged", "middle", "half_width"], dtype=float
)  # of no cells
FEW = 6  # lines in a panel; of more models the best and the worst have one

# Family -> (its hue, its members).
FAMILIES: dict[str, tuple[str, list[str]]] = {
    "baselines": ("black", ["linear", "least_squares", "log_least_squares", "monomials"]),
    "MLPs that saturate": (
        "#8757b2", [f"mlp_{name}" for name in ("hardtanh", "sigmoid", "relu6", "tanh", "softsign")],
    ),
    "piecewise linear MLPs": (
        "#1f6fb4",
        [f"mlp_{name}" for name in ("relu", "leakyrelu", "prelu", "threshold", "hardshrink", "softshrink")],
    ),
    "other MLPs": (
        "#0c8585",
        [f"mlp_{name}" for name in ("softplus", "elu", "selu", "gelu", "silu", "mish", "tanhshrink")]
        + ["mlp_snake", "mlp_rational"],
    ),
    "gated linear units and splines": ("#a88a00", ["bilinear", "glu", "reglu", "swiglu", "kan"]),
    "additive units": ("#3f9222", ["nac", "nau", "mcfc", "hill_space_add"]),
    "multiplicative units": (
        "#d1500b",
        ["nac_mul", "nac_sigma", "nac_nmu", "mnac", "nmu", "snmu", "npu", "real_npu", "real_npu_modified", "naive_npu",
         "nru", "nmru", "mul_mcfc", "product_unit", "hill_space_exp"],
    ),
    "gated units": (
        "#cc2a77",
        ["nalu", "nalu_separate", "gnalu", "snalu", "inalu", "inalu_shared", "gated_nau_nmu", "nalu_asinh", "nalu_2m",
         "nalu_ig", "nalu_2mig", "dmu", "dmu_frozen"],
    ),
    "others": ("#8a5a2b", ["eql", "eql_div"]),
}  # fmt: skip
HUES = {model: hue for hue, members in FAMILIES.values() for model in members}
# Thirteen markers and five dashes have no common factor: 65 pairs before one repeats.
MARKERS = "os^DvP<X>ph*d"
SHADES = [("white", 0.0), ("black", 0.4), ("white", 0.35)]  # of a family's hue
DASHES = ["-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1))]

# Thousands and so on, as a cell of a heatmap and as a sentence writes them.
SCALES = [(1e12, "T", " trillion"), (1e9, "B", " billion"), (1e6, "M", " million"), (1e3, "k", " thousand")]
TINY = "<10⁻⁴%"

RC: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "legend.title_fontsize": 7, "legend.frameon": False, "figure.titlesize": 9,
    "figure.labelsize": 8, "axes.spines.top": False, "axes.spines.right": False, "lines.markersize": 3.5,
    "hatch.linewidth": 0.4, "axes.titley": 1.0, "text.parse_math": False, "svg.hashsalt": "benchmark",
}  # fmt: skip


@contextmanager
def paper():
    """Draw with matplotlib's defaults and ours, whatever the user's matplotlibrc says, and leave his settings alone."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def best_of_families(models: Sequence[str], errors: pd.Series, most: int) -> list[str]:
    """The models, or of more than `most` those of the least error in their families.

    errors: by model.
    """
    if len(models) <= most:
        return list(models)
    best: dict[str, str] = {}
    for model in sorted(models, key=lambda model: errors.get(model, np.inf)):
        best.setdefault(family(model)[0], model)
    return [model for model in models if model in best.values()]


def looks(models: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Line properties of each model: a shade of its family's hue, a dash and a marker of its own within the family; in
    each family the markers begin with another, so that it is told from the others in grey print.

    A model that is not known has the hue of the known one that heads its name, if there is one, and follows its family.
    """
    names = ordered(models, MODELS)
    heads = {name: family(name)[1] for name in names}
    found = {}
    for place, (hue, members) in enumerate(FAMILIES.values()):
        own = members + [name for name in names if heads[name] == hue and name not in members]
        for number, name in enumerate(own):
            towards, part = SHADES[number % 3]
            color = (1 - part) * np.array(to_rgb(hue)) + part * np.array(to_rgb(towards))
            marks = {"linestyle": DASHES[number % 5], "marker": MARKERS[(place + number) % 13]}
            size = {"markersize": 5.5} if marks["marker"] == "*" else {}  # most of a star is not there
            found[name] = {"color": to_hex((*color,)), "linewidth": 1.2} | marks | size
    return {name: found[name] for name in names}


def mark_of(hue: str) -> str:
    """The marker that a family's markers begin with, by its hue."""
    return MARKERS[[own for own, _ in FAMILIES.values()].index(hue)]


def family(model: str) -> tuple[str, str]:
    """The name of a model's family and its hue."""
    heads = [name for name in HUES if f"{model}_".startswith(f"{name}_")]
    hue = HUES[max(heads, key=len)] if heads else FAMILIES["others"][0]
    return next(name for name, (own, _) in FAMILIES.items() if own == hue), hue


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the control characters of its texts as escapes, which no font shows and SVG forbids."""
    changed = {}
    for name in (name for name in table if not pd.api.types.is_numeric_dtype(table[name])):
        escapes = {x: plain(x) for x in table[name].unique() if isinstance(x, str)}
        if any(x != text for x, text in escapes.items()):
            changed[name] = table[name].map(lambda x, known=escapes: known.get(x, x))
    return table.assign(**changed)


def share(error: float, long: bool = False) -> str:
    """A relative error as percent, or as a multiple of the target from ten times on.

    long: as a sentence writes it, not a cell.

    >>> [share(error) for error in (0, 3e-9, 2.3e-4, 0.0349, 34, 3400, 34000, 3e7, 1e30, float("inf"))]
    ['0%', '<10⁻⁴%', '0.02%', '3.5%', '×34', '×3,400', '×34k', '×30M', '×10³⁰', '∞']
    >>> share(3e7, long=True)
    '× 30 million'
    """
    if not np.isfinite(error):
        return "" if np.isnan(error) else "∞"
    if error >= 9.995:
        times = "× " if long else "×"
        if error >= 999.5e12:
            return times + power(error)
        size, short, word = next((scale for scale in SCALES if error >= max(1e4, scale[0])), (1.0, "", ""))
        return f"{times}{float(f'{error / size:.2g}'):,.0f}{word if long else short}"
    percent = 100 * error
    if 0 < percent < 0.95e-4:
        return TINY
    if percent >= 0.95:
        return f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}".removesuffix(".0") + "%"
    return f"{Decimal(f'{percent:.0e}'):f}%"


def amount(value: float) -> str:
    """A number as people say it, to two figures from ten on.

    >>> amount(-3400), amount(3e7), amount(0.25), amount(1.6e-7), amount(float("-inf"))
    ('−3,400', '30 million', '0.25', '1.6 × 10⁻⁷', '−∞')
    """
    size = abs(value)
    told = share(size, long=True).removeprefix("× ") if size >= 9.995 else f"{size:.2g}"
    return _without_e(f"−{told}" if value < 0 else told)


def _without_e(number: str) -> str:
    """A number as people write it: 5 × 10⁻⁹, not 5e-09."""
    part, e, exponent = number.partition("e")
    return f"{part} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}" if e else number


def brief(value: float) -> str:
    """A number as an axis has room for it.

    >>> brief(-5e8), brief(125_000.0), brief(9995.0), brief(2.5), brief(0.001), brief(2.5e-9)
    ('−500M', '125k', '9,995', '2.5', '0.001', '2.5 × 10⁻⁹')
    """
    size = abs(value)
    unit, short = next(((scale, short) for scale, short, _ in SCALES if 1e16 > size >= max(1e4, scale)), (1.0, ""))
    told = f"{size / unit:,g}{short}"
    return _without_e(f"−{told}" if value < 0 else told)


def power(value: float) -> str:
    """The nearest power of ten.

    >>> power(2e-7), power(0)
    ('10⁻⁷', '0')
    """
    if not 0 < value < np.inf:
        return "" if np.isnan(value) else "∞" if value else "0"
    return "10" + f"{round(np.log10(value))}".translate(SUPERSCRIPTS)


def times(ratio: float) -> str:
    """A ratio as so many times as much, or divided by so many.

    >>> [times(ratio) for ratio in (1.6, 0.25, 1, 3e7, float("inf"), 0)]
    ['×1.6', '÷4', '×1', '×30M', '×∞', '÷∞']
    """
    sign, size = ("×", ratio) if ratio >= 1 else ("÷", 1 / ratio if ratio else np.inf)
    if np.isnan(ratio) or np.isinf(size):
        return "" if np.isnan(ratio) else f"{sign}∞"
    return sign + (share(size)[1:] if size >= 9.995 else f"{size:.2g}")


def log_axis(axes: Axes, write: Any, axis: str = "y") -> None:
    """A logarithmic axis with `write` for its powers of ten, where there is room for them."""
    axes.set(**{f"{axis}scale": "log"})
    of = axes.yaxis if axis == "y" else axes.xaxis
    of.set_major_formatter(FuncFormatter(lambda value, _: write(value).replace(TINY, f"{power(100 * value)}%")))
    of.set_major_locator(LogLocator(numticks=6))
    of.set_minor_locator(NullLocator())


def lost_of(table: pd.DataFrame) -> pd.Series:
    """How many seeds the medians of a profile, a plane or an initialisation leave out at most, by model."""
    counts = table.get("not_finite", pd.Series(0.0, table.index))
    return counts.groupby(table["model"]).max()


def models_of(table: pd.DataFrame) -> list[str]:
    """The models of a table in the order of every figure's rows and panels."""
    return ordered(table["model"], MODELS)


def tasks_of(table: pd.DataFrame) -> list[str]:
    """The tasks of a table in the order of every figure's columns and panels."""
    return ordered(table["task"], TASKS)


def ranges_of(table: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """The ranges of a table as every figure orders them: positive ones by size, those across zero, negative ones."""
    known = cells.groupby("range")[["middle", "half_width"]].median()

    def place(name: str) -> tuple:
        middle, half = known.loc[name] if name in known.index else (np.nan, np.nan)
        side = 1 if abs(middle) < half else 2 if middle < 0 else 0
        return (side, abs(middle) + half) if np.isfinite(middle + half) else (3, 0.0)

    return sorted(table["range"].unique(), key=lambda name: (*place(name), natural(name)))


def by_task_and_range(table: pd.DataFrame, cells: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """((task, range), its rows), range by range, the tasks of each in their order."""
    places = [(task, name) for name, task in product(ranges_of(table, cells), tasks_of(table))]
    groups = dict(iter(table.groupby(["task", "range"])))
    return [(place, groups[place]) for place in places if place in groups]


def judged(cell: pd.Series, operand: str) -> list[tuple[float, float]]:
    """The finite intervals in which a cell's operand is judged; none where that is a grid."""
    told = re.split(r"\bb (?=\[)", cell["judged"])
    number = r"(-?\d[\d.]*(?:e[+-]?\d+)?)"
    found = re.findall(rf"\[{number}, {number}\]", told[0] if operand == "a" else told[-1])
    return [(float(low), float(high)) for low, high in found]


def trained(cell: pd.Series, operand: str = "a") -> tuple[float, float]:
    """The ends of the range on which a cell's operand was trained: those of the other where they are not told apart."""
    own = re.split(r"\bb (?=[\[{])| × ", cell["trained"])[1:] if operand == "b" else []
    ends = [float(end) for end in re.findall(r"-?(?:\d[\d.]*(?:e[+-]?\d+)?|inf)", own[0])] if own else []
    if ends and np.isfinite(ends).all():
        return min(ends), max(ends)
    return cell["middle"] - cell["half_width"], cell["middle"] + cell["half_width"]


def narrowed(cells: pd.DataFrame, name: str) -> set[str]:
    """The tasks that are defined on a part of the range only."""
    here = cells[cells["range"] == name]
    return set(here.loc[here["trained"] != here["trained"].mode()[0], "task"])


def range_title(cells: pd.DataFrame, name: str, task: str = "") -> str:
    """Where models were trained and judged, the most common intervals if they differ by task: 1 to 2 → 2 to 6.

    With the range's name where the intervals do not tell it apart from another; a set of ranges by how many it has.
    """
    here = cells[(cells["range"] == name) & (cells["task"].eq(task) | (task == ""))]
    if here.empty:
        members = members_of("range", name)
        return f"{len(members)} ranges together" if members else name
    where = here[["trained", "judged"]].mode().iloc[0]
    alike = cells[(cells[["trained", "judged"]] == where).all(axis=1)]["range"].nunique() > 1
    if law := law_of(name, here["middle"].median()):
        return "exponential, mean {:g} → mean {:g} (no outside)".format(*law)
    told = spoken(where["trained"])
    told += ", judged there" if where["trained"] == where["judged"] else f" → {spoken(where['judged'])}"
    return f"{told} ({name})" if alike else told


def range_titles(sides: Sequence[pd.DataFrame], name: str, task: str = "") -> str:
    """`range_title` by what each of several tables knows of its cells; one after the other where they differ."""
    known = [cells for cells in sides if name in set(cells["range"])]
    return " / ".join(dict.fromkeys(range_title(cells, name, task) for cells in known or [UNKNOWN]))


@cache
def law_of(name: str, middle: float) -> tuple[float, ...]:
    """What tells an exponential range of the package: the means of its laws, which have no outside to extrapolate to.

    middle: of the range as it was asked for. () for other ranges, and for one of that name that was changed.

    >>> law_of("exponential_0p2", 0.6908), law_of("exponential_0p2", 2.0), law_of("positive", 1.5)
    ((0.2, 0.5), (), ())
    """
    content = range_of(name)
    sides = [content[side] for side in ("interpolation", "extrapolation") if isinstance(content.get(side), dict)]
    means = [float(side["scale"]) for side in sides if side.get("law") == "exponential"]
    if len(means) < 2 or not np.isclose(middle, means[0] * np.log(1000) / 2, rtol=1e-3):  # ends at 1e-3 of its mass
        return ()
    return tuple(means)


def panel_title(cells: pd.DataFrame, name: str, task: str, width: float) -> str:
    """A panel's task and range, in lines that fit into `width` inches."""
    return wrapped(f"{TASKS.get(task, task)}, {range_title(cells, name, task)}", width)


def wrapped(text: str, width: float) -> str:
    """In lines of at most `width` inches."""
    return "\n".join(wrap(text, max(10, int(16 * width))))


def balanced(text: str, width: float) -> list[str]:
    """Lines of at most `width` inches, as many as it takes and about as long.

    >>> balanced("Of 264 median errors 37 stay below 1%.", 2)
    ['Of 264 median errors', '37 stay below 1%.']
    """
    count = len(wrapped(text, width).splitlines())
    tried = (wrapped(text, part * width).splitlines() for part in np.linspace(0.5, 1, 20))
    return next((lines for lines in tried if len(lines) <= count), [])


def settings(overrides: Sequence[str]) -> tuple[str, dict[str, float], dict[str, str]]:
    """(what is swept, setting -> its number, setting -> what else it sets); ("", {}, {}) where that is no one number.

    >>> settings(["protocol.inputs=4", "protocol.inputs=10;protocol.steps=5"])[:2]
    ('inputs', {'protocol.inputs=4': 4.0, 'protocol.inputs=10;protocol.steps=5': 10.0})
    """
    parts = {one: dict(part.partition("=")[::2] for part in one.split(";")) for one in overrides}
    for name in dict.fromkeys(name for part in parts.values() for name in part):
        values = {one: _number(part.get(name, "")) for one, part in parts.items()}
        if np.isfinite(list(values.values())).all() and len(set(values.values())) == len(parts):
            others = {one: [part for part in one.split(";") if part.partition("=")[0] != name] for one in overrides}
            told = {one: setting(";".join(rest)) if rest else "" for one, rest in others.items()}
            return name.removeprefix("protocol."), values, told
    return "", {}, {}


def _number(text: str) -> float:
    """The number, alone or in brackets; nan for anything else."""
    try:
        return float(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return np.nan
