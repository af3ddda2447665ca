"""What the engine relies on, tried out on networks of units that are not ours before anything is trained."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.asked.replicas import Cell, Replica
from benchmark.asked.streams import Draw
from benchmark.errors import UsageError, unexpected
from benchmark.training.eager import Eager
from benchmark.training.engine import settled
from benchmark.training.optimizers import corrections
from benchmark.training.steps import of_parameters
from benchmark.units import Rows, Unit
from benchmark.units.rows import seeded

SEEDS = (1, 2)
BATCH = 16
AWAY = 0.05  # parameters are tried out this far from where they start, where they may all be equal


@settled()
def check(cell: Cell) -> None:
    """Raise UsageError where a cell's network breaks what a replica's numbers rest on.

    They follow from its parameters and inputs alone, those from its seed, and every example is computed by itself.
    """
    specification = cell.specification
    small = replace(specification, protocol=replace(specification.protocol, batch=BATCH, samples=None))
    trial = replace(cell, specification=small)
    name = " or ".join(dict.fromkeys(specification.model.foreign))
    try:
        with seeded(0):
            _check_computing(trial, name, _check_starting(trial))
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # whatever somebody's unit raises
        if "does not require grad" in str(error):
            raise UsageError(f"{name} returns what does not depend on its parameters; nothing can be trained") from None
        raise UsageError(f"{name} cannot compute several replicas at once: {unexpected(error)}") from None


def _check_starting(cell: Cell) -> np.ndarray:
    """Parameters near those that the units start from, [replica, parameter]."""
    network = Eager([Replica(cell, SEEDS[0])], torch.device("cpu")).step.network
    for unit in network.units:
        for own, parameter in unit.named_parameters():
            if not parameter.requires_grad:
                raise UsageError(
                    f"{_name(unit)}: the parameter {own} has requires_grad=False, and every parameter is trained; "
                    f"make what is constant an attribute of the unit that is no parameter"
                )
        shapes = {own: (len(SEEDS), *parameter.shape) for own, parameter in unit.named_parameters()}
        drawn = [unit.initial(Draw(torch.tensor(seeds))) for seeds in (SEEDS, SEEDS[:1], SEEDS[1:])]
        found = {own: tuple(value.shape) for own, value in drawn[0].items()}
        if found != shapes:
            raise UsageError(
                f"{_name(unit)}.initial returns {_told(found)} for two replicas, where {_told(shapes)} is right"
            )
        if not all(_same(drawn[0][own], torch.cat([one[own] for one in drawn[1:]])) for own in shapes):
            raise UsageError(f"{_name(unit)}.initial follows from more than a replica's seed; `draw` must draw it all")
    start = network.initial(Draw(torch.tensor(SEEDS)))
    rows = torch.cat([start[own].reshape(len(SEEDS), -1) for own, _ in network.named_parameters()], 1)
    return (rows + Draw(torch.tensor(SEEDS)).uniform((rows.shape[1],), -AWAY, AWAY)).numpy()


def _check_computing(cell: Cell, name: str, rows: np.ndarray) -> None:
    beside, again, first, second = (_computed(cell, seeds, rows) for seeds in ((0, 1), (0, 1), (0,), (1,)))
    if not all(map(_same, beside, again)):
        raise UsageError(
            f"{name} does not compute the same twice; it must not draw as it computes, nor change what it keeps "
            f"(a Unit with noisy = True is given noise)"
        )
    alone = [torch.cat(each) for each in zip(first, second, strict=True)]
    if not all(map(_same, beside, alone)):
        raise UsageError(
            f"{name} computes a replica otherwise beside another than alone; nothing may be taken over the axes of "
            f"replicas, which come first: count axes from the last"
        )
    y, others = (each[..., : BATCH // 2] for each in beside[-2:])
    if not _same(y, others):
        raise UsageError(f"{name} computes an example otherwise beside others; it must not mix the examples of a batch")


def _computed(cell: Cell, chosen: Sequence[int], rows: np.ndarray) -> list[Tensor]:
    """What comes of replicas that train together, each [replica, ...].

    Their state and sparsity error after a step, the outputs, and those of the first half of the examples, twice.
    """
    run = Eager([Replica(cell, SEEDS[i]) for i in chosen], torch.device("cpu"))
    for network in (run.step.network, run.step.training):
        for unit in network.units:
            unit.register_forward_hook(_check_output)
    theta = rows[list(chosen)].astype(cell.specification.protocol.dtype)
    run.load(np.stack([theta, *(np.full_like(theta, start) for start in run.step.slots)], 1))
    run.step.parameters.project(run.theta)
    _check_terms(run)
    run.advance(0, np.array([[*corrections(range(1), run.protocol.optimizer)[0], *np.ones(len(run.step.terms))]]), None)
    x = run.batches(0, 1)[0][0]
    twice = torch.cat([x[..., : BATCH // 2]] * 2, -1)
    with torch.no_grad():
        y, others = (run.step.forward(run.theta, each)[: run.count] for each in (x, twice))
    return [torch.from_numpy(run.rows()), torch.from_numpy(run.sparsity()), y, others]


def _check_output(unit: torch.nn.Module, given: tuple[Tensor, ...], y: Any) -> None:
    assert isinstance(unit, Unit)
    right = (*given[0].shape[:-2], unit.outputs, given[0].shape[-1])
    if isinstance(y, Tensor) and y.shape == right and y.dtype == given[0].dtype:
        return
    got = f"{list(y.shape[1:])} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
    axes = "outputs × examples" + (", which it has in rows" if isinstance(unit, Rows) else "")
    raise UsageError(f"{_name(unit)} returns {got} where {list(right[1:])} of {given[0].dtype} is right, {axes}")


def _check_terms(run: Eager) -> None:
    """Effective weights are matrices of each replica, and a regularizer is a number for each."""
    network, named, count = run.step.network, run.step.parameters.unflat(run.theta), len(run.padded)
    for W in of_parameters("effective_weights", network, named):
        if W.dim() != 3 or len(W) != count:
            raise UsageError(f"effective weights are [replica, out, in], and here they are of shape {list(W.shape)}")
    terms, x = list(run.step.terms), run.batches(0, 1)[0][0]
    for (term, _), value in zip(terms, functional_call(network, named, (x, terms))[1], strict=True):
        if value.shape != (count,):
            raise UsageError(f"the regularizer {term} is one number a replica, and here it is of {list(value.shape)}")


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(((a == b) | (a.isnan() & b.isnan())).all())


def _name(unit: torch.nn.Module) -> str:
    return type(unit.module if isinstance(unit, Rows) else unit).__name__


def _told(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "nothing"
