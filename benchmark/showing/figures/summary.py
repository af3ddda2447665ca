"""A whole result in one picture: how near networks come to the truth, inside and outside, and what became of them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from benchmark.showing.figures.layout import WIDTH, legend, name_lines
from benchmark.showing.figures.look import FAMILIES, FEW, family, log_axis, looks, mark_of, models_of, paper, share
from benchmark.showing.figures.verdicts import LOOKS, MEANINGS, shares, stack
from benchmark.showing.findings import CLOSE
from benchmark.showing.names import label

ENDS = 1e-6, 1.0  # relative errors between which networks are told apart
SIDES: dict[str, Any] = {"relative_interpolation": "--", "relative_extrapolation": "-"}
HEIGHT = 2.6


def summary(outcomes: pd.DataFrame, cells: pd.DataFrame) -> Iterator[Figure]:
    """Performance profiles beside verdict bars, of all networks of a result; needs no threshold.

    Left: the share of a group's networks whose relative error is at most x, where they are trained (dashed) and where
    they are judged (solid). Right: the shares of the verdicts. Groups are models or, of more than six, their families;
    of more than six families the profiles are of those with the most networks, baselines last.
    """
    models = models_of(outcomes)
    groups = {model: label(model) for model in models}
    colors, marks = ({groups[model]: look[of] for model, look in looks(models).items()} for of in ("color", "marker"))
    if len(models) > FEW:
        families = {model: family(model)[0] for model in models}
        members = pd.Series(families).value_counts()
        groups = {model: label(model) if members[name] == 1 else name for model, name in families.items()}
        colors = {groups[model]: family(model)[1] for model in models}
        marks = {name: mark_of(hue) for name, hue in colors.items()}
    yield _page(outcomes.assign(model=outcomes["model"].map(groups)), colors, marks)


@paper()
def _page(outcomes: pd.DataFrame, colors: dict[str, str], marks: dict[str, str]) -> Figure:
    apart = ConstrainedLayoutEngine(wspace=0.06)  # names of lines stand beside names of bars
    figure = Figure((WIDTH, HEIGHT + 1.1), layout=apart)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    counts = outcomes["model"].value_counts()
    last = {label(model) for model in FAMILIES["baselines"][1]}  # to have a line
    first = sorted(colors, key=lambda name: (name in last, -counts[name]))[:FEW]
    names = [name for name in colors if name in first]
    ends = {}
    x = np.geomspace(*ENDS, 200)
    for name in names:
        for side, dash in SIDES.items():
            errors = np.sort(outcomes.loc[outcomes["model"] == name, side].fillna(np.inf))
            y = np.searchsorted(errors, x, side="right") / len(errors)
            left.plot(x, y, color=colors[name], linestyle=dash, linewidth=1.3, marker=marks[name], markevery=(8, 32))
        ends[name] = float(y[-1])
    left.axvline(CLOSE, color="0.4", linewidth=0.8, linestyle=":")  # of which the finding tells
    log_axis(left, share, "x")
    left.set_xticks([1e-6, 1e-4, 1e-2, 1.0])  # matplotlib below 3.11 would take every power, which overlap
    left.set(xlim=ENDS, ylim=(0, 1.02), title="as near to the truth as this, or nearer")
    left.set(xlabel="relative error", ylabel="share of the networks")
    left.yaxis.set_major_formatter(PercentFormatter(1))
    name_lines(left, ends, {name: {"color": colors[name], "marker": marks[name]} for name in names}, HEIGHT - 0.5)
    stack(right, shares(outcomes, list(colors)))
    right.set_yticks(range(len(colors)), [f"{name} ({counts[name]:,})" for name in colors])
    right.set(title="what became of them", xlabel="share of the networks")
    there = set(outcomes["verdict"])
    handles = [Patch(**look, label=MEANINGS[verdict]) for verdict, look in LOOKS.items() if verdict in there]
    lines = [
        Line2D([], [], color="black", linewidth=1.3, linestyle=dash, label=name)
        for dash, name in zip(SIDES.values(), ("where trained", "where judged"), strict=True)
    ]
    legend(figure, [*lines, *handles], 3)
    return figure
