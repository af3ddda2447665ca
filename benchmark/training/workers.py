"""Single-threaded worker processes that train tiles and write their shards."""

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from multiprocessing.connection import Connection, wait
from multiprocessing.process import ORIGINAL_DIR  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, cast

from benchmark.asked.classes import source
from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import Replica, architecture
from benchmark.errors import RunError, UsageError, told, unexpected
from benchmark.results.claims import Claim, Claims

Tile = tuple[Sequence[Replica], Engine]

DIED = "a tile of {} replicas ended its worker process twice: {}"
KILLED = "it was killed, as happens where memory runs out"
NOT_BEGUN = (
    "it could not begin, for the reason printed above; a script that calls run() must do so under "
    'if __name__ == "__main__":'
)


def cores() -> int:
    """How many this process may use: of a SLURM job those that were asked for, which need not bind it; of a machine
    that does not tell (macOS, Windows) all, of Windows, which waits for no more processes at once, at most 60.
    """
    if hasattr(os, "sched_getaffinity"):
        every = len(os.sched_getaffinity(0))
    else:
        every = min(os.cpu_count() or 1, 60 if sys.platform == "win32" else sys.maxsize)
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return min(every, max(1, int(granted))) if granted.isdecimal() else every


class Shared:
    """A claim to each tile before it is trained, and a report of what is trained here.

    report(tile's number, replica-steps since the last call, replicas solved in it so far). leave_out(replicas that
    others train). trained: how many replicas were trained here.
    """

    def __init__(
        self,
        claims: Claims,
        report: Callable[[int, int, int], None],
        leave_out: Callable[[Sequence[Replica]], None],
    ):
        self.claims, self.report, self.leave_out = claims, report, leave_out
        self.trained = 0

    def take(self, tile: Sequence[Replica]) -> Claim | None:
        """See `Claims.take`."""
        claim = self.claims.take(tile)
        ours = set(claim.replicas) if claim else set()
        self.leave_out([replica for replica in tile if replica not in ours])
        return claim

    def give_back(self, claim: Claim, trained: bool) -> None:
        """Its training is over; trained: with success."""
        self.claims.give_back(claim)
        self.trained += trained * len(claim.replicas)


class Pool:
    """Workers that start at once, so that they load torch while the caller prepares the tiles.

    A worker that dies costs its tile only, which is tried once more. Workers end with their parent, whatever ends it.
    """

    def __init__(self, workers: int, folder: Path):
        if found := in_the_way():
            name, path = found
            raise UsageError(f"{path} takes the place of {name}, which training needs; rename it or move it")
        self.context = multiprocessing.get_context("spawn")
        self.folder = folder.absolute()  # a worker begins elsewhere if this process has changed its directory
        self.workers = dict(self._start() for _ in range(workers))

    def _start(self) -> tuple[Connection, Any]:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(theirs, self.folder), daemon=True)
        # Ctrl-C is the parent's to handle, from the worker's first moment on.
        main = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
        # A worker begins by taking over this process's start method, and joblib's is none that it would know.
        method = multiprocessing.get_start_method(allow_none=True)
        try:
            if method not in multiprocessing.get_all_start_methods():
                multiprocessing.set_start_method("spawn", force=True)
            process.start()
        finally:
            multiprocessing.set_start_method(method, force=True)
            if main:
                signal.signal(signal.SIGINT, handler)
        theirs.close()
        return ours, process

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *exception: object) -> None:
        for connection, process in self.workers.items():
            process.terminate()
            process.join()
            connection.close()

    def train(self, tiles: Sequence[Tile], shared: Shared) -> None:
        """Train all tiles that can be claimed.

        Raises UsageError or RunError after the other tiles are finished.
        """
        queue = list(enumerate(tiles))
        busy: dict[Connection, tuple[int, Claim, Engine]] = {}
        last: dict[Connection, tuple] = {}  # the architecture that a worker trained last
        done = [0] * len(tiles)
        retried: set[int] = set()
        failures: list[Exception] = []
        while queue or busy:
            for connection in self.workers:
                if connection in busy:
                    continue
                others = {kind for other, kind in last.items() if other is not connection}
                while (chosen := _choose([tile for _, tile in queue], last.get(connection), others)) is not None:
                    number, (tile, engine) = queue.pop(chosen)
                    if (claim := shared.take(tile)) is None:
                        continue
                    busy[connection] = number, claim, engine
                    last[connection] = architecture(tile[0])
                    with suppress(OSError):  # of a worker that died; its end of file comes next
                        connection.send((claim.replicas, engine))
                    break
            for connection in cast(list[Connection], wait(list(busy)) if busy else []):
                number, claim, engine = busy[connection]
                try:
                    kind, content = connection.recv()
                except (EOFError, ConnectionResetError):
                    code = self._replace(connection)
                    del busy[connection], last[connection]
                    shared.give_back(claim, trained=False)
                    shared.report(number, -done[number], 0)
                    done[number] = 0
                    if number in retried:
                        failures.append(RunError(DIED.format(len(claim.replicas), died_of(code))))
                    else:
                        retried.add(number)
                        queue.append((number, (claim.replicas, engine)))
                    continue
                if kind == "progress":
                    done[number] += content[0]
                    shared.report(number, *content)
                    continue
                del busy[connection]
                shared.give_back(claim, kind == "done")
                if kind == "failed":
                    failures.append(content)
        for failure in failures:
            raise failure

    def _replace(self, connection: Connection) -> int:
        """A new worker for one that died, whose exit code this is."""
        dead = self.workers.pop(connection)
        dead.join()
        connection.close()
        self.workers.update([self._start()])
        return dead.exitcode


