"""The figures of the benchmark: each function turns tables of one protocol and one set of overrides into Figures.

A figure is a page: of many panels a function makes several. Only `save` touches a file, and no figure enters pyplot's
registry.
"""

import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from benchmark.asked.replicas import CELL
from benchmark.errors import plain, unexpected
from benchmark.results.shards import replacing
from benchmark.results.statistics import finite_medians
from benchmark.showing.figures import titles
from benchmark.showing.figures.agreement import agreement, rates_and_scores
from benchmark.showing.figures.curves import learning_curves
from benchmark.showing.figures.differences import difference_heatmap
from benchmark.showing.figures.distance import error_by_distance
from benchmark.showing.figures.heatmaps import error_heatmap, horizon_heatmap, success_heatmap
from benchmark.showing.figures.inputs import error_by_input, error_by_input_heatmap, errors
from benchmark.showing.figures.look import COMBINATION, as_text, balanced, by_task_and_range, looks, paper
from benchmark.showing.figures.plane import operand_plane
from benchmark.showing.figures.ranges import several_settings, solved_somewhere, success_by_range, success_by_setting
from benchmark.showing.figures.ranks import rank_dots
from benchmark.showing.figures.representable import representable_heatmap
from benchmark.showing.figures.responses import opening, opening_claim, opens, responses
from benchmark.showing.figures.speed import speed_dots
from benchmark.showing.figures.summary import summary
from benchmark.showing.figures.untrained import initialisation
from benchmark.showing.figures.verdicts import verdict_bars
from benchmark.showing.names import MODELS, head, label, natural, setting

__all__ = [
    "difference_heatmap",
    "draw",
    "drawings",
    "entitle",
    "error_by_distance",
    "error_by_input",
    "error_by_input_heatmap",
    "error_heatmap",
    "horizon_heatmap",
    "initialisation",
    "label",
    "learning_curves",
    "left_out",
    "looks",
    "nothing",
    "numbered",
    "opening",
    "operand_plane",
    "rank_dots",
    "representable_heatmap",
    "responses",
    "save",
    "showing",
    "speed_dots",
    "success_by_range",
    "success_by_setting",
    "success_heatmap",
    "summary",
    "titles",
    "verdict_bars",
]
Tables = Mapping[str, pd.DataFrame]
# Format -> (what draws it, what of its metadata would differ from machine to machine).
FORMATS: dict[str, tuple[Any, list[str]]] = {
    "png": (FigureCanvasAgg, ["Software"]),
    "svg": (FigureCanvasSVG, ["Date", "Creator"]),
    "pdf": (FigureCanvasPdf, ["CreationDate", "Creator", "Producer"]),
}


class Kind(NamedTuple):
    """A kind of figure: its stem, the tables it takes, what it shows in words, the columns and rows of that, its pages.

    rows: of the tables by name; none where the kind does not apply. claim: what it shows in a sentence. by_panel:
    whether a task and range without a finite number have no panel.
    """

    stem: str
    takes: tuple[str, ...]
    what: str
    columns: tuple[str, ...]
    rows: Callable[[Tables], pd.DataFrame]
    pages: Callable[..., Iterator[Figure]]
    claim: Callable[..., str]
    by_panel: bool = False


class Drawing(NamedTuple):
    """A figure to be drawn, in as many pages as it takes; why it is not worth one, which panels are not, of whom.

    title: what tells its set apart. claim: what it shows in a sentence.
    """

    stem: str
    kind: str
    title: str
    pages: Callable[[], Iterator[Figure]]
    claim: Callable[[], str]
    nothing: str
    panels: list[str]
    cells: pd.DataFrame


def _of(metric: str) -> Callable[[Tables], pd.DataFrame]:
    return lambda tables: tables["summary"][tables["summary"]["metric"] == metric].dropna(subset="value")


def _medians(tables: Tables) -> pd.DataFrame:
    return finite_medians(tables["outcomes"], ["model", "task", "range"], SIDES)[0]


def _one_operand(tables: Tables) -> pd.DataFrame:
    return errors(tables["profile"], tables["cells"])[0]


def _agreement(tables: Tables) -> pd.DataFrame:
    """The rates and scores of a comparison with published numbers."""
    return rates_and_scores(tables["comparison"])


def _several_starts(table: pd.DataFrame) -> pd.DataFrame:
    """The table where a known model is there in several variants, as nac_normal and nac_uniform are; else none."""
    names = table["model"].unique()
    variants = [head(name, MODELS) for name in names if head(name, MODELS) not in ("", name)]
    return table if len(variants) > len(set(variants)) else table[:0]


