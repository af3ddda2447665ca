"""What a stack can represent follows from its units, its width and the signs that reach each layer."""

import pytest

from benchmark.asked.configs import compose
from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import Replica
from benchmark.errors import UsageError
from benchmark.training.engine import train
from benchmark.training.networks import build, representable


def answer(model, task, range_, *overrides):
    cell = compose([model], [task], [range_], overrides=overrides).cells[0]
    problem = cell.specification.problem
    return representable(build(cell.specification), problem, problem.sign_judged)


@pytest.mark.parametrize(
    ("model", "task", "range_", "hidden", "expected"),
    [
        ("nac", "add", "symmetric", "[2]", "yes"),
        ("nac", "mul", "positive", "[2]", "no"),
        ("nac_mul", "square", "positive", "[]", "no"),
        ("nac_mul", "square", "positive", "[2]", "yes"),
        ("nac_mul", "square", "positive", "[1]", "no"),
        ("nac_mul", "mul", "neg_2_1", "[2]", "yes"),
        ("nac_mul", "mul", "symmetric", "[2]", "no"),
        ("nalu", "sub", "positive", "[2]", "yes"),
        ("nalu", "add", "symmetric", "[3]", "unknown"),
        ("linear", "mul", "symmetric", "[8]", "no"),
        ("mlp_relu", "add", "positive", "[2]", "unknown"),
        ("linear", "add", "positive", "[1]", "yes"),
    ],
)
def test_stacks_represent_what_one_layer_passes_on_and_another_computes(model, task, range_, hidden, expected):
    assert answer(model, task, range_, f"protocol.hidden={hidden}")[0] == expected


def test_of_every_unit_in_a_stack_it_is_known_what_it_declares():
    for cell in compose(["all"], ["add", "mul"], ["positive"], overrides=["protocol.hidden=[3]"]).cells:
        network, problem = build(cell.specification), cell.specification.problem
        assert representable(network, problem, "mixed")[0] in ("yes", "no", "unknown")


@pytest.mark.parametrize(("hidden", "expected"), [("[2]", "yes"), ("[1]", "unknown")])
def test_a_hidden_layer_too_narrow_for_the_operands_cannot_select_them(hidden, expected):
    mixed = ["+model.nac_mul.hidden_unit=benchmark.units.nac.NAC", f"protocol.hidden={hidden}"]
    assert answer("nac_mul", "mul", "positive", *mixed)[0] == expected
    assert answer("nac_mul", "mul", "positive", *mixed, "protocol.inputs=100")[0] == expected


@pytest.mark.parametrize(
    ("interpolation", "extrapolation", "expected"),
    [("[[1,2]]", "[[-6,6]]", ("yes", "no")), ("[[-2,2]]", "[[2,6]]", ("no", "yes"))],
)
def test_where_a_network_is_trained_and_where_it_is_judged_are_told_apart(interpolation, extrapolation, expected):
    where = [f"range.positive.interpolation={interpolation}", f"range.positive.extrapolation={extrapolation}"]
    request = compose(["nac_mul"], ["mul"], ["positive"], overrides=[*where, "protocol.steps=1"])
    measured = train([Replica(request.cells[0], 0)], Engine(mode="eager"))
    assert (measured.representable_trained[0], measured.representable[0]) == expected


def test_a_regularizer_that_a_unit_does_not_know_is_refused():
    for name in ("l2", "gate"):
        with pytest.raises(UsageError, match=f"NAC has no regularizer '{name}'"):
            answer("nac", "add", "positive", f"+model.nac.recipe.regularizers={{{name}:{{weight:1.0}}}}")


def test_a_regularizer_of_hidden_layers_needs_some():
    term = "+model.nac.recipe.regularizers={l1:{weight:1.0,layers:hidden}}"
    assert answer("nac", "add", "positive", "protocol.hidden=[2]", term)[0] == "yes"
    with pytest.raises(UsageError, match="hidden layers and there are none"):
        answer("nac", "add", "positive", term)


def test_what_is_impossible_has_a_reason_and_what_is_not_has_none():
    assert answer("nalu", "add", "symmetric")[1].startswith("a gate without bias")
    assert answer("nalu", "add", "symmetric", "model.nalu.options.gate_bias=true") == ("yes", "")


@pytest.mark.parametrize("model", ["mlp_relu", "mlp_tanh"])
def test_nobody_knows_what_an_mlp_cannot_represent(model):
    assert answer(model, "mul", "positive") == ("unknown", "")
    assert answer(model, "mul", "positive", "protocol.inputs=100") == ("unknown", "")
