"""Inputs and targets of many replicas at once, from counter-based streams."""

from collections.abc import Callable, Hashable, Sequence
from functools import cache, cached_property, partial

import numpy as np
import torch
from torch import Tensor

from benchmark import streams
from benchmark.compiling import compiled
from benchmark.ranges import Distribution, Grid
from benchmark.replicas import Replica
from benchmark.tasks import OPERATIONS, Problem, plane_points

# The seeds of Madsen & Johansen's validation and test sets; keys of this generator here, not the same numbers.
INTERPOLATION_SEED, EXTRAPOLATION_SEED = 43953907, 8689336
PROFILE_SIZE, PROFILE_POINTS = 81, 64
CHUNK = 512  # points evaluated at once

Where = Grid | tuple[Distribution, ...]


def number_unique(items: Sequence[Hashable]) -> tuple[list, Tensor]:
    """The distinct items in order of appearance, and the position of each item among them."""
    positions: dict[Hashable, int] = {}
    index = [positions.setdefault(item, len(positions)) for item in items]
    return list(positions), torch.tensor(index)


class Sampler:
    """Inverse distribution functions of many sets of inputs, as tensors.

    wheres: one entry a set, each a Distribution for every input; all have the same number of inputs.
    """

    def __init__(self, wheres: Sequence[tuple[Distribution, ...]], dtype: torch.dtype, device: torch.device):
        def column(value: Callable[[Distribution], float | bool]) -> Tensor:
            """One value of each distribution, [set, input, 1]."""
            rows = [[value(distribution) for distribution in where] for where in wheres]
            return torch.as_tensor(np.array(rows), device=device).unsqueeze(-1)

        self.dtype = dtype
        self.uniform = _pieces(wheres, dtype, device)
        self.laws = {
            law: column(partial(_follows, law))
            for law in sorted({distribution.law for where in wheres for distribution in where} - {"uniform"})
        }
        if self.laws:
            self.exact = _pieces(wheres, torch.float64, device)
            self.location, self.scale = column(lambda d: d.location), column(lambda d: d.scale)
            self.ends = column(lambda d: d.intervals[0][0]), column(lambda d: d.intervals[-1][1])

    def __call__(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., set, input, lane] to inputs of the same shape."""
        x = _interpolate(u.to(self.dtype), self.uniform)
        if self.laws:
            # In float64, as float32 has too few numbers for a tail; from the middle of u's steps, as a tail has no end.
            p = _interpolate(u.double() + 2.0**-25, self.exact)
            for law, holds in self.laws.items():
                standard = torch.special.ndtri(p) if law == "normal" else -torch.log1p(-p)
                quantile = (standard * self.scale + self.location).clamp(*self.ends)
                x = torch.where(holds, quantile.to(self.dtype), x)
        return x


def _follows(law: str, distribution: Distribution) -> bool:
    return distribution.law == law


Pieces = list[tuple[Tensor, Tensor, Tensor]]


def _pieces(wheres: Sequence[tuple[Distribution, ...]], dtype: torch.dtype, device: torch.device) -> Pieces:
    """(cut, slope, low), each [set, input, 1], of every interval; a cut of 2 pads unions of fewer: no u reaches it."""

    @cache
    def parts(distribution: Distribution) -> np.ndarray:
        cuts, low, high = distribution.pieces()
        padding = ((0, 0), (0, most - len(cuts)))
        return np.pad([cuts, (high - low) / np.diff(cuts, append=1.0), low], padding, constant_values=2.0)

    most = max(len(distribution.intervals) for where in wheres for distribution in where)
    table = np.array([[parts(distribution) for distribution in where] for where in wheres])  # [set, input, part, piece]
    stacked = torch.as_tensor(table, dtype=dtype, device=device).movedim((3, 2), (0, 1)).unsqueeze(-1)
    return [(cut, slope, low) for cut, slope, low in stacked]


def _interpolate(u: Tensor, pieces: Pieces) -> Tensor:
    """Piecewise linear in u. A product and a sum, each rounded by itself: the same bits in whatever tile."""
    cut, slope, low = pieces[0]
    p = (u - cut) * slope + low
    for cut, slope, low in pieces[1:]:
        p = torch.where(u < cut, p, (u - cut) * slope + low)
    return p


def subset_offset(problem: Problem, seed: int) -> int:
    """The seed's shift of the arithmetic data set's subsets, uniform on 0 … free."""
    if problem.subsets is None:
        return 0
    word = int(streams.bits(streams.key(seed, streams.OFFSET), streams.counter(1, 1))) & 0xFFFFFFFF
    return word * (problem.subsets.free + 1) >> 32


class Targets:
    """The operations of many sets of inputs, computed in float64; the inputs are the operands or hold their sums."""

    def __init__(self, problems: Sequence[Problem], offsets: Sequence[int], device: torch.device):
        self.operations, self.code = number_unique([problem.operation for problem in problems])
        self.code = self.code.to(device)[:, None, None]
        subsets = problems[0].subsets
        self.rows: list[Tensor] = []  # of each operand its members' places among all sets' inputs, [set · member]
        if subsets is not None:
            first = torch.arange(len(offsets)) * subsets.inputs + torch.tensor(offsets)
            self.rows = [(first[:, None] + torch.arange(*span)).flatten().to(device) for span in subsets.spans]

    def __call__(self, x: Tensor) -> Tensor:
        """[..., set, input, lane] -> float64 [..., set, 1, lane]."""
        return self.of(*self.addends(x))

    def addends(self, x: Tensor) -> list[Tensor]:
        """What each operand sums, [..., set, member, lane]; where nothing is summed, x alone.

        Apart from `of`, as torch's compiler does not vectorise it.
        """
        if not self.rows:
            return [x]
        inputs = x.flatten(-3, -2)
        return [inputs.index_select(-2, rows).unflatten(-2, (len(self.code), -1)) for rows in self.rows]

    def of(self, *addends: Tensor) -> Tensor:
        """Targets of each operand's addends [..., set, member, lane]: float64 [..., set, 1, lane]."""
        if self.rows:
            a, *_, b = [part.double().sum(-2, keepdim=True) for part in (*addends, addends[-1])]
        else:
            x = addends[0].double()
            a, b = x[..., :1, :], x[..., -1:, :]
        first, *others = [OPERATIONS[name] for name in self.operations]
        t = first.compute(*(a, b)[: first.operands])
        for code, operation in enumerate(others, start=1):
            t = torch.where(self.code == code, operation.compute(*(a, b)[: operation.operands]), t)
        return t


