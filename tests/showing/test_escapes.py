"""A name from a stranger's folder stays text in every output, and our own tables are read back to the same names."""

import importlib
import re

import pandas as pd
import pytest

from benchmark.errors import say, to_stderr
from benchmark.report import verdicts, what_was_run
from benchmark.results.tables import read_table, to_csv
from benchmark.showing.texts import (
    code_block,
    in_code,
    in_markdown,
    latex_tables,
    markdown_tables,
    of_cells,
    table,
)

HOSTILE = [
    r"$\frac{$", "a|b", "`x`", "```", "<script>alert(1)</script>", "[x](javascript:alert(1))", "&lt;", "*b*", "_b_",
    "=cmd|' /C calc'!A0", "'=1", "+1", "-1", "@SUM(1)", "\x1b[2J", "a\nb", "\r", "\u202eabc", r"\input{x}", "[3]",
    "100%", "# x",
]  # fmt: skip
KEY = ["task", "range", "protocol", "overrides"]


def summary(name):
    row = {"model": name, "metric": "success_rate", "value": 0.5, "low": 0.4, "high": 0.6, "seeds": 5}
    return pd.DataFrame([row | dict.fromkeys(KEY, name)])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_in_a_spreadsheet_holds_no_formula_and_is_read_back_to_the_same_names(name, tmp_path):
    made = summary(name).assign(why=name, digest="1")
    (tmp_path / "summary.csv").write_text(to_csv(made), newline="")
    raw = pd.read_csv(tmp_path / "summary.csv", dtype=str)
    assert not raw[["model", "why"]].map(lambda text: text[0] in "=+-@\t\r").any(axis=None)
    read = read_table(tmp_path / "summary.csv", list(made))
    assert read.to_dict("records") == made.replace("\r", "\n").to_dict("records")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_terminal_shows_control_characters_as_escapes(name, capsys):
    say(table([{"model": name}]))
    to_stderr(name)
    out, err = capsys.readouterr()
    assert all(character.isprintable() or character == "\n" for character in out + err)
    assert len(out.splitlines()) == 3


@pytest.mark.parametrize("command", ["compare", "ledger", "page", "rank", "report", "representable", "verify"])
def test_an_argument_that_a_command_does_not_know_is_repeated_as_escapes(command, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module(f"benchmark.{command}").main(["a", "b", "c", "--no\x1b[2J"])
    told = capsys.readouterr().err
    assert "\x1b" not in told and "error: " in told


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_a_name_as_it_is(name):
    markup = r"(?<!\\)(?:\\\\)*[`*<>|~&$]|\]\("
    assert not re.search(markup, in_markdown(name))
    told = markdown_tables(summary(name))
    header, line, row = told.split("\n")[-3:]
    assert [len(re.findall(r"(?<!\\)\|", part)) for part in (header, line, row)] == [3] * 3
    outcomes = summary(name).assign(seed=0, steps=1, verdict="solved")
    texts = [what_was_run({"outcomes": outcomes, "summary": summary(name)}), verdicts(outcomes).iloc[0, 0], told]
    facts = dict.fromkeys(("variance_trained", "variance_judged"), "infinite") | {"representable_trained": "no"}
    facts |= {"representable": "no", "why": name, "trained": name, "judged": name, "threshold": 1.0}
    cells = summary(name).assign(**facts)
    texts += map(in_markdown, of_cells(cells))
    assert not any("<script" in re.sub(r"\\.", "", re.sub(r"(`+).*?\1", "", text)) for text in texts)
    fence, *inside, end = code_block(name).splitlines()
    assert fence == f"{end}text" and set(end) == {"`"} and end not in inside
    opening = re.match("`+", in_code(name))[0]
    assert opening not in in_code(name)[len(opening) : -len(opening)]


@pytest.mark.parametrize("name", HOSTILE)
def test_latex_shows_a_name_as_it_is(name):
    told = latex_tables(summary(name))
    assert re.sub(r"\\[%_#&${}]", "", told).count("{") == re.sub(r"\\[%_#&${}]", "", told).count("}")
    assert r"\input" not in told and r"\frac" not in told
    body = told.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert not body.lstrip().startswith(("[", "*")) and len(re.findall(r"(?<!\\)&", body)) == 1
