"""What units can compute at all: a heatmap of the arithmetic floor, model × task and sign of the operands."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from benchmark.showing.figures.heatmaps import annotated, number
from benchmark.showing.figures.layout import colorbar, grid
from benchmark.showing.figures.look import HATCH, MISSING, models_of, paper, tasks_of
from benchmark.showing.names import TASKS, label

SIGNS = {"positive": "+", "negative": "−", "mixed": "±"}


@paper
def representable_heatmap(declared: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """log10 of the relative error that the declared weights make in float32, the worst of the ranges of a sign.

    Hatched where no weights compute the task, grey where nobody knows. The first has the columns of
    `representable.REPRESENTABLE`, the second those of `representable.FLOOR`.
    """
    models, tasks = models_of(declared), tasks_of(declared)
    with np.errstate(divide="ignore"):
        worst = np.log10(floors.groupby(["model", "task", "sign"])["relative"].max())
    columns = pd.MultiIndex.from_product([tasks, list(SIGNS)])
    values = worst.unstack(["task", "sign"]).reindex(index=models, columns=columns)
    figure, (axes,) = grid(1, 6.3, 0.7 + 0.17 * len(models), margin=1)
    colors = ScalarMappable(Normalize(-8, 0), "rocket_r")
    texts = values.apply(lambda column: column.map(lambda value: "" if np.isnan(value) else number(value)))
    annotated(
        axes, values, texts, colors,
        xticklabels=[f"{TASKS.get(task, task)}\n{SIGNS[sign]}" if sign == "negative" else f"\n{SIGNS[sign]}"
                     for task, sign in columns],
        yticklabels=[label(model) for model in models],
    )  # fmt: skip
    answers = declared.set_index(["model", "task", "sign"])["representable"].unstack(["task", "sign"])
    answers = answers.reindex(index=models, columns=columns)
    for row, column in np.argwhere((answers == "no").to_numpy()):
        axes.add_patch(Rectangle((column, row), 1, 1, **HATCH))
    for task in range(1, len(tasks)):
        axes.axvline(3 * task, color="black", linewidth=0.8)
    colorbar(figure, axes, colors, label="log10 of the relative error with ideal weights in float32", extend="both")
    handles = [Patch(label="cannot represent the task", **HATCH)]
    if (answers == "unknown").any(axis=None):
        handles.append(Patch(label="nobody knows", color=MISSING))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
