"""From tables to tables: judgement, summaries, intervals. Nothing here reads, writes or prints."""

import numpy as np
import pandas as pd

from benchmark.asked.replicas import CELL, KEY
from benchmark.results.intervals import estimate, mean_solved_at, mean_sparsity, success_rate

OUTCOMES = [
    *KEY, "digest", "best_step", "interpolation", "extrapolation", "relative_interpolation", "relative_extrapolation",
    "last_interpolation", "last_extrapolation", "untrained", "threshold", "solved", "solved_relative", "solved_at",
    "sparsity", "verdict", "diverged_at", "steps", "dtype", "device", "engine", "torch", "benchmark", "seconds",
]  # fmt: skip
SUMMARY = [*CELL, "metric", "value", "low", "high", "seeds"]
PROFILE = [*CELL, "x", "error", "median", "low", "high", "relative", "seeds"]
PLANE = [*CELL, "a", "b", "error", "relative", "seeds"]
INITIALISATION = [*CELL, "saturation", "output", "output_low", "output_high", "target", "untrained", "seeds"]
CELLS = [
    *CELL, "inputs", "operands", "trained", "judged", "middle", "half_width", "threshold", "representable",
    "representable_trained", "why", "variance_trained", "variance_judged", "semantics",
]  # fmt: skip
VERDICTS = [
    "diverged", "solved", "near_miss", "inexact", "unjudged", "interpolates", "cannot_represent", "not_learned",
]  # fmt: skip
RELATIVE_THRESHOLD = 1e-3  # solved_relative: RMS error over RMS target
HORIZON_ERROR = 0.01  # the horizon ends where the median relative error reaches this
ERRORS = ["interpolation", "extrapolation", "relative_extrapolation"]
CURVE_STEPS = 200


