"""`python -m benchmark.report DIR`: a results folder's tables, figures and REPORT.md again, without training."""

import hashlib
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path

import pandas as pd

from benchmark import rank
from benchmark.asked.replicas import CELL
from benchmark.errors import Parser, UsageError, guarded, say, to_stderr, unexpected, unknown
from benchmark.results import statistics
from benchmark.results.store import Store
from benchmark.results.tables import check_together, read_table, sweep, table_path, to_csv, write_text
from benchmark.run import derive
from benchmark.showing import figures, published, texts
from benchmark.showing.findings import few, findings
from benchmark.showing.names import MODELS, natural, ordered

LARGEST_STAMP = 1 << 20  # bytes of a list of figures
MOST_NAMED = 20  # figures, in the terminal
SOME = ("comparison", "outputs")  # tables that not every folder has
FIRST = ("opening", "summary")  # figures that stand beside the finding
NO_ANSWERS = (
    "No figure of what the networks answer: there is no responses.csv, which results have since version 2 of the "
    "semantics; trained anew they have one."
)
ROUND = str.maketrans("[]", "()")  # brackets would end a picture's text
# How to read a figure, by what its file's name begins with.
CAPTIONS = {
    "summary": "Left: the share of the networks that come as near to the truth as a relative error, inside (dashed) "
    "and outside (solid) their training range; the dotted line is at 1%. Right: what became of them.",
    "opening": "What four networks answer, beside the truth (dashed), inside and outside the stretch of training.",
    "success_by_setting": "Success rate, step at which a seed solves the task and relative error by setting.",
    "agreement": "Our success rates and scores (full dots) beside the published ones (open), each with its 95% "
    "interval, and what the agreement rule says of both.",
    "success": "Share of the seeds that solved each task; hatched is impossible.",
    "verdicts": "What became of the seeds of every model.",
    "error": "Relative error inside and outside the training range; ×3M is three million times the target.",
    "horizon": "How far from the middle of the training range the median relative error stays below 1%; 1 is its edge, "
    "and < stands where it does not even at the first distance measured from there on.",
    "success_by_range": "Success rate, solved at and sparsity error by range.",
    "error_by_distance": "Relative error against the distance from the middle of the training range.",
    "error_by_input": "Error against the input for tasks of one operand; the training range is shaded.",
    "error_by_input_heatmap": "The same errors as shares of the largest target; trained between the lines.",
    "learning_curves": "Error during training, inside (dashed) and outside (solid) the training range.",
    "initialisation": "What the networks are like before training.",
    "responses": "What networks answer along an operand, beside the truth (dashed); the training range is shaded.",
    "plane": "Error over both operands; the training range is outlined.",
}


