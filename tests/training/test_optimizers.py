"""The optimizers are torch's, written out."""

import numpy as np
import pytest
import torch

from benchmark.asked.protocol import OPTIMIZERS as OFFERED
from benchmark.training.optimizers import OPTIMIZERS, corrections

TORCHS = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop, "sgd": torch.optim.SGD}
STEPS = 50


def run(name, dtype, rate, gradients, theta):
    starts, update = OPTIMIZERS[name]
    theta, slots = theta.clone(), [torch.full_like(theta, start) for start in starts]
    path = []
    for gradient, correction in zip(gradients, corrections(range(STEPS), name), strict=True):
        update(theta, gradient(theta), slots, torch.full_like(theta, rate), torch.tensor(correction, dtype=dtype))
        path.append(theta.clone())
    return torch.stack(path)


def torchs_run(name, rate, gradients, theta):
    parameter = torch.nn.Parameter(theta.clone())
    optimizer, path = TORCHS[name]([parameter], lr=rate), []
    for gradient in gradients:
        parameter.grad = gradient(parameter.detach())
        optimizer.step()
        path.append(parameter.detach().clone())
    return torch.stack(path)


def noise(dtype, scale):
    random = torch.Generator().manual_seed(0)
    fixed = [scale * torch.randn(40, generator=random, dtype=dtype) for _ in range(STEPS)]
    return [lambda theta, g=g: g for g in fixed]


def quadratic(dtype, scale):
    target = torch.linspace(-3, 3, 40, dtype=dtype)
    return [lambda theta: scale * (theta - target)] * STEPS


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize("rate", [1e-3, 0.05])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0])
@pytest.mark.parametrize("gradients", [noise, quadratic])
@pytest.mark.parametrize("name", TORCHS)
def test_fifty_steps_are_torchs_to_rounding(name, gradients, scale, rate, dtype, tolerance):
    theta = torch.linspace(-1, 1, 40, dtype=dtype)
    ours = run(name, dtype, rate, gradients(dtype, scale), theta)
    expected = torchs_run(name, rate, gradients(dtype, scale), theta)
    assert dtype is torch.float32 or not torch.equal(ours[-1], theta)
    assert torch.allclose(ours, expected, rtol=tolerance, atol=tolerance * expected.abs().max().item())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_element_has_its_own_rate(name):
    starts, update = OPTIMIZERS[name]
    theta, slots = torch.zeros(3).double(), [torch.full((3,), start).double() for start in starts]
    rate, correction = torch.tensor([0.0, 0.1, 0.2]).double(), torch.tensor(corrections([0])[0]).double()
    update(theta, torch.ones(3).double(), slots, rate, correction)
    assert theta[0] == 0
    assert theta[2].item() == pytest.approx(2 * theta[1].item(), rel=1e-12)
    assert theta[1] < 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_element_is_updated_by_its_own_gradients_alone(name):
    theta = torch.linspace(-1, 1, 40).double()
    everything = run(name, torch.float64, 0.01, noise(torch.float64, 1.0), theta)
    one = [lambda theta, g=g: g(theta)[7:8] for g in noise(torch.float64, 1.0)]
    assert torch.equal(run(name, torch.float64, 0.01, one, theta[7:8])[:, 0], everything[:, 7])


@pytest.mark.parametrize("gradients", [noise, quadratic])
def test_the_schedule_free_optimizer_is_the_published_algorithm(gradients):
    start = torch.linspace(-1, 1, 40).double()
    each = gradients(torch.float64, 1.0)
    ours = run("schedule_free", torch.float64, 0.1, each, start)
    x, z, v, weights = start.clone(), start.clone(), torch.zeros(40).double(), 0.0
    for t, gradient in enumerate(each, start=1):
        y = 0.1 * z + 0.9 * x
        g, rate = gradient(y), 0.1 * min(t / 100, 1)
        v = 0.96 * v + 0.04 * g**2
        z = z - rate * g / ((v / (1 - 0.96**t)).sqrt() + 1e-8)
        weights += rate**2
        x = x + rate**2 / weights * (z - x)
        assert torch.allclose(ours[t - 1], 0.1 * z + 0.9 * x, rtol=1e-6, atol=1e-8)
    late = corrections([99, 100, 5_000], "schedule_free")[:, 0]
    risen = sum((t / 100) ** 2 for t in range(1, 101))  # the squares of the rates so far, in the first hundred steps
    assert late == pytest.approx([1 / risen, 1 / (risen + 1), 1 / (risen + 4901)])


def test_fluxs_rmsprop_is_torchs_with_a_shorter_memory():
    theta = torch.linspace(-1, 1, 40).double()
    ours = run("rmsprop_flux", torch.float64, 0.01, noise(torch.float64, 1.0), theta)
    parameter = torch.nn.Parameter(theta.clone())
    optimizer = torch.optim.RMSprop([parameter], lr=0.01, alpha=0.9)
    for number, gradient in enumerate(noise(torch.float64, 1.0)):
        parameter.grad = gradient(parameter.detach())
        optimizer.step()
        assert torch.allclose(ours[number], parameter.detach(), rtol=1e-12, atol=1e-14)
    first = run("rmsprop_flux", torch.float64, 0.01, [lambda theta: torch.ones_like(theta)] * STEPS, theta)[0]
    assert torch.allclose(theta - first, torch.full_like(theta, 0.01 / 0.1**0.5), rtol=1e-7)


def test_tensorflows_rmsprop_starts_its_mean_square_at_one_and_has_its_constant_inside_the_root():
    gradients, theta, square = [3.0, -0.2, 1e-6, 0.5], 1.0, 1.0
    path = []
    for g in gradients:
        square = 0.9 * square + 0.1 * g * g
        theta -= 0.01 * g / (square + 1e-10) ** 0.5
        path.append(theta)
    start, update = OPTIMIZERS["rmsprop_tensorflow"]
    ours, slots = torch.ones(1).double(), [torch.full((1,), start[0]).double()]
    for g, expected in zip(gradients, path, strict=True):
        update(ours, torch.tensor([g], dtype=torch.float64), slots, torch.tensor([0.01], dtype=torch.float64), slots[0])
        assert ours.item() == pytest.approx(expected, rel=1e-14)


def test_the_protocol_offers_exactly_the_optimizers_there_are():
    assert set(OFFERED) == set(OPTIMIZERS)


def test_the_corrections_of_any_steps_are_adams():
    steps = [0, 1, 7, 19_999]
    expected = [[1 - 0.9 ** (step + 1), (1 - 0.999 ** (step + 1)) ** 0.5] for step in steps]
    assert corrections(steps) == pytest.approx(np.array(expected), rel=1e-12)
    assert (corrections(range(5, 9)) == corrections(iter([5, 6, 7, 8]))).all()
    assert corrections(range(0)).shape == (0, 2)
