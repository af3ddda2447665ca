"""The batched training loop: replicas of one architecture train as one tensor program.

Parameters are [replica, out, in], data [replica, in, batch], the loss [replica]; gradients are those of its sum, so no
replica sees another. A replica's numbers are the same bit for bit alone and in any company.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.data import Batches, EvaluationSet, has_plane
from benchmark.networks import Network, build, distance_from_sparse, representable
from benchmark.optimizers import OPTIMIZERS, corrections
from benchmark.protocol import Engine
from benchmark.ranges import Grid
from benchmark.replicas import Replica
from benchmark.streams import Draw
from benchmark.tasks import threshold

PAD = 32  # replicas a tile is filled up to a multiple of: the widest vector loop has no scalar tail, which rounds apart
EVALUATION_CHUNK = 128  # points evaluated at once
TILE_NUMBERS = 1 << 21  # products W x of one step that a tile may hold
DATA_NUMBERS = 1 << 18  # inputs generated at once
STUCK = 0.01  # an effective weight that moves less than this with its parameters is saturated

Step = Callable[[Tensor, list[Tensor], Tensor, Tensor, Tensor, Tensor, Tensor], None]
Report = Callable[[int, int], None]


@dataclass
class Measured:
    """What training a tile yields, one row a replica.

    steps: [evaluation]. interpolation, extrapolation (mean squared errors), sparsity: float64 [replica, evaluation].
    best: the selected evaluation [replica]. target_interpolation, target_extrapolation: mean squared targets [replica].
    profile_x, profile_error and profile_target (both mean absolute): [replica, x], with the selected parameters.
    plane_error, plane_target (absolute): float32 [replica, point of `data.plane_points`]; no points without a plane.
    initial_output: root mean square output on the interpolation set before training, initial_saturation: see
    `saturation`, both [replica].
    threshold, representable ("yes", "no", "unknown") and why (not), each [replica], are known beforehand. parameters:
    name -> [replica, ...] at the selected step. seconds: wall time of the whole tile.
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
    seconds: float


class Parameters:
    """All parameters of all replicas as one flat vector, parameter by parameter: [Σ replica · size]."""

    def __init__(self, network: Network, replicas: int, device: torch.device):
        self.names = [name for name, _ in network.named_parameters()]
        self.shapes = [(replicas, *parameter.shape) for parameter in network.parameters()]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        owners = [torch.arange(replicas).repeat_interleave(size // replicas) for size in self.sizes]
        self.owner = torch.cat(owners).to(device)  # the replica of each element

    def flat(self, tensors: dict[str, Tensor]) -> Tensor:
        """[replica, ...] by name -> flat."""
        return torch.cat([tensors[name].reshape(-1) for name in self.names])

    def unflat(self, theta: Tensor) -> dict[str, Tensor]:
        """Flat -> views [replica, ...] by name."""
        pieces = theta.split(self.sizes)
        return {name: piece.view(shape) for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)}


def build_step(network: Network, parameters: Parameters, optimizer: str, regularizers: Sequence[str]) -> Step:
    """The training step, the one place where it is made: theta and the optimizer's slots are updated in place.

    step(theta, slots, x [replica, in, batch], t [replica, 1, batch], rate [flat], correction [2], strengths [term])
    """
    update = OPTIMIZERS[optimizer][1]

    def step(
        theta: Tensor, slots: list[Tensor], x: Tensor, t: Tensor, rate: Tensor, correction: Tensor, strengths: Tensor
    ) -> None:
        named = parameters.unflat(theta)
        loss = (functional_call(network, named, (x,)) - t).square().mean((-2, -1))  # [replica]
        for name, strength in zip(regularizers, strengths, strict=True):
            loss = loss + strength * regularizer(name, network, named)
        (gradient,) = torch.autograd.grad(loss.sum(), theta)
        with torch.no_grad():
            update(theta, gradient, slots, rate, correction)

    return step


class _Weights(torch.nn.Module):
    """Lets `functional_call` reach what a network computes from its parameters alone."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, name: str) -> Tensor | list[Tensor]:
        return getattr(self.network, name)()


def of_parameters(name: str, network: Network, named: dict[str, Tensor]):
    """`network.<name>()` with these parameters."""
    return functional_call(_Weights(network), {f"network.{key}": value for key, value in named.items()}, (name,))


def regularizer(name: str, network: Network, named: dict[str, Tensor]) -> Tensor:
    """One value a replica: "sparsity", Σ over layers of the mean of min(|W|, |1 - |W||), or "l1", Σ |θ|."""
    if name == "l1":
        return torch.stack([value.abs().flatten(1).sum(-1) for value in named.values()]).sum(0)
    weights = of_parameters("effective_weights", network, named)
    return torch.stack([distance_from_sparse(W).mean((-2, -1)) for W in weights]).sum(0)


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


@torch.no_grad()
def errors(network: Network, named: dict[str, Tensor], data: EvaluationSet) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunk by chunk, the error y - t and the target t, float64 [replica, point]; what is not finite counts as inf."""
    for chunk in range(0, data.x.shape[-1], EVALUATION_CHUNK):
        points = slice(chunk, chunk + EVALUATION_CHUNK)
        y = functional_call(network, named, (data.x[..., points][data.set_of],))[:, 0].double()
        t = data.t[:, points][data.target_of]
        yield (y - t).nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=torch.inf), t


