"""The results folder: what it holds, what is missing from it and what is half done.

Shards are written once. Several processes may fill one folder; of two shards with one replica the first wins, and of
each cell one configuration counts (see `Store.rows`).
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import CELL, KEY, SEMANTICS, Replica, decisive
from benchmark.errors import UsageError, outlet
from benchmark.results.shards import PARAMETER, UNFINISHED, Checkpoint, Shard, identity_of, read, write_shard
from benchmark.results.tables import measurements, read_table, sweep, table_path, to_csv, write_text

AT_ONCE = 4096  # rows of which tables are derived at once


def refuse_foreign(folder: Path) -> None:
    """Raise UsageError where one of a results folder's own names is a link that leads out of it, or no file or folder.

    A stranger's folder may hold one; what is read or written there is somebody else's, and a pipe never ends.
    """
    folders = ("shards", "checkpoints", "claims", "figures")
    files = (".lock", "REPORT.md", "summary.tex", "*.csv", "*.csv.gz")
    own = [*folders, *files, "figures/.shown", "shards/*.npz", "checkpoints/*.npz", "claims/*.json"]
    for path in (path for pattern in own for path in folder.glob(pattern)):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{path} is a link that leads out of {folder}; remove it or name another folder")
        is_folder = path.name in folders
        if path.exists() and not (path.is_dir() if is_folder else path.is_file() or path.suffix == ".npz"):
            what = "folder" if is_folder else "file"
            raise UsageError(f"{path} is no {what}, as the benchmark has there; move it away or name another folder")
        if is_folder and not os.access(path, os.W_OK):
            raise UsageError(f"{path} cannot be written to; name another folder")


def _asked_for(shard: Shard, digest: str) -> tuple[int, dict[str, Any]]:
    """The semantics and the configuration of a shard's replicas of this digest."""
    return shard.meta["semantics"], decisive(shard.meta["specifications"][digest])


