"""What papers claim, against the references: verdicts of three values, from intervals.

A claim is a mapping, as `results/published/claims.yaml` says; a group of it is what `each` tells apart.
"""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.asked.conf_files import PUBLISHED, published_of
from benchmark.asked.replicas import CELL
from benchmark.results.agreement import Table, differences
from benchmark.results.intervals import difference_of_rates, success_rate
from benchmark.results.references import REFERENCES
from benchmark.results.tables import read_table, table_path

VERDICTS = AGREE, DIFFER, UNTOLD = ("agree", "differ", "cannot tell")
RATE = "success_rate"
LEAST_SEEDS = 6  # of fewer no two order statistics hold the median between them with 95%
Claim = Mapping[str, Any]
Groups = dict[tuple, pd.DataFrame]


def listed(value: Any) -> list:
    """One or several as a list."""
    return value if isinstance(value, list) else [value]


def evaluated(claim: Claim) -> dict[tuple, tuple[pd.DataFrame, str]]:
    """(our rows, verdict) of each group; rates are pooled to one row a reference. Empty where nothing was trained."""
    rows = _ours(claim)
    if rows.empty:
        return {}
    groups = grouped(claim, rows.assign(verdict=_verdicts(claim, rows)))
    return {key: (part, _joined(part)) for key, part in groups.items()}


def absent(claim: Claim, ours: Collection[tuple]) -> Groups:
    """The published rows of each group that is not among ours."""
    name = published_of(listed(claim["in"])[0]) if "near" in claim else None
    if name is None:
        return {}
    theirs = read(PUBLISHED, name)
    theirs = _chosen(theirs.rename(columns={claim.get("column", "value"): "published"}), claim)
    return {key: part for key, part in grouped(claim, theirs).items() if key not in ours}


def grouped(claim: Claim, rows: pd.DataFrame) -> Groups:
    """The rows of each group."""
    each = claim.get("each", [])
    return dict(list(rows.groupby(each, sort=False))) if each else {(): rows}


def _joined(rows: pd.DataFrame) -> str:
    """Agreement is of every row of one reading; what was trained in a fraction of the steps, or on few seeds, cannot
    tell.
    """
    few = "seeds" in rows and rows["seeds"].min() < LEAST_SEEDS
    if few or rows["protocol"].str.endswith("/quick").any():
        return UNTOLD
    readings = []
    for _, part in rows.groupby("reference"):
        found = set(part["verdict"])
        readings.append(DIFFER if DIFFER in found else AGREE if found == {AGREE} else UNTOLD)
    return AGREE if AGREE in readings else DIFFER if set(readings) == {DIFFER} else UNTOLD


def _ours(claim: Claim) -> pd.DataFrame:
    parts = []
    for folder in listed(claim["in"]):
        table = read(REFERENCES / folder, claim.get("table", "comparison" if "near" in claim else "summary"))
        if len(table):
            rows = _chosen(table, claim).assign(reference=folder)
            parts.append(_spread(rows, claim["spread"]) if "spread" in claim else rows)
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return _pooled(rows, ["reference", "protocol", *claim.get("each", [])]) if is_rate(rows) else rows


def _spread(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Medians with the least and the greatest of their seeds in the place of intervals.

    A seed has as many times the median as this column of the outcomes has for it.
    """
    found = []
    for row in rows.to_dict("records"):
        outcomes = read(REFERENCES / row["reference"], "outcomes")
        own = outcomes[(outcomes[CELL] == [row[name] for name in CELL]).all(axis=1)][column]
        median = own[np.isfinite(own)].median()
        ends = [row["value"] * (end / median) if median > 0 else end for end in (own.min(), own.max())]
        found.append(row | dict(zip(("low", "high"), ends, strict=True)))
    return pd.DataFrame(found)


def is_rate(rows: pd.DataFrame) -> bool:
    """Whether these are success rates."""
    return "metric" in rows and len(rows) > 0 and bool(rows["metric"].eq(RATE).all())


@cache
def read(folder: Path, name: str) -> pd.DataFrame:
    """A table of a folder; an empty one where it is not there."""
    path = table_path(folder, name)
    return read_table(path, []) if path.is_file() else pd.DataFrame()


def _chosen(table: pd.DataFrame, claim: Claim) -> pd.DataFrame:
    """The rows of a table that a claim is of, its column called `value`, with `low` and `high`."""
    wanted = claim.get("rows", {}) | ({"metric": claim.get("metric", RATE)} if "metric" in table else {})
    for name, patterns in wanted.items():
        known = table[name].astype(str)
        table = table[[any(fnmatchcase(one, str(pattern)) for pattern in listed(patterns)) for one in known]]
    table = table.rename(columns={claim.get("column", "value"): "value"})
    if "near" in claim:
        table = table[table["published"].notna()]
    return table if "low" in table or "value" not in table else table.assign(low=table["value"], high=table["value"])


def _pooled(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    found = []
    for _, part in rows.groupby(list(by), sort=False):
        row = part.iloc[0].to_dict()
        for value, head in (("value", ""), ("published", "published_")):
            if value in part:
                seeds = part[f"{head}seeds"]
                rate, low, high = success_rate(round((part[value] * seeds).sum()), int(seeds.sum()))
                row |= {value: rate, f"{head}low": low, f"{head}high": high, f"{head}seeds": int(seeds.sum())}
        found.append(row)
    return pd.DataFrame(found)


def _verdicts(claim: Claim, rows: pd.DataFrame) -> list[str]:
    """Each row's verdict by itself."""
    if "near" in claim and is_rate(rows):
        on = ["reference", *claim.get("each", [])]
        theirs = rows[[*on, "metric"]].assign(
            **{name: rows[f"published_{name}"] for name in ("low", "high", "seeds")}, value=rows["published"]
        )
        tested = differences(Table("ours", rows), Table("theirs", theirs), on, [RATE])
        found = rows[on].merge(tested, on=on)["verdict"]
        return [{"same": AGREE, "inconclusive": UNTOLD}.get(name, DIFFER) for name in found]
    low, high = rows["low"].to_numpy(float), rows["high"].to_numpy(float)
    least, most = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
    if "near" in claim:
        theirs = np.maximum(rows["published"].to_numpy(float), zero := claim.get("zero", 0.0))
        low, high, least, most = np.maximum(low, zero), np.maximum(high, zero), theirs / 2, theirs * 2
    for side, bound in (("above", least), ("below", most)):
        if side in claim:
            bound[:] = claim["times"] * rows["published"] if claim[side] == "published" else claim[side]
    if "beats" in claim:
        every = [*rows.to_dict("records"), rival(claim)]
        counts = [(round(row["value"] * row["seeds"]), int(row["seeds"])) for row in every if row is not None]
        low, high = np.array([difference_of_rates(*one, *counts[-1])[1:] for one in counts[:-1]]).T
        least[:] = 0
    agrees, differs = (least <= low) & (high <= most), (high < least) | (low > most)
    if "near" in claim and {"published_low", "published_high"} <= {*rows}:  # nan where none is printed
        differs &= ~((low <= rows["published_high"]) & (rows["published_low"] <= high)).to_numpy()
    if claim.get("some") and agrees.any():
        return [AGREE] * len(rows)
    return list(np.where(agrees, AGREE, np.where(differs, DIFFER, UNTOLD)))


def rival(claim: Claim) -> dict[str, Any] | None:
    """The row that ours is to beat, if there is one."""
    return _ours({**claim, "each": []} | claim["beats"]).to_dict("records")[0] if "beats" in claim else None
