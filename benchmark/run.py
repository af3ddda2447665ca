"""Train what the store lacks, and derive the tables: the plain Python entry."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from benchmark.asked import configs
from benchmark.asked.classes import session_only
from benchmark.asked.configs import Request
from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import CELL, Cell, Replica, architecture
from benchmark.asked.tasks import plane_points
from benchmark.errors import RunError, UsageError, doing, to_stderr, told
from benchmark.reading import Reading
from benchmark.results import statistics
from benchmark.results.claims import Claims
from benchmark.results.store import Store
from benchmark.showing import published
from benchmark.showing.notebook import bar
from benchmark.training.cost import WORTH_WORKERS, seconds
from benchmark.training.workers import Pool, Shared, Tile, cores, failure, train_tile


@dataclass(repr=False)
class Results(Reading):
    """The tables of a results folder by name, the cells that were asked for, and what a reader should know.

    trained: how many replicas this run trained. changed: whether a table on disk changed. notes: sentences about
    replicas that the tables leave out.
    """

    request: Request
    trained: int
    changed: bool
    notes: list[str]

    def asked(self, name: str) -> pd.DataFrame:
        """The rows of a table that belong to the cells asked for."""
        table = super().asked(name)
        wanted = pd.MultiIndex.from_tuples([cell.names for cell in self.request.cells], names=CELL)
        return table[pd.MultiIndex.from_frame(table[CELL]).isin(wanted)].reset_index(drop=True)

    def configured(
        self, rows: pd.DataFrame, models: Sequence[str], config_dir: str | Path | None = None
    ) -> dict[tuple, Cell]:
        """The cells that were asked for, by their names."""
        return {cell.names: cell for cell in self.request.cells}


def run(request: Request | None = None, /, **names) -> Results:
    """Train a request's missing replicas and bring the folder's tables up to date.

    A notebook names things as the command line does (see `configs.compose`):
    run(models=["nalu"], tasks=["mul"], overrides=["protocol.seeds=3"]). A script that uses more than one worker must
    call it under `if __name__ == "__main__":`, because workers import the script.

    Raises UsageError for an impossible request, RunError where a tile could not be trained; what was finished is kept
    and in the tables.
    """
    request = request or configs.compose(**names)
    store = Store(request.results)
    try:
        trained = train_missing(request, store)
    except (RunError, KeyboardInterrupt):
        keep(request, store)
        raise
    return gather(request, trained, store)


def train_missing(request: Request, store: Store, share: int = 1, shown: bool = True) -> int:
    """Train what the store lacks of a request: how many replicas; RunError where a tile could not be trained.

    share: so many processes do the like at once on this machine. shown: with a bar.
    """
    for note in request.notes():
        to_stderr(f"note: {note}")
    engine = request.engine
    replicas = request.replicas()
    missing = store.missing(replicas)
    workers = workers_for(missing, engine, share)
    if workers > 1 and (bound := _bound_here(missing)):
        workers = 1
        said = f"{', '.join(bound)}: no worker can import what is in no file, so that all is trained in this process"
        to_stderr(f"note: {said}; from a module it is trained on every core")
    if engine.device != "cuda" and (days := seconds(missing) / workers / 86_400) > 1:
        said = f"{len(missing):,} networks take this machine about {days:,.0f} days"
        to_stderr(f"note: {said}; what is finished is kept, and the same command goes on from there")
    if not missing:
        store.sweep()
        return 0
    trained = 0
    # Workers start first: they load torch while the tiles are prepared.
    with Pool(workers, store.folder) if workers > 1 and len(missing) > 1 else nullcontext() as pool:
        from benchmark.training.tiles import tiles

        _check_units(missing)
        with Claims(store) as claims:
            # What others leave undone is cut anew: they may have cut it otherwise, and left a checkpoint.
            while missing := claims.wait(missing):
                networks = f"{len(missing):,} network{'s' * (len(missing) > 1)}"
                doing(f"Preparing {networks}: programs of a new architecture are compiled first …")
                work = tiles(missing, engine, workers, replicas, store.begun(missing))
                store.prepare()
                with Progress(missing, len(work), shown) as progress:
                    shared = Shared(claims, progress, progress.leave_out)
                    if pool is not None:
                        pool.train(work, shared)
                    else:
                        _train_here(store, work, shared)
                trained += shared.trained
    return trained


def _train_here(store: Store, work: Sequence[Tile], shared: Shared) -> None:
    """Train all tiles in this process; the first failure is raised after the others are finished, as by workers."""
    failures: list[Exception] = []
    for number, (tile, definite) in enumerate(work):
        if (claim := shared.take(tile)) is None:
            continue
        known = len(failures)
        try:
            train_tile(store, claim.replicas, definite, partial(shared.report, number))
        except UsageError as error:
            failures.append(error)
        except (Exception, SystemExit) as error:
            failures.append(failure(claim.replicas, error))
        shared.give_back(claim, len(failures) == known)
    if failures:
        raise failures[0]


def gather(request: Request, trained: int = 0, store: Store | None = None) -> Results:
    """The results of a request's folder, its tables on disk brought up to date, without training."""
    store = store or Store(request.results)
    store.missing([])  # refuses to drop rows whose shards are gone
    tables, notes, changed = derive(store, asked(request))
    return Results(store.folder, tables, request, trained, changed, notes)


