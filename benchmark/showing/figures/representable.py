"""What units can compute at all: a heatmap of the arithmetic floor, model × task and sign of the operands."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from benchmark.showing.figures.heatmaps import annotated
from benchmark.showing.figures.layout import chunks, grid, legend
from benchmark.showing.figures.look import BLANK, GOOD, HATCH, as_text, models_of, paper, power, tasks_of
from benchmark.showing.names import TASKS, label

SIGNS = {"positive": "+", "negative": "−", "mixed": "±"}


def representable_heatmap(declared: pd.DataFrame, floors: pd.DataFrame) -> Iterator[Figure]:
    """The relative error that the declared weights make in float32, the worst of the ranges of a sign.

    Hatched where no weights compute the task, blank where nobody knows. The first has the columns of
    `representable.REPRESENTABLE`, the second those of `representable.FLOOR`.
    """
    declared, floors = as_text(declared), as_text(floors)
    for models in chunks(models_of(declared)):
        yield _page(declared, floors, models)


@paper()
def _page(declared: pd.DataFrame, floors: pd.DataFrame, models: list[str]) -> Figure:
    tasks = tasks_of(declared)
    columns = pd.MultiIndex.from_product([tasks, list(SIGNS)])
    worst = floors.groupby(["model", "task", "sign"])["relative"].max()
    values = worst.unstack(["task", "sign"]).reindex(index=models, columns=columns)
    figure, (axes,) = grid(1, 1, 0.27 * len(columns), 0.15 * len(models), (0.7, 0.9))
    colors = ScalarMappable(Normalize(0, 1), GOOD)
    above = lambda task, sign: TASKS.get(task, task) if sign == "negative" else ""  # the middle one of its three
    names = [f"{above(task, sign)}\n{SIGNS[sign]}" for task, sign in columns]
    texts = values.apply(lambda column: column.map(power))
    shown = values.notna().astype(float).where(values.notna())  # an answer, not a scale: dark where there are weights
    answers = declared.set_index(["model", "task", "sign"])["representable"].unstack(["task", "sign"])
    answers = answers.reindex(index=models, columns=columns)
    annotated(axes, shown, texts, colors, names, [label(model) for model in models], answers == "no")
    for task in range(1, len(tasks)):
        axes.axvline(3 * task, color="black", linewidth=0.8)
    can = "computes the task; the number: its relative error with ideal weights in float32"
    handles = [
        Patch(color=colors.get_cmap()(1.0), label=can),
        Patch(label="cannot represent the task", **HATCH),
    ]
    if (answers == "unknown").any(axis=None):
        handles.append(Patch(label="nobody knows", **BLANK))
    legend(figure, handles, 1)
    return figure
