"""A notebook shows what was found, figures and a bar of its own below its cells; elsewhere it is said what to do."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tqdm import tqdm

from benchmark.errors import UsageError
from benchmark.reading import Files, Reading
from benchmark.run import run
from benchmark.showing import notebook


@pytest.fixture(scope="module")
def results(quick, tmp_path_factory):
    return run(quick(["nac"], ["add", "sqrt"], results=tmp_path_factory.mktemp("results")))


@pytest.fixture
def kernel(monkeypatch):
    """What is displayed, as (alternative text, width, first bytes), where this process is a notebook's kernel."""
    shown = []
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None), version_info=(9, 0))
    display = SimpleNamespace(Image=lambda data, width, alt: (alt, width, data[:4]), display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_figures_are_shown_by_the_beginnings_of_their_names(results, kernel):
    results.figures("error_by")
    assert [alt for alt, _, _ in kernel] == ["error_by_distance", "error_by_input", "error_by_input_heatmap"]
    assert all(data == b"\x89PNG" and width > 100 for _, width, data in kernel)


def test_a_figure_that_would_show_nothing_is_told_and_a_misspelled_one_refused(results, kernel, capsys):
    results.figures("success")
    assert capsys.readouterr().err == "No figure success: all success rates are 0.\n"
    with pytest.raises(UsageError, match=r"no figure 'eror' .did you mean error"):
        results.figures("eror")
    assert not kernel


def test_outside_of_a_notebook_the_command_that_draws_is_named(results):
    with pytest.raises(UsageError, match=r"python -m benchmark\.report DIR"):
        results.figures()


def test_results_say_what_was_found_in_words_and_as_a_table(results):
    text, table = repr(results), results._repr_html_()
    assert text.splitlines()[1].startswith("NAC adds 1 to 2 → 2 to 6 in ")
    assert len(text.splitlines()) < 8
    assert table.count("<table") == 1 and "<th>a + b</th>" in table and "<td>0 [0, 56]</td>" in table


def test_what_lies_in_a_folder_is_shown_as_it_was_run_and_no_name_becomes_markup(results, tmp_path):
    assert repr(Reading(results.folder, Files(results.folder))).splitlines()[1:] == repr(results).splitlines()[1:]
    summary = results.summary.replace("nac", "<img src=x>")
    assert "<img" not in Reading(tmp_path, {"summary": summary})._repr_html_()


def test_the_bar_is_the_notebooks_own_in_a_kernel_and_the_terminals_elsewhere(kernel, monkeypatch):
    own = SimpleNamespace(tqdm=lambda **kinds: ("own", kinds["total"]))
    monkeypatch.setitem(sys.modules, "tqdm.auto", own)
    assert notebook.bar(7, True) == ("own", 7)
    assert notebook.bar(7, False).disable
    monkeypatch.delitem(sys.modules, "IPython")
    assert isinstance(notebook.bar(7, True), tqdm)


def test_the_notebook_that_is_shipped_writes_among_a_users_results_not_into_the_package():
    shipped = Path(notebook.__file__).parent.parent / "notebook.ipynb"
    (folder,) = re.findall(r'results=\\"(.+?)\\"', shipped.read_text(encoding="utf-8"))
    assert (shipped.parent / folder).resolve().parent == shipped.parent.parent / "results"
