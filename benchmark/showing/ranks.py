"""From a ranking to what the terminal, a report and a paper say of it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.asked.replicas import CELL
from benchmark.results.agreement import COUNT, SYMBOLS, VERDICTS
from benchmark.results.ranking import ASKED, METRICS, SOLVED, is_pool
from benchmark.showing.names import MODELS, TASKS, label, latex, natural, not_finite, ordered
from benchmark.showing.texts import in_markdown, markdown, number, table

NAMED = 5  # models that a sentence names
ACROSS = 4  # ranges beside each other in a table of a paper
CANNOT = "cannot"
NOWHERE = "–"  # whoever has no rank for another reason
HEADINGS = {
    METRICS[0]: "rank, success rate in % [95% interval]",
    METRICS[1]: "rank, median relative error outside [95% interval], for want of a threshold",
}
EXPLANATION = (
    f"A cell (task × range) is solved where more than {SOLVED:.0%} of the seeds are. Rates that tie share a rank; a\n"
    f"model that solves it in no seed has none ({NOWHERE}), nor has one that cannot represent the task ({CANNOT}).\n"
    "Better, worse and the same are by the rule of benchmark.compare, Holm-corrected over all comparisons of one's\n"
    "own model and metric."
)
IN_LATEX = {"▲": r"$\blacktriangle$", "▼": r"$\blacktriangledown$"}
ONE_OF_MANY = ["task", "protocol", "overrides", "metric"]  # what one table is of


def entrant_label(entrant: str) -> str:
    """The name of who enters a ranking as papers write it.

    >>> entrant_label("nmu (published)"), entrant_label("Net (options.width=8)")
    ('NMU (published)', 'Net (options.width=8)')
    """
    model, mark, more = entrant.partition(" (")
    return label(model) + mark + more


def summed_up(entrant: str, ranking: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """One sentence: how many cells an entrant solves, whom it is better than and worse than, and on how many."""
    own = ranking[(ranking["entrant"] == entrant) & ~is_pool(ranking)]
    rates, name = own[own["metric"] == METRICS[0]], entrant_label(entrant)
    does = [f"solves {(rates['value'] > SOLVED).sum()} of {_cells(len(rates))}"] if len(rates) else []
    if errors := len(own) - len(rates):
        first = (own["metric"].eq(METRICS[1]) & own["rank"].eq(1)).sum()
        does.append(f"has the least error on {first} of {_cells(errors)} without a threshold")
    counts = verdicts.groupby(["verdict", "against"]).size()
    parts = []
    for verdict in ("better", "worse"):
        if verdict in counts.index:
            many = counts[verdict].sort_values(ascending=False, kind="stable")
            named = [f"{entrant_label(str(other))} on {count}" for other, count in many[:NAMED].items()]
            if len(many) > NAMED:
                named.append(f"{len(many) - NAMED} more on {many[NAMED:].sum()}")
            parts.append(f"{verdict} than {_listed(named)}")
    left = {verdict: (verdicts["verdict"] == verdict).sum() for verdict in ("same", "inconclusive")}
    parts += [f"the same as others on {left['same']}"] if left["same"] else []
    parts += [("the rest" if parts else "every comparison") + " inconclusive"] if left["inconclusive"] else []
    if not len(verdicts):
        parts = ["there is nobody to compare it with"]
    return f"{name} {' and '.join(does)}; {', '.join(parts)}."


def _cells(count: int) -> str:
    return f"{count} cell{'s' * (count != 1)}"


def _listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]


def explanation(own: Sequence[str]) -> str:
    """How to read the tables and the sentences."""
    names = _listed([entrant_label(entrant) for entrant in own])
    order = ", one sign for each of them" if len(own) > 1 else ""
    signs = (
        f"The sign after a number: against that model {names} is ▲ better, ▼ worse, = the same, ? inconclusive{order}."
    )
    return f"{EXPLANATION} {signs}"


def short(entrant: str, ranking: pd.DataFrame, cells: Iterable[tuple] | None = None) -> str:
    """An entrant's ranks and rates for the terminal, range × task. cells: the names of those shown; all if None."""
    own = ranking[ranking["entrant"] == entrant]
    if cells is not None:
        own = own[of_cells(own, cells)]
    count = ranking[~ranking["cannot"]].groupby(ASKED).size()
    everybody = ranking.groupby(ASKED).size()
    rows: dict[tuple, dict[str, str]] = {}
    varying = [name for name in ("protocol", "overrides") if own[name].nunique() > 1]
    for row in own.to_dict("records"):
        value = (
            f"{row['value']:.0%}"
            if row["metric"] == METRICS[0]
            else f"error {number(row['value'])}{not_finite(row[COUNT])}"
        )
        cell = tuple(row[name] for name in ASKED)
        text = CANNOT if row["cannot"] else f"{row['rank']:.0f} of {count.get(cell, 0)}" if row["rank"] > 0 else NOWHERE
        text = f"{text if everybody[cell] > 1 else 'alone'} ({value})"
        place = (row["range"], *(row[name] for name in varying))
        rows.setdefault(place, dict(zip(["range", *varying], place, strict=True)))[_task(row["task"])] = text
    heads = ["range", *varying, *map(_task, ordered(own["task"], TASKS))]
    return table([{head: row.get(head, "") for head in heads} for row in rows.values()])


def of_cells(ranking: pd.DataFrame, cells: Iterable[tuple]) -> np.ndarray:
    """Which rows of a ranking are of these cells of their own tables."""
    names = pd.MultiIndex.from_frame(ranking[["model", "task", "range", "protocol", "given"]], names=CELL)
    return names.isin(list(cells))


