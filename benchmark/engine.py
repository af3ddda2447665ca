"""The batched training loop: replicas of one architecture train as one tensor program.

Parameters are [replica, out, in], data [replica, in, batch], the loss [replica]; gradients are those of its sum, so no
replica sees another. A replica's numbers are the same bit for bit alone and in any company.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.compiling import has_compiler
from benchmark.data import Batches, EvaluationSet
from benchmark.errors import UsageError
from benchmark.networks import Network, build, representable
from benchmark.optimizers import OPTIMIZERS, corrections
from benchmark.programs import Program, of_parameters, program
from benchmark.protocol import Engine, Protocol
from benchmark.replicas import Replica, Specification, architecture
from benchmark.streams import Draw
from benchmark.tasks import threshold

PAD = 32  # replicas a tile is filled up to a multiple of: the widest vector loop has no scalar tail, which rounds apart
EVALUATION_CHUNK = 128  # points evaluated at once
TILE_NUMBERS = 1 << 21  # products W x of one step that a tile may hold
USUAL_SEEDS = 25  # the default protocol's
WORTH_COMPILING = 30.0  # seconds of eager training that a compilation, some 20 s, has to replace
DATA_NUMBERS = 1 << 18  # inputs generated at once
STUCK = 0.01  # an effective weight that moves less than this with its parameters is saturated

Report = Callable[[int, int], None]


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
    name -> [replica, ...] at the selected step. engine: "eager" or "compiled". seconds: wall time of the whole tile.
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


def errors(run: Program, theta: Tensor, data: EvaluationSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunk by chunk, the error y - t and the target t, float64 [replica, point]; what is not finite counts as inf."""
    size = data.x.shape[-1]
    for chunk in range(0, size, EVALUATION_CHUNK):
        # A last chunk that is not full repeats the last point: one shape, one compiled program.
        points = torch.arange(chunk, chunk + EVALUATION_CHUNK, device=data.x.device).clamp(max=size - 1)
        real = slice(min(EVALUATION_CHUNK, size - chunk))
        y = run.forward(theta, data.x[..., points][data.set_of])[:, real].double()
        t = data.t[:, points[real]][data.target_of]
        yield (y - t).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=torch.inf), t


def mean_squares(run: Program, theta: Tensor, data: EvaluationSet) -> Tensor:
    """Mean squared error of each replica, float64 [replica]."""
    sums = [error.square().sum(-1) for error, _ in errors(run, theta, data)]
    return torch.stack(sums).sum(0) / data.x.shape[-1]


