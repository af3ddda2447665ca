"""`python -m benchmark.representable`: what each unit can compute at all, and how exactly in float32."""

import argparse
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from benchmark.asked.checks import check_choices
from benchmark.asked.conf_files import choices_of
from benchmark.asked.configs import compose
from benchmark.asked.data import EvaluationSet
from benchmark.asked.replicas import Cell, Replica
from benchmark.asked.tasks import OPERATIONS, threshold
from benchmark.errors import Parser, guarded, outlet, say
from benchmark.results.tables import to_csv, write_text
from benchmark.showing import figures
from benchmark.showing.names import MODELS, TASKS, label, ordered
from benchmark.showing.texts import in_markdown
from benchmark.training.networks import build
from benchmark.units import Impossible

SIGNS = ("positive", "negative", "mixed")
REPRESENTABLE = ["model", "task", "sign", "representable", "why"]
FLOOR = ["model", "task", "range", "sign", "floor", "relative", "threshold"]
RANGES = ["symmetric", "mistry2022"]


def cells_of(models: Sequence[str]) -> list[Cell]:
    """Every model of a single layer on every task and range where the task is defined.

    What models with hidden layers cannot compute nobody has proven: they are left out.
    """
    tasks = [task for task in OPERATIONS if task != "sqrt"]
    positive = [name for name in choices_of("range") if name.startswith("pos_1") or name == "pos_0p1_0p2"]
    cells = compose(models, tasks, RANGES).cells
    cells += compose(models, ["sqrt"], ["symmetric", "mixed_2", "positive", *positive]).cells
    return [cell for cell in cells if not cell.specification.hidden]


def representable(cells: Sequence[Cell]) -> pd.DataFrame:
    """One row for each model, task and sign of the operands: what the unit declares, and why it cannot."""
    rows = []
    for (model, task), cell in {(cell.model, cell.task): cell for cell in cells}.items():
        *_, unit = build(cell.specification).units
        for sign in SIGNS:
            declared = unit.ideal(task, sign)
            answer = "unknown" if declared is None else "no" if isinstance(declared, Impossible) else "yes"
            rows.append([model, task, sign, answer, declared.why if isinstance(declared, Impossible) else ""])
    return pd.DataFrame(rows, columns=REPRESENTABLE)


def floor(cells: Sequence[Cell]) -> pd.DataFrame:
    """The arithmetic floor of what can be represented: the error of the declared weights, in float32.

    floor: mean squared error on the extrapolation set; relative: its root over the root mean square of the target;
    threshold: the one that solves the task, at the default ε.
    """
    rows = []
    for cell in cells:
        specification, problem = cell.specification, cell.specification.problem
        network = build(specification).eval()
        declared = network.units[-1].ideal(problem.operation, problem.sign_judged)
        if not isinstance(declared, dict):
            continue
        network.units[-1].load_state_dict(declared)
        data = EvaluationSet.of_range("extrapolation", [Replica(cell, 0)], torch.float32)
        with torch.no_grad():
            squares = (network(data.x[0])[0].double() - data.t[0]).square()
        error = float(squares.nan_to_num(nan=torch.inf, posinf=torch.inf).mean())
        relative = float(np.sqrt(error / float(data.t.square().mean())))
        limit = threshold(problem, specification.protocol.epsilon, specification.protocol.threshold)
        rows.append([cell.model, cell.task, cell.range, problem.sign_judged, error, relative, limit])
    return pd.DataFrame(rows, columns=FLOOR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write representable.csv, floor.csv and their heatmap, and print the first as a table."""
    parser = Parser(prog="python -m benchmark.representable", description=__doc__)
    parser.add_argument("results", nargs="?", default="results/representable", help="(%(default)s)")
    parser.add_argument("--models", default="all", help="model names or presets with commas between (%(default)s)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _represent(options))


def _represent(options: argparse.Namespace) -> int:
    folder = outlet("results", options.results)
    names = [name for name in options.models.split(",") if name]
    check_choices([f"model=[{','.join(names)}]"])
    cells = cells_of(names)
    for cell in cells:
        build(cell.specification)  # refuses before anything is written
    declared, floors = representable(cells), floor(cells)
    write_text(folder / "representable.csv", to_csv(declared))
    write_text(folder / "floor.csv", to_csv(floors))
    claim = figures.titles.representable(declared)
    for stem, figure in figures.numbered("representable", figures.representable_heatmap(declared, floors)):
        figures.entitle(figure, claim)
        figures.save(figure, folder / stem)
    say(table(declared))
    say("\n+, −, ±: positive, negative operands, operands of both signs; (?): nobody knows\n")
    say(f"{folder}: representable.csv, floor.csv, representable.png")
    return 0


def table(declared: pd.DataFrame) -> str:
    """Model × task, with the signs of the operands for which the unit can compute it."""
    marks = dict(zip(SIGNS, "+−±", strict=True))
    known = declared.assign(mark=declared["sign"].map(marks).where(declared["representable"] != "no", ""))
    known["mark"] = known["mark"].where(known["representable"] != "unknown", "?")
    signs = known.groupby(["model", "task"])["mark"].agg(lambda marks: "".join(dict.fromkeys(marks)) or "–")
    shown = signs.unstack().reindex(index=ordered(declared["model"], MODELS), columns=ordered(OPERATIONS, TASKS))
    return shown.rename(index=lambda model: in_markdown(label(model))).to_markdown()


if __name__ == "__main__":
    raise SystemExit(main())
