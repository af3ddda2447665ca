"""What units declare becomes a table and a figure, and declared weights come near the exact result in float32."""

import numpy as np
import pandas as pd
import pytest

from benchmark import figures
from benchmark.representable import FLOOR, REPRESENTABLE, cells_of, floor, main, representable, table


@pytest.fixture(scope="module")
def cells():
    return cells_of(["linear", "mlp_relu", "nalu", "nmu", "npu"])


def test_a_unit_is_asked_for_every_task_and_sign(cells):
    declared = representable(cells)
    assert list(declared) == REPRESENTABLE
    assert len(declared) == 4 * 8 * 3  # what an MLP cannot represent nobody knows
    answers = declared.set_index(["model", "task", "sign"])
    assert answers.loc[("nalu", "mul", "positive"), "representable"] == "yes"
    assert answers.loc[("nalu", "add", "mixed")].tolist()[0] == "no"
    assert answers.loc[("nalu", "add", "mixed"), "why"].startswith("a gate without bias")
    assert (declared["why"] == "").equals(declared["representable"] == "yes")
    told = [row.split() for row in table(declared).splitlines()]
    assert [cell for row in told if "NMU" in row for cell in row if cell != "|"] == [
        "NMU",
        *["–", "–", "+−±", "–", "–", "–", "+−±", "–"],
    ]


def test_the_floor_of_ideal_weights_lies_far_below_the_threshold_wherever_there_are_some(cells):
    floors, declared = floor(cells), representable(cells)
    assert list(floors) == FLOOR
    assert (floors["floor"] < 0.1 * floors["threshold"]).all()
    assert (floors["relative"] < 1e-5).all()
    possible = declared[declared["representable"] == "yes"]
    assert set(map(tuple, floors[["model", "task", "sign"]].to_numpy())) == set(
        map(tuple, possible[["model", "task", "sign"]].to_numpy())
    )


def test_the_figure_hatches_what_is_impossible_and_tells_the_worst_floor(cells):
    declared, floors = representable(cells), floor(cells)
    figure = figures.representable_heatmap(declared, floors)
    axes = figure.axes[0]
    hatched = [patch for patch in axes.patches if patch.get_hatch()]
    assert len(hatched) == (declared["representable"] == "no").sum()
    worst = np.log10(floors.groupby(["model", "task", "sign"])["relative"].max().loc["npu", "square", "positive"])
    shown = [text.get_text() for text in axes.texts]
    assert f"−{abs(worst):.1f}" in shown


def test_the_command_writes_its_tables_and_figure_and_refuses_unknown_models(tmp_path, capsys):
    assert main([str(tmp_path), "--models", "nau,nmu"]) == 0
    assert set(pd.read_csv(tmp_path / "floor.csv")["model"]) == {"nau", "nmu"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "floor.csv", "representable.csv", "representable.png", "representable.svg"
    }  # fmt: skip
    assert main(["--models", "nmv"]) == 2
    assert "did you mean nmu" in capsys.readouterr().err
