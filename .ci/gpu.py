"""On a machine with a GPU: are its rows those of the CPU, bit for bit, for every model? And how fast is it?

`python .ci/gpu.py [FOLDER]` trains every model of conf/model × two tasks × two ranges × 3 seeds × 2,000 steps on both,
compares every number, and runs `benchmark.speed --device cuda`. It needs ten minutes, most of them the compilers'.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

MODELS = [path.stem for path in Path("conf/model").glob("*.yaml") if path.read_text().startswith("# @package model.")]
GRID = [
    f"+model=[{','.join(MODELS)}]",
    "+task=[mul,sub]",
    "range=[positive,symmetric]",
    "protocol.seeds=3",
    "protocol.steps=2000",
]
VOLATILE = ["seconds", "device", "torch", "benchmark"]
TABLES = ["outcomes", "profile", "plane", "initialisation"]


def trained(folder: Path, device: str) -> dict[str, pd.DataFrame]:
    """The tables of the grid, computed there."""
    began = time.perf_counter()
    engine = ["engine.mode=compiled", f"engine.device={device}", f"results={folder / device}"]
    subprocess.run([sys.executable, "-m", "benchmark", *GRID, *engine], check=True, stdout=subprocess.DEVNULL)
    print(f"{device}: {time.perf_counter() - began:.0f} s", flush=True)
    return {name: pd.read_csv(folder / device / f"{name}.csv", keep_default_na=False) for name in TABLES}


def main() -> None:
    """Exit with a sentence where they disagree."""
    folder = Path(sys.argv[1] if sys.argv[1:] else tempfile.mkdtemp())
    gpu, cpu = trained(folder, "cuda"), trained(folder, "cpu")
    assert set(gpu["outcomes"]["device"]) == {"cuda"} and set(cpu["outcomes"]["device"]) == {"cpu"}
    wrong = []
    for name in TABLES:
        one, other = (tables[name].drop(columns=VOLATILE, errors="ignore").astype(str) for tables in (gpu, cpu))
        if one.shape != other.shape:
            sys.exit(f"{name}: {one.shape} on the GPU, {other.shape} on the CPU")
        apart = np.asarray(one != other)
        if apart.any():
            rows = one[apart.any(1)]
            where = ", ".join(map(str, one.columns[apart.any(0)]))
            wrong.append(f"{name}: {len(rows)} of {len(one)} rows differ in {where}: {sorted(set(rows['model']))}")
    print("\n".join(wrong) or f"All of {len(cpu['outcomes'])} networks are the same to the last digit.", flush=True)
    speed = ["--device", "cuda", "--engines", "compiled", "--blocks", "3", "--seconds", "4"]
    subprocess.run([sys.executable, "-m", "benchmark.speed", str(folder / "speed"), *speed], check=True)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
