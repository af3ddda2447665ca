"""The text for a GPU computes what the CPU's does, to the bit: emulated here, and on a GPU where there is one."""

import ctypes
import dataclasses
import sys
from ctypes import c_int, c_long, c_void_p
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import needs_compiler

from benchmark.asked.protocol import Engine
from benchmark.errors import UsageError
from benchmark.training.engine import Measured, train
from benchmark.training.fused import gpu, program, trainer
from benchmark.training.fused.build import CannotBuild, built
from benchmark.training.tiles import tiles

BLOCKS = 1  # a group trains more than one replica
BEGIN = f'#define OF_A_GROUP %d\n#include "{Path(__file__).with_name("emulated.h")}"\n'
END = """
Sixteen shared[1 << 14];
static Plan plan;
static Points points;
static long first, steps;
static real* arrays[2];
extern "C" void emulated_train(const Plan* given, long from, long count, real** own, int blocks, int groups) {
    plan = *given, first = from, steps = count, memcpy(arrays, own, sizeof arrays);
    launch([] { train(plan, first, steps, arrays[0], arrays[1]); }, blocks, groups);
}
extern "C" void emulated_evaluate(const Points* given, real** own, int blocks, int groups) {
    points = *given, memcpy(arrays, own, sizeof arrays);
    launch([] { evaluate(points, arrays[0], arrays[1]); }, blocks, groups);
}
"""


class Emulated:
    """As `gpu.GpuProgram`. room: bytes of a multiprocessor's own memory."""

    room = 1 << 18

    def __init__(self, source):
        self.source, self.layouts = source, gpu.layouts(source, self.room)
        self.library = built(BEGIN % source.threads + gpu.text(source, self.layouts) + END)

    def arguments(self, name):
        layout = self.layouts[name]
        new = lambda count: np.full(BLOCKS * layout.groups * count + 1, np.nan, self.source.dtype)
        self.kept = [new(count) for count in layout.outside(self.source, name)]
        return (c_void_p * 2)(*(array.ctypes.data for array in self.kept)), c_int(BLOCKS), c_int(layout.groups)

    def train(self, plan, first, steps):
        self.library.emulated_train(ctypes.byref(plan), c_long(first), c_long(steps), *self.arguments("train"))

    def evaluate(self, points):
        self.library.emulated_evaluate(ctypes.byref(points), *self.arguments("evaluate"))


class EmulatedElsewhere(Emulated):
    room = 0


def measured(replicas, device="cpu"):
    result = train(replicas, Engine(mode="compiled", device=device))
    values = {field.name: getattr(result, field.name) for field in dataclasses.fields(Measured)}
    values |= values.pop("parameters")
    assert values["engine"] == "compiled" and values["device"] == device
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def differing(one, other):
    alike = lambda a, b: np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return [name for name in one if not alike(one[name], other[name])]


STACK = ["+model.nmu.hidden_unit=benchmark.units.nau.NAU", "protocol.hidden=[2]", "protocol.inputs=40"]
TURNS = ["protocol=schloer2020_minimal/quick", "protocol.samples=32", "+model.inalu.recipe.restart.every=2",
         "model.inalu.recipe.restart.after=1.5", "model.inalu.recipe.restart.above=0"]  # fmt: skip
CASES = [
    ("nalu", ["mul", "div"], "positive", [], Emulated),
    ("nalu", ["mul"], "mixed_2", ["protocol.samples=48"], EmulatedElsewhere),
    ("nmu", ["mul"], "positive", STACK, Emulated),
    ("inalu", ["mul"], "symmetric", TURNS, Emulated),
    ("snmu", ["mul"], "symmetric", ["protocol.batch=37"], Emulated),
    ("nac", ["sub"], "normal_mixed_4_2", ["protocol.dtype=float64"], Emulated),
    ("mlp_tanh", ["identity"], "figure1_integers", ["protocol.batch=11"], EmulatedElsewhere),
    ("mlp_relu", ["identity"], "symmetric", ["protocol.batch=128"], EmulatedElsewhere),
    ("mlp_tanh", ["mul"], "positive", ["protocol.batch=37"], Emulated),
    ("eql", ["mul"], "positive", ["protocol.hidden=[16,16]", "protocol.batch=20"], Emulated),
    ("real_npu", ["heim_simple"], "positive", ["protocol.hidden=[4]", "protocol.evaluation_size=600"], Emulated),
    ("nalu", ["mul"], "positive symmetric", ["protocol.inputs=20", "protocol.batch=150"], Emulated),  # logs in rows
]


@needs_compiler
@pytest.mark.parametrize(("model", "tasks", "range_", "overrides", "machine"), CASES)
def test_sixteen_threads_compute_the_bits_of_sixteen_lanes(
    quick, monkeypatch, model, tasks, range_, overrides, machine
):
    replicas = quick([model], tasks, range_.split(), [*overrides, "protocol.seeds=3"]).replicas()
    own = measured(replicas)
    for_gpu = program.source
    monkeypatch.setattr(trainer, "source", lambda specification, device: for_gpu(specification, "cuda"))
    monkeypatch.setattr(trainer, "CpuProgram", machine)
    assert not differing(own, measured(replicas))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("model", "tasks", "range_", "overrides"), [case[:4] for case in CASES])
