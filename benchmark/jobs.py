"""Jobs of a sweep that one of Hydra's launchers runs in other processes, or on other machines.

Whatever launches it, such a job tells what becomes of it in a file `<job number>/job.json` of the sweep's folder, which
lies among the results and is shared as they are. From there the process that was started at the terminal knows how many
jobs wait and run, and how each ended.
"""

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from benchmark.errors import doing, located

TOLD_EVERY = 1.0  # seconds between two looks at how far the jobs are
QUEUE_EVERY = 10  # seconds between two looks into SLURM's queue
JOBS = "BENCHMARK_JOBS"  # environment: how many jobs the sweep has


@dataclass
class Asked:
    """What a job has results of: the digest of each of its cells, and their folder.

    elsewhere: published tables that it names though its protocols' own is another -> its cells beside them.
    """

    folder: str
    cells: list[tuple[tuple[str, ...], str]]
    elsewhere: dict[str, list[tuple[str, ...]]]


@dataclass
class Ended:
    """How a job ended: exit code and sentence of a failure, and what it has results of, if anything."""

    code: int
    told: str
    asked: Asked | None


def launched(hydra: Any) -> Path | None:
    """The folder of this job in its sweep's, where a launcher has begun it; None where the command itself runs it."""
    target = str(hydra.launcher.get("_target_", ""))
    if hydra.mode is None or hydra.mode.name != "MULTIRUN" or target.startswith("hydra._internal."):
        return None
    return Path(hydra.runtime.output_dir)


def at_once(hydra: Any) -> int:
    """How many jobs of a sweep share this machine's cores: those that joblib or submitit start here at once."""
    jobs = int(os.environ.get(JOBS) or 1)
    target = str(hydra.launcher.get("_target_", ""))
    if target.endswith("JoblibLauncher"):
        import joblib

        return min(jobs, joblib.effective_n_jobs(hydra.launcher.n_jobs))
    return jobs if target.endswith("submitit_launcher.LocalLauncher") else 1


def tell(folder: Path, ended: Ended | None = None) -> None:
    """Say in a job's folder that it runs, or how it ended."""
    from benchmark.results.tables import write_text

    write_text(folder / "job.json", json.dumps(None if ended is None else asdict(ended)))


