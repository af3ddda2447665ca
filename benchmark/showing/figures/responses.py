"""What networks answer beside what is true: the function itself."""

from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from benchmark.asked.tasks import OPERATIONS, held
from benchmark.results.statistics import SHOWN_SEEDS
from benchmark.showing.figures.layout import PANELS, grid, name_lines
from benchmark.showing.figures.look import (
    SHADE,
    amount,
    best_of_families,
    brief,
    looks,
    models_of,
    paper,
    trained,
    wrapped,
)
from benchmark.showing.findings import few
from benchmark.showing.names import TASKS, label, listed

TRUTH: dict[str, Any] = {"color": "black", "linewidth": 1.1, "linestyle": (0, (4, 2)), "zorder": 3}
SEED: dict[str, Any] = {"linewidth": 0.8, "zorder": 2}
SEEDS = [f"seed_{number}" for number in range(SHOWN_SEEDS)]
ROOM = 0.3  # of the truth's height, above it and below
WIDTH, HEIGHT, AROUND = 2.3, 1.8, (0.2, 0.5)
# The panels of the picture that opens README.
OPENING = [("mlp_tanh", "symmetric"), ("mlp_relu", "symmetric"), ("nalu", "symmetric"), ("nalu", "positive")]


OPENING_TELLS = [[True, False], [True, False], [False, False], [True, True]]  # fits inside, solved outside


class Panel(NamedTuple):
    """Answers along x, what is known of their cell, how many seeds solve it, and what stands above them."""

    answers: pd.DataFrame
    cell: pd.Series
    solved: str
    title: str


