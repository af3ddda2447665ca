"""What the shards hold as data frames, and tables as files."""

import gzip
import io
import re
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.asked.replicas import CELL, KEY
from benchmark.asked.tasks import outputs_of
from benchmark.errors import UsageError
from benchmark.results.shards import HOST, Shard, replacing, runs

# Place in a results folder -> names of the files that are written there.
HALF_WRITTEN = {
    ".": r"\w+\.csv(?:\.gz)?|REPORT\.md|summary\.tex",
    **dict.fromkeys(("figures", "shards", "checkpoints", "claims"), ".+"),
}
# pandas reads floats to the last digit from 3.1 on, and before when it is told to.
EXACT: dict[str, Any] = (
    {} if [*map(int, pd.__version__.split(".")[:2])] >= [3, 1] else {"float_precision": "round_trip"}
)
DAY = 86_400  # seconds
LARGEST_TABLE, START = 2 << 30, 1 << 12  # bytes of text, and how many of them show that it is one
TEXTS = {
    *CELL, "digest", "metric", "operand", "operation", "verdict", "dtype", "device", "engine", "torch", "benchmark",
    "trained", "judged", "representable", "representable_trained", "why", "variance_trained", "variance_judged",
    "source", "standing", "rule",
}  # fmt: skip
TRUTHS = {"solved", "solved_relative"}
WHOLE = {"seed", "best_step", "steps", "step", "inputs", "operands", "semantics"}
COUNT = "not_finite"
OF_ALL_CELLS = ("outcomes", "profile", "cells", "initialisation", "summary")  # tables with rows of every cell
WITHIN = ("metric", "operand", "operation", "x", "a", "b", "step")  # what tells the rows of one cell or replica apart
MISSING = ["", "nan", "NaN", "NA"]
# A text that a spreadsheet would take for a formula: `to_csv` puts an apostrophe before it, `read_table` takes it away.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def measurements(rows: Sequence[tuple[Shard, int]]) -> dict[str, pd.DataFrame]:
    """Rows of shards as tables, in this order.

    runs: one row a replica. curves: a replica's evaluations. profiles: a replica's error along x. planes: a
    replica's error at each of `tasks.plane_points`, in their order. responses: its answers at each of
    `data.response_points`, in their order. outputs: the mean absolute error of each of several outputs.
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
            | {name: str(arrays[name][row]) for name in ("representable", "representable_trained", "why")}
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
    names = ("x", "target", "answer")
    responses = {name: [shard.arrays[f"response_{name}"][row] for shard, row in rows] for name in names}
    outputs = {"operation": [_outputs(shard, row) for shard, row in rows]}
    outputs |= {"error": [shard.arrays["output_error"][row] for shard, row in rows]}
    return {
        "runs": pd.DataFrame(runs),
        "curves": below_each_other(curves),
        "profiles": below_each_other(profiles),
        "planes": below_each_other(planes),
        "responses": below_each_other(responses),
        "outputs": below_each_other(outputs),
    }


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `statistics` with each column of its kind, whatever is in it and whatever pandas makes of that.

    COUNT stays as it is: whole, or nan where it is unknown.
    """
    kinds = {name: "bool" if name in TRUTHS else "int64" if name in (*WHOLE, "seeds") else "float64" for name in table}
    return table.astype({name: kind for name, kind in kinds.items() if name not in {*TEXTS, COUNT}})


def _outputs(shard: Shard, row: int) -> np.ndarray:
    """The operations whose errors a shard tells of a replica, an output each."""
    told = shard.arrays["output_error"].shape[1]
    task = shard.meta["specifications"][shard.identities[row][-1]]["task"]
    return np.array(outputs_of(task["operation"]) if told else [], dtype=object)


def table_path(folder: Path, name: str) -> Path:
    """Where a table lies in its folder, plain or gzipped: as it is there, else as it is written.

    Raises UsageError where it lies there twice.
    """
    plain, packed = folder / f"{name}.csv", folder / f"{name}.csv.gz"
    if plain.exists() and packed.exists():
        raise UsageError(f"{folder} holds both {plain.name} and {packed.name}; remove the one that does not count")
    return packed if packed.exists() or (name == "curves" and not plain.exists()) else plain


