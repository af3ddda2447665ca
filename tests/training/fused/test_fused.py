"""A generated program trains what torch does, whatever a protocol asks for, and is the same bits in any company."""

import ctypes
import dataclasses
import gc
import inspect
import itertools
import re
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import needs_compiler

from benchmark.asked.data import Batches
from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import Replica
from benchmark.errors import UsageError
from benchmark.training import networks
from benchmark.training.engine import Measured, train
from benchmark.training.fused import build, elementwise, program, write
from benchmark.training.fused.build import FLAGS, built, level
from benchmark.training.fused.program import source
from benchmark.training.fused.schedule import Schedule
from benchmark.training.fused.trainer import Fused
from benchmark.training.fused.write import Machine
from benchmark.training.steps import Step
from benchmark.training.tiles import tiles
from benchmark.units import NALU

pytestmark = needs_compiler
COMPILED, EAGER = Engine(mode="compiled"), Engine(mode="eager")


def same(one, i, other, j):
    """Whether row i of one tile's measurements is row j of another's, to the last bit."""
    rows = []
    for measured, row in ((one, i), (other, j)):
        values = {field.name: getattr(measured, field.name) for field in dataclasses.fields(Measured)}
        for name in ("seconds", "engine", "device", "steps"):
            del values[name]
        arrays = values.pop("parameters") | values
        rows.append({name: np.asarray(value[row]).tobytes() for name, value in arrays.items()})
    return rows[0] == rows[1]


STACK = ["+model.nmu.hidden_unit=benchmark.units.nau.NAU", "protocol.hidden=[2]", "protocol.inputs=20"]


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("nalu", []),
        ("nmu", STACK),  # regularized and bounded
    ],
)
def test_a_replica_is_the_same_alone_in_company_resumed_and_for_any_steps_per_call(quick, checkpoint, model, overrides):
    overrides = [*overrides, "protocol.seeds=10", "protocol.steps=16", "protocol.evaluate_every=8"]
    replicas = quick([model], ["mul", "add"], ["symmetric", "positive"], overrides).replicas()
    together = train(replicas, COMPILED)
    assert together.engine == "compiled"
    assert same(together, 21, train([replicas[21]], dataclasses.replace(COMPILED, steps_per_call=3)), 0)
    backwards = train(replicas[::-1], COMPILED)
    assert all(same(together, i, backwards, len(replicas) - 1 - i) for i in range(len(replicas)))
    train(replicas[20:23], COMPILED, checkpoint=checkpoint)
    resumed = train(replicas[20:23], dataclasses.replace(COMPILED, steps_per_call=1), checkpoint=checkpoint)
    assert all(same(together, 20 + i, resumed, i) for i in range(3))


VARIANTS = "protocol.variants=[{subset: 0.1}, {overlap: 0}, {subset: 0.5, overlap: 1}, {select: last}]"


@pytest.mark.parametrize("engine", [COMPILED, EAGER])
def test_settings_of_what_is_summed_train_beside_each_other_as_each_does_alone(quick, engine):
    asked = ["protocol.inputs=20", "protocol.hidden=[2]", "protocol.steps=20", "protocol.seeds=2", VARIANTS]
    replicas = quick(["nalu"], ["add", "sqrt"], ["positive"], asked).replicas()
    members, others = (own for own, _ in tiles(replicas, engine, 1))
    assert (len(members), len(others)) == (12, 4)  # what is judged at another step is another network
    together = train(members, engine)
    for i in range(0, 12, 3):
        alone = train([members[i]], engine)
        assert engine is EAGER or same(together, i, alone, 0)  # eager bits depend on how many there are
        np.testing.assert_array_equal(together.target_extrapolation[i], alone.target_extrapolation[0])
        np.testing.assert_allclose(together.parameters["1.G"][i], alone.parameters["1.G"][0], rtol=1e-4, atol=1e-5)


