"""A specification's program: its source text, and where in memory that program expects what."""

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import exact
from benchmark.asked.data import CHUNK, CHUNK_ROW
from benchmark.asked.replicas import Specification
from benchmark.asked.tasks import EVERY, Problem, outputs_of, together
from benchmark.training.fused.loops import literal
from benchmark.training.fused.numbers import TEXT, Graph, Number
from benchmark.training.fused.schedule import Schedule, contracted, prepared
from benchmark.training.fused.trace import NotFusable, Tracer, Watched
from benchmark.training.fused.write import Machine, Writer
from benchmark.training.steps import Step

TYPES = {"float32": ("float", "F", "FI"), "float64": ("double", "D", "DI")}
HEADERS = {"cpu": ("registers.h", "cpu.h"), "cuda": ("threads.h", "gpu.h")}
GPU = Machine(beside=1, sums=64)  # with a thread for each lane
GPU_WIDE = Machine(beside=1, sums=0)  # and with one for each example
WIDEST = 128  # threads; twice as many to draw MANY inputs
MANY = 16
KNOWN = 256  # programs whose text is kept: a tile's is asked for to tell whether there is one, and to train each tile
_known: dict[tuple[str, str, Machine | None], "Source"] = {}


@dataclass(frozen=True)
class Source:
    """The program's text.

    dtype: of its reals. threads: of a replica. memory: how many numbers a replica needs in each function for its
    examples, and for what all of them have in common.
    """

    text: str
    dtype: str
    threads: int
    memory: dict[str, tuple[int, int]]

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize


@cache
def header(name: str) -> str:
    """A header beside this file, without what only an editor needs."""
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith(("#pragma once", "#include")))


def this_processor() -> Machine:
    """As many registers beside each other as hold sixteen floats, but two at most; of AVX-512 those of two blocks."""
    wide = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return Machine(beside=1 if wide else 2, sums=10, blocks=2 if wide else 1)


def a_gpu(schedule: Schedule) -> Machine:
    """A thread for each lane, where all sums find room in registers, else one for each example."""
    return GPU if max(len(sums) for _, sums in schedule.phases) <= GPU.sums else GPU_WIDE


def source(specification: Specification, device: str = "cpu", machine: Machine | None = None) -> Source:
    """The text of a specification's program; NotFusable with what the generator does not know.

    It depends on the architecture and how it is trained, not on tasks, sums, ranges, seeds or rates. device: "cpu", in
    C++, or "cuda". machine: this one if None.
    """
    if specification.model.foreign:  # whose code may have been imported anew
        return _source(specification, device, machine)
    if device == "cpu":
        machine = machine or this_processor()
    key = specification.digest, device, machine
    if key not in _known:
        if len(_known) >= KNOWN:
            _known.clear()
        _known[key] = _source(specification, device, machine)
    return _known[key]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the search for cycles, which takes as long as tracing: a graph has none, and all of it is kept."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_uncollected()
