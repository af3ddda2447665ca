"""What the engine relies on, tried out on networks of units that are not ours before anything is trained.

That units keep their contract, and that the program made of them computes what they do.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.asked.data import EvaluationSet
from benchmark.asked.replicas import Cell, Replica
from benchmark.asked.streams import Draw
from benchmark.errors import UsageError, unexpected
from benchmark.training.eager import Eager
from benchmark.training.engine import Trainer, settled
from benchmark.training.fused.trace import NotFusable
from benchmark.training.fused.trainer import Fused
from benchmark.training.networks import Network
from benchmark.training.optimizers import corrections
from benchmark.training.steps import of_parameters
from benchmark.units import Rows, Unit
from benchmark.units.rows import seeded

SEEDS = (1, 2)
BATCH = 16
AWAY = 0.05  # parameters are tried out this far from where they start, where they may all be equal
COMPARED = range(8)  # seeds of the replicas with which a program is tried out
APART = 0.01  # relative difference from which on two numbers are no roundings of one


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
                f"{_name(unit)}.initial returns {_spelled(found)} for two replicas, where {_spelled(shapes)} is right"
            )
        if not all(_same(drawn[0][own], torch.cat([one[own] for one in drawn[1:]])) for own in shapes):
            raise UsageError(f"{_name(unit)}.initial follows from more than a replica's seed; `draw` must draw it all")
    return _near_start(network, SEEDS)


def _near_start(network: Network, seeds: Sequence[int]) -> np.ndarray:
    """Parameters up to AWAY from those that a network starts from, [replica, parameter]."""
    draw = Draw(torch.tensor(seeds))
    start = network.initial(draw)
    rows = torch.cat([start[own].reshape(len(seeds), -1) for own, _ in network.named_parameters()], 1)
    return (rows + draw.uniform((rows.shape[1],), -AWAY, AWAY)).numpy()


def _check_computing(cell: Cell, name: str, rows: np.ndarray) -> None:
    beside, again, first, second = (_computed(cell, seeds, rows) for seeds in ((0, 1), (0, 1), (0,), (1,)))
    y, repeated, others = (each[..., : BATCH // 2] for each in beside[-3:])
    if not all(map(_same, beside, again)) or not _same(y, repeated):
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
    if not _same(y, others):
        raise UsageError(f"{name} computes an example otherwise beside others; it must not mix the examples of a batch")


def _computed(cell: Cell, chosen: Sequence[int], rows: np.ndarray) -> list[Tensor]:
    """What comes of replicas that train together, each [replica, ...].

    Their state and sparsity error after a step, the outputs, these again, and those of the first half of the examples,
    twice.
    """
    run = Eager([Replica(cell, SEEDS[i]) for i in chosen], torch.device("cpu"))
    for network in (run.step.network, run.step.training):
        for unit in network.units:
            unit.register_forward_hook(_check_output)
    run.load(_started(run, cell, rows[list(chosen)]))
    run.step.parameters.project(run.theta)
    _check_terms(run)
    _advance(run, cell)
    x = run.batches(0, 1)[0][0]
    twice = torch.cat([x[..., : BATCH // 2]] * 2, -1)
    with torch.no_grad():
        outputs = [run.step.forward(run.theta, each)[: run.count] for each in (x, x, twice)]
    return [torch.from_numpy(run.rows()), torch.from_numpy(run.sparsity()), *outputs]


def _started(run: Trainer, cell: Cell, rows: np.ndarray) -> np.ndarray:
    """The state before the first step, with these parameters."""
    theta = rows.astype(cell.specification.protocol.dtype)
    return np.stack([theta, *(np.full_like(theta, start) for start in run.step.slots)], 1)


def _advance(run: Trainer, cell: Cell) -> None:
    """A step with every regularizer at its full strength."""
    first = corrections(range(1), cell.specification.protocol.optimizer)[0]
    run.advance(0, np.array([[*first, *np.ones(len(run.step.terms))]]), None)


@settled()
@seeded(0)
def check_program(cell: Cell, device: str) -> None:
    """Raise NotFusable where the program of a cell's network computes something else than torch does.

    That is no matter of rounding: outputs, sparsity errors or parameters' gradients of most replicas differ by more
    than a hundredth, and by more than another precision makes of them. Raises it too where the generator does not know
    the network, and CannotBuild.
    """
    other = "float32" if cell.specification.protocol.dtype == "float64" else "float64"
    protocol = replace(cell.specification.protocol, dtype=other)
    again = replace(cell, specification=replace(cell.specification, protocol=protocol))
    tile, likewise = ([Replica(one, seed) for seed in COMPARED] for one in (cell, again))
    fused, eager = Fused(tile, torch.device(device)), Eager(tile, torch.device("cpu"))
    rows = _near_start(eager.step.network, COMPARED)
    ours, theirs = _told(fused, rows, tile), _told(eager, rows, tile)
    try:
        rounded = _told(Eager(likewise, torch.device("cpu")), rows, likewise)
    except Exception:  # a unit of one's own may know one precision
        rounded = theirs
    for what in ours:
        unlike = _unlike(ours[what], theirs[what], rounded[what])
        if unlike.mean() > (APART if what == "outputs" else 0):  # at a few points any rounding may decide
            raise NotFusable(f"its program computes other {what} than torch, {unlike.sum()} of {unlike.size}")


def _told(run: Trainer, rows: np.ndarray, tile: Sequence[Replica]) -> dict[str, np.ndarray]:
    """What comes of these parameters, each float64 [replica, number]."""
    cell = tile[0].cell
    dtype = getattr(torch, cell.specification.protocol.dtype)
    start = _started(run, cell, rows)
    run.load(start)
    sets = (EvaluationSet.of_range(name, tile, dtype) for name in ("interpolation", "extrapolation"))
    told = {"outputs": torch.cat([run.outputs(data) for data in sets], 1).cpu().numpy()}
    told |= {"sparsity errors": run.sparsity()[:, None]}
    _advance(run, cell)
    # The first slot of an optimizer is made of the gradient; what it makes of that may depend on the sign alone.
    told |= {"gradients": run.rows()[:, 1] if run.step.slots else run.rows()[:, 0] - start[:, 0]}
    return {what: values.astype(float) for what, values in told.items()}


def _unlike(ours: np.ndarray, theirs: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """Which numbers differ in more than half of the replicas, [number].

    ours, theirs, rounded: [replica, number], the last one theirs in another precision, which tells what rounding does.
    """
    with np.errstate(invalid="ignore"):  # of infinities and nan
        large = np.quantile(np.where(np.isfinite(theirs), abs(theirs), 0.0), 0.9, axis=1, keepdims=True)
        near = abs(ours - theirs) <= APART * (abs(theirs) + APART * large) + 10 * abs(rounded - theirs)
    alike = near | (ours == theirs) | ~(np.isfinite(ours) | np.isfinite(theirs))
    return alike.mean(0) < 0.5


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


def _spelled(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "nothing"
