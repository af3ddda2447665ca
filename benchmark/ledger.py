"""`python -m benchmark.ledger`: what papers claim, what the references say of it, and what else these show.

The claims are data, `results/published/claims.yaml`, which says how one is written; every number told is a table's.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from benchmark.asked.conf_files import PUBLISHED
from benchmark.asked.replicas import SEMANTICS
from benchmark.errors import Parser, UsageError, guarded, outlet, say
from benchmark.results.papers import AGREE, DIFFER, UNTOLD, VERDICTS, Claim, absent, evaluated, is_rate, read, rival
from benchmark.results.references import REFERENCES, references
from benchmark.results.tables import table_path, write_text
from benchmark.showing.names import MODELS, TASKS, label, not_finite, ordered
from benchmark.showing.texts import in_code, in_markdown, number

UNTRAINED = "not trained here"
BEGIN, END = "<!-- benchmark.ledger writes what follows -->", "<!-- benchmark.ledger wrote this -->"
TITLE, FINDINGS = "The ledger", "What this field did not know and these runs show"
HOW = """Ours agrees where its 95% interval lies within what is claimed, differs where it lies outside, and else cannot
tell. A published rate is compared by the rule of `compare`, over all networks of the line; beside another published
number ours is to be within a factor of two (for Figure 1 with the quartiles of the networks), and does not differ
where the interval printed with it reaches ours. Where a paper leaves its protocol open, one of our readings has to
agree. Runs of fewer steps than the paper's, or of fewer than six seeds, cannot tell. Seeds are ours, published ones in
brackets; (2 of 25 ∞) stands for those whose error is not finite, which a median leaves out. The command trains a
sample of the rows anew and compares them bit for bit, or trains the experiment."""


@dataclass(frozen=True)
class Line:
    """A claim, or several alike of which nothing was trained (`many`). paper: "" where it is ours. why: of one that
    differs, the reason, and whether an experiment shows it.
    """

    paper: str
    where: str
    says: str
    found: str
    verdict: str
    seeds: str = ""
    command: str = ""
    why: str = ""
    many: int = 1


def _claims() -> list[tuple[str, Claim]]:
    """Each claim and its paper, in the order of their file."""
    content: Any = OmegaConf.to_container(OmegaConf.load(PUBLISHED / "claims.yaml"))
    return [(paper["paper"], claim) for paper in content for claim in paper["claims"]]


def lines() -> list[Line]:
    """Every claim, in the order of its file."""
    return [line for paper, claim in _claims() for line in _lines(paper, claim)]


def how() -> str:
    """What the verdicts mean."""
    floored = [(paper, claim) for paper, claim in _claims() if "zero" in claim]
    floors = dict.fromkeys(f"{paper}, {claim['where']}, {number(claim['zero'])}" for paper, claim in floored)
    told = "What is below a floor, where printed digits, noise or precision end, counts as the floor"
    return fill(f"{HOW} {told}: {'; '.join(floors)}.", 120)


def _lines(paper: str, claim: Claim) -> list[Line]:
    where = claim["where"]
    if "test" in claim:
        return [Line(paper, where, claim["says"], "so, by a test", AGREE, command=f"pytest {claim['test']}")]
    if "in" not in claim:
        return [Line(paper, where, claim["says"], UNTRAINED, UNTOLD)]
    told, found = [], evaluated(claim)
    for key in _ordered(claim, found):
        rows, verdict = found[key]
        seeds = _span(rows["seeds"]) + (f" ({_span(rows['published_seeds'])})" if "published_seeds" in rows else "")
        why = _why(claim, key) if verdict == DIFFER else ""
        told.append(Line(paper, where, _said(claim, key, rows), _ours(claim, rows), verdict, seeds, command(rows), why))
    if missing := absent(claim, found):
        key = _ordered(claim, missing)[0]
        more = f", and {len(missing) - 1} more like this" if len(missing) > 1 else ""
        told.append(Line(paper, where, _said(claim, key, missing[key]) + more, UNTRAINED, UNTOLD, many=len(missing)))
    return told or [Line(paper, where, claim["says"], UNTRAINED, UNTOLD)]


def _ordered(claim: Claim, keys: Iterable[tuple]) -> list[tuple]:
    """The groups of a claim as models and tasks are ordered everywhere."""
    known = {"model": MODELS, "task": TASKS}
    columns = zip(claim.get("each", []), zip(*keys, strict=True), strict=False)
    orders = [ordered(values, known.get(name, [])) for name, values in columns]
    return sorted(keys, key=lambda key: [order.index(one) for order, one in zip(orders, key, strict=True)])


def _said(claim: Claim, key: tuple, rows: pd.DataFrame) -> str:
    names = dict(zip(claim.get("each", []), key, strict=True))
    if "model" in names:
        names["model"] = label(names["model"])
    if "task" in names:
        names["task"] = TASKS.get(names["task"], names["task"])
    return claim["says"].format(**names, published=_value(rows, "published") if "published" in rows else "")


def _ours(claim: Claim, rows: pd.DataFrame) -> str:
    """Our number with its interval, and that which it is to beat; of several rows the lowest and the highest."""
    if len(rows) > 1:
        told = _value(rows, "value")
    else:
        both = filter(None, [rows.iloc[0].to_dict(), rival(claim)])
        told = " against ".join(_with_interval(pd.DataFrame([row])) for row in both)
    return f"{told}, in fewer steps" if rows["protocol"].str.endswith("/quick").any() else told


def _with_interval(row: pd.DataFrame) -> str:
    value, low, high = (_value(row, name) for name in ("value", "low", "high"))
    told = value if low == high else f"{value} [{low}, {high}]"
    return told + not_finite(*row[["not_finite", "seeds"]].iloc[0]) if "not_finite" in row else told


def _value(rows: pd.DataFrame, column: str) -> str:
    """One number, or the lowest and the highest."""
    write = "{:.0%}".format if is_rate(rows) else number
    return _ends([write(value) for value in (rows[column].min(), rows[column].max())])


def _span(counts: pd.Series) -> str:
    known = counts.dropna().astype(int)
    return _ends([f"{value:,}" for value in (known.min(), known.max())]) if len(known) else "–"


def _ends(both: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys(both))


def _why(claim: Claim, key: tuple) -> str:
    """The reason for a difference, and what its experiment says of it."""
    changed = {name: value for name, value in {**claim, **claim.get("shown", {})}.items() if value is not None}
    shown = evaluated(changed).get(key) if "shown" in claim else None
    if shown is None:
        return f"{claim['why']}; not shown" if "why" in claim else "the reason is not shown"
    rows, verdict = shown
    told = {AGREE: "shown by", UNTOLD: "not excluded by", DIFFER: "not shown by"}[verdict]
    ours = _ours(claim, rows)
    if "spread" in changed:
        ours = f"{_value(rows, 'value')}, its seeds {_value(rows, 'low')} to {_value(rows, 'high')}"
    return f"{claim['why']}, {told} {rows['reference'].iloc[0]}: {ours}"


def command(rows: pd.DataFrame) -> str:
    """What trains rows of this reference anew: `verify`, or the experiment where the semantics are older."""
    folder, protocol = rows["reference"].iloc[0], rows["protocol"].iloc[0]
    if read(REFERENCES / folder, "cells")["semantics"].min() == SEMANTICS:
        return f"python -m benchmark.verify results/reference/{folder}"
    budget = f" protocol={protocol}" if protocol.endswith("/quick") else ""
    return f"python -m benchmark +experiment={folder}{budget}"


def counts(told: Sequence[Line]) -> pd.DataFrame:
    """How many claims of each paper agree, differ, cannot tell, or are of what was not trained."""
    rows = [(line.paper, UNTRAINED if line.found == UNTRAINED else line.verdict, line.many) for line in told]
    found = pd.DataFrame(rows, columns=["paper", "verdict", "many"]).query("paper != ''")
    table = found.pivot_table(index="paper", columns="verdict", values="many", aggfunc="sum", fill_value=0, sort=False)
    table = table.reindex(columns=[*VERDICTS, UNTRAINED], fill_value=0)
    table.loc["all"] = table.sum()
    return table.rename_axis("claims of").reset_index().astype(str)


def tables(told: Sequence[Line]) -> dict[str, pd.DataFrame]:
    """The lines of each paper, before them under "" those that are ours, of which no verdict is told."""
    found: dict[str, list[dict[str, str]]] = {"": []}
    for line in told:
        row = {"claim" if line.paper else "finding": f"{line.where}: {line.says}", "here": line.found}
        row |= {"verdict": line.verdict + (f": {line.why}" if line.why else "")} if line.paper else {}
        found.setdefault(line.paper, []).append(row | {"seeds": line.seeds, "command": line.command})
    return {paper: pd.DataFrame(rows) for paper, rows in found.items()}


def text(told: Sequence[Line]) -> str:
    """The ledger as Markdown: what is ours first, then what each paper claims."""
    parts = [BEGIN, f"## {TITLE}", how(), _markdown(counts(told))]
    for paper, frame in tables(told).items():
        folded = f"<details><summary>{escape(paper)}</summary>\n\n{_markdown(frame)}\n\n</details>"
        parts.append(folded if paper else f"### {FINDINGS}\n\n{_markdown(frame)}")
    return "\n\n".join([*parts, END])


def _markdown(frame: pd.DataFrame) -> str:
    """A table whose columns are not aligned, which would make it several times as large."""
    write = {name: in_code if name == "command" else in_markdown for name in frame}
    rows = [[write[name](cell) if cell else "" for name, cell in row.items()] for row in frame.to_dict("records")]
    return "\n".join(f"| {' | '.join(row)} |" for row in [[*frame], ["---"] * len(frame.columns), *rows])


def html(told: Sequence[Line]) -> str:
    """The ledger for the page, folded to a sentence."""
    number_of = counts(told).iloc[-1]
    said = ", ".join(f"{number_of[name]} {name}" for name in (*VERDICTS, UNTRAINED))
    parts = [
        f'<details id="ledger"><summary>{TITLE}: of the papers\' claims {said}</summary>',
        f"<p>{escape(how())}</p>",
    ]
    for paper, frame in tables(told).items():
        written = f'<div class="wide">{frame.to_html(index=False, border=0)}</div>'
        folded = f"<details><summary>{escape(paper)}</summary>{written}</details>"
        parts.append(folded if paper else f"<h2>{FINDINGS}</h2>{written}")
    return "\n".join([*parts, "</details>"])


def is_whole() -> bool:
    """Whether the references are here with all their tables, as in the repository and not in a wheel."""
    return all(table_path(REFERENCES / name, "outcomes").is_file() for name in references())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where there is nothing to tell from, or no place to write it."""
    parser = Parser(
        prog="python -m benchmark.ledger", description="Tell what papers claim and what the references say of it."
    )
    parser.add_argument("--into", metavar="FILE", help="write it there, in the place of the one that is there")
    options = parser.parse_args(arguments)
    return guarded(lambda: _ledger(options.into))


def _ledger(name: str | None) -> int:
    file = None if name is None else outlet("--into", name, is_file=True)
    if not is_whole():
        raise UsageError(f"{REFERENCES} holds summaries only, as in a wheel; the ledger is told in a clone")
    if file is None:
        say(text(lines()))
        return 0
    content = ""
    with suppress(FileNotFoundError, UnicodeDecodeError):
        content = file.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UsageError(f"{file} holds no ledger; write {BEGIN} and {END} where it is to stand")
    write_text(file, f"{before}{text(lines())}{after}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