def test_formulas_are_trained_on_as_torch_asks_them_and_as_many_operands_share_a_program(quick):
    asked = ["sahoo_f1", "sahoo_div", "mul", "sub", "sahoo_f4"]
    replicas = quick(["linear"], asked, ["symmetric"], ["protocol.optimizer=sgd"]).replicas()
    groups = [{replica.cell.task for replica in members} for members, _ in tiles(replicas, EAGER, 1)]
    assert sorted(map(sorted, groups)) == [["mul", "sub"], ["sahoo_div"], ["sahoo_f1", "sahoo_f4"]]
    for tasks in (["sahoo_div"], ["sahoo_f1", "sahoo_f4"]):
        own = [replica for replica in replicas if replica.cell.task in tasks]
        fused, eager = train(own, COMPILED), train(own, EAGER)
        assert np.allclose(fused.parameters["0.W"], eager.parameters["0.W"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", ["npu", "mlp_sigmoid"])
def test_several_outputs_are_trained_and_judged_as_eagerly_and_alone_as_in_company(quick, model):
    overrides = ["protocol.hidden=[5]", "protocol.seeds=3", "protocol.learning_rate=0.005", "protocol.batch=20"]
    grid = "range.positive.extrapolation={axes: [[-4.1, 0.2], [-4.1, 0.2]], count: [41, 41]}"
    overrides += [grid, "task.heim_simple.margin=0"]
    replicas = quick([model], ["heim_simple"], ["positive"], overrides).replicas()
    fused, eager = train(replicas, COMPILED), train(replicas, EAGER)
    assert fused.output_error.shape == (3, 4) and fused.response_x.size == fused.plane_error.size == 0
    for name in ("interpolation", "extrapolation", "output_error", "profile_error", "initial_output"):
        assert np.allclose(getattr(fused, name), getattr(eager, name), rtol=1e-3), name
    assert (fused.target_extrapolation == eager.target_extrapolation).all()
    assert same(fused, 1, train(replicas[1:2], COMPILED), 0)
    # Each output's error, over the points where it is asked, from the parameters alone.
    axis = -4.1 + 0.2 * np.arange(41)
    a, b = (each.ravel() for each in np.meshgrid(axis, axis, indexing="ij"))
    named = {name: torch.tensor(value[0]) for name, value in fused.parameters.items()}
    x = torch.tensor(np.stack([a, b]), dtype=torch.float32)
    y = torch.func.functional_call(networks.build(replicas[0].cell.specification), named, (x,)).detach().numpy()
    with np.errstate(invalid="ignore"):
        t = np.stack([a + b, a * b, a / b, np.where(b > 0, np.sqrt(a), np.nan)])
    assert fused.output_error[0] == pytest.approx(np.nanmean(np.abs(y - t), axis=1), rel=1e-4)
    assert fused.extrapolation[0, fused.best[0]] == pytest.approx(np.nanmean((y - t) ** 2), rel=1e-4)


REGULARIZED = ["model.inalu.recipe.regularizers.saturation.start=0", "+model.inalu.recipe.restart.every=2",
               "model.inalu.recipe.restart.after=1.5", "model.inalu.recipe.restart.above=0"]  # fmt: skip
WIDE = ["protocol.inputs=70", "protocol.hidden=[2]", "protocol.steps=10"]


@pytest.mark.parametrize(
    ("model", "task", "range_", "overrides"),
    [
        ("snmu", "mul", "symmetric", ["protocol.optimizer=rmsprop"]),  # noisy
        ("hill_space_add", "add", "symmetric", ["protocol.optimizer=schedule_free"]),
        # Clipped, regularized by error in steps of its own, with turns, a fixed set and an eye on the batches' errors.
        ("inalu", "mul", "symmetric", ["protocol=schloer2020_minimal/quick", "protocol.samples=32", *REGULARIZED]),
        ("mlp_sigmoid", "identity", "figure1_integers", ["protocol.batch=11"]),  # a grid
        ("mlp_softplus", "div", "positive", ["protocol.batch=37", "protocol.hidden=[3,1]"]),
        ("nac", "add", "positive", ["protocol.batch=2"]),
        ("nalu", "square", "positive", ["protocol.dtype=float64", "protocol.optimizer=rmsprop"]),
        ("npu", "mul", "symmetric", ["protocol.dtype=float64", "protocol.batch=20"]),
        ("nac", "sub", "normal_mixed_3", []),
        ("nac", "sub", "normal_mixed_4_2", ["protocol.dtype=float64"]),
        ("nac", "add", "exponential_0p8", ["protocol.optimizer=sgd"]),
        ("nalu", "sub", "mixed_2", ["protocol.data_seed=3", "protocol.samples=48"]),
        ("nac_mul", "add", "positive", ["protocol.inputs=20", "protocol.hidden=[2]"]),
        ("nalu", "mul", "positive", WIDE),
        ("nmu", "mul", "positive", [*WIDE, "protocol.batch=24"]),
        ("nmu", "mul", "positive", ["protocol.optimizer=rmsprop_flux", "+model.nmu.options.clamp_within=true"]),
        ("mlp_tanh", "add", "positive", WIDE),
    ],
)
def test_what_protocols_ask_for_trains_as_eagerly(quick, model, task, range_, overrides):
    replicas = quick([model], [task], [range_], [*overrides, "protocol.seeds=5"]).replicas()
    fused, eager = train(replicas, COMPILED), train(replicas, EAGER)
    exact = replicas[0].cell.specification.protocol.dtype == "float64"
    close = lambda a, b, rtol, atol: np.isclose(a, b, rtol, atol).reshape(5, -1).all(1)
    alike = close(fused.interpolation, eager.interpolation, 1e-10 if exact else 1e-3, 0)
    for name, value in eager.parameters.items():
        alike &= close(fused.parameters[name], value, 1e-9 if exact else 1e-4, 1e-5)
    assert alike.sum() >= (5 if exact else 4)  # from some starts rounding grows: float64 parts from float32 as far
    for name in ("target_interpolation", "target_extrapolation", "profile_target", "threshold"):
        assert getattr(fused, name).tobytes() == getattr(eager, name).tobytes()


TWO = ["symmetric", "positive"]
MANY = ["protocol.inputs=20", "protocol.hidden=[2]", "protocol.batch=20"]
UNION = "range.normal_mixed_3.interpolation.intervals=[[-3, 1], [1.5, 2], [7, inf]]"


@pytest.mark.parametrize(
    ("model", "ranges", "overrides"),
    [
        ("nalu", TWO, ["protocol.samples=48"]),
        ("nalu", TWO, MANY),  # logarithms of twenty inputs; a padded batch
        ("snmu", TWO, []),  # noisy
        ("nac_mul", ["exponential_0p8", "normal_mixed_3"], [UNION]),
        ("inalu", TWO, ["protocol=schloer2020_minimal/quick", *REGULARIZED]),  # with an eye on the batches' errors
        ("nmu", TWO, [*STACK, "protocol.data_seed=3", "protocol.dtype=float64"]),  # fewer steps at once than are taken
    ],
)
def test_inputs_that_several_see_are_drawn_once_and_are_those_that_each_would_draw_alone(
    quick, model, ranges, overrides
):
    steps = ["protocol.seeds=2", "protocol.steps=150", "protocol.evaluate_every=75"]
    replicas = quick([model], ["mul", "add", "sub"], ranges, [*overrides, *steps]).replicas()
    ((members, _),) = tiles(replicas, COMPILED, 1)
    seen = [(replica.data_seed, replica.cell.range) for replica in members]
    assert len(members) == 12
    assert seen == sorted(seen)  # those of the same random numbers, or even inputs, beside each other
    together = train(members, COMPILED)
    for i in (0, 4, 11):
        assert same(together, i, train([members[i]], COMPILED), 0)
    mixed = [0, 3, 1]  # the last sees what the first does
    again = train([members[i] for i in mixed], COMPILED)
    assert all(same(together, own, again, i) for i, own in enumerate(mixed))


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("eql", ["protocol.hidden=[16,16]", "protocol.batch=20"]),  # columns of several functions; a padded batch
        ("mlp_tanh", ["protocol.hidden=[17,16]", "protocol.batch=32"]),
    ],
)
def test_wide_layers_are_loops_of_the_bits_that_are_written_out(quick, monkeypatch, model, overrides):
    replicas = quick([model], ["mul"], ["positive"], [*overrides, "protocol.seeds=3", "protocol.steps=20"]).replicas()
    rolled, eager = train(replicas, COMPILED), train(replicas, EAGER)
    for name, value in eager.parameters.items():
        assert np.allclose(rolled.parameters[name], value, 1e-3, 1e-4), name
    lines = len(source(replicas[0].cell.specification).text.splitlines())
    monkeypatch.setattr(program, "_known", {})
    monkeypatch.setattr(write, "ROLLED", 10**6)
    monkeypatch.setattr(write, "WIDE", 10**6)
    assert len(source(replicas[0].cell.specification).text.splitlines()) > 1.5 * lines
    written_out = train(replicas, COMPILED)
    assert all(same(rolled, i, written_out, i) for i in range(3))


