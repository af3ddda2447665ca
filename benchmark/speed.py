"""python -m benchmark.speed: replica-steps per second, beside the plain loop of one network in one process per core.

Everything counts: fresh data, targets, training steps, evaluations at the published cadence. Ours and the plain loop
take turns, so that both see the machine in the same minutes.
"""

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import Parser, UsageError, guarded, number, outlet, say

WORKLOADS: dict[str, dict[str, Any]] = {  # as for `configs.compose`
    "nalu": {"models": ["nalu"], "tasks": ["mul"], "ranges": ["positive"]},
    "nau_nmu": {
        "models": ["nmu"],
        "tasks": ["mul"],
        "ranges": ["positive"],
        "overrides": ["+model.nmu.hidden_unit=benchmark.units.nau.NAU", "protocol.hidden=[2]", "protocol.inputs=100"],
    },
    "mlp": {"models": ["mlp_tanh"], "tasks": ["identity"], "ranges": ["symmetric"]},
}
ENGINES = ("eager", "compiled")
EVERY = 1000  # steps between evaluations
SPEED = [
    *("workload", "engine", "processor", "replica_steps_per_second", "plain_loop", "ratio"),
    *("compile_seconds", "peak_mib"),
]

_tile: Any = None  # a worker's replicas and their engine, between calls


def processor(device: str) -> str:
    """On what is measured: its name, cores and widest registers, or the GPU's name."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name}, {_workers(device)} cores, {torch.backends.cpu.get_cpu_capability()}"


def prepare(workload: str, mode: str, device: str, tile: int | None, worker: int) -> float:
    """Make a worker's tile, its seeds its own, and its program: the seconds that this takes."""
    global _tile
    from benchmark.asked.configs import compose
    from benchmark.asked.protocol import Engine
    from benchmark.training.engine import Training
    from benchmark.training.tiles import tiles

    names = dict(WORKLOADS[workload])
    seeds = tile or 1 << (10 if device == "cpu" else 14)
    settings = [f"protocol.seeds={seeds}", f"protocol.first_seed={seeds * worker}", f"protocol.evaluate_every={EVERY}"]
    overrides = [*names.pop("overrides", []), *settings, "protocol.learning_rate=0.001"]
    replicas = compose(**names, overrides=overrides).replicas()
    began = time.perf_counter()
    _tile = tiles(replicas, Engine(mode=mode, device=device, tile=tile), 1)[0]
    Training(_tile[0][:1], _tile[1])
    return time.perf_counter() - began


def block(steps: int) -> tuple[float, float, float]:
    """Train this worker's tile: replica-steps per second, seconds, peak memory in MiB."""
    from benchmark.training.engine import train

    replicas, engine = _tile
    cell = replicas[0].cell
    protocol = replace(cell.specification.protocol, steps=steps)
    cell = replace(cell, specification=replace(cell.specification, protocol=protocol))
    began = time.perf_counter()
    train([replace(replica, cell=cell) for replica in replicas], engine)
    seconds = time.perf_counter() - began
    return len(replicas) * steps / seconds, seconds, _peak()


def _peak() -> float:
    """The most memory that this process ever had, in MiB; nan on Windows, which does not tell it."""
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10 if sys.platform == "linux" else 1 << 20)


def parts() -> dict[str, float]:
    """Microseconds of a replica-step on this worker: its data and training, its share of the evaluations, its limit."""
    from benchmark.training.engine import Training
    from benchmark.training.optimizers import corrections

    replicas, engine = _tile
    training = Training(replicas, engine)
    steps = 100 if engine.mode == "compiled" else 10
    schedule = np.zeros((steps, 2 + len(training.recipe.regularizers)))
    schedule[:, :2] = corrections(range(steps))

    def microseconds(call: Callable[[], Any], times: int) -> float:
        seconds = []
        for _ in range(times + 1):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        return statistics.median(seconds[1:]) * 1e6 / len(replicas)

    times = {
        "step": microseconds(lambda: training.run.advance(0, schedule, None), 10) / steps,
        "evaluation": 2 * microseconds(lambda: training.run.mean_squares(training.inside), 5) / EVERY,
    }
    if engine.mode == "compiled":
        times["limit"] = limit()
        times["share"] = times["limit"] / times["step"]
    return times


# Operations of a register that the elementary functions of functions.h take; all others take one.
OPERATIONS = {
    **{"exp": 24, "log": 30, "tanh": 28, "sigmoid": 31, "expm1": 28},
    **{"log1p": 80, "sin": 110, "cos": 110, "erf": 130, "pow": 150},
}
HASH = 41  # operations of a register of random inputs: 27 of integers, and 7 of each of two registers of doubles