def mean_squares(network: Network, named: dict[str, Tensor], data: EvaluationSet) -> Tensor:
    """Mean squared error of each replica, float64 [replica]."""
    sums = [error.square().sum(-1) for error, _ in errors(network, named, data)]
    return torch.stack(sums).sum(0) / data.x.shape[-1]


def train(tile: Sequence[Replica], engine: Engine, report: Report = lambda steps, solved: None) -> Measured:
    """Train the replicas of a tile from their first to their last step.

    All have the same architecture, protocol and kind of range (see `tiles`). `report` receives the replica-steps done
    since its last call and how many replicas are under their threshold.
    """
    began = time.perf_counter()
    torch.set_num_threads(1)  # the batches are too small to share: a second thread costs more than it brings
    device = torch.device("cpu")
    padded = [*tile, *[tile[0]] * (-len(tile) % PAD)]
    specifications = [replica.cell.specification for replica in padded]
    first = specifications[0]
    protocol, recipe, dtype = first.protocol, first.model.recipe, getattr(torch, first.protocol.dtype)

    network = build(first).to(device)
    parameters = Parameters(network, len(padded), device)
    start = network.initial(Draw(torch.tensor([replica.seed for replica in padded])))
    theta = parameters.flat(start).to(device, dtype).requires_grad_()
    slots = [torch.zeros_like(theta, requires_grad=False) for _ in range(OPTIMIZERS[protocol.optimizer][0])]
    rates = torch.tensor([s.model.recipe.learning_rate for s in specifications], dtype=dtype, device=device)
    rate = rates[parameters.owner]
    step_function = build_step(network, parameters, protocol.optimizer, list(recipe.regularizers))

    batches = Batches(padded, dtype, device)
    inside, outside = (
        EvaluationSet.of_range(name, padded, dtype, device) for name in ("interpolation", "extrapolation")
    )
    thresholds = {s.digest: threshold(s.problem, protocol.epsilon) for s in {id(s): s for s in specifications}.values()}
    limits = np.array([thresholds[s.digest] for s in specifications])
    per_call = engine.steps_per_call or max(1, min(32, DATA_NUMBERS // (len(padded) * batches.inputs * batches.batch)))

    curves: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    selected, lowest = theta.detach().clone(), np.full(len(padded), np.inf)
    best = np.zeros(len(padded), dtype=np.int64)

    def evaluate() -> None:
        named = parameters.unflat(theta.detach())
        finite = ~np.isin(np.arange(len(padded)), parameters.owner[~theta.detach().isfinite()].cpu().numpy())
        row = [np.where(finite, mean_squares(network, named, data).cpu().numpy(), np.inf) for data in (inside, outside)]
        sparsity = of_parameters("sparsity", network, named).double().cpu().numpy()
        better = row[0] < lowest if protocol.select == "best" else np.ones(len(padded), dtype=bool)
        best[better], lowest[better] = len(curves), row[0][better]
        taken = torch.from_numpy(better).to(device)[parameters.owner]
        torch.where(taken, theta.detach(), selected, out=selected)
        curves.append((row[0], row[1], sparsity))

    named = parameters.unflat(theta.detach())
    outputs = [(error + t).square().sum(-1) for error, t in errors(network, named, inside)]
    initial_output = (torch.stack(outputs).sum(0) / inside.x.shape[-1]).sqrt()
    initial_saturation = saturation(network, named)
    evaluate()
    evaluated = protocol.evaluated_steps
    reported = time.perf_counter()
    pending = solved = 0
    for begin, end in pairwise(evaluated):
        for call in range(begin, end, per_call):
            count = min(per_call, end - call)
            x, t = batches(call, count)
            calls = range(call, call + count)
            correction = torch.tensor(corrections(list(calls)), dtype=dtype, device=device)
            strength = [[term.strength(s, protocol.steps) for term in recipe.regularizers.values()] for s in calls]
            strengths = torch.tensor(strength, dtype=dtype, device=device)
            for k in range(count):
                step_function(theta, slots, x[k], t[k], rate, correction[k], strengths[k])
            pending += count * len(tile)
            if time.perf_counter() - reported > 0.5:
                report(pending, solved)
                pending, reported = 0, time.perf_counter()
        evaluate()
        solved = int((np.isfinite(limits) & (curves[-1][1] < limits))[: len(tile)].sum())
    report(pending, solved)

    real = slice(len(tile))
    cpu = lambda values: values.cpu().numpy()[real]
    named = parameters.unflat(selected)
    points, profile_x = EvaluationSet.of_profile(padded, dtype, device)
    chunks = [(error.abs(), t.abs()) for error, t in errors(network, named, points)]
    along = [
        cpu(torch.cat(part, -1).unflatten(-1, (profile_x.shape[1], -1)).mean(-1)) for part in zip(*chunks, strict=True)
    ]
    plane = np.zeros((2, len(tile), 0), dtype=np.float32)
    if has_plane(first.problem):
        over = EvaluationSet.of_plane(padded, dtype, device)
        parts = [torch.stack([error.abs(), t.abs()]) for error, t in errors(network, named, over)]
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
        parameters={name: cpu(value) for name, value in named.items()},
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


def tiles(replicas: Sequence[Replica], engine: Engine, workers: int) -> list[list[Replica]]:
    """Replicas grouped by architecture and cut into tiles, the most work first."""

    def group(replica: Replica) -> tuple:
        cell, problem = replica.cell, replica.cell.specification.problem
        grid = isinstance(problem.interpolation, Grid) or isinstance(problem.extrapolation, Grid)
        return cell.model, cell.protocol, cell.overrides, problem.inputs, problem.subsets, cell.range if grid else ""

    groups: dict[tuple, list[Replica]] = {}
    for replica in replicas:
        groups.setdefault(group(replica), []).append(replica)
    shares = -(-workers // len(groups)) if groups else 1  # a group is split for idle workers only: small tiles are slow
    cut = []
    for members in groups.values():
        size = engine.tile or min(_tile_size(members[0]), -(-len(members) // shares))
        size += -size % PAD
        cut += [members[i : i + size] for i in range(0, len(members), size)]
    return sorted(cut, key=lambda tile: -len(tile) * _numbers(tile[0]))


def _numbers(replica: Replica) -> int:
    """Products of weights and inputs in one step of a replica."""
    specification = replica.cell.specification
    sizes = [specification.problem.inputs, *specification.hidden, 1]
    return sum(a * b for a, b in pairwise(sizes)) * specification.protocol.batch


def _tile_size(replica: Replica) -> int:
    return max(2 * PAD, min(960, TILE_NUMBERS // _numbers(replica)))