class Sweep:
    """The jobs of a sweep that somebody else runs, seen from the terminal."""

    def __init__(self, overrides: Sequence[str]):
        from hydra.core.override_parser.overrides_parser import OverridesParser

        parsed = OverridesParser.create().parse_overrides(list(overrides))
        plain = {one.key_or_group: str(one.value()) for one in parsed if not one.is_sweep_override()}
        self.launcher = plain.get("hydra/launcher", "")
        name = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}-{secrets.token_hex(2)}"
        among = located("results", plain["results"] if plain.get("results", "None") != "None" else "results")
        own = plain.get("hydra.sweep.dir")
        self.folder = located("hydra.sweep.dir", own) if own else among / "sweeps" / name
        swept = [len(list(one.sweep_string_iterator())) for one in parsed if one.is_sweep_override()]
        # What is searched by another sweeper than Hydra's own is not known beforehand.
        self.jobs = prod(swept) if plain.get("hydra/sweeper", "basic") == "basic" else None
        os.environ[JOBS] = str(self.jobs or 1)

    def _files(self) -> dict[int, Path]:
        found = {path.parent.name: path for path in self.folder.glob("*/job.json")}
        return {int(name): found[name] for name in found if name.isdecimal()}

    def _ended(self) -> dict[int, Ended | None]:
        """How each job ended that began; None if it has not."""
        from benchmark.results.shards import patiently

        jobs: dict[int, Ended | None] = {}
        for number, path in sorted(self._files().items()):
            with suppress(FileNotFoundError):
                told = json.loads(patiently(path.read_bytes))
                asked = told and told["asked"]
                jobs[number] = told and Ended(told["code"], told["told"], asked and _asked(asked))
        return jobs

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Tell how many jobs wait, run and are done, whenever that changes; and let a lost job cost only itself."""
        over = threading.Event()

        def watch() -> None:
            last = None
            while not over.wait(TOLD_EVERY):
                jobs = self._ended()
                done = sum(ended is not None for ended in jobs.values())
                waiting = "" if self.jobs is None else f"{self.jobs - len(jobs)} waiting, "
                told = f"Jobs: {waiting}{len(jobs) - done} running, {done} done"
                if told != last:
                    doing(told)
                last = told

        threading.Thread(target=watch, daemon=True).start()
        try:
            with _patient() if self.launcher.startswith("submitit") else nullcontext():
                yield
        finally:
            over.set()

    def ends(self, failed: bool) -> tuple[list[Asked], list[tuple[int, str]]]:
        """What the jobs have results of, and (exit code, sentence) of each that failed or was lost.

        failed: the launcher did, which is told already: where no job began that is all. A folder that holds
        neither failures nor a launcher's logs is removed.
        """
        jobs = self._ended()
        asked: list[Asked] = []
        failures: list[tuple[int, str]] = []
        if failed and not jobs:
            return asked, failures
        for number in range(max([self.jobs or 0, *(number + 1 for number in jobs)])):
            ended = jobs.get(number)
            if number not in jobs:
                failures.append((1, f"Job {number} has not begun{self._logs()}"))
            elif ended is None:
                failures.append(
                    (1, f"Job {number} ended without a word: killed, or out of memory or time{self._logs()}")
                )
            else:
                asked += [ended.asked] if ended.asked else []
                failures += [(ended.code, f"Job {number}: {ended.told}")] if ended.told else []
        if not failures and not self._logs() and self.folder.parent.name == "sweeps":
            shutil.rmtree(self.folder)
            with suppress(OSError):  # of other sweeps something is left
                self.folder.parent.rmdir()
        return asked, failures

    def _logs(self) -> str:
        logs = self.folder / ".submitit"
        return f"; what it printed lies in {logs}" if logs.is_dir() else ""


def _asked(told: dict[str, Any]) -> Asked:
    cells = [(tuple(names), digest) for names, digest in told["cells"]]
    return Asked(told["folder"], cells, {name: [*map(tuple, of)] for name, of in told["elsewhere"].items()})


@contextmanager
def _patient() -> Iterator[None]:
    """submitit's launcher waits for all jobs, where it would leave at the first that was killed.

    Which of them SLURM still has its queue tells. submitit asks the accounting, which not every cluster has: it would
    wait for ever there for a job that was cancelled.
    """
    import submitit
    from hydra.core.utils import JobReturn, JobStatus
    from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

    class Queue(SlurmInfoWatcher):
        def _make_command(self) -> list[str]:
            return ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]

        def read_info(self, string: bytes) -> dict[str, dict[str, str]]:
            return states(string.decode(), self._registered)

    original, accounting = submitit.Job.results, SlurmJob.watcher

    def results(job: Any) -> list[Any]:
        try:
            return original(job)
        except Exception:  # `ends` tells of it
            return [JobReturn(status=JobStatus.COMPLETED)]

    submitit.Job.results, SlurmJob.watcher = results, Queue(delay_s=QUEUE_EVERY)
    try:
        yield
    finally:
        submitit.Job.results, SlurmJob.watcher = original, accounting


def states(queue: str, jobs: Iterable[str]) -> dict[str, dict[str, str]]:
    """What submitit is to know of each job: its state in SLURM's queue, or GONE from there, whatever became of it.

    >>> states("7_0 RUNNING\\n7_1 PENDING\\n", ["7_0", "7_2"])
    {'7_0': {'State': 'RUNNING'}, '7_2': {'State': 'GONE'}}
    """
    queued = dict(line.split() for line in queue.splitlines())
    return {job: {"State": queued.get(job, "GONE")} for job in jobs}
