"""From tables to tables: judgement, summaries, intervals. Nothing here reads, writes or prints."""

from collections.abc import Iterator, Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd

from benchmark.asked.replicas import CELL, KEY
from benchmark.asked.tasks import OPERATIONS, RESPONSE_SIZE
from benchmark.results.intervals import AT_ONCE, estimate, mean_solved_at, mean_sparsity, student, success_rate
from benchmark.results.tables import typed

OUTCOMES = [
    *KEY, "digest", "best_step", "interpolation", "extrapolation", "relative_interpolation", "relative_extrapolation",
    "last_interpolation", "last_extrapolation", "untrained", "threshold", "solved", "solved_relative", "solved_at",
    "sparsity", "verdict", "diverged_at", "steps", "dtype", "device", "engine", "torch", "benchmark", "seconds",
]  # fmt: skip
# not_finite: how many of the seeds have no finite number there; medians and quartiles are of the others.
SUMMARY = [*CELL, "metric", "value", "low", "high", "seeds", "not_finite"]
PROFILE = [*CELL, "x", "error", "median", "low", "high", "relative", "seeds", "not_finite"]
PLANE = [*CELL, "a", "b", "error", "relative", "seeds", "not_finite"]
SHOWN_SEEDS = 5
RESPONSES = [
    *CELL, "operand", "x", "target", "median", "low", "high", "lowest", "highest",
    *(f"seed_{number}" for number in range(SHOWN_SEEDS)), "seeds", "not_finite",
]  # fmt: skip
INITIALISATION = [
    *CELL, "saturation", "output", "output_low", "output_high", "target", "untrained", "seeds", "not_finite",
]  # fmt: skip
OUTPUTS = [*KEY, "operation", "error"]
CELLS = [
    *CELL, "inputs", "operands", "trained", "judged", "middle", "half_width", "threshold", "representable",
    "representable_trained", "why", "variance_trained", "variance_judged", "semantics",
]  # fmt: skip
TABLES = {  # of a results folder, and their columns, those that every version has
    "outcomes": OUTCOMES, "summary": SUMMARY, "profile": PROFILE, "plane": PLANE, "responses": RESPONSES,
    "initialisation": INITIALISATION, "outputs": OUTPUTS, "cells": CELLS,
    "curves": [*KEY, "step", "interpolation", "extrapolation"], "comparison": CELL,
}  # fmt: skip
SOURCES = ("outcomes", "profile", "cells", "initialisation")  # what a summary follows from
VERDICTS = [
    "diverged", "solved", "near_miss", "inexact", "unjudged", "interpolates", "cannot_represent", "not_learned",
]  # fmt: skip
RELATIVE_THRESHOLD = 1e-3  # solved_relative: RMS error over RMS target
HORIZON_ERROR = 0.01  # the horizon ends where the median relative error reaches this
ERRORS = ["interpolation", "extrapolation", "relative_extrapolation"]
OF_SOLVED = ("solved_at", "sparsity")  # measured on the solved seeds only
CURVE_STEPS = 200
OUTPUT_ERRORS = tuple(f"error_{name}" for name in OPERATIONS)  # of networks with several outputs


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
    return typed(table.sort_values(KEY).reset_index()[OUTCOMES])


def profile(runs: pd.DataFrame, profiles: pd.DataFrame, diverged: pd.Series) -> pd.DataFrame:
    """The absolute error over the seeds at each x, mean, median and quartiles; and the median relative error.

    error, median, low, high are in the target's units; relative to the mean absolute target at x. The mean is infinite
    where one error is; all else is of the finite errors, and not_finite counts the others. diverged: bool for each row
    of `runs`; where it holds the error is infinite.
    """
    tables = []
    for cells, (x, error, target) in _measured(runs, profiles, ["x", "error", "target"], diverged):
        low, median, high, lost = _quartiles(error)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.where((target > 0).all(1), _median(error / target)[0], np.nan)
        tables.append((cells, error.shape[1], [x[:, 0], error.mean(1), median, low, high, relative], lost))
    return _below_each_other(tables, PROFILE)


