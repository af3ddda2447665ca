"""What the shards hold as data frames, and tables as files."""

import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.asked.replicas import CELL, KEY
from benchmark.errors import UsageError
from benchmark.results.shards import Shard

# Place in a results folder -> names of the files that are written there.
HALF_WRITTEN = {".": r"\w+\.csv(?:\.gz)?|REPORT\.md|summary\.tex", "figures": ".+", "shards": ".+", "checkpoints": ".+"}
# A text that a spreadsheet would take for a formula: `to_csv` puts an apostrophe before it, `read_table` takes it away.
FORMULA = r"(?='*[=+\-@\t\r])"
EXACT: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


def measurements(rows: Sequence[tuple[Shard, int]]) -> dict[str, pd.DataFrame]:
    """Rows of shards as tables, in this order.

    runs: one row a replica. curves: a replica's evaluations. profiles: a replica's error along x. planes: a
    replica's error at each of `tasks.plane_points`, in their order.
    """
    runs = []
    for number, (shard, row) in enumerate(rows):
        *key, digest = shard.identities[row]
        meta, arrays = shard.meta, shard.arrays
        protocol = meta["specifications"][digest]["protocol"]
        runs.append(
            dict(zip(KEY, key, strict=True))
            | {"digest": digest, "run": number}
            | {"best_step": arrays["steps"][arrays["best"][row]], "steps": arrays["steps"][-1]}
            | {name: float(arrays[name][row]) for name in ("target_interpolation", "target_extrapolation", "threshold")}
            | {name: str(arrays[name][row]) for name in ("representable", "why")}
            | {name: protocol[name] for name in ("fits", "dtype")}
            | {name: meta[name] for name in ("device", "engine", "torch", "benchmark")}
            | {"seconds": float(arrays["seconds"]) / len(meta["replicas"])}
            | {name: float(arrays[name][row]) for name in ("initial_output", "initial_saturation")}
            | meta["cells"][digest]
            | {"semantics": meta["semantics"]}
        )

    def below_each_other(columns: dict[str, list[np.ndarray]]) -> pd.DataFrame:
        lengths = [len(values) for values in next(iter(columns.values()))]
        joined = {name: np.concatenate(values) for name, values in columns.items()}
        return pd.DataFrame({"run": np.repeat(np.arange(len(rows)), lengths)} | joined)

    curve, along = ("interpolation", "extrapolation", "sparsity"), ("x", "error", "target")
    curves = {"step": [shard.arrays["steps"] for shard, _ in rows]}
    curves |= {name: [shard.arrays[name][row] for shard, row in rows] for name in curve}
    profiles = {name: [shard.arrays[f"profile_{name}"][row] for shard, row in rows] for name in along}
    planes = {name: [shard.arrays[f"plane_{name}"][row] for shard, row in rows] for name in ("error", "target")}
    return {
        "runs": pd.DataFrame(runs),
        "curves": below_each_other(curves),
        "profiles": below_each_other(profiles),
        "planes": below_each_other(planes),
    }


def read_table(path: Path, columns: Sequence[str], numbers: Sequence[str] = ()) -> pd.DataFrame:
    """A results table, every digit of it; UsageError where it is not one with these columns, or `numbers` hold none."""
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys([*CELL, "digest"], str), **EXACT)
        if missing := [column for column in columns if column not in table]:
            raise ValueError(f"it lacks the columns {', '.join(missing)}")
        for column in numbers:
            table[column] = pd.to_numeric(table[column])
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise UsageError(f"{path} is no results table of this benchmark: {error}") from None
    table = _rewritten(table, "^'" + FORMULA, "")
    return table.assign(overrides=table["overrides"].fillna("")) if "overrides" in table else table


def _rewritten(table: pd.DataFrame, pattern: str, by: str) -> pd.DataFrame:
    """The table with `by` put for the pattern in its texts."""
    changed = {}
    for name in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
        texts = {text: re.sub(pattern, by, text) for text in table[name].unique() if isinstance(text, str)}
        if any(text != new for text, new in texts.items()):
            changed[name] = table[name].map(lambda value, texts=texts: texts.get(value, value))
    return table.assign(**changed) if changed else table


def file_name(table: str) -> str:
    """Where a table lies in its folder."""
    return f"{table}.csv.gz" if table == "curves" else f"{table}.csv"


def to_csv(table: pd.DataFrame) -> str:
    """CSV with full float precision, inf as inf and nan as nothing; no text in it is a formula (see FORMULA)."""
    unbroken = _rewritten(table, "\r\n?", "\n")  # Python before 3.13 does not quote a carriage return
    return _rewritten(unbroken, "^" + FORMULA, "'").to_csv(index=False, lineterminator="\n")


def sweep(folder: Path) -> None:
    """Remove what killed writers left half written in a results folder: their process is gone, and for ten seconds
    nobody, on another machine, has written to it. A user's own hidden files stay.
    """
    for place, names in HALF_WRITTEN.items():
        for path in (folder / place).glob(".*"):
            found = re.fullmatch(rf"\.(?:{names})[.-](\d+)(?:\.(?:npz|png|svg))?", path.name)
            with suppress(OSError):  # another process sweeps too
                if found and not _runs(int(found[1])) and path.lstat().st_mtime < time.time() - 10:
                    path.unlink()


def _runs(process: int) -> bool:
    """Whether there is a process of this number; True where that cannot be asked without harm."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def write_text(path: Path, text: str) -> bool:
    """Write a file in one stroke, gzipped if its name says so; False if it says that already."""
    import gzip

    content = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
    if path.is_file() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.rename(path)
    return True
