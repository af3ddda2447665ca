"""A layer is its unit on rows, and behaves as torch's own layers do."""

import copy
import io

import pytest
import torch
from torch import nn

from benchmark import layers

KINDS = [getattr(layers, name) for name in layers.__all__]


def made(kind, dtype=torch.float64):
    torch.manual_seed(0)
    return kind(3, 2, dtype=dtype).eval()


def rows(*shape):
    return 1 + torch.rand(*shape, 3, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_layer_equals_its_unit_and_survives_a_save(kind):
    layer, x = made(kind), rows(4, 5)
    y = layer(x)
    assert y.shape == (4, 5, 2)
    for i in range(4):
        for j in range(5):
            torch.testing.assert_close(y[i, j], layer.unit(x[i, j][:, None])[:, 0])
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = kind(3, 2, dtype=torch.float64).eval()
    other.load_state_dict(torch.load(file))
    assert torch.equal(other(x), y)
    assert torch.equal(copy.deepcopy(layer)(x), y)
    assert layer.__doc__.startswith(kind.kind.__doc__) and repr(layer).startswith(f"{kind.__name__}(\n  3, 2")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_it_starts_from_torchs_generator_in_its_dtype(kind):
    first, again = made(kind, torch.float32), made(kind, torch.float32)
    other = kind(3, 2)
    values = [torch.cat([p.flatten() for p in layer.parameters()]) for layer in (first, again, other)]
    assert torch.equal(values[0], values[1]) and values[0].dtype == torch.float32
    assert not torch.equal(values[0], values[2]) or not values[2].any()  # Hill Space starts at 0


@pytest.mark.parametrize("copied", [False, True])
def test_weights_stay_in_their_bounds_whoever_trains_them(copied):
    net = nn.Sequential(layers.NAU(3, 2), nn.Identity(), layers.NMU(2, 1))
    net = copy.deepcopy(net) if copied else net
    apart = layers.NMU(2, 1)
    with torch.no_grad():
        apart.unit.W.fill_(5)
    optimizer = torch.optim.SGD(net.parameters(), lr=100.0)
    (-net(torch.rand(8, 3)).sum()).backward()
    optimizer.step()
    for layer, lowest in ((net[0], -1), (net[2], 0)):
        W = layer.unit.W.detach()
        assert W.min() >= lowest and W.max() <= 1 and ((lowest == W) | (W == 1)).any()
    assert (apart.unit.W == 5).all()  # not this optimizer's


def test_an_nmu_learns_to_multiply_in_an_ordinary_loop():
    torch.manual_seed(1)
    layer = layers.NMU(2, 1)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.02)
    for _ in range(400):
        x = 1 + torch.rand(64, 2)
        loss = ((layer(x)[:, 0] - x.prod(1)) ** 2).mean() + 0.1 * layer.regularization()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    far = torch.tensor([[-30.0, 40.0]])
    assert layer(far).item() == pytest.approx(-1200, rel=1e-4)


@pytest.mark.filterwarnings("ignore")  # of torch.compile itself
def test_it_runs_in_a_recurrent_loop_and_under_torch_compile():
    cell = layers.NALU(4, 3)
    step = torch.compile(cell, backend="eager", fullgraph=True)
    x = torch.rand(5, 6, 1)
    plain, compiled = torch.zeros(2, 6, 3)
    for t in range(5):
        plain = cell(torch.cat([x[t], plain], -1))
        compiled = step(torch.cat([x[t], compiled], -1))
    torch.testing.assert_close(compiled, plain)
    plain.sum().backward()
    assert all(p.grad.isfinite().all() for p in cell.parameters())


def test_a_term_may_depend_on_the_rows_that_a_layer_is_given():
    layer, x = made(layers.EQLDivision), -9 * rows(4, 5)
    columns = x.reshape(20, 3).T
    assert layer.regularization("division", x) == layer.unit.penalty("division", columns) > 0
    assert layer.regularization("l1", x) == layer.regularization("l1")
    with pytest.raises(ValueError, match="ask with its inputs x"):
        layer.regularization("division")


def test_noise_is_of_training_alone():
    layer, x = layers.SNMU(3, 2), torch.rand(4, 3)
    assert not torch.equal(layer(x), layer(x))
    assert torch.equal(layer.eval()(x), layer(x))
