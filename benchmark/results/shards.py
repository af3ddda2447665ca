"""The files of finished and of half trained tiles: their format, read and written.

A tile is one `.npz` file without pickles, written under a temporary name, flushed and renamed once, so that a run
killed at any moment leaves whole files or none.
"""

import hashlib
import io
import json
import math
import os
import re
import secrets
import socket
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import CELL, SEMANTICS, Replica
from benchmark.asked.tasks import EVERY, PROFILE_SIZE, RESPONSE_SIZE, Problem, has_variance, plane_points
from benchmark.errors import UsageError, naming

FORMAT = "arithmetic-extrapolation shard 4"
UNFINISHED = "arithmetic-extrapolation checkpoint 1"
PARAMETER = "parameter:"
LARGEST, LARGEST_META = 4 << 30, 1 << 28  # bytes of a file's arrays and of what it says of them; no tile has as many
# The arrays of a shard: kind, and further axes than the replicas' by name, those of one name being equally long.
ARRAYS = {
    **dict.fromkeys(("interpolation", "extrapolation", "sparsity"), ("f", ("evaluation",))),
    **dict.fromkeys(("profile_x", "profile_error", "profile_target"), ("f", ("x",))),
    **dict.fromkeys(("plane_error", "plane_target"), ("f", ("point",))),
    **dict.fromkeys(("response_x", "response_target", "response_answer"), ("f", ("response",))),
    **dict.fromkeys(("target_interpolation", "target_extrapolation", "threshold"), ("f", ())),
    **dict.fromkeys(("initial_output", "initial_saturation"), ("f", ())),
    **dict.fromkeys(("representable", "why", "representable_trained"), ("U", ())),
    "best": ("i", ()),
    "output_error": ("f", ("output",)),
}
# Those that are alike for the replicas of a cell, as far as the cell tells them.
OF_CELLS = ("profile_x", "profile_target", "plane_target", "response_x", "response_target")
# How long the axes are that are as long in every shard.
LENGTHS = {
    "x": (PROFILE_SIZE,),
    "point": (0, plane_points().shape[1]),
    "response": tuple(RESPONSE_SIZE * swept for swept in range(1 + max(one.operands for one in EVERY.values()))),
}
NUMBER = (int, float)
FACTS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("inputs", "operands"), (int,)),
    **dict.fromkeys(("middle", "half_width"), NUMBER),
    **dict.fromkeys(("trained", "judged", "variance_trained", "variance_judged"), (str,)),
}


def _host() -> str:
    """This machine, or this container: where two processes of one number are one process."""
    space = ""
    with suppress(OSError):  # /proc is of Linux
        space = "_" + "".join(filter(str.isdigit, os.readlink("/proc/self/ns/pid")))
    return re.sub(r"\W", "_", socket.gethostname())[:32] + space


HOST = _host()


def runs(process: int) -> bool:
    """Whether there is a process of this number here; True where that cannot be asked without harm."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    with suppress(OSError):  # one that has ended, and whose parent does not ask how
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


def benchmark_version() -> str:
    """The installed version of this package."""
    try:
        return version("arithmetic-extrapolation-benchmark")
    except PackageNotFoundError:  # run from a clone that was never installed
        return "unknown"


def identity_of(replica: Replica) -> tuple:
    """(*key, digest): what a replica is known by on disk."""
    return (*replica.key, replica.cell.specification.digest)


@dataclass(frozen=True)
class Shard:
    """One tile's arrays by name, and what they belong to."""

    path: Path
    meta: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def lean(self, known: dict[bytes, np.ndarray]) -> "Shard":
        """What tables follow from: without the parameters, and a row of OF_CELLS that is `known` only once."""
        arrays = {name: array for name, array in self.arrays.items() if not name.startswith(PARAMETER)}
        for name in OF_CELLS:
            array = np.empty(len(arrays[name]), dtype=object)
            array[:] = [known.setdefault(row.dtype.char.encode() + row.tobytes(), row.copy()) for row in arrays[name]]
            arrays[name] = array
        return Shard(self.path, self.meta, arrays)

    def of(self, name: str, rows: Sequence[int]) -> np.ndarray:
        """An array's values of these rows."""
        values = self.arrays[name][rows]
        return np.stack([*values]) if values.dtype == object else values

    @cached_property
    def identities(self) -> list[tuple]:
        """(*key, digest) of each row."""
        return [tuple(row) for row in self.meta["replicas"]]

    @cached_property
    def places(self) -> dict[tuple, int]:
        """The row of each identity."""
        return {identity: row for row, identity in enumerate(self.identities)}


