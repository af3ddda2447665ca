"""Tasks are posed where they are defined, and thresholds are those published and simulated."""

import json
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from benchmark.asked.data import Targets, shifted_spans
from benchmark.asked.ranges import Distribution, Grid, Ranges
from benchmark.asked.tasks import FORMULAS, OPERATIONS, Subsets, Task, plane_points, pose, threshold
from benchmark.errors import UsageError
from benchmark.showing import published

BINARY = ["add", "sub", "mul", "div"]
UNARY = ["square", "sqrt", "identity", "reciprocal"]
DEFINITIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "square": lambda a, b: a**2,
    "sqrt": lambda a, b: np.sqrt(a),
    "identity": lambda a, b: a,
    "reciprocal": lambda a, b: 1 / a,
}
POSITIVE = Ranges([[1, 2]], [[2, 6]])
SYMMETRIC = Ranges([[-5, 5]], [[-20, -5], [5, 20]])


def intervals(where):
    return [distribution.intervals for distribution in where]


def arithmetic(operation, subset=0.25, inputs=100, overlap=0.5, ranges=POSITIVE):
    return pose(Task(operation), ranges, inputs, subset, overlap)


def shifted(problem, offset):
    return tuple((start + offset, stop + offset) for start, stop in problem.subsets.spans)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_what_its_name_says(operation):
    a, b = np.array([0.5, 2.0, 7.25]), np.array([3.0, -0.25, 2.0])
    operands = (a, b)[: OPERATIONS[operation].operands]
    assert OPERATIONS[operation].compute(*operands) == pytest.approx(DEFINITIONS[operation](a, b), rel=1e-15)
    tensors = [torch.tensor(operand) for operand in operands]
    assert OPERATIONS[operation].compute(*tensors).numpy() == pytest.approx(DEFINITIONS[operation](a, b), rel=1e-15)


# As printed: x₁, x₂, x₃, x₄ in order.
PRINTED = {
    "sahoo_div": lambda x: np.sin(np.pi * x[0]) / (x[1] ** 2 + 1),
    "sahoo_f1": lambda x: (np.sin(np.pi * x[0]) + np.sin(2 * np.pi * x[1] + np.pi / 8) + x[1] - x[2] * x[3]) / 3,
    "sahoo_f2": lambda x: (np.sin(np.pi * x[0]) + x[1] * np.cos(2 * np.pi * x[0] + np.pi / 4) + x[2] - x[3] ** 2) / 3,
    "sahoo_f3": lambda x: ((1 + x[1]) * np.sin(np.pi * x[0]) + x[1] * x[2] * x[3]) / 3,
    "sahoo_f4": lambda x: (np.sin(np.pi * x[0]) + np.cos(2 * x[1] * np.sin(np.pi * x[0])) + x[1] * x[2] * x[3]) / 2,
}


@pytest.mark.parametrize("formula", PRINTED)
def test_a_formula_is_asked_of_its_inputs_in_order_and_has_no_threshold(formula):
    problem = pose(Task(formula), SYMMETRIC)
    x = np.random.default_rng(0).uniform(-2, 2, (problem.inputs, 50))
    t = Targets([problem], [()], torch.device("cpu"))(torch.tensor(x)[None])
    assert t[0, 0].numpy() == pytest.approx(PRINTED[formula](x), rel=1e-13)
    assert FORMULAS[formula].compute(*x) == pytest.approx(PRINTED[formula](x), rel=1e-13)
    assert threshold(problem, 1e-4) == math.inf and threshold(problem, 1e-4, 0.5) == 0.5
    with pytest.raises(UsageError, match=f"a formula of {problem.inputs} inputs; leave protocol.inputs out"):
        pose(Task(formula), SYMMETRIC, inputs=10)