def in_the_way() -> tuple[str, str] | None:
    """(name, file) of what a worker would import instead of a module that was imported here; None if nothing.

    A user's `benchmark.py`, say, in the directory where he stands. Where two installed packages bring a module of one
    name along, as Jupyter's debugger and omegaconf do, that is theirs to know.
    """
    path = [entry or ORIGINAL_DIR for entry in sys.path]
    for name, module in list(sys.modules.items()):
        own = getattr(getattr(module, "__spec__", None), "origin", None)
        if "." in name or name == "__main__" or not own or not os.path.isfile(own):
            continue
        found = PathFinder.find_spec(name, path)
        other = (found and found.origin) or ""
        installed = {"site-packages", "dist-packages"} & set(Path(other).parts)  # the latter by Debian's own Python
        if not installed and os.path.isfile(other) and not os.path.samefile(other, own):
            return name, other
    return None


def _choose(tiles: Sequence[Tile], own: tuple | None, others: set[tuple]) -> int | None:
    """The next tile for a worker: of its own architecture, else of one that no other worker trains, else of any.

    So that programs are compiled side by side. None if there are no tiles.
    """
    kinds = [architecture(replicas[0]) for replicas, _ in tiles]
    ranks = [0 if kind == own else 1 if kind not in others else 2 for kind in kinds]
    return min(range(len(tiles)), key=lambda i: ranks[i], default=None)


def train_tile(store: Any, tile: Sequence[Replica], engine: Engine, report: Callable[[int, int], None]) -> None:
    """From wherever an interrupted run left the tile to its shard."""
    from benchmark.training.engine import train

    checkpoint = store.checkpoint(tile, engine)
    store.write(tile, train(tile, engine, report, checkpoint))
    checkpoint.clear()


def died_of(code: int) -> str:
    """Why a worker ended, from its process's exit code.

    >>> died_of(-11), died_of(3)
    ('it died of SIGSEGV; engine.mode=eager trains without compiled code', 'it ended with exit code 3')
    """
    if code == -signal.SIGKILL:
        return KILLED
    if code < 0:
        return f"it died of {signal.Signals(-code).name}; engine.mode=eager trains without compiled code"
    return NOT_BEGUN if code == 1 else f"it ended with exit code {code}"


def failure(tile: Sequence[Replica], error: Exception | SystemExit) -> RunError:
    """What is told of a tile that could not be trained."""
    if isinstance(error, RunError):
        return error
    if isinstance(error, OSError | MemoryError):
        said = told(error)[1]
    else:
        said = unexpected(error)
        if os.environ.get("BENCHMARK_TRACEBACK"):
            traceback.print_exception(error)
    return RunError(f"{tile[0].cell.model} could not be trained ({len(tile)} networks). {said}")


def _work(connection: Connection, folder: Path) -> None:
    """A worker's life: tiles in, progress and shards out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ending = threading.Event()

    def end(*_: object) -> None:
        ending.set()
        sys.exit()  # in order, so that no semaphore is left behind

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import benchmark.training.engine  # noqa: F401  torch is loaded while the tiles are prepared
    from benchmark.results.store import Store

    store = Store(folder)
    imported: set[str | None] = {None}
    while not ending.is_set():  # for a tile's own SystemExit, which somebody's unit may raise, ends no worker
        tile, engine = connection.recv()
        try:
            _check_code(tile, imported)
            train_tile(store, tile, engine, lambda *progress: connection.send(("progress", progress)))
            connection.send(("done", None))
        except (Exception, SystemExit) as error:
            if not ending.is_set():
                connection.send(("failed", error if isinstance(error, UsageError) else failure(tile, error)))


def _check_code(tile: Sequence[Replica], imported: set[str | None]) -> None:
    """UsageError where a worker, which imports a user's code anew, has not got the code that was asked for.

    imported: what it has got, by `Specification.source`; files may be edited later, as they are imported once.
    """
    for specification in (replica.cell.specification for replica in tile):
        if specification.source not in imported:
            if specification.source != source(specification.model.foreign):
                name = specification.model.foreign[0]
                raise UsageError(f"The code of {name} was edited while this ran; run the same command again")
            imported.add(specification.source)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