def read(path: Path, form: str = FORMAT) -> Shard:
    """A shard or a checkpoint, checked; nothing in it can execute code.

    Raises UsageError where it is damaged or foreign, FileNotFoundError where it is not there (any more).
    """
    advice = "move it away and run again: what is missing is trained anew"
    try:
        with path.open("rb") as file:
            entries = {entry.filename: entry for entry in zipfile.ZipFile(file).infolist()}
            sizes = {name: entry.file_size for name, entry in entries.items()}
            if (size := sum(sizes.values())) > LARGEST or sizes.get("meta.npy", 0) > LARGEST_META:
                raise ValueError(f"it would unpack to {size:,} bytes")
            file.seek(0)
            content = file.read(LARGEST)
        meta = json.loads(str(_array(content, entries["meta.npy"])))
        if not isinstance(meta, dict) or meta.get("format") != form:
            raise UsageError(f"{path} is no shard of this version of the benchmark; {advice}")
        arrays = {
            name.removesuffix(".npy"): _array(content, entry) for name, entry in entries.items() if name != "meta.npy"
        }
        if form == FORMAT and "output_error" not in arrays:  # from before tasks had several outputs
            arrays["output_error"] = np.zeros((len(meta["replicas"]), 0))
        shard = Shard(path, meta, arrays)
        wrong = wrong_keys(meta) or (_wrong_arrays if form == FORMAT else _wrong_sum)(shard)
    except (UsageError, FileNotFoundError):
        raise
    except Exception as error:  # a damaged archive fails in more ways than its readers document
        if isinstance(error, OSError) and error.strerror:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        said = " ".join(str(error).split())
        raise UsageError(f"{path} is damaged or no shard of this benchmark ({said}); {advice}") from None
    if wrong:
        raise UsageError(f"{path} is damaged ({wrong}); {advice}")
    return shard


def _array(content: bytes, entry: zipfile.ZipInfo) -> np.ndarray:
    """An array of an archive: what `numpy.load` reads piece by piece, and with a header of its own each time."""
    names, extra = struct.unpack("<HH", content[entry.header_offset + 26 : entry.header_offset + 30])
    begin = entry.header_offset + 30 + names + extra
    packed = content[begin : begin + entry.compress_size]
    if entry.compress_type == zipfile.ZIP_DEFLATED:
        packed = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.file_size + 1)
    if len(packed) != entry.file_size or zlib.crc32(packed) != entry.CRC:
        raise ValueError(f"{entry.filename} is not what was written")
    width = 2 if packed[6:7] == b"\1" else 4  # bytes of its header's length, by the format's version
    begin = 8 + width + int.from_bytes(packed[8 : 8 + width], "little")
    shape, in_columns, kind = _layout(packed[:begin])
    array = np.frombuffer(packed, kind, math.prod(shape), begin) if kind.itemsize else np.zeros(shape, kind)
    return array.reshape(shape, order="F" if in_columns else "C").copy()


@lru_cache(1 << 12)
def _layout(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """What an array's header says: its shape, whether its first axis is the fastest, and its type."""
    file = io.BytesIO(header)
    reader = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}
    return reader[read_magic(file)](file)


def _holds(content: Any, name: str, kinds: tuple[type, ...]) -> bool:
    """Whether a mapping has a value of one of these kinds under a name: a number a table can hold, a text in UTF-8."""
    value = content.get(name) if isinstance(content, dict) else None
    if type(value) not in kinds:
        return False
    if isinstance(value, str):
        return value.isascii() or bool(value.encode())  # raises for half a character
    return not isinstance(value, NUMBER) or abs(value) < (2**63 if isinstance(value, int) else np.inf)


