"""Training by a generated program: the memory that it works on, and its calls."""

import ctypes
from collections.abc import Sequence
from ctypes import c_long, c_void_p

import numpy as np
import torch

from benchmark.asked import streams
from benchmark.asked.data import CHUNK, EvaluationSet, Laws, number_unique, offsets
from benchmark.asked.ranges import Grid
from benchmark.asked.replicas import Replica
from benchmark.asked.tasks import OPERATIONS
from benchmark.training.fused.build import built
from benchmark.training.fused.program import source
from benchmark.training.steps import Step


class Plan(ctypes.Structure):
    """What frame.h calls Plan."""

    _fields_ = [
        *((name, c_long) for name in ("replicas", "pieces", "rows", "period", "rounds")),
        *((name, c_void_p) for name in ("data_key", "noise_key", "source", "code", "offset", "straight", "law")),
        *((name, c_void_p) for name in ("exact", "shape", "grid", "rate", "schedule", "turns", "state", "watched")),
    ]


class Fused:
    """Replicas of one architecture, one after the other; see `engine.Trainer` for what its methods promise."""

    name = "compiled"

    def __init__(self, replicas: Sequence[Replica]):
        first = replicas[0].cell.specification
        problems = [replica.cell.specification.problem for replica in replicas]
        protocol = first.protocol
        self.dtype = np.dtype(protocol.dtype)
        self.step = Step(first, 1, torch.device("cpu"))
        program = source(first)
        self.library = built(program.text)
        self.columns = program.columns
        self.kept: list[np.ndarray] = []  # what the plan points to
        size, sources = sum(self.step.parameters.sizes), problems[0].interpolation
        self.state = np.zeros((len(replicas), 1 + len(self.step.slots), size), self.dtype)
        self.plan = Plan(replicas=len(replicas), state=self.state.ctypes.data)
        self.plan.period = protocol.samples // protocol.batch if protocol.samples else 0
        seeds = lambda kind, stream: streams.seeded(torch.tensor(kind), stream).numpy()
        self._give(
            data_key=seeds([replica.data_seed for replica in replicas], streams.DATA),
            noise_key=seeds([replica.seed for replica in replicas], streams.NOISE),
            code=np.array([list(OPERATIONS).index(problem.operation) for problem in problems], np.int32),
            offset=np.array(offsets(replicas), np.int32),
            rate=np.array([r.cell.specification.model.recipe.learning_rate for r in replicas], self.dtype),
        )
        if isinstance(sources, Grid):
            rows = sources.rows().astype(self.dtype)
            self._give(grid=rows)
            self.plan.rows = rows.shape[1]
        else:
            wheres, index = number_unique([problem.interpolation for problem in problems])
            laws = Laws.of(wheres)
            self._give(source=index.numpy().astype(np.int32), straight=laws.straight.astype(self.dtype))
            self._give(exact=laws.straight, shape=laws.shape)
            if laws.law.any():
                self._give(law=laws.law.astype(np.int32))
            self.plan.pieces = laws.straight.shape[2]
        self.nowhere = np.ones((1, 1, problems[0].inputs, CHUNK), self.dtype)  # where nobody looks at the output
        self.plan.rounds = 1
        if self.step.turns is not None:
            masks = np.where(self.step.turns.numpy(), -1, 0).astype(np.int32 if self.dtype.itemsize == 4 else np.int64)
            self._give(turns=masks.view(self.dtype))
            self.plan.rounds = len(masks)

    def _give(self, **arrays: np.ndarray) -> None:
        for name, array in arrays.items():
            self.kept.append(np.ascontiguousarray(array))
            setattr(self.plan, name, self.kept[-1].ctypes.data)

    def load(self, rows: np.ndarray) -> None:
        """See `engine.Trainer`."""
        self.state[...] = rows

    def rows(self) -> np.ndarray:
        """See `engine.Trainer`."""
        return self.state.copy()

    def advance(self, first: int, schedule: np.ndarray, watched: np.ndarray | None) -> None:
        """See `engine.Trainer`."""
        columns = np.ascontiguousarray(schedule, self.dtype)
        self.plan.schedule = columns.ctypes.data
        self.plan.watched = None if watched is None else watched.ctypes.data
        self.library.train(ctypes.byref(self.plan), c_long(first), c_long(len(schedule)))

    def _evaluate(
        self, data: EvaluationSet | None, squares: np.ndarray | None, y: np.ndarray | None, sparsity: np.ndarray | None
    ) -> None:
        address = lambda array: None if array is None else c_void_p(array.ctypes.data)
        number = np.zeros(len(self.state), np.int32)
        x, t, points, sets, targets = self.nowhere, None, 1, number, number
        if data is not None:
            (x, t), points = data.chunks, data.x.shape[-1]
            sets, targets = (index.numpy().astype(np.int32) for index in (data.set_of, data.target_of))
        self.library.evaluate(
            c_long(len(self.state)), c_long(points), address(self.state), address(x), address(sets), address(t),
            address(targets), address(squares), address(y), address(sparsity),
        )  # fmt: skip

    def outputs(self, data: EvaluationSet) -> np.ndarray:
        """See `engine.Trainer`."""
        points = data.x.shape[-1]
        y = np.empty((len(self.state), points + -points % CHUNK), self.dtype)
        self._evaluate(data, None, y, None)
        return y[:, :points]

    def mean_squares(self, data: EvaluationSet) -> np.ndarray:
        """See `engine.Trainer`."""
        squares = np.empty(len(self.state))
        self._evaluate(data, squares, None, None)
        return squares / data.x.shape[-1]

    def sparsity(self) -> np.ndarray:
        """See `engine.Trainer`."""
        found = np.empty(len(self.state), self.dtype)
        self._evaluate(None, None, None, found)
        return found.astype(np.float64)