def test_several_outputs_are_trained_where_all_are_defined_and_each_is_asked_where_it_is():
    """Heim et al. 2020: the root is judged of positive operands, all else on both sides of 0."""
    problem = pose(Task("heim_simple", margin=0.1), Ranges([[-2, 2]], [[-4, 4]]))
    assert intervals(problem.interpolation) == [((0, 2),), ((0.1, 2),)]
    assert intervals(problem.extrapolation) == [((-4, 4),), ((-4, -0.1), (0.1, 4))]
    a, b = np.array([[1.5, -2.0, 3.0, 0.25], [2.0, 0.5, -1.0, 4.0]])
    t = Targets([problem], [()], torch.device("cpu"))(torch.tensor(np.stack([a, b]))[None])[0].numpy()
    assert problem.outputs == 4 and t[:3] == pytest.approx(np.stack([a + b, a * b, a / b]), rel=1e-15)
    assert t[3] == pytest.approx([1.5**0.5, np.nan, np.nan, 0.5], nan_ok=True)
    assert threshold(problem, 1e-4) == math.inf


def test_the_operations_are_those_of_the_field():
    assert {*PRINTED, "heim_simple"} == set(FORMULAS)
    assert set(OPERATIONS) == set(DEFINITIONS)


@pytest.mark.parametrize(("names", "operands"), [(BINARY, 2), (UNARY, 1)])
def test_operations_have_one_input_an_operand(names, operands):
    for name in names:
        problem = pose(Task(name), POSITIVE)
        assert (problem.inputs, problem.operands, problem.subsets) == (operands, operands, None)
        assert len(problem.interpolation) == len(problem.extrapolation) == len(problem.extent) == operands


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div", "square", "identity", "reciprocal"])
def test_a_range_is_kept_where_the_operation_is_defined_everywhere(operation):
    problem = pose(Task(operation), SYMMETRIC)
    assert intervals(problem.interpolation) == [((-5, 5),)] * problem.inputs
    assert intervals(problem.extrapolation) == [((-20, -5), (5, 20))] * problem.inputs
    assert problem.extent == ((-20, 20),) * problem.inputs


def test_the_root_is_asked_of_what_is_not_negative():
    problem = pose(Task("sqrt"), SYMMETRIC)
    assert intervals(problem.interpolation) == [((0, 5),)]
    assert intervals(problem.extrapolation) == [((5, 20),)]
    assert problem.extent == ((0, 20),)
    assert problem.sign_judged == "positive"


def test_the_divisor_alone_keeps_its_margin():
    problem = pose(Task("div", 0.1), SYMMETRIC)
    assert intervals(problem.interpolation) == [((-5, 5),), ((-5, -0.1), (0.1, 5))]
    assert intervals(problem.extrapolation) == [((-20, -5), (5, 20))] * 2


@pytest.mark.parametrize(("low", "left"), [(-5, ((-5, -0.1), (0.1, 5))), (0, ((0.1, 5),)), (1, ((1, 5),))])
def test_the_reciprocal_keeps_its_margin(low, left):
    problem = pose(Task("reciprocal", 0.1), Ranges([[low, 5]], [[5, 20]]))
    assert intervals(problem.interpolation) == [left]


def test_a_margin_is_not_for_sums_of_inputs():
    assert intervals(pose(Task("div", 0.1), SYMMETRIC, inputs=4).interpolation) == [((-5, 5),)] * 4


@pytest.mark.parametrize("operation", sorted({*BINARY, *UNARY} - {"div", "reciprocal"}))
def test_a_margin_is_refused_where_nothing_is_divided(operation):
    with pytest.raises(UsageError, match="is for division"):
        Task(operation, 0.1)


@pytest.mark.parametrize("margin", [-0.1, math.nan, "wide"])
def test_a_margin_is_a_number_that_is_not_negative(margin):
    with pytest.raises(UsageError, match="margin"):
        Task("div", margin)


def test_an_unknown_operation_is_refused_with_the_nearest_ones():
    with pytest.raises(UsageError, match="did you mean mul"):
        Task("mull")


