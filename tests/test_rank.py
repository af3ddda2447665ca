"""`python -m benchmark.rank` on small folders: what it says, writes and refuses."""

import pandas as pd
import pytest
from conftest import needs_references

from benchmark import rank, report
from benchmark.asked.replicas import CELL
from benchmark.rank import among, main
from benchmark.results.intervals import success_rate
from benchmark.results.references import REFERENCES

pytestmark = pytest.mark.usefixtures("sketched")
SIMPLE = "madsen2020_simple/paper"  # NMU 96, NAC• 21 and NALU 18 of 100, and published 94, 13 and 26


def summary(*rows, protocol=SIMPLE, task="mul"):
    """Success rates of (model, range, solved, seeds)."""
    found = [
        dict(zip(CELL, (model, task, name, protocol, ""), strict=True))
        | {"metric": "success_rate"}
        | dict(zip(("value", "low", "high"), success_rate(solved, seeds), strict=True))
        | {"seeds": seeds}
        for model, name, solved, seeds in rows
    ]
    return pd.DataFrame(found)


def write(folder, *rows, **more):
    """The same as a folder's summary.csv."""
    folder.mkdir()
    summary(*rows, **more).to_csv(folder / "summary.csv", index=False)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Call rank in a folder with results of one's own: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", ("Net", "positive", 25, 25), ("nmu", "positive", 24, 25))
    write(tmp_path / "other", ("Net", "positive", 25, 25), protocol="default")
    (tmp_path / "empty").mkdir()

    def call(*arguments):
        return main([*arguments]), *capsys.readouterr()

    return call


def test_a_unit_of_ones_own_stands_among_the_reference_and_the_published_numbers(command, tmp_path):
    code, out, err = command("mine", "madsen2020_simple")
    assert code == 0
    table = pd.read_csv(tmp_path / "results/rank/mine-madsen2020_simple/ranking.csv")
    ours = pd.read_csv(REFERENCES / "madsen2020_simple/summary.csv").query("metric == 'success_rate'")
    rates = ours.set_index("model")["value"].to_dict() | {"Net": 1.0}
    paper = {"nmu": 0.94, "nac_mul": 0.13, "nalu": 0.26}
    rates |= {f"{model} (published)": rate for model, rate in paper.items()}
    by_hand = {name: 1 + sum(other > rate for other in rates.values()) for name, rate in rates.items()}
    assert table.set_index("entrant")["rank"].to_dict() == by_hand
    assert table.set_index("entrant")["seeds"].to_dict() == {"Net": 25} | {name: 100 for name in rates if name != "Net"}
    verdicts = pd.read_csv(tmp_path / "results/rank/mine-madsen2020_simple/verdicts.csv")
    assert set(verdicts["entrant"]) == {"Net"}
    better = {"nac_mul", "nalu", "nac_mul (published)", "nalu (published)"}
    assert set(verdicts.loc[verdicts["verdict"] == "better", "against"]) == better
    assert "Net solves 1 of 1 cell; better than " in out and "NAC• (published) on 1" in out
    assert "| **Net** " in out and "1. 100 [87, 100]" in out
    assert "madsen2020\\_simple" not in out and "read" in out
    assert "nmu of mine counts as in madsen2020_simple, which holds as many seeds of it, or more" in err
    tex = (tmp_path / "results/rank/mine-madsen2020_simple/ranking.tex").read_text()
    assert r"\textbf{Net}" in tex and r"$\blacktriangle$" in tex and "NMU (published)" in tex
    assert (tmp_path / "results/rank/mine-madsen2020_simple/ranking.png").is_file()


def test_one_folder_is_ranked_alone_and_any_model_can_be_the_one_that_is_compared(command, tmp_path):
    code, out, err = command("mine", "--output", "here", "--model", "nmu")
    assert (code, err) == (0, "")
    assert "NMU solves 1 of 1 cell; the same as others on 1." in out and "against that model NMU is" in out
    assert set(pd.read_csv(tmp_path / "here/verdicts.csv")["against"]) == {"Net"}
    code, _, err = command("madsen2020_simple", "--output", "there")
    assert code == 0
    assert "madsen2020_simple has no model of your own: nac_mul, its first, is compared; --model names another" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["other", "madsen2020_simple"], f"its protocol is {SIMPLE}, and here it is default"),
        (["mine", "madsen2020_simpel"], "did you mean madsen2020_simple"),
        (["mine", "nowhere/at/all"], "There is no results folder and no table at nowhere/at/all"),
        (["empty"], "empty holds no summary.csv"),
        (["mine", "--model", "Nett"], "There is no model in these cells 'Nett' (did you mean Net?)"),
        (["mine", "--output", f"{__file__}/here"], "is a file; name a folder"),
    ],
)
def test_what_cannot_be_ranked_is_refused_with_a_sentence(command, tmp_path, arguments, sentence):
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err and err.count("\n") == 1
    assert not (tmp_path / "results").exists()


NET, NMU = ("Net", "positive", 25, 25), ("nmu", "positive", 5, 25)


def test_a_run_ends_with_ones_own_among_the_references_models_and_its_report_says_so(tmp_path):
    told = among("results/mine", {"summary": summary(NET, NMU)})
    lines = told.splitlines()
    assert lines[0] == "Net beside 6 other models of madsen2020_simple and this folder: rank (success rate)"
    assert lines[3].split() == ["positive", "1", "of", "7", "(100%)"]
    assert lines[4].startswith("Net solves 1 of 1 cell; better than ")
    assert lines[-1] == "The whole ranking: python -m benchmark.rank results/mine madsen2020_simple"
    text = report.text(tmp_path, {"summary": summary(NET, NMU)})
    assert "## Among the published units" in text and lines[4] in text


def test_nothing_is_said_of_models_that_a_reference_has_or_of_cells_that_were_not_asked_for():
    assert among("mine", {"summary": summary(NMU)}) == ""
    assert among("mine", {"summary": summary(NET, protocol="mine")}) == ""
    both = summary(NET, ("Net", "symmetric", 3, 25))
    told = among("mine", {"summary": both}, [("Net", "mul", "symmetric", SIMPLE, "")])
    assert "positive" not in told and "alone (12%)" in told
    assert among("mine", {"summary": both}, [("nmu", "mul", "symmetric", SIMPLE, "")]) == ""


def test_where_nothing_was_asked_alike_a_run_says_so_and_ranks_what_its_folder_holds():
    quick = "madsen2020_simple/quick"
    apart = f"madsen2020_simple has no cell of this folder: its protocol is {SIMPLE}, and here it is {quick}"
    told = among("mine", {"summary": summary(NET, NMU, protocol=quick)})
    assert "Net beside 1 other model of this folder" in told and apart in told and "better than NMU on 1" in told
    assert told.endswith("python -m benchmark.rank mine")
    assert among("mine", {"summary": summary(NET, protocol=quick)}).startswith(apart)


@needs_references
@pytest.mark.parametrize("name", ["curry2025_dmu_stopped", "schloer2020_minimal_adam"])
def test_a_reference_is_ranked_without_published_numbers_of_another_protocol(name):
    sources, notes = rank._of_name(name)
    assert [source.published for source in sources] == [False]
    assert f"is not ranked with {name}" in notes[0]
