"""Who comes first, cell by cell? From several tables to ranks, and to one model's verdicts against all others.

A cell of a ranking is a task × range under one protocol and its overrides: what was asked of all alike. Who enters
it is a model with the settings of its own, if it was given any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmark.asked.conf_files import members_of
from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError
from benchmark.results.agreement import COMPARISON, COUNT, Table, both_over_sets_of_ranges, differences
from benchmark.results.intervals import success_rate
from benchmark.results.statistics import of_most

ASKED = ["task", "range", "protocol", "overrides"]
METRICS = ("success_rate", "relative_extrapolation")  # ranks are by the first, or by the second where no cell has it
SOLVED = 0.5  # a model solves a cell where more than this share of its seeds do
RANKING = [*ASKED, "entrant", "model", "source", "standing", "metric", "rank", *COMPARISON, "cannot", COUNT]
VERDICTS = ["entrant", "against", *ASKED, "metric", *(f"{name}_{side}" for side in "ab" for name in COMPARISON),
            "difference", "low", "high", "p", "p_adjusted", "verdict"]  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A table that takes part. published: a paper's numbers."""

    table: Table
    published: bool = False


def ranking(sources: Sequence[Source]) -> tuple[pd.DataFrame, list[str]]:
    """(every entrant's rank in every cell of the first source, sentences about what is left out).

    Ranks are by success rate; where a cell has none, for want of a threshold, by median relative error outside. Those
    that tie share a rank. Where the seeds' errors are known, one that is not finite is larger than any other; else
    whoever has such in half the seeds comes last. Whoever solves the task in no seed has none, nor has who cannot
    represent it (`cannot`). Of one model in several sources that of the newest semantics counts, then that of the most
    seeds; where its configurations differ, each enters under the name of its source. Published rates over a set of
    ranges stand beside ours over all of its ranges together.

    Beside the columns of RANKING the table has `number`, the place of the source, and `given`, the overrides there.
    Raises UsageError where the first source can be ranked by nothing, or there are others and none has a cell of it.
    """
    rows, notes = _of_first(_entrants(sources), [source.table.name for source in sources])
    rows, more = _once(rows, sources)
    notes += more
    rated = rows["metric"].eq(METRICS[0]) & rows["value"].notna()
    by_rate = rated.groupby([rows[name] for name in ASKED]).transform("any")
    chosen = rows[rows["metric"].eq(METRICS[0]) == by_rate]
    if without := _without(rows, chosen):
        notes.append(without)
    rates, errors = chosen["metric"] == METRICS[0], _median_of_all(chosen, sources)
    worst_first = chosen["value"].round(12).where(rates, -errors)
    unplaced = chosen["cannot"] | (rates & chosen["value"].eq(0))
    ranks = worst_first.mask(unplaced).groupby([chosen[name] for name in ASKED]).rank("min", ascending=False)
    table = chosen.assign(rank=ranks).sort_values([*ASKED, "rank", "entrant"], ignore_index=True)
    return table.reindex(columns=[*RANKING, "number", "given"]), notes


def verdicts(table: pd.DataFrame, sources: Sequence[Source], entrant: str) -> pd.DataFrame:
    """An entrant against each other in each of its cells, by the rule of `agreement.differences`.

    The family over which Holm corrects is all of these comparisons. In a cell over a set of ranges, whose ranges have
    cells of their own, it meets published rates only.
    """
    known = table[table["value"].notna()]
    own, others = known[known["entrant"] == entrant], known[known["entrant"] != entrant]
    others = others[~is_pool(others) | (others["standing"] != "")]
    met = others[[*ASKED, "entrant"]].merge(own.drop(columns="entrant"), on=ASKED)
    if met.empty:
        return pd.DataFrame(columns=VERDICTS)
    others = others.merge(own[ASKED], on=ASKED)
    sides = [
        Table(name, side.assign(model=side["entrant"])[[*CELL, "metric", *COMPARISON]], _outcomes(side, sources))
        for name, side in ((entrant, met), ("the others", others))
    ]
    found = differences(sides[0], sides[1], CELL, [name for name in METRICS if name in set(met["metric"])])
    return found.rename(columns={"model": "against"}).assign(entrant=entrant)[VERDICTS]


def _median_of_all(rows: pd.DataFrame, sources: Sequence[Source]) -> pd.Series:
    """Each row's error by which it is ranked, of which the table tells that of the finite seeds."""
    known = of_most(rows, "value")["value"]
    seeds = _outcomes(rows, sources)
    if seeds is None:
        return known
    of_all = seeds.groupby(CELL)[METRICS[1]].agg(lambda errors: np.median(errors.fillna(np.inf)))
    key = pd.MultiIndex.from_frame(rows.assign(model=rows["entrant"])[CELL])
    found = pd.Series(of_all.reindex(key).to_numpy(), rows.index)
    return known.where(found.isna() | (rows["metric"] != METRICS[1]), found)


