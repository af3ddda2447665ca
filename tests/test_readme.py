"""The README's example runs and its numbers are those of the committed results."""

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmark.figures import label

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_notebook_example_runs(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "mlp_tanh" in capsys.readouterr().out
    assert (tmp_path / "results/notebook/outcomes.csv").exists()


@pytest.mark.parametrize(("column", "variant"), list(enumerate(("rmsprop", "adam", "sgd", "uniform"), start=1)))
def test_the_figure_1_table_holds_the_committed_numbers(column, variant):
    table = pd.read_csv(ROOT / f"results/reference/trask2018_figure1_{variant}/comparison.csv")
    ends = table[table["x"].abs() == 19.5].groupby("model")[["error", "published"]].mean()
    rows = [line.strip("| ").split(" | ") for line in README.splitlines() if line.count(" | ") == 5]
    told = {row[0]: row for row in rows[1:]}
    for model, row in ends.iterrows():
        cells = told[label(model).removeprefix("MLP ")]
        assert cells[column] == f"{row['error']:.1f}"
        assert cells[5] == ("–" if pd.isna(row["published"]) else f"{row['published']:.1f}")


@pytest.mark.parametrize("variant", ["rmsprop", "adam", "sgd", "uniform"])
def test_the_finding_holds_in_every_variant(variant):
    profile = pd.read_csv(ROOT / f"results/reference/trask2018_figure1_{variant}/profile.csv")
    inside = profile[profile["x"].abs() <= 5].groupby("model")["error"].mean()
    far = profile[profile["x"].abs() == 20].groupby("model")["error"]
    for name in ("hardtanh", "sigmoid", "relu6", "tanh", "softsign"):
        assert inside[f"mlp_{name}"] < 0.15
        assert far.min()[f"mlp_{name}"] > 11
    for name in ("relu", "leakyrelu", "prelu", "softplus", "elu"):
        assert far.max()[f"mlp_{name}"] < 3


def test_the_tutorials_give_what_the_readme_says():
    addition, multiplication = (
        pd.read_csv(ROOT / f"results/reference/tutorial_{name}/outcomes.csv")["relative_extrapolation"]
        for name in ("addition", "multiplication")
    )
    assert len(addition) == len(multiplication) == 16
    assert f"{addition.median():.0e}" == "5e-05"
    assert f"{multiplication.median():.1e}" == "3.7e-05"
    assert f"{multiplication.min():.0e}" == "4e-07"