class Batches:
    """Training data of a tile of replicas, fresh or the same in every epoch.

    Models and operations of one seed and effective range share it.
    """

    def __init__(self, replicas: Sequence[Replica], dtype: torch.dtype, device: torch.device, compile: bool = False):
        problems = [replica.cell.specification.problem for replica in replicas]
        self.batch, self.inputs, self.device = replicas[0].cell.specification.protocol.batch, problems[0].inputs, device
        self.targets = Targets(problems, offsets(replicas), device)
        self.dtype = dtype
        protocol = replicas[0].cell.specification.protocol
        self.period = protocol.samples // protocol.batch if protocol.samples else None
        self.rows: Tensor | None = None
        self.counter = self._counter(self.inputs)
        # Apart from each other and from the training step: fused, a compiler would draw anew for whoever reads.
        self.draw = compiled(self._draw) if compile else self._draw
        self.ask = compiled(self._ask) if compile else self._ask
        self.shake = compiled(self._shake) if compile else self._shake
        self.own = torch.tensor([replica.seed for replica in replicas], device=device)
        self.checked = not compile
        first = problems[0].interpolation
        if isinstance(first, Grid):
            self.rows = torch.as_tensor(first.rows(), dtype=dtype, device=device)
            self.replicas = len(replicas)
            return
        each = [(r.data_seed, p.interpolation) for r, p in zip(replicas, problems, strict=True)]
        sources, index = number_unique(each)
        self.index: Tensor | None = index.to(device)
        if 2 * len(sources) > len(each):  # to draw a few twice is faster than to copy all
            sources, self.index = list(each), None
        self.seeds = torch.tensor([seed for seed, _ in sources], device=device)
        self.sampler = Sampler([where for _, where in sources], dtype, device)

    def __call__(self, step: int, count: int) -> tuple[Tensor, Tensor]:
        """Batches of `count` steps: inputs [step, replica, in, batch] and targets [step, replica, 1, batch]."""
        if self.rows is not None:
            lane = torch.arange(step * self.batch, (step + count) * self.batch, device=self.device)
            x = self.rows[:, lane % self.rows.shape[1]].unflatten(-1, (count, self.batch)).movedim(1, 0)
            x = x.unsqueeze(1).expand(-1, self.replicas, -1, -1).contiguous()
        else:
            steps = torch.arange(step, step + count, device=self.device)[:, None]
            if self.period:
                steps %= self.period
            key = streams.key(self.seeds, streams.DATA, steps)
            x = self.draw(key, *self.counter)
            if not self.checked and not torch.equal(x, self._draw(key, *self.counter)):
                raise RuntimeError("the compiler draws other random numbers than torch; use engine.mode=eager")
            if self.index is not None:
                x = x.index_select(1, self.index)
        addends = self.targets.addends(x)
        t = self.ask(*addends)
        if not self.checked and not torch.allclose(t, self._ask(*addends), rtol=1e-5, equal_nan=True):
            raise RuntimeError("the compiler computes other targets than torch; use engine.mode=eager")
        self.checked = True
        return x, t

    def noise(self, step: int, count: int, rows: int) -> Tensor | None:
        """Uniform numbers of each replica's own for units that train with noise: [step, replica, row, batch]."""
        if not rows:
            return None
        steps = torch.arange(step, step + count, device=self.device)[:, None]
        return self.shake(streams.key(self.own, streams.NOISE, steps), *self._counter(rows))

    def _counter(self, rows: int) -> tuple[Tensor, Tensor]:
        """The addends of the counter: of each row, int32 [row, 1], and of each lane, float32 [batch].

        torch 2.13's compiler, left to make the counter, gets it wrong for few lanes; given it whole, it is slow to load
        vectors of int32 without AVX-512, and their bits as float32 with it. A lane is exact in float32.
        """
        counter = streams.counter(rows, self.batch, device=self.device)
        return counter[:, :1].contiguous(), torch.arange(self.batch, dtype=torch.float32, device=self.device)

    def _shake(self, key: Tensor, row: Tensor, lane: Tensor) -> Tensor:
        """Uniform numbers under the keys [step, replica]: [step, replica, row, batch]."""
        return streams.uniform(key, row + lane.to(torch.int32)).to(self.dtype)

    def _draw(self, key: Tensor, row: Tensor, lane: Tensor) -> Tensor:
        """Inputs under the keys [step, source]: [step, source, in, batch].

        The key is an argument since the compiler takes ten seconds more to make it, and gains nothing by it.
        """
        return self.sampler(streams.uniform(key, row + lane.to(torch.int32)))

    def _ask(self, *addends: Tensor) -> Tensor:
        """The targets in training precision."""
        return self.targets.of(*addends).to(self.dtype)