def read_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A results table with every digit of its file, plain or gzipped; what is missing is nan, but "" among names.

    Raises UsageError where it lacks one of these columns, or one of them holds something else than it is to, or rows of
    one key stand there twice. COUNT may be missing, as a whole or in a row: medians of older tables, and those that
    papers print, leave nothing out, and do not tell how much is not finite.
    """
    try:
        content = _content(path)
        header = list(pd.read_csv(io.BytesIO(content), nrows=0, dtype=str))
        if missing := [column for column in columns if column not in (*header, COUNT)]:
            semicolons = len(header) == 1 and ";" in header[0]
            hint = ": its values are separated by semicolons, and are to be by commas" if semicolons else ""
            raise ValueError(f"it lacks the columns {', '.join(missing)}{hint}")
        table = pd.read_csv(
            io.BytesIO(content),
            dtype={name: str for name in header if name in TEXTS},
            keep_default_na=False,  # a model may be called NA
            na_values={name: MISSING for name in header if name not in TEXTS},
            **EXACT,
        )
        if not isinstance(table.index, pd.RangeIndex):  # as pandas reads them then
            raise ValueError("its rows hold more values than its header")
        for name in (name for name in header if name in TEXTS):
            shielded = [text for text in table[name].unique() if text[:1] == "'" and FORMULA.match(text[1:])]
            table[name] = table[name].replace({text: text[1:] for text in shielded})
        if COUNT in columns and COUNT not in header:
            table[COUNT] = np.nan
        for name in (name for name in columns if name not in TEXTS):
            kinds, what = ("b", "True and False") if name in TRUTHS else ("iuf", "numbers")
            kinds, what = ("i", "whole numbers from 0 on") if name in WHOLE else (kinds, what)
            if len(table) and table[name].dtype.kind not in kinds:
                raise ValueError(f"its column {name} holds something else than {what}")
            if len(table) and name in WHOLE | {"seeds", COUNT}:
                values = table[name] if name in WHOLE else table[name].dropna()  # as many as there are, or unknown
                if not ((values >= 0) & (values % 1 == 0) & (values < 2**63)).all():
                    raise ValueError(f"its column {name} holds something else than whole numbers from 0 on")
            if name not in TRUTHS | {"seeds", COUNT}:
                table[name] = table[name].astype("int64" if name in WHOLE else "float64")
        keys = [name for name in (*KEY, *WITHIN) if name in table]
        if set(CELL) <= set(columns) and (twice := table.duplicated(keys)).any():
            row = " × ".join(str(value) for value in table.loc[twice, keys].iloc[0] if value != "")
            raise ValueError(f"a row stands twice ({row})")
    except (OSError, EOFError, ValueError, zlib.error, pd.errors.ParserError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
        said = "it is no UTF-8" if isinstance(error, UnicodeDecodeError) else said.rpartition("C error: ")[2]
        said = f"it cannot be unpacked ({said})" if isinstance(error, zlib.error | EOFError) else said
        raise UsageError(f"{path} is no results table of this benchmark: {said}") from None
    return table


def check_together(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """UsageError where those of a folder's tables that have rows of every cell are not of the same cells."""
    names = [name for name in OF_ALL_CELLS if name in tables]
    of = [set(tables[name][CELL].itertuples(index=False, name=None)) for name in names]
    if any(cells != of[0] for cells in of):
        told = ", ".join(table_path(folder, name).name for name in names)
        raise UsageError(f"{folder}: {told} are not of the same cells; name a folder that one run wrote")


def _content(path: Path) -> bytes:
    """What a table's file says; ValueError where that is no text, or more than memory is for."""
    packed = path.suffix == ".gz"
    large = ValueError(f"it {'would unpack to' if packed else 'has'} more than {LARGEST_TABLE:,} bytes")
    if path.exists() and not path.is_file():  # a pipe never ends
        raise ValueError("it is no file")
    if not packed and path.stat().st_size > LARGEST_TABLE:
        raise large
    with gzip.open(path) if packed else path.open("rb") as file:
        content = file.read(START)
        if b"\0" in content:  # as in a hole of a file
            raise ValueError("it is no text")
        content += file.read(LARGEST_TABLE)
    if len(content) > LARGEST_TABLE:
        raise large
    return content


def to_csv(table: pd.DataFrame) -> str:
    """CSV with full float precision, inf as inf and nan as nothing; no text in it is a formula (see FORMULA).

    What `DataFrame.to_csv` writes, in a third of its time: deriving a folder's tables is mostly this.
    """
    rows = zip(*(_fields(table[name]) for name in table), strict=True)
    return "\n".join([",".join(map(_field, table)), *map(",".join, rows), ""])


def _fields(column: pd.Series) -> Iterable[str]:
    """A column's values as they stand in the file."""
    values = column.tolist()
    if pd.api.types.is_numeric_dtype(column):
        return map(repr, values) if not column.hasnans else ("" if value != value else repr(value) for value in values)
    told = {value: "" if pd.isna(value) else _field(value) for value in column.unique()}
    return map(told.__getitem__, values)


def _field(text: str) -> str:
    """A text in quotes where it needs them, without carriage returns, on which no spreadsheet acts."""
    text = re.sub("\r\n?", "\n", text)
    text = f"'{text}" if FORMULA.match(text) else text
    return '"' + text.replace('"', '""') + '"' if re.search('[,"\n]', text) else text


def sweep(folder: Path) -> None:
    """Remove what killed writers left half written in a results folder (under the names of `shards.replacing`).

    Nobody has written to them for ten seconds, and their process on this machine is gone; for a day where it was on
    another. A user's own hidden files stay.
    """
    for place, names in HALF_WRITTEN.items():
        for path in (folder / place).glob(".*"):
            found = re.fullmatch(rf"\.(?:{names})\.(\w+)-(\d+)-[0-9a-f]{{8}}", path.name)
            if not found or (found[1] == HOST and runs(int(found[2]))):
                continue
            with suppress(OSError):  # another process sweeps too
                if path.lstat().st_mtime < time.time() - (10 if found[1] == HOST else DAY):
                    path.unlink()


def write_text(path: Path, text: str) -> bool:
    """Write a file in one stroke, gzipped if its name says so; False if it says that already."""
    content = gzip.compress(text.encode(), 1, mtime=0) if path.suffix == ".gz" else text.encode()
    if path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return True