SIDES = ("relative_interpolation", "relative_extrapolation")
CURVES = ("interpolation", "extrapolation")
# Of the whole result.
SUMMARY = Kind(
    "summary", ("outcomes",), "verdicts and errors", SIDES, lambda tables: tables["outcomes"], summary, titles.summary,
)  # fmt: skip
SWEEP = Kind(
    "success_by_setting", ("summary",), "success rates and errors by setting", ("value",),
    lambda tables: several_settings(tables["summary"]).dropna(subset="value"), success_by_setting, titles.sweep,
)  # fmt: skip
KINDS = [
    Kind("opening", ("responses", "outcomes"), "answers", ("median",), opens, opening, opening_claim),
    Kind(
        "agreement", ("comparison",), "rates and scores, ours and published,", ("value", "published"), _agreement,
        agreement, titles.agreement,
    ),
    Kind(
        "success", ("summary",), "success rates", ("value",), _of("success_rate"), success_heatmap, titles.success,
    ),
    Kind(
        "verdicts", ("outcomes",), "verdicts", ("verdict",), lambda tables: tables["outcomes"], verdict_bars,
        titles.verdicts,
    ),
    Kind("error", ("outcomes",), "median relative errors", SIDES, _medians, error_heatmap, titles.error),
    Kind(
        "horizon", ("summary", "profile"), "horizons", ("value",), _of("horizon"), horizon_heatmap, titles.horizon,
    ),
    Kind(
        "success_by_range", ("summary",), "success rates by range", ("value",),
        lambda tables: solved_somewhere(tables["summary"]).dropna(subset="value"), success_by_range, titles.success,
    ),
    Kind(
        "error_by_distance", ("profile",), "relative errors", ("relative",), lambda tables: tables["profile"],
        error_by_distance, titles.distance, by_panel=True,
    ),
    Kind(
        "error_by_input", ("profile",), "errors", ("error",), _one_operand, error_by_input, titles.inputs,
        by_panel=True,
    ),
    Kind(
        "error_by_input_heatmap", ("profile",), "errors", ("error",), _one_operand, error_by_input_heatmap,
        titles.inputs, by_panel=True,
    ),
    Kind(
        "learning_curves", ("curves",), "errors during training", CURVES, lambda tables: tables["curves"],
        learning_curves, titles.learning, by_panel=True,
    ),
    Kind(
        "initialisation", ("initialisation",), "outputs before training", ("output",),
        lambda tables: _several_starts(tables["initialisation"]), initialisation, titles.untrained,
    ),
]  # fmt: skip
# Of each task and range by itself.
BY_PLACE = [
    Kind(
        "responses", ("responses", "outcomes"), "answers", ("median",), lambda tables: tables["responses"], responses,
        titles.responses,
    ),
    Kind("plane", ("plane",), "errors", ("error",), lambda tables: tables["plane"], operand_plane, titles.plane),
]  # fmt: skip


def draw(tables: Tables) -> Iterator[tuple[str, Figure]]:
    """Every figure that the tables allow, as (file stem, Figure): one set per protocol and overrides.

    Where there is more than one set, the stem ends in what tells it apart, its protocol and overrides, and the figure's
    title names them. A figure is made when it is asked for, so that a reader who drops it holds one at a time.
    """
    for drawing in drawings(tables):
        if drawing.nothing:
            continue
        try:
            claim = drawing.claim()
            for stem, figure in numbered(drawing.stem, drawing.pages()):
                entitle(figure, claim, drawing.title)
                yield stem, figure
        except Exception as error:  # no figure is worth a run
            warnings.warn(f"The figure {drawing.stem} cannot be drawn. {unexpected(error)}", stacklevel=2)


@paper()
def entitle(figure: Figure, claim: str, title: str = "") -> None:
    """What a figure shows, above it, and the name of its set, in lines of their own."""
    lines = [line for text in (claim, title) for line in balanced(text, 0.85 * figure.get_figwidth())]
    if lines:
        figure.suptitle("\n".join([*lines, figure.get_suptitle()]).rstrip(), fontsize=9)
        figure.set_figheight(figure.get_figheight() + 0.16 * len(lines))


def showing(tables: Tables, cells: Collection[tuple]) -> list[str]:
    """The stems of the figures that `draw` makes of these tables and that show one of these cells."""
    wanted = {tuple(map(plain, names)) for names in cells}
    drawn = [drawing for drawing in drawings(tables) if not drawing.nothing]
    return [one.stem for one in drawn if wanted & set(one.cells[CELL].itertuples(index=False, name=None))]


def left_out(drawings: Iterable[Drawing]) -> list[str]:
    """A sentence about each kind of figure that would show nothing, or one number everywhere, and where that is so."""
    told: dict[tuple[str, str], list[str]] = {}
    for drawing in drawings:
        if drawing.nothing:
            told.setdefault((f"No figure {drawing.kind}", drawing.nothing), []).append(drawing.title)
            continue
        for panel in drawing.panels:
            what = f"No panel {panel} in {drawing.kind}"
            told.setdefault((what, "nothing is finite there"), []).append(drawing.title)
    return [
        f"{what}{' for ' if any(where) else ''}{'; '.join(filter(None, dict.fromkeys(where)))}: {nothing}."
        for (what, nothing), where in told.items()
    ]


