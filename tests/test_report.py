"""A report is what its folder's tables say, with shards and without, byte for byte."""

import gzip
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from conftest import needs_references, posix
from filelock import FileLock, Timeout

from benchmark import report
from benchmark.asked.conf_files import PUBLISHED
from benchmark.asked.replicas import CELL
from benchmark.results import statistics
from benchmark.results.tables import read_table, table_path, to_csv
from benchmark.run import run
from benchmark.showing import texts

pytestmark = pytest.mark.usefixtures("outlined")
REFERENCE = Path(__file__).parent.parent / "results/reference"
REFERENCES = sorted(path.parent for path in REFERENCE.glob("*/outcomes.csv*"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, outlined):
    """A small run with everything: tables, figures, report."""
    folder = tmp_path_factory.mktemp("results") / "small"
    overrides = ["protocol.steps=60", "protocol.seeds=3", "protocol.evaluation_size=200", "engine.workers=1"]
    run(models=["nac", "nalu"], tasks=["add", "sqrt"], results=folder, overrides=overrides)
    report.write(folder)
    return folder


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copy(folder, tmp_path):
    """The folder as it is committed: without shards and curves."""
    shutil.copytree(folder, tmp_path / "small", ignore=shutil.ignore_patterns("shards", "curves.csv.gz", ".*"))
    return tmp_path / "small"


def test_reporting_twice_changes_nothing(folder):
    before = content(folder)
    report.write(folder)
    assert content(folder) == before


def test_figures_of_the_same_tables_stay_unless_one_was_removed(folder, tmp_path, monkeypatch):
    same = shutil.copytree(folder, tmp_path / "same")
    gone = same / "figures" / "summary.png"
    drawn = gone.read_bytes()
    monkeypatch.setattr("benchmark.showing.figures.draw", lambda tables: pytest.fail("they are there"))
    report.write(same, anew=False)
    monkeypatch.undo()
    gone.unlink()
    report.write(same, anew=False)
    assert gone.read_bytes() == drawn and "(figures/summary.png)" in (same / "REPORT.md").read_text(encoding="utf-8")


def test_figures_are_drawn_by_one_at_a_time_and_once_more_where_others_finish_meanwhile(folder, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    shutil.copytree(folder / "shards", shared / "shards")
    late = min((shared / "shards").iterdir()).rename(tmp_path / "late.npz")
    drawn = []

    def draw(tables):
        with pytest.raises(Timeout):
            FileLock(shared / ".lock").acquire(timeout=0)
        drawn.append(len(tables["outcomes"]))
        shutil.copy(late, shared / "shards")
        return iter(())

    monkeypatch.setattr("benchmark.showing.figures.draw", draw)
    found, _ = report.write(shared)
    assert len(drawn) == 2 and drawn[0] < drawn[1] == len(found["outcomes"]) == 24


def test_without_shards_the_summary_follows_from_the_other_tables_byte_for_byte(copy, capsys):
    before = content(copy)
    (copy / "summary.csv").unlink()
    assert report.main([str(copy)]) == 0
    after = content(copy)
    assert {name: after[name] for name in before if name.endswith(".csv")} == {
        name: before[name] for name in before if name.endswith(".csv")
    }
    assert "curves.csv.gz not there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["outcomes", "profile", "plane", "cells", "initialisation"])
def test_doubled_rows_and_words_for_numbers_are_refused_and_nothing_is_written(copy, name, capsys):
    path = copy / f"{name}.csv"
    header, *lines = path.read_text().splitlines()
    word = ",".join([*lines[0].split(",")[:-1], "much"])
    for wrong, said in (([lines[0], *lines], "a row stands twice (nac × add"), ([word, *lines[1:]], "numbers")):
        path.write_text("\n".join([header, *wrong]) + "\n")
        before = content(copy)
        assert report.main([str(copy)]) == 2
        assert said in capsys.readouterr().err
        assert content(copy) == before


def test_gzipped_tables_are_reported_like_plain_ones(sketched, copy):
    report.write(copy)
    before = content(copy)
    for path in list(copy.glob("*.csv")):
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes(), 1, mtime=0))
        path.unlink()
    report.write(copy)
    after = content(copy)
    assert {name for name in before if name.endswith(".csv")} == {n[:-3] for n in after if n.endswith(".csv.gz")}
    assert gzip.decompress(after["summary.csv.gz"]) == before["summary.csv"]
    assert after["REPORT.md"] == before["REPORT.md"]