DRAWN = """
extern "C" void drawn(const Plan* plan, long r, long step, real* x, real* t) {
    draw(*plan, r, step, x);
    ask(x, plan->code[r], plan->spans + r * OPERANDS, t);
}
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("range_", "overrides", "batch"),
    [
        ("mixed_2", [], 40),
        ("normal_mixed_4_2", ["protocol.samples=120"], 40),
        ("exponential_0p8", [], 40),
        ("positive", ["protocol.inputs=20", "protocol.hidden=[2]"], 40),
        ("positive", ["protocol.inputs=20", "protocol.hidden=[2]"], 400),  # more than registers hold
        ("positive", [], 66_000),  # lanes of more than sixteen bits
        ("normal_mixed_3", [UNION], 40),
    ],
)
def test_inputs_and_targets_are_torchs_to_the_last_bit(quick, range_, overrides, batch, dtype):
    replicas = quick(
        ["nac"], ["sub"], [range_], [*overrides, f"protocol.dtype={dtype}", f"protocol.batch={batch}"]
    ).replicas()
    run, steps, row = Fused(replicas, torch.device("cpu")), 4, -(-batch // 16) * 16 + 16
    library = built(source(replicas[0].cell.specification).text + DRAWN)
    x, t = Batches(replicas, run.dtype, torch.device("cpu"))(5, steps)
    for step, r in itertools.product(range(steps), range(len(replicas))):
        own = torch.zeros((x.shape[2] + 1) * row + 16, dtype=run.dtype)
        own = own[-own.data_ptr() % 64 // own.itemsize :][: (x.shape[2] + 1) * row].view(-1, row)
        places = [ctypes.c_void_p(part.data_ptr()) for part in (own, own[-1])]
        library.drawn(ctypes.byref(run.plan), ctypes.c_long(r), ctypes.c_long(5 + step), *places)
        assert torch.equal(own[:-1, :batch], x[step, r])
        assert torch.equal(own[-1:, :batch], t[step, r])


@pytest.mark.parametrize("capability", ["DEFAULT", "AVX2", "AVX512"])
def test_the_width_of_the_registers_and_what_the_compiler_optimises_change_no_bit(quick, monkeypatch, capability):
    order = ["DEFAULT", "AVX2", "AVX512"]
    if order.index(capability) >= order.index(torch.backends.cpu.get_cpu_capability()):
        pytest.skip("this processor's own registers, or wider ones than it has")
    grids = [
        quick(["nalu", "npu"], ["mul"], ["symmetric"], ["protocol.batch=50"]),  # four blocks, two at once
        quick(["nmu"], ["mul"], ["positive"], STACK),
    ]
    replicas = [grid.replicas()[3 * i : 3 * i + 3] for grid in grids for i in range(len(grid.cells))]
    with monkeypatch.context() as shipped:
        shipped.setattr(build, "FLAGS", FLAGS)
        own = [train(tile, COMPILED) for tile in replicas]
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: capability)
    for tile, wide in zip(replicas, own, strict=True):
        narrow = train(tile, COMPILED)
        assert all(same(narrow, i, wide, i) for i in range(3))


CLANG = next(filter(shutil.which, ("clang++", "clang++-14")), None)


@pytest.mark.skipif(CLANG is None or not shutil.which("g++"), reason="needs both compilers")
def test_the_compiler_changes_no_bit(quick, monkeypatch):
    replicas = quick(["npu"], ["mul"], ["symmetric"]).replicas()
    measured = []
    for name in ("g++", CLANG):
        monkeypatch.setenv("CXX", name)
        measured.append(train(replicas, COMPILED))
    assert all(same(measured[0], i, measured[1], i) for i in range(3))


class Sevenfold(torch.nn.Module):
    """A network of somebody's own, in rows, with what no shipped unit uses."""

    def __init__(self, inputs, outputs, width=7):
        super().__init__()
        self.inner, self.outer = torch.nn.Linear(inputs, width), torch.nn.Linear(width, outputs)
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, x):
        return self.outer(self.norm(torch.nn.functional.gelu(self.inner(x))) + torch.softmax(self.inner(x), -1))


