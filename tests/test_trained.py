"""Trained networks are modules of torch that compute what their rows say, kept or trained anew."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

import benchmark
from benchmark.asked.data import EvaluationSet
from benchmark.asked.replicas import Replica
from benchmark.errors import UsageError
from benchmark.results.store import Store
from benchmark.run import run
from benchmark.training.engine import predict

MODELS = ["nalu", "nmu", "mlp_relu", "snmu", "test_trained.Net"]
ONE = {"task": "mul", "range": "positive", "seed": 1}


class Net(nn.Module):
    """A module of one's own, of rows."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x):
        return torch.tanh(self.layer(x))


@pytest.fixture(scope="module")
def results(quick, tmp_path_factory):
    return run(quick(MODELS, results=tmp_path_factory.mktemp("mine"), overrides=["engine.workers=1"]))


@pytest.mark.parametrize("model", MODELS)
def test_a_network_computes_what_its_row_says_and_survives_a_save(results, model, tmp_path):
    name = model.rpartition(".")[2]
    net = results.network(model=model, **ONE)
    cell = next(cell for cell in results.request.cells if cell.model == name)
    replica = Replica(cell, 1)
    x = np.random.default_rng(0).uniform(1, 6, (2, 5)).astype("float32")
    assert (net.predict(x.T) == predict(replica, Store(results.folder).parameters(replica), x)).all()
    assert net.predict(x.T.reshape(5, 1, 2)).shape == (5, 1) and net(torch.rand(3, 4, 2)).shape == (3, 4, 1)
    judged = EvaluationSet.of_range("extrapolation", [replica], torch.float32)
    error = net.predict(judged.x.reshape(2, -1).T).astype(float) - judged.t.reshape(-1).numpy()
    row = results.outcomes.query("model == @name and seed == 1").iloc[0]
    assert np.mean(error**2) == pytest.approx(row["extrapolation"], rel=1e-5)
    torch.save(net, tmp_path / "net.pt")
    loaded = torch.load(tmp_path / "net.pt", weights_only=False)
    assert (loaded.predict(x.T) == net.predict(x.T)).all() and not loaded.training
    other = results.network(model=model, **ONE | {"seed": 0})
    other.load_state_dict(net.state_dict())
    assert (other.predict(x.T) == net.predict(x.T)).all()


def test_without_its_shards_a_replica_is_trained_anew_to_the_same_bits(results, tmp_path):
    shutil.copytree(results.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("shards"))
    kept, anew = (
        benchmark.results(folder).network(model="nalu", **ONE) for folder in (results.folder, tmp_path / "copy")
    )
    assert all(torch.equal(kept.state_dict()[name], value) for name, value in anew.state_dict().items())


def test_whoever_trains_it_on_keeps_its_bounds(results):
    net = results.network(model="nmu", **ONE).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e3)
    net(torch.rand(8, 2)).sum().backward()
    optimizer.step()
    (W,) = net.parameters()
    assert ((W >= 0) & (W <= 1)).all()


def test_a_class_of_ones_own_is_never_imported_because_a_folder_names_it(results):
    folder = benchmark.results(results.folder)
    with pytest.raises(UsageError, match="no configuration here gives it; name a class of your own as the model"):
        folder.network(model="Net", **ONE)
    assert folder.network(model="test_trained.Net", **ONE).predict([[1, 2]]).shape == (1,)


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"model": "nlau"}, "There is no model in these rows 'nlau' \\(did you mean nalu\\?\\)"),
        ({"model": "nalu", "seed": 7}, "There is no seed in these rows '7'; choose from: 0, 1, 2"),
        ({"model": "nalu"}, "3 networks are so called; say which \\(seed: 0, 1, 2\\)"),
    ],
)
def test_what_names_no_network_or_several_is_refused(results, named, sentence):
    with pytest.raises(UsageError, match=sentence):
        results.network(**named)


def test_rows_of_another_configuration_or_width_are_refused(results, tmp_path):
    folder = shutil.copytree(results.folder, tmp_path / "other")
    outcomes = results.outcomes.assign(digest="0" * 16)
    outcomes.to_csv(folder / "outcomes.csv", index=False)
    with pytest.raises(UsageError, match="cannot be built here: the configuration of its name here is another one"):
        benchmark.results(folder).network(model="nalu", **ONE)
    with pytest.raises(UsageError, match=r"rows are \[..., 2\], and these are \[3\]"):
        results.network(model="nalu", **ONE).predict([1, 2, 3])
