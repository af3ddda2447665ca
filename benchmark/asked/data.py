"""Inputs and targets of many replicas at once, from counter-based streams."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce

import numpy as np
import torch
from torch import Tensor

from benchmark import exact
from benchmark.asked import streams
from benchmark.asked.ranges import Distribution, Grid, standard_quantile
from benchmark.asked.replicas import Replica
from benchmark.asked.tasks import EVERY, PROFILE_SIZE, RESPONSE_SIZE, Problem, held, plane_points

# The seeds of Madsen & Johansen's validation and test sets; keys of this generator here, not the same numbers.
INTERPOLATION_SEED, EXTRAPOLATION_SEED = 43953907, 8689336
PROFILE_POINTS = 64
CHUNK = 256  # points evaluated at once
CHUNK_ROW = CHUNK + 16  # from a row of them to the next, which a power of two would bring into few sets of a cache

Where = Grid | tuple[Distribution, ...]


def number_unique(items: Sequence[Hashable]) -> tuple[list, Tensor]:
    """The distinct items in order of appearance, and the position of each item among them."""
    positions: dict[Hashable, int] = {}
    known: dict[int, int] = {}  # by identity: to hash a law for each of thousands of replicas takes a while
    for item in items:
        if id(item) not in known:
            known[id(item)] = positions.setdefault(item, len(positions))
    return list(positions), torch.tensor([known[id(item)] for item in items])


@dataclass(frozen=True)
class Laws:
    """The inverse distribution functions of many sets of inputs, as tables of float64.

    straight: (cut, origin, slope, low, sign) of every interval, [set, input, piece, 5], see `ranges.Piece`; a cut of 2
    pads unions of fewer intervals, as no u reaches it. law: the place in `Distribution.laws`, [set, input]. shape:
    location, scale, lowest and highest x, [set, input, 4].
    """

    straight: np.ndarray
    law: np.ndarray
    shape: np.ndarray

    @classmethod
    def of(cls, wheres: Sequence[tuple[Distribution, ...]]) -> "Laws":
        """wheres: one entry a set, each a Distribution for every input; all have the same number of inputs."""
        most = max(len(distribution.intervals) for where in wheres for distribution in where)

        @cache
        def parts(distribution: Distribution) -> np.ndarray:
            own = [(p.cut, p.origin, p.slope, p.low, p.sign) for p in distribution.pieces()]
            return np.pad(own, ((0, most - len(own)), (0, 0)), constant_values=2.0)

        def shape(distribution: Distribution) -> tuple[float, float, float, float]:
            ends = distribution.intervals[0][0], distribution.intervals[-1][1]
            return distribution.location, distribution.scale, *ends

        rows = lambda value: np.array([[value(distribution) for distribution in where] for where in wheres])
        return cls(rows(parts), rows(lambda d: Distribution.laws.index(d.law)), rows(shape))


class Sampler:
    """From uniform numbers to inputs, by the laws of many sets, in float64. device: where that happens."""

    def __init__(self, laws: Laws, device: torch.device):
        tensor = lambda values, kind: torch.as_tensor(values, dtype=kind, device=device).unsqueeze(-1)
        self.straight = tensor(laws.straight, torch.float64)  # [set, input, piece, 5, 1]
        self.law, self.shape = tensor(laws.law, torch.int64), tensor(laws.shape, torch.float64)
        self.kinds = sorted(set(laws.law.flat) - {0})

    def __call__(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., set, input, lane] to inputs of the same shape, both float64."""
        x, sign = self._along(u)
        if self.kinds:
            location, scale, low, high = self.shape.unbind(-2)
            p, signs = x.cpu().numpy(), sign.cpu().numpy()
            for kind in self.kinds:
                standard = standard_quantile(Distribution.laws[kind], p, signs)
                value = torch.as_tensor(standard, device=u.device) * scale + location
                x = torch.where(self.law == kind, value.clamp(low, high), x)
        return x

    def _along(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """The probability, or value, and the sign at u. A product and a sum, each rounded by itself, as everywhere."""
        (_, origin, slope, low, sign), *others = [piece.unbind(-2) for piece in self.straight.unbind(-3)]
        p = (u - origin) * slope + low
        for cut, origin, slope, low, other in others:
            p = torch.where(u < cut, p, (u - origin) * slope + low)
            sign = torch.where(u < cut, sign, other)
        return p, sign


Spans = tuple[tuple[int, int], ...]  # each operand's inputs: which is the first, and which comes after the last


def shifted_spans(problems: Sequence[Problem], seeds: Sequence[int]) -> list[Spans]:
    """Of each problem what its operands are the sums of; none where the inputs are the operands.

    That is the arithmetic data set's subsets, which the problem's seed shifts, evenly over 0 … free.
    """
    words = streams.bits(streams.key(torch.tensor(seeds), streams.OFFSET), streams.counter(1, 1)).flatten().tolist()
    found: list[Spans] = []
    for subsets, word in zip((problem.subsets for problem in problems), words, strict=True):
        offset = (word & 0xFFFFFFFF) * (subsets.free + 1) >> 32 if subsets else 0
        found.append(tuple((start + offset, stop + offset) for start, stop in subsets.spans) if subsets else ())
    return found


class Targets:
    """The operations of many sets of inputs, computed in float64; the inputs are the operands or hold their sums.

    spans: of each set, see `shifted_spans`; all have some, or none. An operation with several outputs is alone. Where
    an output is not asked (see `tasks.Operation`) its target is nan.
    """

    def __init__(self, problems: Sequence[Problem], spans: Sequence[Spans], device: torch.device):
        self.operations, self.code = number_unique([problem.operation for problem in problems])
        self.code = self.code.to(device)[:, None, None]
        # Of each operand its members' places among all sets' inputs, and one more that is 0, [set · member].
        self.rows: list[Tensor] = []
        for of_operand in zip(*padded(spans, max(map(len, spans))), strict=True):
            start, stop = torch.tensor(of_operand)[..., None].unbind(1)
            member = start + torch.arange(int((stop - start).max()))
            places = torch.arange(len(spans))[:, None] * problems[0].inputs + member
            nothing = len(spans) * problems[0].inputs
            self.rows.append(torch.where(member < stop, places, nothing).flatten().to(device))

    def __call__(self, x: Tensor) -> Tensor:
        """[..., set, input, lane] -> float64 [..., set, output, lane]."""
        if self.rows:
            inputs = torch.nn.functional.pad(x.double().flatten(-3, -2), (0, 0, 0, 1))
            # One after the other: the order of torch's own sum depends on the processor.
            members = [inputs.index_select(-2, rows).unflatten(-2, (len(self.code), -1)) for rows in self.rows]
            operands = [reduce(torch.add, sums.split(1, -2)) for sums in members]
        else:
            operands = list(x.double().split(1, -2))
        # numpy's root and `exact`'s sine have the same last bits on every processor, torch's have not.
        arrays = [operand.cpu().numpy() for operand in operands]
        with np.errstate(all="ignore"):
            results = [o.compute(*arrays[: o.operands]) for o in map(EVERY.__getitem__, self.operations)]
        if parts := EVERY[self.operations[0]].parts:
            lowest = x.amin(-2, keepdim=True).cpu().numpy()
            each = [np.where(lowest >= EVERY[name].low, t, np.nan) for t, name in zip(*results, parts, strict=True)]
            return torch.from_numpy(np.concatenate(each, -2)).to(x.device)
        t, *others = [torch.from_numpy(result).to(x.device) for result in results]
        for code, other in enumerate(others, start=1):
            t = torch.where(self.code == code, other, t)
        return t


class Batches:
    """Training data of replicas, fresh or the same in every epoch; of one seed and effective range always the same."""

    def __init__(self, replicas: Sequence[Replica], dtype: torch.dtype, device: torch.device):
        problems = [replica.cell.specification.problem for replica in replicas]
        protocol = replicas[0].cell.specification.protocol
        self.batch, self.inputs, self.device = protocol.batch, problems[0].inputs, device
        self.targets = Targets(problems, spans_of(replicas), device)
        self.dtype = dtype
        self.period = protocol.samples // protocol.batch if protocol.samples else None
        self.rows: Tensor | None = None
        self.own = torch.tensor([replica.seed for replica in replicas], device=device)
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
        self.sampler = Sampler(Laws.of([where for _, where in sources]), device)

    def __call__(self, step: int, count: int) -> tuple[Tensor, Tensor]:
        """Batches of `count` steps: inputs [step, replica, in, batch] and targets [step, replica, output, batch]."""
        if self.rows is not None:
            lane = torch.arange(step * self.batch, (step + count) * self.batch, device=self.device)
            x = self.rows[:, lane % self.rows.shape[1]].unflatten(-1, (count, self.batch)).movedim(1, 0)
            x = x.unsqueeze(1).expand(-1, self.replicas, -1, -1).contiguous()
        else:
            steps = torch.arange(step, step + count, device=self.device)[:, None]
            if self.period:
                steps %= self.period
            key = streams.key(self.seeds, streams.DATA, steps)
            u = streams.uniform(key, streams.counter(self.inputs, self.batch, device=self.device))
            x = self.sampler(u).to(self.dtype)
            if self.index is not None:
                x = x.index_select(1, self.index)
        return x, self.targets(x).to(self.dtype)

    def noise(self, step: int, count: int, rows: int) -> Tensor | None:
        """Uniform numbers of each replica's own for units that train with noise: [step, replica, row, batch]."""
        if not rows:
            return None
        steps = torch.arange(step, step + count, device=self.device)[:, None]
        counter = streams.counter(rows, self.batch, device=self.device)
        return streams.uniform(streams.key(self.own, streams.NOISE, steps), counter).to(self.dtype)


class EvaluationSet:
    """Fixed data on which every replica of a range is judged: points of the range, or the rows of its grid.

    x: [set, in, point]; set_of: [replica]; t: float64 [target, output · point], an output's points together, nan where
    it is not asked; target_of: [replica]; asked: of each target, how many are.
    """

    def __init__(self, problems: Sequence[Problem], spans: Sequence[Spans], x: Tensor, set_of: Tensor):
        self.x, self.set_of = x, set_of
        forms = [(s, p.operation, own) for s, p, own in zip(set_of.tolist(), problems, spans, strict=True)]
        unique, self.target_of = number_unique(forms)
        chosen = {form: problem for form, problem in zip(forms, problems, strict=True)}
        targets = Targets([chosen[form] for form in unique], [own for _, _, own in unique], x.device)
        sets = [form[0] for form in unique]
        self.outputs = problems[0].outputs
        self.t = torch.cat([targets(points[sets]) for points in x.split(CHUNK, -1)], -1).flatten(1)
        unasked = self.t.isnan() if self.outputs > 1 else torch.zeros_like(self.t, dtype=torch.bool)
        self.asked = (~unasked).sum(-1).numpy()

    @property
    def mean_square(self) -> np.ndarray:
        """Of each replica's targets: float64 [replica]."""
        t = self.t.nan_to_num(nan=0.0, posinf=torch.inf, neginf=-torch.inf) if self.outputs > 1 else self.t
        return (exact.total((t * t).numpy()) / self.asked)[self.target_of.numpy()]

    @cached_property
    def chunks(self) -> tuple[np.ndarray, np.ndarray]:
        """x [set, chunk, in, CHUNK_ROW] and t [target, chunk, output, CHUNK]; behind the points there are copies."""
        points = self.x.shape[-1]
        index = np.minimum(np.arange(points + -points % CHUNK), points - 1).reshape(-1, CHUNK)
        x = self.x.numpy()[..., np.pad(index, ((0, 0), (0, CHUNK_ROW - CHUNK)), "edge")]  # [set, in, chunk, CHUNK_ROW]
        t = self.t.unflatten(-1, (self.outputs, points)).numpy()[..., index]  # [target, output, chunk, CHUNK]
        return np.ascontiguousarray(x.swapaxes(1, 2)), np.ascontiguousarray(t.swapaxes(1, 2))

    @classmethod
    def of_range(cls, name: str, replicas: Sequence[Replica], dtype: torch.dtype) -> "EvaluationSet":
        """The "interpolation" or "extrapolation" set: it depends on the effective range and nothing else."""
        problems = [replica.cell.specification.problem for replica in replicas]
        protocol = replicas[0].cell.specification.protocol
        wheres, set_of = number_unique([getattr(problem, name) for problem in problems])
        if isinstance(wheres[0], Grid):
            x = torch.as_tensor(np.stack([where.rows() for where in wheres]), dtype=dtype)
        else:
            seed = INTERPOLATION_SEED if name == "interpolation" else EXTRAPOLATION_SEED
            counter = streams.counter(problems[0].inputs, protocol.evaluation_size)
            u = streams.uniform(streams.key(seed, streams.EVALUATION), counter)
            x = Sampler(Laws.of(wheres), u.device)(u.expand(len(wheres), -1, -1)).to(dtype)
        return cls(problems, spans_of(replicas), x, set_of)

    @classmethod
    def of_profile(cls, replicas: Sequence[Replica], dtype: torch.dtype) -> tuple["EvaluationSet", np.ndarray]:
        """Points ordered by where they lie, PROFILE_POINTS for each x or one, and x [replica, x]."""
        return cls._along(profile_points, replicas, dtype)

    @classmethod
    def of_responses(cls, replicas: Sequence[Replica], dtype: torch.dtype) -> tuple["EvaluationSet", np.ndarray]:
        """The points of `response_points` and x [replica, point]; for replicas whose inputs are the operands."""
        return cls._along(response_points, replicas, dtype)

    @classmethod
    def _along(
        cls,
        points_of: Callable[[Problem], tuple[np.ndarray, np.ndarray]],
        replicas: Sequence[Replica],
        dtype: torch.dtype,
    ) -> tuple["EvaluationSet", np.ndarray]:
        problems = [replica.cell.specification.problem for replica in replicas]
        unique, set_of = number_unique(problems)
        pairs = [points_of(problem) for problem in unique]
        points = torch.as_tensor(np.stack([points for _, points in pairs]), dtype=dtype)
        x = np.stack([x for x, _ in pairs])[set_of.numpy()]
        return cls(problems, spans_of(replicas), points, set_of), x

    @classmethod
    def of_plane(cls, replicas: Sequence[Replica], dtype: torch.dtype) -> "EvaluationSet":
        """The operand plane, the same for every replica (see `Problem.has_plane`)."""
        problems = [replica.cell.specification.problem for replica in replicas]
        points = torch.as_tensor(plane_points(), dtype=dtype).unsqueeze(0)
        return cls(problems, spans_of(replicas), points, torch.zeros(len(problems), dtype=torch.int64))


def spans_of(replicas: Sequence[Replica]) -> list[Spans]:
    """What each replica's operands are the sums of, see `shifted_spans`."""
    problems = [replica.cell.specification.problem for replica in replicas]
    return shifted_spans(problems, [replica.data_seed for replica in replicas])


def padded(spans: Sequence[Spans], operands: int) -> list[Spans]:
    """As many spans for each, the last of them several times where there are fewer operands."""
    return [own + own[-1:] * (operands - len(own)) for own in spans]


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
    u = uniform.reshape(problem.inputs, PROFILE_SIZE, PROFILE_POINTS).numpy()
    away = x[None, :, None] * half[:, None, None]
    low = np.maximum(middle[:, None, None] - away, extent[:, :1, None])
    high = np.minimum(middle[:, None, None] + away, extent[:, 1:, None])
    points = low + (high - low) * u
    corners = [(i, side) for i in range(problem.inputs) for side in (0, 1)]
    turn = np.arange(PROFILE_POINTS)
    for k, distance in enumerate(x):
        reaching = np.array([corner for corner in corners if reach[corner] >= distance * (1 - 1e-12)])
        i, side = reaching[turn % len(reaching)].T
        points[i, k, turn] = middle[i] + (2 * side - 1) * distance * half[i]
    return x, _clear_of_zero(points.reshape(problem.inputs, -1), problem)


def response_points(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Where answers are recorded: x [operand · RESPONSE_SIZE] and the points [in, the same], operand after operand.

    Each operand runs over its extent in equal steps, whatever is not in its domain there included, while the others
    stay where `tasks.held` says.
    """
    swept = np.array([np.linspace(low, high, RESPONSE_SIZE) for low, high in problem.extent])  # [input, x]
    still = np.array([held(*hull) for hull in problem.trained_hulls])
    points = np.tile(still[:, None, None], (1, problem.inputs, RESPONSE_SIZE))
    each = np.arange(problem.inputs)
    points[each, each] = swept
    return swept.ravel(), points.reshape(problem.inputs, -1)


def _clear_of_zero(points: np.ndarray, problem: Problem) -> np.ndarray:
    """Points whose divisor keeps its margin."""
    if problem.margin and problem.subsets is None:
        divisor = points[-1]
        near = np.abs(divisor) < problem.margin
        points[-1] = np.where(near, np.copysign(problem.margin, divisor), divisor)
    return points
