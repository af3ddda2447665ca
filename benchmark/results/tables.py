"""What the shards hold as data frames, and tables as files."""

import gzip
import io
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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
ROWS_AT_ONCE = 1 << 16  # that are written
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
    """Rows of shards as tables, numbered in this order.

    runs: one row a replica. The others have the rows of one replica together and in their order, but not the replicas.
    curves: a replica's evaluations. profiles: its error along x. planes: its error at each of `tasks.plane_points`.
    responses: its answers at each of `data.response_points`. outputs: the mean absolute error of each of several
    outputs.
    """
    numbers: dict[int, list[int]] = {}
    facts: dict[tuple[int, str], dict[str, Any]] = {}
    for number, (shard, row) in enumerate(rows):
        numbers.setdefault(id(shard), []).append(number)
        digest = shard.identities[row][-1]
        if (id(shard), digest) not in facts:
            facts[id(shard), digest] = _facts(shard, digest)
    parts = [(rows[own[0]][0], own, [rows[number][1] for number in own]) for own in numbers.values()]
    run = np.concatenate([own for _, own, _ in parts])

    def one_each(name: str) -> np.ndarray:
        values = np.concatenate([shard.of(name, own) for shard, _, own in parts])
        return values[np.argsort(run)]

    def below_each_other(**columns: Callable[[Shard, list[int]], np.ndarray]) -> pd.DataFrame:
        of = {name: [values(shard, own) for shard, _, own in parts] for name, values in columns.items()}
        sizes = [values.shape[1] for values in next(iter(of.values()))]
        joined = {name: np.concatenate([part.ravel() for part in values]) for name, values in of.items()}
        of_run = [np.repeat(own, size) for (_, own, _), size in zip(parts, sizes, strict=True)]
        return pd.DataFrame({"run": np.concatenate(of_run)} | joined)

    def arrays(name: str) -> Callable[[Shard, list[int]], np.ndarray]:
        return lambda shard, own: shard.of(name, own)

    identities = [shard.identities[row] for shard, row in rows]
    place = {key: number for number, key in enumerate(facts)}
    of_row = [place[id(shard), identity[-1]] for (shard, _), identity in zip(rows, identities, strict=True)]
    best = np.concatenate([shard.arrays["steps"][shard.arrays["best"][own]] for shard, _, own in parts])
    table = pd.DataFrame(dict(zip([*KEY, "digest"], zip(*identities, strict=True), strict=True)))
    table["run"], table["best_step"] = np.arange(len(rows)), best[np.argsort(run)]
    floats = ("target_interpolation", "target_extrapolation", "threshold", "initial_output", "initial_saturation")
    own = {name: one_each(name).astype(float) for name in floats}
    own |= {name: one_each(name).tolist() for name in ("representable", "representable_trained", "why")}
    known = pd.DataFrame([*facts.values()]).take(of_row).reset_index(drop=True)
    return {
        "runs": pd.concat([table, pd.DataFrame(own), known], axis=1),
        "curves": below_each_other(
            step=lambda shard, own: np.tile(shard.arrays["steps"], (len(own), 1)),
            **{name: arrays(name) for name in ("interpolation", "extrapolation", "sparsity")},
        ),
        "profiles": below_each_other(**{name: arrays(f"profile_{name}") for name in ("x", "error", "target")}),
        "planes": below_each_other(**{name: arrays(f"plane_{name}") for name in ("error", "target")}),
        "responses": below_each_other(**{name: arrays(f"response_{name}") for name in ("x", "target", "answer")}),
        "outputs": below_each_other(operation=_outputs, error=arrays("output_error")),
    }


def _facts(shard: Shard, digest: str) -> dict[str, Any]:
    """What is known alike of all of a shard's replicas of one digest."""
    meta, protocol = shard.meta, shard.meta["specifications"][digest]["protocol"]
    return (
        {"steps": shard.arrays["steps"][-1], "seconds": float(shard.arrays["seconds"]) / len(meta["replicas"])}
        | {name: protocol[name] for name in ("fits", "dtype")}
        | {name: meta[name] for name in ("device", "engine", "torch", "benchmark", "semantics")}
        | meta["cells"][digest]
    )


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """A table of `statistics` with each column of its kind, whatever is in it and whatever pandas makes of that.

    COUNT stays as it is: whole, or nan where it is unknown.
    """
    kinds = {name: "bool" if name in TRUTHS else "int64" if name in (*WHOLE, "seeds") else "float64" for name in table}
    return table.astype({name: kind for name, kind in kinds.items() if name not in {*TEXTS, COUNT}})


def _outputs(shard: Shard, rows: list[int]) -> np.ndarray:
    """The operations whose errors a shard tells of its replicas, [row, output]."""
    told = shard.arrays["output_error"].shape[1]
    tasks = [shard.meta["specifications"][shard.identities[row][-1]]["task"] for row in rows]
    return np.array([outputs_of(task["operation"]) if told else [] for task in tasks], dtype=object)


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
        if table.empty:  # pandas takes columns without values for texts, which no numbers can be joined to
            table = table.astype({name: "float64" for name in header if name not in TEXTS})
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
    of = [set(tables[name][CELL].drop_duplicates().itertuples(index=False, name=None)) for name in names]
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
    parts = [",".join(map(_field, table))]
    for begin in range(0, len(table), ROWS_AT_ONCE):  # a text of each number of a large table would fill memory
        some = table.iloc[begin : begin + ROWS_AT_ONCE]
        parts.append("\n".join(map(",".join, zip(*(_fields(some[name]) for name in some), strict=True))))
    return "\n".join([*parts, ""])


def _fields(column: pd.Series) -> Iterable[str]:
    """A column's values as they stand in the file."""
    if pd.api.types.is_bool_dtype(column):
        return map(repr, column.tolist())
    if pd.api.types.is_numeric_dtype(column):
        # By their bits, of which 0 and -0 have others. Many values are the same, and to write one takes a while.
        bits = column.to_numpy().view("int64")
        some, places = bits[:: max(1, len(bits) // 1000)], None
        if 2 * len(np.unique(some)) < len(some):
            places, bits = pd.factorize(bits)
        told = ["" if value != value else repr(value) for value in bits.view(column.dtype).tolist()]
        return told if places is None else map(told.__getitem__, places.tolist())
    texts = {value: "" if pd.isna(value) else _field(value) for value in column.unique()}
    return map(texts.__getitem__, column.tolist())


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
