"""The speed benchmark measures whole runs, beside a loop that trains the same network."""

import pandas as pd
import pytest

from benchmark import speed
from benchmark.asked.configs import compose
from benchmark.training import plain
from benchmark.training.networks import build


def test_its_table_holds_what_was_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(speed, "_workers", lambda device: 1)  # each of them loads torch
    arguments = ["--workloads", "nalu", "--engines", "eager", "--tile", "32", "--blocks", "1", "--seconds", "0.2"]
    speed.command_line([str(tmp_path), *arguments])
    table, blocks = pd.read_csv(tmp_path / "speed.csv"), pd.read_csv(tmp_path / "blocks.csv")
    assert list(table) == speed.SPEED
    assert table["replica_steps_per_second"][0] == blocks["replica_steps_per_second"].median()
    assert table["ratio"][0] == (blocks["replica_steps_per_second"] / blocks["plain_loop"]).median()
    assert (table[["plain_loop", "peak_mib"]] > 0).all(axis=None)
    parts = pd.read_csv(tmp_path / "parts.csv").set_index("workload").loc["nalu"]
    assert (parts[["step", "evaluation"]] > 0).all()
    assert "nalu" in capsys.readouterr().out


@pytest.mark.parametrize("workload", speed.WORKLOADS)
def test_the_plain_loop_trains_the_same_network(workload):
    specification = compose(**speed.WORKLOADS[workload]).cells[0].specification
    make, inputs, low, high, _ = plain.WORKLOADS[workload]
    count = lambda network: sum(parameter.numel() for parameter in network.parameters())
    assert count(make()) == count(build(specification))
    assert inputs == specification.problem.inputs
    assert specification.problem.trained_hulls == ((low, high),) * inputs
    assert plain.steps_per_second(workload, 0.05) > 0


@pytest.mark.parametrize(
    ("argument", "sentence"),
    [
        (["--blocks", "0"], "blocks (0) must be at least 1"),
        (["--tile", "0"], "tile (0) must be at least 1"),
        ([__file__], "is a file; name a folder"),
        (["--seconds", "-1"], "seconds (-1.0) must exceed 0"),
        (["--device", "cuda"], "--device cuda needs a GPU that torch can use"),
        (["--workloads", "nul"], "invalid choice: 'nul'"),
    ],
)
def test_what_cannot_be_measured_is_refused(argument, sentence, capsys, monkeypatch):
    monkeypatch.setattr("benchmark.training.tiles.has_gpu", lambda: False)
    with pytest.raises(SystemExit) as raised:
        speed.command_line(argument)
    assert raised.value.code == 2
    assert sentence in capsys.readouterr().err
