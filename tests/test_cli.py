"""`python -m benchmark` as people use it: what it prints, writes, refuses and exits with."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmark import __main__ as cli
from benchmark import report
from benchmark.run import derive

HERE = Path(__file__).as_posix()
FEW = ["protocol.seeds=2", "protocol.steps=20", "protocol.evaluation_size=200", "engine.workers=1"]
LINE = ["+model=linear", "+task=add", "range=positive", *FEW]


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "results"


@pytest.fixture
def begun(command, kept, tmp_path):
    """`command`, in a folder that has the results of LINE."""
    if kept.exists():
        shutil.copytree(kept, tmp_path / "results")
    else:
        assert command(*LINE)[0] == 0
        shutil.copytree(tmp_path / "results", kept)
    return command


def test_the_literal_command_prints_a_table_says_why_and_writes_tables_and_figures(sketched, command, tmp_path):
    code, out, err = command("+model=nalu", "+task=mul", *FEW[:3])
    assert (code, err) == (0, "")
    assert re.search(r"nalu +mul +positive", out)
    assert "2 cannot_represent" in out
    assert "nalu cannot represent mul on symmetric: log |x| loses the sign of x" in out
    written = {name for name in files(tmp_path) if "shards" not in name}
    names = ("outcomes", "summary", "profile", "plane", "responses", "cells", "initialisation")
    tables = {f"results/default/{name}.csv" for name in names}
    stems = ("summary", "error", "verdicts", "error_by_distance", "learning_curves")
    stems += tuple(f"{kind}_mul_{name}" for kind in ("responses", "plane") for name in ("positive", "symmetric"))
    figures = {f"results/default/figures/{stem}.png" for stem in stems}
    others = {
        f"results/default/{name}" for name in ("curves.csv.gz", ".lock", "figures/.shown", "REPORT.md", "summary.tex")
    }
    assert written == tables | figures | others
    report = (tmp_path / "results/default/REPORT.md").read_text(encoding="utf-8")
    assert "* No figure success: all success rates are 0." in report


def test_plus_or_no_plus_is_the_same_request(begun, tmp_path):
    lock = "results/default/.lock"  # which older filelocks write to when they lock it
    written = lambda: {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path) if path != lock}
    before = written()
    code, out, _ = begun("model=linear", "task=add", "+range=positive", *FEW)
    assert (code, "linear" in out) == (0, True)
    assert written() == before


def test_a_list_is_one_grid_and_overrides_become_part_of_the_row(command, tmp_path):
    code, _, _ = command("+model=[linear,nac]", "+task=[add,sqrt]", "protocol.learning_rate=0.1", *FEW)
    assert code == 0
    table = pd.read_csv(tmp_path / "results/default/outcomes.csv")
    assert len(table) == 2 * 2 * 2 * 2
    assert set(table["overrides"]) == {"protocol.evaluation_size=200;protocol.learning_rate=0.1;protocol.steps=20"}


@pytest.mark.parametrize("folder", ["/shared/o'brien", r"C:\here", "D:\\", r"a\'b\\'"])
def test_hydra_reads_the_folder_of_a_sweep_as_it_is_called(folder):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert OverridesParser.create().parse_override(f"hydra.sweep.dir={cli.quoted(folder)}").value() == folder


def test_a_sweep_fills_one_folder_and_leaves_nothing_else_behind(command, tmp_path):
    code, out, _ = command("-m", "+model=linear,nac", "+task=add", "range=positive", "results=here", *FEW)
    assert code == 0
    assert set(pd.read_csv(tmp_path / "here/outcomes.csv")["model"]) == {"linear", "nac"}
    assert out.count("Figures: ") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_failed_job_of_a_sweep_costs_only_itself(command, tmp_path):
    code, out, err = command("-m", "+model=linear", "+task=add,sqrt", "range=neg_2_1", "results=here", *FEW)
    assert code == 2
    assert "sqrt is not defined anywhere" in err
    assert set(pd.read_csv(tmp_path / "here/outcomes.csv")["task"]) == {"add"}
    assert "Figures: " in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Choose a model"),
        (["+model=nalu"], "Choose a task"),
        (["+model=nlau", "+task=mul"], "did you mean na"),
        (["+model=nalu", "+task=mull"], "did you mean mul?"),
        (["+model=nalu", "+task=mul", "range=symetric"], "did you mean symmetric?"),
        (["+model=nalu", "+task=mul", "protocol=defualt"], "did you mean default?"),
        (["+experiment=smok"], "did you mean smoke?"),
        (["+mdoel=nalu", "+task=mul"], "did you mean model?"),
        (["+model=null", "+task=mul"], "Choose a model"),
        (["+model=nalu", "+task=mul", "+protocol.models.nlau.hidden=[2]"], "did you mean na"),
        (["+model=nalu", "+task=mul", "protocol.overlap=2"], "overlap (2) must be a fraction"),
        (["+model=nalu", "+task=mul", "protocol.steps=0"], "steps (0) must be at least 1"),
        (["+model=nalu", "+task=mul", "protocol.seeds=-1"], "seeds (-1) must be at least 1"),
        (["+model=nalu", "+task=mul", "range.symmetric.interpolation=[[5,-5]]"], "must be below"),
        (["+model=nalu", "+task=mul", "range.symmetric.interpolation=[[nan,5]]"], "must be a number"),
        (["+model=nalu", "+task=mul", "range.symmetric.interpolation=text"], "must be a list of intervals"),
        (["+model=nalu", "+task=sqrt", "range=neg_2_1"], "sqrt is not defined anywhere"),
        (["+model=nalu", "+task=mul", f"results={HERE}"], "is a file"),
        (["+experiment=madsen2020_simple", "published=madsen2020_simpel"], "did you mean madsen2020_simple"),
        (["+experiment=madsen2020_simple", "published=floors"], "published table to stand beside results"),
        pytest.param(
            ["+model=nalu", "+task=mul", "results=/proc/nowhere"], "cannot be written to",
            marks=pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc"),
        ),
        (["+model=nalu", "+task=mul", "model.nalu.options.initialisation=zero"], "has no initialisation 'zero'"),
        (["+model=nalu", "+task=mul", "model.nalu.unit=mine.Unit"], "there is no module 'mine'"),
        (["+model=mine.Net", "+task=mul"], "there is no module 'mine'"),
        (["+model=fractions.Fraction", "+task=mul"], "fractions.Fraction makes no torch.nn.Module"),
        (["+model=nalu", "+task=mul", "--cfg", "job", "--package", "unknown"], "is no part of the configuration"),
        (["--shell-completion", "a\x01b"], "holds a control character"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_sentence_exit_code_2_and_writes_nothing(command, tmp_path, arguments, sentence):
    code, out, err = command(*arguments)
    assert code == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_shard_stops_the_run_and_is_left_where_it_is(begun, tmp_path):
    (shard,) = (tmp_path / "results/default/shards").glob("*.npz")
    shard.write_bytes(shard.read_bytes()[:500])
    before = {path: (tmp_path / path).read_bytes() for path in files(tmp_path)}
    code, _, err = begun("+model=nac", "+task=add", "range=positive", *FEW)
    assert code == 2
    assert shard.name in err
    assert {path: (tmp_path / path).read_bytes() for path in files(tmp_path)} == before


def test_help_lists_every_choice_and_a_few_examples(command):
    code, out, _ = command("--help")
    assert code == 0
    for name in (
        "mlp_softsign",
        "nac_mul",
        "reciprocal",
        "pos_1p1_1p2",
        "trask2018_figure1_rmsprop",
        "tutorial_addition",
    ):
        assert name in out
    assert out.count("\n  python -m benchmark") == 4


def test_interrupted_runs_keep_what_is_finished_and_exit_with_130(command, tmp_path, monkeypatch):
    from benchmark.training import engine

    calls = []

    def interrupted(tile, *rest):
        calls.append(tile)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(tile, *rest)

    original = engine.train
    monkeypatch.setattr(engine, "train", interrupted)
    code, _, err = command("+model=[linear,nac]", "+task=add", "range=positive", *FEW)
    assert code == 130
    assert "finished tiles are kept" in err
    assert len(pd.read_csv(tmp_path / "results/default/outcomes.csv")) == 2


def test_ctrl_c_while_figures_are_drawn_says_how_to_go_on(command, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.showing.figures.draw", interrupted)
    code, _, err = command(*LINE)
    assert (code, "python -m benchmark.report" in err, "Traceback" in err) == (130, True, False)
    assert len(pd.read_csv(tmp_path / "results/default/outcomes.csv")) == 2
    assert report.main([str(tmp_path / "results/default")]) == 130


def test_an_experiment_shows_our_numbers_beside_the_published_ones(sketched, command, tmp_path):
    few = "model=[mlp_tanh,mlp_relu,mlp_sigmoid,mlp_elu]"
    code, out, _ = command("+experiment=trask2018_figure1_rmsprop", few, *FEW)
    assert code == 0
    assert "Rank correlation (Spearman's ρ) with the published curves" in out
    comparison = pd.read_csv(tmp_path / "results/trask2018_figure1_rmsprop/comparison.csv")
    tanh = comparison[(comparison["model"] == "mlp_tanh") & (comparison["x"] == 15)].iloc[0]
    assert tanh["published"] == 9.63
    assert tanh["standing"] == "digitised to about 0.1"
    assert (tmp_path / "results/trask2018_figure1_rmsprop/figures/error_by_input.png").exists()


def test_a_tutorial_prints_its_ten_predictions_beside_ours(sketched, command, tmp_path):
    code, out, _ = command("+experiment=tutorial_multiplication", *FEW, "protocol.evaluate_every=10")
    assert code == 0
    assert "1000000.2" in out
    table = pd.read_csv(tmp_path / "results/tutorial_multiplication/comparison.csv")
    assert (table["target"] == table["a"] * table["b"]).all()
    assert len(table) in (10, 20)
    profile = pd.read_csv(tmp_path / "results/tutorial_multiplication/profile.csv")
    assert profile["x"].max() > 20


def test_a_misspelled_model_of_ones_own_is_refused_with_the_right_name(command, tmp_path):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "twice.yaml").write_text("# @package model.twice\nunit: mine.Twice\n")
    code, _, err = command("--config-dir", "conf", "+task=add", "model=twce", *FEW)
    assert code == 2
    assert "did you mean twice?" in err


def test_an_experiments_own_model_can_be_chosen_alone_also_where_the_experiment_is_ones_own(command, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [override /model: nac, override /task: add, override /protocol: smoke]\n"
        "model: {quick_nac: {unit: benchmark.units.nac.NAC}, slow_nac: {unit: benchmark.units.nac.NAC}}\n"
    )
    for more in (["model=quick_nac"], ["-m", "model=quick_nac,slow_nac"]):
        code, _, _ = command("--config-dir", "conf", "+experiment=mine", *more, *FEW)
        assert code == 0
        outcomes = pd.read_csv(tmp_path / "results/mine/outcomes.csv")
        assert set(outcomes["model"]) == {"quick_nac", *(["slow_nac"] if "-m" in more else [])}


def test_figures_follow_their_tables_even_after_a_run_that_could_not_draw(begun, tmp_path, monkeypatch):
    picture = tmp_path / "results/default/figures/error.png"
    before = picture.read_bytes()
    with monkeypatch.context() as dying:
        dying.setattr(cli, "draw", lambda: None)
        begun(*LINE, "protocol.seeds=4")
    assert picture.read_bytes() == before
    assert begun(*LINE, "protocol.seeds=4")[0] == 0
    assert picture.read_bytes() != before


def test_figures_of_another_selection_do_not_linger(begun, tmp_path):
    code, out, _ = begun(*LINE, "protocol=smoke", "results=results/default")
    assert code == 0
    told = re.search(r"of which \d+ show what was asked for: (.+)", out)[1].split(", ")
    assert "summary" in told and all("-smoke" in name for name in told if name != "summary")
    names = {path.stem for path in (tmp_path / "results/default/figures").glob("error-*.png")}
    assert {name.split("-")[1] for name in names} == {"default", "smoke"}
    assert not (tmp_path / "results/default/figures/error.png").exists()


def test_many_overrides_still_make_file_names(begun):
    more = ["protocol.fits=0.1", "protocol.epsilon=0.001", "protocol.learning_rate=0.01", "protocol.evaluate_every=5",
            "range.positive.interpolation=[[1,2.5]]", "range.positive.extrapolation=[[2.5,7]]", "protocol.batch=64",
            "+model.linear.options={bias: false}", "protocol.data_seed=3", "protocol.select=last"]  # fmt: skip
    assert begun(*LINE, *more)[0] == 0


def test_the_sweep_flag_may_stand_anywhere_and_each_jobs_table_shows_what_is_swept(command, tmp_path):
    code, out, _ = command("+model=linear", "+task=add", "range=positive", "protocol.batch=16,32", *FEW, "-m")
    assert code == 0
    assert pd.read_csv(tmp_path / "results/default/outcomes.csv")["overrides"].nunique() == 2
    rows = re.findall(r"^linear +add +positive +(protocol\S+)", out, re.MULTILINE)
    assert rows == ["protocol.batch=16", "protocol.batch=32"]


def test_published_numbers_stand_beside_all_of_the_folder_whatever_the_last_job_asked_for(
    command, tmp_path, monkeypatch
):
    derived = []
    monkeypatch.setattr("benchmark.report.derive", lambda *of: (derived.append(of), derive(*of))[1])
    line = ["+experiment=madsen2020_simple", *FEW, "protocol.batch=16"]
    code, out, _ = command("-m", *line, "model=nac_mul,nalu,nmu")
    assert (code, len(derived)) == (0, 1)
    assert "of 3 agree" in out
    path = tmp_path / "results/madsen2020_simple/comparison.csv"
    whole = path.read_bytes()
    assert set(pd.read_csv(path)["model"]) == {"nac_mul", "nalu", "nmu"}
    code, out, _ = command(*line, "model=nmu")
    assert (code, "of 1 agree" in out) == (0, True)
    assert path.read_bytes() == whole
    path.unlink()
    assert report.main([str(path.parent)]) == 0
    assert path.read_bytes() == whole


def test_a_published_table_of_other_protocols_is_told_and_its_absence_from_the_folder_too(command, tmp_path):
    line = ["+model=nmu", "+task=mul", "range=positive", *FEW]
    code, out, err = command(*line, "published=madsen2020_simple")
    assert (code, "Beside the published rates" in out) == (0, True)
    assert "note: comparison.csv does not hold the numbers beside madsen2020_simple" in err
    assert not (tmp_path / "results/default/comparison.csv").exists()
