"""The papers' numbers, shipped with the package, and ours beside them."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from benchmark.asked.conf_files import PUBLISHED, members_of, published_of, published_tables
from benchmark.asked.configs import restored
from benchmark.asked.replicas import CELL, Cell, Replica
from benchmark.errors import unknown
from benchmark.results.agreement import (
    COUNT,
    ERRORS,
    RATE_MARGIN,
    RATES,
    SYMBOLS,
    UNTESTED,
    Table,
    both_over_sets_of_ranges,
    differences,
    judged,
)
from benchmark.results.intervals import BEYOND, EXACT_SEEDS
from benchmark.results.store import Store
from benchmark.results.tables import read_table, table_path
from benchmark.showing import texts
from benchmark.showing.names import MODELS, TASKS, label, not_finite, ordered

ORIGIN = ["source", "standing"]
VALUES = ["value", "low", "high", "seeds"]
COMPARABLE = (*RATES, *ERRORS, *UNTESTED)
FEW = 3  # cells that are named
COMPARISON = [
    *(*CELL, "metric", *VALUES, "published", "published_low", "published_high", "published_seeds"),
    *("difference", "difference_low", "difference_high", "p", "p_adjusted", "verdict", *ORIGIN, COUNT),
]
RULE = (
    "(= agrees: Boschloo's test, Holm-corrected over the table, does not reject and the 95% interval of the difference "
    f"lies within ±{RATE_MARGIN:g}; ▲ ours, ▼ theirs is higher: it rejects; ? inconclusive, which is not agreement.)"
)


def load(name: str) -> pd.DataFrame:
    """The published table `name`, with `source` and `standing` (read, digitised, recalled) of each row.

    >>> load("trask2018_figure1")["model"].nunique()
    15
    """
    path = table_path(PUBLISHED, name)
    if not path.is_file():
        raise unknown("published table", name, published_tables("source"))
    return read_table(path, [*ORIGIN, COUNT])


def compare(tables: Mapping[str, pd.DataFrame], store: Store | None) -> pd.DataFrame | None:
    """A folder's numbers beside the published ones of its protocols (`conf_files.published_of`); None if none has any.

    tables: the folder's, by name. store: where its networks are. Without shards (None) their predictions are those of
    the table "comparison", if it is there.
    """
    protocols = tables["summary"]["protocol"].unique()
    names = dict.fromkeys(name for name in map(published_of, protocols) if name)
    parts = [
        beside(name, _of(tables, [one for one in protocols if published_of(one) == name]), store) for name in names
    ]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True) if parts else None


def _of(tables: Mapping[str, pd.DataFrame], protocols: Sequence[str]) -> dict[str, pd.DataFrame]:
    return {name: table[table["protocol"].isin(protocols)] for name, table in tables.items()}


def beside(name: str, tables: Mapping[str, pd.DataFrame], store: Store | None) -> pd.DataFrame:
    """These tables' numbers beside those of the published table `name`."""
    table = load(name)
    if "x" in table:
        return _errors_at_inputs(table, tables["profile"])
    return _metrics(table, tables) if "metric" in table else _predictions(table, tables, store)


def asked(comparison: pd.DataFrame, cells: Iterable[tuple]) -> pd.DataFrame:
    """The rows of these cells, and those over a set of ranges that are all among them."""
    ranges: dict[tuple, set[str]] = {}
    for model, task, name, *rest in cells:
        ranges.setdefault((model, task, *rest), set()).add(name)

    def wanted(model: str, task: str, name: str, *rest: str) -> bool:
        own = ranges.get((model, task, *rest), set())
        members = members_of("range", name)
        return name in own or (bool(members) and own.issuperset(members))

    rows = zip(*(comparison[name] for name in CELL), strict=True)
    return comparison[np.array([wanted(*cell) for cell in rows], dtype=bool)]


def tell(comparison: pd.DataFrame, outcomes: pd.DataFrame | None) -> str:
    """What the terminal says about a table that `compare` made."""
    told = []
    for column, of in (("x", _tell_errors), ("metric", _tell_metrics), ("prediction", _tell_predictions)):
        rows = comparison[comparison[column].notna()] if column in comparison else comparison[:0]
        if rows["published"].notna().any():
            told.append(of(rows, outcomes))
    return "\n".join(told)


def _errors_at_inputs(published: pd.DataFrame, profile: pd.DataFrame) -> pd.DataFrame:
    """The mean absolute error at each published x."""
    ours = profile.loc[profile["x"].isin(published["x"]), [*CELL, "x", "error", "low", "high", "seeds", COUNT]]
    theirs = published.rename(columns={"error": "published"})[["model", "task", "x", "published", *ORIGIN]]
    both = ours[ours["task"].isin(published["task"])].merge(theirs, on=["model", "task", "x"], how="left")
    return both[[*(name for name in both if name != COUNT), COUNT]]


