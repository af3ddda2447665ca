"""The ledger in the references' README is what the claims and the tables give, and what it calls found is so."""

from pathlib import Path

import pytest
from conftest import needs_references

from benchmark import ledger
from benchmark.asked.conf_files import published_tables
from benchmark.results.papers import AGREE
from benchmark.results.references import REFERENCES
from benchmark.results.tables import read_table
from benchmark.showing.names import TASKS, label

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


def test_every_claim_is_counted_once_under_what_became_of_it(told):
    counts = ledger.counts(told).set_index("claims of").astype(int)
    assert counts.loc["all"].sum() == sum(line.many for line in told if line.paper)
    for paper in {line.paper for line in told} - {""}:
        for kind in counts:
            became = lambda line: ledger.UNTRAINED if line.found == ledger.UNTRAINED else line.verdict
            alike = [line.many for line in told if line.paper == paper and became(line) == kind]
            assert counts.loc[paper, kind] == sum(alike)


def test_what_a_median_leaves_out_and_where_numbers_count_as_a_floor_is_told(told):
    table = read_table(REFERENCES / "heim2020_large/comparison.csv", ["not_finite"])
    table = table.query("metric == 'extrapolation' and not_finite > 0")
    for row in table.to_dict("records"):
        (line,) = [one for one in told if f"{label(row['model'])}, {TASKS[row['task']]} of 100 inputs" in one.says
                   and "outside" in one.says]  # fmt: skip
        assert line.found.endswith(f" ({row['not_finite']:.0f} of {row['seeds']} ∞)")
    assert len(table) and "Trask et al. 2018, NALU, Table 1, 0.05;" in ledger.how()


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
