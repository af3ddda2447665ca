"""A run trains what is missing, survives being killed, and gives the same table however it was computed."""

import importlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import posix

from benchmark.errors import RunError, UsageError
from benchmark.results import shards
from benchmark.results.statistics import OUTCOMES, PROFILE, SUMMARY
from benchmark.results.store import Store
from benchmark.run import derived, run
from benchmark.showing.figures.responses import responses
from benchmark.showing.names import listed
from benchmark.training import engine

VOLATILE = ["seconds", "device", "engine", "torch", "benchmark"]


def table(folder, name="outcomes"):
    return pd.read_csv(Path(folder) / f"{name}.csv").drop(columns=VOLATILE, errors="ignore")


@pytest.fixture
def grid(quick, tmp_path):
    """Run a grid of two models, four tasks and two ranges with these overrides into a folder of this name."""

    def results(name, *overrides):
        return run(
            quick(
                ["nalu", "mlp_relu"],
                ["add", "mul", "sqrt", "identity"],
                ["symmetric", "positive"],
                [*overrides],
                results=tmp_path / name,
            )
        )

    return results


def test_the_table_is_the_same_in_small_and_large_tiles(grid):
    first = grid("a", "engine.workers=1", "engine.tile=256")
    second = grid("b", "engine.workers=1", "engine.tile=16", "engine.steps_per_call=1")
    pd.testing.assert_frame_equal(table(first.folder), table(second.folder), check_exact=True)
    for name in ("summary", "profile", "cells"):
        assert (first.folder / f"{name}.csv").read_bytes() == (second.folder / f"{name}.csv").read_bytes()


@pytest.mark.parametrize(
    ("task", "truth"),
    [
        ("identity", {"a": lambda x: x}),
        ("sahoo_div", {"a": lambda x: np.sin(np.pi * x) / 1.25, "b": lambda x: 1 / (x**2 + 1)}),
        (
            "sahoo_f3",
            {
                "a": lambda x: (1.5 * np.sin(np.pi * x) + 0.125) / 3,
                "b": lambda x: (1 + x + 0.25 * x) / 3,
                **dict.fromkeys("cd", lambda x: (1.5 + 0.25 * x) / 3),
            },
        ),
    ],
)
def test_each_operand_of_a_formula_is_swept_however_many_there_are(quick, tmp_path, task, truth):
    results = run(quick(["linear"], [task], ["sahoo2018"], results=tmp_path))
    answers = results.tables["responses"].sort_values(["operand", "x"])
    assert [*answers["operand"].unique()] == [*truth]
    for operand, own in answers.groupby("operand"):
        assert np.allclose(own["target"], truth[operand](own["x"]), atol=1e-6)
    (figure,) = responses(results.tables["responses"], results.outcomes, results.tables["cells"])
    others = listed([operand for operand in truth if operand != "a"])
    assert f"along a{', ' * bool(others)}{others}{' staying at 0.5' * bool(others)}." in figure._supxlabel.get_text()


def test_seeds_grow_without_changing_and_nothing_is_trained_twice(grid):
    small = grid("a", "engine.workers=1")
    assert small.trained == 3 * 16
    grown = grid("a", "engine.workers=1", "protocol.seeds=5")
    assert grown.trained == 2 * 16
    again = grid("a", "engine.workers=1", "protocol.seeds=5")
    assert (again.trained, again.changed) == (0, False)
    fresh = grid("b", "engine.workers=1", "protocol.seeds=5")
    pd.testing.assert_frame_equal(table(grown.folder), table(fresh.folder), check_exact=True)


def test_the_tables_have_the_columns_that_others_rely_on(grid):
    results = grid("a", "engine.workers=1")
    for name, columns in (("outcomes", OUTCOMES), ("summary", SUMMARY), ("profile", PROFILE)):
        assert list(pd.read_csv(results.folder / f"{name}.csv", nrows=0)) == columns
    outcomes = table(results.folder)
    keys = ["model", "task", "range", "protocol", "overrides", "seed"]
    assert outcomes[keys].equals(outcomes[keys].sort_values(keys, ignore_index=True))
    assert not outcomes.duplicated(keys).any()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunError("a worker died")])
def test_what_ends_a_run_drops_no_row_of_a_table_whose_shards_are_gone(grid, monkeypatch, capsys, error):
    before = grid("results")
    shutil.rmtree(before.folder / "shards")

    def ended(*_):
        raise error

    monkeypatch.setattr("benchmark.run.train_missing", ended)
    with pytest.raises(type(error)):
        grid("results")
    assert len(table(before.folder)) == len(before.outcomes)
    assert "replicas that no shard of" in capsys.readouterr().err


def test_rows_of_another_configuration_are_not_replaced_where_their_shards_are_gone(grid):
    folder = grid("results").folder
    shutil.rmtree(folder / "shards")
    rows = pd.read_csv(folder / "outcomes.csv", keep_default_na=False)
    rows.assign(digest="0123456789abcdef").to_csv(folder / "outcomes.csv", index=False)
    with pytest.raises(UsageError, match=rf"holds {len(rows)} replicas that no shard of"):
        grid("results")


def test_a_request_shows_its_own_cells_and_the_folder_keeps_all(quick, tmp_path):
    run(quick(["nalu"], results=tmp_path, overrides=["engine.workers=1"]))
    results = run(quick(["nac"], ["add"], results=tmp_path, overrides=["engine.workers=1"]))
    assert set(results.outcomes["model"]) == {"nac"}
    assert set(table(tmp_path)["model"]) == {"nalu", "nac"}


NET = """
from torch import nn
class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
    def forward(self, x):
        return 1.0 * self.layer(x)
"""


