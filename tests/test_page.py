"""`python -m benchmark.page`: which folders it takes, and what it refuses."""

import gzip
import sys
from pathlib import Path

import pytest

from benchmark import page
from benchmark.results import statistics
from benchmark.results.tables import TEXTS

SUMMARY = f"{','.join(statistics.SUMMARY)}\nnalu,mul,positive,default,,success_rate,0.5,0.1,0.9,4,0\n"


@pytest.fixture
def library(monkeypatch):
    """The charts' own code, which takes seconds to put together, is not there."""
    monkeypatch.setattr("benchmark.showing.page._library", lambda: "")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two results of one name, one of them packed, and a folder that is none, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for place in ("a/mine", "b/mine"):
        Path(place).mkdir(parents=True)
    Path("a/mine/summary.csv").write_text(SUMMARY)
    Path("b/mine/summary.csv.gz").write_bytes(gzip.compress(SUMMARY.encode()))
    Path("b/none").mkdir()
    return tmp_path


def test_it_takes_results_and_folders_of_them_by_names_that_tell_them_apart(folders, library, capsys):
    assert page.main(["a/mine", "b", "--output", "page.html"]) == 0
    assert capsys.readouterr().out.startswith("page.html: 2 results, ")
    first = Path("page.html").read_bytes()
    assert b'[{"name":"a/mine","about":""},{"name":"b/mine","about":""}]' in first
    assert page.main(["b", "a", "--output", "page.html"]) == 0
    assert Path("page.html").read_bytes() == first
    assert sorted(path.name for path in Path("b/mine").iterdir()) == ["summary.csv.gz"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "There is no results folder results/reference"),
        (["c"], "There is no results folder c"),
        (["b/none"], "b/none holds no results: neither a summary.csv nor folders with one"),
        (["a", "--output", "b"], "--output (b) is a folder; name a file in it"),
    ],
)
def test_it_refuses_in_a_sentence_and_writes_nothing(folders, library, arguments, sentence, capsys):
    assert page.main(arguments) == 2
    assert capsys.readouterr().err == sentence + "\n"
    assert not list(folders.rglob("*.html"))


def test_tables_that_do_not_belong_together_are_refused(folders, library, capsys):
    row = ",".join("x" if name in TEXTS else "1" for name in statistics.CELLS)
    Path("a/mine/cells.csv").write_text(f"{','.join(statistics.CELLS)}\n{row}\n")
    assert page.main(["a/mine", "--output", "page.html"]) == 2
    assert "a/mine: cells.csv, summary.csv are not of the same cells" in capsys.readouterr().err
    assert not list(folders.rglob("*.html"))


def test_without_the_chart_library_it_says_how_to_get_it(folders, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert page.main(["a"]) == 2
    assert "pip install 'arithmetic-extrapolation-benchmark[page]'" in capsys.readouterr().err
    assert not Path("results").exists()