def plane(runs: pd.DataFrame, planes: pd.DataFrame, diverged: pd.Series, points: np.ndarray) -> pd.DataFrame:
    """The median over the seeds of the finite absolute errors at each point (a, b), and relative to the target there.

    points: [2, point], those of every replica's rows in `planes`. diverged, not_finite: as for `profile`.
    """
    tables = []
    for cells, (error, target) in _measured(runs, planes, ["error", "target"], diverged):
        median, lost = _median(error)
        relative = np.divide(median, target[:, 0], out=np.full_like(median, np.nan), where=target[:, 0] > 0)
        tables.append((cells, error.shape[1], [*points, _single(median), _single(relative)], lost))
    return _below_each_other(tables, PLANE)


def responses(runs: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """What the networks of a cell answer where one operand is x and the others stay (`tasks.held`).

    answers: as `Store.measurements` gives them. operand: a, b, … target: what is right. median, low and high
    (quartiles), lowest, highest: of the answers that are finite, nan where none is; not_finite counts the others.
    seed_0 … seed_4: of the cell's first five seeds. Answers are those at the selected step, whatever the verdict is. A
    cell whose inputs are no operands has no part in it.
    """
    tables = []
    for cells, (x, target, own) in _measured(runs.sort_values(KEY), answers, ["x", "target", "answer"]):
        inputs = x.shape[-1] // RESPONSE_SIZE
        operand = np.repeat(np.array([*ascii_lowercase[:inputs]], dtype=object), RESPONSE_SIZE)
        shown = [*own.swapaxes(0, 1)[:SHOWN_SEEDS], *[np.full_like(own[:, 0], np.nan)] * (SHOWN_SEEDS - own.shape[1])]
        *spread, lost = _spread(own)
        told = [_single(values) for values in (*spread, *shown)]
        tables.append((cells, own.shape[1], [operand, x[:, 0], target[:, 0], *told], lost))
    return _below_each_other(tables, RESPONSES)


def outputs(runs: pd.DataFrame, errors: pd.DataFrame, diverged: pd.Series) -> pd.DataFrame:
    """The mean absolute error of each output where it is judged, one row an output of a replica; inf where diverged.

    errors: as `Store.measurements` gives them, of replicas with several outputs. diverged: as for `profile`.
    """
    table = errors.merge(runs.assign(diverged=diverged.to_numpy())[[*KEY, "run", "diverged"]], on="run", how="left")
    table["error"] = table["error"].mask(table["diverged"].astype(bool), np.inf)
    return typed(table.sort_values(KEY, kind="stable").reset_index(drop=True)[OUTPUTS])


def _single(values: np.ndarray) -> np.ndarray:
    """As many digits as float32 has: the numbers are the same before they are written and after they are read."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    size = np.abs(single.astype(float))
    plain = (size > 1e-12) & (size < 1e12)  # where the powers of ten below are exact
    places, told = np.floor(np.log10(np.where(plain, size, 1))), single.astype(float)
    for digits in (9, 8, 7, 6):  # the fewest that tell the number from its neighbours
        scale, small = 10.0 ** np.abs(digits - 1 - places), places < digits
        whole = np.rint(np.where(small, single * scale, single / scale))
        fewer = np.where(small, whole / scale, whole * scale)
        told = np.where(plain & (fewer.astype(np.float32) == single), fewer, told)
    odd = ~plain & (size > 0)
    told[odd] = single[odd].astype(str).astype(float)
    return told


def _spread(values: np.ndarray) -> tuple[np.ndarray, ...]:
    """Median, quartiles, least and most of what is finite of [cell, seed, point], nan where nothing is; and how much is
    not.
    """
    ordered, count = _ordered(values.astype(float))
    (below, above, _), *quartiles = (_around(ordered, count, share) for share in (0.5, 0.25, 0.75))
    low, high = (below + place * (above - below) for below, above, place in quartiles)
    least, most = (_around(ordered, count, share)[0] for share in (0.0, 1.0))
    return below / 2 + above / 2, low, high, least, most, values.shape[1] - count


def _ordered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[cell, seed, point] in the order of its finite values, nan after them; and how many these are."""
    finite = np.isfinite(values)
    return np.sort(np.where(finite, values, np.nan), axis=1), finite.sum(1)


def _around(ordered: np.ndarray, count: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two values nearest to the one that `share` of the others lie below, and its place between them from 0 on."""
    place = ordered.dtype.type(share) * np.maximum(count - 1, 0).astype(ordered.dtype)
    below, above = (
        np.take_along_axis(ordered, end(place).astype(int)[:, None], 1)[:, 0] for end in (np.floor, np.ceil)
    )
    return below, above, place - np.floor(place)


def by_cell(table: pd.DataFrame, names: Sequence[str] = CELL) -> dict[tuple, np.ndarray]:
    """The places of each cell's rows, the cells in order. (pandas' groupby takes ten times as long over five texts.)"""
    places: dict[tuple, list[int]] = {}
    for place, cell in enumerate(zip(*(table[name].tolist() for name in names), strict=True)):
        places.setdefault(cell, []).append(place)
    return {cell: np.array(places[cell]) for cell in sorted(places)}


def _measured(
    runs: pd.DataFrame, points: pd.DataFrame, names: Sequence[str], diverged: pd.Series | None = None
) -> Iterator[tuple[list[tuple], list[np.ndarray]]]:
    """The columns `names` of the points of cells with as many seeds and points, as [cell, seed, point] each.

    points: a run's rows stand together. A cell without points has no part in it. "error" is inf where diverged.
    """
    run, columns = points["run"].to_numpy(), [points[name].to_numpy() for name in names]
    starts = np.flatnonzero(np.diff(run, prepend=-1))
    blocks = pd.DataFrame({"start": starts, "size": np.diff(starts, append=len(run))}, index=run[starts])
    start, size = blocks.reindex(runs["run"]).fillna(0).to_numpy(dtype=int).T
    alike: dict[tuple[int, int], dict[tuple, np.ndarray]] = {}
    for cell, places in by_cell(runs).items():
        if len(own := places[size[places] > 0]):
            alike.setdefault((len(own), size[own[0]]), {})[cell] = own
    for (seeds, length), places_of in alike.items():
        cells, at_once = [*places_of], max(1, AT_ONCE // (seeds * length))
        for some in (cells[i : i + at_once] for i in range(0, len(cells), at_once)):
            places = np.stack([places_of[cell] for cell in some])
            rows = start[places][..., None] + np.arange(length)
            values = [column[rows] for column in columns]
            if diverged is not None:
                error = names.index("error")
                values[error] = np.where(diverged.to_numpy()[places][..., None], np.inf, values[error])
            yield some, values


def _below_each_other(
    parts: Sequence[tuple[list[tuple], int, list[np.ndarray], np.ndarray]], columns: list[str]
) -> pd.DataFrame:
    """A table of (cells, seeds, the values of the columns between, not_finite), the latter as [cell, point] or alike
    for all cells, in the order of the cells.
    """
    cells = [cell for names, *_ in parts for cell in names]
    seeds = np.repeat([seeds for _, seeds, *_ in parts], [len(names) for names, *_ in parts])
    lengths = [lost.shape[1] for names, *_, lost in parts for _ in names]
    keys = {name: [cell[i] for cell in cells] for i, name in enumerate(CELL)}
    first = pd.DataFrame(keys | {"seeds": seeds})
    order = np.repeat(np.argsort(sorted(range(len(cells)), key=cells.__getitem__)), lengths)  # each row's cell
    own = [*columns[len(CELL) : -2], columns[-1]]
    every = [[np.broadcast_to(of, lost.shape).ravel() for of in (*values, lost)] for *_, values, lost in parts]
    table = first.take(np.repeat(np.arange(len(cells)), lengths)).reset_index(drop=True)
    table = table.assign(**dict(zip(own, map(np.concatenate, zip(*every, strict=True)), strict=False)))
    return typed(table.take(np.argsort(order, kind="stable")).reset_index(drop=True).reindex(columns=columns))


def initialisation(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """What networks are like before training, over the seeds of a cell.

    saturation: mean share of effective weights that hardly move with their parameters (nan where there are none).
    output, output_low, output_high: median and quartiles of the root mean square output on the interpolation set, of
    those that are finite; not_finite counts the others. target: that of the target. untrained: median of the finite
    mean squared errors there.
    """
    order = np.lexsort((curves["step"], curves["run"]))
    run, first = np.unique(curves["run"].to_numpy()[order], return_index=True)
    start = pd.Series(curves["interpolation"].to_numpy()[order][first], index=run).reindex(runs["run"]).to_numpy()
    known, tables = runs.assign(start=start), []
    columns = ["initial_saturation", "initial_output", "target_interpolation", "start"]
    for cells, (saturation, output, target, before) in _measured(known, known, columns):
        low, median, high, lost = _quartiles(output)
        share = np.ascontiguousarray(saturation[..., 0], dtype=float)
        with np.errstate(invalid="ignore"):
            mean = np.nansum(share, axis=1, keepdims=True) / np.count_nonzero(~np.isnan(share), axis=1, keepdims=True)
        middles = [_halfway(values.astype(float)) for values in (target, before)]
        tables.append((cells, output.shape[1], [mean, median, low, high, np.sqrt(middles[0]), middles[1]], lost))
    return _below_each_other(tables, INITIALISATION)


def _halfway(values: np.ndarray) -> np.ndarray:
    """The median over the seeds of [cell, seed, point] of what is finite, nan where nothing is."""
    below, above, _ = _around(*_ordered(values), 0.5)
    return (below + above) / 2


def _quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(low, median, high) over the seeds of [cell, seed, point], of what is finite; and how much is not.

    Where nothing is finite they are infinite, or nan where nothing is known.
    """
    return _quantiles(values, (0.25, 0.5, 0.75))  # type: ignore[return-value]


def _median(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """That of `_quartiles`, and how much is not finite."""
    return _quantiles(values, (0.5,))  # type: ignore[return-value]


def _quantiles(values: np.ndarray, shares: Sequence[float]) -> tuple[np.ndarray, ...]:
    """Quantiles [cell, point] over the seeds of what is finite there, as numpy's; and how much is not."""
    ordered, count = _ordered(values)
    lost, found = values.shape[1] - count, []
    nothing = np.where(np.isinf(values).any(1), np.inf, np.nan).astype(values.dtype)
    for share in shares:
        below, above, place = _around(ordered, count, share)
        gap = above - below
        quantile = np.where(place < 0.5, below + gap * place, above - gap * (1 - place))
        if share == 0.5:  # numpy's median is another sum where it has nothing to leave out
            quantile = np.where(lost.any(1, keepdims=True), quantile, (below + above) / 2)
        found.append(np.where(count > 0, quantile, nothing))
    return *found, lost


def cells(runs: pd.DataFrame) -> pd.DataFrame:
    """What is known of each cell before training: effective ranges, threshold, whether it can be represented."""
    return typed(runs.drop_duplicates(CELL).sort_values(CELL)[CELLS].reset_index(drop=True))


def summary(
    outcomes: pd.DataFrame,
    profile: pd.DataFrame,
    cells: pd.DataFrame,
    initialisation: pd.DataFrame,
    outputs: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a cell and metric: value, 95% interval and number of seeds.

    success_rate (of the networks that have a threshold), success_rate_relative: Wilson. The errors, solved_at and
    sparsity (of the solved seeds), score and score_interpolation (100 × extrapolation or interpolation error / the
    cell's median untrained one, Trask et al. 2018, Table 1): medians of what is finite with percentile bootstrap,
    infinite where nothing is; not_finite counts the rest. solved_at_mean, sparsity_mean: means of the solved with the
    intervals of Madsen & Johansen 2020. horizon: the largest multiple of the training half-width up to which the median
    relative error stays under 1%; low and high are those of the upper and lower quartile of the seeds' errors, and
    not_finite is the least count along the profile. Where networks have several outputs, error_add, …: the
    mean over the seeds, of what is finite, of each output's mean absolute error, with Student's interval.
    """
    places, profiles = by_cell(outcomes), by_cell(profile)
    keys, parts = [*places], []
    facts = cells.set_index(CELL)[["inputs", "middle", "half_width"]].reindex(keys)
    before = initialisation.set_index(CELL)["untrained"].reindex(keys).to_numpy()
    names = ("solved", "solved_relative", "solved_at", "sparsity", "threshold", "untrained", *ERRORS)
    columns = {name: outcomes[name].to_numpy() for name in names}

    def add(metric: str, of: np.ndarray, values: np.ndarray, seeds: np.ndarray, lost: np.ndarray | int = 0) -> None:
        told = dict(zip(("value", "low", "high"), values.T, strict=True))
        parts.append(pd.DataFrame({"cell": of, "metric": metric, **told, "seeds": seeds, "not_finite": lost}))

    for of, rows in _alike(places):
        group = {name: values[rows] for name, values in columns.items()}  # [cell, seed]
        solved, judged = group["solved"].astype(bool), np.isfinite(group["threshold"])
        untrained = {"extrapolation": _halfway(group["untrained"][..., None]), "interpolation": before[of, None]}
        with np.errstate(invalid="ignore", over="ignore"):  # where every network diverges or starts so
            scores = [100 * group[name] / np.where(error, error, np.nan) for name, error in untrained.items()]
        of_all = np.stack([*(group[name] for name in ERRORS), *scores], axis=1)
        of_solved = np.stack([np.where(solved, group[name], np.nan) for name in OF_SOLVED], axis=1)
        medians = estimate(np.concatenate([of_all, of_solved], axis=1), [keys[number] for number in of])
        seeds, lost = np.full(len(of), rows.shape[1]), np.count_nonzero(~np.isfinite(of_all), axis=2)
        for number, name in enumerate((*ERRORS, "score", "score_interpolation")):
            add(name, of, medians[:, number], seeds, lost[:, number])
        for name, good, asked in (
            ("success_rate", solved & judged, judged.sum(1)),
            ("success_rate_relative", group["solved_relative"].astype(bool), seeds),
        ):
            add(name, of, np.array([*map(success_rate, good.sum(1).tolist(), asked.tolist())]), asked)
        count, which = solved.sum(1), np.nonzero(solved)[0]
        unknown = np.count_nonzero(solved & ~np.isfinite(group["sparsity"]), axis=1)
        for number, (name, mean, lost_of) in enumerate(
            (("solved_at", mean_solved_at, 0), ("sparsity", mean_sparsity, unknown))
        ):
            add(name, of, medians[:, len(ERRORS) + 2 + number], count, lost_of)
            add(f"{name}_mean", of, mean(group[name][solved].astype(float), which, len(of)), count, lost_of)
    seeds = np.array([len(own) for own in places.values()])
    along = {name: profile[name].to_numpy() for name in PROFILE[len(CELL) :]}
    for of, rows in _alike({key: profiles[key] for key in keys}):
        own = {name: values[rows] for name, values in along.items()}  # [cell, point]
        add("horizon", of, horizon(own, facts.iloc[of]), seeds[of], own["not_finite"].min(1))
    place = {key: number for number, key in enumerate(keys)}
    if outputs is not None:
        for operation, errors in outputs.groupby("operation"):
            add(f"error_{operation}", *_of_outputs(errors, place))
    table = pd.concat(parts, ignore_index=True).sort_values(["cell", "metric"], ignore_index=True)
    of_cell = pd.DataFrame(keys, columns=CELL).take(table["cell"]).reset_index(drop=True)
    return typed(pd.concat([of_cell, table.drop(columns="cell")], axis=1)[SUMMARY])


def _alike(places: Mapping[tuple, np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The numbers of cells with as many rows, and the places of these as [cell, row]."""
    sizes = np.array([len(own) for own in places.values()])
    every = [*places.values()]
    for size in np.unique(sizes):
        of = np.flatnonzero(sizes == size)
        yield of, np.stack([every[number] for number in of])


def _of_outputs(errors: pd.DataFrame, place: Mapping[tuple, int]) -> tuple[np.ndarray, ...]:
    """The numbers of the cells that have one output, and its error's estimate and interval, seeds and lost seeds."""
    own = by_cell(errors)
    of = np.repeat(np.arange(len(own)), [len(rows) for rows in own.values()])
    values = errors["error"].to_numpy()[np.concatenate([*own.values()])]
    finite = np.isfinite(values)
    seeds, known = np.bincount(of), np.bincount(of[finite], minlength=len(own))
    told = student(values[finite], of[finite], len(own))
    told[known == 0] = np.inf, np.nan, np.nan
    return np.array([place[cell] for cell in own]), told, seeds, seeds - known


def horizon(profile: Mapping[str, Any], cells: Mapping[str, Any]) -> np.ndarray:
    """Largest distance from the training range's middle, in half-widths, up to which the relative error stays < 1%
    from the range's edge on: inside, where targets may pass 0, the interpolation error judges.

    Of the median seed, of the upper and of the lower quartile, [cell, 3]; 0 where it fails at the edge already. What is
    not finite counts as beyond any limit: the horizon of the median ends where it is not finite for half the seeds,
    those of the quartiles where it is not for a quarter and for three; a profile that does not tell it has infinite
    ones there. Of one input the worse side counts, in shares of the root mean square target of both.

    profile: its columns as [cell, point]. cells: inputs, middle and half_width of each.
    """
    x, relative, median = (np.asarray(profile[name]) for name in ("x", "relative", "median"))
    lost = np.nan_to_num(np.asarray(profile["not_finite"], dtype=float)) / np.asarray(profile["seeds"])
    one, middle, half_width = (np.asarray(cells[name])[:, None] for name in ("inputs", "middle", "half_width"))
    one = one == 1
    distance = np.where(one, np.abs(x - middle) / half_width, x)
    outside = distance > 1 - 1e-9
    # The two sides of a range that is not the middle of its profile meet at the nearest multiple of the spacing.
    spacing = np.diff(x).min(axis=1, keepdims=True) / np.where(one, half_width, 1)
    multiples, at = np.unique((distance / spacing).round(), return_inverse=True)
    at = at.reshape(x.shape) + np.arange(len(x))[:, None] * len(multiples)
    with np.errstate(divide="ignore", invalid="ignore"):
        target = np.where(np.isnan(relative), 0, median / relative)  # nan where it is 0 / 0: not told
        scale = np.sqrt(np.bincount(at.ravel(), weights=target.ravel() ** 2) / np.bincount(at.ravel()))[at]

    def reach(errors: np.ndarray, most_lost: float) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            good = ((errors < HORIZON_ERROR * scale) | (errors == 0)) & (lost < most_lost)
        # Where the median is 0, the table does not tell what share of the target another error is.
        told = outside & (good | (scale > 0) | np.isinf(errors) | (lost >= most_lost))
        failed = np.where(told & ~good, distance, np.inf).min(axis=1, keepdims=True)
        return np.where(told & (distance < failed), distance, 0.0).max(axis=1)

    worse, better = np.asarray(profile["high"]), np.asarray(profile["low"])
    return np.stack([reach(median, 1 / 2), reach(worse, 1 / 4), reach(better, 3 / 4)], axis=1)


def finite_medians(table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The median of what is finite in each column, infinite where nothing is, by group; and how much is not finite."""
    finite = table[[*columns]].where(np.isfinite(table[[*columns]]))
    groups = [table[name] for name in by]
    lost = finite.isna().groupby(groups, sort=False).sum()
    return finite.groupby(groups, sort=False).median().fillna(np.inf), lost


def of_most(table: pd.DataFrame, *medians: str) -> pd.DataFrame:
    """The table with these medians infinite where half of the seeds or more are: few others make no model look good."""
    if not {"not_finite", "seeds"} <= set(table):
        return table
    most = table["not_finite"] * 2 >= table["seeds"].clip(lower=1)
    return table.assign(**{name: table[name].mask(most, np.inf) for name in medians})


def thin(runs: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """The curves with their key and at most CURVE_STEPS evaluations a replica, the first and the last among them."""
    by_run = curves.groupby("run")["step"]
    position, last = by_run.cumcount(), by_run.transform("size") - 1
    spacing = (last / (CURVE_STEPS - 1)).clip(lower=1.0)
    chosen = ((position / spacing).round() * spacing).round() == position
    kept, ordered = curves[chosen], runs.sort_values(KEY)
    place = pd.Series(np.arange(len(ordered)), index=ordered["run"]).reindex(kept["run"]).to_numpy()
    order = np.lexsort((kept["step"], place))
    keys = ordered[KEY].take(place[order]).reset_index(drop=True)
    columns = ["step", "interpolation", "extrapolation", "sparsity"]
    return typed(pd.concat([keys, kept[columns].take(order).reset_index(drop=True)], axis=1))
