"""The compiled engine trains what the eager one trains, and a replica is bit for bit the same in any company."""

import dataclasses

import numpy as np
import pytest

from benchmark.compiling import has_compiler
from benchmark.engine import Measured, train
from benchmark.errors import UsageError
from benchmark.protocol import Engine
from benchmark.tiles import tiles

pytestmark = [
    pytest.mark.skipif(not has_compiler(), reason="needs a C++ compiler"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning"),  # torch's compiler uses what torch deprecates
]


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
def test_a_compiled_replica_is_the_same_alone_in_company_and_for_any_steps_per_call_and_close_to_the_eager_one(
    quick, checkpoint, model, overrides
):
    overrides = [*overrides, "protocol.seeds=20", "protocol.steps=16", "protocol.evaluate_every=8"]
    replicas = quick([model], ["mul", "add"], ["symmetric", "positive"], overrides).replicas()
    together = train(replicas, Engine(mode="compiled", tile=96, steps_per_call=2))
    assert together.engine == "compiled"
    alone = train([replicas[41]], Engine(mode="compiled", tile=32, steps_per_call=1))
    assert same(together, 41, alone, 0)
    backwards = train(replicas[::-1], Engine(mode="compiled", tile=96, steps_per_call=2))
    assert all(same(together, i, backwards, len(replicas) - 1 - i) for i in (0, 7, 41, 79))
    train(replicas[40:43], Engine(mode="compiled", tile=96, steps_per_call=2), checkpoint=checkpoint)
    resumed = train(replicas[40:43], Engine(mode="compiled", tile=32, steps_per_call=1), checkpoint=checkpoint)
    assert all(same(together, 40 + i, resumed, i) for i in range(3))
    eager = train(replicas, Engine(mode="eager"))
    np.testing.assert_allclose(together.extrapolation, eager.extrapolation, rtol=1e-3)
    for name, value in eager.parameters.items():
        np.testing.assert_allclose(together.parameters[name], value, atol=1e-4)


REGULARIZED = ["model.inalu.recipe.regularizers.saturation.start=0", "+model.inalu.recipe.restart.every=2",
               "model.inalu.recipe.restart.after=1.5", "model.inalu.recipe.restart.above=0"]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("snmu", ["protocol.optimizer=rmsprop"]),  # noisy
        # Clipped, regularized by error in steps of its own, with turns, a fixed set and an eye on the batches' errors.
        ("inalu", ["protocol=schloer2020_minimal/quick", "protocol.samples=32", *REGULARIZED]),
    ],
)
def test_units_that_ask_more_of_the_engine_train_compiled_as_eagerly(quick, model, overrides):
    replicas = quick([model], ["mul"], ["symmetric", "positive"], [*overrides, "protocol.seeds=5"]).replicas()
    compiled, eager = (train(replicas, Engine(mode=mode, steps_per_call=1)) for mode in ("compiled", "eager"))
    np.testing.assert_allclose(compiled.interpolation, eager.interpolation, rtol=1e-4)
    for name, value in eager.parameters.items():
        np.testing.assert_allclose(compiled.parameters[name], value, atol=1e-4)


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
        overrides=[f"protocol.seeds={seeds}", "protocol.steps=20_000", "protocol.batch=128"],
    ).replicas()
    whole = mode(25)
    assert set(whole.values()) == {"eager", "compiled"}
    for part in (mode(25, missing={24}), mode(100), mode(100, missing={3, 99})):
        assert all(whole.get(key, whole[(*key[:-1], 0)]) == engine for key, engine in part.items())


def test_the_tiles_of_a_compiled_architecture_are_of_one_size_and_waste_little(quick):
    for seeds in (3, 30, 100, 130):
        replicas = quick(
            ["mlp_tanh"], ["mul"], overrides=[f"protocol.seeds={seeds}", "protocol.steps=1_000_000"]
        ).replicas()
        cut = tiles(replicas, Engine(mode="compiled"), 1)
        (size,) = {engine.tile for _, engine in cut}
        assert size % 32 == 0
        assert len(cut) * size - len(replicas) < 64
        assert [replica for tile, _ in cut for replica in tile] == replicas


def test_without_a_compiler_auto_trains_eagerly_and_compiling_is_refused(quick, monkeypatch):
    monkeypatch.setattr("benchmark.tiles.has_compiler", lambda: False)
    replicas = quick(["nalu"], ["mul"], overrides=["protocol.steps=10_000_000"]).replicas()
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler"):
        assert {engine.mode for _, engine in tiles(replicas, Engine(), 1)} == {"eager"}
    with pytest.raises(UsageError, match="needs a C\\+\\+ compiler"):
        tiles(replicas, Engine(mode="compiled"), 1)
