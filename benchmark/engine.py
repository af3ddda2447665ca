"""The batched training loop: replicas of one architecture train as one tensor program.

Parameters are [replica, out, in], data [replica, in, batch], the loss [replica]; gradients are those of its sum, so no
replica sees another. A replica's numbers are the same bit for bit alone and in any company.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.data import Batches, EvaluationSet
from benchmark.networks import Network, build, representable
from benchmark.optimizers import OPTIMIZERS, corrections
from benchmark.programs import Parameters, Program, of_parameters, program
from benchmark.protocol import Engine
from benchmark.recipe import Restart, in_steps
from benchmark.replicas import Replica
from benchmark.streams import Draw
from benchmark.tasks import threshold
from benchmark.tiles import padded_size, steps_drawn, steps_per_call

SCHEDULED = 1 << 13  # steps whose schedules are laid out at once
KEPT_EVERY = 60.0  # seconds of training that a killed run may lose, but for what lies between two evaluations
PER_REPLICA = ("lowest", "best", "output", "saturation", "attempts", "started")
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
    initial_output: root mean square output on the interpolation set before training, initial_saturation: see
    `saturation`, both [replica].
    threshold, representable ("yes", "no", "unknown") and why (not), each [replica], are known beforehand. parameters:
    name -> [replica, ...] at the selected step. engine: "eager" or "compiled". device: "cpu" or "cuda". seconds: wall
    time of the whole tile.
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
    initial_output: np.ndarray
    initial_saturation: np.ndarray
    threshold: np.ndarray
    representable: np.ndarray
    why: np.ndarray
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


def errors(run: Program, theta: Tensor, data: EvaluationSet) -> tuple[Tensor, Tensor]:
    """The error y - t and the target t, float64 [replica, point]; what is not finite counts as inf."""
    parts = []
    for x, t, real in data.chunks:
        kept = slice(int(real.sum()))
        y = run.forward(theta, x[data.set_of])[:, kept].double()
        t = t[data.target_of, kept]
        parts.append(torch.stack([(y - t).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=torch.inf), t]))
    error, target = torch.cat(parts, -1)
    return error, target


def mean_squares(run: Program, theta: Tensor, data: EvaluationSet) -> Tensor:
    """Mean squared error of each replica, float64 [replica]; inf where an output is not finite."""
    sums = [run.squares(theta, x, data.set_of, t, data.target_of, real) for x, t, real in data.chunks]
    return (torch.stack(sums).sum(0) / data.x.shape[-1]).nan_to_num(nan=torch.inf)


class State:
    """How far a tile has come: parameters, the optimizer's slots, recorded evaluations and what they selected.

    theta, slots, selected: flat. curves: [replica, evaluation, (interpolation, extrapolation, sparsity)], of which the
    first `recorded` evaluations are known. They are made at once: small arrays that stay, each made among large ones
    that go, break up the heap for good, by gigabytes in five thousand evaluations.
    lowest: the selected interpolation error, best: its evaluation; attempts: restarts so far, started: the evaluation
    of the last one; all [replica]. losses: for each time between two evaluations the mean of the batches' errors and
    that of their squares, [2, replica], where a restart looks at them.
    """

    def __init__(self, parameters: Parameters, theta: Tensor, slots: Sequence[float], evaluations: int):
        self.parameters, self.theta, self.selected = parameters, theta, theta.clone()
        self.slots = [torch.full_like(theta, start) for start in slots]
        self.losses: list[np.ndarray] = []
        replicas = parameters.shapes[0][0]
        self.lowest, self.best = np.full(replicas, np.inf), np.zeros(replicas, dtype=np.int64)
        self.curves, self.recorded = np.full((replicas, evaluations, 3), np.nan), 0
        self.output, self.saturation = np.zeros(replicas), np.zeros(replicas)
        self.attempts, self.started = np.zeros(replicas, dtype=np.int64), np.zeros(replicas, dtype=np.int64)

    def record(self, row: tuple[np.ndarray, np.ndarray, np.ndarray], select: str) -> None:
        """One more evaluation."""
        better = row[0] < self.lowest if select == "best" else np.ones(len(row[0]), dtype=bool)
        self.best[better], self.lowest[better] = self.recorded, row[0][better]
        taken = torch.from_numpy(better).to(self.theta.device)[self.parameters.owner]
        torch.where(taken, self.theta, self.selected, out=self.selected)
        self.curves[:, self.recorded] = np.stack(row, -1)
        self.recorded += 1

    def stuck(self, steps: np.ndarray, after: float, above: float) -> np.ndarray:
        """Which replicas have got nowhere since they last started, as `recipe.Restart` says: [replica]."""
        inside = self.curves[:, 1 : self.recorded, 0].T
        # [evaluation, 2, replica]
        errors = np.stack(self.losses) if self.losses else np.stack([inside, inside**2], 1)
        found = np.zeros(errors.shape[-1], dtype=bool)
        for r in np.flatnonzero(steps[-1] - steps[self.started] > after):
            own = errors[self.started[r] :, :, r]
            half = len(own) // 2
            with np.errstate(invalid="ignore"):  # of errors that are not finite
                (first, _), (second, square) = (own[:half].mean(0) if half else (np.inf, 0)), own[half:].mean(0)
                better = first > second + np.sqrt(max(square - second**2, 0.0))
            found[r] = not better and second > above
        return found

    def _vectors(self) -> dict[str, Tensor]:
        slots = {f"slot {i}": slot for i, slot in enumerate(self.slots)}
        return {"theta": self.theta, "selected": self.selected} | slots

    def arrays(self, replicas: int) -> dict[str, np.ndarray]:
        """Everything of the first replicas, a row each: what `restore` takes."""
        vectors = {
            f"{kind} {name}": value.cpu().numpy()
            for kind, vector in self._vectors().items()
            for name, value in self.parameters.unflat(vector).items()
        }
        per_replica = {name: getattr(self, name) for name in PER_REPLICA}
        rows = vectors | per_replica | {"curves": self.curves[:, : self.recorded]}
        if self.losses:
            rows |= {"losses": np.stack(self.losses, -1).swapaxes(0, 1)}  # [replica, 2, evaluation]
        return {name: values[:replicas] for name, values in rows.items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from `arrays`. What fills the tile up is its first replica again and again, as it was before."""
        width = len(self.lowest)
        index = np.where(np.arange(width) < len(arrays["best"]), np.arange(width), 0)
        for kind, vector in self._vectors().items():
            named = {name: torch.from_numpy(arrays[f"{kind} {name}"][index]) for name in self.parameters.names}
            vector.copy_(self.parameters.flat(named))
        for name in PER_REPLICA:
            setattr(self, name, arrays[name][index])
        self.recorded = arrays["curves"].shape[1]
        self.curves[:, : self.recorded] = arrays["curves"][index]
        if "losses" in arrays:
            self.losses = list(arrays["losses"][index].T)