def test_what_needs_curves_is_skipped_and_stays_as_it_was(copy):
    before = content(copy)
    report.write(copy)
    after = content(copy)
    # Its alt text has no numbers then, for want of the table.
    reports = [re.sub(r"!\[.*?\]\(", "", of.pop("REPORT.md").decode()) for of in (before, after)]
    assert reports[0] == reports[1]
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda path: path.name)
def test_the_summary_and_the_report_of_every_reference_are_reproduced(reference, tmp_path):
    copy = tmp_path / reference.name
    shutil.copytree(reference, copy, ignore=shutil.ignore_patterns("figures"))
    found, _ = report.tables(copy)
    # Means of fitted distributions differ in the last digits from one kind of processor to another.
    derived = [name for name in ("comparison",) if table_path(reference, name).is_file()]
    for name in derived:
        ours, theirs = (pd.read_csv(table_path(of, name), keep_default_na=False) for of in (copy, reference))
        pd.testing.assert_frame_equal(ours[theirs.columns], theirs, rtol=1e-6)
    some = found["cells"][CELL].iloc[:: 1 + len(found["cells"]) // 12]  # each cell's numbers follow from its own rows
    told, *others = (
        found[name].merge(some, on=CELL) if name in found else None
        for name in ("summary", "outcomes", "profile", "cells", "initialisation", "outputs")
    )
    follows = statistics.summary(*others)
    assert follows[[*CELL, "metric", "seeds"]].equals(told[[*CELL, "metric", "seeds"]])
    # Where it does not say how many seeds have no finite number, its medians are of all.
    alike = ~(follows["not_finite"] > 0) | told["not_finite"].notna()
    columns = ["value", "low", "high"]
    pd.testing.assert_frame_equal(follows.loc[alike, columns], told.loc[alike, columns], rtol=1e-6)
    kept = [path for path in reference.glob("*.csv*") if path.name.partition(".")[0] not in derived]
    assert all(path.read_bytes() == (copy / path.name).read_bytes() for path in kept)
    assert set(found) >= {"outcomes", "summary", "profile", "initialisation", "cells"}
    assert (reference / "REPORT.md").read_text() == report.text(reference, found)
    # No network solves what its model cannot represent.
    cells = found["cells"]
    assert not found["outcomes"].merge(cells[cells["representable"] == "no"], on=CELL)["solved"].any()


@needs_references
def test_a_figure_of_one_setting_names_it_in_words():
    text = (REFERENCE / "learning_rate/REPORT.md").read_text()
    for rate in ("0.001", "0.01", "0.05"):
        assert f"(default · learning rate = {rate})](figures/success-learning_rate-{rate}.png)" in text


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda path: path.name)
def test_every_reference_has_a_report_that_shows_all_its_figures(reference):
    text = (reference / "REPORT.md").read_text()
    shown = re.findall(r"!\[\w[^\]]*\]\(figures/([^)]+)\)", text)
    assert sorted(shown) == sorted(path.name for path in (reference / "figures").glob("*.png"))
    assert "core-seconds" in text


def test_a_report_says_what_was_run_and_what_came_of_it(folder):
    text = (folder / "REPORT.md").read_text()
    assert "nac, nalu on add, sqrt; ranges positive, symmetric; 3 seeds, 60 steps; 24 networks" in text
    assert "1,440 replica-steps" in text
    assert "nalu cannot represent add on symmetric" in text
    for path in (folder / "figures").glob("*.png"):
        assert f"(figures/{path.name})" in text
        assert report._kind(path.stem)[1], f"{path.stem} has no caption"


@pytest.mark.parametrize("rate", [0.2, 0.8])
def test_the_best_of_a_task_is_bold_in_markdown_and_latex_where_most_seeds_solve_it(folder, rate):
    table = pd.read_csv(folder / "summary.csv", keep_default_na=False, na_values=[""]).fillna({"overrides": ""})
    table.loc[table["metric"] == "success_rate", "value"] = rate
    errors = table[(table["task"] == "add") & (table["range"] == "positive")]
    errors = errors[errors["metric"] == "relative_extrapolation"].set_index("model")["value"]
    best = {"nac": "NAC", "nalu": "NALU"}[errors.idxmin()]
    (line,) = [
        line
        for part in texts.markdown_tables(table).split("\n\n**")
        if part.lstrip("*").startswith("positive") and "Relative error" in part
        for line in part.splitlines()
        if line.startswith(f"| {best} ")
    ]
    assert line.split("|")[2].strip().startswith("**") == (rate > 0.5)
    assert ("\\textbf{" in texts.latex_tables(table)) == (rate > 0.5)


