"""What is said of a ranking, and its figure, are what its tables hold."""

import pandas as pd
import pytest

from benchmark.results.agreement import Table
from benchmark.results.intervals import success_rate
from benchmark.results.ranking import RANKING, Source, ranking, verdicts
from benchmark.showing.figures.ranks import over_ranges, rank_dots
from benchmark.showing.ranks import latex_ranks, markdown_ranks, short, summed_up

CELL = ["model", "task", "range", "protocol", "overrides"]
SOLVED = {  # of 25
    "net": {("mul", "small_1"): 25, ("mul", "small_2"): 13, ("div", "small_1"): 12, ("div", "small_2"): 0},
    "nmu": {("mul", "small_1"): 25, ("mul", "small_2"): 25, ("div", "small_1"): 0, ("div", "small_2"): 0},
    "nalu": {("mul", "small_1"): 0, ("mul", "small_2"): 0, ("div", "small_1"): 12},
}


@pytest.fixture(scope="module")
def found():
    """(ranking, sources, verdicts of net)."""
    rows = [
        dict(zip(CELL, (model, *place, "p", ""), strict=True))
        | dict(zip(("value", "low", "high"), success_rate(solved, 25), strict=True))
        for model, own in SOLVED.items()
        for place, solved in own.items()
    ]
    summary = pd.DataFrame(rows).assign(metric="success_rate", seeds=25)
    cells = summary[CELL].assign(representable=["no" if row["task"] == "div" and row["model"] == "nmu" else "yes"
                                                for row in rows])  # fmt: skip
    sources = [Source(Table("mine", summary, cells=cells))]
    table, _ = ranking(sources)
    return table, sources, verdicts(table, sources, "net")


def test_one_sentence_counts_the_solved_cells_and_the_verdicts(found):
    table, _, own = found
    assert summed_up("net", table, own) == (
        "net solves 2 of 4 cells; better than NALU on 2 and NMU on 1, worse than NMU on 1, the same as others on 2, "
        "the rest inconclusive."
    )
    assert summed_up("net", table, own[:0]).endswith("there is nobody to compare it with.")


def test_the_terminal_shows_a_rank_for_each_task_and_range(found):
    lines = [line.split() for line in short("net", found[0]).splitlines()]
    assert [line[0] for line in lines[2:]] == ["small_1", "small_2"]
    assert lines[2][1:] == ["1", "of", "3", "(100%)", "1", "of", "2", "(48%)"]
    assert lines[3][1:] == ["2", "of", "3", "(52%)", "–", "(0%)"]
    assert "small_2" not in short("net", found[0], [("net", "mul", "small_1", "p", "")])
    assert "cannot" in short("nmu", found[0])


def test_tables_hold_rank_rate_interval_and_verdict_of_every_model(found):
    text = markdown_ranks(found[0], {"net": found[2]})
    rows = {tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in text.splitlines() if line[:1] == "|"}
    assert ("NALU", "25", "– 0 [0, 13] ▲", "– 0 [0, 13] ▲") in rows
    assert ("**net**", "**25**", "**1. 100 [87, 100]**", "**2. 52 [33, 70]**") in rows
    assert ("NMU", "25", "cannot 0 [0, 13] ▲", "cannot 0 [0, 13] =") in rows
    assert r"NALU & 25 & -- 0 [0, 13] $\blacktriangle$ &" in latex_ranks(found[0], {"net": found[2]})


def test_the_figure_shows_rates_over_all_ranges_best_first_and_says_who_is_left_out(found):
    rates = over_ranges(found[0]).set_index(["task", "entrant"])
    assert rates.loc[("mul", "net"), ["value", "low", "high"]].tolist() == list(success_rate(38, 50))
    assert not rates.loc[("div", "nalu"), "complete"]
    (figure,) = rank_dots(found[0], ["net"], finding="net solves 2 of 4 cells")
    assert figure.get_suptitle() == "net solves 2 of 4 cells"
    titles = {axes.get_title("left").replace("\n", " "): axes for axes in figure.axes}
    assert list(titles) == ["a × b, 2 ranges", "a ÷ b, 2 ranges; 1 not on every range"]
    names = [tick.get_text() for tick in titles["a × b, 2 ranges"].get_yticklabels()]
    assert names == ["NMU, 50", "net, 50", "NALU, 50"]
    assert max(figure.get_size_inches()) <= 9


def test_of_many_models_a_panel_has_the_best_and_ones_own(found):
    first = found[0][found[0]["task"] == "mul"]
    many = [first.assign(entrant=f"m{i}", value=i / 30) for i in range(30)]
    table = pd.concat([part[part["model"] == "net"] for part in many])[RANKING].drop_duplicates(["entrant", "range"])
    (figure,) = rank_dots(table, ["m0"])
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert len(names) == 16 and names[0] == "m29, 50" and names[-1] == "m0, 50"
    where = first.assign(trained="[1, 2]", judged="[2, 6]", middle=1.5, half_width=0.5)
    one = table[table["range"] == "small_1"]
    (figure,) = rank_dots(one, ["m0"], [where])
    assert figure.axes[0].get_title("left").replace("\n", " ").startswith("a × b, 1 to 2 → 2 to 6")
    (figure,) = rank_dots(table, ["m0"])
    assert "14 more below" in figure.axes[0].get_title("left").replace("\n", " ")
