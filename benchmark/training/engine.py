"""The training loop: replicas of one architecture train together, and no replica sees another.

A replica's numbers are the same bit for bit alone and in any company; computed by a program of its own, on every
machine.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark import exact
from benchmark.asked.data import Batches, EvaluationSet
from benchmark.asked.protocol import Engine
from benchmark.asked.recipe import Restart, in_steps
from benchmark.asked.replicas import Replica
from benchmark.asked.streams import Draw
from benchmark.asked.tasks import threshold
from benchmark.training.eager import Eager
from benchmark.training.fused.trainer import Fused
from benchmark.training.networks import Network, build, representable
from benchmark.training.optimizers import corrections
from benchmark.training.steps import Step, of_parameters

SCHEDULED = 1 << 13  # steps of one call at most
REPORTED = 0.5  # seconds between two reports of progress
KEPT_EVERY = 60.0  # seconds of training that a killed run may lose, but for what lies between two evaluations
PER_REPLICA = ("selected", "lowest", "best", "output", "saturation", "attempts", "started")
STUCK = 0.01  # an effective weight that moves less than this with its parameters is saturated

Report = Callable[[int, int], None]


class Checkpoint(Protocol):
    """Where a tile's unfinished training is kept."""

    def load(self) -> dict[str, np.ndarray] | None:
        """What was saved last, if anything was."""

    def save(self, arrays: dict[str, np.ndarray]) -> None:
        """Keep this instead of what was saved before."""


@dataclass
class Measured:
    """What training a tile yields, one row a replica.

    steps: [evaluation]. interpolation, extrapolation (mean squared errors), sparsity: float64 [replica, evaluation].
    best: the selected evaluation [replica]. target_interpolation, target_extrapolation: mean squared targets [replica].
    profile_x, profile_error and profile_target (both mean absolute): [replica, x], with the selected parameters.
    plane_error, plane_target (absolute): float32 [replica, point of `tasks.plane_points`]; no points without a plane.
    response_x, response_target, response_answer (float32): [replica, point of `data.response_points`]; no points where
    inputs are no operands or outputs are several. output_error: mean absolute error of each of several outputs where it
    is judged, with the selected parameters: [replica, output]; no outputs where there is one.
    initial_output: root mean square output on the interpolation set before training, initial_saturation: see
    `saturation`, both [replica].
    threshold, representable ("yes", "no", "unknown") where networks are judged and why (not), representable_trained,
    each [replica], are known beforehand. parameters: name -> [replica, ...] at the selected step. engine: "eager" or
    "compiled". device: "cpu" or "cuda". seconds: wall time of the whole tile.
    """

    steps: np.ndarray
    interpolation: np.ndarray
    extrapolation: np.ndarray
    sparsity: np.ndarray
    best: np.ndarray
    target_interpolation: np.ndarray
    target_extrapolation: np.ndarray
    profile_x: np.ndarray
    profile_error: np.ndarray
    profile_target: np.ndarray
    plane_error: np.ndarray
    plane_target: np.ndarray
    response_x: np.ndarray
    response_target: np.ndarray
    response_answer: np.ndarray
    output_error: np.ndarray
    initial_output: np.ndarray
    initial_saturation: np.ndarray
    threshold: np.ndarray
    representable: np.ndarray
    why: np.ndarray
    representable_trained: np.ndarray
    parameters: dict[str, np.ndarray]
    engine: str
    device: str
    seconds: float


def saturation(network: Network, named: dict[str, Tensor]) -> Tensor:
    """The share of the effective weights that hardly move with their parameters: Σ |∂W/∂θ| < 0.01, [replica].

    0 where weights are parameters themselves; nan for a network without effective weights.
    """
    named = {name: value.detach().requires_grad_() for name, value in named.items()}
    stuck = []
    for W in of_parameters("effective_weights", network, named):
        # Alternating signs: weights that are normalised to a constant sum move, though their sum does not.
        signs = 1 - 2 * (torch.arange(W[0].numel(), device=W.device) % 2).view(W.shape[1:])
        gradients = torch.autograd.grad((signs * W).sum(), list(named.values()), allow_unused=True, retain_graph=True)
        own = [gradient.abs() for gradient in gradients if gradient is not None and gradient.shape == W.shape]
        stuck.append((torch.stack(own).sum(0) < STUCK if own else torch.ones_like(W, dtype=torch.bool)).flatten(1))
    if not stuck:
        return torch.full((len(next(iter(named.values()))),), torch.nan)
    return torch.cat(stuck, dim=1).double().mean(1)


