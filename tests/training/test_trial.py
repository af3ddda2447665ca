"""A unit of one's own that breaks what the engine relies on is refused with a sentence before anything is trained."""

import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.errors import UsageError
from benchmark.run import run
from benchmark.training.trial import check
from benchmark.units import Unit, linear
from benchmark.units.rows import seeded

OPTIONS = ["protocol.hidden=[2]", "+model.Own.recipe.regularizers={l1:{weight:1.0}}", "engine.mode=eager"]


class Good(Unit):
    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.W = self.parameter()
        self.scale = random.random() + np.random.rand() + torch.rand(()).item()  # noqa: NPY002

    def initial(self, draw):
        return {"W": draw.uniform((self.outputs, self.inputs), -1.0, 1.0)}

    def effective_weights(self):
        return (self.W,)

    def forward(self, x):
        return self.scale * linear(self.W, x)


class GoodRows(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.W = nn.Parameter(torch.tensor(np.random.normal(size=(inputs, outputs))))  # noqa: NPY002
        self.layer = nn.Linear(inputs, outputs)
        nn.init.orthogonal_(self.layer.weight)
        self.scale = random.random()

    def forward(self, x):
        return self.scale * x @ self.W.float() + self.layer(x)


def breaking(base, **parts):
    return type("Own", (base,), parts)


def frozen(base):
    def made(self, inputs, outputs):
        base.__init__(self, inputs, outputs)
        self.W.requires_grad_(False)

    return made


def counted(self, x):
    self.calls = getattr(self, "calls", 0) + 1
    return linear(self.W, x) * self.calls


def ones(self, draw, *shape):
    return {"W": draw.constant(shape or (self.outputs, self.inputs), 1.0)}


BROKEN = {
    "over replicas": (
        Good,
        {"forward": lambda self, x: linear(torch.softmax(self.W, 0), x)},
        "count axes from the last",
    ),
    "of all": (Good, {"forward": lambda self, x: linear(self.W / self.W.max(), x)}, "count axes from the last"),
    "of all, from one start": (
        Good,
        {"forward": lambda self, x: linear(self.W / self.W.max(), x), "initial": ones},
        "count axes from the last",
    ),
    "gradient": (
        Good,
        {"forward": lambda self, x: linear(self.W * (1 + self.W - self.W.max().detach()), x)},
        "count axes",
    ),
    "regularizer": (Good, {"regularizer": lambda self, name: self.W.max() + 0 * self.W.sum((-2, -1))}, "count axes"),
    "draws": (Good, {"forward": lambda self, x: linear(self.W, x) + torch.rand(x.shape[-1:])}, "the same twice"),
    "numpy draws": (Good, {"forward": lambda self, x: linear(self.W, x) * np.random.rand()}, "the same twice"),  # noqa: NPY002
    "counts": (Good, {"forward": counted}, "nor change what it keeps"),
    "a term": (Good, {"regularizer": lambda self, name: self.W.abs().sum()}, "l1 is one number a replica"),
    "vectors": (
        Good,
        {"effective_weights": lambda self: (self.W[..., 0],)},
        "effective weights are [replica, out",
    ),
    "batch": (
        Good,
        {"forward": lambda self, x: linear(self.W, x - x.mean(-1, keepdim=True))},
        "must not mix",
    ),
    "outputs": (
        Good,
        {"forward": lambda self, x: linear(self.W, x).repeat(*[1] * (x.dim() - 2), 3, 1)},
        "Own returns [6, 16] of torch.float32 where [2, 16] of torch.float32 is right",
    ),
    "no tensor": (Good, {"forward": lambda self, x: (linear(self.W, x),)}, "Own returns tuple where [2, 16]"),
    "precision": (
        Good,
        {"forward": lambda self, x: linear(self.W, x).double()},
        "Own returns [2, 16] of torch.f",
    ),
    "frozen": (Good, {"__init__": frozen(Good)}, "W has requires_grad=False"),
    "transposed": (
        Good,
        {"initial": lambda self, draw: ones(self, draw, self.inputs, self.outputs + 1)},
        "initial returns W [2, 2, 3] for two replicas, where W [2, 2, 2] is right",
    ),
    "names": (Good, {"initial": lambda self, draw: {}}, "initial returns nothing"),
    "starts with numpy": (
        Good,
        {"initial": lambda self, draw: {"W": torch.tensor(np.random.rand(len(draw.seeds), *self.W.shape))}},  # noqa: NPY002
        "follows from more than a replica's seed",
    ),
    "fails": (Good, {"forward": lambda self, x: self.nothing(x)}, "cannot compute several replicas at once"),
    "rows draw": (GoodRows, {"forward": lambda self, x: self.layer(x) + torch.rand_like(x[:, :1])}, "at once"),
    "rows": (GoodRows, {"forward": lambda self, x: self.layer(x).repeat(1, 3)}, "Own returns [6, 16] of torch.float32"),
    "rows mix": (GoodRows, {"forward": lambda self, x: self.layer(x - x.mean(0))}, "must not mix"),
    "rows of one": (
        GoodRows,
        {"forward": lambda self, x: self.layer(x)[:, 0]},
        "Own returns [16] of torch.float32 where",
    ),
    "no rows": (GoodRows, {"forward": lambda self, x: (self.layer(x),)}, "Own returns tuple where [2, 16]"),
    "exits": (Good, {"forward": lambda self, x: sys.exit(0)}, "Unexpected SystemExit"),
    "is not made": (
        Good,
        {"__init__": lambda self, *sizes: sys.exit(0)},
        "does not make a unit: Unexpected SystemExit",
    ),
    "frozen rows": (GoodRows, {"__init__": frozen(GoodRows)}, "W has requires_grad=False"),
}


@pytest.fixture
def cell(quick, monkeypatch):
    def of(kind, *overrides):
        monkeypatch.setattr(sys.modules[__name__], "Own", kind, raising=False)
        return quick([f"{__name__}.Own"], ["mul"], overrides=[*OPTIONS, *overrides]).cells[0]

    return of


@pytest.mark.parametrize("case", BROKEN)
def test_a_unit_that_breaks_the_contract_is_refused(cell, case):
    base, parts, sentence = BROKEN[case]
    with pytest.raises(UsageError) as refusal:
        check(cell(breaking(base, **parts)))
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_unit_whose_answers_do_not_hang_on_its_parameters_is_refused(quick, cell):
    cell(breaking(GoodRows, forward=lambda self, x: self.layer(x).detach()))
    with pytest.raises(UsageError, match="Own returns what does not depend on its parameters; nothing can be trained"):
        check(quick([f"{__name__}.Own"], ["mul"]).cells[0])


@pytest.mark.parametrize("kind", [Good, GoodRows])
def test_a_unit_that_keeps_it_trains_from_its_seed_alone_and_leaves_the_process_as_it_was(quick, tmp_path, cell, kind):
    cell(breaking(kind))  # makes it known

    def trained(folder, threads, seed, dtype):
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        with seeded(seed):
            before = torch.get_rng_state(), str(np.random.get_state()), random.getstate()  # noqa: NPY002
            request = quick([f"{__name__}.Own"], ["mul"], overrides=OPTIONS, results=tmp_path / folder)
            outcomes = run(request).outcomes
            after = torch.get_rng_state(), str(np.random.get_state()), random.getstate()  # noqa: NPY002
        assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
        assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, dtype)
        return outcomes[["interpolation", "extrapolation", "untrained"]]

    usual = torch.get_num_threads()
    try:
        assert trained("a", 1, 5, torch.float32).equals(trained("b", 2, 6, torch.float64))
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(usual)


def test_what_is_refused_writes_nothing(quick, tmp_path, cell):
    cell(breaking(Good, forward=lambda self, x: linear(torch.softmax(self.W, 0), x)))
    with pytest.raises(UsageError):
        run(quick([f"{__name__}.Own"], ["mul"], overrides=OPTIONS, results=tmp_path / "results"))
    assert not (tmp_path / "results").exists()
