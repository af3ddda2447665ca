"""Do several models of a reference table diverge in the same seeds at the same step? Then it is the data's doing.

`--all` looks at tables of former semantics, too.
"""

import sys
from pathlib import Path

import pandas as pd

from benchmark.asked.replicas import CELL, SEMANTICS
from benchmark.results.tables import table_path

REFERENCE = Path(__file__).resolve().parent.parent / "results" / "reference"
CONDITION = ["task", "range", "protocol", "overrides"]
MODELS, SEEDS = 3, 3  # so many models share so many failures, each beside seeds that do not fail: no coincidence


def shared(outcomes: pd.DataFrame) -> list[str]:
    """A sentence for each condition in which models fail together."""
    found = []
    share = outcomes["diverged_at"].notna().groupby([outcomes[name] for name in CELL]).transform("mean")
    some = outcomes[outcomes["diverged_at"].notna() & (share < 1)]
    for names, group in some.groupby(CONDITION):
        together = group.groupby(["seed", "diverged_at"])["model"].nunique()
        if (count := int((together >= MODELS).sum())) >= SEEDS:
            where = " × ".join(filter(None, map(str, names)))
            found.append(f"{where}: in {count} seeds up to {together.max()} models diverge at one step")
    return found


def main() -> None:
    """Exit with the sentences, if there are any."""
    told = []
    for path in sorted(REFERENCE.glob("*/outcomes.csv*")):
        cells = pd.read_csv(table_path(path.parent, "cells"))
        if "--all" in sys.argv or (cells["semantics"] == SEMANTICS).all():
            table = pd.read_csv(path, keep_default_na=False, na_values={"diverged_at": [""]})
            told += [f"{path.parent.name}: {sentence}" for sentence in shared(table)]
    if told:
        sys.exit("\n".join(told))
    print("No seeds of the references fail in several models at once.")


if __name__ == "__main__":
    main()
