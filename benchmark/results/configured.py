"""From the names in a table to the configurations that they stand for here."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from benchmark.asked.conf_files import choices_of
from benchmark.asked.configs import compose
from benchmark.asked.replicas import CELL, Cell
from benchmark.errors import UsageError


def cells_of(outcomes: pd.DataFrame, name: str, models: Sequence[str] = ()) -> dict[tuple, Cell]:
    """The cells of a folder's rows by their names, as the configuration here gives them; those it gives are there.

    name: the folder's, which may be an experiment's. models: others to look for, as on the command line.
    """
    found: dict[tuple, Cell] = {}
    ours = sorted({*outcomes["model"]} & {*choices_of("model")})
    together = [[*ours, *models]] if models else []  # classes of one name are told apart
    for (protocol, overrides), rows in outcomes.groupby(["protocol", "overrides"]):
        wanted = {"overrides": [*filter(None, overrides.split(";"))], "protocol": protocol}
        # Experiments name models of their own, and may change a protocol.
        for experiment in dict.fromkeys((name, protocol.partition("/")[0])):
            if experiment in choices_of("experiment"):
                found = _composed(experiment=experiment, **wanted) | found
        cells = rows[CELL].drop_duplicates()
        known = [names in found for names in cells.itertuples(index=False, name=None)]
        # Task by task: another task may not be defined on these ranges.
        for (model, task), group in cells[~np.array(known)].groupby(["model", "task"]):
            for named in ([model], *([one] for one in models), *together):
                found |= _composed(models=named, tasks=[task], ranges=[*group["range"]], **wanted)
    return found


def _composed(**names) -> dict[tuple, Cell]:
    try:
        return {cell.names: cell for cell in compose(**names).cells}
    except UsageError:  # no configuration of this name is here
        return {}