class Scaled(torch.nn.Module):
    """Six features of somebody's own, and a parameter without axes."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.inner, self.outer = torch.nn.Linear(inputs, 6), torch.nn.Linear(6, outputs)
        self.scale = torch.nn.Parameter(torch.tensor(0.7))

    def forward(self, x):
        return self.outer(self.features(self.inner(x) * self.scale))

    def features(self, h):
        return torch.tanh(h)


class Multiplying(Scaled):
    """Writes what is computed into what was constant."""

    def features(self, h):
        product = torch.ones_like(h)
        product *= h.sigmoid()
        product += torch.full_like(h, 0.5).sub_(h.tanh())
        return product


class Weighing(Scaled):
    """Its gradient is torch's own, which writes into what was constant."""

    def features(self, h):
        return torch.lerp(h, h.flip(-1), torch.sigmoid(h))


class Interleaving(Scaled):
    """Copies every other number, from which g++ 12 made a read that died."""

    def features(self, h):
        z = torch.zeros_like(h)
        z[:, 1::2] = h[:, ::2].sigmoid()
        return z


class Transforming(torch.nn.Module):
    """Features that take long and follow from the inputs alone, some from others, beside those of what is learned."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.outer = torch.nn.Linear(2 * 20 * inputs, outputs)

    def forward(self, x):
        logs = torch.cat([torch.log(x.abs() + k) for k in range(1, 21)], -1)
        return self.outer(torch.cat([logs, torch.exp(logs * 0.5)], -1)) / (1 + x[:, :1] ** 2)


class Sorting(torch.nn.Module):
    """Sorts its inputs, which the generator does not know."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.linear(torch.sort(x, -1).values)