def _source(specification: Specification, device: str, machine: Machine | None) -> Source:
    step = Step(specification, 1, torch.device("cpu"))
    problem, protocol = specification.problem, specification.protocol
    real, vector, mask = TYPES[protocol.dtype]
    dtype = np.float64 if protocol.dtype == "float64" else np.float32
    outputs, padded = problem.outputs, protocol.batch + -protocol.batch % 16
    try:
        training, ready = training_step(step, problem, protocol.batch, dtype, prepare=device == "cpu")
        forward = evaluation(step, problem, dtype)
        machine = machine or (a_gpu(training) if device == "cuda" else this_processor())
        of_batch, of_chunk = (_fitting(machine, examples) for examples in (padded, CHUNK))
        trained, lanes = written(training, of_batch, masked=protocol.batch % 16 != 0)
        seen, lanes_seen = written(Schedule(ready, {}), of_batch, results=ready) if ready else ([], 0)
        ((learned, judged),), lanes_forward = written(forward, of_chunk, results=forward.roots[:outputs])
        asked = outputs_of(problem.operation) if outputs > 1 else together(problem.operation)
        operations = [_operation(name) for name in asked]
    except NotFusable:
        raise
    except Exception as error:  # torch's own, of an operation that cannot be traced
        said = " ".join(str(error).split())[:200]
        raise NotFusable(f"it cannot be traced ({type(error).__name__}: {said})") from None
    size, columns = sum(step.parameters.sizes), 2 + len(step.terms)
    wide = min(padded, WIDEST)
    rows_at_once = 2 if problem.inputs >= MANY and 2 * wide % min(2 * wide, padded) == 0 else 1
    threads = 16 if machine.sums else wide * rows_at_once
    # Rows a power of two apart fall into few sets of the first-level cache, and a warp's two sums into the same banks.
    row = padded + 16 * (device == "cpu" or threads > 16)
    data, lanes = problem.inputs + len(ready) + outputs + step.network.noise_rows, max(lanes, lanes_seen)
    sizes = {
        "INPUTS": problem.inputs, "SEEN": problem.inputs + len(ready), "OUTPUTS": outputs,
        "OPERANDS": operands(problem), "BATCH": protocol.batch, "PADDED": padded,
        "NOISE": step.network.noise_rows, "PARAMETERS": size, "STATE": size * (1 + len(step.slots)),
        "KEPT": training.size, "RATE": training.first["rate"], "SCHEDULE": training.first["schedule"],
        "COLUMNS": columns, "TURNS": training.first["turns"], "TURN": 0 if step.turns is None else size,
        "ERROR": training.place.get(training.roots[-1], 0), "CHUNK": CHUNK, "CHUNK_ROW": CHUNK_ROW,
        "KEPT_FORWARD": forward.size, "LANES": lanes, "LANES_FORWARD": lanes_forward, "DATA": data,
        "THREADS": threads, "ROW": row, "SPARSITY": forward.place.get(forward.roots[-1], -1),
    }  # fmt: skip
    sparsity = forward.roots[-1]  # a constant if no parameter decides it
    constant = literal(sparsity.args[0] if sparsity.op == "constant" else float("nan"))
    arguments = "real* RESTRICT p, real* RESTRICT lanes, const real* RESTRICT x, {} real* RESTRICT {}"
    registers, lanes_of_machine = HEADERS[device]
    text = [
        header(registers),
        f"typedef {real} real;\ntypedef {vector} V;\ntypedef {mask} M;",
        f"enum {{ {', '.join(f'{name} = {value}' for name, value in sizes.items())} }};",
        f"#define CONSTANT_SPARSITY {constant}",
        header("functions.h"),
        _coefficients(),
        header("laws.h"),
        f"enum {{ SINGLE = {int(all(single for _, single in operations) and not problem.subsets)} }};",
        *_switch("D", [text for text, _ in operations]),
        *_switch("F", [text.replace("double", "float") for text, _ in operations]),
        header("plan.h"),
        header(lanes_of_machine),
        header("frame.h"),
        "#define LANE(number, at) (lanes + (number) * ROW + (at))",
        f"static void prepare({arguments.format('', 'y')}) {{",
        *_lines(seen),
        "}",
        f"static void step({arguments.format('const', 't')}, const real* RESTRICT noise) {{",
        *_lines(trained),
        "}",
        "#undef LANE\n#define LANE(number, at) (lanes + (number) * THREADS + (at) % THREADS)",
        "static void learned(real* RESTRICT p) {",
        *learned,
        "}",
        f"static void forward({arguments.format('', 'y')}) {{",
        *(line.replace("PADDED", "CHUNK").replace("ROW", "CHUNK_ROW") for line in judged),
        "}\n",
    ]
    memory = {"train": ((data + lanes) * row, training.size)}
    memory |= {"evaluate": (lanes_forward * threads, forward.size + outputs * CHUNK_ROW)}
    return Source("\n".join(text), protocol.dtype, threads, memory)


def operands(problem: Problem) -> int:
    """How many a program has: tasks of one and of two share it."""
    return max(2, problem.operands)


def training_step(
    step: Step, problem: Problem, batch: int, dtype: type, prepare: bool = False
) -> tuple[Schedule, list[Number]]:
    """Of a training step: its roots are the new state and, where a restart looks at it, the batch's error.

    prepare: what takes long and follows from the inputs alone is not part of it, but told beside it, and read from
    rows behind the inputs (see `schedule.prepared`).
    """
    graph = Graph(dtype)
    tracer = Tracer(graph, batch)
    size, count = sum(step.parameters.sizes), len(step.slots)
    full = lambda *shape: torch.full(shape, 0.5, dtype=tracer.real)
    x = tracer.given(full(1, problem.inputs, batch), "x")
    t = tracer.given(full(1, problem.outputs, batch), "t")
    rows = step.network.noise_rows
    noise = tracer.given(full(1, rows, batch), "noise") if rows else None
    theta = tracer.given(full(size), "state")
    slots = [tracer.given(full(size), "state", first=size * (1 + i)) for i in range(count)]
    rate = tracer.given(full(1), "rate").expand(size)
    correction = tracer.given(full(2), "schedule")
    strengths = tracer.given(full(len(step.terms)), "schedule", first=2)
    turns = step.turns is not None
    active = tracer.given(torch.ones(size, dtype=torch.bool), "turns", mask=True) if turns else None
    with tracer, Watched(tracer):
        error = step(theta, slots, x, t, noise, rate, correction, strengths, active)
    roots = [number for tensor in (theta, *slots) for number in _numbers(tracer, tensor)]
    watched = _numbers(tracer, error) if step.watched else []
    arrays = {"state": len(roots), "rate": 1, "schedule": 2 + len(step.terms), "turns": size if turns else 0}
    roots, count = contracted(graph, roots + watched), len(roots)
    roots, ready = prepared(graph, roots, problem.inputs) if prepare else (roots, [])
    return Schedule(roots, arrays, new_state=count), ready


