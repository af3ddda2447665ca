"""The files of finished and of half trained tiles: their format, read and written.

A tile is one `.npz` file without pickles, written under a temporary name, flushed and renamed once, so that a run
killed at any moment leaves whole files or none.
"""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import SEMANTICS, Replica
from benchmark.errors import UsageError

FORMAT = "arithmetic-extrapolation shard 2"
UNFINISHED = "arithmetic-extrapolation checkpoint 1"
PARAMETER = "parameter:"


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

    @property
    def identities(self) -> list[tuple]:
        """(*key, digest) of each row."""
        return [tuple(row) for row in self.meta["replicas"]]


def read(path: Path, form: str = FORMAT) -> Shard:
    """A shard or a checkpoint, checked; nothing in it can execute code."""
    advice = "move it away and run again: what is missing is trained anew"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(str(arrays.pop("meta")))
    except Exception as error:  # a damaged archive fails in more ways than its readers document
        raise UsageError(f"{path} is damaged or no shard of this benchmark ({error}); {advice}") from None
    if not isinstance(meta, dict) or meta.get("format") != form:
        raise UsageError(f"{path} is no shard of this benchmark; {advice}")
    lengths = {array.shape[:1] for name, array in arrays.items() if name not in ("steps", "seconds")}
    if lengths != {(len(meta.get("replicas", ())),)}:
        raise UsageError(f"{path} is damaged (its rows do not match its keys); {advice}")
    return Shard(path, meta, arrays)


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
    }


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
        return read(self.path, UNFINISHED).arrays if self.path.exists() else None

    def save(self, arrays: dict[str, np.ndarray]) -> None:
        """Keep this instead of what was saved before."""
        self.path.parent.mkdir(exist_ok=True)
        _write(self.path, np.savez, self.meta, arrays)

    def clear(self) -> None:
        """The tile is finished."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # there is no folder, or other checkpoints are in it
            self.path.parent.rmdir()


def _write(path: Path, save: Callable[..., None], meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    temporary = path.with_name(f".{path.stem}-{os.getpid()}.npz")
    with temporary.open("wb") as file:
        save(file, meta=np.array(json.dumps(meta)), **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