def outcomes(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """One row a replica: its errors at the selected step, whether that solves the task, and the verdict.

    runs, curves: as `Store.measurements` gives them. A replica whose interpolation error stops being finite has
    diverged: its errors count as infinite.
    """
    diverged = curves[~np.isfinite(curves["interpolation"])].groupby("run")["step"].min()
    by_run = curves.set_index(["run", "step"]).sort_index()
    ordered = curves.sort_values(["run", "step"])
    first, last = (ordered.groupby("run").nth(i).set_index("run") for i in (0, -1))
    table = runs.set_index("run")
    at_best = by_run.loc[list(zip(table.index, table["best_step"], strict=True))].droplevel("step")
    table["diverged_at"] = diverged.reindex(table.index)
    has_diverged = table["diverged_at"].notna()
    for name in ("interpolation", "extrapolation"):
        table[name] = at_best[name].mask(has_diverged, np.inf)
        table[f"last_{name}"] = last[name].mask(has_diverged, np.inf)
        with np.errstate(divide="ignore", invalid="ignore"):
            table[f"relative_{name}"] = np.sqrt(table[name] / table[f"target_{name}"])
    table["sparsity"], table["untrained"] = at_best["sparsity"], first["extrapolation"]
    # A threshold that does not exist (inf: division over 0 without a margin) judges nothing as solved.
    has_threshold = np.isfinite(table["threshold"])
    limit = table["threshold"].where(has_threshold)
    table["solved"] = table["extrapolation"] < limit
    table["solved_relative"] = table["relative_extrapolation"] < RELATIVE_THRESHOLD
    fits_outside = table["relative_extrapolation"] < table["fits"]
    under = ordered[ordered["extrapolation"].to_numpy() < limit.reindex(ordered["run"]).to_numpy()]
    table["solved_at"] = under.groupby("run")["step"].min().reindex(table.index).mask(has_diverged)
    table["verdict"] = np.select(
        [
            has_diverged,
            table["solved"],
            table["solved_relative"] & has_threshold,
            fits_outside & has_threshold,
            fits_outside,
            table["relative_interpolation"] < table["fits"],
            table["representable"] == "no",
        ],
        VERDICTS[:-1],
        VERDICTS[-1],
    )
    return table.sort_values(KEY).reset_index()[OUTCOMES]


def profile(runs: pd.DataFrame, profiles: pd.DataFrame, diverged: pd.Series) -> pd.DataFrame:
    """The absolute error over the seeds at each x, mean, median and quartiles; and the median relative error.

    error, median, low, high are in the target's units; relative to the mean absolute target at x. diverged: bool for
    each row of `runs`; where it holds the error is infinite.
    """
    joined = profiles.merge(runs[["run", *CELL]].assign(diverged=diverged.to_numpy()), on="run")
    joined["error"] = joined["error"].mask(joined["diverged"], np.inf)
    tables = []
    for names, group in joined.groupby(CELL, sort=True):
        seeds = group["run"].nunique()
        x, error, target = (group[name].to_numpy().reshape(seeds, -1) for name in ("x", "error", "target"))
        low, median, high = _quartiles(error)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where((target > 0).all(0), np.median(error / target, axis=0), np.nan)
        columns = {"x": x[0], "error": error.mean(0), "median": median, "low": low, "high": high, "relative": relative}
        tables.append(pd.DataFrame(dict(zip(CELL, names, strict=True)) | columns | {"seeds": seeds}))
    return pd.concat(tables, ignore_index=True)[PROFILE]


def plane(runs: pd.DataFrame, planes: pd.DataFrame, diverged: pd.Series, points: np.ndarray) -> pd.DataFrame:
    """The median over the seeds of the absolute error at each point (a, b), and relative to the target there.

    points: [2, point], those of every replica's rows in `planes`. diverged: as for `profile`.
    """
    joined = planes.merge(runs[["run", *CELL]].assign(diverged=diverged.to_numpy()), on="run")
    tables = []
    for names, group in joined.groupby(CELL, sort=True):
        seeds = group["run"].nunique()
        error, target = (group[name].to_numpy().reshape(seeds, -1) for name in ("error", "target"))
        error = np.median(np.where(group["diverged"].to_numpy().reshape(seeds, -1), np.inf, error), axis=0)
        relative = np.divide(error, target[0], out=np.full_like(error, np.nan), where=target[0] > 0)
        # As many digits as float32 has: the table is the same before it is written and after it is read.
        measured = {"error": error.astype(str).astype(float), "relative": relative.astype(str).astype(float)}
        columns = dict(zip("ab", points, strict=True)) | measured | {"seeds": seeds}
        tables.append(pd.DataFrame(dict(zip(CELL, names, strict=True)) | columns))
    return pd.concat(tables, ignore_index=True)[PLANE] if tables else pd.DataFrame(columns=PLANE)


def initialisation(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """What networks are like before training, over the seeds of a cell.

    saturation: mean share of effective weights that hardly move with their parameters (nan where there are none).
    output, output_low, output_high: median and quartiles of the root mean square output on the interpolation set;
    target: that of the target. untrained: median mean squared error there.
    """
    start = curves.sort_values("step").groupby("run")["interpolation"].first()
    tables = []
    for names, group in runs.groupby(CELL, sort=True):
        low, output, high = _quartiles(group["initial_output"].to_numpy())
        row = {
            "saturation": group["initial_saturation"].mean(),
            "output": output,
            "output_low": low,
            "output_high": high,
            "target": np.sqrt(group["target_interpolation"].median()),
            "untrained": start[group["run"]].median(),
            "seeds": len(group),
        }
        tables.append(dict(zip(CELL, names, strict=True)) | row)
    return pd.DataFrame(tables)[INITIALISATION]


def _quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quartiles over the first axis; not interpolated between a finite error and an infinite one."""
    with np.errstate(invalid="ignore"):
        low, high = np.quantile(values, [0.25, 0.75], axis=0)
    outer = np.quantile(values, 0.25, axis=0, method="lower"), np.quantile(values, 0.75, axis=0, method="higher")
    finite = np.isfinite(values).all(axis=0)
    low, high = (np.where(finite, inner, end)[()] for inner, end in zip((low, high), outer, strict=True))
    return low, np.median(values, axis=0), high


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """What is known of each cell before training: effective ranges, threshold, whether it can be represented."""
    return runs.drop_duplicates(CELL).sort_values(CELL)[CELLS].reset_index(drop=True)


def summary(
    outcomes: pd.DataFrame, profile: pd.DataFrame, cells: pd.DataFrame, initialisation: pd.DataFrame
) -> pd.DataFrame:
    """One row a cell and metric: value, 95% interval and number of seeds.

    success_rate (of the networks that have a threshold), success_rate_relative: Wilson. The errors, solved_at and
    sparsity (of the solved seeds), score and score_interpolation (100 × extrapolation or interpolation error / the
    cell's median untrained one, Trask et al. 2018, Table 1): medians with percentile bootstrap. solved_at_mean,
    sparsity_mean: means of the solved with the intervals of Madsen & Johansen 2020. horizon: the largest multiple of
    the training half-width up to which the median relative error stays under 1%; low and high are those of the upper
    and lower quartile of the seeds' errors.
    """
    rows: list[tuple] = []
    profiles = {names: group for names, group in profile.groupby(CELL)}
    facts, before = cells.set_index(CELL), initialisation.set_index(CELL)["untrained"]
    for names, group in outcomes.groupby(CELL, sort=True):
        cell = tuple(map(str, names))
        solved_at = group.loc[group["solved"], "solved_at"].to_numpy()
        judged = group[np.isfinite(group["threshold"])]
        sparse = group.loc[group["solved"], "sparsity"].to_numpy()
        errors = group[ERRORS].to_numpy().T
        untrained = {"extrapolation": group["untrained"].median(), "interpolation": before[names]}
        with np.errstate(invalid="ignore"):  # inf / inf, where every network diverges or starts so
            scores = [100 * group[name].to_numpy() / (error or np.nan) for name, error in untrained.items()]
        medians = estimate(np.vstack([errors, *scores]), np.median, cell)
        metrics = [
            *((name, medians[i], len(group)) for i, name in enumerate((*ERRORS, "score", "score_interpolation"))),
            ("success_rate", success_rate(int(judged["solved"].sum()), len(judged)), len(judged)),
            ("success_rate_relative", success_rate(int(group["solved_relative"].sum()), len(group)), len(group)),
            ("solved_at", estimate(solved_at[None], np.median, cell)[0], len(solved_at)),
            ("solved_at_mean", mean_solved_at(solved_at), len(solved_at)),
            ("sparsity", estimate(sparse[None], np.median, cell)[0], len(sparse)),
            ("sparsity_mean", mean_sparsity(sparse), len(sparse)),
            ("horizon", horizon(profiles[names], facts.loc[names]), len(group)),
        ]
        rows += [(*cell, metric, *interval, seeds) for metric, interval, seeds in sorted(metrics, key=lambda m: m[0])]
    return pd.DataFrame(rows, columns=SUMMARY)


def horizon(profile: pd.DataFrame, cell: pd.Series) -> tuple[float, float, float]:
    """Largest distance from the training range's middle, in half-widths, up to which the relative error stays < 1%
    from the range's edge on: inside, where targets may pass 0, the interpolation error judges.

    Of the median seed, of the upper and of the lower quartile; 0 where it fails at the edge already. Of one input the
    worse side counts, in shares of the root mean square target of both.
    """
    x, relative, median = (profile[name].to_numpy() for name in ("x", "relative", "median"))
    distance = np.abs(x - cell["middle"]) / cell["half_width"] if cell["inputs"] == 1 else x
    outside = distance > 1 - 1e-9
    # The two sides of a range that is not the middle of its profile meet at the nearest multiple of the spacing.
    spacing = np.diff(x).min() / (cell["half_width"] if cell["inputs"] == 1 else 1)
    at = np.unique((distance / spacing).round(), return_inverse=True)[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        target = np.where(np.isnan(relative), 0, median / relative)  # nan where it is 0 / 0: not told
    scale = np.sqrt(np.bincount(at, weights=target**2) / np.bincount(at))[at]

    def reach(errors: np.ndarray) -> float:
        with np.errstate(divide="ignore", invalid="ignore"):
            good = (errors < HORIZON_ERROR * scale) | (errors == 0)
        # Where the median is 0, the table does not tell what share of the target another error is.
        told = outside & (good | (scale > 0) | np.isinf(errors))
        failed = distance[told & ~good]
        within = distance[told & (distance < failed.min())] if len(failed) else distance[told]
        return float(within.max()) if len(within) else 0.0

    worse, better = profile["high"].to_numpy(), profile["low"].to_numpy()
    return reach(median), reach(worse), reach(better)


def thin(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The curves with their key and at most CURVE_STEPS evaluations a replica, the first and the last among them."""
    by_run = curves.groupby("run")["step"]
    position, last = by_run.cumcount(), by_run.transform("size") - 1
    spacing = (last / (CURVE_STEPS - 1)).clip(lower=1.0)
    chosen = ((position / spacing).round() * spacing).round() == position
    table = curves[chosen].merge(runs[["run", *KEY]], on="run")
    return table[[*KEY, "step", "interpolation", "extrapolation", "sparsity"]].sort_values([*KEY, "step"])