PEAK = """
static float peak_of(long rounds) {
    F sums[12];
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) sums[i] = all(0.5f + i);
    const F a = all(0.999f), b = all(0.001f);
    for (long n = 0; n < rounds; n++)
#pragma GCC unroll 12
        for (int i = 0; i < 12; i++)
            sums[i] = i % 3 == 0 ? fma(sums[i], a, b) : i % 3 == 1 ? sums[i] + b : number(bits(sums[i]) ^ bits(a));
#pragma GCC unroll 12
    for (int i = 1; i < 12; i++) sums[0] = sums[0] + sums[i];
    return any_of(sums[0]);
}
"""
PEAKS = {
    "cpu": (
        "registers.h",
        "INLINE float any_of(F v) { return v[0]; }",
        'extern "C" float peak(long n) { return peak_of(n); }',
    ),
    "cuda": (
        "threads.h",
        "INLINE float any_of(F v) { return v; }",
        'extern "C" __global__ void peak(long n, float* out) { out[threadIdx.x] = peak_of(n); }',
    ),
}


def limit() -> float:
    """Microseconds of this worker's replica-step if its machine did nothing but the step's own operations.

    That is: as fast as it does independent operations of whole registers, products, sums and words in turn.
    """
    import torch

    from benchmark.training.fused.program import training_step
    from benchmark.training.steps import Step

    specification = _tile[0][0].cell.specification
    problem, batch = specification.problem, specification.protocol.batch
    schedule, _ = training_step(Step(specification, 1, torch.device("cpu")), problem, batch, np.float32)
    work = sum(OPERATIONS.get(n.op, len(n.args) if n.op == "sum" else 1) for n in schedule.counts if n.lanes)
    work += sum(number.op == "over_lanes" for number in schedule.counts)
    lanes = (work + HASH * problem.inputs) * batch
    return lanes / _operations_per_second(_tile[1].device) * 1e6


