"""The results folder: what it holds, what is missing from it and what is half done.

Shards are written once. Several processes may fill one folder; of two shards with one replica the first wins, and of
two configurations behind one key the current semantics, then the newer.
"""

import os
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import CELL, KEY, SEMANTICS, Replica
from benchmark.errors import UsageError
from benchmark.results.shards import PARAMETER, UNFINISHED, Checkpoint, Shard, identity_of, read, write_shard
from benchmark.results.tables import file_name, measurements, read_table, to_csv, write_text


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
            if held.issuperset(checkpoint.identities):
                Checkpoint(checkpoint.path, {}).clear()

    def checkpoint(self, tile: Sequence[Replica], engine: Engine) -> Checkpoint:
        """Where this tile's unfinished training is kept."""
        return Checkpoint.of(self.checkpoint_folder, tile, engine)

    def begun(self, missing: Sequence[Replica]) -> list[list[Replica]]:
        """The tiles that an interrupted run left half trained and of which every replica is still missing."""
        wanted = {identity_of(replica): replica for replica in missing}
        tiles = []
        for checkpoint in self._checkpoints():
            if wanted.keys() >= set(checkpoint.identities):
                tiles.append([wanted.pop(identity) for identity in checkpoint.identities])
        return tiles

    def _checkpoints(self) -> list[Shard]:
        paths = sorted(self.checkpoint_folder.glob("[!.]*.npz"))
        return [read(path, UNFINISHED) for path in paths if path.exists()]

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
                self._seen[path.name] = read(path)
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
        return [r for r in replicas if identity_of(r) not in held]

    def write(self, tile: Sequence[Replica], measured: Any) -> Path:
        """One shard, all or nothing. measured: `engine.Measured`."""
        return write_shard(self.shard_folder, tile, measured)

    def measurements(self) -> tuple[dict[str, pd.DataFrame], list[str]]:
        """Everything in the shards as `tables.measurements`, sorted by key, and sentences about what is left out."""
        rows, notes = self.rows()
        return measurements(rows), notes

    def parameters(self, replica: Replica) -> dict[str, np.ndarray]:
        """A replica's parameters at its selected step, by name."""
        wanted = identity_of(replica)
        for shard in self.shards():
            if wanted in shard.identities:
                row = shard.identities.index(wanted)
                own = {name: array for name, array in shard.arrays.items() if name.startswith(PARAMETER)}
                return {name.removeprefix(PARAMETER): array[row] for name, array in own.items()}
        raise KeyError(wanted)

    def save(self, tables: dict[str, pd.DataFrame]) -> bool:
        """Write the tables as CSV, each whole or not at all; True if one of them is new or changed."""
        return any([write_text(self.folder / file_name(name), to_csv(table)) for name, table in tables.items()])
