"""`python -m benchmark.rank A [B ...]`: every model's place, task by task, and one's own against all others."""

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from shlex import quote

import pandas as pd

from benchmark.asked.conf_files import published_of, published_tables
from benchmark.compare import load, stems
from benchmark.errors import Parser, UsageError, guarded, outlet, say, to_stderr, unknown
from benchmark.results.agreement import Table
from benchmark.results.ranking import METRICS, RANKING, Source, ranking, verdicts
from benchmark.results.references import REFERENCES, models_of_references, reference_of, references
from benchmark.results.tables import to_csv, write_text
from benchmark.showing import published, ranks
from benchmark.showing.texts import in_markdown

TAKEN = ("summary", "outcomes", "cells")  # of a folder's tables


def sources_of(name: str) -> tuple[list[Source], list[str]]:
    """What stands under a name, and sentences about what of it cannot be ranked.

    name: a results folder, a summary.csv, or else the name of a reference, of a published table or of both, which then
    both take part. Raises UsageError for anything else.
    """
    path = Path(name)
    if path.exists() or path.suffix or path.parent != Path("."):
        return [_measured(name, path)], []
    return _of_name(name)


@lru_cache(1)  # for a run's end, which asks twice
def _of_name(name: str) -> tuple[list[Source], list[str]]:
    papers = published_tables("metric")
    if name not in {*references(), *papers}:
        raise unknown("results folder, reference or published table", name, {*references(), *papers})
    found: list[Source] = []
    notes: list[str] = []
    if name in references():
        found.append(_measured(name, REFERENCES / name))
    paper = name if name in papers else published_of(name)
    if paper in papers:
        table = load(paper) if not Path(paper).exists() else Table(paper, published.load(paper))
        if found and not {*found[0].table.summary["protocol"]} & {*table.summary["protocol"]}:
            protocol = table.summary["protocol"].iloc[0]
            notes.append(f"The published table {paper} is of the protocol {protocol} and is not ranked with {name}")
        elif table.summary["metric"].isin(METRICS).any():
            found.append(Source(replace(table, name=f"{paper}, published"), published=True))
        else:
            notes.append(f"The published table {paper} has neither success rates nor relative errors to rank by")
    if not found:
        raise UsageError(notes[0])
    return found, notes


def _measured(name: str, path: Path) -> Source:
    return Source(replace(load(str(path)), name=name))


def own_models(sources: Sequence[Source]) -> list[str]:
    """The models of the first table that are in no other, in no reference and in no published table."""
    others = {model for source in sources[1:] for model in source.table.summary["model"]}
    own = [model for model in dict.fromkeys(sources[0].table.summary["model"]) if model not in others]
    if own := [model for model in own if model not in models_of_references()]:
        known = {model for name in published_tables("metric") for model in published.load(name)["model"]}
        own = [model for model in own if model not in known]
    return own


