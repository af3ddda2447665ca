"""The ledger in the references' README is what the claims and the tables give, and what it calls found is so."""

from pathlib import Path

import pytest
from conftest import needs_references

from benchmark import ledger
from benchmark.asked.conf_files import published_tables
from benchmark.results.papers import AGREE

ROOT = Path(__file__).parent.parent
pytestmark = needs_references


@pytest.fixture(scope="module")
def told():
    return ledger.lines()


def test_the_readme_opens_with_what_the_tables_say(told):
    text = (ROOT / "results/reference/README.md").read_text(encoding="utf-8")
    assert text.startswith("# What was reproduced, and what was found\n\n" + ledger.text(told) + "\n"), (
        "python -m benchmark.ledger --into results/reference/README.md"
    )


def test_what_these_runs_show_holds(told):
    assert [line for line in told if not line.paper and (line.verdict != AGREE or not line.command)] == []


def test_whatever_agrees_or_differs_can_be_verified_and_every_difference_has_its_reason_or_says_that_none_is_shown(
    told,
):
    judged = [line for line in told if line.verdict != ledger.UNTOLD]
    assert all(line.command for line in judged)
    assert all(("show" in line.why or "excluded" in line.why) == (line.verdict != AGREE) for line in judged)
    for line in judged:
        if line.command.startswith("pytest"):
            path, _, name = line.command.removeprefix("pytest ").partition("::")
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


def test_every_published_table_of_results_is_in_it():
    claims = (ROOT / "results/published/claims.yaml").read_text(encoding="utf-8")
    assert all(name in claims for name in published_tables("metric", "x", "prediction"))


def test_the_page_folds_it_to_a_sentence_and_escapes_it(told):
    page = ledger.html(told)
    assert page.startswith('<details id="ledger"><summary>The ledger: of the papers')
    assert "Madsen &amp; Johansen" in page and "Madsen & Johansen" not in page


def test_a_file_without_a_place_for_it_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ledger, "lines", lambda: [ledger.Line("a paper", "Table 1", "x", "y", AGREE)])
    file = tmp_path / "a.md"
    file.write_text("text\n")
    assert ledger.main(["--into", str(file)]) == 2
    assert "holds no ledger" in capsys.readouterr().err and file.read_text() == "text\n"
    file.write_text(f"before\n{ledger.BEGIN}\n{ledger.END}\nafter\n")
    assert ledger.main(["--into", str(file)]) == 0
    assert file.read_text().startswith("before\n") and file.read_text().endswith("after\n")
    assert "| Table 1: x | y | agree |" in file.read_text()