def is_pool(table: pd.DataFrame) -> pd.Series:
    """Whether each row is of a set of ranges, as published rates are."""
    pools = {name for name in table["range"].unique() if members_of("range", name)}
    return table["range"].isin(pools)


def _entrants(sources: Sequence[Source]) -> pd.DataFrame:
    """All sources' rows below each other, with their entrants."""
    papers = [source.table.summary for source in sources if source.published]
    beside = Table("", pd.concat(papers)) if papers else None
    parts = []
    for number, source in enumerate(sources):
        table = source.table
        if beside is not None and not source.published:
            table = both_over_sets_of_ranges(table, beside)[0]
        rows = table.summary[table.summary["metric"].isin(METRICS)].reset_index(drop=True)
        split = [_split(*names) for names in rows[["model", "task", "overrides"]].itertuples(index=False, name=None)]
        mark = " (published)" if source.published else ""
        rows = rows.assign(
            given=rows["overrides"],
            overrides=[common for _, common in split],
            entrant=[f"{model}{own}{mark}" for model, (own, _) in zip(rows["model"], split, strict=True)],
            source=table.name,
            number=number,
            standing=rows["standing"] if source.published and "standing" in rows else "",
        )
        if source.published:
            rows = _with_intervals(rows)
        parts.append(rows.assign(cannot=_cannot(rows, table.cells)))
    return pd.concat(parts, ignore_index=True)


def _split(model: str, task: str, overrides: str) -> tuple[str, str]:
    """What of the overrides is a setting of this model, after its name; and what is asked of all alike.

    >>> _split("net", "mul", "model.net.options.width=8;protocol.inputs=10")
    (' (options.width=8)', 'protocol.inputs=10')
    """
    own: list[str] = []
    common: list[str] = []
    for part in filter(None, overrides.split(";")):
        heads = [f"model.{model}.", f"protocol.models.{model}.", f"protocol.tasks.{task}.{model}."]
        head = next((head for head in heads if part.startswith(head)), None)
        (common if head is None else own).append(part.removeprefix(head or ""))
    return f" ({', '.join(own)})" if own else "", ";".join(common)


def _with_intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Published rates with Wilson's interval, where the paper has none and tells how many seeds they are of."""
    lacks = rows["metric"].eq("success_rate") & rows["low"].isna() & rows["value"].notna() & (rows["seeds"] > 0)
    pairs = zip(rows.loc[lacks, "value"], rows.loc[lacks, "seeds"], strict=True)
    found = [success_rate(round(value * seeds), int(seeds))[1:] for value, seeds in pairs]
    rows = rows.astype({"low": float, "high": float})
    rows.loc[lacks, ["low", "high"]] = np.array(found).reshape(-1, 2)
    return rows


def _cannot(rows: pd.DataFrame, cells: pd.DataFrame | None) -> np.ndarray:
    """Whether each row is of a model that cannot represent the task where it is judged, and did not solve it."""
    if cells is None:
        return np.zeros(len(rows), dtype=bool)
    known = cells.set_index(CELL)["representable"].to_dict()
    key = rows[["model", "task", "range", "protocol", "given"]].itertuples(index=False, name=None)
    impossible = np.array([known.get(names) == "no" for names in key], dtype=bool)
    return impossible & ~(rows["metric"].eq("success_rate") & (rows["value"] > 0)).to_numpy()