def test_edited_code_is_another_configuration_and_reloaded_is_trained(quick, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "edited.py").write_text(NET)

    def trained(folder, seeds):
        overrides = ["engine.mode=eager", "engine.workers=1", f"protocol.seeds={seeds}"]
        return run(quick(["edited.Net"], results=tmp_path / folder, overrides=overrides))

    before = trained("a", 2)
    assert (trained("a", 3).trained, before.notes) == (1, [])
    (tmp_path / "edited.py").write_text(NET.replace("1.0 *", "2.0 *"))
    importlib.reload(sys.modules["edited"])
    after = trained("a", 4)
    assert after.trained == 4
    assert [note.partition(" (")[0] for note in after.notes] == [
        f"3 replicas of Net × mul × positive in {tmp_path / 'a'} stem from other code of its unit"
    ]
    assert not set(after.outcomes["interpolation"]) & set(before.outcomes["interpolation"])
    pd.testing.assert_frame_equal(table(trained("b", 4).folder), table(after.folder), check_exact=True)


ASKED = {"models": ["nalu", "nac", "mlp_relu", "mlp_tanh", "linear", "nac_mul"], "tasks": ["mul", "sqrt"],
         "ranges": ["positive"]}  # fmt: skip
LONG = ["protocol.seeds=8", "protocol.steps=40", "protocol.evaluate_every=10", "protocol.evaluation_size=200",
        "engine.tile=32"]  # fmt: skip
SCRIPT = f"""
import sys
from benchmark.run import derived, run
if __name__ == "__main__":
    run(**{ASKED}, results=sys.argv[1], overrides=[*{LONG}, f"engine.workers={{sys.argv[2]}}"])
"""


def start(tmp_path, folder, workers):
    (tmp_path / "script.py").write_text(SCRIPT)
    return subprocess.Popen([sys.executable, tmp_path / "script.py", str(folder), str(workers)], cwd=tmp_path)


def finish(folder, workers=1):
    """What the script asks for, in this process, which has torch already."""
    return run(**ASKED, results=folder, overrides=[*LONG, f"engine.workers={workers}"])


def forked(work, *arguments):
    """Another process that does this, which has torch already, too."""
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What is there when nothing interrupts it."""
    return finish(tmp_path_factory.mktemp("whole") / "results").folder


def assert_whole(folder, whole):
    """The tables of a folder are to the last digit what is there when nothing interrupts it."""
    pd.testing.assert_frame_equal(table(folder), table(whole), check_exact=True)
    for name in ("summary.csv", "profile.csv", "curves.csv.gz"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def finished(folder):
    return list((folder / "shards").glob("*.npz"))


def children(pid):
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()[1:]]
    return [child for child, parent in pairs if parent == pid]


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_after_kill_9_the_workers_end_and_the_same_command_finishes_with_the_same_table(whole, tmp_path):
    process = start(tmp_path, tmp_path / "killed", workers=2)
    deadline = time.monotonic() + 60
    while len(finished(tmp_path / "killed")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    workers = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 2 <= len(finished(tmp_path / "killed")) < 12
    deadline = time.monotonic() + 10
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers
    assert not any(map(alive, workers))
    finish(tmp_path / "killed")
    assert_whole(tmp_path / "killed", whole)


def die_half_way(folder):
    """Finish, with a checkpoint at every evaluation, and be killed when the third one is kept."""
    save = shards.Checkpoint.save

    def save_and_die(self, arrays):
        save(self, arrays)
        if arrays["curves"].shape[1] == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    engine.KEPT_EVERY, shards.Checkpoint.save = 0.0, save_and_die
    finish(folder)


@posix
def test_a_tile_killed_half_way_goes_on_from_its_checkpoint(whole, tmp_path):
    process = forked(die_half_way, tmp_path / "killed")
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (checkpoint,) = (tmp_path / "killed" / "checkpoints").iterdir()
    assert not list((tmp_path / "killed" / "shards").iterdir())
    finish(tmp_path / "killed")
    assert not checkpoint.exists()
    assert_whole(tmp_path / "killed", whole)


@posix
def test_two_processes_share_a_grid_train_each_replica_once_and_give_the_tables_of_one(whole, tmp_path):
    process = forked(finish, tmp_path / "shared")
    deadline = time.monotonic() + 60
    while not finished(tmp_path / "shared") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.is_alive()
    assert finish(tmp_path / "shared").trained < 96
    process.join()
    assert process.exitcode == 0
    held = [identity for shard in Store(tmp_path / "shared").shards() for identity in shard.identities]
    assert len(held) == len(set(held)) == 96
    assert_whole(tmp_path / "shared", whole)


@posix
def test_two_workers_give_the_table_of_one_and_one_that_dies_costs_nothing_but_time(whole, tmp_path):
    victims = []

    def kill():
        deadline = time.monotonic() + 60
        while not finished(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        victims.append(multiprocessing.active_children()[0])
        os.kill(victims[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    finish(tmp_path, workers=2)
    killer.join()
    assert victims[0].exitcode == -signal.SIGKILL
    assert_whole(tmp_path, whole)


def test_tables_are_the_same_however_many_rows_are_derived_at_once(quick, tmp_path, monkeypatch):
    store = Store(run(quick(tasks=["add", "mul", "sqrt"], results=tmp_path)).folder)
    together, _ = derived(store)
    monkeypatch.setattr("benchmark.results.store.AT_ONCE", 1)
    apart, _ = derived(store)
    assert apart.keys() == together.keys() and len(together["cells"]) == 3
    for name, table in together.items():
        pd.testing.assert_frame_equal(apart[name], table, rtol=1e-12)