@pytest.mark.parametrize(
    ("task", "ranges", "name"),
    [
        (Task("sqrt"), Ranges([[-2, -1]], [[2, 6]]), "interpolation"),
        (Task("sqrt"), Ranges([[1, 2]], [[-6, -2]]), "extrapolation"),
        (Task("sqrt"), Ranges([[-2, 0]], [[2, 6]]), "interpolation"),
        (Task("div", 3.0), Ranges([[1, 2]], [[2, 6]]), "interpolation"),
        (Task("reciprocal", 7.0), Ranges([[1, 8]], [[2, 6]]), "extrapolation"),
    ],
)
def test_a_range_outside_the_domain_is_refused(task, ranges, name):
    with pytest.raises(UsageError, match=f"{task.operation} is not defined anywhere on the {name} range"):
        pose(task, ranges)


@pytest.mark.parametrize(("operation", "axes"), [("add", 1), ("add", 3), ("identity", 2)])
def test_a_grid_has_one_axis_for_each_input(operation, axes):
    grid = {"axes": [[1, 1]] * axes, "count": 3}
    with pytest.raises(UsageError, match=f"the interpolation grid has {axes} inputs"):
        pose(Task(operation), Ranges(grid, [[2, 6]]))


@pytest.mark.parametrize(("task", "start"), [(Task("sqrt"), -1), (Task("reciprocal", 0.5), 0)])
def test_a_grid_that_leaves_the_domain_is_refused(task, start):
    with pytest.raises(UsageError, match="leaves the domain"):
        pose(task, Ranges({"axes": [[start, 1]], "count": 3}, [[2, 6]]))


def test_a_grid_is_posed_as_it_is():
    problem = pose(Task("add"), Ranges({"axes": [[0, 5], [5, 5]], "count": 2000}, [[1, 2]], profile=[[-100, 100]]))
    assert problem.interpolation == Grid(((0, 5), (5, 5)), 2000)
    assert problem.trained_hulls == ((0, 9995), (5, 10_000))
    assert problem.extent == ((-100, 9995), (-100, 10_000))


@pytest.mark.parametrize(
    ("train", "test", "signs"),
    [
        ([[1, 2]], [[2, 6]], ("positive", "positive")),
        ([[0, 1]], [[1, 5]], ("positive", "positive")),
        ([[-2, 0]], [[-6, -2]], ("negative", "negative")),
        ([[-2, 2]], [[2, 6]], ("mixed", "positive")),
        ([[1, 2]], [[-6, -2], [2, 6]], ("positive", "mixed")),
        ([[1, 2]], [[-6, -2]], ("positive", "negative")),
    ],
)
def test_the_signs_inside_and_outside_are_told_apart(train, test, signs):
    problem = pose(Task("mul"), Ranges(train, test))
    assert (problem.sign_trained, problem.sign_judged) == signs


def test_a_hundred_inputs_hold_the_subsets_of_the_arithmetic_data_set():
    # Madsen & Johansen 2020: subset 1 is [0, 25), subset 2 starts at 25 - 12 and ends at 38, which leaves 62 offsets.
    problem = arithmetic("mul")
    assert problem.subsets == Subsets(100, ((0, 25), (13, 38)))
    assert problem.subsets.free == 62
    assert len(problem.interpolation) == len(problem.extent) == 100


@pytest.mark.parametrize(
    ("inputs", "subset", "overlap", "size", "stride"),
    [
        *[(100, 0.25, 0, 25, 25), (100, 0.5, 0, 50, 50), (100, 0.25, 1, 25, 0), (2, 0.5, 0, 1, 1)],
        *[(10, 0.25, 0.5, 2, 1), (100, 0.29, 0, 29, 29)],  # and not 28, though 0.29 · 100 is less than 29
    ],
)
def test_subsets_follow_their_fractions(inputs, subset, overlap, size, stride):
    subsets = arithmetic("add", subset, inputs, overlap).subsets
    assert subsets.spans == ((0, size), (stride, stride + size))


@pytest.mark.parametrize("spans", [[[0, 5], [0, 2]], [[2, 2], [0, 1]], [[-1, 2], [0, 1]]])
def test_spans_that_do_not_lie_among_the_inputs_are_refused(spans):
    with pytest.raises(UsageError, match="4 inputs hold no 2 spans"):
        pose(Task("mul"), POSITIVE, 4, spans=spans)


