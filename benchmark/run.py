"""Train what the store lacks, and derive the tables: the plain Python entry."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from benchmark.asked import configs
from benchmark.asked.configs import Request
from benchmark.asked.replicas import CELL, Replica
from benchmark.asked.tasks import plane_points
from benchmark.errors import RunError, UsageError
from benchmark.results import statistics
from benchmark.results.store import Store
from benchmark.training.cost import WORTH_WORKERS, seconds
from benchmark.training.workers import Pool, Tile, failure, train_tile


@dataclass
class Results:
    """The tables of a results folder by name, the cells that were asked for, and what a reader should know.

    trained: how many replicas this run trained. changed: whether a table on disk changed. notes: sentences about
    replicas that the tables leave out.
    """

    folder: Path
    tables: dict[str, pd.DataFrame]
    request: Request
    trained: int
    changed: bool
    notes: list[str]

    def asked(self, name: str) -> pd.DataFrame:
        """The rows of a table that belong to the cells asked for."""
        table = self.tables[name]
        wanted = pd.MultiIndex.from_tuples([cell.names for cell in self.request.cells], names=CELL)
        return table[pd.MultiIndex.from_frame(table[CELL]).isin(wanted)].reset_index(drop=True)

    @property
    def outcomes(self) -> pd.DataFrame:
        """One row for each replica asked for."""
        return self.asked("outcomes")

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each cell asked for and metric."""
        return self.asked("summary")


def run(request: Request | None = None, /, **names) -> Results:
    """Train a request's missing replicas and bring the folder's tables up to date.

    A notebook names things as the command line does (see `configs.compose`):
    run(models=["nalu"], tasks=["mul"], overrides=["protocol.seeds=3"]). A script that uses more than one worker must
    call it under `if __name__ == "__main__":`, because workers import the script.

    Raises UsageError for an impossible request, RunError where a tile could not be trained; what was finished is kept
    and in the tables.
    """
    request = request or configs.compose(**names)
    for note in request.notes():
        print(f"note: {note}", file=sys.stderr)
    store, engine = Store(request.results), request.engine
    replicas = request.replicas()
    missing = store.missing(replicas)
    little = engine.device == "cuda" or seconds(missing) < WORTH_WORKERS
    workers = min(engine.workers or (1 if little else _cores()), max(1, len(missing)))
    if engine.device != "cuda" and (days := seconds(missing) / workers / 86_400) > 1:
        told = f"{len(missing):,} networks take this machine about {days:,.0f} days"
        print(f"note: {told}; what is finished is kept, and the same command goes on from there", file=sys.stderr)
    try:
        if missing:
            # Workers start first: they load torch while the tiles are prepared.
            with Pool(workers, store.folder) if workers > 1 and len(missing) > 1 else nullcontext() as pool:
                from benchmark.training.tiles import tiles

                _check_units(missing)
                work = tiles(missing, engine, workers, replicas, store.begun(missing))
                store.prepare()
                with Progress(missing, len(work)) as progress:
                    if pool is not None:
                        pool.train(work, progress)
                    else:
                        _train_here(store, work, progress)
        else:
            store.sweep()
    except (RunError, KeyboardInterrupt):
        gather(request)
        raise
    return gather(request, trained=len(missing))


def _train_here(store: Store, work: Sequence[Tile], progress: "Progress") -> None:
    """Train all tiles in this process; the first failure is raised after the others are finished, as by workers."""
    failures: list[Exception] = []
    for number, (tile, definite) in enumerate(work):
        try:
            train_tile(store, tile, definite, partial(progress, number))
        except UsageError as error:
            failures.append(error)
        except Exception as error:
            failures.append(failure(tile, error))
    if failures:
        raise failures[0]


def gather(request: Request, trained: int = 0) -> Results:
    """The results of a request's folder, its tables on disk brought up to date, without training."""
    store = Store(request.results)
    tables, notes, changed = derive(store, {cell.names: cell.specification.digest for cell in request.cells})
    return Results(store.folder, tables, request, trained, changed, notes)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_units(replicas: Sequence[Replica]) -> None:
    """Refuse names and options that make no unit before anything is written."""
    from benchmark.training.networks import build

    for cell in {id(replica.cell): replica.cell for replica in replicas}.values():
        build(cell.specification)


class Progress:
    """A bar over all replica-steps: done, per second, time left, and how many replicas are solved so far.

    Silent without a terminal.
    """

    def __init__(self, replicas: Sequence[Replica], tiles: int):
        total = sum(replica.cell.specification.protocol.steps for replica in replicas)
        self.bar: tqdm = tqdm(total=total, unit=" replica-steps", unit_scale=True, disable=None, dynamic_ncols=True)
        self.replicas, self.solved = len(replicas), [0] * tiles

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def __call__(self, tile: int, steps: int, solved: int) -> None:
        """`steps` more replica-steps of the tile with this number are done, of whose replicas `solved` are solved."""
        self.solved[tile] = solved
        self.bar.set_postfix_str(f"solved {sum(self.solved)}/{self.replicas}", refresh=False)
        self.bar.update(steps)


def derive(store: Store, asked: Mapping[tuple, str] | None = None) -> tuple[dict[str, pd.DataFrame], list[str], bool]:
    """(tables by name, sentences about what they leave out, whether a file changed), from the shards.

    asked: cell -> digest of the configuration that counts, where there are several (see `Store.rows`).
    """
    if not store.shards():
        return {}, [], False
    with store.lock:
        measured, notes = store.measurements(asked)
        runs, curves = measured["runs"], measured["curves"]
        outcomes = statistics.outcomes(runs, curves)
        tables = {
            "outcomes": outcomes,
            "profile": statistics.profile(runs, measured["profiles"], outcomes["verdict"] == "diverged"),
            "cells": statistics.cells(runs),
            "plane": statistics.plane(runs, measured["planes"], outcomes["verdict"] == "diverged", plane_points()),
            "initialisation": statistics.initialisation(runs, curves),
            "curves": statistics.thin(runs, curves),
        }
        known = (tables[name] for name in ("profile", "cells", "initialisation"))
        tables["summary"] = statistics.summary(outcomes, *known)
        return tables, notes, store.save(tables)
