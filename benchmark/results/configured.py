"""From the names in a table to the configurations that they stand for here."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.asked.classes import only
from benchmark.asked.conf_files import choices_of
from benchmark.asked.configs import compose
from benchmark.asked.labels import parts_of
from benchmark.asked.own_files import own_folder
from benchmark.asked.replicas import CELL, Cell
from benchmark.errors import UsageError


def cells_of(
    outcomes: pd.DataFrame, name: str, models: Sequence[str] = (), config_dir: str | Path | None = None
) -> dict[tuple, Cell]:
    """The cells of a folder's rows by their names, as the configuration here gives them; those it gives are there.

    name: the folder's, which may be an experiment's. models: others to look for, as on the command line. config_dir: a
    folder of one's own yaml, as there; UsageError for what is wrong in it. No class is imported but those that `models`
    or that yaml names: the table may be a stranger's.
    """
    folders = [] if config_dir is None else [own_folder("config_dir", str(config_dir))]
    texts = [path.read_text(encoding="utf-8", errors="replace") for one in folders for path in one.rglob("*.yaml")]
    with only([*models, *(word for text in texts for word in re.findall(r"[\w.]+", text))]):
        return _cells_of(outcomes, name, models, folders)


def _cells_of(outcomes: pd.DataFrame, name: str, models: Sequence[str], folders: Sequence[Path]) -> dict[tuple, Cell]:
    found: dict[tuple, Cell] = {}
    # In quotes, as a path may hold what Hydra's grammar means something by.
    places = [str(folder).replace("\\", "\\\\").replace("'", "\\'") for folder in folders]
    where = [f"hydra.searchpath=['{place}']" for place in places]
    ours = sorted({*outcomes["model"]} & {*choices_of("model", folders)})
    together = [[*ours, *models]] if models else []  # classes of one name are told apart
    for (protocol, overrides), rows in outcomes.groupby(["protocol", "overrides"]):
        settings = parts_of(overrides)
        if not all(re.match(r"\+*(protocol|model|task|range)\.", setting) for setting in settings):
            continue
        wanted = {"overrides": [*where, *settings], "protocol": protocol}
        # Experiments name models of their own, and may change a protocol.
        for experiment in dict.fromkeys((name, protocol.partition("/")[0])):
            if experiment in choices_of("experiment", folders):
                found = _composed(experiment=experiment, **wanted) | found
        cells = rows[CELL].drop_duplicates()
        known = [names in found for names in cells.itertuples(index=False, name=None)]
        # Task by task: another task may not be defined on these ranges.
        for (model, task), group in cells[~np.array(known)].groupby(["model", "task"]):
            for named in (*([model] for _ in {model} & {*ours}), *([one] for one in models), *together):
                found |= _composed(models=named, tasks=[task], ranges=[*group["range"]], **wanted)
    return found


def _composed(**names) -> dict[tuple, Cell]:
    try:
        return {cell.names: cell for cell in compose(**names).cells}
    except UsageError:  # no configuration of this name is here
        return {}