def _task(task: str) -> str:
    return TASKS.get(task, task)


def markdown_ranks(ranking: pd.DataFrame, own: Mapping[str, pd.DataFrame]) -> str:
    """Model × range of each task: rank, rate and interval, and the verdicts of one's own, whose rows are bold."""
    parts = []
    for names, part in _tables(ranking):
        frame = _matrix(part, own, in_markdown, "**{}**")
        parts.append(f"**{in_markdown(_title(names))}**: {HEADINGS[names[-1]]}\n\n{markdown(frame)}")
    return "\n\n".join(parts)


def latex_ranks(ranking: pd.DataFrame, own: Mapping[str, pd.DataFrame]) -> str:
    """The tables of `markdown_ranks` for LaTeX with booktabs, a few ranges in each."""
    written = []

    def plain(text: str) -> str:
        return re.sub("[▲▼]", lambda found: IN_LATEX[found[0]], latex(text))

    for names, part in _tables(ranking):
        ranges = _ranges(part)
        for begin in range(0, len(ranges), ACROSS):
            few = part[part["range"].isin(ranges[begin : begin + ACROSS])]
            frame = _matrix(few, own, plain, r"\textbf{{{}}}").set_index("model")
            caption = f"{_title(names)}: {HEADINGS[names[-1]]}. {explanation([*own])}"
            words = re.findall(r"[A-Za-z0-9.]+", " ".join([*names, *few["range"].unique()[:1]]))
            written.append(
                frame.rename_axis(None).style.to_latex(
                    hrules=True,
                    column_format="l" + "r" * len(frame.columns),
                    position_float="centering",
                    caption=plain(caption),
                    label="tab:rank-" + "-".join(words),
                )
            )
    return "% needs \\usepackage{booktabs,amssymb}\n" + "\n".join(written)


def _tables(ranking: pd.DataFrame) -> list[tuple[tuple[str, str, str, str], pd.DataFrame]]:
    """((task, protocol, overrides, metric), rows) of each table, task by task."""
    groups = [(names, part) for names, part in ranking.groupby(ONE_OF_MANY, sort=False)]
    tasks = ordered(ranking["task"], TASKS)
    return sorted(groups, key=lambda group: (tasks.index(group[0][0]), *group[0][1:]))


def _title(names: tuple[str, str, str, str]) -> str:
    return " · ".join(filter(None, (_task(names[0]), *names[1:3])))


def _matrix(
    part: pd.DataFrame, own: Mapping[str, pd.DataFrame], write: Callable[[str], str], bold: str
) -> pd.DataFrame:
    """One table: entrants from first to last, ranges across; whoever has no rank anywhere comes last."""
    key = ["against", *ASKED]
    signs = [found.set_index(key)["verdict"].map(SYMBOLS).to_dict() for found in own.values()]
    told = (lambda value: number(round(100 * value, 0))) if part["metric"].iloc[0] == METRICS[0] else number

    def text(row: dict) -> str:
        value = told(row["value"])
        if row["low"] == row["low"]:
            value += f" [{told(row['low'])}, {told(row['high'])}]"
        value += not_finite(row[COUNT], row["seeds"])
        rank = CANNOT if row["cannot"] else f"{row['rank']:.0f}." if row["rank"] > 0 else NOWHERE
        place = (row["entrant"], *(row[name] for name in ASKED))
        verdict = "".join(sign.get(place, "") for sign in signs)
        return " ".join(filter(None, (rank, value, verdict)))

    shown = part.assign(text=[text(row) for row in part.to_dict("records")])
    wide = shown.pivot(index="entrant", columns="range", values="text").fillna("")[_ranges(part)]
    counts = part.groupby("entrant")["seeds"].agg(["min", "max"])
    rows = []
    for entrant in _order(part):
        low, high = counts.loc[entrant]
        seeds = "–" if low != low else f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
        row = {"model": entrant_label(entrant), "seeds": seeds} | wide.loc[entrant].to_dict()
        style = bold if entrant in own else "{}"
        rows.append({write(str(head)): style.format(write(cell)) if cell else "" for head, cell in row.items()})
    return pd.DataFrame(rows)


def _ranges(part: pd.DataFrame) -> list[str]:
    """By name, sets of ranges last."""
    pools = is_pool(part).groupby(part["range"]).first()
    return sorted(pools.index, key=lambda name: (pools[name], natural(name)))


def _order(part: pd.DataFrame) -> list[str]:
    """Entrants by their mean rank, those without one last."""
    means = part.assign(rank=part["rank"].fillna(part["rank"].fillna(0).max() + 1)).groupby("entrant")["rank"].mean()
    places = {name: place for place, name in enumerate(ordered(means.index, MODELS))}
    return sorted(means.index, key=lambda name: (means[name], places[name]))


def counted(verdicts: pd.DataFrame) -> str:
    """How often an entrant is better than each other, worse, the same or neither, as Markdown."""
    counts = verdicts.groupby(["against", "verdict"]).size().unstack(fill_value=0).reindex(columns=VERDICTS)
    counts = counts.fillna(0).astype(int).assign(cells=lambda table: table.sum(axis=1))
    counts = counts.loc[ordered(counts.index, MODELS)]
    counts.index = pd.Index([in_markdown(entrant_label(str(name))) for name in counts.index], name="than")
    return markdown(counts.reset_index().astype(str))
