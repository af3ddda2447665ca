"""Are rows of the committed results those that are trained here? `python .ci/verify.py SEED`: each seed draws others.

What is of older semantics is named and left out: the commands give other rows now. smoke is `.ci/smoke.py`'s.
"""

import subprocess
import sys
from pathlib import Path

import pandas as pd

from benchmark.asked.replicas import SEMANTICS
from benchmark.results.tables import table_path

REFERENCE = Path(__file__).resolve().parent.parent / "results" / "reference"
ROWS = 5  # of each folder
WHOLE = ("trask2018_table1_two_inputs", "tutorial_addition", "tutorial_multiplication")  # small: all tables of these


def main() -> None:
    """Exit with the names of the folders in which a number differs."""
    seed = sys.argv[1] if sys.argv[1:] else "0"
    differing = []
    for folder in sorted(REFERENCE.iterdir()):
        cells = table_path(folder, "cells")
        if not cells.is_file() or folder.name == "smoke":
            continue
        if (pd.read_csv(cells)["semantics"] != SEMANTICS).any():
            print(f"{folder.name}: of older semantics, left out", flush=True)
            continue
        print(f"{folder.name}:", flush=True)
        rows = ["--all"] if folder.name in WHOLE else ["--sample", str(ROWS), "--seed", seed]
        command = [sys.executable, "-m", "benchmark.verify", str(folder), *rows]
        if subprocess.run(command).returncode:
            differing.append(folder.name)
    if differing:
        sys.exit(f"not the same here: {', '.join(differing)}")


if __name__ == "__main__":
    main()
