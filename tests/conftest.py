"""Small grids that train in a moment."""

import pytest

from benchmark.configs import compose

QUICK = [
    "protocol.seeds=3",
    "protocol.steps=6",
    "protocol.evaluate_every=2",
    "protocol.evaluation_size=200",
    "protocol.batch=16",
]


@pytest.fixture
def quick():
    """A request for a grid of three seeds and six steps; further names and overrides as for `configs.compose`."""

    def request(models=("nalu",), tasks=("mul",), ranges=("positive",), overrides=(), **names):
        return compose(list(models), list(tasks), list(ranges), overrides=[*QUICK, *overrides], **names)

    return request