class Deciding(Sorting):
    """Looks at its numbers to decide what to do."""

    def forward(self, x):
        return self.linear(x if self.linear.weight.sum() > 0 else -x)


class Averaging(Sorting):
    """Mixes the examples of a batch."""

    def forward(self, x):
        return self.linear(x.cumsum(0))


def foreign(quick, module, steps=20):
    cell = quick(["linear"], ["mul"], overrides=[f"protocol.steps={steps}", "protocol.evaluate_every=5"]).cells[0]
    options = {"module": f"{__name__}:{module.__name__}"}
    model = dataclasses.replace(cell.specification.model, unit="benchmark.units.rows.Rows", options=options)
    cell = dataclasses.replace(cell, specification=dataclasses.replace(cell.specification, model=model))
    return [Replica(cell, seed) for seed in range(3)]


@pytest.mark.parametrize("module", [Sevenfold, Scaled, Multiplying, Weighing, Interleaving, Transforming])
def test_a_row_wise_module_of_ones_own_is_fused_like_any_other(quick, monkeypatch, module):
    if module is Interleaving:
        monkeypatch.setattr(build, "FLAGS", FLAGS)  # as shipped, which g++ died of
    replicas = foreign(quick, module)
    fused, eager = train(replicas, COMPILED), train(replicas, EAGER)
    assert (fused.engine, eager.engine) == ("compiled", "eager")
    for name, value in eager.parameters.items():
        np.testing.assert_allclose(fused.parameters[name], value, atol=1e-4)


