"""The papers' numbers, shipped with the package, and ours beside them."""

import numpy as np
import pandas as pd
from scipy import stats

from benchmark import texts
from benchmark.conf_files import PUBLISHED
from benchmark.errors import unknown
from benchmark.replicas import CELL, Replica


def load(name: str) -> pd.DataFrame:
    """The published table `name`, with `source` and `standing` (read, digitised, recalled) of each row.

    >>> load("trask2018_figure1")["model"].nunique()
    15
    """
    path = PUBLISHED / f"{name}.csv"
    if not path.is_file():
        raise unknown("published table", name, [path.stem for path in PUBLISHED.glob("*.csv")])
    return pd.read_csv(path)


def profile(name: str) -> pd.DataFrame | None:
    """The published error against the input, if that is what the table holds."""
    table = load(name)
    return table if "x" in table else None


def compare(results) -> tuple[pd.DataFrame, str]:
    """(our numbers beside the published ones, what the terminal says about them) for the cells asked for.

    results: `run.Results` of a request that names a published table.
    """
    published = load(results.request.published)
    if "x" in published:
        return _compare_profiles(published, results.tables["profile"])
    return _compare_predictions(published, results)


def _compare_profiles(published: pd.DataFrame, profile: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The mean absolute error at each published x."""
    ours = profile.loc[profile["x"].isin(published["x"]), [*CELL, "x", "error", "low", "high", "seeds"]]
    theirs = published.rename(columns={"error": "published"})[["model", "task", "x", "published", "source", "standing"]]
    table = ours[ours["task"].isin(published["task"])].merge(theirs, on=["model", "task", "x"], how="left")
    lines = []
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
    return table, "\n".join(lines)


def _told(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _rank_correlation(ours: pd.Series, theirs: pd.Series) -> float:
    both = ours.to_frame("ours").join(theirs.rename("theirs")).dropna()
    return float(stats.spearmanr(both["ours"], both["theirs"]).statistic) if len(both) > 2 else float("nan")


def _compare_predictions(published: pd.DataFrame, results) -> tuple[pd.DataFrame, str]:
    """Predictions of seed 0 and of the seed with the median error for the published rows."""
    from benchmark.engine import predict
    from benchmark.store import Store

    store = Store(results.folder)
    x, target = published[["a", "b"]].to_numpy(dtype=float).T, published["target"]
    lines: list[str] = []
    order = [*CELL, "seed", "a", "b", "target", "prediction", "published"]
    tables: list[pd.DataFrame] = []
    known = set(published[["model", "task"]].itertuples(index=False, name=None))
    for cell in results.request.cells:
        if (cell.model, cell.task) not in known or cell.specification.problem.inputs != 2:
            continue
        group = results.outcomes.set_index(CELL).loc[[cell.names]].sort_values("relative_extrapolation")
        errors = group["relative_extrapolation"].to_numpy()
        middle = int(group["seed"].iloc[(len(group) - 1) // 2])
        columns = {}
        for label, seed in (("seed 0", 0), (f"seed {middle} (median)", middle)):
            replica = Replica(cell, seed)
            columns[label] = predict(replica, store.parameters(replica), x)
            own = dict(zip(CELL, cell.names, strict=True)) | {"seed": seed}
            tables.append(
                published[["a", "b", "target"]].assign(
                    **own, prediction=columns[label], published=published["prediction"]
                )
            )
        rows = [
            {"a": f"{a:g}", "b": f"{b:g}", "exact": f"{t:.0f}", "tutorial": f"{p:.10g}"}
            | {label: f"{values[i]:.10g}" for label, values in columns.items()}
            for i, (a, b, t, p) in enumerate(zip(*x, target, published["prediction"], strict=True))
        ]
        theirs = float(np.sqrt(np.mean((published["prediction"] - target) ** 2) / np.mean(target**2)))
        lines += [
            "",
            f"What {cell.model} predicts after training, beside the tutorial's printed predictions:",
            texts.table(rows),
            f"Relative error on the test rows over {len(errors)} seeds: "
            f"median {texts.number(float(np.median(errors)))}, "
            f"best {texts.number(float(errors[0]))} (the best, not the typical one), "
            f"{(errors < 1e-4).sum()} of {len(errors)} below 1e-4; "
            f"the tutorial's own ten rows: {texts.number(theirs)}.",
        ]
    table = pd.concat(tables, ignore_index=True)[order].drop_duplicates() if tables else pd.DataFrame(columns=order)
    return table, "\n".join(lines)
