"""Rows that the commands give are verified, others are named, and the folder is only read."""

import shutil

import pandas as pd
import pytest
from conftest import QUICK

from benchmark import verify
from benchmark.asked.configs import compose
from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError
from benchmark.reading import opened
from benchmark.results.tables import COUNT
from benchmark.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "results"
    overrides = [*QUICK, "engine.mode=eager"]
    run(compose(["nac", "nalu"], ["add", "sqrt"], ["positive"], overrides=overrides, results=folder))
    shutil.rmtree(folder / "shards")  # the tables suffice
    return folder


@pytest.fixture
def changed(folder, tmp_path):
    """The folder with one value of a table changed."""

    def change(table, row, column, value):
        copy = tmp_path / "results"
        shutil.copytree(folder, copy)
        rows = pd.read_csv(copy / f"{table}.csv", keep_default_na=False)
        rows[column] = rows[column].astype(object)
        rows.loc[row, column] = value
        rows.to_csv(copy / f"{table}.csv", index=False)
        return copy

    return change


def content(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_of_a_run_is_trained_anew_to_the_same_numbers(folder, capsys):
    before = content(folder)
    assert verify.main([str(folder), "--all"]) == 0
    assert "12 of 12 rows are trained anew" in (said := capsys.readouterr().out)
    assert said.splitlines()[-1].startswith("12 rows, ") and "all are the same" in said
    assert content(folder) == before


def test_where_a_table_does_not_tell_what_its_medians_leave_out_only_whole_ones_are_compared(capsys):
    key = [*CELL, "x"]
    ours = pd.DataFrame([["m"] * 5 + [x, 1.0, lost] for x, lost in enumerate((0, 2))], columns=[*key, "median", COUNT])
    theirs = ours.drop(columns=COUNT).assign(median=[1.0, 3.0])
    found = verify._of_finite(ours, theirs, key, "profile.csv")
    assert verify.differences(*found, key) == [] and len(found[1]) == 1
    assert "1 rows of profile.csv, which has no not_finite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "column", "value"), [("outcomes", "extrapolation", "0.125"), ("profile", "median", "7.0")]
)
def test_a_number_that_is_another_is_named(changed, capsys, table, column, value):
    assert verify.main([str(changed(table, 0, column, value)), "--all"]) == 1
    said = capsys.readouterr().out
    assert "nac × add × positive × default × " in said
    assert f"{column} is {value} there and " in said
    others = [line for line in said.splitlines() if line.startswith("summary.csv: nac × add × positive × default × ")]
    assert f" {1 + len(others)} differ." in said and bool(others) == (table == "outcomes")


def test_a_summary_that_does_not_follow_from_the_other_tables_is_named(changed, capsys):
    folder = changed("summary", 0, "value", "0.875")
    rows = pd.read_csv(folder / "summary.csv", keep_default_na=False)
    rows.drop(index=[1]).to_csv(folder / "summary.csv", index=False)
    assert verify.main([str(folder), "--sample", "1"]) == 1
    said = capsys.readouterr().out
    assert "summary.csv: nac × add × positive × default × " in said and "value is 0.875 there and " in said
    assert " is missing, by the other tables" in said and "2 differ." in said


@pytest.mark.parametrize(
    ("table", "row", "column", "value", "told"),
    [
        ("cells", slice(None), "semantics", "1", "of version 1 of the semantics"),
        ("outcomes", slice(None), "digest", "0123456789abcdef", "its digest differs"),
        ("outcomes", slice(0, 5), "model", "mine", "a class of your own is named by --model"),
    ],
)
def test_what_cannot_be_trained_here_is_refused_with_a_sentence(changed, capsys, table, row, column, value, told):
    assert verify.main([str(changed(table, row, column, value))]) == 2
    assert told in capsys.readouterr().err


def test_a_sample_is_drawn_by_cost_and_is_another_for_another_seed(folder):
    outcomes = pd.read_csv(folder / "outcomes.csv", keep_default_na=False)
    cells = verify.cells_of(outcomes, "results")
    assert len(cells) == 4
    draws = [tuple(verify.sample(outcomes, cells, 3, seed).index) for seed in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1] and len(set(draws)) > 2
    assert all(len(set(draw)) == 3 for draw in draws)
    assert len(verify.sample(outcomes, cells, 50, 0)) == 12


def test_cells_are_found_though_their_tasks_are_not_defined_on_each_others_ranges():
    asked = [compose(["nac"], ["sqrt"], ["positive"]), compose(["nac"], ["add"], ["neg_2_1"])]
    names = [cell.names for request in asked for cell in request.cells]
    assert set(verify.cells_of(pd.DataFrame(names, columns=verify.CELL), "mine")) == set(names)


