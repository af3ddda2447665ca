"""A digest stands for all that decides a replica's numbers, and for nothing else."""

from dataclasses import replace

import pytest

from benchmark.asked.recipe import Regularizer, Restart
from benchmark.asked.replicas import _given


def digest(specification, **recipe):
    model = replace(specification.model, recipe=replace(specification.model.recipe, **recipe))
    return replace(specification, model=model).digest


def test_a_setting_that_is_not_set_is_the_same_as_one_that_does_not_exist():
    assert _given({"a": None, "b": {"c": None, "d": [1, None]}, "e": 0, "f": {}}) == {
        "b": {"d": [1, None]}, "e": 0, "f": {}
    }  # fmt: skip


@pytest.mark.parametrize(
    "recipe",
    [
        {"clip_value": 0.1},
        {"clip_norm": 1.0},
        {"restart": Restart()},
        {"restart": Restart(above=2.0)},
        {"regularizers": {"l1": Regularizer(1.0)}},
        {"regularizers": {"l1": Regularizer(1.0, below=1.0)}},
        {"regularizers": {"l1": Regularizer(1.0, initial=0.1, every=0.2)}},
        {"learning_rate": 0.123},
    ],
)
def test_whatever_changes_training_changes_the_digest(quick, recipe):
    usual = quick().cells[0].specification
    assert digest(usual, **recipe) not in (usual.digest, digest(usual, regularizers={"l1": Regularizer(2.0)}))


def test_how_many_seeds_and_how_it_is_computed_change_nothing(quick):
    usual = quick().cells[0].specification.digest
    others = ["protocol.seeds=9", "protocol.first_seed=5", "engine.workers=2", "engine.mode=eager"]
    assert {quick(overrides=[other]).cells[0].specification.digest for other in others} == {usual}