class Store:
    """The results folder.

    Raises UsageError where it cannot be written, or holds files that are damaged or not ours.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.shard_folder, self.checkpoint_folder = self.folder / "shards", self.folder / "checkpoints"
        self._seen: dict[str, Shard] = {}
        self._rows: dict[bytes, np.ndarray] = {}  # of `Shard.lean`
        self._identities: set[tuple] = set()
        self._lock, self._warned = FileLock(self.folder / ".lock"), False
        outlet("results", self.folder)
        refuse_foreign(self.folder)

    def prepare(self) -> None:
        """Make the folder, or raise UsageError; and sweep it."""
        try:
            self.shard_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"results ({self.folder}) cannot be written to: {error.strerror}") from None
        self.sweep()

    def sweep(self) -> None:
        """Remove what nobody needs: what killed writers left, and checkpoints whose replicas are finished."""
        sweep(self.folder)
        held = self.held()
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
        found = []
        for path in sorted(self.checkpoint_folder.glob("[!.]*.npz")):
            if not path.is_fifo():
                with suppress(FileNotFoundError):  # another process has finished it
                    found.append(read(path, UNFINISHED))
        return found

    def held(self) -> set[tuple]:
        """The identity of every replica that a shard holds; not to be changed."""
        self.shards()
        return self._identities

    @property
    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while tables are derived and drawn, by one thread as often as it likes; warns once if there are none."""
        try:
            self._lock.acquire()
        except (OSError, NotImplementedError) as error:
            said = getattr(error, "strerror", None) or error
            if not self._warned:
                warnings.warn(
                    f"{self.folder / '.lock'} cannot be locked ({said}): where several processes end at once, tables "
                    f"and figures may lack what others finished last, until python -m benchmark.report {self.folder}",
                    stacklevel=3,
                )
            self._warned = True
            yield
            return
        try:
            yield
        finally:
            self._lock.release()

    def shards(self) -> list[Shard]:
        """All shards, lean, in the order they were finished; each is read once."""
        for path in sorted(self.shard_folder.glob("*.npz")) if self.shard_folder.is_dir() else []:
            if path.name not in self._seen and not path.name.startswith(".") and not path.is_fifo():
                self._seen[path.name] = read(path).lean(self._rows)
                self._identities.update(self._seen[path.name].identities)
        return [self._seen[name] for name in sorted(self._seen)]

    def rows(
        self, asked: Mapping[tuple, str] | None = None, alone: bool = False
    ) -> tuple[list[tuple[Shard, int]], list[str]]:
        """(shard, row) of every replica that counts, and a sentence for each set of replicas that does not.

        Of each cell one configuration counts: the one that is asked for (cell -> digest), else the one of which the
        folder's table is, else the one that was finished last, of the present semantics if there is one. alone: no
        other cells than those asked for.
        """
        chosen: dict[tuple, tuple[Shard, int]] = {}  # identity -> place; the first shard wins
        last: dict[tuple, dict[str, tuple[bool, int, Shard]]] = {}  # cell -> its digests, and when each was finished
        for order, shard in enumerate(self.shards()):
            for row, identity in enumerate(shard.identities):
                if alone and identity[: len(CELL)] not in (asked or {}):
                    continue
                chosen.setdefault(identity, (shard, row))
                digests = last.setdefault(identity[: len(CELL)], {})
                digests[identity[-1]] = (shard.meta["semantics"] == SEMANTICS, order, shard)
        counted, winner = {} if alone else self._counted(), {}
        for cell, digests in last.items():
            wanted = [of.get(cell) for of in (asked or {}, counted)]
            present = [digest for digest in wanted if digest in digests and digests[digest][0]]
            winner[cell] = present[0] if present else max(digests, key=lambda digest: digests[digest][:2])
        kept: list[tuple] = []
        lost: Counter[tuple] = Counter()
        for identity in chosen:
            cell, digest = identity[: len(CELL)], identity[-1]
            if digest == winner[cell]:
                kept.append(identity)
            else:
                lost[*cell, digest] += 1
        notes = []
        for (*names, digest), count in lost.items():
            known = last[tuple(names)]
            asked_for = [_asked_for(known[each][2], each) for each in (digest, winner[tuple(names)])]
            # Beside these a digest covers nothing but the code of users' own units.
            what = "other code of its unit" if asked_for[0] == asked_for[1] else "another configuration"
            notes.append(
                f"{count} replicas of {' × '.join(names[:3])} in {self.folder} stem from {what} "
                f"(digest {digest}) and are left out of the tables"
            )
        return [chosen[identity] for identity in sorted(kept)], notes

    def _counted(self) -> dict[tuple, str]:
        """Of which configuration each cell in the folder's table is."""
        path = table_path(self.folder, "outcomes")
        if not path.is_file():
            return {}
        table = read_table(path, [*KEY, "digest"])
        return {tuple(names): digest for *names, digest in table[[*CELL, "digest"]].itertuples(index=False, name=None)}

    def missing(self, replicas: Sequence[Replica]) -> list[Replica]:
        """Those that no shard holds.

        Raises UsageError where the folder's table holds rows, of whatever configuration, that neither a shard holds nor
        this request trains: deriving the table anew would lose them.
        """
        path = table_path(self.folder, "outcomes")
        # The table before the shards: another process writes them the other way round.
        names = [*KEY, "digest"]
        table = read_table(path, names) if path.is_file() else pd.DataFrame(columns=names)
        held = self.held()
        rows = set(table[names].itertuples(index=False, name=None))
        lost = rows - set(held) - {identity_of(replica) for replica in replicas}
        if lost:
            raise UsageError(
                f"{path} holds {len(lost)} replicas that no shard of {self.shard_folder} holds and that this run would "
                f"drop from the table; name another results folder, or delete {path.name} to start the table anew"
            )
        return [r for r in replicas if identity_of(r) not in held]

    def write(self, tile: Sequence[Replica], measured: Any) -> Path:
        """One shard, all or nothing. measured: `engine.Measured`."""
        return write_shard(self.shard_folder, tile, measured)

    def measurements(
        self, asked: Mapping[tuple, str] | None = None, alone: bool = False
    ) -> tuple[Iterator[dict[str, pd.DataFrame]], list[str]]:
        """What `rows` chooses as `tables.measurements`, sorted by key, and sentences about what is left out.

        Of some AT_ONCE rows at a time, so that memory holds no more: all of a cell together.
        """
        rows, notes = self.rows(asked, alone)
        cells = [shard.identities[row][: len(CELL)] for shard, row in rows]
        starts, ends = [i for i in range(len(cells)) if not i or cells[i] != cells[i - 1]], [0]
        for start in [*starts[1:], len(rows)]:
            if start - ends[-1] >= AT_ONCE or start == len(rows) > 0:
                ends.append(start)
        return (measurements(rows[begin:end]) for begin, end in pairwise(ends)), notes

    def specification(self, digest: str) -> dict[str, Any]:
        """The specification of this digest, as plain data."""
        return next(of[digest] for shard in self.shards() if digest in (of := shard.meta["specifications"]))

    def parameters(self, replica: Replica) -> dict[str, np.ndarray]:
        """A replica's parameters at its selected step, by name."""
        wanted = identity_of(replica)
        for shard in self.shards():
            if wanted in shard.places:
                row = shard.places[wanted]
                own = {name: array for name, array in read(shard.path).arrays.items() if name.startswith(PARAMETER)}
                return {name.removeprefix(PARAMETER): array[row] for name, array in own.items()}
        raise KeyError(wanted)

    def save(self, tables: dict[str, pd.DataFrame]) -> bool:
        """Write the tables as CSV, each whole or not at all; True if one of them is new or changed."""
        return any([write_text(table_path(self.folder, name), to_csv(table)) for name, table in tables.items()])