def train(
    tile: Sequence[Replica],
    engine: Engine,
    report: Report = lambda steps, solved: None,
    checkpoint: Checkpoint | None = None,
) -> Measured:
    """Train the replicas of a tile from their first to their last step.

    All have the same architecture, protocol and kind of range (see `tiles.tiles`). A tile that is compiled or on a GPU
    is filled up to engine.tile replicas, so that all tiles of an architecture share one program. `report` receives the
    replica-steps done since its last call and how many replicas are under their threshold. With a checkpoint training
    goes on from what it holds, and is saved there every minute.
    """
    began = time.perf_counter()
    torch.set_num_threads(1)  # the batches are too small to share: a second thread costs more than it brings
    device = torch.device("cuda" if engine.device == "cuda" else "cpu")
    compiled = engine.mode == "compiled"
    full = compiled or device.type == "cuda"  # one program, and on a GPU the bits depend on the size
    width = padded_size(max(len(tile), engine.tile or 0) if full else len(tile))
    padded = [*tile, *[tile[0]] * (width - len(tile))]
    specifications = [replica.cell.specification for replica in padded]
    first = specifications[0]
    protocol, recipe, dtype = first.protocol, first.model.recipe, getattr(torch, first.protocol.dtype)

    run = program(first, width, compiled, device)
    network, parameters = run.network, run.parameters
    seeds = torch.tensor([replica.seed for replica in padded])
    evaluated = protocol.evaluated_steps
    start = parameters.flat(network.initial(Draw(seeds))).to(device, dtype)
    state = State(parameters, start, OPTIMIZERS[protocol.optimizer][0], len(evaluated))
    rates = torch.tensor([s.model.recipe.learning_rate for s in specifications], dtype=dtype, device=device)
    rate = rates[parameters.owner]

    batches = Batches(padded, dtype, device, compiled)
    inside, outside = (
        EvaluationSet.of_range(name, padded, dtype, device) for name in ("interpolation", "extrapolation")
    )
    thresholds = {
        s.digest: threshold(s.problem, protocol.epsilon, protocol.threshold)
        for s in {id(s): s for s in specifications}.values()
    }
    limits = np.array([thresholds[s.digest] for s in specifications])
    per_call = steps_per_call(first, width, engine) if compiled else 1
    drawn = steps_drawn(protocol, width * batches.inputs * batches.batch, per_call)
    real = slice(len(tile))

    def evaluate() -> int:
        """How many replicas are under their threshold."""
        theta = state.theta
        finite = ~np.isin(np.arange(width), parameters.owner[~theta.isfinite()].cpu().numpy())
        error, beyond = (
            np.where(finite, mean_squares(run, theta, data).cpu().numpy(), np.inf) for data in (inside, outside)
        )
        sparsity = of_parameters("sparsity", network, parameters.unflat(theta)).double().cpu().numpy()
        state.record((error, beyond, sparsity), protocol.select)
        return int((np.isfinite(limits) & (beyond < limits))[real].sum())

    def anew(draw: Draw, uniform: float | None) -> dict[str, Tensor]:
        if uniform is None:
            return network.initial(draw)
        named = network.named_parameters()
        return {name: draw.uniform(tuple(value.shape), -uniform, uniform) for name, value in named}

    def start_anew(restart: Restart) -> None:
        after = in_steps(restart.after, protocol.steps)
        stuck = state.stuck(np.array(evaluated[: state.recorded]), after, restart.above)
        state.attempts[stuck], state.started[stuck] = state.attempts[stuck] + 1, state.recorded - 1
        for attempt in np.unique(state.attempts[stuck]):
            fresh = parameters.flat(anew(Draw(seeds, int(attempt)), restart.uniform)).to(device, dtype)
            chosen = torch.from_numpy(stuck & (state.attempts == attempt)).to(device)[parameters.owner]
            torch.where(chosen, fresh, state.theta, out=state.theta)

    def schedule(steps: range) -> tuple[Tensor, Tensor]:
        """Adam's corrections [step, 2] and the regularizers' strengths [step, term]."""
        strengths = [[term.strength(s, protocol.steps) for term in recipe.regularizers.values()] for s in steps]
        bias = torch.tensor(corrections(steps), dtype=dtype, device=device)
        return bias, torch.tensor(strengths, dtype=dtype, device=device)

    saved = checkpoint.load() if checkpoint else None
    if saved is None:
        error, target = errors(run, state.theta, inside)
        state.output = (error + target).square().mean(-1).sqrt().cpu().numpy()
        state.saturation = saturation(network, parameters.unflat(state.theta)).cpu().numpy()
        solved = evaluate()
    else:
        began -= float(saved.pop("seconds"))
        state.restore(saved)
        solved = int((np.isfinite(limits) & (state.curves[:, state.recorded - 1, 1] < limits))[real].sum())
        report(evaluated[state.recorded - 1] * len(tile), solved)
    reported = kept = time.perf_counter()
    pending = 0
    rounds = 1 if run.turns is None else len(run.turns)
    for begin, end in pairwise(evaluated[state.recorded - 1 :]):
        watched = torch.zeros(2, width, dtype=torch.float64, device=device)
        for call in range(begin, end, drawn):
            if (done := (call - begin) % (drawn * SCHEDULED)) == 0:
                correction, strengths = schedule(range(call, min(end, call + drawn * SCHEDULED)))
            x, t = batches(call, drawn)
            noise = batches.noise(call, drawn, network.noise_rows)
            for k in range(0, drawn, per_call):
                ks, of = slice(k, k + per_call), slice(done + k, done + k + per_call)
                u = None if noise is None else noise[ks]
                active = None if run.turns is None else run.turns[torch.arange(call + k, call + k + per_call) % rounds]
                losses = run.advance(
                    state.theta, state.slots, x[ks], t[ks], u, rate, correction[of], strengths[of], active
                )
                if losses is not None:
                    watched += torch.stack([losses.double(), losses.double().square()]).sum(1)
            pending += drawn * len(tile)
            if time.perf_counter() - reported > 0.5:
                report(pending, solved)
                pending, reported = 0, time.perf_counter()
        solved = evaluate()
        if recipe.restart is not None and end < protocol.steps:
            if recipe.restart.errors == "batch":
                state.losses.append((watched / (end - begin)).nan_to_num(nan=torch.inf).cpu().numpy())
            every = recipe.restart.every
            if every is None or end % in_steps(every, protocol.steps) == 0:
                start_anew(recipe.restart)
        if checkpoint and end < protocol.steps and time.perf_counter() - kept > KEPT_EVERY:
            checkpoint.save(state.arrays(len(tile)) | {"seconds": np.array(time.perf_counter() - began)})
            kept = time.perf_counter()
    report(pending, solved)

    cpu = lambda values: values.cpu().numpy()[real]
    points, profile_x = EvaluationSet.of_profile(padded, dtype, device)
    along = [
        cpu(part.abs().unflatten(-1, (profile_x.shape[1], -1)).mean(-1)) for part in errors(run, state.selected, points)
    ]
    plane = np.zeros((2, len(tile), 0), dtype=np.float32)
    if first.problem.has_plane:
        over = errors(run, state.selected, EvaluationSet.of_plane(padded, dtype, device))
        plane = np.stack([cpu(part.abs().float()) for part in over])
    possible = np.array([representable(network, s.problem) for s in specifications[real]])
    return Measured(
        steps=np.array(evaluated),
        interpolation=state.curves[real, :, 0],
        extrapolation=state.curves[real, :, 1],
        sparsity=state.curves[real, :, 2],
        best=state.best[real],
        target_interpolation=cpu(inside.t.square().mean(-1)[inside.target_of]),
        target_extrapolation=cpu(outside.t.square().mean(-1)[outside.target_of]),
        profile_x=profile_x[real],
        profile_error=along[0],
        profile_target=along[1],
        plane_error=plane[0],
        plane_target=plane[1],
        initial_output=state.output[real],
        initial_saturation=state.saturation[real],
        threshold=limits[real],
        representable=possible[:, 0],
        why=possible[:, 1],
        parameters={name: cpu(value) for name, value in parameters.unflat(state.selected).items()},
        engine="compiled" if compiled else "eager",
        device=device.type,
        seconds=time.perf_counter() - began,
    )


def predict(replica: Replica, named: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """What a replica with these parameters says: inputs [in, point] -> [point], in its own precision."""
    dtype = getattr(torch, replica.cell.specification.protocol.dtype)
    tensors = {name: torch.as_tensor(value) for name, value in named.items()}
    with torch.no_grad():
        return functional_call(build(replica.cell.specification), tensors, (torch.as_tensor(x, dtype=dtype),))[
            0
        ].numpy()
