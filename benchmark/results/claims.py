"""Who trains what, where several processes, on whatever machines, fill one results folder.

A claim is a file `claims/<host>-<process>-<random part>.json` that says who trains which replicas since when; its time
of change is its owner's last sign of life. It is announced before its owner looks at the others': of two that overlap
at least one owner sees the other's, and withdraws. So no lock is needed, and none is where a folder is shared by NFS.
A claim whose owner is gone is free again. Were it not gone after all, a replica would be trained twice, to the same
bits.
"""

import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.asked.replicas import Replica
from benchmark.errors import UsageError, to_stderr
from benchmark.results.shards import HOST, identity_of, opened, patiently, replacing, runs, wrong_keys
from benchmark.results.store import Store

BEAT = 20.0  # seconds between two signs of life
SILENT = 180.0  # seconds after which a silent owner is gone; NFS may show a sign of life a minute late


@dataclass(frozen=True)
class Claim:
    """Replicas that are ours to train, and the file that says so."""

    path: Path
    replicas: list[Replica]


class Claims:
    """What this process claims in a store's folder, alive while it is entered, and what others claim there."""

    def __init__(self, store: Store):
        self.store, self.folder = store, store.folder / "claims"
        self._own: set[Path] = set()
        self._read: dict[Path, tuple[str, frozenset[tuple]]] = {}  # others': who, and the identities of what
        self._ended = threading.Event()

    def __enter__(self) -> "Claims":
        threading.Thread(target=self._live, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        for path in list(self._own):
            self._withdraw(path)

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            for path in list(self._own):
                with suppress(OSError):  # withdrawn meanwhile, or a disk's moment of weakness
                    os.utime(path)

    def take(self, tile: Sequence[Replica]) -> Claim | None:
        """Those of a tile that are neither finished nor another's, claimed until they are given back; None if none."""
        while wanted := self._free(tile):
            path = self._announce(wanted)
            identities = {identity_of(replica) for replica in wanted}
            if any(identities & taken for _, taken in self._others().values()):
                self._withdraw(path)  # both may have seen each other, and try again at different times
                time.sleep(random.uniform(0, 0.1))
                continue
            # Who had it before has written its shard before giving it back.
            left = [replica for replica in wanted if identity_of(replica) not in self.store.held()]
            if left:
                return Claim(path, left)
            self._withdraw(path)
        return None

    def give_back(self, claim: Claim) -> None:
        """Its replicas are finished, or left to others."""
        self._withdraw(claim.path)

    def wait(self, replicas: Sequence[Replica]) -> list[Replica]:
        """Which of them are not finished, as soon as one of these is free; waiting is told once."""
        waiting: set[str] = set()
        while True:
            replicas = [replica for replica in replicas if identity_of(replica) not in self.store.held()]
            if not replicas or self._free(replicas):
                return list(replicas)
            wanted = {identity_of(replica) for replica in replicas}
            owners = {who for who, taken in self._others().values() if wanted & taken}
            if not owners <= waiting:
                waiting |= owners
                networks = f"{len(replicas):,} network{'s' * (len(replicas) > 1)}"
                told = f"waiting for {networks} in training by {', '.join(sorted(owners))}"
                to_stderr(f"note: {told}; what an owner leaves undone is taken over")
            time.sleep(random.uniform(0.5, 1.5))

    def _free(self, replicas: Sequence[Replica]) -> list[Replica]:
        others = [taken for _, taken in self._others().values()]
        taken = self.store.held().union(*others)
        return [replica for replica in replicas if identity_of(replica) not in taken]

    def _announce(self, replicas: Sequence[Replica]) -> Path:
        path = self.folder / f"{HOST}-{os.getpid()}-{secrets.token_hex(8)}.json"
        content = {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "replicas": [identity_of(replica) for replica in replicas],
        }
        self._own.add(path)
        with replacing(path) as temporary, opened(temporary) as file:
            file.write(json.dumps(content).encode())
        return path

    def _withdraw(self, path: Path) -> None:
        self._own.discard(path)
        patiently(lambda: path.unlink(missing_ok=True))
        with suppress(OSError):  # there is no folder, or others' claims are in it
            self.folder.rmdir()

    def _others(self) -> dict[Path, tuple[str, frozenset[tuple]]]:
        """The claims of processes that live, as far as can be told; those of the others are removed."""
        living = {}
        now = self._now()
        for path in sorted(self.folder.glob("[!.]*.json")):
            if path in self._own:
                continue
            with suppress(FileNotFoundError):  # given back meanwhile
                if path not in self._read:
                    self._read[path] = _content(path)
                host, process, _ = path.stem.split("-")
                if path.stat().st_mtime < now - SILENT or (host == HOST and not runs(int(process))):
                    patiently(path.unlink)
                else:
                    living[path] = self._read[path]
        self._read = {path: self._read[path] for path in living}
        return living

    def _now(self) -> float:
        """The time of the folder's file system, which stamps the signs of life: clocks of machines differ."""
        try:
            os.utime(self.folder)
            return self.folder.stat().st_mtime
        except OSError:  # there is no folder, or it is not ours to touch
            return time.time()


def _content(path: Path) -> tuple[str, frozenset[tuple]]:
    """Whose claim it is, in words, and the identities of its replicas; UsageError where it is no claim."""
    try:
        content: dict[str, Any] = json.loads(patiently(path.read_bytes))
        _, process, _ = path.stem.split("-")
        if not isinstance(content, dict) or wrong_keys(content) or not process.isdecimal():
            raise ValueError
        return f"process {process} on {content['host']}", frozenset(map(tuple, content["replicas"]))
    except (ValueError, KeyError, RecursionError):
        raise UsageError(f"{path} is damaged or no claim of this benchmark; remove it and run again") from None
