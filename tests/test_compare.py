"""`python -m benchmark.compare` on results as they lie in folders: verdicts, refusals, exit codes, what it writes."""

import gzip
import shutil

import pandas as pd
import pytest

from benchmark.compare import main, stems
from benchmark.run import run

GRID = {"tasks": ["add", "mul"], "ranges": ["positive"]}
SHORT = ["protocol.steps=60", "protocol.batch=32", "protocol.evaluation_size=500", "engine.workers=1"]


pytestmark = pytest.mark.usefixtures("sketched")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results of two runs of a grid with other seeds, and of one model each on the same tasks."""
    base = tmp_path_factory.mktemp("results")
    for name, models, more in (
        ("first", ["nac", "linear"], []),
        ("second", ["nac", "linear"], ["protocol.first_seed=25"]),
        ("nac", ["nac"], []),
        ("mlp", ["mlp_tanh"], []),
    ):
        run(models=models, results=base / name, overrides=[*SHORT, *more], **GRID)
    return base


@pytest.fixture
def command(folders, tmp_path, monkeypatch, capsys):
    """Call compare in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        code = main([str(folders / one) if (folders / one).exists() else one for one in arguments])
        return code, *capsys.readouterr()

    return call


def verdicts(path, metric):
    table = pd.read_csv(path)
    rows = table[table["metric"] == metric]
    return dict(zip(rows["task"], rows["verdict"], strict=True))


def test_two_runs_of_a_grid_with_other_seeds_show_no_difference(command, tmp_path):
    code, _, err = command("first", "second", "--output", "here", "--fail-on", "worse", "--fail-on", "better")
    assert (code, err) == (0, "")
    table = pd.read_csv(tmp_path / "here/differences.csv")
    assert set(table["verdict"]) <= {"same", "inconclusive"}
    assert set(table["seeds_a"]) == set(table["seeds_b"]) == {25}
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [
        "differences-2.png", "differences.csv", "differences.png"
    ]  # fmt: skip


def test_an_mlp_is_worse_than_nac_at_addition_and_the_exit_code_can_say_so(command, tmp_path):
    code, out, _ = command("mlp", "nac", "--on", "task, range, task")
    assert code == 0
    path = tmp_path / "results/compare/mlp-nac/differences.csv"
    assert verdicts(path, "relative_extrapolation")["add"] == "worse"
    assert "| add" in out and "| worse" in out
    assert command("mlp", "nac", "--on", "task,range", "--fail-on", "worse")[0] == 1
    assert command("nac", "mlp", "--on", "task,range", "--fail-on", "worse", "--metric", "success_rate")[0] == 0


def test_cells_that_only_one_side_holds_are_told_and_can_fail_the_comparison(command, folders):
    code, out, _ = command("first", "nac", "--fail-on", "worse")
    assert code == 0
    name = str(folders / "first")
    assert f"Only {name} has 2 of the cells: linear × add × positive × default" in out
    assert command("first", "nac", "--fail-on", "missing")[0] == 1
    assert command("first", "second", "--fail-on", "missing")[0] == 0


def test_a_folder_is_the_same_as_itself_or_too_few_to_say(command):
    code, out, _ = command("first", "first", "--fail-on", "worse", "--fail-on", "better")
    assert code == 0
    assert "inconclusive" not in out.split("A is better or worse")[0]


def test_gzipped_tables_are_compared_like_plain_ones_and_large_tables_by_the_score_test(command, folders, tmp_path):
    shutil.copytree(folders / "first", tmp_path / "packed", ignore=shutil.ignore_patterns("shards"))
    for name in ("summary", "outcomes", "cells"):
        path = tmp_path / "packed" / f"{name}.csv"
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for source in ("packed", "packed/summary.csv.gz"):
        assert command(source, "first", "--output", source.partition("/")[0])[0] == 0
        table = pd.read_csv(tmp_path / source.partition("/")[0] / "differences.csv")
        assert set(table["verdict"]) == {"same"}
    summary = pd.read_csv(folders / "first" / "summary.csv").assign(seeds=1000)
    summary.to_csv(tmp_path / "many.csv", index=False)
    out = command("many.csv", "second", "--metric", "success_rate", "--output", "here")[1]
    assert "4 of these cells hold more than 500 seeds together: their p is the score test's." in out


def test_a_summary_alone_can_be_compared_by_its_success_rates(command, folders, tmp_path):
    shutil.copy(folders / "first" / "summary.csv", tmp_path / "alone.csv")
    code, _, _ = command("alone.csv", "second", "--output", "here")
    assert code == 0
    assert set(verdicts(tmp_path / "here/differences.csv", "relative_extrapolation").values()) == {"inconclusive"}
    assert set(verdicts(tmp_path / "here/differences.csv", "success_rate").values()) == {"same"}


