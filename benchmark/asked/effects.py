"""Settings that decide nothing: refused where they cannot in this request, told where something else has its way."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmark.asked.labels import concerns, spell
from benchmark.asked.ranges import Grid
from benchmark.asked.replicas import Cell, Specification
from benchmark.asked.tasks import EVERY, threshold
from benchmark.errors import UsageError

FEW = 3  # cells that are named


def idle(given: Mapping[str, Any], cells: Sequence[Cell]) -> list[str]:
    """A sentence for each setting that decides nothing in some of the cells.

    given: the settings, key -> value. UsageError where one can decide nothing in any of them.
    """
    told = []
    for key, value in given.items():
        own = [cell for cell in cells if concerns(key, cell.model, cell.task, cell.range)]
        if not own:
            raise UsageError(f"{key} has no effect: no cell of this request is of what it names; leave it out")
        why = {cell: _of_others(key, cell) for cell in own}
        if all(why.values()):
            raise UsageError(f"{key} has no effect: {why[own[0]]}; leave it out")
        for cell in own:
            why[cell] = why[cell] or _overruled(key, value, cell) or _of_the_range(key, cell.specification)
        if reasons := list(dict.fromkeys(filter(None, why.values()))):
            names = list(dict.fromkeys(" × ".join(cell.names[:3]) for cell, reason in why.items() if reason))
            few = ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
            told.append(f"{key} has no effect on {few}: {'; '.join(reasons)}")
    return told


def _of_others(key: str, cell: Cell) -> str:
    """Why other settings leave this one without effect; "" if they do not."""
    specification = cell.specification
    protocol, model = specification.protocol, specification.model
    group, _, name = key.partition(".")
    _, *recipe = re.split(r"^(?:model\.[^.]+|protocol\.models\.[^.]+|protocol\.tasks\.[^.]+\.[^.]+)\.recipe\.", key)
    if model.recipe.rows is not None and recipe and recipe != ["rows"]:
        return f"{cell.model} is solved, not trained"
    if group == "protocol":
        return _of_protocol(name, cell)
    if group == "task" and name.endswith(".margin") and protocol.inputs is not None:
        return "with protocol.inputs the divisor is a sum and keeps no distance from 0"
    if group != "model":
        return ""
    _, _, name = name.partition(".")
    if name.split(".")[0] in ("hidden_unit", "hidden_options") and not model.hidden:
        return f"{cell.model} has no hidden layers"
    if name.split(".")[0] == "hidden_options" and model.hidden_unit is None:
        return f"the hidden layers of {cell.model} are of its unit and have its options, as there is no hidden_unit"
    if name.startswith("recipe.regularizers."):
        _, _, term, *field = name.split(".", 3)
        own = model.recipe.regularizers.get(term)
        if own and field and field[0] != "weight" and not own.weight:
            return f"the weight of the regularizer {term} of {cell.model} is 0"
        if own and field == ["end"] and own.initial is not None:
            return f"the weight of the regularizer {term} of {cell.model} grows from initial by every"
    return ""


def _of_protocol(name: str, cell: Cell) -> str:
    protocol = cell.specification.protocol
    if name in ("optimizer", "learning_rate", "hidden", "select") and cell.specification.model.recipe.rows is not None:
        return f"{cell.model} is one layer that is solved, not trained"
    if name in ("subset", "overlap") and protocol.inputs is None:
        return "it is of the arithmetic data set, and there is no protocol.inputs"
    if name in ("subset", "overlap") and protocol.spans is not None:
        return "protocol.spans says which inputs are summed"
    if name == "overlap" and EVERY[cell.specification.task.operation].operands == 1:
        return f"{cell.task} has one operand"
    if name == "threshold" and isinstance(protocol.threshold, str) and protocol.inputs is None:
        return f"the rule {protocol.threshold} is of the arithmetic data set, and there is no protocol.inputs"
    if name == "epsilon" and isinstance(protocol.threshold, int | float):
        return "protocol.threshold is a number itself"
    if name == "epsilon" and threshold(cell.specification.problem, protocol.epsilon, protocol.threshold) == math.inf:
        return f"the threshold of {cell.task} is infinite on {cell.range}, whatever it is"
    if name == "samples" and protocol.samples and protocol.samples >= protocol.batch * protocol.steps:
        return "the run ends before an example returns"
    return ""


def _overruled(key: str, value: Any, cell: Cell) -> str:
    """What has the last word over a protocol's setting of a model; "" where that has it itself."""
    group, *parts = key.split(".")
    path = {"hidden": ["hidden"], "learning_rate": ["recipe", "learning_rate"]}.get(parts[0], [])
    path = {"models": parts[2:], "tasks": parts[3:]}.get(parts[0], path)
    if group != "protocol" or not path or value is None:
        return ""
    trained: Any = asdict(cell.specification.model)
    for part in path:
        trained = trained.get(part) if isinstance(trained, dict) else None
    if trained is None or spell(trained) == spell(value):
        return ""
    return f"the {'.'.join(path)} of {cell.model} is set elsewhere, to {spell(trained)}"


def _of_the_range(key: str, specification: Specification) -> str:
    """Why a range leaves a setting without effect; "" if it does not."""
    problem = specification.problem
    if isinstance(problem.interpolation, Grid):
        if key == "protocol.samples" or (key == "protocol.data_seed" and problem.subsets is None):
            return "its training examples are a grid's"
        if key == "protocol.evaluation_size" and isinstance(problem.extrapolation, Grid):
            return "its examples are a grid's"
    return ""
