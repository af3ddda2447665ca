"""Jobs that a launcher runs elsewhere are watched, told of and drawn together, whatever became of each."""

import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmark import jobs
from benchmark.jobs import Asked, Ended, Sweep, tell

FEW = ["range=neg_2_1", "protocol.seeds=2", "protocol.steps=20", "protocol.evaluation_size=200"]
LAUNCHERS = {
    "joblib": ("hydra_plugins.hydra_joblib_launcher", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]),
    "slurm": ("hydra_plugins.hydra_submitit_launcher", ["hydra/launcher=submitit_local"]),
}


def has(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize(
    ("plugin", "line"),
    [
        pytest.param(*of, id=name, marks=pytest.mark.skipif(not has(of[0]), reason=f"needs the extra {name}"))
        for name, of in LAUNCHERS.items()
    ],
)
def test_a_launchers_jobs_fill_one_folder_are_drawn_once_and_each_failure_is_told(command, tmp_path, plugin, line):
    code, out, err = command("-m", *line, "+model=linear", "+task=add,sqrt,[sub,sqrt]", *FEW, "results=here")
    assert code == 2
    assert set(pd.read_csv(tmp_path / "here/outcomes.csv")["task"]) == {"add"}
    assert (out.count("Figures: "), out.count("linear adds")) == (1, 1)
    refused = [text.split(":")[0] for text in err.splitlines() if "sqrt is not defined anywhere" in text]
    assert refused == ["Job 1", "Job 2"]
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert len([*(tmp_path / "here/sweeps").iterdir()]) == 1


def test_the_readme_shows_these_launchers():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    assert " ".join(LAUNCHERS["joblib"][1]) in readme
    assert "`submitit_local`" in readme and "hydra/launcher=submitit_slurm" in readme


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A sweep of four jobs, of which none has begun."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(jobs.JOBS, "1")
    return Sweep(["model=nac,nalu", "task=add,mul", "hydra/launcher=joblib", "results=here"])


@pytest.mark.skipif(not has("submitit"), reason="needs the extra slurm")
def test_a_job_that_slurm_has_no_more_is_waited_for_no_longer_whether_or_not_there_is_accounting(tmp_path, monkeypatch):
    from submitit.slurm.slurm import SlurmJob

    for name, said in (("squeue", "echo 7_0 RUNNING"), ("sacct", "exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{said}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    before = SlurmJob.watcher
    with jobs._patient():
        running, cancelled = (SlurmJob(tmp_path, name) for name in ("7_0", "7_1"))
        monkeypatch.setattr(cancelled, "_results_timeout_s", 0)
        assert (running.done(), running.state, len(cancelled.results())) == (False, "RUNNING", 1)
    assert SlurmJob.watcher is before


ASKED = Asked("here", [(("nac", "add", "positive", "default", ""), "0123")], {"madsen2020_simple": [("nac",) * 5]})


def test_jobs_that_wait_run_fail_and_end_are_told_apart(sweep, tmp_path):
    assert (sweep.jobs, sweep.folder.parent) == (4, tmp_path / "here" / "sweeps")
    tell(sweep.folder / "1")
    tell(sweep.folder / "2", Ended(2, "No such unit", None))
    tell(sweep.folder / "3", Ended(0, "", ASKED))
    asked, failures = sweep.ends(False)
    assert asked == [ASKED]
    assert failures == [
        (1, "Job 0 has not begun"),
        (1, "Job 1 ended without a word: killed, or out of memory or time"),
        (2, "Job 2: No such unit"),
    ]
    assert sweep.folder.exists()


def test_where_the_launcher_itself_fails_no_job_is_blamed_and_where_all_ends_well_nothing_is_left(sweep, tmp_path):
    assert sweep.ends(True) == ([], [])
    for number in range(4):
        tell(sweep.folder / str(number), Ended(0, "", ASKED))
    assert sweep.ends(False) == ([ASKED] * 4, [])
    assert not [*(tmp_path / "here").iterdir()]


def test_how_many_jobs_wait_run_and_are_done_is_told_when_it_changes(sweep, monkeypatch):
    told = []
    monkeypatch.setattr(jobs, "TOLD_EVERY", 0.001)
    monkeypatch.setattr(jobs, "doing", told.append)
    with sweep.watched():
        for wanted, change in [
            ("Jobs: 4 waiting, 0 running, 0 done", lambda: tell(sweep.folder / "0")),
            ("Jobs: 3 waiting, 1 running, 0 done", lambda: tell(sweep.folder / "0", Ended(0, "", None))),
            ("Jobs: 3 waiting, 0 running, 1 done", lambda: None),
        ]:
            while wanted not in told:
                pass
            change()
    assert len(told) == len(set(told))


def hydra(target, mode="MULTIRUN", **more):
    return SimpleNamespace(
        mode=mode and SimpleNamespace(name=mode),
        runtime=SimpleNamespace(output_dir="sweep/0"),
        launcher=type("Node", (dict,), {"__getattr__": dict.__getitem__})({"_target_": target, **more}),
    )


def test_a_job_knows_whether_a_launcher_began_it_and_how_many_share_its_machine(monkeypatch):
    joblib, local, slurm = (
        f"hydra_plugins.hydra_{name}Launcher"
        for name in ("joblib_launcher.joblib_launcher.Joblib", "submitit_launcher.submitit_launcher.Local",
                     "submitit_launcher.submitit_launcher.Slurm")
    )  # fmt: skip
    assert jobs.launched(hydra("hydra._internal.core_plugins.basic_launcher.BasicLauncher")) is None
    assert jobs.launched(hydra(slurm, mode="RUN")) is None
    assert str(jobs.launched(hydra(slurm))) == "sweep/0"
    monkeypatch.setenv(jobs.JOBS, "6")
    monkeypatch.setitem(sys.modules, "joblib", SimpleNamespace(effective_n_jobs=lambda n: 8 if n == -1 else n))
    assert [jobs.at_once(hydra(joblib, n_jobs=n)) for n in (-1, 4)] == [6, 4]
    assert [jobs.at_once(hydra(target)) for target in (local, slurm)] == [6, 1]


def test_a_jobs_file_is_plain_data(sweep):
    tell(sweep.folder / "0", Ended(0, "", ASKED))
    assert json.loads((sweep.folder / "0" / "job.json").read_text())["asked"]["folder"] == "here"
