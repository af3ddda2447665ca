"""Regularizers begin, rise and end when their schedule says."""

import math

import pytest

from benchmark.asked.recipe import Recipe, Regularizer, Restart, Turn
from benchmark.errors import UsageError

SCHEDULES = [
    # weight, start, end, steps of the run, {step: λ}
    (10.0, 0.4, 0.6, 100, {0: 0, 39: 0, 40: 0, 45: 2.5, 50: 5, 59: 9.5, 60: 10, 99: 10}),
    (10.0, 0.4, 0.6, 50_000, {20_000: 0, 25_000: 5, 30_000: 10, 49_999: 10}),
    (2.0, 0.0, 1.0, 10, {0: 0, 5: 1, 9: 1.8}),
    # Mistry et al. 2022, NMU: 20k → 35k of 50k steps.
    (10.0, 20_000, 35_000, 50_000, {0: 0, 20_000: 0, 20_001: 10 / 15_000, 27_500: 5, 35_000: 10, 49_999: 10}),
    # Madsen & Johansen 2020, NMU and NAU: of 5 million steps.
    (10.0, 1e6, 2e6, 5_000_000, {999_999: 0, 1_500_000: 5, 2_000_000: 10, 4_999_999: 10}),
    (0.01, 5e3, 5e4, 5_000_000, {5_000: 0, 27_500: 0.005, 50_000: 0.01}),
    # The same steps in a shorter run: the ramp is cut off, not moved.
    (10.0, 20_000, 35_000, 27_501, {19_999: 0, 27_500: 5}),
    (3.0, 0.0, 200, 1000, {0: 0, 100: 1.5, 200: 3, 999: 3}),
    (3.0, 0.5, 750, 1000, {499: 0, 500: 0, 625: 1.5, 750: 3}),
    # Of no length: a jump.
    (3.0, 0.0, 0.0, 100, {0: 3, 1: 3, 99: 3}),
    (3.0, 0.5, 0.5, 100, {0: 0, 49: 0, 50: 3, 99: 3}),
    (3.0, 70, 70, 100, {69: 0, 70: 3}),
    (0.0, 0.2, 0.4, 100, {0: 0, 30: 0, 99: 0}),
]


@pytest.mark.parametrize(("weight", "start", "end", "steps", "expected"), SCHEDULES)
def test_the_weight_follows_its_schedule(weight, start, end, steps, expected):
    regularizer = Regularizer(weight, start, end)
    for step, strength in expected.items():
        assert regularizer.strength(step, steps) == pytest.approx(strength, abs=1e-12), step


@pytest.mark.parametrize(("weight", "start", "end", "steps", "expected"), SCHEDULES)
def test_the_weight_never_falls_and_never_leaves_its_bounds(weight, start, end, steps, expected):
    regularizer = Regularizer(weight, start, end)
    strengths = [regularizer.strength(step, steps) for step in range(0, steps, max(1, steps // 1000))]
    assert strengths == sorted(strengths)
    assert min(strengths) >= 0
    assert max(strengths) <= weight


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 0.0), (0.4, 0.6), (0.0, 0.9), (0.9, 0.9), (20, 80), (50, 50), (0.2, 80)]
)
def test_a_schedule_inside_the_run_reaches_its_whole_weight_before_the_end(start, end):
    assert Regularizer(7.0, start, end).strength(99, 100) == 7


def test_a_regularizer_without_a_schedule_is_on_from_the_first_step():
    assert [Regularizer(0.5).strength(step, 10) for step in range(10)] == [0.5] * 10


def test_a_regularizer_may_end_before_the_run_does():
    regularizer = Regularizer(2.0, 0.25, 0.25, until=0.95)
    assert [regularizer.strength(step, 100) for step in (24, 25, 94, 95, 99)] == [0, 2, 2, 0, 0]
    assert regularizer.acts(100) and regularizer.acts(2) and not Regularizer(2.0, 0.6, 0.6, until=0.9).acts(2)
    assert not Regularizer(2.0, 50, 60).acts(50)


@pytest.mark.parametrize(
    "arguments",
    [
        {"weight": -1.0},
        {"weight": 1.0, "start": 0.5, "end": 0.5, "until": 0.5},
        {"weight": math.nan},
        {"weight": "heavy"},
        {"weight": 1.0, "start": -0.1},
        {"weight": 1.0, "start": 0.6, "end": 0.4},
        {"weight": 1.0, "start": 100},
        {"weight": 1.0, "end": math.nan},
        {"weight": 1.0, "layers": "first"},
    ],
)
def test_an_impossible_schedule_is_refused(arguments):
    with pytest.raises(UsageError, match="regularizer's"):
        Regularizer(**arguments)


@pytest.mark.parametrize("rate", [0.0, -0.1, math.nan, None, True])
def test_a_learning_rate_is_above_zero(rate):
    with pytest.raises(UsageError, match="learning_rate"):
        Recipe(learning_rate=rate)


def test_a_regularizer_grows_tenfold_after_each_every_up_to_its_weight():
    regularizer = Regularizer(1e-5, initial=1e-7, every=0.2)
    strengths = [regularizer.strength(step, 50_000) for step in (0, 9_999, 10_000, 20_000, 30_000, 49_999)]
    assert strengths == pytest.approx([1e-7, 1e-7, 1e-6, 1e-5, 1e-5, 1e-5])
    in_steps = Regularizer(1e-5, initial=1e-7, every=10_000)
    assert [in_steps.strength(step, 10**6) for step in (9_999, 25_000)] == pytest.approx([1e-7, 1e-5])
    assert Regularizer(1.0, start=0.5, end=0.5, initial=0.1, every=0.1).strength(4, 10) == 0
    at_once = Regularizer(1.0, initial=0.1, every=1e-320)
    assert [at_once.strength(step, 10) for step in (0, 1)] == [0.1, 1.0]


@pytest.mark.parametrize("wrong", [{"initial": 0.1}, {"every": 0.1}, {"initial": -1.0, "every": 1.0}, {"below": 0.0}])
def test_a_growth_that_is_only_half_given_or_not_positive_is_refused(wrong):
    with pytest.raises(UsageError, match="regularizer's"):
        Regularizer(1.0, **wrong)


@pytest.mark.parametrize("wrong", [{"clip_value": 0.0}, {"clip_norm": -1.0}])
def test_a_clip_that_is_not_positive_is_refused(wrong):
    with pytest.raises(UsageError, match="clip"):
        Recipe(**wrong)


@pytest.mark.parametrize("steps", [0, 2.5, True, 10**9])
def test_a_turn_takes_a_step_and_no_more_than_memory_holds(steps):
    with pytest.raises(UsageError, match="turn's steps"):
        Turn(steps, ["W"])


def test_no_turns_at_all_are_not_turns():
    assert Recipe().turns is None
    with pytest.raises(UsageError, match="at least one turn"):
        Recipe(turns=[])


def test_a_restart_needs_a_time_and_an_error():
    for wrong in ({"after": 0.0}, {"above": -1.0}, {"every": 0.0}, {"uniform": -2.0}, {"errors": "all"}):
        with pytest.raises(UsageError, match="restart's"):
            Restart(**wrong)
