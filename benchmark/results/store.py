"""Finished tiles on disk: write-once shards, and what is still missing or half done.

A tile is one `.npz` file without pickles, written under a temporary name, flushed and renamed once, so that a run
killed at any moment leaves whole shards or none. Several processes may fill one folder; of two shards with one replica
the first wins, and of two configurations behind one key the current semantics, then the newer.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import CELL, KEY, SEMANTICS, Replica
from benchmark.errors import UsageError

FORMAT = "arithmetic-extrapolation shard 2"
UNFINISHED = "arithmetic-extrapolation checkpoint 1"
PARAMETER = "parameter:"
EXACT: dict[str, Any] = {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


def benchmark_version() -> str:
    """The installed version of this package."""
    try:
        return version("arithmetic-extrapolation-benchmark")
    except PackageNotFoundError:  # run from a clone that was never installed
        return "unknown"


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


class Store:
    """The results folder.

    Raises UsageError where it cannot be written, or holds files that are damaged or not ours.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.shard_folder, self.checkpoint_folder = self.folder / "shards", self.folder / "checkpoints"
        self._seen: dict[str, Shard] = {}
        existing = next(path for path in (self.folder, *self.folder.absolute().parents) if path.exists())
        if not existing.is_dir():
            raise UsageError(f"results ({self.folder}): {existing} is a file; name a folder")
        if not os.access(existing, os.W_OK):
            raise UsageError(f"results ({self.folder}): {existing} cannot be written to; name another folder")

    def prepare(self) -> None:
        """Make the folder, or raise UsageError; and sweep out what nobody needs.

        That is what writers killed over an hour ago left, and checkpoints whose replicas are finished.
        """
        try:
            self.shard_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"results ({self.folder}) cannot be written to: {error.strerror}") from None
        for path in [*self.shard_folder.glob(".*.npz"), *self.checkpoint_folder.glob(".*.npz")]:
            if path.stat().st_mtime < time.time() - 3600:
                path.unlink(missing_ok=True)
        held = self._held()
        for checkpoint in self._checkpoints():
            if held.issuperset(map(tuple, checkpoint.meta["replicas"])):
                Checkpoint(checkpoint.path, {}).clear()

    def checkpoint(self, tile: Sequence[Replica], engine: Engine) -> "Checkpoint":
        """Where this tile's unfinished training is kept; its name follows from the tile and its engine."""
        replicas = [[*replica.key, replica.cell.specification.digest] for replica in tile]
        meta = {"format": UNFINISHED, "replicas": replicas, "engine": engine.mode, "device": engine.device}
        name = hashlib.sha256(json.dumps(meta).encode()).hexdigest()[:16]
        return Checkpoint(self.checkpoint_folder / f"{name}.npz", meta)

    def begun(self, missing: Sequence[Replica]) -> list[list[Replica]]:
        """The tiles that an interrupted run left half trained and of which every replica is still missing."""
        wanted = {(*replica.key, replica.cell.specification.digest): replica for replica in missing}
        tiles = []
        for checkpoint in self._checkpoints():
            identities = [tuple(identity) for identity in checkpoint.meta["replicas"]]
            if all(identity in wanted for identity in identities):
                tiles.append([wanted.pop(identity) for identity in identities])
        return tiles

    def _checkpoints(self) -> list["Shard"]:
        paths = sorted(self.checkpoint_folder.glob("[!.]*.npz"))
        return [_read(path, UNFINISHED) for path in paths if path.exists()]

    def _held(self) -> set[tuple]:
        return {identity for shard in self.shards() for identity in shard.identities}

    @cached_property
    def lock(self) -> FileLock:
        """Held while tables are derived and written."""
        return FileLock(self.folder / ".lock")

    def shards(self) -> list[Shard]:
        """All shards in the order they were finished; each is read once."""
        for path in sorted(self.shard_folder.glob("*")) if self.shard_folder.is_dir() else []:
            if path.name not in self._seen and not path.name.startswith("."):
                self._seen[path.name] = _read(path)
        return [self._seen[name] for name in sorted(self._seen)]

    def rows(self) -> tuple[list[tuple[Shard, int]], list[str]]:
        """(shard, row) of every replica that counts, and a sentence for each set of replicas that does not."""
        chosen: dict[tuple, tuple[Shard, int]] = {}  # identity -> place; the first shard wins
        digests: dict[tuple, list[tuple[bool, int, str]]] = {}  # key -> what may stand behind it
        for order, shard in enumerate(self.shards()):
            for row, identity in enumerate(shard.identities):
                chosen.setdefault(identity, (shard, row))
                digests.setdefault(identity[:-1], []).append(
                    (shard.meta["semantics"] == SEMANTICS, order, identity[-1])
                )
        winner = {key: max(candidates)[2] for key, candidates in digests.items()}
        kept = [identity for identity in chosen if winner[identity[:-1]] == identity[-1]]
        lost: dict[tuple, int] = {}
        for identity in chosen:
            if winner[identity[:-1]] != identity[-1]:
                cell = (*identity[: len(CELL)], identity[-1])
                lost[cell] = lost.get(cell, 0) + 1
        notes = [
            f"{count} replicas of {' × '.join(cell[:3])} in {self.folder} stem from another configuration "
            f"(digest {cell[-1]}) and are left out of the tables"
            for cell, count in lost.items()
        ]
        return [chosen[identity] for identity in sorted(kept)], notes

    def missing(self, replicas: Sequence[Replica]) -> list[Replica]:
        """Those that no shard holds.

        Raises UsageError where the folder's table holds rows that neither a shard holds nor this request trains:
        deriving the table anew would lose them.
        """
        path = self.folder / "outcomes.csv"
        # The table before the shards: another process writes them the other way round.
        table = read_table(path, [*KEY, "digest"]) if path.exists() else pd.DataFrame(columns=KEY)
        held = self._held()
        rows = set(table[KEY].itertuples(index=False, name=None))
        lost = rows - {identity[:-1] for identity in held} - {replica.key for replica in replicas}
        if lost:
            raise UsageError(
                f"{path} holds {len(lost)} replicas that no shard of {self.shard_folder} holds and that this run would "
                f"drop from the table; name another results folder, or delete {path.name} to start the table anew"
            )
        return [r for r in replicas if (*r.key, r.cell.specification.digest) not in held]

    def write(self, tile: Sequence[Replica], measured: Any) -> Path:
        """One shard, all or nothing. measured: `engine.Measured`."""
        import torch

        specifications = {replica.cell.specification.digest: replica.cell.specification for replica in tile}
        meta = {
            "format": FORMAT,
            "semantics": SEMANTICS,
            "replicas": [[*replica.key, replica.cell.specification.digest] for replica in tile],
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
        path = self.shard_folder / f"{time.time_ns():020d}-{os.getpid()}.npz"
        _write(path, np.savez_compressed, meta, arrays)
        return path

    def measurements(self) -> tuple[dict[str, pd.DataFrame], list[str]]:
        """Everything in the shards as tables, rows sorted by key, and sentences about what is left out.

        runs: one row a replica. curves: a replica's evaluations. profiles: a replica's error along x. planes: a
        replica's error at each of `tasks.plane_points`, in their order.
        """
        rows, notes = self.rows()
        runs = []
        for number, (shard, row) in enumerate(rows):
            *key, digest = shard.identities[row]
            meta, arrays = shard.meta, shard.arrays
            protocol = meta["specifications"][digest]["protocol"]
            runs.append(
                dict(zip(KEY, key, strict=True))
                | {"digest": digest, "run": number}
                | {"best_step": arrays["steps"][arrays["best"][row]], "steps": arrays["steps"][-1]}
                | {
                    name: float(arrays[name][row])
                    for name in ("target_interpolation", "target_extrapolation", "threshold")
                }
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
        }, notes

    def parameters(self, replica: Replica) -> dict[str, np.ndarray]:
        """A replica's parameters at its selected step, by name."""
        wanted = (*replica.key, replica.cell.specification.digest)
        for shard in self.shards():
            if wanted in shard.identities:
                row = shard.identities.index(wanted)
                own = {name: array for name, array in shard.arrays.items() if name.startswith(PARAMETER)}
                return {name.removeprefix(PARAMETER): array[row] for name, array in own.items()}
        raise KeyError(wanted)

    def save(self, tables: dict[str, pd.DataFrame]) -> bool:
        """Write the tables as CSV, each whole or not at all; True if one of them is new or changed."""
        return any([write_text(self.folder / _file_name(name), to_csv(table)) for name, table in tables.items()])


class Checkpoint:
    """A tile's unfinished training in a file that its owner replaces as it goes on (see `engine.Checkpoint`)."""

    def __init__(self, path: Path, meta: dict[str, Any]):
        self.path, self.meta = path, meta

    def load(self) -> dict[str, np.ndarray] | None:
        """What was saved last; UsageError where the file is damaged."""
        return _read(self.path, UNFINISHED).arrays if self.path.exists() else None

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


def _read(path: Path, form: str = FORMAT) -> Shard:
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
    return table.assign(overrides=table["overrides"].fillna("")) if "overrides" in table else table


def _file_name(table: str) -> str:
    return f"{table}.csv.gz" if table == "curves" else f"{table}.csv"


def to_csv(table: pd.DataFrame) -> str:
    """CSV with full float precision, inf as inf and nan as nothing."""
    return table.to_csv(index=False, lineterminator="\n")


def write_text(path: Path, text: str) -> bool:
    """Write a file in one stroke, gzipped if its name says so; False if it says that already."""
    import gzip

    content = gzip.compress(text.encode(), mtime=0) if path.suffix == ".gz" else text.encode()
    if path.exists() and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.rename(path)
    return True