def _operations_per_second(device: str) -> float:
    """Of single numbers, independent ones: fma, addition and exclusive or in turn, which have units of their own."""
    import ctypes

    import torch

    from benchmark.training.fused import build, gpu
    from benchmark.training.fused.program import header

    registers, any_of, entry = PEAKS[device]
    text = "\n".join([header(registers), any_of, PEAK, entry])
    rounds, seconds = 1 << 22, []
    if device == "cuda":
        rounds, width = 1 << 16, gpu.THREADS * 64 * torch.cuda.get_device_properties().multi_processor_count
        out = torch.empty(gpu.THREADS, device=device)
        run = gpu.Kernels(text, torch.device(device))
        values = (ctypes.c_long(rounds), ctypes.c_void_p(out.data_ptr()))
        call = lambda: run.launch(run.kernel("peak"), width // gpu.THREADS, gpu.THREADS, 0, *values)
    else:
        library, width = build.built(text), {"AVX512": 16, "AVX2": 8}.get(torch.backends.cpu.get_cpu_capability(), 4)
        call = lambda: library.peak(ctypes.c_long(rounds))
    for _ in range(5):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return 12 * rounds * width / min(seconds)


def measure(workload: str, arguments: argparse.Namespace, done: Callable[[], Any]) -> tuple[list[dict], list[dict]]:
    """(a row for each engine and block, a row for each engine with the parts of a step)."""
    from benchmark.training.plain import steps_per_second

    pools = {kind: [_process() for _ in range(_workers(arguments.device))] for kind in ("plain", *arguments.engines)}
    compiling, steps = {}, {}
    for engine in arguments.engines:
        setting = (workload, engine, arguments.device, arguments.tile)
        # One after the other: the first compiles, the others find the program in the compiler's cache.
        took = [pool.submit(prepare, *setting, i).result() for i, pool in enumerate(pools[engine])]
        compiling[engine] = took[0]
        steps[engine] = _lasting(arguments.seconds, pools[engine][0])
    rows: list[dict] = []
    shares: list[dict] = []
    machine = processor(arguments.device)
    for number_of_block in range(arguments.blocks):
        loops = [pool.submit(steps_per_second, workload, arguments.seconds) for pool in pools["plain"]]
        plain = sum(loop.result() for loop in loops)
        done()
        for engine in arguments.engines:
            results = [f.result() for f in [pool.submit(block, steps[engine]) for pool in pools[engine]]]
            rate = sum(result[0] for result in results)
            row = {"workload": workload, "engine": engine, "block": number_of_block, "replica_steps_per_second": rate}
            row |= {
                "processor": machine,
                "plain_loop": plain,
                "ratio": rate / plain,
                "compile_seconds": compiling[engine],
            }
            rows.append(row | {"peak_mib": max(result[2] for result in results)})
            done()
    for engine in arguments.engines:
        shares.append(
            {"workload": workload, "engine": engine, "processor": machine} | pools[engine][0].submit(parts).result()
        )
    for pool in (pool for kind in pools.values() for pool in kind):
        pool.shutdown()
    return rows, shares


def _lasting(seconds: float, pool: ProcessPoolExecutor) -> int:
    """Steps that take a worker about so long; what precedes the first and follows the last comes on top."""
    least = EVERY // 100
    around = pool.submit(block, least).result()[1]
    steps, took = least, 0.0
    while took < seconds / 3:
        steps *= 10 if took < seconds / 30 else 3
        took = pool.submit(block, steps).result()[1] - around
    return max(1, round(seconds / took * steps / EVERY)) * EVERY


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _workers(device: str) -> int:
    from benchmark.training.workers import cores

    return 1 if device == "cuda" else cores()


def _write(folder: Path, rows: list[dict], shares: list[dict]) -> tuple[Any, Any]:
    """What is measured so far: speed.csv, blocks.csv, parts.csv and speed.png. The first and the last are returned."""
    import pandas as pd

    from benchmark.results.tables import to_csv, write_text
    from benchmark.showing import figures

    blocks = pd.DataFrame(rows)
    table = blocks.groupby(["workload", "engine", "processor"], sort=False, as_index=False).median()[SPEED]
    parts_of_steps = pd.DataFrame(shares)
    for name, one in (("speed", table), ("blocks", blocks), ("parts", parts_of_steps)):
        write_text(folder / f"{name}.csv", to_csv(one))
    for stem, figure in figures.numbered("speed", figures.speed_dots(table)):
        figures.entitle(figure, figures.titles.speed(table))
        figures.save(figure, folder / stem)
    return table, parts_of_steps


def command_line(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, write speed.csv, blocks.csv, parts.csv and speed.png."""
    parser = Parser(prog="python -m benchmark.speed", description=__doc__)
    parser.add_argument("results", nargs="?", default="results/speed", help="folder (%(default)s)")
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="which (all)")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, help="which (both)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where ours trains (%(default)s)")
    parser.add_argument("--tile", type=int, help="replicas trained at once (the engine's choice)")
    parser.add_argument("--blocks", type=int, default=5, help="medians of so many (%(default)s)")
    parser.add_argument("--seconds", type=float, default=8.0, help="about so long is a block (%(default)s)")
    chosen = parser.parse_args(arguments)
    chosen.engines = chosen.engines or list(ENGINES)
    from benchmark.training.tiles import has_gpu

    try:
        if chosen.device == "cuda" and not has_gpu():
            raise UsageError("--device cuda needs a GPU that torch can use, and none is found")
        chosen.results = outlet("results", chosen.results)
        number("blocks", chosen.blocks, least=1)
        number("seconds", chosen.seconds, above=0)
        if chosen.tile is not None:
            number("tile", chosen.tile, least=1)
    except UsageError as error:
        parser.error(str(error))
    from tqdm import tqdm

    rows: list[dict] = []
    shares: list[dict] = []
    os.environ["OMP_NUM_THREADS"] = "1"
    with (
        tempfile.TemporaryDirectory() as cache,
        tqdm(
            total=len(chosen.workloads) * chosen.blocks * (1 + len(chosen.engines)), disable=None, unit="block"
        ) as bar,
    ):
        os.environ["XDG_CACHE_HOME"] = cache  # empty, so that compile_seconds are those of a first run
        for workload in chosen.workloads:
            measured = measure(workload, chosen, lambda: bar.update())
            rows, shares = rows + measured[0], shares + measured[1]
            table, steps = _write(chosen.results, rows, shares)
    say(
        f"replica-steps per second of {_workers(chosen.device)} workers on {chosen.device}, medians of "
        f"{chosen.blocks} blocks"
    )
    say(table.to_markdown(index=False, floatfmt=",.0f"))
    say(f"\nmicroseconds a replica-step on one worker\n{steps.to_markdown(index=False, floatfmt='.2f')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(command_line))
