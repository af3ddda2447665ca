"""Published numbers stand beside ours where they belong and nowhere else."""

import pandas as pd
import pytest

from benchmark import published
from benchmark.conf_files import PUBLISHED
from benchmark.errors import UsageError
from benchmark.run import run

FEW = ["protocol.seeds=2", "protocol.steps=4", "protocol.evaluate_every=2", "engine.workers=1"]


def compared(tmp_path, *overrides, **names):
    return published.compare(run(results=tmp_path, overrides=[*FEW, *overrides], **names))


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.csv")), ids=lambda path: path.stem)
def test_every_published_row_has_its_source_and_standing(path):
    table = published.load(path.stem)
    assert table[["source", "standing"]].notna().all(axis=None)
    assert not table.duplicated().any()


def test_the_digitised_figure_has_the_fifteen_activations_of_its_legend():
    table = published.load("trask2018_figure1").set_index(["model", "x"])["error"]
    assert table.index.get_level_values("model").nunique() == 15
    assert table["mlp_hardtanh", -19.5] == 14.36
    assert table["mlp_softsign", 19.5] == 4.23


def test_a_table_that_nobody_published_is_refused():
    with pytest.raises(UsageError, match="did you mean trask2018_figure1"):
        published.load("trask2018_figure")


def test_our_error_stands_at_each_published_input(tmp_path):
    table, text = compared(tmp_path, experiment="trask2018_figure1_adam", models=["mlp_tanh", "mlp_relu", "mlp_elu"])
    profile = pd.read_csv(tmp_path / "profile.csv").set_index(["model", "x"])["error"]
    for row in table.itertuples():
        assert row.error == profile[row.model, row.x]
    assert set(table["x"]) == {-19.5, -15, -10, 10, 15, 19.5}
    assert "mlp_tanh" in text


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("trask2018_figure1_adam", {"tasks": ["square"]}),
        ("trask2018_figure1_adam", {"models": ["nalu"]}),
        ("trask2018_figure1_adam", {"ranges": ["positive"]}),
        ("tutorial_addition", {"tasks": ["mul"]}),
        ("tutorial_addition", {"models": ["nalu"]}),
        ("tutorial_addition", {"ranges": ["positive"], "tasks": ["sqrt"]}),
    ],
)
def test_an_experiment_turned_to_something_else_compares_nothing(tmp_path, experiment, names):
    table, text = compared(tmp_path, experiment=experiment, **names)
    assert "published" not in text
    assert "tutorial" not in text
    assert table.empty or table["published"].isna().all()


def test_the_tutorials_median_seed_is_the_one_with_the_median_error(tmp_path):
    results = run(experiment="tutorial_addition", results=tmp_path, overrides=["protocol.seeds=5", *FEW[1:]])
    table, text = published.compare(results)
    errors = results.outcomes.sort_values("relative_extrapolation")
    assert set(table["seed"]) == {0, int(errors["seed"].iloc[2])}
    assert "the tutorial's own ten rows: 4.9e-05" in text
