"""What the page holds of a results folder's tables, as JSON knows it: names, cells in columns, curves cell by cell."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb

from benchmark.asked.conf_files import CONF, choices_of
from benchmark.asked.labels import parts_of
from benchmark.asked.replicas import CELL, SEMANTICS
from benchmark.errors import plain
from benchmark.results.statistics import SHOWN_SEEDS, VERDICTS, by_cell, finite_medians, of_most
from benchmark.showing.figures import look
from benchmark.showing.findings import CLOSE, findings
from benchmark.showing.names import MODELS, TASKS, label, natural, ordered, spoken

DIGITS = 4  # of the points of a curve
# Metrics of summary.csv that the page's table shows, each with its interval.
METRICS = ["success_rate", "relative_extrapolation", "horizon", "solved_at"]
# A marker of matplotlib -> a shape of Vega, or a path within [-1, 1]².
SHAPES = {
    "o": "circle", "s": "square", "D": "diamond", "P": "cross", "^": "triangle-up", "v": "triangle-down",
    "<": "triangle-left", ">": "triangle-right",
    "X": "M-1,-.6L-.6,-1L0,-.4L.6,-1L1,-.6L.4,0L1,.6L.6,1L0,.4L-.6,1L-1,.6L-.4,0Z",
    "p": "M0,-1L.95,-.31L.59,.81L-.59,.81L-.95,-.31Z", "h": "M0,-1L.87,-.5L.87,.5L0,1L-.87,.5L-.87,-.5Z",
    "*": "M0,-1L.24,-.31L.95,-.31L.38,.12L.59,.81L0,.38L-.59,.81L-.38,.12L-.95,-.31L-.24,-.31Z",
    "d": "M0,-1L.6,0L0,1L-.6,0Z",
}  # fmt: skip
STROKES = {"-": [], "--": [6, 3], "-.": [7, 2, 2, 2]}


def about(name: str) -> str:
    """What an experiment of the package is, in the words of its file; "" for other names."""
    if name not in choices_of("experiment"):
        return ""
    lines = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next((line.removeprefix("#").strip() for line in lines if re.match("# (?!@)", line)), "")


def experiment(name: str, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """A result as the page shows it.

    findings: what was found in all of it, in sentences. models, tasks, ranges, settings: their names and how they are
    written. cells: model, task, range and setting by their places in those, and what is known of each cell, in columns.
    profile, plane, responses, curves: one entry a cell, null where there is none. learned: in the place of curves,
    which stay where a result was trained, when networks first passed the threshold. agreement: our numbers beside
    published ones, in columns.
    """
    summary = tables["summary"]
    cells = summary[CELL].drop_duplicates().merge(tables.get("cells", summary[CELL].head(0)), on=CELL, how="left")
    facts = cells if "cells" in tables else cells.assign(middle=np.nan, half_width=np.nan)
    models, tasks, ranges = ordered(cells["model"], MODELS), ordered(cells["task"], TASKS), look.ranges_of(facts, facts)
    settings = sorted({key[3:] for key in _keys(cells)}, key=lambda setting: [*map(natural, setting)])
    names = {"setting": settings, "range": ranges, "task": tasks, "model": models}
    places = pd.DataFrame(
        [
            (settings.index(key[3:]), ranges.index(key[2]), tasks.index(key[1]), models.index(key[0]))
            for key in _keys(cells)
        ],
        columns=list(names),
    ).sort_values(list(names))
    cells = cells.iloc[places.index]
    keys = _keys(cells)
    columns: dict[str, Any] = {name: places[name].tolist() for name in names}
    columns |= _known(cells, summary, tables.get("outcomes"))
    columns["command"], columns["note"] = zip(*_commands(name, cells, columns["seeds"]), strict=True)
    whole = "outcomes" in tables and "cells" in tables
    return {
        "findings": findings(tables["outcomes"], tables["cells"]) if whole else [],
        "models": looks(models),
        "tasks": [[task, plain(TASKS.get(task, task))] for task in tasks],
        "ranges": [[one, plain(look.range_title(cells, one) if "trained" in cells else one)] for one in ranges],
        "settings": [[*setting, _told(setting, settings)] for setting in settings],
        "cells": columns,
        "profile": _by_cell(tables.get("profile"), keys, _profile),
        "responses": _by_cell(tables.get("responses"), keys, _response),
        "plane": _by_cell(tables.get("plane"), keys, _plane),
        "curves": _by_cell(_medians(tables.get("curves")), keys, lambda rows: _columns(rows, list(rows.columns[5:]))),
        "learned": _by_cell(None if "curves" in tables else tables.get("outcomes"), keys, _learned),
        "agreement": agreement(tables.get("comparison")),
    }


def looks(models: Sequence[str]) -> list[dict[str, Any]]:
    """How each model is written and drawn: in its family's hue, lighter in the dark, with a dash and a shape."""
    found = []
    for model, style in look.looks(models).items():
        dash = style["linestyle"]
        found.append(
            {
                "name": model,
                "label": plain(label(model)),
                "family": look.family(model)[0],
                "color": style["color"],
                "dark": to_hex(tuple(0.5 * np.array(to_rgb(style["color"])) + 0.5)),
                "dash": STROKES[dash] if isinstance(dash, str) else [2 * length for length in dash[1]],
                "shape": SHAPES[style["marker"]],
            }
        )
    return found


