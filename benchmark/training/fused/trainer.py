"""Training by a generated program: the memory that it works on, and its calls."""

import ctypes
from collections.abc import Sequence
from ctypes import c_long, c_void_p
from typing import Any

import numpy as np
import torch

from benchmark.asked import streams
from benchmark.asked.data import CHUNK, CHUNK_ROW, EvaluationSet, Laws, number_unique, padded, spans_of
from benchmark.asked.ranges import Grid
from benchmark.asked.replicas import Replica
from benchmark.asked.tasks import together
from benchmark.training.fused.build import built
from benchmark.training.fused.gpu import GpuProgram
from benchmark.training.fused.program import Source, operands, source
from benchmark.training.steps import Step


class Plan(ctypes.Structure):
    """What plan.h calls Plan."""

    _fields_ = [
        *((name, c_long) for name in ("replicas", "pieces", "rows", "period", "rounds", "plain")),
        *((name, c_void_p) for name in ("data_key", "noise_key", "source", "code", "spans", "straight", "law")),
        *((name, c_void_p) for name in ("shape", "grid", "rate", "schedule", "turns", "state", "watched")),
    ]


class Points(ctypes.Structure):
    """What plan.h calls Points."""

    _fields_ = [
        *((name, c_long) for name in ("replicas", "points", "chunks")),
        *((name, c_void_p) for name in ("state", "x", "t", "set", "target", "squares", "y", "sparsity")),
    ]


class CpuProgram:
    """A program for the CPU."""

    def __init__(self, source: Source):
        self.library = built(source.text)

    def train(self, plan: Plan, first: int, steps: int) -> None:
        """All the plan's replicas, from this step on."""
        self.library.train(ctypes.byref(plan), c_long(first), c_long(steps))

    def evaluate(self, points: Points) -> None:
        """All their outputs, squared errors or sparsity errors."""
        self.library.evaluate(ctypes.byref(points))


class Fused:
    """Replicas of one architecture, one after the other; see `engine.Trainer` for what its methods promise."""

    name = "compiled"

    def __init__(self, replicas: Sequence[Replica], device: torch.device):
        first = replicas[0].cell.specification
        problems = [replica.cell.specification.problem for replica in replicas]
        protocol = first.protocol
        self.device, self.dtype = device, getattr(torch, protocol.dtype)
        self.step = Step(first, 1, torch.device("cpu"))
        own = source(first, device.type)
        self.program = GpuProgram(own, device) if device.type == "cuda" else CpuProgram(own)
        self.kept: dict[Any, Any] = {}  # what addresses point to
        size, sources = sum(self.step.parameters.sizes), problems[0].interpolation
        shape = (len(replicas), 1 + len(self.step.slots), size)
        self.state = torch.zeros(shape, dtype=self.dtype, device=device)
        self.plan = Plan(replicas=len(replicas), state=self.state.data_ptr(), rounds=1)
        self.plan.period = protocol.samples // protocol.batch if protocol.samples else 0
        seeds = lambda kind, stream: streams.seeded(torch.tensor(kind), stream)
        real = str(self.dtype).removeprefix("torch.")
        singles = tuple((i, i + 1) for i in range(problems[0].inputs))
        self._give(
            data_key=seeds([replica.data_seed for replica in replicas], streams.DATA),
            noise_key=seeds([replica.seed for replica in replicas], streams.NOISE),
            code=np.array([together(own.operation).index(own.operation) for own in problems], np.int32),
            spans=np.array(padded([own or singles for own in spans_of(replicas)], operands(problems[0])), np.int32),
            rate=np.array([r.cell.specification.model.recipe.learning_rate for r in replicas], real),
        )
        if isinstance(sources, Grid):
            rows = sources.rows().astype(real)
            self._give(grid=rows)
            self.plan.rows = rows.shape[1]
        else:
            wheres, index = number_unique([problem.interpolation for problem in problems])
            laws = Laws.of(wheres)
            self._give(source=index.int(), straight=laws.straight, law=laws.law.astype(np.int32), shape=laws.shape)
            self.plan.pieces = laws.straight.shape[2]
            alike = (laws.straight == laws.straight[:, :1]).all()
            self.plan.plain = int(self.plan.pieces == 1 and alike and not laws.law.any())
        self.nowhere = np.ones((1, 1, problems[0].inputs, CHUNK_ROW), real)  # where nobody looks at the output
        if self.step.turns is not None:
            integers = torch.int32 if self.dtype.itemsize == 4 else torch.int64
            self._give(turns=self.step.turns.to(integers).neg())
            self.plan.rounds = len(self.step.turns)

    def _placed(self, array: np.ndarray | torch.Tensor) -> torch.Tensor:
        """The array where the program finds it; on the CPU it stays where it is if it is contiguous."""
        return torch.as_tensor(array).to(self.device).contiguous()

    def _give(self, **arrays: np.ndarray | torch.Tensor) -> None:
        for name, array in arrays.items():
            self.kept[name] = self._placed(array)
            setattr(self.plan, name, self.kept[name].data_ptr())

    def load(self, rows: np.ndarray) -> None:
        """See `engine.Trainer`."""
        self.state.copy_(torch.from_numpy(rows))

    def rows(self) -> np.ndarray:
        """See `engine.Trainer`."""
        return self.state.cpu().numpy().copy()

    def advance(self, first: int, schedule: np.ndarray, watched: np.ndarray | None) -> None:
        """See `engine.Trainer`."""
        self._give(schedule=torch.from_numpy(schedule).to(self.dtype))
        sums = None if watched is None else self._placed(watched)
        self.plan.watched = None if sums is None else sums.data_ptr()
        self.program.train(self.plan, first, len(schedule))
        if watched is not None and sums is not None:
            watched[...] = sums.cpu().numpy()

    def _evaluate(self, data: EvaluationSet | None, **wanted: torch.Tensor) -> None:
        plan = Points(replicas=len(self.state), points=1, chunks=1, state=self.state.data_ptr())
        number = np.zeros(len(self.state), np.int32)
        arrays: dict[str, Any] = {"x": self.nowhere, "set": number, "target": number}
        if data is not None:
            plan.points, plan.chunks = data.x.shape[-1], -(-data.x.shape[-1] // CHUNK)
            arrays = dict(zip(("x", "t"), data.chunks, strict=True))
            arrays |= {"set": data.set_of.int(), "target": data.target_of.int()}
        if data not in self.kept:
            self.kept[data] = {name: self._placed(array) for name, array in arrays.items()}
        for name, array in (self.kept[data] | wanted).items():
            setattr(plan, name, array.data_ptr())
        self.program.evaluate(plan)

    def _empty(self, *shape: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.empty((len(self.state), *shape), dtype=dtype, device=self.device)

    def outputs(self, data: EvaluationSet) -> torch.Tensor:
        """See `engine.Trainer`."""
        points = data.x.shape[-1]
        y = self._empty(-(-points // CHUNK), data.outputs, CHUNK_ROW, dtype=self.dtype)
        self._evaluate(data, y=y)
        return y[..., :CHUNK].transpose(1, 2).flatten(2)[..., :points].flatten(1)

    def mean_squares(self, data: EvaluationSet) -> np.ndarray:
        """See `engine.Trainer`."""
        squares = self._empty(dtype=torch.float64)
        self._evaluate(data, squares=squares)
        return squares.cpu().numpy() / data.asked[data.target_of.numpy()]

    def sparsity(self) -> np.ndarray:
        """See `engine.Trainer`."""
        found = self._empty(dtype=self.dtype)
        self._evaluate(None, sparsity=found)
        return found.cpu().numpy().astype(np.float64)
