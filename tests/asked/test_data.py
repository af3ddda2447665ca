"""Training and evaluation data lie where the task says, and are shared by whom they should be."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark.asked import streams
from benchmark.asked.data import (
    PROFILE_POINTS,
    PROFILE_SIZE,
    Batches,
    EvaluationSet,
    Laws,
    Sampler,
    number_unique,
    profile_points,
    response_points,
    spans_of,
)
from benchmark.asked.models import Model
from benchmark.asked.protocol import Protocol
from benchmark.asked.ranges import Distribution, Ranges
from benchmark.asked.replicas import Cell, Replica, Specification
from benchmark.asked.tasks import RESPONSE_SIZE, Task, pose

CPU = torch.device("cpu")
POSITIVE = Ranges([[1, 2]], [[2, 6]])
SYMMETRIC = Ranges([[-5, 5]], [[-20, -5], [5, 20]])
UNION = Ranges([[-6, -3], [1, 2]], [[2, 6]])
TUTORIAL = Ranges({"axes": [[0, 5], [5, 5]], "count": 2000}, {"axes": [[1000, 8], [1000, 4]], "count": 125})
LAWS = [
    Distribution(((-6, -3), (1, 2))),
    Distribution(((-6, -3), (1, 2)), coin=True),
    Distribution(((-3, 1), (2, 9)), "normal", 1.5, 2.0),
    Distribution(((0.1, 0.4), (2, math.inf)), "exponential", scale=0.75),
    Distribution(((1, 2),)),
]


def replicas(task="add", ranges=POSITIVE, seeds=(0,), margin=0.0, model="Dense", **protocol):
    specification = Specification(
        Model(f"benchmark.units.{model}"), Task(task, margin), ranges, Protocol(**{"batch": 64} | protocol)
    )
    cell = Cell(model, task, str(ranges), "test", "", specification)
    return [Replica(cell, seed) for seed in seeds]


def batch(members, step=0, count=1, dtype=torch.float32):
    return Batches(members, dtype, CPU)(step, count)


def test_a_batch_has_a_set_of_columns_for_each_step_and_replica():
    x, t = batch(replicas(seeds=range(3)), count=5)
    assert x.shape == (5, 3, 2, 64)
    assert t.shape == (5, 3, 1, 64)


@pytest.mark.parametrize(
    ("task", "margin", "ranges", "allowed"),
    [
        ("add", 0, POSITIVE, [[(1, 2)]] * 2),
        ("add", 0, UNION, [[(-6, -3), (1, 2)]] * 2),
        ("sqrt", 0, SYMMETRIC, [[(0, 5)]]),
        ("div", 0.1, SYMMETRIC, [[(-5, 5)], [(-5, -0.1), (0.1, 5)]]),
        ("reciprocal", 0.5, SYMMETRIC, [[(-5, -0.5), (0.5, 5)]]),
        ("mul", 0, Ranges([[1.1, 1.2]], [[2, 6]]), [[(1.1, 1.2)]] * 2),
        ("square", 0, Ranges({"law": "normal", "intervals": [[-1, 0.5]]}, [[2, 6]]), [[(-1, 0.5)]]),
    ],
)
def test_training_inputs_fill_the_effective_range_and_leave_it_never(task, margin, ranges, allowed):
    x, _ = batch(replicas(task, ranges, range(20), margin), count=20)
    assert x.shape[2] == len(allowed)
    for i, intervals in enumerate(allowed):
        values = x[:, :, i].double()
        inside = [(low - 1e-6 <= values) & (values <= high + 1e-6) for low, high in intervals]
        assert torch.stack(inside).any(0).all()
        for (low, high), here in zip(intervals, inside, strict=True):
            reached = values[here]
            assert reached.min() < low + (high - low) / 100
            assert reached.max() > high - (high - low) / 100


@pytest.mark.parametrize(("spec", "share"), [([[-6, -3], [1, 2]], 3 / 4), ({"coin": True}, 1 / 2)])
def test_the_pieces_of_a_union_are_used_in_proportion(spec, share):
    spec = {"intervals": [[-6, -3], [1, 2]]} | (spec if isinstance(spec, dict) else {})
    x, _ = batch(replicas(ranges=Ranges(spec, [[2, 6]]), seeds=range(20)), count=20)
    assert (x < 0).double().mean() == pytest.approx(share, abs=4 * 0.5 / math.sqrt(x.numel()))


def test_the_sampler_inverts_every_distribution_function_of_a_mixed_tile():
    u = ((torch.arange(1000, dtype=torch.float64) + 0.5) / 1000).expand(len(LAWS), 2, -1)
    x = Sampler(Laws.of([(law, law) for law in LAWS]), CPU)(u).numpy()
    for law, values in zip(LAWS, x, strict=True):
        expected = np.empty(1000)
        reference = {"normal": stats.norm(law.location, law.scale), "exponential": stats.expon(scale=law.scale)}
        for piece in law.pieces():
            own = u[0, 0].numpy() >= piece.cut
            p = (u[0, 0].numpy()[own] - piece.origin) * piece.slope + piece.low
            if law.law in reference:
                p = reference[law.law].ppf(p) if piece.sign > 0 else reference[law.law].isf(p)
            expected[own] = p
        assert values == pytest.approx(np.stack([expected, expected]), rel=1e-9)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_sets_samples_do_not_depend_on_the_other_sets(law):
    u = torch.rand(len(LAWS) + 1, 1, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together = Sampler(Laws.of([(other,) for other in [law, *LAWS]]), CPU)(u)
    assert torch.equal(Sampler(Laws.of([(law,)]), CPU)(u[:1])[0], together[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("task", "of"), [("mul", np.multiply), ("div", np.divide), ("add", np.add)])
def test_targets_are_computed_in_float64_from_the_rounded_inputs(task, of, dtype):
    members = replicas(task, seeds=range(5), inputs=100, batch=128)
    x, t = batch(members, count=3, dtype=dtype)
    assert x.dtype == t.dtype == dtype
    spans = spans_of(members)
    assert len(set(spans)) > 1
    columns = x.double().numpy()
    for r, ((start, _), _) in enumerate(spans):
        a = columns[:, r, start : start + 25].sum(1)
        b = columns[:, r, start + 13 : start + 38].sum(1)
        expected = of(a, b)
        error = np.abs(t[:, r, 0].double().numpy() - expected)
        assert (error <= (2**-24 + 1e-14 if dtype is torch.float32 else 1e-14) * np.abs(expected)).all()


def test_a_step_has_the_same_batch_whether_drawn_alone_or_with_others():
    members = replicas(seeds=range(3))
    x, t = batch(members, step=5, count=7)
    for k in range(7):
        alone = batch(members, step=5 + k)
        assert torch.equal(alone[0][0], x[k])
        assert torch.equal(alone[1][0], t[k])


def test_no_two_steps_have_the_same_batch():
    x, _ = batch(replicas(), count=300)
    assert len(np.unique(x[:, 0, 0], axis=0)) == 300


def test_a_larger_batch_begins_as_a_smaller_one():
    small, large = (batch(replicas(batch=size), count=3)[0] for size in (10, 64))
    assert torch.equal(large[..., :10], small)


def test_grid_batches_walk_through_the_rows_in_order_and_begin_again():
    x, t = batch(replicas("mul", TUTORIAL, range(3), batch=300), step=0, count=20)
    rows = np.array([np.arange(0, 10_000, 5), np.arange(5, 10_001, 5)])
    walked = x.movedim(0, 2).reshape(3, 2, 6000)
    assert (walked.numpy() == np.concatenate([rows, rows, rows], axis=1)).all()
    assert (t.movedim(0, 2).reshape(3, 6000).numpy() == np.tile((rows[0] * rows[1]).astype(np.float32), 3)).all()


def test_a_grid_walk_goes_on_where_the_last_call_ended():
    x, _ = batch(replicas("mul", TUTORIAL, batch=300), step=6, count=2)
    assert (x[:, 0, 0].flatten().numpy() == np.arange(1800, 2400) % 2000 * 5).all()


def test_a_batch_as_large_as_the_grid_is_the_whole_grid_at_every_step():
    x, _ = batch(replicas("add", TUTORIAL, batch=2000), count=3)
    assert (x[:, 0, 0].numpy() == np.arange(0, 10_000, 5)).all()


def test_models_and_operations_of_one_range_and_seed_see_the_same_numbers():
    members = [
        *replicas("add", seeds=[3, 4]),
        *replicas("mul", seeds=[4]),
        *replicas("sub", seeds=[3], model="NAC"),
    ]
    x, t = batch(members, count=4)
    assert torch.equal(x[:, 0], x[:, 3])
    assert torch.equal(x[:, 1], x[:, 2])
    assert not torch.isclose(x[:, 0], x[:, 1]).all(-1).any()
    assert torch.equal(t[:, 0], x[:, 0, :1] + x[:, 0, 1:])
    assert torch.equal(t[:, 3], x[:, 3, :1] - x[:, 3, 1:])


def test_replicas_of_one_seed_on_two_ranges_have_the_same_quantiles():
    x, _ = batch([*replicas(ranges=POSITIVE), *replicas(ranges=Ranges([[10, 30]], [[2, 6]]))], dtype=torch.float64)
    assert torch.allclose(10 + 20 * (x[:, 0] - 1), x[:, 1], rtol=1e-14, atol=0)


@pytest.mark.parametrize("interval", [[-2, 2], [-0.7, 0.9]])
def test_inputs_across_zero_are_as_fine_as_float64_numbers_and_never_zero(interval):
    members = replicas(ranges=Ranges([interval], [[2, 6]]), batch=1 << 17)
    x = np.concatenate([batch(members, step)[0].numpy().ravel() for step in range(0, 40)])
    assert x.size > 10_000_000
    sizes, width = np.abs(x), interval[1] - interval[0]
    assert 0 < sizes.min() < 1e-6
    near = sizes[sizes < 1e-5]
    expected = x.size * 2e-5 / width
    assert abs(len(near) - expected) < 5 * np.sqrt(expected)
    assert len(np.unique(near)) == len(near)


@pytest.mark.parametrize("interval", [[1, 2], [-2, 2], [0.1, 0.3]])
def test_inputs_are_float64_numbers_rounded_once(interval):
    members, (low, high) = replicas(ranges=Ranges([interval], [[2, 6]]), batch=1 << 16), interval
    u = streams.uniform(streams.key(0, streams.DATA, 3), streams.counter(2, 1 << 16)).numpy()
    single = batch(members, 3)[0][0, 0].numpy()
    assert (single == (u * (high - low) + low).astype(np.float32)).all()
    odd = (single[0].view(np.int32) % 2).mean()  # numbers between two ties are no rarer than others
    assert odd == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("ranges", [POSITIVE, SYMMETRIC, UNION])
@pytest.mark.parametrize("task", ["add", "div"])
def test_a_replicas_batch_does_not_depend_on_its_company(task, ranges):
    own = replicas(task, ranges, [7], 0.1 if task == "div" else 0.0)
    others = [*replicas("mul", UNION, range(6)), *replicas("sub", SYMMETRIC, range(6)), *replicas("div", margin=0.2)]
    alone, together = batch(own, 3, 4), batch([*others, *own], 3, 4)
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a[:, 0], b[:, -1])


def test_a_data_seed_makes_all_seeds_share_their_data_and_subsets():
    own = replicas("mul", seeds=[4], inputs=100)
    shared = replicas("mul", seeds=[0, 1, 2], data_seed=4, inputs=100)
    (x, t), (expected_x, expected_t) = batch(shared, count=2), batch(own, count=2)
    assert torch.equal(x, expected_x.expand_as(x))
    assert torch.equal(t, expected_t.expand_as(t))


@pytest.mark.parametrize("name", ["interpolation", "extrapolation"])
def test_evaluation_inputs_do_not_depend_on_seeds_models_or_operations(name):
    members = [*replicas("add", seeds=[0, 9]), *replicas("mul", seeds=[1], model="NAC", data_seed=5)]
    data = EvaluationSet.of_range(name, members, torch.float32)
    assert data.x.shape == (1, 2, 10_000)
    assert torch.equal(data.x, EvaluationSet.of_range(name, replicas(seeds=[77]), torch.float32).x)
    a, b = data.x[0].double()
    for row, expected in zip(data.t[data.target_of], [a + b, a + b, a * b], strict=True):
        assert torch.equal(row, expected)
    assert data.t.dtype == torch.float64


@pytest.mark.parametrize(("name", "low", "high"), [("interpolation", 1, 2), ("extrapolation", 2, 6)])
def test_evaluation_inputs_fill_their_range(name, low, high):
    x = EvaluationSet.of_range(name, replicas(evaluation_size=5000), torch.float64).x
    assert x.shape == (1, 2, 5000)
    for values in x[0].numpy():
        assert stats.kstest(values, "uniform", args=(low, high - low)).pvalue > 1e-3


def test_interpolation_and_extrapolation_sets_are_of_different_numbers():
    same = Ranges([[0, 1]], [[0, 1]])
    sets = [EvaluationSet.of_range(name, replicas(ranges=same), torch.float64).x.flatten() for name in
            ("interpolation", "extrapolation")]  # fmt: skip
    assert abs(np.corrcoef(*sets)[0, 1]) < 4.5 / math.sqrt(20_000)


def test_evaluation_inputs_are_not_training_inputs():
    data = EvaluationSet.of_range("interpolation", replicas(), torch.float32).x
    assert torch.isin(batch(replicas(seeds=range(10)))[0], data).double().mean() < 0.05


def test_evaluation_sets_of_many_ranges_are_those_of_each_alone():
    groups = [replicas("add", POSITIVE), replicas("sqrt", SYMMETRIC), replicas("identity", SYMMETRIC)]
    unary = [member for group in groups[1:] for member in group]
    data = EvaluationSet.of_range("extrapolation", unary, torch.float32)
    for r, member in enumerate(unary):
        alone = EvaluationSet.of_range("extrapolation", [member], torch.float32)
        assert torch.equal(data.x[data.set_of[r]], alone.x[0])
        assert torch.equal(data.t[data.target_of[r]], alone.t[0])


def test_evaluation_targets_follow_each_seeds_subsets_on_the_same_inputs():
    members = replicas("add", seeds=range(6), inputs=100, evaluation_size=50)
    data = EvaluationSet.of_range("extrapolation", members, torch.float64)
    assert data.x.shape[0] == 1
    for r, ((start, _), _) in enumerate(spans_of(members)):
        x = data.x[0].numpy()
        expected = x[start : start + 25].sum(0) + x[start + 13 : start + 38].sum(0)
        assert data.t[data.target_of[r]].numpy() == pytest.approx(expected, rel=1e-14)


def test_a_grids_evaluation_set_is_its_rows():
    data = EvaluationSet.of_range("extrapolation", replicas("mul", TUTORIAL, range(2)), torch.float32)
    a, b = np.arange(1000, 1993, 8), np.arange(1000, 1497, 4)
    assert (data.x[0].numpy() == [a, b]).all()
    assert (data.t[data.target_of[1]].numpy() == a * b).all()
    # The products that the founding tutorial prints.
    assert data.t[0, :3].tolist() == [1_000_000, 1_012_032, 1_024_128]


@pytest.mark.parametrize(
    ("ranges", "low", "high"), [(SYMMETRIC, -20, 20), (POSITIVE, 1, 6), (Ranges([[1, 2]], [[2, 6]], [[-9, 9]]), -9, 9)]
)
def test_the_profile_of_one_input_runs_over_the_extent(ranges, low, high):
    x, points = profile_points(pose(Task("square"), ranges))
    assert (x == np.linspace(low, high, PROFILE_SIZE)).all()
    assert (points == x).all()


TWO_INPUTS = [
    ("add", 0.0, SYMMETRIC, None),
    ("mul", 0.0, POSITIVE, None),
    ("sub", 0.0, Ranges([[-2, -1]], [[-6, -2]]), None),
    ("add", 0.0, Ranges([[1, 2]], [[2, 6]], [[-9, 40]]), None),
    ("add", 0.0, TUTORIAL, None),
    ("div", 0.0, SYMMETRIC, None),
    ("sqrt", 0.0, POSITIVE, 4),
    ("mul", 0.0, SYMMETRIC, 100),
]


@pytest.mark.parametrize(("task", "margin", "ranges", "inputs"), TWO_INPUTS)
def test_the_farthest_input_of_a_profile_point_is_exactly_at_its_distance(task, margin, ranges, inputs):
    problem = pose(Task(task, margin), ranges, inputs)
    x, points = profile_points(problem)
    hulls = np.array(problem.trained_hulls)[:, :, None]
    distance = np.abs(points - hulls.mean(1)) / ((hulls[:, 1] - hulls[:, 0]) / 2)
    assert distance.max(0) == pytest.approx(np.repeat(x, PROFILE_POINTS), abs=1e-9)


@pytest.mark.parametrize(("task", "margin", "ranges", "inputs"), [*TWO_INPUTS, ("div", 0.1, SYMMETRIC, None)])
def test_profile_points_lie_in_the_extent(task, margin, ranges, inputs):
    problem = pose(Task(task, margin), ranges, inputs)
    _, points = profile_points(problem)
    low, high = np.array(problem.extent).T[:, :, None]
    assert points.shape == (problem.inputs, PROFILE_SIZE * PROFILE_POINTS)
    assert (points >= low - 1e-9).all()
    assert (points <= high + 1e-9).all()


def test_a_profile_begins_in_the_middle_and_ends_at_the_farthest_corner():
    x, points = profile_points(pose(Task("add"), POSITIVE))
    assert (x[0], x[-1]) == (0, 9)  # 6 is nine half-widths from 1.5
    assert (points[:, :PROFILE_POINTS] == 1.5).all()
    assert (points[:, -PROFILE_POINTS:].max(0) == 6).all()


def test_inputs_take_turns_at_being_the_farthest():
    x, points = profile_points(pose(Task("add"), SYMMETRIC))
    farthest = np.abs(points).argmax(0).reshape(PROFILE_SIZE, PROFILE_POINTS)[1:]
    assert (farthest.mean(1) == 0.5).all()
    sides = points.reshape(2, PROFILE_SIZE, PROFILE_POINTS)[:, 1:]
    for i in range(2):
        at = np.abs(np.abs(sides[i]) - 5 * x[1:, None]) < 1e-9
        assert ((sides[i] > 0) & at).sum(1).min() >= PROFILE_POINTS / 4
        assert ((sides[i] < 0) & at).sum(1).min() >= PROFILE_POINTS / 4


@pytest.mark.parametrize("task", ["div", "reciprocal"])
def test_a_profiled_divisor_keeps_its_margin_and_its_sign(task):
    _, free = profile_points(pose(Task(task), SYMMETRIC))
    _, points = profile_points(pose(Task(task, 0.3), SYMMETRIC))
    assert np.abs(points[-1]).min() == 0.3
    near = np.abs(free[-1]) < 0.3
    assert (points[-1][near] == np.copysign(0.3, free[-1][near])).all()
    assert (points[:, ~near] == free[:, ~near]).all()
    assert (points[:-1] == free[:-1]).all()


def test_a_tiles_profile_gives_every_replica_its_own_points():
    members = [*replicas("add", POSITIVE, [0, 1]), *replicas("div", SYMMETRIC, [0], 0.1)]
    data, x = EvaluationSet.of_profile(members, torch.float64)
    assert x.shape == (3, PROFILE_SIZE)
    for r, member in enumerate(members):
        problem = member.cell.specification.problem
        expected_x, points = profile_points(problem)
        assert (x[r] == expected_x).all()
        assert (data.x[data.set_of[r]].numpy() == points).all()
        expected = points[0] + points[1] if problem.operation == "add" else points[0] / points[1]
        assert (data.t[data.target_of[r]].numpy() == expected).all()


def test_unique_items_are_numbered_in_order_of_appearance():
    unique, index = number_unique(["b", "a", "b", "c", "a"])
    assert unique == ["b", "a", "c"]
    assert index.tolist() == [0, 1, 0, 2, 1]


def test_a_tail_without_an_end_yields_no_infinity_and_a_narrow_one_many_values():
    u = torch.tensor([2.0**-53, 1 - 2.0**-53], dtype=torch.float64).expand(1, 1, -1)
    for intervals in (((-np.inf, np.inf),), ((0.5, np.inf),), ((7.0, np.inf),), ((1.0, 2.0), (30.0, np.inf))):
        for law in ("normal", "exponential"):
            if law == "normal" or intervals[0][0] > 0:
                assert Sampler(Laws.of([(Distribution(intervals, law),)]), CPU)(u).isfinite().all()
    tail = Distribution(((4.0, 6.0),), "normal")
    x = Sampler(Laws.of([(tail,)]), CPU)(((torch.arange(4096).double() + 0.5) / 4096).expand(1, 1, -1)).float()
    assert x.unique().numel() > 4000
    assert ((x >= 4) & (x <= 6)).all()


@pytest.mark.parametrize(
    ("task", "margin", "ranges", "still"),
    [
        ("mul", 0.0, POSITIVE, (1.5, 1.5)),
        ("sub", 0.0, Ranges([[-2, -1]], [[-6, -2]]), (-1.5, -1.5)),
        ("div", 0.1, SYMMETRIC, (2.5, 2.5)),
        ("div", 0.0, Ranges([[-3, 1]], [[2, 6]]), (-1.5, -1.5)),
        ("add", 0.0, TUTORIAL, None),
        ("square", 0.0, SYMMETRIC, ()),
    ],
)
def test_answers_are_recorded_along_each_operand_while_the_other_stays(task, margin, ranges, still):
    problem = pose(Task(task, margin), ranges)
    x, points = response_points(problem)
    swept = np.split(x, problem.inputs)
    for i, (low, high) in enumerate(problem.extent):
        assert (swept[i] == np.linspace(low, high, RESPONSE_SIZE)).all()
        own = points[:, i * RESPONSE_SIZE : (i + 1) * RESPONSE_SIZE]
        assert (own[i] == swept[i]).all()
        for j in {0, 1} - {i} if problem.inputs == 2 else ():
            assert (own[j] == (np.mean(problem.trained_hulls[j]) if still is None else still[j])).all()