@pytest.mark.parametrize("enabled", [True, False])
def test_whoever_collects_garbage_or_does_not_goes_on_so_after_a_text_is_written(quick, enabled):
    (replica,) = quick(["nalu"], ["mul"], ["positive"], ["protocol.seeds=1", "protocol.batch=23"]).replicas()
    (gc.enable if enabled else gc.disable)()
    try:
        source(replica.cell.specification)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("module", "told"),
    [(Sorting, "sort"), (Deciding, "data-dependent control flow"), (Averaging, "cumsum")],
)
def test_what_the_generator_does_not_know_is_named_trained_eagerly_and_refused_if_asked_for(quick, module, told):
    replicas = foreign(quick, module, steps=10_000_000)
    with pytest.warns(UserWarning, match=f"linear cannot be compiled, as .*{told}.*: training is eager"):
        assert {engine.mode for _, engine in tiles(replicas, Engine(), 1)} == {"eager"}
    with pytest.raises(UsageError, match=f"engine.mode=compiled: linear cannot be compiled, as .*{told}.*; use eager"):
        tiles(replicas, COMPILED, 1)


@pytest.mark.parametrize(
    ("operation", "wrong", "what"),
    [
        ("tanh", lambda a: 1.1 * elementwise.tanh(a), "outputs"),
        ("tanh_backward", lambda g, y: g * (1.1 - y * y), "gradients"),
        ("tanh", lambda a: elementwise.where(a > 0.8, -1.0, elementwise.tanh(a)), "outputs"),  # at some of the inputs
    ],
)
def test_a_program_that_computes_something_else_than_a_unit_of_ones_own_is_not_used(
    quick, monkeypatch, operation, wrong, what
):
    replicas = foreign(quick, Scaled, steps=10_000_000)
    assert {engine.mode for _, engine in tiles(replicas, Engine(), 1)} == {"compiled"}
    monkeypatch.setitem(elementwise.ELEMENTWISE, operation, wrong)
    with pytest.warns(UserWarning, match=f"its program computes other {what} than torch.*: training is eager"):
        assert {engine.mode for _, engine in tiles(replicas, Engine(), 1)} == {"eager"}
    with pytest.raises(UsageError, match=f"linear cannot be compiled, as its program computes other {what}"):
        tiles(replicas, COMPILED, 1)


def test_no_program_depends_on_a_units_name_a_task_its_sums_a_range_a_seed_or_a_rate(quick):
    one = quick(["nalu"], ["mul"], ["positive"]).cells[0].specification
    other = quick(["nalu"], ["div"], ["symmetric"], ["model.nalu.recipe.learning_rate=0.3"]).cells[0].specification
    assert source(one).text == source(other).text
    sums = [["protocol.inputs=20", f"protocol.subset={subset}"] for subset in (0.1, 0.5)]
    assert len({source(quick(["nalu"], ["mul"], overrides=own).cells[0].specification).text for own in sums}) == 1
    for model in ("nalu", "nmu", "mlp_tanh", "npu"):
        text = source(quick([model], ["mul"]).cells[0].specification).text
        assert not re.search(r"\b(nalu|nmu|nac|npu|mlp|dense)\b", text, re.IGNORECASE)


def test_auto_compiles_where_that_saves_time(quick):
    little = quick(["nalu"], ["mul"], overrides=["protocol.seeds=25"]).replicas()
    long = quick(["nalu"], ["mul"], overrides=["protocol.steps=10_000_000"]).replicas()
    assert {engine.mode for _, engine in tiles(little, Engine(), 1)} == {"eager"}
    assert {engine.mode for _, engine in tiles(long, Engine(), 1)} == {"compiled"}
    assert {engine.mode for _, engine in tiles(long, Engine(mode="eager"), 1)} == {"eager"}


