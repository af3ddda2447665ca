"""`benchmark.results(...)` hands out any folder's tables and any reference's, and says what to cite."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest

import benchmark
from benchmark.asked.conf_files import choices_of
from benchmark.errors import UsageError
from benchmark.results.references import REFERENCES, models_of_references, references
from benchmark.results.statistics import CELLS, SUMMARY


def test_a_reference_is_had_by_its_name_with_a_line_on_how_to_cite_it():
    results = benchmark.results("madsen2020_simple")
    assert list(results.summary) == SUMMARY and list(results.cells) == CELLS
    assert set(results.summary["model"]) == {"nac_mul", "nalu", "nmu"}
    assert results.citation.startswith("Arithmetic extrapolation benchmark")
    assert "Madsen & Johansen (2020), Neural Arithmetic Units" in results.citation
    assert "Learning Division" in benchmark.results("mistry2022_division").citation
    assert "protocol" not in benchmark.results("headline").citation


def test_a_folder_comes_before_a_reference_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary = benchmark.results("headline").summary
    (tmp_path / "headline").mkdir()
    summary[:3].to_csv("headline/summary.csv.gz", index=False)
    pd.testing.assert_frame_equal(benchmark.results("headline").summary, summary[:3])
    assert benchmark.results(REFERENCES / "headline").summary.equals(summary)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("hedline", "There is no results folder or reference 'hedline' \\(did you mean headline\\?\\)"),
        ("nowhere/headline", "There is no results folder nowhere/headline"),
        ("empty", "empty holds no summary.csv"),
        (3, "results \\(3\\) must be a folder or the name of a reference"),
    ],
)
def test_what_holds_no_results_is_refused(source, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=sentence):
        benchmark.results(source)


def test_a_table_of_ones_own_beside_the_tables_is_none_of_them(tmp_path):
    for path in (REFERENCES / "learning_rate").glob("*.csv*"):
        shutil.copy(path, tmp_path)
    (tmp_path / "notes.csv").write_text("when,what\ntoday,nothing\n")
    assert "notes" not in benchmark.results(tmp_path).tables and len(benchmark.results(tmp_path).summary)


def test_a_table_that_is_not_there_is_told():
    with pytest.raises(UsageError, match=r"holds no table curves: it holds .*summary; the package comes with"):
        benchmark.results("smoke").asked("curves")


def test_every_reference_is_of_an_experiment_and_its_models_are_known():
    assert set(references()) <= set(choices_of("experiment"))
    assert {"nmu", "nac_normal", "mlp_relu"} <= models_of_references()


def test_the_package_and_its_room_need_no_pandas_until_results_are_asked_for():
    code = "import sys, benchmark.results; print('pandas' in sys.modules, callable(benchmark.results))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == ["False", "True"]