def tables(
    folder: Path, asked: Mapping[tuple, str] | None = None, store: Store | None = None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """A folder's tables by name, brought up to date on disk, and sentences about what they leave out.

    From the shards where there are some; else from the tables themselves, of which the summary, where it is not there,
    and the numbers beside published ones follow from the others. asked: cell -> digest of the configuration that counts
    (see `Store.rows`). store: the folder's, where it is open already.
    Raises UsageError where there is neither, or a file that is not ours.
    """
    found: dict[str, pd.DataFrame] = {}
    notes: list[str] = []
    files = {name: table_path(folder, name) for name in statistics.TABLES}
    store = store or Store(folder)
    if shards := store.shards():
        store.missing([])  # refuses to drop rows whose shards are gone
        found, notes, _ = derive(store, asked)
    for name, path in files.items():
        if name not in found and path.is_file():
            found[name] = read_table(path, statistics.TABLES[name])
    if not shards:
        check_together(folder, found)
    if not shards and set(statistics.SOURCES) <= set(found):
        if "summary" not in found:
            _check_profile(found, files)
            found["summary"] = statistics.summary(*map(found.get, (*statistics.SOURCES, "outputs")))
            write_text(files["summary"], to_csv(found["summary"]))
        if (comparison := published.compare(found, None)) is not None:
            found["comparison"] = comparison
            write_text(files["comparison"], to_csv(comparison))
    if "summary" not in found:
        raise UsageError(f"{folder} holds no results: neither shards nor a summary.csv, nor all that it follows from")
    missing = [path.name for name, path in files.items() if name not in found and name not in SOME]
    if missing:
        notes = [*notes, f"{', '.join(missing)} not there: the figures that need it are left as they are"]
    return found, notes


def _check_profile(found: Mapping[str, pd.DataFrame], files: Mapping[str, Path]) -> None:
    """UsageError where no horizon follows from a folder's tables."""
    rise = found["profile"].groupby(CELL)["x"].agg(lambda x: len(x) > 1 and bool((x.diff().iloc[1:] > 0).all()))
    if not rise.all():
        raise UsageError(f"{files['profile']}: x does not rise within {' × '.join(rise.index[~rise][0][:3])}")
    if not (found["cells"]["half_width"] > 0).all():
        raise UsageError(f"{files['cells']}: the half_width of a training range must exceed 0")


def write(
    folder: Path, anew: bool = True, asked: Mapping[tuple, str] | None = None, formats: Sequence[str] = ("png",)
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Draw a folder's figures and write REPORT.md and summary.tex; `tables`' answer.

    Of what else lies in `figures` only what was drawn there before is removed, as `figures/.shown` lists it.

    anew: even if the figures are there and show these very tables. asked: as for `tables`. formats: as for
    `figures.save`.

    Nobody else draws there meanwhile, where files can be locked; what others have finished by the end is drawn too.
    """
    sweep(folder)
    store = Store(folder)
    with store.lock if store.shards() else nullcontext():
        for _ in range(2):
            found, notes = tables(folder, asked, store)
            shards, shown = len(store.shards()), _digest(folder)
            _draw(folder, found, shown, anew, formats)
            if (len(store.shards()), _digest(folder)) == (shards, shown):
                break
    return found, notes


def _digest(folder: Path) -> str:
    """Of a folder's tables."""
    files = sorted(path for path in (table_path(folder, name) for name in statistics.TABLES) if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _draw(folder: Path, found: dict[str, pd.DataFrame], shown: str, anew: bool, formats: Sequence[str]) -> None:
    """The figures, REPORT.md and summary.tex of these tables, of which `shown` is the digest."""
    stamp = folder / "figures" / ".shown"
    before, *made = _shown(stamp)
    there = all(os.path.isfile(stamp.parent / Path(name).name) for name in made)
    if anew or before != shown or not there:
        stamp.parent.mkdir(exist_ok=True)
        drawn = []
        for stem, figure in figures.draw(found):
            try:
                drawn += [path.name for path in figures.save(figure, stamp.parent / stem, formats)]
            except (ValueError, RuntimeError) as error:  # matplotlib's, of texts and layouts
                warnings.warn(f"The figure {stem} cannot be drawn. {unexpected(error)}", stacklevel=2)
        if {"cells", "curves", "plane"} <= set(found):  # else a figure that was drawn from more than is left here stays
            for path in (stamp.parent / name for name in {Path(name).name for name in made} - set(drawn)):
                if os.path.isfile(path) or os.path.islink(path):  # whatever the list says
                    path.unlink()
            made = []
        write_text(stamp, "\n".join([shown, *sorted({*made, *drawn})]))
    write_text(folder / "summary.tex", texts.latex_tables(found["summary"]))
    write_text(folder / "REPORT.md", text(folder, found))


def _shown(stamp: Path) -> list[str]:
    """What figures are of, and their names: what the last report wrote down, as far as it can be read."""
    if not stamp.is_file() or stamp.stat().st_size > LARGEST_STAMP:
        return [""]
    return stamp.read_text(encoding="utf-8", errors="replace").splitlines() or [""]


def text(folder: Path, found: dict[str, pd.DataFrame]) -> str:
    """What REPORT.md says: what was run, the tables, the figures, versions, time and cost."""
    title = f"# {texts.in_markdown(folder.resolve().name)}"
    ours = [path for path in (folder / "figures").glob("*.png") if _kind(path.stem)[1]]
    ours.sort(key=lambda path: (_kind(path.stem)[0], natural(path.stem)))
    first = [path for path in ours if path.stem in FIRST]
    drawings = list(figures.drawings(found))
    drawn = {drawing.stem: drawing for drawing in drawings}
    parts = []
    if {"outcomes", "cells"} <= set(found):
        sentences = [*findings(found["outcomes"], found["cells"]), few(found["outcomes"])]
        if "profile" in found:
            sentences += texts.beyond(found["profile"], found["cells"], found.get("responses"))
        parts += ["## Finding", *map(texts.in_markdown, sentences)]
        parts += [_pictures(first, drawn)]
    parts += ["## What was run", what_was_run(found)]
    ranges = figures.titles.ranges(found["cells"]) if "cells" in found else None
    parts += ["## Results", texts.markdown_tables(found["summary"], ranges)]
    if "outcomes" in found:
        parts += [texts.markdown(verdicts(found["outcomes"]))]
        seen = [name for name in statistics.VERDICTS if (found["outcomes"]["verdict"] == name).any()]
        parts += ["\n".join(f"* **{name}**: {texts.MEANINGS[name]}." for name in seen)]
        if late := texts.late(found["outcomes"]):
            parts += ["\n".join(f"* {texts.in_markdown(sentence)}" for sentence in late)]
    if "cells" in found:
        parts += ["\n".join(f"* {texts.in_markdown(sentence)}" for sentence in texts.of_cells(found["cells"]))]
    if "comparison" in found and (told := published.tell(found["comparison"], found.get("outcomes"))):
        parts += ["## Beside the published numbers", texts.code_block(told.strip())]
    if told := rank.among("DIR", found):
        parts += ["## Among the published units", texts.code_block(told)]
    parts += ["## Figures"]
    for _, same in groupby((path for path in ours if path not in first), key=lambda path: _kind(path.stem)):
        parts += [_pictures([*same], drawn)]
    without = figures.left_out(drawings) + ([] if "responses" in found else [NO_ANSWERS])
    parts += ["\n".join(f"* {texts.in_markdown(sentence)}" for sentence in without)]
    parts += ["## Versions, time and cost", cost(found), "LaTeX of the tables: `summary.tex`."]
    parts = [part for part in parts if part]
    contents = [part.removeprefix("## ") for part in parts if part.startswith("## ")]
    links = " · ".join(f"[{name}](#{re.sub(r'[^a-z -]', '', name.lower()).replace(' ', '-')})" for name in contents)
    return "\n\n".join([title, links, *parts]) + "\n"


def _pictures(paths: Sequence[Path], drawn: Mapping[str, figures.Drawing]) -> str:
    """Figures of one kind under how they are read; each says instead of itself what it shows, and of what it is."""
    parts = []
    for path in paths:
        told, name = _kind(path.stem)[1], _name(path.stem)
        stem = path.stem if path.stem in drawn else re.sub(r"-\d+$", "", path.stem)  # of a further page
        if drawing := drawn.get(stem):
            shown, kind, rest = drawing.claim(), drawing.kind, [drawing.title, path.stem.removeprefix(stem).strip("-")]
        else:
            shown, kind, rest = "", path.stem, []
        own = ", ".join(filter(None, [kind.removeprefix(name).strip("_-").replace("_", " on ", 1), *rest]))
        parts += [told] if told not in parts else []
        alt = " ".join(filter(None, [shown or told, f"({own})" if own else ""]))
        parts += [f"![{texts.in_markdown(alt.translate(ROUND))}](figures/{path.name})"]
    return "\n\n".join(parts)


def _kind(stem: str) -> tuple[int, str]:
    """(place among the figures, caption) by the longest of our names that a file's begins with; "" for others."""
    name = _name(stem)
    return list(CAPTIONS).index(name) if name else len(CAPTIONS), CAPTIONS.get(name, "")


def _name(stem: str) -> str:
    known = [name for name in CAPTIONS if re.fullmatch(rf"{name}[\w.=-]*", stem, re.ASCII)]
    return max(known, key=len, default="")


def what_was_run(found: dict[str, pd.DataFrame]) -> str:
    """Models, tasks, ranges, protocols and seeds, a line for each protocol and set of overrides."""
    table = found.get("outcomes", found["summary"])
    lines = []
    groups = sorted(table.groupby(["protocol", "overrides"]), key=lambda group: [*map(natural, group[0])])
    for (protocol, overrides), rows in groups:
        models = ordered(rows["model"], MODELS)
        told = f"* protocol {texts.in_code(protocol)}" + (f" with {texts.in_code(overrides)}" if overrides else "")
        named = [", ".join(map(texts.in_markdown, rows[key].unique())) for key in ("task", "range")]
        told += f": {', '.join(map(texts.in_markdown, models))} on {'; ranges '.join(named)}"
        if "seed" in rows:
            seeds = rows.groupby(CELL)["seed"].count()
            count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
            told += f"; {count} seeds, {rows['steps'].max():,} steps; {len(rows):,} networks"
        lines.append(told)
    return "\n".join(lines)


def verdicts(outcomes: pd.DataFrame) -> pd.DataFrame:
    """How many networks of each model came to which verdict."""
    counts = outcomes.groupby(["model", "verdict"]).size().unstack(fill_value=0)
    counts = counts.reindex(index=ordered(counts.index, MODELS), columns=statistics.VERDICTS, fill_value=0)
    counts.index = counts.index.map(texts.in_markdown)
    return counts.astype(str).rename_axis("networks, all tasks and ranges").reset_index()


def cost(found: dict[str, pd.DataFrame]) -> str:
    """What computed the results, and what that took."""
    if "outcomes" not in found:
        return "Unknown: there is no outcomes.csv."
    outcomes = found["outcomes"]
    steps, seconds = outcomes["steps"].sum(), outcomes["seconds"].sum()
    names = ("benchmark", "torch", "engine", "device", "dtype")
    told = lambda name: ", ".join(sorted(map(texts.in_markdown, outcomes[name].astype(str).unique())))
    versions = "; ".join(f"{name} {told(name)}" for name in names)
    rate = f" ({steps / seconds:,.0f} a second and core)" if seconds > 0 else ""
    return f"{versions}. {steps:,.0f} replica-steps took {seconds:,.0f} core-seconds{rate}, evaluation included."


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where there is nothing to report on."""
    parser = Parser(
        prog="python -m benchmark.report",
        description="Derive a results folder's tables again, draw its figures and write REPORT.md and summary.tex, "
        "without training. A summary.csv alone is printed as Markdown and LaTeX.",
    )
    parser.add_argument("DIR", type=Path, help="a results folder, or a summary.csv")
    parser.add_argument(
        "--formats", default="png", metavar="png,svg,pdf", help="what figures are written as (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    return guarded(lambda: _report(options.DIR, options.formats.split(",")))


def _report(path: Path, formats: list[str]) -> int:
    for form in formats:
        if form not in figures.FORMATS:
            raise unknown("format", form, figures.FORMATS)
    if "png" not in formats:
        raise UsageError(f"--formats ({','.join(formats)}) must hold png, which REPORT.md shows")
    if path.is_file():
        summary = read_table(path, statistics.SUMMARY)
        say(f"{texts.markdown_tables(summary)}\n\n{texts.latex_tables(summary)}")
        return 0
    if not path.is_dir():
        raise UsageError(f"There is no results folder {path}")
    found, notes = write(path, formats=list(dict.fromkeys(formats)))
    for note in notes:
        to_stderr(f"note: {note}")
    say(f"{texts.markdown_tables(found['summary'])}\n\n{files_of(path)}")
    return 0


def files_of(folder: Path, own: Sequence[str] | None = None) -> str:
    """The names of a folder's files, for the terminal. own: the stems of the figures to name, if not all count."""
    plain = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    tables = ", ".join(name for name in plain if ".csv" in name)
    pictures = sorted((path.stem for path in (folder / "figures").glob("*.png")), key=natural)
    shown = [one for one in pictures if own is None or one in own or re.sub(r"-\d+$", "", one) in own]
    told = f"Figures: {len(pictures)} in {folder / 'figures'}"
    if len(shown) < len(pictures):
        more = f" and {len(shown) - MOST_NAMED} more" if len(shown) > MOST_NAMED else ""
        told += f", of which {len(shown)} show what was asked for: {', '.join(shown[:MOST_NAMED])}{more}"
    return f"Report: {folder / 'REPORT.md'}\n{told}\nTables, in {folder}: {tables}"


if __name__ == "__main__":
    raise SystemExit(main())
