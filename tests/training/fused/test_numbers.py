"""Equal numbers are one, and what can be known beforehand is."""

import numpy as np
import pytest

from benchmark.training.fused.numbers import Graph, is_constant, uses
from benchmark.training.fused.schedule import contracted, prepared


@pytest.fixture
def graph():
    return Graph(np.float32)


@pytest.fixture
def x(graph):
    return graph.place("x", 0, lanes=True)


def test_equal_numbers_are_one_whatever_the_order_of_a_sum_or_product(graph, x):
    y = graph.place("x", 1, lanes=True)
    for op in ("add", "mul"):
        assert graph(op, x, y) is graph(op, y, x)
    assert graph("sub", x, y) is not graph("sub", y, x)
    assert graph.constant(0.1) is graph.constant(np.float32(0.1))
    assert graph.constant(0.0) is not graph.constant(-0.0)
    assert graph.constant(True) is not graph.constant(1.0)


def test_what_changes_nothing_disappears(graph, x):
    zero, one = graph.constant(0.0), graph.constant(1.0)
    assert graph("add", x, zero) is graph("mul", one, x) is graph("sub", x, zero) is graph("div", x, one) is x
    assert graph("neg", graph("neg", x)) is x
    assert graph("where", graph.constant(True), x, zero) is x
    assert graph("mul", x, zero).op == "mul"  # x may be infinite


def test_constants_are_computed_where_that_is_exact(graph, x):
    assert is_constant(graph("div", graph.constant(1.0), graph.constant(3.0)), np.float32(1) / np.float32(3))
    assert graph("exp", graph.constant(1.0)).op == "exp"
    eighth = graph("div", graph("mul", x, graph.constant(2.0)), graph.constant(16.0))
    assert eighth is graph("mul", x, graph.constant(0.125))
    third = graph("mul", graph("mul", x, graph.constant(2.0)), graph.constant(1 / 3))
    assert (third.op == "mul" and third.inputs[1].op == "mul") or third.inputs[0].op == "mul"  # two roundings stay two


def test_a_sum_over_the_examples_is_one_level_above_what_it_sums(graph, x):
    total = graph.over_lanes(x, 10)
    away = graph("sub", x, total)
    assert (x.level, total.level, away.level, graph.over_lanes(away, 10).level) == (0, 1, 1, 2)
    assert (total.lanes, away.lanes) == (False, True)
    assert is_constant(graph.over_lanes(graph.constant(3.0), 10), 30.0)


def test_what_takes_long_and_follows_from_the_inputs_alone_is_read_from_rows_behind_them(graph, x):
    y, weight = graph.place("x", 1, lanes=True), graph.place("state", 0, lanes=False)
    log, exp = graph("log", x), graph("exp", graph("mul", graph("log", y), graph.constant(0.5)))
    learned = graph("exp", graph("mul", weight, log))
    roots = [graph("add", learned, exp), graph("mul", x, graph("log", graph("abs", weight))), graph("add", x, y)]
    read, rows = prepared(graph, roots, 2)
    assert rows == [log, exp]  # and not the logarithm of y, which only the exponential reads
    first, second = (graph.place("x", i, lanes=True) for i in (2, 3))
    assert read[0] is graph("add", graph("exp", graph("mul", weight, first)), second)
    assert read[1:] == roots[1:]  # nothing that is learned, and no sum
    square = graph("mul", x, x)
    roots = [graph.sum([x, y, square]), graph("mul", weight, graph("sqrt", square))]
    (total, _), rows = prepared(graph, roots, 2)
    assert rows == [square, graph("sqrt", square)]  # rounded before it is added to x and y, as without this
    assert total.args == (x, y, first)
    cube = graph("mul", graph("mul", y, y), y)
    total = graph.sum([x, y, cube])  # a part of this sum only, though that is read twice
    _, rows = prepared(graph, [graph("mul", weight, total), graph("mul", weight, graph("sqrt", total))], 2)
    assert rows == [graph("sqrt", total)]


def test_a_product_joins_the_sum_that_alone_reads_it(graph, x):
    y, z = (graph.place("x", i, lanes=True) for i in (1, 2))
    product = graph("mul", x, y)
    once, twice = graph("neg", product), graph("neg", graph("mul", x, x))
    roots = [graph.over_lanes(once, 0), graph.over_lanes(twice, 0), graph("exp", twice.args[0])]
    first, second, _ = contracted(graph, roots)
    assert first is roots[0]  # whose product is rounded
    assert (second.op, second.args[1]) == ("sub", graph.over_lanes(twice.args[0], 0))
    (joined,) = contracted(graph, [graph("add", product, z)])
    assert (joined.op, *joined.args) == ("fma", x, y, z)
    assert [n.op for n in contracted(graph, [graph("sub", z, product), graph("sub", product, x)])] == ["sub", "sub"]
    both = graph("sub", z, graph("mul", y, y))
    assert contracted(graph, [both])[0].op == "fnma"


def test_uses_come_in_the_order_of_their_making(graph, x):
    square = graph("mul", x, x)
    assert list(uses([graph("add", square, x)]).items())[:2] == [(x, 3), (square, 1)]
