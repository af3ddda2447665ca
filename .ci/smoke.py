"""Does a fresh smoke run agree with results/reference/smoke? `--update` makes that run the reference.

Verdicts must be the same and log10 of the extrapolation errors within 0.5 unless both are under the threshold. Compiled
rows must be the same to the last digit on every processor, eager ones on the reference's, with its torch.
"""

import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmark.results.tables import table_path

REFERENCE = Path(__file__).resolve().parent.parent / "results" / "reference" / "smoke"
KEY = ["model", "task", "range", "protocol", "overrides", "seed"]
VOLATILE = ["seconds", "device", "engine", "torch", "benchmark"]


def processor() -> str:
    """What the last digits of eager rows depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return f"{name[1] if name else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}\n"


def main() -> None:
    """Exit with a sentence where they disagree."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "smoke"
        command = [sys.executable, "-m", "benchmark", "+experiment=smoke", f"results={fresh}"]
        subprocess.run(command, check=True)
        if "--update" in sys.argv:
            shutil.rmtree(REFERENCE, ignore_errors=True)
            left = shutil.ignore_patterns("shards", ".lock", ".shown", "curves.csv*", "plane.csv*")  # which are large
            shutil.copytree(fresh, REFERENCE, ignore=left)
            (REFERENCE / "processor.txt").write_text(processor())
            return
        ours, theirs = (pd.read_csv(table_path(folder, "outcomes")).set_index(KEY) for folder in (fresh, REFERENCE))
    if not ours.index.equals(theirs.index):
        sys.exit("the smoke run has other replicas than its reference")
    if (changed := ours["verdict"] != theirs["verdict"]).any():
        sys.exit(f"verdicts changed:\n{theirs[changed]['verdict']}\nto\n{ours[changed]['verdict']}")
    both = [
        np.log10(table["extrapolation"].where(table["extrapolation"] > table["threshold"])) for table in (ours, theirs)
    ]
    apart = (both[0] - both[1]).abs().max()
    if apart > 0.5:
        sys.exit(f"extrapolation errors are up to {apart:.2f} decades from their reference")
    same = ours["engine"] == theirs["engine"]
    exact = same & (ours["engine"] == "compiled")
    if (REFERENCE / "processor.txt").read_text() == processor():
        exact |= same & (ours["torch"] == theirs["torch"])
    ours, theirs = (table[exact].drop(columns=VOLATILE) for table in (ours, theirs))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    print(f"The smoke run agrees with its reference, {len(ours)} of {len(exact)} rows to the last digit.")


if __name__ == "__main__":
    main()