def test_a_class_of_ones_own_is_verified_where_it_is_named(tmp_path, monkeypatch, capsys):
    code = "import torch\nclass Net(torch.nn.Linear):\n    pass\n"
    (tmp_path / "own_verified.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    overrides = [*QUICK, "engine.mode=eager"]
    run(compose(["own_verified.Net"], ["add"], ["positive"], overrides=overrides, results=tmp_path / "results"))
    assert verify.main([str(tmp_path / "results")]) == 2
    assert "a class of your own is named by --model" in capsys.readouterr().err
    assert verify.main([str(tmp_path / "results"), "--model", "own_verified.Net"]) == 0


@pytest.mark.parametrize(
    "names",
    [
        {"model": "a_strangers.Net"},
        {"overrides": "model.nac.unit=a_strangers.Net"},
        {"overrides": "protocol.models.nac={unit: a_strangers.Net}"},
        {"overrides": "model.nac.unit=benchmark.units.rows.Rows;model.nac.options={module: a_strangers.Net}"},
    ],
)
def test_no_code_runs_that_a_strangers_table_names(tmp_path, monkeypatch, names):
    (tmp_path / "a_strangers.py").write_text(
        "import torch\nopen('begun', 'w')\nclass Net(torch.nn.Linear):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    cell = {"model": "nac", "task": "mul", "range": "positive", "protocol": "default", "overrides": ""} | names
    assert tuple(cell.values()) not in verify.cells_of(pd.DataFrame([cell]), "mine")
    assert not (tmp_path / "begun").exists()


def test_rows_of_settings_that_no_preset_has_are_verified(tmp_path):
    overrides = [*QUICK, "engine.mode=eager", "+model.linear.options={bias: false}"]
    run(compose(["linear"], ["add"], ["positive"], overrides=overrides, results=tmp_path / "results"))
    assert verify.main([str(tmp_path / "results"), "--all"]) == 0


@pytest.fixture
def own_yaml(tmp_path, monkeypatch, command):
    """Where results of a model of one's own yaml lie, and the yaml, under a name that has to stand in quotes."""
    (tmp_path / "own_yaml.py").write_text("import torch\nclass Net(torch.nn.Linear):\n    pass\n")
    mine = tmp_path / "it's, mine"
    (mine / "model").mkdir(parents=True)
    (mine / "model" / "wide.yaml").write_text("# @package model.wide\nunit: own_yaml.Net\n")
    monkeypatch.syspath_prepend(tmp_path)
    asked = ["+model=[wide,nac]", "+task=add", "range=positive", *QUICK, "engine.mode=eager"]
    code, _, err = command("--config-dir", str(mine), *asked, f"results={tmp_path / 'results'}")
    assert (code, err) == (0, "")
    return tmp_path / "results", mine


def test_a_yaml_of_ones_own_is_verified_where_its_folder_is_named(own_yaml, tmp_path, capsys):
    folder, mine = own_yaml
    assert verify.main([str(folder), "--all"]) == 2
    assert "where yaml of your own lies by --config-dir" in capsys.readouterr().err
    assert verify.main([str(folder), "--all", "--config-dir", str(mine)]) == 0
    assert "6 rows, " in capsys.readouterr().out
    assert verify.main([str(folder), "--config-dir", str(tmp_path / "none")]) == 2
    assert "there is nothing at" in capsys.readouterr().err
    with pytest.raises(UsageError, match="or where your yaml lies as config_dir"):
        opened(folder).network(model="wide", seed=0)
    assert opened(folder).network(model="wide", seed=0, config_dir=mine).predict([[1.0, 2.0]]).shape == (1,)


def test_two_classes_of_one_name_are_verified_where_both_are_named(tmp_path, monkeypatch):
    for module in ("one_net", "other_net"):
        (tmp_path / f"{module}.py").write_text("import torch\nclass Net(torch.nn.Linear):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    models, overrides = ["one_net.Net", "nac", "other_net.Net"], [*QUICK, "engine.mode=eager"]
    folder = tmp_path / "results"
    assert set(run(compose(models, ["add"], ["positive"], overrides=overrides, results=folder)).outcomes["model"]) == {
        *("nac", "one_net_Net", "other_net_Net")
    }
    named = ["--model", "one_net.Net", "--model", "other_net.Net"]
    assert verify.main([str(folder), "--all", *named]) == 0
    assert verify.main([str(folder), "--all", *named[:2]]) == 2


def test_a_folder_that_is_not_there_is_told(tmp_path, capsys):
    assert verify.main([str(tmp_path / "none")]) == 2
    assert "There is no results folder" in capsys.readouterr().err