class Trainer(Protocol):
    """How a tile's replicas are computed, eagerly or by a program of their own. name: "eager" or "compiled".

    columns of a schedule: the optimizer's two corrections, then each regularizer's strength. Rows of a state: theta,
    then the optimizer's slots, each of all parameters in order.
    """

    name: str
    step: Step

    def load(self, rows: np.ndarray) -> None:
        """Go on from this state, [replica, row, parameter]."""

    def rows(self) -> np.ndarray:
        """A copy of the state."""

    def advance(self, first: int, schedule: np.ndarray, watched: np.ndarray | None) -> None:
        """Train as many steps as the schedule has rows, from step `first` on.

        The batches' errors and their squares are added to watched, float64 [replica, 2].
        """

    def outputs(self, data: EvaluationSet) -> Tensor:
        """[replica, output · point], an output's points together, where they were computed."""

    def mean_squares(self, data: EvaluationSet) -> np.ndarray:
        """Mean squared error of each replica, float64; nan or inf where an output is not finite."""

    def sparsity(self) -> np.ndarray:
        """Each replica's sparsity error, float64."""


def trainer(tile: Sequence[Replica], engine: Engine, device: torch.device) -> Trainer:
    """What trains these replicas as the engine's settings, made definite, say."""
    if engine.mode == "compiled":
        return Fused(tile, device)
    return Eager(tile, device, engine.tile if device.type == "cuda" else None)


def errors(run: Trainer, data: EvaluationSet) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The size of the error y - t and of the target t, float64 [replica, point], of some replicas after the others.

    What is not finite counts as inf. Of several outputs the mean of those that are asked at a point.
    """
    for part, error, target in each_error(run, data):
        if data.outputs == 1:
            yield part, error[:, 0], target[:, 0]
        else:
            asked = ~target.isnan()
            both = [reduce(torch.add, own.where(asked, 0.0).unbind(1)) / asked.sum(1) for own in (error, target)]
            yield part, both[0], both[1]


def each_error(run: Trainer, data: EvaluationSet) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """The same of each output, [replica, output, point]; a target is nan where its output is not asked."""
    outputs = run.outputs(data)
    t, target_of = data.t.to(outputs.device), data.target_of.to(outputs.device)
    for part in parts(outputs):
        target = t[target_of[part]]
        error = (outputs[part].double() - target).abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
        each = (data.outputs, -1)
        yield part, error.unflatten(-1, each), target.abs().unflatten(-1, each)


def parts(outputs: Tensor) -> Iterator[slice]:
    """So many replicas at once that what is computed of them stays in a processor's cache, or keeps a GPU busy."""
    many = 1024 if outputs.is_cuda else 16
    return (slice(start, start + many) for start in range(0, len(outputs), many))


class State:
    """How far a tile has come: what was evaluated, and what that selected. All arrays are [replica, ...].

    selected: the parameters of the selected step. curves: [replica, evaluation, (interpolation, extrapolation,
    sparsity)], of which the first `recorded` evaluations are known. They are made at once: small arrays that stay, each
    made among large ones that go, break up the heap for good, by gigabytes in five thousand evaluations.
    lowest: the error that selected, best: its evaluation; attempts: restarts so far, started: the evaluation
    of the last one. losses: for each time between two evaluations the mean of the batches' errors and that of their
    squares, [replica, 2], where a restart looks at them.
    """

    def __init__(self, theta: np.ndarray, evaluations: int):
        replicas = len(theta)
        self.selected = theta.copy()
        self.losses: list[np.ndarray] = []
        self.lowest, self.best = np.full(replicas, np.inf), np.zeros(replicas, dtype=np.int64)
        self.curves, self.recorded = np.full((replicas, evaluations, 3), np.nan), 0
        self.output, self.saturation = np.zeros(replicas), np.zeros(replicas)
        self.attempts, self.started = np.zeros(replicas, dtype=np.int64), np.zeros(replicas, dtype=np.int64)

    def record(self, row: tuple[np.ndarray, np.ndarray, np.ndarray], theta: np.ndarray, select: str) -> None:
        """One more evaluation, of these parameters."""
        error = row[0] + row[1] if select == "sum" else row[0]
        better = error < self.lowest if select != "last" else np.ones(len(error), dtype=bool)
        self.best[better], self.lowest[better] = self.recorded, error[better]
        self.selected[better] = theta[better]
        self.curves[:, self.recorded] = np.stack(row, -1)
        self.recorded += 1

    def stuck(self, steps: np.ndarray, after: float, above: float) -> np.ndarray:
        """Which replicas have got nowhere since they last started, as `recipe.Restart` says: [replica]."""
        inside = self.curves[:, 1 : self.recorded, 0]
        # [replica, evaluation, 2]
        errors = np.stack(self.losses, 1) if self.losses else np.stack([inside, inside**2], -1)
        found = np.zeros(len(errors), dtype=bool)
        mean = lambda values: exact.total(values, 0) / len(values)
        for r in np.flatnonzero(steps[-1] - steps[self.started] > after):
            own = errors[r, self.started[r] :]
            half = len(own) // 2
            with np.errstate(invalid="ignore"):  # of errors that are not finite
                (first, _), (second, square) = (mean(own[:half]) if half else (np.inf, 0)), mean(own[half:])
                better = first > second + np.sqrt(max(square - second**2, 0.0))
            found[r] = not better and second > above
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, a row a replica: what `restore` takes."""
        kept = {name: getattr(self, name) for name in PER_REPLICA}
        kept |= {"curves": self.curves[:, : self.recorded]}
        return kept | ({"losses": np.stack(self.losses, 1)} if self.losses else {})

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `arrays`."""
        for name in PER_REPLICA:
            setattr(self, name, arrays[name])
        self.recorded = arrays["curves"].shape[1]
        self.curves[:, : self.recorded] = arrays["curves"]
        if "losses" in arrays:
            self.losses = list(arrays["losses"].swapaxes(0, 1))


