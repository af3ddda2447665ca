"""Every baseline goes on outside its range as its formula must: constant, linear, quadratic, a power, its base."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmark.asked.configs import compose
from benchmark.asked.streams import Draw
from benchmark.training.networks import build
from benchmark.units import GLU, KAN, Dense, Monomials, PowerLaw, linear
from benchmark.units.activations import DENOMINATOR, NUMERATOR, rational, snake


def started(unit, seed=5):
    """In float64, with parameters as they start."""
    unit = unit.double().eval()
    unit.load_state_dict({name: value[0] for name, value in unit.initial(Draw(torch.tensor([seed]))).items()})
    return unit


def network(activation):
    return started(build(compose([f"mlp_{activation}"], ["mul"], ["positive"]).cells[0].specification))


def along_rays(net, distances):
    """Of 20 directions, at these distances: [ray, distance]."""
    directions = torch.randn(20, 2, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.as_tensor(distances, dtype=torch.float64)
    with torch.no_grad():
        return net(directions / directions.norm(dim=1, keepdim=True) * t)[:, 0].numpy()


FAR = 1e5 * np.arange(1, 7)
CONSTANT, LINEAR, QUADRATIC = 1, 2, 3  # which differences of equal steps vanish


@pytest.mark.parametrize(
    ("net", "degree"),
    [
        *((lambda name=name: network(name), CONSTANT) for name in ("tanh", "sigmoid", "hardtanh")),
        *((lambda name=name: network(name), LINEAR) for name in ("relu", "leakyrelu", "prelu")),
        (lambda: started(Dense(2, 1)), LINEAR),
        (lambda: started(GLU(2, 1, "sigmoid")), LINEAR),
        *((lambda f=f: started(GLU(2, 1, f)), QUADRATIC) for f in ("identity", "relu", "silu")),
        (lambda: started(Monomials(2, 1)), QUADRATIC),
        (lambda: started(KAN(2, 1)), LINEAR),
    ],
)
def test_along_rays_a_network_becomes_a_polynomial_of_its_degree(net, degree):
    y = along_rays(net(), FAR)
    assert np.abs(np.diff(y, degree)).max() < 1e-9 * np.abs(y).max()
    if degree > CONSTANT:
        assert np.abs(np.diff(y, degree - 1)).max() > 1e-3 * np.abs(y).max()


def test_a_power_law_stays_one():
    y = np.log(along_rays(started(PowerLaw(2, 1)), 2.0 ** np.arange(-20, 20)))
    assert np.abs(np.diff(y, 2)).max() < 1e-12 < 0.01 < np.abs(np.diff(y)).max()


@pytest.mark.parametrize("a", [0.5, 1.0, 20.0])
def test_snake_is_linear_plus_something_bounded(a):
    z = torch.linspace(-1e4, 1e4, 9999, dtype=torch.float64)
    assert (snake(z, a) - z).min() >= 0 and (snake(z, a) - z).max() == pytest.approx(1 / a, rel=1e-3)
    y = along_rays(started(Dense(2, 1, "snake", {"a": a})), FAR)
    assert np.abs(np.diff(y, 2)).max() <= 4 / a


def test_a_rational_network_is_asymptotically_linear_with_one_slope():
    p, q = (torch.tensor([values], dtype=torch.float64) for values in (NUMERATOR, DENOMINATOR))
    ends = rational(torch.tensor([[-1e6, 1e6]], dtype=torch.float64), p, q) / 1e6
    assert ends[0].tolist() == pytest.approx([-0.505, 0.505], rel=1e-5)
    y = along_rays(network("rational"), FAR)
    assert np.abs(np.diff(y, 2)).max() < 1e-6 * np.abs(y).max()
    z = torch.linspace(-3, 3, 601, dtype=torch.float64)[None]
    assert (rational(z, p, q) - F.leaky_relu(z)).abs().max() < 0.035  # inside, where it starts as that


@pytest.mark.parametrize("intervals", [3, 5])
def test_a_kan_is_exactly_its_base_outside_its_extended_grid_and_not_within(intervals):
    unit = started(KAN(2, 1, intervals=intervals, span=[1.0, 3.0]))
    edge = (1 + 3 * 2 / intervals) * (1 + 1e-9)  # of z, and a little beyond
    outside = torch.tensor([[edge, -edge, 50.0], [-edge - 1, edge + 0.1, -edge]], dtype=torch.float64)
    base = lambda x: linear(unit.w_b, F.silu(x - 2))
    assert torch.equal(unit(2 + outside), base(2 + outside))
    within = 2 + 0.9 * outside.clamp(-edge, edge)
    assert (unit(within) != base(within)).all()


@pytest.mark.parametrize(("range_", "middle", "radius"), [("positive", 1.5, 0.5), ("pos_by_neg_1_2", 0.0, 2.0)])
def test_a_kans_grid_is_the_training_range_in_its_first_layer_alone(range_, middle, radius):
    first, *_, last = build(compose(["kan"], ["mul"], [range_]).cells[0].specification).units
    assert (first.middle, first.radius, last.middle, last.radius) == (middle, radius, 0.0, 1.0)
    alone = compose(["kan"], ["mul"], [range_], overrides=["protocol.hidden=[]"]).cells[0].specification
    assert (build(alone)[0].middle, build(alone)[0].radius) == (middle, radius)


@pytest.mark.parametrize("options", [{"span": [1, 1]}, {"span": "wide"}, {"span": [1]}, {"intervals": 0}])
def test_a_grid_that_is_none_is_refused(options):
    with pytest.raises(ValueError, match="must be"):
        KAN(2, 1, **options)


@pytest.mark.parametrize("options", [{"activation": "gelu"}, {"width": 0}])
def test_a_gated_linear_unit_that_is_none_is_refused(options):
    with pytest.raises(ValueError, match=r"no activation|at least 1"):
        GLU(2, 1, **options)