def _tell_errors(table: pd.DataFrame, _: pd.DataFrame | None) -> str:
    lines: list[str] = []
    for (range_, protocol, _), group in table.groupby(["range", "protocol", "overrides"]):
        ours, theirs = (group.pivot_table(index="model", columns="x", values=name) for name in ("error", "published"))
        order = theirs.max(axis=1).sort_values().index
        rows = [
            {"model": model}
            | {f"x = {x:g}": f"{ours.loc[model, x]:.2f} ({_told(theirs.loc[model, x])})" for x in theirs}
            for model in order
        ]
        if not rows:
            continue
        lines += ["", f"Mean absolute error, ours (published), {protocol} on {range_}:", texts.table(rows)]
        ranks = [f"{_rank_correlation(ours[x], theirs[x]):.2f} at x = {x:g}" for x in (min(theirs), max(theirs))]
        lines.append(
            f"Rank correlation (Spearman's ρ) with the published curves: {', '.join(ranks)}. "
            f"Published: {group['standing'].dropna().iloc[0]} from {group['source'].dropna().iloc[0]}."
        )
    return "\n".join(lines)


def _told(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _rank_correlation(ours: pd.Series, theirs: pd.Series) -> float:
    both = ours.to_frame("ours").join(theirs.rename("theirs")).dropna()
    from scipy import stats  # which takes a second to load

    return float(stats.spearmanr(both["ours"], both["theirs"]).statistic) if len(both) > 2 else float("nan")


def _metrics(published: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each published metric of a cell beside ours, with the verdict of the agreement rule.

    They are joined by model, task and range, whatever the protocol of either is called, and by overrides where the
    published row has some. A published rate over a set of ranges is beside our rate over all of them together.
    """
    on = ["model", "task", "range"]
    parts = []
    for (protocol, overrides), own in tables["summary"].groupby(["protocol", "overrides"], sort=False):
        theirs = published[published["overrides"].isin(["", overrides])]
        own, theirs = (side.summary for side in both_over_sets_of_ranges(Table("", own), Table("", theirs)))
        metrics = [metric for metric in COMPARABLE if metric in set(own["metric"]) & set(theirs["metric"])]
        if not metrics or own[on].merge(theirs[on]).empty:
            continue
        seeds = tables["outcomes"]
        of = seeds[(seeds["protocol"] == protocol) & (seeds["overrides"] == overrides)]
        table = differences(Table("these results", own, of), Table("the published table", theirs), on, metrics)
        parts.append(table.assign(protocol=protocol, overrides=overrides))
    if not parts:
        return pd.DataFrame(columns=COMPARISON)
    table = judged(pd.concat(parts, ignore_index=True))  # one family, however many settings there are
    table = table.rename(columns={"low": "difference_low", "high": "difference_high"})
    table = table.rename(columns={f"{name}_a": name for name in (*VALUES, COUNT)})
    table = table.rename(columns={f"{name}_b": f"published_{name}".removesuffix("_value") for name in VALUES})
    table = table.merge(published[[*on, "metric", *ORIGIN]], on=[*on, "metric"])[COMPARISON]
    return table.sort_values("metric", key=lambda names: names.map(COMPARABLE.index), kind="stable")


def _tell_metrics(table: pd.DataFrame, _: pd.DataFrame | None) -> str:
    table = table.reindex(columns=COMPARISON)  # of an older folder it holds no verdicts
    lines: list[str] = []
    groups = ["metric", "range", "protocol", "overrides"]
    for (metric, range_, protocol, overrides), group in table.groupby(groups, sort=False):
        cell = lambda row: (
            f"{texts.number(row['value'])} [{texts.number(row['low'])}, {texts.number(row['high'])}]"
            f"{not_finite(row[COUNT], row['seeds'])} ({texts.number(row['published'])})"
            f"{' ' + SYMBOLS[row['verdict']] if row['p'] == row['p'] else ''}"
        )
        shown = group.assign(text=[cell(row) for row in group.to_dict("records")])
        wide = shown.pivot(index="model", columns="task", values="text").fillna("")
        wide = wide.reindex(index=ordered(wide.index, MODELS), columns=ordered(wide.columns, TASKS))
        where = " · ".join(filter(None, (range_, protocol, overrides)))
        seeds = ", ".join(f"{seeds:.0f}" for seeds in sorted(group["seeds"].unique()))
        rows = [{"model": label(str(model))} | row for model, row in wide.to_dict("index").items()]
        lines += ["", f"{metric}, ours [95%] (published), {where}, {seeds} seeds:", texts.table(rows)]
    tested = table.loc[table["metric"].isin(RATES) & table["p"].notna(), "verdict"]
    if len(tested):
        same, unknown = ((tested == verdict).sum() for verdict in ("same", "inconclusive"))
        told = f"{same} of {len(tested)} agree, {len(tested) - same - unknown} differ, {unknown} inconclusive"
        lines += ["", f"Beside the published rates: {told}. {RULE}"]
        of_rates = table[table["metric"].isin(RATES) & table["p"].notna()]
        if many := (of_rates["seeds"] + of_rates["published_seeds"] > EXACT_SEEDS).sum():
            lines += [f"{many} of these rates are of more than {EXACT_SEEDS} seeds together: their p is {BEYOND}'s."]
    made = table[table["standing"].str.match("corrected|derived", na=False)]
    if len(made):
        lines += ["", "Not as printed:"]
        told = made.drop_duplicates(["model", "task", "metric", "standing"])
        for (metric, how), group in told.groupby(["metric", "standing"], sort=False):
            each = [f"{label(m)}, {TASKS.get(t, t)}" for m, t in group[["model", "task"]].to_numpy()]
            lines += [f"  {'; '.join(each) if len(each) <= FEW else f'{len(each)} models × tasks'}, {metric}: {how}."]
    origin = table.assign(standing=table["standing"].str.partition(":")[0])[["standing", "source"]].drop_duplicates()
    for standing, source in origin.itertuples(index=False, name=None):
        lines += ["", f"Published: {standing}, {source}."]
    return "\n".join(lines)


def _predictions(published: pd.DataFrame, tables: Mapping[str, pd.DataFrame], store: Store | None) -> pd.DataFrame:
    """Predictions of the first seed and of the seed with the median error for the published rows."""
    order = [*CELL, "seed", "a", "b", "target", "prediction", "published"]
    if store is None:
        kept = tables.get("comparison", pd.DataFrame()).reindex(columns=order)
        return kept[kept["prediction"].notna()]
    x = published[["a", "b"]].to_numpy(dtype=float).T
    parts: list[pd.DataFrame] = []
    known = set(published[["model", "task"]].itertuples(index=False, name=None))
    inputs = tables["cells"].set_index(CELL)["inputs"].to_dict()
    for names, own in tables["outcomes"].groupby(CELL):
        if tuple(names[:2]) not in known or inputs[names] != 2:
            continue
        for seed in dict.fromkeys((int(own["seed"].min()), _median_seed(own))):
            predicted = _predicted(store, names, seed, own["digest"].iloc[0], x)
            key = dict(zip(CELL, names, strict=True)) | {"seed": seed}
            columns = {"prediction": predicted, "published": published["prediction"]}
            parts.append(published[["a", "b", "target"]].assign(**key, **columns))
    return pd.concat(parts, ignore_index=True)[order] if parts else pd.DataFrame(columns=order)


def _predicted(
    store: Store, names: tuple[str, str, str, str, str], seed: int, digest: str, x: np.ndarray
) -> np.ndarray:
    """What a stored network says to [in, point]; nan where it is not made of this package's units.

    What a results folder names is somebody else's word: no code is run that it could choose.
    """
    content = store.specification(digest)
    known = content["model"]
    units = [str(known[name]) for name in ("unit", "hidden_unit") if known.get(name) is not None]
    if all(re.fullmatch(r"benchmark\.units\.\w+\.[A-Z]\w*", unit) for unit in units):
        from benchmark.training.engine import predict

        model, task, where, protocol, overrides = names
        replica = Replica(Cell(model, task, where, protocol, overrides, restored(content)), seed)
        specification = replica.cell.specification
        if not specification.model.foreign and specification.digest == digest:
            # As many digits as its precision has, as for `statistics.plane`.
            return predict(replica, store.parameters(replica), x).astype(str).astype(float)
    return np.full(x.shape[1], np.nan)


def _median_seed(outcomes: pd.DataFrame) -> int:
    """The seed with the median error, the lower one of two."""
    return int(outcomes.sort_values("relative_extrapolation")["seed"].iloc[(len(outcomes) - 1) // 2])


def _tell_predictions(table: pd.DataFrame, outcomes: pd.DataFrame | None) -> str:
    lines: list[str] = []
    for names, group in table.groupby(CELL, sort=False):
        by_seed = {int(seed): part for seed, part in group.groupby("seed", sort=False)}  # type: ignore[call-overload]
        first = next(iter(by_seed.values()))
        own = None if outcomes is None else outcomes.set_index(CELL).loc[[names]]
        middle = None if own is None else _median_seed(own)
        rows = [
            {"a": f"{row['a']:g}", "b": f"{row['b']:g}", "exact": f"{row['target']:.0f}"}
            | {"tutorial": f"{row['published']:.10g}"}
            | {
                f"seed {seed}" + " (median)" * (seed == middle): f"{part['prediction'].iloc[i]:.10g}"
                for seed, part in by_seed.items()
            }
            for i, row in enumerate(first.to_dict("records"))
        ]
        lines += ["", f"What {names[0]} predicts after training, beside the tutorial's printed predictions:"]
        lines += [texts.table(rows)]
        theirs = float(np.sqrt(((first["published"] - first["target"]) ** 2).mean() / (first["target"] ** 2).mean()))
        if own is not None:
            errors = np.sort(own["relative_extrapolation"].to_numpy())
            finite = errors[np.isfinite(errors)]
            median = texts.number(float(np.median(finite)) if len(finite) else np.inf)
            lines.append(
                f"Relative error on the test rows over {len(errors)} seeds: "
                f"median {median}{not_finite(len(errors) - len(finite), len(errors))}, "
                f"best {texts.number(float(errors[0]))} (the best, not the typical one), "
                f"{(errors < 1e-4).sum()} of {len(errors)} below 1e-4; "
                f"the tutorial's own ten rows: {texts.number(theirs)}."
            )
    return "\n".join(lines)
