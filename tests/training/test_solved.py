"""What is solved in closed form is least squares on a replica's first training examples, judged as others are."""

import numpy as np
import pytest
import torch

from benchmark.asked.configs import compose
from benchmark.asked.data import Batches
from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import Replica
from benchmark.errors import UsageError
from benchmark.training.engine import train
from benchmark.training.networks import build

SMALL = ["protocol.batch=100", "protocol.steps=4", "protocol.evaluation_size=500"]
COLUMNS = {
    "least_squares": lambda a, b: [a, b],
    "log_least_squares": lambda a, b: [np.log(abs(a)), np.log(abs(b))],
    "monomials": lambda a, b: [a, b, a * a, a * b, b * b],
}


def asked(model, task, range_="positive", *overrides):
    (cell,) = compose([model], [task], [range_], overrides=[*SMALL, *overrides]).cells
    return cell


def solved(model, task, range_="positive"):
    cell = asked(model, task, range_)
    return train([Replica(cell, 3), Replica(cell, 4)], Engine())


@pytest.mark.parametrize("rows", [250, 1000])
@pytest.mark.parametrize("model", COLUMNS)
def test_it_is_numpys_least_squares_on_the_first_examples(model, rows):
    cell = asked(model, "sub", "symmetric", f"model.{model}.recipe.rows={rows}")
    measured = train([Replica(cell, 1), Replica(cell, 3)], Engine())
    batches = Batches([Replica(cell, 3)], torch.float32, torch.device("cpu"))(0, 4)  # [step, 1, in or 1, batch]
    x, t = (np.concatenate(list(each[:, 0].double().numpy()), 1)[:, :rows] for each in batches)
    columns = np.stack([*COLUMNS[model](*x), np.ones_like(x[0])], 1)
    expected = np.linalg.lstsq(columns, np.log(abs(t[0])) if "log" in model else t[0])[0]
    found = np.concatenate([measured.parameters[name][1].ravel() for name in ("0.W", "0.b")])
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert len(np.unique(measured.interpolation[1])) == 2  # before, and ever after


@pytest.mark.parametrize("range_", ["positive", "pos_1p1_1p2"])
@pytest.mark.parametrize("task", ["mul", "div", "square", "sqrt", "add"])
def test_logarithms_solve_products_quotients_and_powers_to_the_floor_of_float32_and_no_sums(task, range_):
    measured = solved("log_least_squares", task, range_)
    relative = np.sqrt(measured.extrapolation[:, -1] / measured.target_extrapolation)
    assert (relative > 1e-3).all() if task == "add" else (relative < 4e-7).all()


def test_where_signs_mix_logarithms_fail_and_say_so_and_a_polynomial_does_not():
    logs, polynomial = (solved(name, "mul", "symmetric") for name in ("log_least_squares", "monomials"))
    assert set(logs.representable) == {"no"} and logs.why[0] == "log |x| loses the sign of x"
    assert (logs.extrapolation[:, -1] > 0.5 * logs.target_extrapolation).all()
    assert set(polynomial.representable) == {"yes"}
    assert (polynomial.extrapolation[:, -1] < 1e-12 * polynomial.target_extrapolation).all()


@pytest.mark.parametrize(
    ("model", "overrides", "why"),
    [
        ("nalu", ["+model.nalu.recipe.rows=10"], "NALU cannot be solved in closed form, only trained"),
        ("least_squares", ["+model.least_squares.hidden=[2]"], "2 layers of .*Dense cannot be solved"),
        ("monomials", ["protocol.inputs=100"], "has 5,151 unknowns here, more than these 400 training examples"),
        ("monomials", ["protocol.inputs=100", "protocol.steps=500"], "more than 512 are solved for"),
        ("monomials", ["model.monomials.recipe.rows=5"], "has 6 unknowns here, more than these 5"),
        ("monomials", ["model.monomials.recipe.rows=0"], r"rows \(0\) must be at least 1"),
    ],
)
def test_what_cannot_be_solved_is_refused(model, overrides, why):
    with pytest.raises(UsageError, match=why):
        build(asked(model, "mul", "positive", *overrides).specification)


def test_a_protocols_hidden_layers_are_not_of_what_is_solved():
    cells = compose(["least_squares", "nmu"], ["mul"], ["positive"], "madsen2020_arithmetic/quick").cells
    assert {cell.model: cell.specification.hidden for cell in cells} == {"least_squares": [], "nmu": [2]}


def test_the_same_unit_may_be_trained():
    cell = asked("log_least_squares", "mul", "positive", "model.log_least_squares.recipe.rows=null")
    assert cell.specification.rows is None
    assert len(np.unique(train([Replica(cell, 0)], Engine()).interpolation[0])) == 5