def keep(request: Request, store: Store) -> None:
    """The tables brought up to date after what ended a run, which is the news; what stands in the way is told."""
    try:
        gather(request, store=store)
    except Exception as error:
        to_stderr(told(error)[1])


def asked(request: Request) -> dict[tuple, str]:
    """The digest of each cell asked for."""
    return {cell.names: cell.specification.digest for cell in request.cells}


def workers_for(replicas: Sequence[Replica], engine: Engine, share: int = 1) -> int:
    """How many processes train them: as asked for, or as many as pay; share: where so many use this machine."""
    little = engine.device == "cuda" or seconds(replicas) < WORTH_WORKERS
    return min(engine.workers or (1 if little else max(1, cores() // share)), max(1, len(replicas)))


def _bound_here(replicas: Sequence[Replica]) -> list[str]:
    """The models whose classes were made in this process, as in a notebook."""
    models = {replica.cell.model: replica.cell.specification.model for replica in replicas}
    return [name for name, model in models.items() if any(map(session_only, model.foreign))]


def _check_units(replicas: Sequence[Replica]) -> None:
    """Refuse names and options that make no unit, and units that break the contract, before anything is written."""
    from benchmark.training.networks import build
    from benchmark.training.trial import check

    for cell in {id(replica.cell): replica.cell for replica in replicas}.values():
        build(cell.specification)
    for replica in {architecture(r): r for r in replicas if r.cell.specification.model.foreign}.values():
        check(replica.cell)


class Progress:
    """A bar over all replica-steps: done, per second, time left, and how many replicas are solved so far.

    Silent without a terminal or a notebook.
    """

    def __init__(self, replicas: Sequence[Replica], tiles: int, shown: bool = True):
        self.bar = bar(_steps(replicas), shown)
        self.replicas, self.solved = len(replicas), [0] * tiles

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def leave_out(self, replicas: Sequence[Replica]) -> None:
        """These are trained by another process."""
        self.replicas -= len(replicas)
        self.bar.total -= _steps(replicas)

    def __call__(self, tile: int, steps: int, solved: int) -> None:
        """`steps` more replica-steps of the tile with this number are done, of whose replicas `solved` are solved."""
        self.solved[tile] = solved
        self.bar.set_postfix_str(f"solved {sum(self.solved)}/{self.replicas}", refresh=False)
        self.bar.update(steps)


def _steps(replicas: Sequence[Replica]) -> int:
    return sum(replica.cell.specification.protocol.steps for replica in replicas)


def derive(store: Store, asked: Mapping[tuple, str] | None = None) -> tuple[dict[str, pd.DataFrame], list[str], bool]:
    """(tables by name, sentences about what they leave out, whether a file changed), from the shards.

    asked: cell -> digest of the configuration that counts, where there are several (see `Store.rows`).
    """
    if not store.shards():
        return {}, [], False
    with store.lock:
        tables, notes = derived(store, asked)
        if (comparison := published.compare(tables, store)) is not None:
            tables["comparison"] = comparison
        return tables, notes, store.save(tables)


def derived(
    store: Store, asked: Mapping[tuple, str] | None = None, alone: bool = False
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """What `derive` derives, but for the numbers beside published ones; alone: of the cells asked for only."""
    measured, notes = store.measurements(asked, alone)
    parts = [_of_cells(some) for some in measured]
    if not parts:
        return {}, notes
    tables = dict(parts[0]) | {  # a table without rows does not know its columns' kinds
        name: pd.concat(own, ignore_index=True)
        for name in {name: None for part in parts for name in part}
        if (own := [part.pop(name) for part in parts if len(part.get(name, ()))])
    }
    known = (tables.get(name) for name in ("profile", "cells", "initialisation", "outputs"))
    tables["summary"] = statistics.summary(tables["outcomes"], *known)
    return tables, notes


def _of_cells(measured: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of some cells, but for the summary."""
    runs, curves = measured["runs"], measured["curves"]
    outcomes = statistics.outcomes(runs, curves)
    diverged = outcomes["verdict"] == "diverged"
    tables = {
        "outcomes": outcomes,
        "profile": statistics.profile(runs, measured["profiles"], diverged),
        "cells": statistics.cells(runs),
        "plane": statistics.plane(runs, measured["planes"], diverged, plane_points()),
        "responses": statistics.responses(runs, measured["responses"]),
        "initialisation": statistics.initialisation(runs, curves),
        "curves": statistics.thin(runs, curves),
    }
    if len(measured["outputs"]):
        tables["outputs"] = statistics.outputs(runs, measured["outputs"], diverged)
    return tables