def wrong_keys(meta: dict[str, Any]) -> str:
    """What is wrong with the names of a file's replicas; "" if nothing is."""
    rows = meta.get("replicas")
    kinds = [*[str] * len(CELL), int, str]
    if not isinstance(rows, list) or not all(isinstance(row, list) and [*map(type, row)] == kinds for row in rows):
        return "its keys are none"
    if not all(0 <= row[len(CELL)] < 2**63 and "".join(map(str, row)).encode() for row in rows):
        return "its seeds are none"
    return "" if len({tuple(row) for row in rows}) == len(rows) > 0 else "its keys are doubled or none"


def _wrong_arrays(shard: Shard) -> str:
    """What a shard lacks, or has in another form than it was written; "" if nothing."""
    meta, arrays, count = shard.meta, dict(shard.arrays), len(shard.identities)
    texts = ("engine", "device", "torch", "benchmark")
    if not _holds(meta, "semantics", (int,)) or not all(_holds(meta, name, (str,)) for name in texts):
        return "it does not say how it was computed"
    for digest in {identity[-1] for identity in shard.identities}:
        facts = [meta[name].get(digest) for name in ("cells", "specifications") if isinstance(meta.get(name), dict)]
        if len(facts) != 2 or not all(isinstance(one, dict) for one in facts):
            return "it does not say what was asked"
        if not all(_holds(facts[0], name, kinds) for name, kinds in FACTS.items()) or not facts[0]["half_width"] > 0:
            return "it does not say where its networks were trained"
        if not all(_holds(facts[1].get("model"), name, (dict,)) for name in ("options", "hidden_options")):
            return "it does not say of which model"
        protocol = facts[1].get("protocol")
        if not _holds(protocol, "fits", NUMBER) or not _holds(protocol, "dtype", (str,)):
            return "it does not say by which protocol"
    steps, seconds = arrays.pop("steps", None), arrays.pop("seconds", None)
    if seconds is None or seconds.dtype.kind != "f" or seconds.shape:
        return "seconds"
    if steps is None or steps.dtype.kind != "i" or steps.ndim != 1 or not (np.diff(steps, prepend=-1) > 0).all():
        return "steps"
    lengths = {"evaluation": len(steps)}
    for name, (kind, axes) in ARRAYS.items():
        array = arrays.pop(name, None)
        if array is None or array.dtype.kind != kind or array.ndim != 1 + len(axes) or len(array) != count:
            return name
        if any(lengths.setdefault(axis, size) != size for axis, size in zip(axes, array.shape[1:], strict=True)):
            return name
        if any(size not in LENGTHS.get(axis, (size,)) for axis, size in zip(axes, array.shape[1:], strict=True)):
            return name
    along = shard.arrays["profile_x"]
    if not (np.isfinite(along).all() and (np.diff(along) > 0).all()):
        return "profile_x"
    "".join(shard.arrays["why"].tolist()).encode()  # raises for half a character
    if not ((shard.arrays["best"] >= 0) & (shard.arrays["best"] < len(steps))).all():
        return "best"
    for name in ("representable", "representable_trained"):
        if not np.isin(shard.arrays[name], ["yes", "no", "unknown"]).all():
            return name
    known = [name for name, array in arrays.items() if name.startswith(PARAMETER) and array.dtype.kind == "f"]
    strange = [name for name in arrays if name not in known or len(arrays[name]) != count]
    return strange[0] if strange else ""


def _wrong_sum(shard: Shard) -> str:
    """Whether a checkpoint is what was written."""
    return "" if shard.meta.get("sum") == _sum(shard.arrays) else "it is not what was written"