def _once(rows: pd.DataFrame, sources: Sequence[Source]) -> tuple[pd.DataFrame, list[str]]:
    """Each entrant of a cell from one source, or under its sources' names; and what is left out for that."""
    digests = [_digests(source.table.outcomes) for source in sources]
    known = [source.table.semantics for source in sources]
    semantics = [max(filter(None, known), default=0) if version is None else version for version in known]
    ours = rows[rows["standing"].eq("") & rows.duplicated(["entrant", *ASKED, "metric"], keep=False)]
    apart, dropped = set(), {}
    for (entrant, *_), group in ours.groupby(["entrant", *ASKED]):
        seeds = group.groupby("number")["seeds"].max()
        numbers = sorted(seeds.index, key=lambda number: (-semantics[number], -seeds[number], number))
        newest = [number for number in numbers if semantics[number] == semantics[numbers[0]]]
        first = group.drop_duplicates("number").set_index("number")
        names = {n: tuple(first.loc[n, ["model", "task", "range", "protocol", "given"]]) for n in newest}
        if len({digests[n][names[n]] for n in newest if names[n] in digests[n]}) > 1:
            apart.add(entrant)
        for number in numbers[1:]:
            dropped.update(dict.fromkeys(group.index[group["number"] == number], (number, numbers[0])))
    told: dict[tuple[int, int], dict[str, None]] = {}
    for index, pair in dropped.items():
        if (entrant := rows.loc[index, "entrant"]) not in apart:
            told.setdefault(pair, {})[entrant] = None
    notes = []
    for (number, winner), entrants in told.items():
        newer = semantics[winner] > semantics[number]
        why = "is of a newer version of the semantics" if newer else "holds as many seeds of it, or more"
        listed = ", ".join(entrants)
        notes.append(f"{listed} of {sources[number].table.name} counts as in {sources[winner].table.name}, which {why}")
    named = rows["entrant"].isin(apart) & rows["standing"].eq("")
    kept = rows.assign(entrant=rows["entrant"].mask(named, rows["entrant"] + " (" + rows["source"] + ")"))
    return kept.drop(index=[index for index in dropped if rows.loc[index, "entrant"] not in apart]), notes


def _of_first(rows: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the first source's cells, and a sentence for each other source that has further ones or none."""
    cells = {number: set(own[ASKED].itertuples(index=False, name=None)) for number, own in rows.groupby("number")}
    if 0 not in cells:
        raise UsageError(f"{names[0]} holds neither success rates nor relative errors outside, and no ranks follow")
    notes, shared = [], 0
    for number, name in enumerate(names[1:], 1):
        theirs = cells.get(number, set())
        common = theirs & cells[0]
        shared += len(common)
        if not common:
            notes.append(f"{name} has no cell of {names[0]}{_apart(theirs, cells[0])}")
        elif len(common) < len(theirs):
            rest = len(theirs) - len(common)
            notes.append(f"{rest} of the {len(theirs)} cells of {name} are not in {names[0]} and are left out")
    if len(names) > 1 and not shared:
        raise UsageError("; ".join(notes))
    of = pd.MultiIndex.from_frame(rows[ASKED]).isin(list(cells[0]))
    return rows[of].reset_index(drop=True), notes


def _apart(theirs: set[tuple], ours: set[tuple]) -> str:
    """In which part of their names two sets of cells differ."""
    for name, place in (("protocol", 2), ("overrides", 3), ("task", 0), ("range", 1)):
        a, b = ({cell[place] for cell in cells} for cells in (theirs, ours))
        if a and not a & b:
            told = [", ".join(sorted(one or "none" for one in values)) for values in (a, b)]
            verbs = ("are", "they are") if name == "overrides" else ("is", "it is")
            return f": its {name} {verbs[0]} {told[0]}, and here {verbs[1]} {told[1]}"
    return ""


def _digests(outcomes: pd.DataFrame | None) -> Mapping[tuple, str]:
    """The digest of each cell of a table whose outcomes are known."""
    if outcomes is None:
        return {}
    return outcomes.drop_duplicates(CELL).set_index(CELL)["digest"].to_dict()


def _without(rows: pd.DataFrame, chosen: pd.DataFrame) -> str:
    """A sentence about who has no number of the kind by which its cell is ranked; "" if there is nobody."""
    cells = [set(table[["entrant", *ASKED]].itertuples(index=False, name=None)) for table in (rows, chosen)]
    if not (missing := sorted(cells[0] - cells[1])):
        return ""
    names = ", ".join(dict.fromkeys(entrant for entrant, *_ in missing))
    return f"{names}: no number of the kind by which {len(missing)} of the cells are ranked, and left out there"


def _outcomes(side: pd.DataFrame, sources: Sequence[Source]) -> pd.DataFrame | None:
    """The seeds' relative errors of the rows that are ranked by them, the entrant in the place of the model."""
    rows = side[side["metric"] == METRICS[1]]
    parts = []
    for number, part in rows.groupby("number"):
        outcomes = sources[number].table.outcomes
        if outcomes is None:
            continue
        key = part[["model", "task", "range", "protocol", "given", "entrant", "overrides"]]
        key = key.rename(columns={"overrides": "common", "given": "overrides"})
        found = key.merge(outcomes[[*CELL, "seed", METRICS[1]]], on=CELL)
        parts.append(found.assign(model=found["entrant"], overrides=found["common"])[[*CELL, "seed", METRICS[1]]])
    return pd.concat(parts, ignore_index=True) if parts else None