@pytest.mark.parametrize(("inputs", "subset", "overlap"), [(3, 0.25, 0.5), (100, 0.6, 0.0), (10, 0.75, 0.5)])
def test_too_few_inputs_for_the_subsets_are_refused(inputs, subset, overlap):
    with pytest.raises(UsageError, match=f"{inputs} inputs hold no 2 subsets"):
        arithmetic("add", subset, inputs, overlap)


@pytest.mark.parametrize("offset", [0, 1, 17, 62])
@pytest.mark.parametrize("operation", BINARY)
def test_targets_are_of_the_sums_of_exactly_their_subsets(operation, offset):
    # Every example has one input that is 2 and not 1: the sums tell whether they hold it.
    x = (1 + torch.eye(100, dtype=torch.float64))[None]
    problem = arithmetic(operation)
    t = Targets([problem], [shifted(problem, offset)], torch.device("cpu"))(x)[0, 0].numpy()
    in_a = (np.arange(100) >= offset) & (np.arange(100) < offset + 25)
    in_b = (np.arange(100) >= offset + 13) & (np.arange(100) < offset + 38)
    assert (t == DEFINITIONS[operation](25.0 + in_a, 25.0 + in_b)).all()


def test_sums_of_more_and_of_fewer_inputs_and_one_operand_beside_two_are_what_each_is_alone():
    x = torch.rand(4, 100, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problems = [arithmetic("mul"), arithmetic("sub", 0.1), arithmetic("sqrt", 0.5), arithmetic("mul", 0.25, overlap=0)]
    spans = [shifted(problem, offset) for offset, problem in enumerate(problems)]
    together = Targets(problems, spans, x.device)(x)
    for i, problem in enumerate(problems):
        assert torch.equal(together[i], Targets([problem], [spans[i]], x.device)(x[i : i + 1])[0])


@pytest.mark.parametrize("offset", [0, 40, 75])
@pytest.mark.parametrize("operation", UNARY)
def test_targets_of_one_operand_are_of_the_sum_of_its_subset(operation, offset):
    problem = arithmetic(operation)
    assert problem.subsets.free == 75
    x = (1 + torch.eye(100, dtype=torch.float64))[None]
    t = Targets([problem], [shifted(problem, offset)], torch.device("cpu"))(x)[0, 0].numpy()
    in_a = (np.arange(100) >= offset) & (np.arange(100) < offset + 25)
    assert t == pytest.approx(DEFINITIONS[operation](25.0 + in_a, None), rel=1e-15)


def test_operands_may_have_a_range_each():
    ranges = Ranges({"operands": [[[-2, -1]], [[1, 2]]]}, {"operands": [[[-6, -2]], [[2, 6]]]})
    problem = pose(Task("div"), ranges)
    assert intervals(problem.interpolation) == [((-2.0, -1.0),), ((1.0, 2.0),)]
    assert intervals(problem.extrapolation) == [((-6.0, -2.0),), ((2.0, 6.0),)]
    assert "mixed" in (problem.sign_trained, problem.sign_judged)
    assert threshold(problem, 1e-4) == pytest.approx(threshold(pose(Task("div"), POSITIVE), 1e-4))
    for operation, inputs in (("sqrt", None), ("div", 10)):
        with pytest.raises(UsageError, match="is of 2 operands that are inputs"):
            pose(Task(operation), ranges, inputs, 0.1)


def test_seeds_shift_the_subsets_evenly_over_all_offsets():
    problem = arithmetic("mul")
    spans = shifted_spans([problem] * 3000, range(3000))
    offsets = np.array([a for (a, _), _ in spans])
    assert all(own == shifted(problem, offset) for own, offset in zip(spans, offsets, strict=True))
    assert set(offsets) == set(range(63))
    assert np.bincount(offsets).max() < 3000 / 63 + 4.5 * math.sqrt(3000 / 63)
    assert offsets.mean() == pytest.approx(31, abs=4 * 62 / math.sqrt(12 * 3000))


def test_inputs_that_are_the_operands_are_no_sums():
    assert shifted_spans([pose(Task("mul"), POSITIVE)] * 20, range(20)) == [()] * 20


@pytest.mark.parametrize(
    ("operation", "expected"),
    # Simulated with 2·10⁶ samples for subsets of 25 that share 12, ε = 1e-5, U[2, 6].
    [("add", 1.604e-5), ("sub", 1.386e-8), ("mul", 0.1606), ("div", 5.797e-12), ("square", 0.1600), ("sqrt", 1.010e-8)],
)
def test_thresholds_of_the_arithmetic_data_set_are_the_simulated_ones(operation, expected):
    assert threshold(arithmetic(operation), 1e-5) == pytest.approx(expected, rel=3e-3)


def published_thresholds():
    table = published.load("thresholds").astype(object)
    return table.where(table.notna(), None).to_dict("records")


@pytest.mark.parametrize(
    "row", published_thresholds(), ids=lambda row: "{form}-{task}-{inputs}-{extrapolation}-{epsilon}".format(**row)
)
def test_thresholds_are_the_published_ones(row):
    # Madsen & Johansen's script counts one input more in each subset than their data set has; simulated by the authors
    # with 10⁶ samples.
    spans = [[0, 4], [0, 2]] if row["form"] == "very simple" else None
    inputs = None if row["form"] == "single module" and row["inputs"] == 2 else row["inputs"]
    ranges = Ranges([[1, 2]], json.loads(row["extrapolation"]))
    problem = pose(Task(row["task"]), ranges, inputs, row["subset"] or 0.25, row["overlap"] or 0.0, spans)
    expected = math.inf if "infinite" in row["standing"] else row["value"]
    assert threshold(problem, row["epsilon"], row["rule"]) == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize("operation", BINARY)
@pytest.mark.parametrize("test", [[[2, 6]], [[-6, -2], [2, 6]], [[-0.2, -0.1]]])
def test_one_module_with_distractors_has_the_simulated_threshold(operation, test):
    # Mistry et al. 2022, published threshold script: sums are wrong by ε Σ|x|, products by 1 - ε |x| a distractor.
    problem = pose(Task(operation), Ranges([[1, 2]], test), 10, 0.1, 0.0)
    random, e = np.random.default_rng(0), 1e-4
    low, high = test[-1]
    x = random.uniform(low, high, (10, 200_000)) * (random.choice([-1, 1], (10, 200_000)) if len(test) == 2 else 1)
    exact = DEFINITIONS[operation](x[0], x[1])
    if operation in ("add", "sub"):
        wrong = exact - e * np.abs(x).sum(0)
    else:
        factor = (1 - e) ** 2 if operation == "mul" else (1 - e) / (1 + e)
        wrong = exact * factor * (1 - e * np.abs(x[2:])).prod(0)
    errors = (wrong - exact) ** 2
    assert abs(threshold(problem, e, "module") - errors.mean()) < 4 * errors.std() / math.sqrt(errors.size)


@pytest.mark.parametrize("inputs", [2, 4])
def test_where_weights_that_are_wrong_make_no_error_there_is_no_threshold_by_them(inputs):
    everything = arithmetic("add", 0.5, inputs, 0.0)  # each input is in one of two subsets, and T - 2 a + T - 2 b is 0
    with pytest.raises(UsageError, match=r"make no error in add .* choose protocol.threshold=module, or a number"):
        threshold(everything, 1e-4)
    assert threshold(everything, 1e-4, "module") > 0
    assert threshold(arithmetic("sub", 0.5, inputs, 0.0), 1e-4) > 0


def test_a_threshold_may_be_a_number():
    assert threshold(pose(Task("mul"), POSITIVE), 1e-4, 1e-5) == 1e-5


@pytest.mark.parametrize("operation", BINARY)
def test_unequal_subsets_have_the_simulated_threshold(operation):
    # The very simple task of Madsen & Johansen 2020: a is the sum of all four inputs, b that of the first two.
    problem = pose(Task(operation), POSITIVE, 4, spans=[[0, 4], [0, 2]])
    x = np.random.default_rng(0).uniform(2, 6, (4, 400_000))
    a, b, e = x.sum(0), x[:2].sum(0), 1e-5
    exact = DEFINITIONS[operation](a, b)
    errors = (DEFINITIONS[operation](a * (1 - e), b * (1 - e) + e * x[2:].sum(0)) - exact) ** 2
    assert abs(threshold(problem, e) - errors.mean()) < 4 * errors.std() / math.sqrt(errors.size)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_targets_are_of_spans_of_unequal_size(operation):
    problem = pose(Task(operation), POSITIVE, 5, spans=[[0, 4], [0, 2]])
    x = torch.rand(3, 5, 7, dtype=torch.float64) + 1
    offsets = [0, 1, 1]
    t = Targets([problem] * 3, [shifted(problem, offset) for offset in offsets], torch.device("cpu"))(x)[:, 0].numpy()
    for row, inputs, offset in zip(t, x.numpy(), offsets, strict=True):
        a, b = inputs[offset : offset + 4].sum(0), inputs[offset : offset + 2].sum(0)
        assert row == pytest.approx(DEFINITIONS[operation](a, b), rel=1e-14)


@pytest.mark.parametrize(
    ("test", "expected"),
    # Mistry et al. 2022, threshold script: ε = 1e-4. add and sub, mul, div; None where no mean exists.
    [
        ([[-40, -20]], [3.6667e-5, 0.034841, 4.6657e-8]),
        ([[-6, -2]], [6.6667e-7, 1.2017e-5, 5.7766e-8]),
        ([[-6.1, -1.2]], [5.7292e-7, 9.3912e-6, 8.3717e-8]),
        ([[-2, -0.2]], [5.38e-8, 8.7607e-8, 1.4797e-7]),
        ([[-6, -2], [2, 6]], [6.6667e-7, 1.2017e-5, 5.7766e-8]),
        ([[0.2, 2]], [5.38e-8, 8.7607e-8, 1.4797e-7]),
        ([[2, 6]], [6.6667e-7, 1.2017e-5, 5.7766e-8]),
        ([[1.2, 6]], [5.568e-7, 8.8557e-6, 8.265e-8]),
        ([[20, 40]], [3.6667e-5, 0.034841, 4.6657e-8]),
    ],
)
def test_thresholds_of_one_module_are_the_published_ones(test, expected):
    for operation, value in zip(["add", "sub", "mul", "div"], [expected[0], *expected], strict=True):
        assert threshold(pose(Task(operation), Ranges([[1, 2]], test)), 1e-4) == pytest.approx(value, rel=1e-4)


def draws(distribution, shape, random):
    """Rejection from the law, restricted to the intervals; the law's own shares, so no coin."""
    if distribution["law"] == "uniform":
        lengths = np.array([high - low for low, high in distribution["intervals"]], dtype=float)
        which = random.choice(len(lengths), shape, p=lengths / lengths.sum())
        low = np.array([low for low, _ in distribution["intervals"]])
        return low[which] + lengths[which] * random.random(shape)
    law = {
        "normal": lambda size: random.normal(distribution["location"], distribution["scale"], size),
        "exponential": lambda size: random.exponential(distribution["scale"], size),
    }[distribution["law"]]
    count, kept = math.prod(shape), np.empty(0)
    while len(kept) < count:
        x = law(2 * count)
        inside = np.any([(low <= x) & (x <= high) for low, high in distribution["intervals"]], axis=0)
        kept = np.concatenate([kept, x[inside]])
    return kept[:count].reshape(shape)


LAWS = [
    {"law": "uniform", "intervals": [[2, 6]]},
    {"law": "uniform", "intervals": [[0.5, 1], [2, 6]]},
    {"law": "normal", "location": 3.0, "scale": 1.0, "intervals": [[1, 5]]},
    {"law": "exponential", "scale": 2.0, "intervals": [[0.5, 6]]},
]
TWO_SIDED = {"law": "uniform", "intervals": [[-6, -2], [2, 6]]}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["law"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("inputs", "subset", "overlap"), [(8, 0.5, 0.5), (5, 0.4, 0.0), (6, 0.5, 1.0)])
def test_thresholds_are_those_of_a_simulated_first_layer_wrong_by_epsilon(operation, law, inputs, subset, overlap):
    epsilon, random = 0.01, np.random.default_rng(0)
    problem = arithmetic(operation, subset, inputs, overlap, Ranges([[1, 2]], law))
    if (operation, overlap) == ("div", 1.0):  # a sum over itself is 1, however wrong the weights are
        with pytest.raises(UsageError, match="make no error in div"):
            threshold(problem, epsilon)
        return
    size = int(subset * inputs)
    start = size - int(overlap * size)
    right = np.zeros((2, inputs))
    right[0, :size] = 1
    right[1, start : start + size] = 1
    wrong = np.where(right == 1, 1 - epsilon, epsilon)
    x = draws(law, (inputs, 60_000), random)
    errors = (DEFINITIONS[operation](*(wrong @ x)) - DEFINITIONS[operation](*(right @ x))) ** 2
    standard_error = errors.std() / math.sqrt(errors.size)
    assert abs(threshold(problem, epsilon) - errors.mean()) < 4 * standard_error + 1e-12


@pytest.mark.parametrize("law", [*LAWS, TWO_SIDED], ids=lambda law: law["law"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_thresholds_of_one_module_are_those_of_simulated_weights_wrong_by_epsilon(operation, law):
    epsilon, random = 0.01, np.random.default_rng(1)
    if operation == "sqrt" and law["intervals"][0][0] < 0:
        law = law | {"intervals": law["intervals"][1:]}
    a, b = draws(law, (2, 200_000), random)
    # A NAU's weights are 1 - ε and both errors go one way; the factors of a product are each scaled by 1 - ε; a
    # divisor's weight is off the other way.
    wrong, exact = {
        "add": (epsilon * (abs(a) + abs(b)), 0),
        "sub": (epsilon * (abs(a) + abs(b)), 0),
        "mul": ((1 - epsilon) * a * (1 - epsilon) * b, a * b),
        "div": ((1 - epsilon) * a / ((1 + epsilon) * b), a / b),
        "square": (((1 - epsilon) * a) ** 2, a**2),
        "sqrt": (np.sqrt((1 - epsilon) * abs(a)), np.sqrt(abs(a))),
        "identity": ((1 - epsilon) * a, a),
        "reciprocal": (1 / ((1 - epsilon) * a), 1 / a),
    }[operation]
    errors = (wrong - exact) ** 2
    expected = threshold(pose(Task(operation), Ranges([[1, 2]], law)), epsilon)
    assert abs(expected - errors.mean()) < 4 * errors.std() / math.sqrt(errors.size)


@pytest.mark.parametrize("test", [[[-6, 6]], [[0, 5]], [[-5, 0]], [[-2, -1], [0, 1]]])
@pytest.mark.parametrize("operation", ["div", "reciprocal"])
def test_a_division_by_almost_zero_has_no_threshold_without_a_margin(operation, test):
    ranges = Ranges([[1, 2]], test)
    assert threshold(pose(Task(operation), ranges), 1e-4) == math.inf
    assert 0 < threshold(pose(Task(operation, 0.1), ranges), 1e-4) < math.inf


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_grids_threshold_is_the_mean_over_its_rows(operation):
    axes = [[1, 1], [4, -0.5]][: OPERATIONS[operation].operands]
    a, b = np.arange(1.0, 6.0), 4 - 0.5 * np.arange(5)
    e = 1e-3
    expected = {
        "add": (e * (a + b)) ** 2,
        "sub": (e * (a + b)) ** 2,
        "mul": (a * b - (1 - e) ** 2 * a * b) ** 2,
        "div": (a / b - (1 - e) / (1 + e) * a / b) ** 2,
        "square": (a**2 - ((1 - e) * a) ** 2) ** 2,
        "sqrt": (np.sqrt(a) - np.sqrt((1 - e) * a)) ** 2,
        "identity": (e * a) ** 2,
        "reciprocal": (1 / a - 1 / ((1 - e) * a)) ** 2,
    }[operation]
    problem = pose(Task(operation), Ranges([[1, 2]], {"axes": axes, "count": 5}))
    assert threshold(problem, e) == pytest.approx(expected.mean(), rel=1e-9)


@pytest.mark.parametrize("inputs", [None, 8])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_stricter_epsilon_has_a_smaller_threshold(operation, inputs):
    problem = pose(Task(operation), POSITIVE, inputs)
    thresholds = [threshold(problem, epsilon) for epsilon in (1e-2, 1e-3, 1e-4, 1e-5)]
    assert all(strict < lenient / 50 for lenient, strict in pairwise(thresholds))


def test_thresholds_follow_the_extrapolation_range_alone():
    here, elsewhere = (pose(Task("mul"), Ranges(train, [[2, 6]])) for train in ([[1, 2]], [[-9, 9]]))
    assert threshold(here, 1e-4) == threshold(elsewhere, 1e-4)
    assert isinstance(here.interpolation[0], Distribution)


@pytest.mark.parametrize(
    ("operation", "ranges", "inputs", "finite"),
    [
        ("div", [[-6, -2], [2, 6]], 100, False),
        ("reciprocal", [[-2, 2]], 100, False),
        ("div", [[0, 1]], 4, False),
        ("div", [[0, 1]], 100, True),
        ("div", [[2, 6]], 4, True),
    ],
)
def test_a_sums_threshold_does_not_exist_where_its_divisor_may_vanish(operation, ranges, inputs, finite):
    problem = pose(Task(operation), Ranges([[1, 2]], ranges), inputs)
    assert np.isfinite(threshold(problem, 1e-5)) == finite


def test_the_profile_always_holds_the_training_range_and_keeps_to_the_domain():
    assert pose(Task("sqrt"), Ranges([[1, 2]], [[2, 6]], profile=[[-5, -1]])).extent == ((0, 2),)
    assert pose(Task("add"), Ranges([[1, 2]], [[2, 6]], profile=[[10, 20]])).extent == ((1, 20),) * 2
    with pytest.raises(UsageError, match="must be below"):
        Ranges([[1, 2]], [[2, 6]], profile=[[2, 1]])


def test_a_grid_with_a_divisor_of_zero_is_refused():
    with pytest.raises(UsageError, match="leaves the domain"):
        pose(Task("reciprocal"), Ranges({"axes": [[-5, 1]], "count": 11}, [[1, 2]]))


def test_the_operand_plane_tiles_its_square_around_but_never_on_zero():
    points = plane_points()
    assert points.shape == (2, 400)
    assert len({tuple(point) for point in points.T}) == 400
    assert (np.abs(points).min(), np.abs(points).max()) == (1, 19)
    assert set(np.diff(np.unique(points))) == {2}


def test_a_plane_is_drawn_where_the_operands_are_inputs_that_are_trained_within_it():
    assert pose(Task("mul"), SYMMETRIC).has_plane
    assert pose(Task("div", 0.1), Ranges([[-20, -10]], [[-40, -20]])).has_plane
    assert not pose(Task("square"), SYMMETRIC).has_plane
    assert not arithmetic("add").has_plane
    assert not pose(Task("add"), Ranges([[0, 100]], [[100, 200]])).has_plane


@pytest.mark.parametrize(("inputs", "digits"), [(None, 12), (8, 9)])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["law"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_thresholds_have_no_digits_that_a_library_could_decide(operation, law, inputs, digits):
    found = threshold(pose(Task(operation), Ranges([[1, 2]], law), inputs), 1e-5)
    assert found == float(f"{found:.{digits}g}")
    assert threshold(pose(Task(operation), Ranges([[1, 2]], law), inputs), 1e-5, 1 / 3) == 1 / 3


def test_the_root_is_rounded_correctly_whatever_the_processor():
    a = torch.from_numpy(np.random.default_rng(0).uniform(0, 5, (1, 1, 2000)))
    root = Targets([pose(Task("sqrt"), Ranges([[0, 5]], [[5, 10]]))], [()], a.device)(a)
    # Half a unit in the last place at most: (√a ± ulp/2)² lie on both sides of a, in exact arithmetic.
    for value, found in zip(a.flatten().tolist(), root.flatten().tolist(), strict=True):
        half = Fraction(math.ulp(found)) / 2
        assert (Fraction(found) - half) ** 2 <= Fraction(value) <= (Fraction(found) + half) ** 2