def responses(responses: pd.DataFrame, outcomes: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """The answers of five seeds along one operand beside the truth, a panel a model; for one task and one range.

    Of a quotient the divisor is swept, else the first operand; the others stay as `tasks.held` says. Of more models
    than a page has panels the best of each family are shown. Answers that leave the axes, which are the truth's, are
    told.
    """
    task, name = responses[["task", "range"]].iloc[0]
    outcomes, cells = (table[(table["task"] == task) & (table["range"] == name)] for table in (outcomes, cells))
    models = models_of(responses)
    errors = outcomes.groupby("model")["relative_extrapolation"].median()
    shown = best_of_families(models, errors, PANELS)
    panels = [_panel(responses, outcomes, cells, model, label(model)) for model in shown]
    of = f" The best of each family of {len(models)} models." if len(shown) < len(models) else ""
    yield _page(panels, 3, of)


def opening(responses: pd.DataFrame, outcomes: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Four panels for whoever sees this for the first time: on one range two MLPs that multiply inside only and a NALU
    that cannot learn it, and on another a NALU that multiplies outside, too.
    """
    yield _page([panel for panel, _ in _opening(responses, outcomes, cells)], 2)


def opening_claim(responses: pd.DataFrame, outcomes: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What `opening` says."""
    panels, where = zip(*_opening(responses, outcomes, cells), strict=True)
    return (
        f"Trained on {where[0]}, networks learn to multiply there and lose it outside; a NALU, made for arithmetic, "
        f"cannot even learn it. Trained on {where[3]}, it multiplies far outside in {panels[3].solved}."
    )


def _opening(responses: pd.DataFrame, outcomes: pd.DataFrame, cells: pd.DataFrame) -> Iterator[tuple[Panel, str]]:
    """Each panel of `opening`, and where its model was trained."""
    for model, name in OPENING:
        own, seen, here = (t[(t["task"] == "mul") & (t["range"] == name)] for t in (responses, outcomes, cells))
        where = " to ".join(map(amount, trained(here[here["model"] == model].iloc[0])))
        yield _panel(own, seen, here, model, f"{label(model)}, trained on {where}"), where


def opens(tables: Any) -> pd.DataFrame:
    """The answers that `opening` shows; none where they are not there or do not say what it says."""
    answers, outcomes = tables["responses"], tables["outcomes"]
    multiplied = outcomes[outcomes["task"] == "mul"]
    multiplied = multiplied.assign(fits=multiplied["verdict"].isin(["solved", "near_miss", "interpolates"]))
    rates = multiplied.groupby(["model", "range"])[["fits", "solved"]].mean() > 0.5
    if not set(OPENING) <= set(rates.index) or rates.loc[OPENING].to_numpy().tolist() != OPENING_TELLS:
        return answers[:0]
    if few(multiplied):
        return answers[:0]
    wanted = pd.MultiIndex.from_frame(answers[["model", "range"]]).isin(OPENING)
    return answers[wanted & (answers["task"] == "mul")]


def _panel(responses: pd.DataFrame, outcomes: pd.DataFrame, cells: pd.DataFrame, model: str, title: str) -> Panel:
    solved = outcomes.loc[outcomes["model"] == model, "solved"]
    own = responses[responses["model"] == model]
    operation = OPERATIONS.get(own["task"].iloc[0])
    swept = "b" if operation and operation.divides and (own["operand"] == "b").any() else "a"
    cell = cells[cells["model"] == model].iloc[0]
    count = f"{int(solved.sum())} of {len(solved)} seeds"
    return Panel(own[own["operand"] == swept].sort_values("x"), cell, count, f"{title}\n{count} solve it")


@paper()
def _page(panels: list[Panel], across: int, more: str = "") -> Figure:
    figure, places = grid(len(panels), across, WIDTH, HEIGHT, AROUND)
    style = looks(panel.cell["model"] for panel in panels)
    for place, (axes, panel) in enumerate(zip(places, panels, strict=True)):
        _answers(axes, panel, style[panel.cell["model"]]["color"])
        if place >= len(panels) - min(across, len(panels)):
            axes.set_xlabel(panel.answers["operand"].iloc[0])
    figure.supxlabel(wrapped(_subtitle(panels) + more, 1.1 * figure.get_figwidth()), fontsize=7)
    return figure


def _subtitle(panels: list[Panel]) -> str:
    """What is drawn, and where the other operands stay."""
    cell, swept = panels[0].cell, panels[0].answers["operand"].iloc[0]
    told = f"{TASKS.get(cell['task'], cell['task'])} along {swept}"
    others = [operand for operand in ascii_lowercase[: cell["inputs"]] if operand != swept]
    if others:
        still = dict.fromkeys(amount(held(*trained(panel.cell, operand))) for panel in panels for operand in others)
        told += f", {listed(others)} staying at {' or '.join(still)}"
    return f"{told}. Dashed: the truth. Thin: what single networks answer."


def _answers(axes: Axes, panel: Panel, color: str) -> None:
    """The seeds, the truth and the stretch of training, each named where it is."""
    table = panel.answers
    x, target = table["x"].to_numpy(), table["target"].where(np.isfinite(table["target"])).to_numpy()
    low, high = np.nanmin(target), np.nanmax(target)
    room = ROOM * ((high - low) or abs(high) or 1.0)
    bottom, top = low - room, high + room
    answers = table[SEEDS].dropna(axis="columns", how="all").to_numpy()
    far = (bottom - 10 * (top - bottom), top + 10 * (top - bottom))
    axes.plot(x, answers.clip(*far), color=color, **SEED)
    axes.plot(x, target, **TRUTH)
    begin, end = trained(panel.cell, table["operand"].iloc[0])
    axes.axvspan(begin, end, **SHADE)
    axes.set(ylim=(bottom, top), title=panel.title)
    axes.margins(x=0.02)
    axes.locator_params(axis="x", nbins=4)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: brief(value)))
    axes.annotate(
        "trained here", (begin, 0), (1, 2), ("data", "axes fraction"), "offset points", fontsize=7, color="0.35",
    )  # fmt: skip
    above = 0.04 if axes.transLimits.transform((begin, 0))[0] < 0.15 else 0.16  # or it would stand on "trained here"
    gone = (answers[answers < bottom].min(initial=0), "down", above), (answers[answers > top].max(initial=0), "up", 0.9)
    for furthest, way, height in gone:
        if furthest:
            told = f"{way} to {amount(furthest)}"
            written = axes.text(0.98, height, told, transform=axes.transAxes, fontsize=7, color=color, ha="right")
            written.set_path_effects([withStroke(linewidth=2, foreground="white")])
    last = table[SEEDS].iloc[-1].dropna()
    seeds = f"{answers.shape[1]} seed{'s' * (answers.shape[1] > 1)}"
    ends = {"truth": target[np.isfinite(target)][-1], seeds: float(np.median(last)) if len(last) else np.nan}
    name_lines(axes, ends, {"truth": {"color": "black"}, seeds: {"color": color}}, HEIGHT - 0.5)
