"""What units declare becomes a table and a figure, and declared weights come near the exact result in float32."""

from functools import partial

import pandas as pd
import pytest
import torch

from benchmark.representable import FLOOR, REPRESENTABLE, cells_of, floor, main, representable, table
from benchmark.showing import figures, published
from benchmark.showing.figures.look import power
from benchmark.showing.names import TASKS
from benchmark.units.nmru import NMRU
from benchmark.units.npu import NPU
from benchmark.units.nru import NRU


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


DIVIDERS = {
    ("nru", ""): NRU,
    ("nmru", ""): NMRU,
    ("real_npu", ""): partial(NPU, imaginary=False),
    ("real_npu", "model.real_npu.options.epsilon=0"): partial(NPU, imaginary=False, epsilon=0.0),
}


def test_floors_for_small_divisors_are_the_published_ones():
    """The smallest divisor drawn decides the error: theirs lies among those of thirty draws, give or take."""
    u = torch.rand((30, 2, 10_000), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = published.load("floors")
    assert len(table) == 108
    for model, task, inputs, overrides, exponent, value in zip(
        *(table[name] for name in ("model", "task", "inputs", "overrides")),
        table["range"].str.removeprefix("small_").astype(int),
        table["value"],
        strict=True,
    ):
        x = (u[:, :inputs] * 10.0**-exponent).float()
        unit = DIVIDERS[model, overrides](inputs, 1).eval()
        weights = {name: torch.zeros_like(W) for name, W in unit.state_dict().items()}
        for name, ideal in unit.ideal(task, "positive").items():
            operands = 2 if task == "div" else 1
            weights[name].view(-1, inputs)[:, :operands] = ideal.view(-1, operands)  # the other input selects nothing
        unit.load_state_dict(weights)
        a, b = x[:, 0].double(), x[:, -1].double()
        with torch.no_grad():
            errors = (unit(x)[:, 0].double() - (a / b if task == "div" else 1 / a)).square().mean(-1)
        assert errors.min() / 3 < value < 3 * errors.max(), (model, task, inputs, overrides, exponent)


def test_the_figure_hatches_what_is_impossible_and_tells_the_worst_floor(cells):
    declared, floors = representable(cells), floor(cells)
    (figure,) = figures.representable_heatmap(declared, floors)
    axes = figure.axes[0]
    (hatched,) = [patches for patches in axes.collections if patches.get_hatch()]
    assert len(hatched.get_paths()) == (declared["representable"] == "no").sum()
    worst = floors.groupby(["model", "task", "sign"])["relative"].max()
    shown = {(text.get_position()): text.get_text() for text in axes.texts}
    row, column = [tick.get_text() for tick in axes.get_yticklabels()].index("NPU"), 3 * list(TASKS).index("square")
    assert shown[column + 0.5, row + 0.5] == power(worst["npu", "square", "positive"])


def test_the_command_writes_its_tables_and_figure_and_refuses_unknown_models(tmp_path, capsys):
    assert main([str(tmp_path), "--models", "nau,nmu"]) == 0
    assert set(pd.read_csv(tmp_path / "floor.csv")["model"]) == {"nau", "nmu"}
    assert {path.name for path in tmp_path.iterdir()} == {
        "floor.csv", "representable.csv", "representable.png"
    }  # fmt: skip
    assert main(["--models", "nmv"]) == 2
    assert "did you mean nmu" in capsys.readouterr().err