def agreement(comparison: pd.DataFrame | None) -> dict[str, list] | None:
    """Our numbers beside published ones: which number it is, what the row is of, both with their intervals.

    what: a metric, the error at an input or the error of a prediction. verdict: by the agreement rule, "" where it was
    not applied.
    """
    if comparison is None or comparison.empty:
        return None
    table = comparison.copy()
    table["what"], table["ours"] = "", np.nan
    if {"verdict", "p"} <= set(table):
        table["verdict"] = table["verdict"].where(table["p"].notna(), "")
    if "metric" in table:
        table["what"], table["ours"] = table["metric"].fillna(""), table["value"]
    if "x" in table:
        at = table["x"].notna()
        table.loc[at, "what"] = [f"mean absolute error at {x:g}" for x in table.loc[at, "x"]]
        table.loc[at, "ours"] = table.loc[at, "error"]
        table.loc[at, ["low", "high"]] = np.nan  # quartiles of the seeds, no interval of the mean
    if "prediction" in table:
        of = table["prediction"].notna()
        told = zip(*(table.loc[of, column] for column in ("a", "b", "target")), strict=True)
        table.loc[of, "of"] = [f"{a:g}, {b:g} → {target:g}" for a, b, target in told]
        table.loc[of, "what"] = [
            f"prediction minus the right answer, seed {seed:.0f}" for seed in table.loc[of, "seed"]
        ]
        table.loc[of, "ours"] = table.loc[of, "prediction"] - table.loc[of, "target"]
        table.loc[of, "published"] -= table.loc[of, "target"]
    table = table[table["what"].ne("") & table["ours"].notna() & table["published"].notna()]
    numbers = ["ours", "low", "high", "seeds", "published", "published_low", "published_high", "published_seeds"]
    texts = [*CELL, "what", "of", "verdict", "source", "standing"]
    table = table.reindex(columns=[*texts, *numbers])
    found = {name: [text if isinstance(text, str) else "" for text in table[name]] for name in texts}
    found["label"] = [plain(label(model)) for model in found["model"]]
    return found | {name: numbers_of(table[name]) for name in numbers} if len(table) else None