def test_of_what_lies_among_the_figures_only_what_was_drawn_there_is_removed(folder, tmp_path):
    copy = tmp_path / "small"
    shutil.copytree(folder, copy)
    stamp = copy / "figures" / ".shown"
    for name in ("notes.txt", "paper_figure.pdf", "mine.png", "success_of_old.png"):
        (copy / "figures" / name).write_text(name)
    (copy / "figures" / "folder").mkdir()
    odd = f"success_of_old.png\n../summary.csv\nfolder\n.\n\0\n{'x' * 300}\n".encode() + b"\xff"
    stamp.write_bytes(stamp.read_bytes() + b"\n" + odd)
    report.write(copy)
    left = {path.name for path in (copy / "figures").iterdir()}
    assert {"notes.txt", "paper_figure.pdf", "mine.png", "error.png"} <= left
    assert "success_of_old.png" not in left and (copy / "summary.csv").exists()
    assert "mine.png" not in (copy / "REPORT.md").read_text()


@posix
def test_a_link_out_of_the_folder_is_not_followed(copy, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept.png").write_text("kept")
    shutil.rmtree(copy / "figures")
    (copy / "figures").symlink_to(elsewhere)
    assert report.main([str(copy)]) == 2
    assert "is a link that leads out of" in capsys.readouterr().err
    assert [path.name for path in elsewhere.iterdir()] == ["kept.png"]


def test_a_summary_alone_is_printed(copy, capsys):
    assert report.main([str(copy / "summary.csv")]) == 0
    out = capsys.readouterr().out
    assert "| NALU" in out and r"\toprule" in out


def test_rows_whose_shards_are_gone_are_not_dropped(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "small")
    next((tmp_path / "small" / "shards").iterdir()).unlink()
    before = content(tmp_path)
    assert report.main([str(tmp_path / "small")]) == 2
    assert "that no shard of" in capsys.readouterr().err
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("kept", "code"),
    [
        (["summary"], 0),
        (["summary", "outcomes"], 0),
        (["summary", "cells"], 0),
        (["outcomes"], 2),
        (["outcomes", "cells", "profile"], 2),
    ],
)
def test_a_part_of_the_tables_is_reported_as_far_as_it_goes(copy, kept, code, capsys):
    for path in copy.glob("*.csv"):
        if path.stem not in kept:
            path.unlink()
    assert report.main([str(copy)]) == code
    assert ("not there" if code == 0 else "holds no results") in capsys.readouterr().err


def test_a_profile_of_one_point_and_a_range_of_no_width_are_refused(copy, capsys):
    table_path(copy, "summary").unlink()
    for name, column, value, sentence in (
        ("profile", "x", 1.0, "x does not rise within"),
        ("cells", "half_width", 0.0, "must exceed 0"),
    ):
        path = table_path(copy, name)
        table = read_table(path, [])
        told = table.drop_duplicates(CELL) if name == "profile" else table
        path.write_text(to_csv(told.assign(**{column: value})))
        assert report.main([str(copy)]) == 2
        assert sentence in capsys.readouterr().err
        path.write_text(to_csv(table))


def test_tables_of_other_cells_are_refused(copy, capsys):
    cells = pd.read_csv(copy / "cells.csv")
    cells[cells["model"] == "nac"].to_csv(copy / "cells.csv", index=False)
    assert report.main([str(copy)]) == 2
    assert "are not of the same cells" in capsys.readouterr().err


def test_tables_of_several_protocols_have_labels_and_seed_counts_of_their_own(copy):
    summary = read_table(copy / "summary.csv", [])
    other = summary.assign(protocol="a_b", overrides="x={y:1}", seeds=16)
    first = other.index == other.index[other["metric"] == "success_rate"][0]
    latex = texts.latex_tables(pd.concat([summary, other.assign(seeds=other["seeds"].mask(first, 3))]))
    labels = re.findall(r"\\label\{([^}]*)\}", latex)
    assert len(labels) == len(set(labels))
    assert "; 3 to 16 seeds." in latex
    assert "; 3 seeds." in latex
    assert r"x=\{y:1\}" in latex and r"a\_b" in latex


def test_a_table_without_the_usual_metrics_shows_those_it_has(capsys):
    assert report.main([str(PUBLISHED / "trask2018_table1.csv")]) == 0
    out = capsys.readouterr().out
    assert "Score outside the training range" in out
    assert "| NALU" in out


@pytest.mark.parametrize("what", ["nothing", "empty", "foreign", "text"])
def test_what_is_no_results_folder_is_refused_with_a_sentence(tmp_path, capsys, what):
    folder = tmp_path / what
    if what != "nothing":
        folder.mkdir()
    if what == "foreign":
        (folder / "outcomes.csv").write_text("a,b\n1,2\n")
    if what == "text":
        (folder / "shards").mkdir()
        (folder / "shards" / "1.npz").write_text("no shard")
    before = content(tmp_path)
    assert report.main([str(folder)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(folder) in err
    assert content(tmp_path) == before
