"""The terminal says what happened, what it means and where."""

import pandas as pd

from benchmark.run import run
from benchmark.showing.texts import beyond, late, report, table


def said(quick, tmp_path, *names):
    results = run(quick(*names, ["engine.workers=1"], results=tmp_path))
    return report(results.outcomes, results.summary, results.asked("cells")).splitlines()


def _rows(lines):
    """The table's, which ends at an empty line."""
    begin = next(i for i, line in enumerate(lines) if line.startswith("---")) + 1
    return lines[begin : lines.index("", begin)]


def test_columns_are_aligned_under_their_names():
    lines = table([{"a": "1", "bc": "22222"}, {"a": "333", "bc": ""}]).splitlines()
    assert lines == ["a    bc", "---  -----", "1    22222", "333"]


def test_each_cell_has_a_row_and_each_verdict_its_meaning(quick, tmp_path):
    lines = said(quick, tmp_path, ["nalu", "nac"], ["add", "mul"], ["symmetric"])
    assert [line.split()[:3] for line in _rows(lines)] == [
        [m, t, "symmetric"] for m in ("nac", "nalu") for t in ("add", "mul")
    ]
    assert any(line.startswith("cannot_represent: no weights of this model compute the task") for line in lines)
    assert lines[0].startswith("NAC adds −5 to 5 → −20 to −5 or 5 to 20 in ")
    assert "On −5 to 5 NALU cannot: log |x| loses the sign" in "\n".join(lines)
    assert "nac cannot represent mul on symmetric: W x can only add and subtract." in lines


def test_the_effective_ranges_are_told_for_every_task(quick, tmp_path):
    lines = said(quick, tmp_path, ["linear"], ["sqrt", "add", "div"], ["symmetric"])
    assert "sqrt on symmetric: trained on [0, 5], judged on [5, 20]." in lines
    assert "add on symmetric: trained on [-5, 5], judged on [-20, -5] ∪ [5, 20]." in lines
    effective = "trained on a [-5, 5], b [-5, -0.1] ∪ [0.1, 5], judged on [-20, -5] ∪ [5, 20]."
    assert f"div on symmetric: {effective}" in lines


def test_where_no_threshold_exists_no_success_is_told(quick, tmp_path):
    to_zero = ["task.div.margin=0", "range.pos_0_1.extrapolation=[[0,5]]"]
    results = run(quick(["nalu"], ["div", "mul"], ["pos_0_1"], ["engine.workers=1", *to_zero], results=tmp_path))
    lines = report(results.outcomes, results.summary, results.asked("cells")).splitlines()
    rows = {line.split()[1]: line for line in _rows(lines)}
    assert "% [" in rows["mul"]
    assert "% [" not in rows["div"]
    where = "on pos_0_1: trained on [0, 1], judged on [0, 5]"
    assert f"mul {where}." in lines
    assert f"div {where}, without a threshold: weights wrong by ε err by ∞." in lines
    infinite = [line for line in lines if "have no finite variance" in line]
    assert [line.split(",")[0] for line in infinite] == ["The targets of div on pos_0_1"] * 2


def test_a_rate_that_hangs_on_the_last_tenth_of_the_run_is_told():
    rows = [("nalu", 950)] * 2 + [("nalu", 500)] * 2 + [("nac", 950)] + [("nac", 900)] * 9
    names = {"task": "mul", "range": "positive", "protocol": "default", "overrides": "", "steps": 1000, "solved": True}
    table = pd.DataFrame([{"model": model, "solved_at": step} | names for model, step in rows])
    (told,) = late(table)
    assert told.startswith("nalu on mul, positive: 2 of the 4 that solve it first pass the threshold in the last tenth")


def test_what_is_judged_inside_only_is_told_of_beyond_and_of_either_side():
    cell = {"model": "nalu", "task": "mul", "range": "mine", "protocol": "default", "overrides": ""}
    ends = {"trained": "[0, 10]", "judged": "[1, 9]", "inputs": 2}
    profile = pd.DataFrame([cell | {"x": x, "relative": error} for x, error in ((0.5, 0.0), (2.0, 0.5), (3.0, 1.0))])
    answers = [("a", -10, -50, 50), ("a", 0, 0, 0), ("a", 20, 100, 101), ("b", 30, 150, 0)]
    names = ["operand", "x", "target", "median"]
    responses = pd.DataFrame([cell | dict(zip(names, row, strict=True)) for row in answers])
    (told,) = beyond(profile, pd.DataFrame([cell | ends]), responses)
    assert told == (
        "mul on mine is judged inside its training range only. Beyond it, at 3 times its half-width, the median "
        "relative error is 100% (NALU). With a alone at −10 the median answer is off by 200% (NALU). With a alone at "
        "20 the median answer is off by 1% (NALU)."
    )
    assert beyond(profile, pd.DataFrame([cell | ends | {"judged": "[10, 20]"}]), responses) == []