def numbers_of(values: Iterable[float], digits: int = 17) -> list:
    """Numbers for JSON, with so many digits: null for nan, "Infinity" for an infinite one, which JSON has not.

    >>> numbers_of([0.1, 1 / 3, 25.0, np.inf, np.nan], 4)
    [0.1, 0.3333, 25, 'Infinity', None]
    """
    found: list = []
    for value in map(float, values):
        if np.isfinite(value):
            short = float(f"{value:.{digits}g}")
            found.append(int(short) if short.is_integer() and abs(short) < 1e9 else short)
        else:
            found.append(None if np.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    return found


def _known(cells: pd.DataFrame, summary: pd.DataFrame, outcomes: pd.DataFrame | None) -> dict[str, list]:
    """The columns of the cells: where they were trained and judged, metrics with intervals, seeds and verdicts."""
    numbers = ["inputs", "operands", "middle", "half_width", "threshold", "semantics"]
    texts = ["trained", "judged", "representable", "why"]
    cells = cells.reindex(columns=[*CELL, *numbers, *texts])
    found: dict[str, list] = {name: numbers_of(cells[name]) for name in numbers}
    found |= {name: [text if isinstance(text, str) else "" for text in cells[name]] for name in texts}
    found["regions"] = [_regions(text) for text in found["judged"]]
    found["hulls"] = [_hulls(_regions(text)) for text in found["trained"]]
    for name in ("trained", "judged"):
        found[name] = [spoken(text) for text in found[name]]
    index = pd.MultiIndex.from_frame(cells[CELL])
    for metric in METRICS:
        rows = summary[summary["metric"] == metric].set_index(CELL).reindex(index)
        found |= {metric + end: numbers_of(rows[of]) for end, of in (("", "value"), ("_low", "low"), ("_high", "high"))}
        if (lost := rows.get("not_finite", pd.Series(dtype=float))).gt(0).any():
            found[f"{metric}_not_finite"] = numbers_of(lost)
    seeds = summary.groupby(CELL)["seeds"].max().reindex(index)
    if outcomes is not None:
        of = outcomes.groupby(CELL)
        seeds = of.size().reindex(index)
        for side in ("interpolation", "extrapolation"):
            right = (outcomes[f"relative_{side}"] < CLOSE).groupby([outcomes[name] for name in CELL]).sum()
            found[f"within_{side}"] = numbers_of(right.reindex(index))
        inside = "relative_interpolation"
        medians, lost = (table[inside].reindex(index) for table in finite_medians(outcomes, CELL, [inside]))
        found |= {inside: numbers_of(medians)} | ({f"{inside}_not_finite": numbers_of(lost)} if lost.any() else {})
        counts = of["verdict"].value_counts().unstack(fill_value=0).reindex(index).fillna(0)
        told = [name for name in VERDICTS if name in counts]
        found["verdicts"] = [
            ", ".join(f"{row[name]:.0f} {name}" for name in told if row[name]) for _, row in counts.iterrows()
        ]
    return found | {"seeds": numbers_of(seeds)}


def _told(setting: tuple[str, str], settings: Sequence[tuple[str, str]]) -> str:
    """A protocol and its overrides as the page writes them: overrides alone where the protocol is always the same."""
    protocol, overrides = setting
    short = overrides.replace("protocol.", "").replace(";", ", ")
    one = len({name for name, _ in settings}) == 1 and len(settings) > 1
    return plain((short or "as the protocol has it") if one else ", ".join(filter(None, (protocol, short))))


def _commands(name: str, cells: pd.DataFrame, seeds: Sequence) -> list[tuple[str, str]]:
    """The command that trains each cell anew, and what has to be known about it."""
    known, experiments = set(choices_of("model")), choices_of("experiment")
    versions = cells["semantics"] if "semantics" in cells else [np.nan] * len(cells)
    found = []
    for (model, task, range_, protocol, overrides), count, version in zip(
        cells[CELL].itertuples(index=False, name=None), seeds, versions, strict=True
    ):
        arguments, notes = [], []
        if name in experiments:
            arguments.append(f"+experiment={name}")
        if model in known or name not in experiments:
            arguments.append(f"model={model}")
        else:
            notes.append(f"{model} is made by this experiment alone: all of its models are trained.")
        arguments += [f"task={task}", f"range={range_}", f"protocol={protocol}", *parts_of(overrides)]
        if count:
            arguments.append(f"protocol.seeds={count}")
        if model not in known and name not in experiments:
            notes.append(f"{model} is no model of this package: name its class, as in model=[package.{model}].")
        if version == version and version != SEMANTICS:
            notes.append(
                f"These numbers are of version {version:.0f} of the semantics and the package has version {SEMANTICS}: "
                "trained anew, they differ."
            )
        found.append((" ".join(["python -m benchmark", *map(shlex.quote, arguments)]), " ".join(notes)))
    return found


def _regions(judged: str) -> list[list[list[float]]]:
    """The rectangles [[low a, high a], [low b, high b]] of the operand plane where networks are judged.

    None where that is no union of finite intervals.

    >>> _regions("[2, 6]"), _regions("a [0, 1], b [2, 3]"), _regions("[0, inf]")
    ([[[2.0, 6.0], [2.0, 6.0]]], [[[0.0, 1.0], [2.0, 3.0]]], [])
    """
    sides = [part for part in re.split(r"(?:^|, )[ab] (?=\[)", judged) if part]
    unions = []
    for side in sides:
        pieces = [re.fullmatch(r"\[(-?[\d.e+-]+), (-?[\d.e+-]+)\]", piece.strip()) for piece in side.split("∪")]
        if not all(pieces):
            return []
        unions.append([[float(piece[1]), float(piece[2])] for piece in pieces if piece])
    if not unions or len(unions) > 2:
        return []
    return [[a, b] for a in unions[0] for b in unions[-1]]


def _hulls(regions: Sequence) -> list[list[float]] | None:
    """The lowest and highest a, and b, within regions; None where there are none.

    >>> _hulls(_regions("[-20, -5] ∪ [5, 20]"))
    [[-20.0, 20.0], [-20.0, 20.0]]
    """
    ends = np.array(regions)
    return [[float(side[:, 0].min()), float(side[:, 1].max())] for side in ends.swapaxes(0, 1)] if len(ends) else None


def _by_cell(table: pd.DataFrame | None, keys: Sequence[tuple], content: Any) -> list | None:
    """What `content` makes of each cell's rows; None for a table that is not there."""
    if table is None:
        return None
    places = by_cell(table)
    return [content(table.take(places[key])) if key in places else None for key in keys]


def _keys(cells: pd.DataFrame) -> list[tuple]:
    return list(cells[CELL].itertuples(index=False, name=None))


def _columns(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, list]:
    return {name: numbers_of(rows[name], DIGITS) for name in names}


def _profile(rows: pd.DataFrame) -> dict[str, list]:
    """x and the median relative error, with its quartiles: those of the absolute error in the same proportion."""
    rows = of_most(rows, "relative", "median", "high")
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (rows["relative"] / rows["median"]).where(np.isfinite(rows["median"]) & (rows["median"] > 0))
        quartiles = {name: (rows[name] * scale).fillna(rows["relative"]) for name in ("low", "high")}
    return _columns(rows.assign(**quartiles), ["x", "relative", "low", "high"]) | _lost(rows)


def _plane(rows: pd.DataFrame) -> dict[str, list]:
    """a, b and the median error there, absolute and relative."""
    errors = ["error", "relative"]
    return _columns(of_most(rows, *errors), ["a", "b", *errors]) | _lost(rows)


def _lost(rows: pd.DataFrame) -> dict[str, list]:
    """How many seeds the medians leave out, point by point, if they leave out any."""
    return _columns(rows, ["not_finite"]) if (rows.get("not_finite", 0 * rows["seeds"]) > 0).any() else {}


def _response(rows: pd.DataFrame) -> dict[str, dict]:
    """By operand: x, the target, the median answer, and the answers of five seeds."""
    names = ["x", "target", "median", *(f"seed_{number}" for number in range(SHOWN_SEEDS))]
    return {plain(operand): _columns(part, names) for operand, part in rows.groupby("operand")}


def _learned(rows: pd.DataFrame) -> dict[str, list]:
    """Steps from 0 to the end of training, and how many of the networks that solve their task had first passed its
    threshold by then.
    """
    at = rows.loc[rows["solved"], "solved_at"].value_counts().sort_index().cumsum()
    at.loc[0] = at.get(0, 0)
    at.loc[float(rows["steps"].max())] = rows["solved"].sum()
    at = at.sort_index()
    return {"step": numbers_of(at.index), "solved": numbers_of(at)}


def _medians(curves: pd.DataFrame | None) -> pd.DataFrame | None:
    """The median error over the seeds at each step, inside and outside the training range: of what is finite, or
    infinite where half of them or more are.
    """
    if curves is None:
        return None
    by = [*CELL, "step"]
    medians, lost = finite_medians(curves, by, ["interpolation", "extrapolation"])
    return medians.mask(lost.ge(curves.groupby(by, sort=False).size() / 2, axis=0), np.inf).reset_index()