def entrants_of(table: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """The entrants of these names, or of these models, the measured ones if there are any; UsageError where none is."""
    found: list[str] = []
    for name in names:
        of_model = table[table["model"] == name]
        measured = of_model[of_model["standing"] == ""]
        own = next((rows for rows in (table[table["entrant"] == name], measured) if len(rows)), of_model)
        if own.empty:
            raise unknown("model in these cells", name, {*table["model"], *table["entrant"]})
        found += list(own["entrant"].unique())
    return list(dict.fromkeys(found))


def among(place: str, tables: Mapping[str, pd.DataFrame], cells: Collection[tuple] | None = None) -> str:
    """The verdict on the models of a folder that are in no reference, in a few lines; "" where there is none to give.

    They stand among the folder's other models, those of the reference of their protocol, and its published rates.

    place: the folder, as the command of the whole ranking names it. tables: the folder's, by name. cells: the names of
    those that were asked for; all if None.
    """
    summary = tables["summary"]
    own = own_models([Source(Table(place, summary))])
    theirs = summary[summary["model"].isin(own)]
    parts = []
    for reference in dict.fromkeys(map(reference_of, theirs["protocol"].unique())):
        if reference is not None:
            protocols = [name for name in summary["protocol"].unique() if reference_of(name) == reference]
            of = {name: tables[name][tables[name]["protocol"].isin(protocols)] for name in TAKEN if name in tables}
            parts.append(_among(place, reference, of, own, cells))
    return "\n\n".join(filter(None, parts))


def _among(
    place: str, reference: str, tables: Mapping[str, pd.DataFrame], own: Sequence[str], cells: Collection[tuple] | None
) -> str:
    """The verdict beside one reference."""
    known = tables.get("cells")
    version = None if known is None else int(known["semantics"].max())
    mine = Source(Table("this folder", tables["summary"], tables.get("outcomes"), version, known))
    sources, notes = [mine, *_of_name(reference)[0]], []
    try:
        table, _ = ranking(sources)
        notes = semantics_apart(sources)
        where = f"{reference} and this folder"
    except UsageError as error:  # nothing was asked alike
        notes = [f"{error}. Whoever is trained into this folder under the same settings is ranked here"]
        sources, where = [mine], mine.table.name
        table, _ = ranking(sources)
    shown = table[table["model"].isin(own) & table["standing"].eq("")]
    if cells is not None:
        shown = shown[ranks.of_cells(shown, cells)]
    entrants = list(shown["entrant"].unique())
    if not entrants:
        return ""
    parts = []
    if table["entrant"].nunique() > len(entrants):
        for entrant in entrants:
            others = table.loc[table["entrant"] != entrant, "entrant"].nunique()
            models = f"{others} other model{'s' * (others > 1)}"
            parts += [f"{ranks.entrant_label(entrant)} beside {models} of {where}: rank (success rate)"]
            parts += [ranks.short(entrant, table, cells)]
            parts += [ranks.summed_up(entrant, table, verdicts(table, sources, entrant))]
        beside = f" {reference}" if len(sources) > 1 else ""
        notes.append(f"The whole ranking: python -m benchmark.rank {quote(place)}{beside}")
    return "\n".join([*parts, *notes])


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 for tables that cannot be ranked."""
    parser = Parser(
        prog="python -m benchmark.rank",
        description="Rank models task by task and range by range, and tell against whom one's own is better or worse.",
        epilog=ranks.EXPLANATION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = "a results folder, a summary.csv, or the name of a reference or a published table, or of both at once"
    parser.add_argument("A", help=f"whose cells are ranked: {kinds}")
    parser.add_argument("B", nargs="*", help=f"who else takes part in them: {kinds}")
    parser.add_argument(
        "--model", action="append", metavar="NAME",
        help="a model of one's own, compared with each other; repeatable (default: those of A that are in no other "
        "table, no reference and no published table; else the first of A)",
    )  # fmt: skip
    parser.add_argument("--output", metavar="DIR", help="where CSV, LaTeX and figure go (default: results/rank/A-B)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _rank(options))


def _rank(options: argparse.Namespace) -> int:
    names = list(dict.fromkeys([options.A, *options.B]))
    sources: list[Source] = []
    notes: list[str] = []
    for name in names:
        found, more = sources_of(name)
        sources += found
        notes += more
    default = Path("results/rank") / "-".join(stems(*names))
    output = outlet("--output", default if options.output is None else options.output)
    table, more = ranking(sources)
    notes += [*more, *semantics_apart(sources)]
    chosen = options.model or own_models(sources)
    first = sources[0].table.summary["model"].iloc[0]
    own = entrants_of(table, chosen) if chosen else entrants_of(table, [first])[:1]
    against = {entrant: verdicts(table, sources, entrant) for entrant in own}
    write_text(output / "ranking.csv", to_csv(table[RANKING]))
    write_text(output / "verdicts.csv", to_csv(pd.concat(against.values(), ignore_index=True)))
    write_text(output / "ranking.tex", ranks.latex_ranks(table, against))
    from benchmark.showing import figures

    written = ["ranking.csv", "verdicts.csv", "ranking.tex"]
    sentences = {entrant: ranks.summed_up(entrant, table, found) for entrant, found in against.items()}
    finding = "; ".join(sentence.partition(";")[0] for sentence in sentences.values())
    known = [source.table.cells for source in sources if source.table.cells is not None]
    for stem, figure in figures.numbered("ranking", figures.rank_dots(table, own, known, finding)):
        written += [path.name for path in figures.save(figure, output / stem)]
    for note in notes:
        to_stderr(f"note: {note}")
    if not chosen:
        to_stderr(f"note: {names[0]} has no model of your own: {own[0]}, its first, is compared; --model names another")
    say(ranks.markdown_ranks(table, against))
    for entrant, found in against.items():
        say(f"\n{in_markdown(sentences[entrant])}\n\n{ranks.counted(found)}")
    papers = table[table["standing"] != ""].drop_duplicates(["source", "standing"])
    for source, standing in papers[["source", "standing"]].itertuples(index=False, name=None):
        say(f"\n{in_markdown(source)}: {in_markdown(standing)}.")
    unrated = len(table.loc[table["metric"] != METRICS[0], ["task", "range"]].drop_duplicates())
    told = f"; the figure is of success rates, which {unrated} task × range do not have" if unrated else ""
    told = told if len(written) > 3 else "; no figure: there are no success rates"
    say(f"\n{ranks.explanation(own)}\n\n{output}: {', '.join(written)}{told}")
    return 0


def semantics_apart(sources: Sequence[Source]) -> list[str]:
    """A sentence where tables of several versions of the semantics are ranked together."""
    known: dict[int, list[str]] = {}
    for source in sources:
        if source.table.semantics is not None:
            known.setdefault(source.table.semantics, []).append(source.table.name)
    if len(known) < 2:
        return []
    told = "; ".join(f"version {version}: {', '.join(known[version])}" for version in sorted(known))
    return [f"These tables are of several versions of the semantics, under which one seed gives other numbers ({told})"]


if __name__ == "__main__":
    raise SystemExit(main())