def test_what_is_compiled_follows_from_the_request_and_not_from_what_is_missing_or_how_many_seeds_more(quick):
    mode = lambda seeds, missing=None: {
        replica.key: engine.mode
        for tile, engine in tiles(
            [r for r in request(seeds) if missing is None or r.seed in missing], Engine(), 2, request(seeds)
        )
        for replica in tile
    }
    request = lambda seeds: quick(
        ["mlp_tanh", "nalu"],
        ["mul", "sqrt"],
        overrides=[f"protocol.seeds={seeds}", "protocol.steps=1_600", "protocol.batch=128"],
    ).replicas()
    whole = mode(25)
    assert set(whole.values()) == {"eager", "compiled"}
    for part in (mode(25, missing={24}), mode(100), mode(100, missing={3, 99})):
        assert all(whole.get(key, whole[(*key[:-1], 0)]) == engine for key, engine in part.items())


def test_a_group_is_shared_out_among_the_workers(quick):
    replicas = quick(["nac"], ["mul"], overrides=["protocol.seeds=30", "protocol.steps=1_000_000"]).replicas()
    assert [len(tile) for tile, _ in tiles(replicas, COMPILED, 2)] == [15, 15]
    assert [len(tile) for tile, _ in tiles(replicas, dataclasses.replace(COMPILED, tile=13), 2)] == [13, 13, 4]


def test_without_a_compiler_auto_trains_eagerly_and_compiling_is_refused(quick, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    replicas = quick(["nalu"], ["mul"], overrides=["protocol.steps=10_000_000"]).replicas()
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler .* is found: training is eager"):
        assert {engine.mode for _, engine in tiles(replicas, Engine(), 1)} == {"eager"}
    with pytest.raises(UsageError, match=r"engine.mode=compiled: no C\+\+ compiler .* is found; use eager"):
        tiles(replicas, COMPILED, 1)


def test_the_processors_own_level_is_asked_for():
    assert level() in ((), ("-march=x86-64-v3",), ("-march=x86-64-v4", "-mprefer-vector-width=512"))


def test_the_page_on_the_generator_shows_what_it_generates(quick):
    page = Path(program.__file__).with_name("README.md").read_text(encoding="utf-8")
    specification = quick(["nalu"], ["mul"], overrides=["protocol.batch=128"]).cells[0].specification
    step = Step(specification, 1, torch.device("cpu"))
    schedule, ready = program.training_step(step, specification.problem, 128, np.float32, prepare=True)
    phases = program.written(schedule, Machine(1, 10))[0]
    phases += program.written(Schedule(ready, {}), Machine(1, 10), results=ready)[0]
    lines = [line for phase in phases for own in phase for line in own]
    blocks = re.findall(r"```cpp\n(.*?)\n```", page, re.DOTALL)
    assert len(blocks) == 4
    assert all(block in "\n".join(lines) for block in blocks)
    shown = re.search(r"```python\n(.*?)\n```", page, re.DOTALL)[1]
    assert textwrap.indent(shown, 8 * " ") in inspect.getsource(NALU.forward)


@pytest.mark.parametrize(("model", "logarithms"), [("nalu", 1), ("mlp_tanh", 0)])
def test_what_takes_long_and_follows_from_the_inputs_alone_is_computed_with_them_on_a_cpu(quick, model, logarithms):
    specification = quick([model], ["mul"], overrides=["protocol.inputs=20"]).cells[0].specification
    text = source(specification).text
    before, step = text[text.rindex("static void prepare(") :].split("static void step(")
    step = step.split("static void forward(")[0]
    assert (before.count("logv("), step.count("logv(")) == (logarithms, 0)
    on_a_gpu = source(specification, "cuda").text
    before, step = on_a_gpu[on_a_gpu.rindex("static void prepare(") :].split("static void step(")
    assert "logv(" not in before and ("logv(" in step) == bool(logarithms)


def test_many_inputs_are_loops(quick):
    lengths = []
    for inputs in (100, 200):
        wide = quick(["mlp_tanh"], ["mul"], overrides=[f"protocol.inputs={inputs}", "protocol.hidden=[1]"])
        lengths.append(len(source(wide.cells[0].specification).text.splitlines()))
    assert lengths[1] - lengths[0] < 400  # three lines for each sum of a weight's slope, in tiles of ten