def test_a_gpu_computes_the_bits_of_a_cpu(quick, model, tasks, range_, overrides):
    replicas = quick([model], tasks, range_.split(), [*overrides, "protocol.seeds=30"]).replicas()
    assert not differing(measured(replicas), measured(replicas, "cuda"))


def source(threads, examples, common, dtype="float32"):
    return program.Source("", dtype, threads, {"train": (examples, common)})


@pytest.mark.parametrize(
    ("own", "inside", "words", "groups"),
    [
        (source(16, 384, 208), 2, 592, 8),  # NALU: eight replicas a block
        (source(16, 384, 128), 2, 528, 8),  # 512 words would put the two of a warp into the same banks
        (source(256, 15_696, 2_336), 2, 18_032, 1),  # NAU and NMU on 100 inputs: three replicas' numbers find room
        (source(256, 70_000, 2_336), 1, 2_336, 1),  # one replica's examples do not
        (source(16, 7_000, 400), 1, 400, 8),
        (source(128, 70_000, 70_000), 0, 0, 1),
        (source(16, 384, 208, "float64"), 2, 592, 8),
        (source(16, 20_000, 9_000), 1, 9_000, 6),  # as many as find room, two for each warp
        (source(16, 40_000, 29_056), 1, 29_056, 2),  # into the same banks, as there is no room for others
    ],
)
def test_what_lies_in_a_multiprocessors_own_memory_fits_there(own, inside, words, groups):
    room = 227 << 10
    layout = gpu.layouts(own, room)["train"]
    assert layout == gpu.Layout(inside, words, groups)
    assert groups * words * own.itemsize <= room
    examples, common = own.memory["train"]
    assert layout.outside(own, "train") == [examples * (inside < 2), common * (inside < 1)]


def has_bindings():
    try:
        gpu.bindings()
    except CannotBuild:
        return False
    return True


@pytest.mark.skipif(not has_bindings(), reason="needs cuda-bindings and NVRTC")
@pytest.mark.parametrize(
    ("model", "task", "overrides"),
    [
        ("nalu", "mul", []),
        ("gated_nau_nmu", "mul", ["protocol.inputs=100", "protocol.hidden=[2]"]),
        ("mlp_tanh", "square", ["range=symmetric", "protocol.dtype=float64"]),
        ("snmu", "mul", ["protocol.optimizer=rmsprop"]),
    ],
)
def test_the_gpus_compiler_takes_the_text_or_says_in_a_line_what_is_wrong(
    quick, tmp_path, monkeypatch, model, task, overrides
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = program.source(quick([model], [task], overrides=overrides).cells[0].specification, "cuda")
    text = gpu.text(source, gpu.layouts(source, 227 << 10))
    code = gpu.machine_code(text, "sm_90")
    assert code[:4] == b"\x7fELF" and code == gpu.machine_code(text, "sm_90")
    assert [path.suffix for path in (tmp_path / "arithmetic-extrapolation").iterdir()] == [".cubin"]
    wrong = text.replace("return o[0];", "return oops;")
    assert wrong != text
    with pytest.raises(CannotBuild, match=r'the GPU\'s compiler does not work: .*identifier "oops" is undefined'):
        gpu.machine_code(wrong, "sm_90")


@needs_compiler
def test_without_a_compiler_for_the_gpu_auto_trains_on_the_cpu_and_asking_for_it_is_refused(quick, monkeypatch):
    monkeypatch.setattr("benchmark.training.tiles.has_gpu", lambda: True)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    replicas = quick(["nalu"], ["mul"], overrides=["protocol.steps=100_000_000"]).replicas()
    with pytest.warns(UserWarning, match=r"no compiler for the GPU is found .*: the GPU is not used"):
        definite = tiles(replicas, Engine(), 1)[0][1]
    assert (definite.mode, definite.device) == ("compiled", "cpu")
    with pytest.raises(UsageError, match=r"engine.mode=compiled: no compiler for the GPU is found .*; use eager"):
        tiles(replicas, Engine(mode="compiled", device="cuda"), 1)
    with pytest.warns(UserWarning, match="no compiler for the GPU is found .*: training is eager"):
        definite = tiles(replicas, Engine(device="cuda"), 1)[0][1]
    assert (definite.mode, definite.device) == ("eager", "cuda")


@needs_compiler
def test_long_work_goes_to_a_gpu_that_works_and_stays_together_there(quick, monkeypatch):
    monkeypatch.setattr("benchmark.training.tiles.has_gpu", lambda: True)
    monkeypatch.setattr(gpu, "check", lambda: None)
    kinds = lambda seeds, steps: [
        (definite.mode, definite.device, len(tile))
        for tile, definite in tiles(
            quick(["nalu"], ["mul"], overrides=[f"protocol.steps={steps}", f"protocol.seeds={seeds}"]).replicas(),
            Engine(),
            2,
        )
    ]
    assert kinds(2_000, 1_000_000) == [("compiled", "cuda", 2_000)]
    assert kinds(24, 100_000) == [("compiled", "cpu", 12)] * 2