class EvaluationSet:
    """Fixed data on which every replica of a range is judged: points of the range, or the rows of its grid.

    x: [set, in, point]; set_of: [replica]; t: float64 [target, point]; target_of: [replica].
    """

    def __init__(
        self, problems: Sequence[Problem], offsets: Sequence[int], x: Tensor, set_of: Tensor, device: torch.device
    ):
        self.x, self.set_of = x, set_of.to(device)
        forms = [(int(s), p.operation, o) for s, p, o in zip(set_of, problems, offsets, strict=True)]
        unique, self.target_of = number_unique(forms)
        self.target_of = self.target_of.to(device)
        chosen = {form: problem for form, problem in zip(forms, problems, strict=True)}
        targets = Targets([chosen[form] for form in unique], [offset for _, _, offset in unique], device)
        sets = [form[0] for form in unique]
        self.t = torch.cat([targets(points[sets])[:, 0] for points in x.split(CHUNK, -1)], -1)

    @cached_property
    def chunks(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """(x, t, real) of CHUNK points each: one shape, so one compiled program.

        A last chunk that is not full repeats the last point; real [point] is 1 for points that count and 0 for others.
        """
        points = self.x.shape[-1]
        size = min(CHUNK, points + -points % 16)
        index = torch.arange(points + -points % size, device=self.x.device).view(-1, size)
        kept = [(i.clamp(max=points - 1), (i < points).double()) for i in index]
        return [(self.x[..., i].contiguous(), self.t[:, i].contiguous(), real) for i, real in kept]

    @classmethod
    def of_range(
        cls, name: str, replicas: Sequence[Replica], dtype: torch.dtype, device: torch.device
    ) -> "EvaluationSet":
        """The "interpolation" or "extrapolation" set: it depends on the effective range and nothing else."""
        problems = [replica.cell.specification.problem for replica in replicas]
        protocol = replicas[0].cell.specification.protocol
        wheres, set_of = number_unique([getattr(problem, name) for problem in problems])
        if isinstance(wheres[0], Grid):
            x = torch.as_tensor(np.stack([where.rows() for where in wheres]), dtype=dtype, device=device)
        else:
            seed = INTERPOLATION_SEED if name == "interpolation" else EXTRAPOLATION_SEED
            counter = streams.counter(problems[0].inputs, protocol.evaluation_size)
            u = streams.uniform(streams.key(seed, streams.EVALUATION), counter)
            x = Sampler(wheres, dtype, device)(u.to(device).expand(len(wheres), -1, -1))
        return cls(problems, offsets(replicas), x, set_of, device)

    @classmethod
    def of_profile(
        cls, replicas: Sequence[Replica], dtype: torch.dtype, device: torch.device
    ) -> tuple["EvaluationSet", np.ndarray]:
        """Points ordered by where they lie, PROFILE_POINTS for each x or one, and x [replica, x]."""
        problems = [replica.cell.specification.problem for replica in replicas]
        unique, set_of = number_unique([(p.trained_hulls, p.extent, p.margin, p.operation) for p in problems])
        chosen = [problems[int((set_of == i).nonzero()[0])] for i in range(len(unique))]
        pairs = [profile_points(problem) for problem in chosen]
        points = torch.as_tensor(np.stack([points for _, points in pairs]), dtype=dtype, device=device)
        x = np.stack([x for x, _ in pairs])[set_of.numpy()]
        return cls(problems, offsets(replicas), points, set_of, device), x

    @classmethod
    def of_plane(cls, replicas: Sequence[Replica], dtype: torch.dtype, device: torch.device) -> "EvaluationSet":
        """The operand plane, the same for every replica (see `Problem.has_plane`)."""
        problems = [replica.cell.specification.problem for replica in replicas]
        points = torch.as_tensor(plane_points(), dtype=dtype, device=device).unsqueeze(0)
        return cls(problems, offsets(replicas), points, torch.zeros(len(problems), dtype=torch.int64), device)


def offsets(replicas: Sequence[Replica]) -> list[int]:
    """The subset offset of each replica."""
    return [subset_offset(replica.cell.specification.problem, replica.data_seed) for replica in replicas]


def profile_points(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Where the error is profiled: x [PROFILE_SIZE] and the points [in, PROFILE_SIZE · points].

    One input: x runs over the extent. More: x is the distance from the middle of the training range in multiples of its
    half-width, and a distance's points lie in the extent with their farthest input exactly there, the inputs taking
    turns, and the others anywhere nearer.
    """
    hulls, extent = np.array(problem.trained_hulls), np.array(problem.extent)  # [input, 2]
    middle, half = hulls.mean(1), (hulls[:, 1] - hulls[:, 0]) / 2
    if problem.inputs == 1:
        x = np.linspace(extent[0, 0], extent[0, 1], PROFILE_SIZE)
        return x, _clear_of_zero(x[None], problem)
    reach = np.abs(extent - middle[:, None]) / half[:, None]  # [input, side]
    x = np.linspace(0, reach.max(), PROFILE_SIZE)
    counter = streams.counter(problem.inputs, PROFILE_SIZE * PROFILE_POINTS)
    uniform = streams.uniform(streams.key(0, streams.PROFILE), counter)
    u = uniform.reshape(problem.inputs, PROFILE_SIZE, PROFILE_POINTS).double().numpy()
    away = x[None, :, None] * half[:, None, None]
    low = np.maximum(middle[:, None, None] - away, extent[:, :1, None])
    high = np.minimum(middle[:, None, None] + away, extent[:, 1:, None])
    points = low + (high - low) * u
    corners = [(i, side) for i in range(problem.inputs) for side in (0, 1)]
    for k, distance in enumerate(x):
        reaching = [(i, side) for i, side in corners if reach[i, side] >= distance * (1 - 1e-12)]
        for j in range(PROFILE_POINTS):
            i, side = reaching[j % len(reaching)]
            points[i, k, j] = middle[i] + (2 * side - 1) * distance * half[i]
    return x, _clear_of_zero(points.reshape(problem.inputs, -1), problem)


def _clear_of_zero(points: np.ndarray, problem: Problem) -> np.ndarray:
    """Points whose divisor keeps its margin."""
    if problem.margin and problem.subsets is None:
        divisor = points[-1]
        near = np.abs(divisor) < problem.margin
        points[-1] = np.where(near, np.copysign(problem.margin, divisor), divisor)
    return points