def evaluation(step: Step, problem: Problem, dtype: type) -> Schedule:
    """Of an evaluation: its roots are the outputs and the sparsity error."""
    graph = Graph(dtype)
    tracer = Tracer(graph, CHUNK)
    x = tracer.given(torch.full((1, problem.inputs, CHUNK), 0.5, dtype=tracer.real), "x")
    size = sum(step.parameters.sizes)
    theta = tracer.given(torch.full((size,), 0.5, dtype=tracer.real), "state")
    with tracer, Watched(tracer), torch.no_grad():
        roots = [*_numbers(tracer, step.forward(theta, x)), _numbers(tracer, step.sparsity(theta))[0]]
    return Schedule(contracted(graph, roots), {"state": size})


def _fitting(machine: Machine, examples: int) -> Machine:
    """The machine for so many examples, which its blocks have to divide."""
    return machine if examples % (16 * machine.blocks) == 0 else replace(machine, blocks=1)


def written(
    schedule: Schedule, machine: Machine, masked: bool = False, results: Sequence[Number] = ()
) -> tuple[list[tuple[list[str], list[str]]], int]:
    """A schedule's phases, and how many numbers it keeps of each example; for all see `Writer`."""
    writer = Writer(schedule, masked, machine, results)
    return list(writer.phases()), writer.kept_lanes


def _lines(phases: list[tuple[list[str], list[str]]]) -> list[str]:
    return [line for common, own in phases for line in (*common, *own)]


def _numbers(tracer: Tracer, tensor: torch.Tensor) -> list[Number]:
    numbers, axis = tracer.read(tensor)
    return list(tracer.full(numbers, axis, tensor.shape).ravel())


def _switch(kind: str, operations: list[str]) -> list[str]:
    cases = (f"case {i}: return {text};" for i, text in enumerate(operations))
    return [f"INLINE {kind} operation(int code, const {kind}* o) {{\nswitch (code) {{", *cases, "}\nreturn o[0];\n}"]


def _operation(name: str) -> tuple[str, bool]:
    """An operation of tasks as an expression of its operands in float64; and whether it is rounded once at most.

    Then to round it to float64 and that to float32 is to compute it in float32 (Figueroa 1995).
    """
    graph = Graph(np.float64)
    tracer = Tracer(graph, 16)
    operation = EVERY[name]
    operands = tracer.given(torch.full((operation.operands, 16), 0.5, dtype=torch.float64), "x")
    with tracer:
        result = operation.compute(*operands)

    def text(number: Number) -> str:
        if number.op == "place":
            return f"o[{number.args[1]}]"
        if number.op == "constant":
            return f"all(double({literal(number.args[0]).removeprefix('real')}))"
        return f"({TEXT[number.op].format(*map(text, number.args))})"

    number = _numbers(tracer, result)[0]
    single = number.op == "place" or all(part.op in ("place", "constant") for part in number.args)
    return text(number), single and number.op in ("place", "add", "sub", "mul", "div", "sqrt")


def _coefficients() -> str:
    """Those of the logarithm and the normal law's quantiles, as `exact` has them."""
    row = lambda numbers: f"{{{', '.join(map(float.hex, numbers))}}}"
    tables: list[tuple[str, Any]] = [("CENTRE", exact.CENTRE), ("TAIL", exact.TAIL), ("FAR_TAIL", exact.FAR_TAIL)]
    constants = [("LN2", exact.LN2), ("LN2_REST", exact.LN2_REST), ("ROOT_OF_HALF", math.sqrt(0.5))]
    return "\n".join(
        [
            *(f"#define {name} {value.hex()}" for name, value in constants),
            f"static const double INVERSE_ATANH[{len(exact.INVERSE_ATANH)}] = {row(exact.INVERSE_ATANH)};",
            *(f"static const double {name}[2][8] = {{{', '.join(map(row, table))}}};" for name, table in tables),
        ]
    )
