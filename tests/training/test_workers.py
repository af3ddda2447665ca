"""Tiles go to workers so that architectures are compiled side by side."""

import importlib
import multiprocessing
import sys
from multiprocessing.context import SpawnContext

import pytest

from benchmark.asked.protocol import Engine
from benchmark.errors import UsageError
from benchmark.training.tiles import FUSED_TILE, LEAST, _size
from benchmark.training.workers import Pool, _check_code, _choose, in_the_way


def test_a_worker_goes_on_with_its_architecture_then_takes_a_new_one_then_helps(quick):
    tile = lambda model: (quick([model]).replicas(), Engine(mode="compiled"))
    own, taken, new = architectures = [tile(model) for model in ("nac", "nalu", "linear")]
    kinds = {name: _kind(one) for name, one in zip(("own", "taken", "new"), architectures, strict=True)}
    others = {kinds["taken"]}
    assert _choose([taken, new, own], kinds["own"], others) == 2
    assert _choose([taken, new, taken], kinds["own"], others) == 1
    assert _choose([taken, taken], kinds["own"], others) == 0
    assert _choose([], kinds["own"], others) is None


def test_a_tile_of_long_training_is_small_enough_that_other_machines_get_a_share(quick):
    size = lambda *overrides: _size(quick(overrides=overrides).replicas(), 5000, Engine(mode="compiled", device="cpu"))
    assert size("protocol.steps=100") == 1000 <= FUSED_TILE  # five alike, and not four large ones and a small one
    assert LEAST < size("protocol.steps=5000000") < 100
    assert size("protocol.steps=500000000") == LEAST


def _kind(tile):
    from benchmark.asked.replicas import architecture

    return architecture(tile[0][0])


def test_a_worker_refuses_code_that_is_not_what_was_asked_for_and_looks_once(quick, monkeypatch):
    tile = quick(["torch.nn.Linear"]).replicas()
    imported = {None}
    _check_code(tile, imported)  # it has no source
    tile[0].cell.specification.source = "asked for"
    with pytest.raises(UsageError, match=r"code of torch\.nn\.Linear was edited"):
        _check_code(tile, imported)
    monkeypatch.setattr("benchmark.training.workers.source", lambda names: "asked for")
    _check_code(tile, imported)
    assert imported == {None, "asked for"}


@pytest.mark.parametrize(("file", "name"), [("benchmark.py", "benchmark"), ("tqdm/__init__.py", "tqdm")])
def test_what_workers_would_import_instead_of_the_right_module_is_named(tmp_path, monkeypatch, file, name):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(UsageError, match=rf"{name}.* takes the place of {name}, which training needs"):
        Pool(2, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_of_two_installed_modules_of_one_name_none_is_in_the_way(tmp_path, monkeypatch):
    for place in ("debugger", "site-packages"):
        (tmp_path / place / "plugins_of_both").mkdir(parents=True)
        (tmp_path / place / "plugins_of_both" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "debugger")
    monkeypatch.setitem(sys.modules, "plugins_of_both", importlib.import_module("plugins_of_both"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site-packages"), *sys.path[1:]])
    assert in_the_way() is None


WAITING = """
import multiprocessing, time, torch

class Net(torch.nn.Linear):
    def __init__(self, inputs, outputs):
        if multiprocessing.parent_process():
            open("begun", "w").close()
            time.sleep(100)
        super().__init__(inputs, outputs)
"""


@pytest.mark.parametrize("model", ["nac", "waiting_in_a_worker.Net"])
def test_a_worker_that_trains_or_builds_ends_when_it_is_told_to(quick, tmp_path, monkeypatch, model):
    (tmp_path / "waiting_in_a_worker.py").write_text(WAITING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    tile = quick([model], overrides=["protocol.steps=200000", "protocol.evaluate_every=1"]).replicas()
    with Pool(1, tmp_path / "results") as pool:
        ((connection, process),) = pool.workers.items()
        connection.send((tile, Engine(mode="eager")))
        while not (connection.poll(0.1) or (tmp_path / "begun").exists()):
            assert process.is_alive()
        process.terminate()
        process.join(20)
        assert process.exitcode == 0


def test_a_worker_starts_by_a_method_it_knows_whatever_this_process_was_started_by(monkeypatch, tmp_path):
    started = []

    class Loky(SpawnContext):  # joblib's
        _name = "loky"

    class Process:
        def __init__(self, **_):
            pass

        def start(self):
            started.append(multiprocessing.get_start_method())

    before = multiprocessing.get_start_method(allow_none=True)
    with monkeypatch.context() as patch:
        patch.setitem(multiprocessing.context._concrete_contexts, "loky", Loky())
        patch.setattr(SpawnContext, "Process", Process)
        multiprocessing.set_start_method("loky", force=True)
        Pool(1, tmp_path)
        assert multiprocessing.get_start_method() == "loky"
        multiprocessing.set_start_method(before, force=True)
    assert started == ["spawn"]