def numbered(stem: str, figures: Iterable[Figure]) -> Iterator[tuple[str, Figure]]:
    """A stem for each page: success, success-2, success-3."""
    for number, figure in enumerate(figures, 1):
        yield (stem if number == 1 else f"{stem}-{number}"), figure


def drawings(tables: Tables) -> Iterator[Drawing]:
    """What there is to draw, in its order: first how a protocol does under several settings, where it has some."""
    tables = {name: as_text(table) for name, table in tables.items() if set(COMBINATION) <= set(table)}
    if "cells" not in tables:  # every figure says where its models were trained
        return
    sets = tables["cells"][COMBINATION].drop_duplicates().to_numpy().tolist()
    sets.sort(key=lambda names: [natural(name) for name in names])
    protocols = list(dict.fromkeys(protocol for protocol, _ in sets))
    stems: set[str] = set()
    yield from _of_kinds([SUMMARY], tables, "", [], stems)
    for protocol in protocols:
        part = {name: table[table["protocol"] == protocol] for name, table in tables.items()}
        end = protocol if len(protocols) > 1 else ""
        yield from _of_kinds([SWEEP], part, protocol if len(sets) > 1 else "", [end], stems)
    for protocol, overrides in sets:
        part = {name: table[table[COMBINATION].eq([protocol, overrides]).all(axis=1)] for name, table in tables.items()}
        title, ends = "", [""]
        if len(sets) > 1:
            title = " · ".join(filter(None, (protocol, overrides and setting(overrides))))
            ends = [protocol if len(protocols) > 1 else "", overrides.replace("protocol.", "")]
        yield from _of_kinds(KINDS, part, title, ends, stems)
        for kind in BY_PLACE:
            table = kind.takes[0]
            for (task, name), rows in by_task_and_range(part[table], part["cells"]) if table in part else ():
                named = kind._replace(stem=f"{kind.stem}_{task}_{name}")
                for drawing in _of_kinds([named], part | {table: rows}, title, ends, stems):
                    yield drawing._replace(cells=rows[CELL].drop_duplicates())


def _of_kinds(kinds: Iterable[Kind], tables: Tables, title: str, ends: list[str], stems: set[str]) -> Iterator[Drawing]:
    """The drawings of kinds that these tables allow, under stems that no other has."""
    for kind in kinds:
        if not set(kind.takes) <= set(tables) or any(tables[name].empty for name in kind.takes):
            continue
        if (rows := kind.rows(tables)).empty:
            continue
        stem = _stem(kind.stem, *ends)
        while stem.casefold() in stems:
            stem += "_"
        stems.add(stem.casefold())
        panels = []
        if kind.by_panel:
            finite = np.isfinite(rows[list(kind.columns)]).any(axis=1).groupby([rows["task"], rows["range"]]).any()
            panels = [f"of {task} on {name}" for task, name in finite.index[~finite]]
        taken = [*(tables[name] for name in kind.takes), tables["cells"]]
        more = {"comparison": tables.get("comparison")} if kind.pages is error_by_input else {}
        why = nothing(kind.what, pd.concat([rows[column] for column in kind.columns]))
        claim = partial(_claimed, stem, partial(kind.claim, *taken))
        yield Drawing(stem, kind.stem, title, partial(kind.pages, *taken, **more), claim, why, panels, tables["cells"])


def _claimed(stem: str, claim: Callable[[], str]) -> str:
    """A claim, or "" with a warning: no title is worth a figure or a report."""
    try:
        return claim()
    except Exception as error:
        warnings.warn(f"The figure {stem} has no title. {unexpected(error)}", stacklevel=2)
        return ""


def nothing(what: str, shown: pd.Series) -> str:
    """Why what would be shown is not worth a picture; "" if it is."""
    numeric = pd.api.types.is_numeric_dtype(shown)
    if numeric and not np.isfinite(shown).any():
        return f"none of the {what} is finite"
    if shown.nunique() == 1:
        return f"all {what} are {shown.iloc[0]:.3g}" if numeric else f"all {what} are {shown.iloc[0]}"
    return ""


def _stem(*parts: str) -> str:
    """A file name that every system takes."""
    plain = [re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-.") for part in parts]
    return "-".join(filter(None, plain))[:80]


def save(figure: Figure, stem: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """`stem`.png (150 dpi), .svg or .pdf, written, never half written; the same figure gives the same bytes."""
    with paper():  # ticks are made when drawn
        # The layout depends a little on the resolution, for which texts are hinted, and on the layout before it: settle
        # it once, as it is for a PNG.
        figure.dpi = 150
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        paths = [stem.with_name(f"{stem.name}.{form}") for form in formats]
        for path, form in zip(paths, formats, strict=True):
            figure.dpi = 150  # the format before may have changed it
            # A canvas of the format draws once; `savefig` draws twice, for a layout that is settled.
            canvas, nothing = FORMATS[form]
            with replacing(path) as temporary:
                getattr(canvas(figure), f"print_{form}")(temporary, metadata=dict.fromkeys(nothing))
    return paths
