"""The figures of the benchmark: each function turns tables of one protocol and one set of overrides into a Figure.

Only `save` touches a file, and no figure enters pyplot's registry.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from zlib import crc32

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from benchmark.errors import unexpected
from benchmark.results.shards import replacing
from benchmark.showing.figures.curves import learning_curves
from benchmark.showing.figures.differences import difference_heatmap
from benchmark.showing.figures.distance import error_by_distance
from benchmark.showing.figures.heatmaps import error_heatmap, horizon_heatmap, success_heatmap
from benchmark.showing.figures.inputs import error_by_input, error_by_input_heatmap, one_operand
from benchmark.showing.figures.look import COMBINATION, style
from benchmark.showing.figures.plane import operand_plane
from benchmark.showing.figures.ranges import several_settings, solved_somewhere, success_by_range, success_by_setting
from benchmark.showing.figures.representable import representable_heatmap
from benchmark.showing.figures.untrained import initialisation
from benchmark.showing.figures.verdicts import verdict_bars
from benchmark.showing.names import label

__all__ = [
    "difference_heatmap",
    "draw",
    "error_by_distance",
    "error_by_input",
    "error_by_input_heatmap",
    "error_heatmap",
    "horizon_heatmap",
    "initialisation",
    "label",
    "learning_curves",
    "operand_plane",
    "representable_heatmap",
    "save",
    "style",
    "success_by_range",
    "success_by_setting",
    "success_heatmap",
    "verdict_bars",
]


def draw(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Figure]]:
    """Every figure that the tables allow, as (file stem, Figure): one set per protocol and overrides.

    Where there is more than one set, the stem ends in what tells it apart, its protocol and overrides, and the figure's
    title names them.
    """
    tables = {name: table for name, table in tables.items() if set(COMBINATION) <= set(table)}
    if "cells" not in tables:  # every figure says where its models were trained
        return
    sets = tables["cells"][COMBINATION].drop_duplicates().to_numpy().tolist()
    several = len({protocol for protocol, _ in sets}) > 1
    for combination in sets:
        part = {name: table[table[COMBINATION].eq(combination).all(axis=1)] for name, table in tables.items()}
        for stem, figure in _draw_set(part):
            if len(sets) > 1:
                names = " · ".join(filter(None, combination)).replace(",", ", ")
                title = "\n".join(filter(None, [names, figure.get_suptitle()]))
                figure.suptitle(title, fontsize=9, wrap=True)
                figure.set_figheight(figure.get_figheight() + 0.25)
                protocol, overrides = combination
                stem = _stem(stem, protocol.replace("/", "-") if several else "", overrides.replace("protocol.", ""))
            yield stem, figure
    if "summary" in tables:
        for (protocol, task), part in several_settings(tables["summary"]).groupby(["protocol", "task"], sort=False):
            figure = success_by_setting(part, tables["cells"])
            figure.suptitle(str(protocol), fontsize=9)
            yield _stem(f"success_by_setting_{task}", str(protocol).replace("/", "-") if several else ""), figure


def _draw_set(tables: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, Figure]]:
    """The figures of one protocol and one set of overrides."""
    cells = tables["cells"]

    def of(metric: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
        return lambda summary: summary[(summary["metric"] == metric) & summary["value"].notna()]

    by_input = partial(error_by_input, comparison=tables.get("comparison"))
    if not (rates := _tested_rates(tables.get("comparison"))).empty:
        yield "agreement", difference_heatmap(rates, names=("ours", "published"))
    # The tables that a figure takes, the first of which must have such rows.
    figures: list[tuple[str, Callable[..., Figure], list[str], Callable[[pd.DataFrame], pd.DataFrame]]] = [
        ("success", success_heatmap, ["summary"], of("success_rate")),
        ("error", error_heatmap, ["outcomes"], pd.DataFrame),
        ("verdicts", verdict_bars, ["outcomes"], pd.DataFrame),
        ("horizon", horizon_heatmap, ["summary", "profile"], of("horizon")),
        ("success_by_range", success_by_range, ["summary"], solved_somewhere),
        ("error_by_distance", error_by_distance, ["profile"], pd.DataFrame),
        ("error_by_input", by_input, ["profile"], partial(one_operand, cells=cells)),
        ("error_by_input_heatmap", error_by_input_heatmap, ["profile"], partial(one_operand, cells=cells)),
        ("learning_curves", learning_curves, ["curves"], pd.DataFrame),
        ("initialisation", initialisation, ["initialisation"], pd.DataFrame),
    ]
    for stem, figure, names, rows in figures:
        if set(names) <= set(tables) and not rows(tables[names[0]]).empty:
            yield from _drawn(stem, partial(figure, *(tables[name] for name in names), cells))
    if "plane" in tables:
        for (task, name), part in tables["plane"].groupby(["task", "range"], sort=False):
            yield from _drawn(_stem(f"plane_{task}_{name}"), partial(operand_plane, part, cells))


def _drawn(stem: str, figure: Callable[[], Figure]) -> Iterator[tuple[str, Figure]]:
    """The figure, or a warning: no figure is worth a run."""
    try:
        yield stem, figure()
    except Exception as error:
        warnings.warn(f"The figure {stem} cannot be drawn. {unexpected(error)}", stacklevel=2)


def _tested_rates(comparison: pd.DataFrame | None) -> pd.DataFrame:
    """The rows of a comparison with published numbers in which success rates were tested for agreement."""
    if comparison is None or not {"metric", "p"} <= set(comparison):
        return pd.DataFrame()
    return comparison[(comparison["metric"] == "success_rate") & comparison["p"].notna()]


def _stem(*parts: str) -> str:
    """A file name that every system takes: long or odd ones end in a number of their own."""
    whole = "-".join(filter(None, parts))
    plain = re.sub(r"[^A-Za-z0-9_.=-]+", "-", whole)
    return plain if plain == whole and len(plain) <= 80 else f"{plain[:80]}-{crc32(whole.encode()):08x}"


def save(figure: Figure, stem: Path) -> list[Path]:
    """`stem`.png (150 dpi) and `stem`.svg, written, never half written; the same figure gives the same bytes."""
    # The layout depends a little on the format's resolution and on the layout before it: settle it once.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for suffix, nothing in {".png": ["Software"], ".svg": ["Date", "Creator"]}.items():
        with (
            mpl.rc_context({"svg.hashsalt": "benchmark"}),
            replacing(stem.with_name(stem.name + suffix)) as temporary,
        ):
            figure.savefig(temporary, format=suffix[1:], dpi=150, metadata=dict.fromkeys(nothing))
    return [stem.with_name(stem.name + suffix) for suffix in (".png", ".svg")]