def change(folder, file, **columns):
    path = folder / file
    pd.read_csv(path).assign(**columns).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mlp", "nac"], "have no cell in common: they differ in model (mlp_tanh against nac)"),
        (["first", "trask2018_table1"], "do not both hold the metric success_rate"),
        (["first", "trask2018_tabel1"], "did you mean trask2018_table1"),
        (["first", "trask2018_figure1"], "The published table trask2018_figure1 has no"),
        (["first", "nowhere/at/all"], "There is no results folder and no table at nowhere/at/all"),
        (["first", "second", "--on", "modle"], "did you mean model?"),
        (["first", "second", "--on", "task"], "do not tell the cells of"),
        (["first", "second", "--metric", "succes_rate"], "did you mean success_rate"),
        (["first", "second", "--metric", "horizon"], "There is no metric to compare by 'horizon'"),
        (["first", "second", "--output", f"{__file__}/here"], "is a file; name a folder"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_sentence(command, tmp_path, arguments, sentence):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_other_semantics_other_configurations_and_foreign_files_are_refused(command, folders, tmp_path):
    for name in ("older", "other", "foreign", "words", "percent", "twice", "letters", "fewer", "both"):
        shutil.copytree(folders / "second", tmp_path / name)
    change(tmp_path / "older", "cells.csv", semantics=0)
    change(tmp_path / "other", "outcomes.csv", digest="0" * 16)
    (tmp_path / "foreign" / "summary.csv").write_text("a,b\n1,2\n")
    change(tmp_path / "words", "summary.csv", value="much")
    summary = pd.read_csv(tmp_path / "percent" / "summary.csv")
    change(tmp_path / "percent", "summary.csv", value=summary["value"].mask(summary["metric"] == "success_rate", 100))
    rows = pd.read_csv(tmp_path / "twice" / "outcomes.csv")
    pd.concat([rows, rows[:1]]).to_csv(tmp_path / "twice" / "outcomes.csv", index=False)
    change(tmp_path / "letters", "outcomes.csv", relative_extrapolation="x")
    pd.concat([rows[rows["seed"] != 25]]).to_csv(tmp_path / "fewer" / "outcomes.csv", index=False)
    (tmp_path / "both" / "summary.csv.gz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for name, sentence in {
        "older": "measured under version",
        "other": "mean different configurations by linear × add × positive",
        "foreign": "is no results table of this benchmark",
        "words": "is no results table of this benchmark",
        "percent": "success rates lie between 0 and 1",
        "twice": "a row stands twice",
        "letters": "is no results table of this benchmark",
        "fewer": "of linear × add × positive the summary tells 25 seeds and the outcomes 24",
        "both": "holds both summary.csv and summary.csv.gz",
        "empty": "holds no summary.csv",
    }.items():
        code, _, err = command("first", name)
        assert (code, sentence in err, err.count("\n")) == (2, True, 1), err


def test_tables_whose_protocols_differ_on_purpose_are_joined_by_the_rest(command, folders, tmp_path):
    run(models=["nac"], results=folders / "longer", overrides=[*SHORT, "protocol.steps=20"], **GRID)
    assert command("nac", "longer")[0] == 2
    assert command("nac", "longer", "--on", "model,task,range", "--output", "here")[0] == 0
    assert len(pd.read_csv(tmp_path / "here/differences.csv")) == 4


def test_recalled_published_numbers_can_be_looked_up_but_prove_nothing(command, folders, tmp_path):
    overrides = [*SHORT[1:], "protocol.steps=20", "protocol.seeds=3"]
    run(experiment="trask2018_table1_two_inputs", tasks=["add"], results=folders / "table1", overrides=overrides)
    on = ["--on", "model,task,range", "--metric", "score", "--output", "here"]
    code, out, _ = command("table1", "trask2018_table1", *on)
    assert code == 0
    assert verdicts(tmp_path / "here/differences.csv", "score") == {"add": "inconclusive"}
    assert "score: A is 4 inconclusive" in out


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (("/a/run.1", "/a/run.2"), ["run.1", "run.2"]),
        (("/a/run.1", "/a/run.3/summary.csv"), ["run.1", "run.3"]),
        (("/x/lr", "/y/lr"), ["x_lr", "y_lr"]),
        (("/lr", "/y/lr"), ["lr", "y_lr"]),
        (("/a/table.csv", "/a/b"), ["table", "b"]),
        (("/p/q/r/s/t", "/u/q/r/s/t"), ["p_q_r_s_t", "u_q_r_s_t"]),
        (("/a/b", "/a/b"), ["b", "b"]),
    ],
)
def test_each_pair_of_tables_has_an_output_of_its_own_below_the_working_folder(sources, names):
    assert stems(*sources) == names