class Training:
    """A tile on its way: its trainer, its state, and the data on which it is judged."""

    def __init__(self, tile: Sequence[Replica], engine: Engine):
        self.tile = tile
        self.specifications = [replica.cell.specification for replica in tile]
        first = self.specifications[0]
        self.protocol, self.recipe = first.protocol, first.model.recipe
        self.dtype = getattr(torch, self.protocol.dtype)
        self.device = torch.device("cuda" if engine.device == "cuda" else "cpu")
        self.run = trainer(tile, engine, self.device)
        self.network, self.parameters = self.run.step.network, self.run.step.parameters
        self.seeds = torch.tensor([replica.seed for replica in tile])
        self.evaluated = self.protocol.evaluated_steps
        self.inside, self.outside = (
            EvaluationSet.of_range(name, tile, self.dtype) for name in ("interpolation", "extrapolation")
        )
        self.different = list({id(s): s for s in self.specifications}.values())
        limits = {id(s): threshold(s.problem, self.protocol.epsilon, self.protocol.threshold) for s in self.different}
        self.limits = np.array([limits[id(s)] for s in self.specifications])
        theta = self._drawn(self.network.initial(Draw(self.seeds)))
        slots = [np.full_like(theta, start) for start in self.run.step.slots]
        self.run.load(np.stack([theta, *slots], 1))
        self.state = State(theta, len(self.evaluated))
        self.pace = 1.0  # steps that take about REPORTED seconds

    def _drawn(self, named: dict[str, Tensor]) -> np.ndarray:
        """Parameters by name as rows, [replica, parameter]."""
        parts = [named[name].reshape(len(named[name]), -1) for name in self.parameters.names]
        return torch.cat(parts, 1).to(self.dtype).numpy()

    def begin(self) -> None:
        """What is measured before the first step."""
        outputs = self.run.outputs(self.inside)
        for part in parts(outputs):
            some = outputs[part].double()
            self.state.output[part] = np.sqrt(exact.total(some * some).cpu().numpy() / some.shape[-1])
        named = self.parameters.named(self.run.rows()[:, 0])
        self.state.saturation = saturation(self.network, {k: torch.from_numpy(v) for k, v in named.items()}).numpy()
        self.evaluate()

    def evaluate(self) -> None:
        """Record where the replicas are."""
        theta = self.run.rows()[:, 0]
        finite = np.isfinite(theta).all(-1)
        errors = (self.run.mean_squares(data) for data in (self.inside, self.outside))
        inside, outside = (np.where(finite & ~np.isnan(error), error, np.inf) for error in errors)
        select = self.protocol.select if self.recipe.rows is None else "last"  # the solution, however good the start
        self.state.record((inside, outside, self.run.sparsity()), theta, select)

    @property
    def solved(self) -> int:
        """How many replicas were under their threshold when last looked at."""
        beyond = self.state.curves[:, self.state.recorded - 1, 1]
        return int((np.isfinite(self.limits) & (beyond < self.limits)).sum())

    def solve(self) -> None:
        """The parameters of least squares, each replica's from its own training examples."""
        (unit,) = self.network.units
        found = []
        for replica in self.tile:
            rows = replica.cell.specification.rows
            assert rows is not None
            data = Batches([replica], self.dtype, torch.device("cpu"))
            examples = data(0, -(-rows // self.protocol.batch))  # [step, 1, in or output, batch]
            x, t = (each[:, 0].movedim(0, 1).flatten(1)[:, :rows].double().numpy() for each in examples)
            solved = [unit.solve(x, output) for output in t]
            found.append({name: torch.cat([one[name] for one in solved]) for name in solved[0]})
        state = self.run.rows()
        state[:, 0] = self._drawn({f"0.{name}": torch.stack([one[name] for one in found]) for name in found[0]})
        self.run.load(state)

    def advance(self, begin: int, end: int, per_call: int | None, done: Callable[[int], None]) -> None:
        """From one evaluation to the next. done: receives how many steps each call took."""
        if self.recipe.rows is not None:
            if begin == 0:
                self.solve()
            done(end - begin)
            self.evaluate()
            return
        terms, steps = self.recipe.regularizers.values(), self.protocol.steps
        watched = np.zeros((len(self.tile), 2)) if self.run.step.watched else None
        at = begin
        while at < end:
            upto = min(end, at + (per_call or max(1, min(int(self.pace), SCHEDULED))))
            strengths = [[term.strength(step, steps) for term in terms] for step in range(at, upto)]
            schedule = np.concatenate(
                [corrections(range(at, upto), self.protocol.optimizer), np.reshape(strengths, (upto - at, -1))], 1
            )
            began = time.perf_counter()
            self.run.advance(at, schedule, watched)
            took = max(time.perf_counter() - began, 1e-6)
            self.pace = min(2.0 * self.pace, REPORTED * (upto - at) / took)
            done(upto - at)
            at = upto
        self.evaluate()
        restart = self.recipe.restart
        if restart is None or end == steps:
            return
        if watched is not None:
            self.state.losses.append(np.where(np.isnan(watched), np.inf, watched / (end - begin)))
        if restart.due(end, steps):
            self._start_anew(restart)

    def _start_anew(self, restart: Restart) -> None:
        state = self.state
        after = in_steps(restart.after, self.protocol.steps)
        stuck = state.stuck(np.array(self.evaluated[: state.recorded]), after, restart.above)
        if not stuck.any():
            return
        state.attempts[stuck], state.started[stuck] = state.attempts[stuck] + 1, state.recorded - 1
        rows = self.run.rows()
        for attempt in np.unique(state.attempts[stuck]):
            chosen = stuck & (state.attempts == attempt)
            rows[chosen, 0] = self._drawn(self._anew(Draw(self.seeds, int(attempt)), restart.uniform))[chosen]
        self.run.load(rows)

    def _anew(self, draw: Draw, uniform: float | None) -> dict[str, Tensor]:
        if uniform is None:
            return self.network.initial(draw)
        named = self.network.named_parameters()
        return {name: draw.uniform(tuple(value.shape), -uniform, uniform) for name, value in named}

    def measured(self, engine: Engine, seconds: float) -> Measured:
        """What the finished training yields, with the selected parameters."""
        state, tile, first = self.state, self.tile, self.specifications[0]
        rows = self.run.rows()
        rows[:, 0] = state.selected
        self.run.load(rows)
        points, profile_x = EvaluationSet.of_profile(tile, self.dtype)
        along = np.zeros((2, *profile_x.shape))
        for part, *both in errors(self.run, points):
            for own, values in zip(along, both, strict=True):
                sizes = values.view(len(values), profile_x.shape[1], -1)
                own[part] = exact.total(sizes).cpu().numpy() / sizes.shape[-1]
        cells = EvaluationSet.of_plane(tile, self.dtype) if first.problem.has_plane else None
        plane = np.zeros((2, len(tile), cells.x.shape[-1] if cells else 0), dtype=np.float32)
        for part, *both in errors(self.run, cells) if cells else ():
            plane[0, part], plane[1, part] = (values.float().cpu().numpy() for values in both)
        response_x, response_target, response_answer = self._responses()
        answer = lambda problem, sign: representable(self.network, problem, sign)
        judged = {id(s): answer(s.problem, s.problem.sign_judged) for s in self.different}
        trained = {id(s): answer(s.problem, s.problem.sign_trained)[0] for s in self.different}
        possible = np.array([(*judged[id(s)], trained[id(s)]) for s in self.specifications])
        return Measured(
            steps=np.array(self.evaluated),
            interpolation=state.curves[..., 0],
            extrapolation=state.curves[..., 1],
            sparsity=state.curves[..., 2],
            best=state.best,
            target_interpolation=self.inside.mean_square,
            target_extrapolation=self.outside.mean_square,
            profile_x=profile_x,
            profile_error=along[0],
            profile_target=along[1],
            plane_error=plane[0],
            plane_target=plane[1],
            response_x=response_x,
            response_target=response_target,
            response_answer=response_answer,
            output_error=self._output_errors(),
            initial_output=state.output,
            initial_saturation=state.saturation,
            threshold=self.limits,
            representable=possible[:, 0],
            why=possible[:, 1],
            representable_trained=possible[:, 2],
            parameters=self.parameters.named(state.selected),
            engine=self.run.name,
            device=self.device.type,
            seconds=seconds,
        )

    def _responses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, the target and the answer at each of the response points, all [replica, point]."""
        problem = self.specifications[0].problem
        if problem.subsets is not None or problem.outputs > 1:
            empty = np.zeros((len(self.tile), 0))
            return empty, empty, empty.astype(np.float32)
        points, x = EvaluationSet.of_responses(self.tile, self.dtype)
        return x, points.t.numpy()[points.target_of.numpy()], self.run.outputs(points).float().cpu().numpy()

    def _output_errors(self) -> np.ndarray:
        """Of several outputs each one's mean absolute error where it is judged, [replica, output]."""
        outputs = self.outside.outputs
        found = np.zeros((len(self.tile), outputs if outputs > 1 else 0))
        for part, error, target in each_error(self.run, self.outside) if outputs > 1 else ():
            asked = ~target.isnan()
            found[part] = (exact.total(error.where(asked, 0.0)) / asked.sum(-1)).cpu().numpy()
        return found


@contextmanager
def settled() -> Iterator[None]:
    """What no bit may depend on is as always: torch makes float32, whatever somebody's module asked for as it was read,
    and computes on one thread, as batches are too small to share.
    """
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)


@settled()
def train(
    tile: Sequence[Replica],
    engine: Engine,
    report: Report = lambda steps, solved: None,
    checkpoint: Checkpoint | None = None,
) -> Measured:
    """Train the replicas of a tile from their first to their last step.

    All have the same architecture, protocol and kind of range (see `tiles.tiles`). `report` receives the replica-steps
    done since its last call and how many replicas are under their threshold. With a checkpoint training goes on from
    what it holds, and is saved there every minute.
    """
    began = time.perf_counter()
    training = Training(tile, engine)
    state, evaluated = training.state, training.evaluated
    saved = checkpoint.load() if checkpoint else None
    if saved is None:
        training.begin()
    else:
        began -= float(saved.pop("seconds"))
        training.run.load(saved.pop("rows"))
        state.restore(saved)
        report(evaluated[state.recorded - 1] * len(tile), training.solved)
    kept = reported = time.perf_counter()
    pending = 0

    def done(steps: int) -> None:
        nonlocal pending, reported
        pending += steps * len(tile)
        if time.perf_counter() - reported > REPORTED:
            report(pending, training.solved)
            pending, reported = 0, time.perf_counter()

    for begin, end in pairwise(evaluated[state.recorded - 1 :]):
        training.advance(begin, end, engine.steps_per_call, done)
        if checkpoint and end < training.protocol.steps and time.perf_counter() - kept > KEPT_EVERY:
            rows = {"rows": training.run.rows(), "seconds": np.array(time.perf_counter() - began)}
            checkpoint.save(state.arrays() | rows)
            kept = time.perf_counter()
    report(pending, training.solved)
    return training.measured(engine, time.perf_counter() - began)


def predict(replica: Replica, named: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What a replica with these parameters says: inputs [in, point] -> [point], in its own precision.

    Its first output, where it has several.
    """
    dtype = getattr(torch, replica.cell.specification.protocol.dtype)
    tensors = {name: torch.as_tensor(value) for name, value in named.items()}
    with torch.no_grad():
        return functional_call(build(replica.cell.specification), tensors, (torch.as_tensor(x, dtype=dtype),))[
            0
        ].numpy()