def train(tile: Sequence[Replica], engine: Engine, report: Report = lambda steps, solved: None) -> Measured:
    """Train the replicas of a tile from their first to their last step.

    All have the same architecture, protocol and kind of range (see `tiles`). A compiled tile is filled up to
    engine.tile replicas, so that all tiles of an architecture share one program. `report` receives the replica-steps
    done since its last call and how many replicas are under their threshold.
    """
    began = time.perf_counter()
    torch.set_num_threads(1)  # the batches are too small to share: a second thread costs more than it brings
    device = torch.device("cpu")
    compiled = engine.mode == "compiled"
    width = _padded(max(len(tile), engine.tile or 0) if compiled else len(tile))
    padded = [*tile, *[tile[0]] * (width - len(tile))]
    specifications = [replica.cell.specification for replica in padded]
    first = specifications[0]
    protocol, recipe, dtype = first.protocol, first.model.recipe, getattr(torch, first.protocol.dtype)

    run = program(first, width, compiled)
    network, parameters = run.network, run.parameters
    start = network.initial(Draw(torch.tensor([replica.seed for replica in padded])))
    theta = parameters.flat(start).to(device, dtype)
    slots = [torch.zeros_like(theta) for _ in range(OPTIMIZERS[protocol.optimizer][0])]
    rates = torch.tensor([s.model.recipe.learning_rate for s in specifications], dtype=dtype, device=device)
    rate = rates[parameters.owner]

    batches = Batches(padded, dtype, device, compiled)
    inside, outside = (
        EvaluationSet.of_range(name, padded, dtype, device) for name in ("interpolation", "extrapolation")
    )
    thresholds = {s.digest: threshold(s.problem, protocol.epsilon) for s in {id(s): s for s in specifications}.values()}
    limits = np.array([thresholds[s.digest] for s in specifications])
    evaluated = protocol.evaluated_steps
    per_call = _steps_per_call(first, width, engine) if compiled else 1
    drawn = _steps_drawn(protocol, width * batches.inputs * batches.batch, per_call)

    curves: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    selected, lowest = theta.clone(), np.full(len(padded), np.inf)
    best = np.zeros(len(padded), dtype=np.int64)

    def evaluate() -> None:
        finite = ~np.isin(np.arange(width), parameters.owner[~theta.isfinite()].cpu().numpy())
        row = [np.where(finite, mean_squares(run, theta, data).cpu().numpy(), np.inf) for data in (inside, outside)]
        sparsity = of_parameters("sparsity", network, parameters.unflat(theta)).double().cpu().numpy()
        better = row[0] < lowest if protocol.select == "best" else np.ones(len(padded), dtype=bool)
        best[better], lowest[better] = len(curves), row[0][better]
        taken = torch.from_numpy(better).to(device)[parameters.owner]
        torch.where(taken, theta, selected, out=selected)
        curves.append((row[0], row[1], sparsity))

    outputs = [(error + t).square().sum(-1) for error, t in errors(run, theta, inside)]
    initial_output = (torch.stack(outputs).sum(0) / inside.x.shape[-1]).sqrt()
    initial_saturation = saturation(network, parameters.unflat(theta))
    evaluate()
    reported = time.perf_counter()
    pending = solved = 0
    for begin, end in pairwise(evaluated):
        for call in range(begin, end, drawn):
            x, t = batches(call, drawn)
            calls = range(call, call + drawn)
            correction = torch.tensor(corrections(list(calls)), dtype=dtype, device=device)
            strength = [[term.strength(s, protocol.steps) for term in recipe.regularizers.values()] for s in calls]
            strengths = torch.tensor(strength, dtype=dtype, device=device)
            for k in range(0, drawn, per_call):
                ks = slice(k, k + per_call)
                run.advance(theta, slots, x[ks], t[ks], rate, correction[ks], strengths[ks])
            pending += drawn * len(tile)
            if time.perf_counter() - reported > 0.5:
                report(pending, solved)
                pending, reported = 0, time.perf_counter()
        evaluate()
        solved = int((np.isfinite(limits) & (curves[-1][1] < limits))[: len(tile)].sum())
    report(pending, solved)

    real = slice(len(tile))
    cpu = lambda values: values.cpu().numpy()[real]
    points, profile_x = EvaluationSet.of_profile(padded, dtype, device)
    chunks = [(error.abs(), t.abs()) for error, t in errors(run, selected, points)]
    along = [
        cpu(torch.cat(part, -1).unflatten(-1, (profile_x.shape[1], -1)).mean(-1)) for part in zip(*chunks, strict=True)
    ]
    plane = np.zeros((2, len(tile), 0), dtype=np.float32)
    if first.problem.has_plane:
        over = EvaluationSet.of_plane(padded, dtype, device)
        parts = [torch.stack([error.abs(), t.abs()]) for error, t in errors(run, selected, over)]
        plane = torch.cat(parts, -1)[:, real].float().cpu().numpy()
    possible = np.array([representable(network, s.problem) for s in specifications[real]])
    return Measured(
        steps=np.array(evaluated),
        **{
            name: np.stack(rows, axis=1)[real]
            for name, rows in zip(
                ("interpolation", "extrapolation", "sparsity"), zip(*curves, strict=True), strict=True
            )
        },
        best=best[real],
        target_interpolation=cpu(inside.t.square().mean(-1)[inside.target_of]),
        target_extrapolation=cpu(outside.t.square().mean(-1)[outside.target_of]),
        profile_x=profile_x[real],
        profile_error=along[0],
        profile_target=along[1],
        plane_error=plane[0],
        plane_target=plane[1],
        initial_output=cpu(initial_output),
        initial_saturation=cpu(initial_saturation),
        threshold=limits[real],
        representable=possible[:, 0],
        why=possible[:, 1],
        parameters={name: cpu(value) for name, value in parameters.unflat(selected).items()},
        engine="compiled" if compiled else "eager",
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


Tile = tuple[list[Replica], Engine]  # the replicas, and how they are trained


def tiles(
    replicas: Sequence[Replica], engine: Engine, workers: int, request: Sequence[Replica] | None = None
) -> list[Tile]:
    """Replicas grouped by architecture and cut into tiles, the most work first, each with its engine made definite.

    request: all replicas that were asked for, where `replicas` are those that are missing: what is compiled follows
    from the request, so that a run that goes on computes what an uninterrupted one would have. Raises UsageError where
    compiling is asked for and no C++ compiler is found.
    """
    groups, whole = _by_architecture(replicas), _by_architecture(request or replicas)
    shares = -(-workers // len(groups)) if groups else 1  # a group is split for idle workers only: small tiles are slow
    cut: list[Tile] = []
    for kind, members in groups.items():
        compiled = _compile(whole[kind], engine)
        share = -(-len(members) // shares)
        size = engine.tile or (_compiled_size(members, share) if compiled else min(_eager_size(members[0]), share))
        size = _padded(size)
        definite = replace(engine, mode="compiled" if compiled else "eager", tile=size)
        cut += [(members[i : i + size], definite) for i in range(0, len(members), size)]
    return sorted(cut, key=lambda tile: -len(tile[0]) * _numbers(tile[0][0].cell.specification))


def _by_architecture(replicas: Sequence[Replica]) -> dict[tuple, list[Replica]]:
    groups: dict[tuple, list[Replica]] = {}
    for replica in replicas:
        groups.setdefault(architecture(replica), []).append(replica)
    return groups


def _compile(members: Sequence[Replica], engine: Engine) -> bool:
    """Whether an architecture is compiled: as asked for, or where it saves more time than it costs."""
    if engine.mode == "auto":
        # Measured: an eager replica-step takes 4 µs and 3.5 ns a product, a compiled one about an eighth. More seeds
        # than usual count for nothing: 100 seeds after 25 are trained as those were.
        cells = len({replica.cell for replica in members})
        steps = cells * min(len(members) // cells, USUAL_SEEDS) * members[0].cell.specification.protocol.steps
        return steps * (4e-6 + 3.5e-9 * _numbers(members[0].cell.specification)) > WORTH_COMPILING and has_compiler()
    if engine.mode == "compiled" and not has_compiler():
        raise UsageError("engine.mode=compiled needs a C++ compiler (g++ or clang++), and none is found; use eager")
    return engine.mode == "compiled"


def _padded(size: int) -> int:
    return size + -size % PAD


def _numbers(specification: Specification) -> int:
    """Products of weights and inputs in one step of a replica."""
    sizes = [specification.problem.inputs, *specification.hidden, 1]
    return sum(a * b for a, b in pairwise(sizes)) * specification.protocol.batch


def _eager_size(replica: Replica) -> int:
    return max(2 * PAD, min(960, TILE_NUMBERS // _numbers(replica.cell.specification)))


def _compiled_size(members: Sequence[Replica], share: int) -> int:
    """Replicas that a step's working set keeps in the cache, such that the last tile wastes the least."""
    most = max(PAD, min(256, share, TILE_NUMBERS // _numbers(members[0].cell.specification)))
    sizes = range(min(2 * PAD, _padded(most)), _padded(most) + 1, PAD)
    return min(sizes, key=lambda size: (-(-len(members) // size) * size, -size))


def _steps_per_call(specification: Specification, width: int, engine: Engine) -> int:
    """Training steps in one compiled call: a call costs 0.1 ms. They divide what lies between two evaluations."""
    wanted = engine.steps_per_call or (1 if width * _numbers(specification) > 1 << 20 else 4)
    return math.gcd(wanted, _between_evaluations(specification.protocol))


def _steps_drawn(protocol: Protocol, numbers: int, per_call: int) -> int:
    """Steps whose data, `numbers` a step, is made at once; so many divide what lies between two evaluations."""
    calls = _between_evaluations(protocol) // per_call
    most = max(1, min(32, DATA_NUMBERS // numbers) // per_call)
    return per_call * max(count for count in range(1, most + 1) if calls % count == 0)


def _between_evaluations(protocol: Protocol) -> int:
    return math.gcd(*(end - begin for begin, end in pairwise(protocol.evaluated_steps)))