def _sum(arrays: dict[str, np.ndarray]) -> str:
    """A digest of all that arrays hold."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        whole.update(f"{name} {array.dtype.str} {array.shape}".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def write_shard(folder: Path, tile: Sequence[Replica], measured: Any) -> Path:
    """A finished tile as a new shard. measured: `engine.Measured`."""
    import torch

    specifications = {replica.cell.specification.digest: replica.cell.specification for replica in tile}
    meta = {
        "format": FORMAT,
        "semantics": SEMANTICS,
        "replicas": [identity_of(replica) for replica in tile],
        "specifications": {digest: asdict(one) for digest, one in specifications.items()},
        "cells": {digest: _facts(one) for digest, one in specifications.items()},
        "engine": measured.engine,
        "device": measured.device,
        "torch": torch.__version__,
        "benchmark": benchmark_version(),
    }
    arrays = {field.name: getattr(measured, field.name) for field in fields(measured)}
    del arrays["parameters"], arrays["engine"], arrays["device"]
    arrays |= {PARAMETER + name: value for name, value in measured.parameters.items()}
    # Nobody else's name, whatever the clock says: a shard must not replace another.
    path = folder / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}.npz"
    _write(path, np.savez_compressed, meta, arrays)
    return path


def _facts(specification: Any) -> dict[str, Any]:
    """What is known of a cell before training, as it stands in `cells.csv`."""
    problem = specification.problem
    low, high = problem.trained_hulls[0]
    return {
        "inputs": problem.inputs,
        "operands": problem.operands,
        "trained": _told(problem.interpolation),
        "judged": _told(problem.extrapolation),
        "middle": (low + high) / 2,
        "half_width": (high - low) / 2,
        "variance_trained": _variance(problem, problem.interpolation),
        "variance_judged": _variance(problem, problem.extrapolation),
    }


def _variance(problem: Problem, where: Any) -> str:
    """The targets' on one of a problem's ranges."""
    return "finite" if has_variance(problem, where) else "infinite"


def _told(where: Any) -> str:
    """An effective range in words: one interval if all inputs share it."""
    texts = [str(one) for one in where] if isinstance(where, tuple) else [str(where)]
    return texts[0] if len(set(texts)) == 1 else ", ".join(f"{name} {t}" for name, t in zip("ab", texts, strict=False))


class Checkpoint:
    """A tile's unfinished training in a file that its owner replaces as it goes on (see `engine.Checkpoint`)."""

    def __init__(self, path: Path, meta: dict[str, Any]):
        self.path, self.meta = path, meta

    @classmethod
    def of(cls, folder: Path, tile: Sequence[Replica], engine: Engine) -> "Checkpoint":
        """That of this tile; its name follows from the tile and its engine."""
        replicas = [identity_of(replica) for replica in tile]
        meta = {"format": UNFINISHED, "replicas": replicas, "engine": engine.mode, "device": engine.device}
        name = hashlib.sha256(json.dumps(meta).encode()).hexdigest()[:16]
        return cls(folder / f"{name}.npz", meta)

    def load(self) -> dict[str, np.ndarray] | None:
        """What was saved last; UsageError where the file is damaged."""
        try:
            return read(self.path, UNFINISHED).arrays
        except FileNotFoundError:  # nobody began, or another process has finished it
            return None

    def save(self, arrays: dict[str, np.ndarray]) -> None:
        """Keep this instead of what was saved before."""
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        _write(self.path, np.savez, self.meta | {"sum": _sum(arrays)}, arrays)

    def clear(self) -> None:
        """The tile is finished."""
        patiently(lambda: self.path.unlink(missing_ok=True))
        with suppress(OSError):  # there is no folder, or other checkpoints are in it
            self.path.parent.rmdir()


def _write(path: Path, save: Callable[..., None], meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    with replacing(path) as temporary, opened(temporary) as file:
        save(file, meta=np.array(json.dumps(meta)), **arrays)
        file.flush()
        os.fsync(file.fileno())


def opened(path: Path) -> BinaryIO:
    """A new file, and its folder where there is none (any more): another process may just have removed an empty one."""
    for _ in range(100):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            return path.open("wb")
    return path.open("wb")


def patiently(change: Callable[[], Any]) -> Any:
    """Read, rename or remove a file: on Windows again for a second, where nobody may while another process has it open.

    Elsewhere at once.
    """
    until = time.monotonic() + (1.0 if sys.platform == "win32" else 0.0)
    while True:
        try:
            return change()
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.01)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write under: what is written takes the place of `path` in one stroke, or is gone where that fails.

    No other writer has it, on whatever machine: it holds the host, the process and a random part (see `tables.sweep`).
    """
    temporary = path.with_name(f".{path.name}.{HOST}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with naming(path):
            yield temporary
            patiently(lambda: temporary.replace(path))
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
