"""What each kind of figure shows, in a sentence that is its title; every number in it is one of the figure's tables'.

Each function takes the tables that its kind is drawn from.
"""

import numpy as np
import pandas as pd

from benchmark.asked.replicas import CELL
from benchmark.results.statistics import HORIZON_ERROR, finite_medians
from benchmark.showing.figures.agreement import rates_and_scores
from benchmark.showing.figures.distance import by_distance
from benchmark.showing.figures.heatmaps import reached
from benchmark.showing.figures.inputs import at_the_ends, errors
from benchmark.showing.figures.look import amount, by_task_and_range, models_of, range_title, ranges_of, settings, share
from benchmark.showing.figures.plane import largest_target
from benchmark.showing.figures.speed import beside_loops
from benchmark.showing.findings import CLOSE, FEW, MOST, all_outside, few, near, remaining
from benchmark.showing.names import MODELS, TASKS, label, listed, natural, ordered, setting, spaced, verb

BECAME = {
    "solved": "solve their task", "near_miss": "miss it by little", "inexact": "come below the limit of fitting",
    "unjudged": "come below the limit of fitting, where no threshold exists",
    "interpolates": "fit inside and fail outside", "not_learned": "do not even fit inside",
    "cannot_represent": "cannot represent it", "diverged": "diverge",
}  # fmt: skip


def ranges(cells: pd.DataFrame) -> dict[str, str]:
    """Where each range trains and judges, as the panels of figures say it."""
    return {name: range_title(cells, name) for name in ranges_of(cells, cells)}


def summary(outcomes: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How many networks come near the truth inside and outside, and whether they are too few to tell."""
    told = near(outcomes.merge(cells[[*CELL, "trained", "judged"]], on=CELL))
    return " ".join(filter(None, (told, few(outcomes))))


def success(summary: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Who solves how many tasks and ranges in most of the seeds."""
    rates = summary[summary["metric"] == "success_rate"].dropna(subset="value")
    places = rates[["task", "range"]].drop_duplicates()
    counts = rates[rates["value"] >= MOST].groupby("model").size()
    if counts.empty:
        best = rates.loc[rates["value"].idxmax()]
        where = f" ({range_title(cells, best['range'], best['task'])})" if len(places) > 1 else ""
        told = f"{label(best['model'])} {verb(best['task'])} in {best['value']:.0%} of them{where}"
        return f"No model solves a task in {MOST:.0%} of its seeds; best, {told}."
    order = sorted(ordered(counts.index, MODELS), key=lambda model: -counts[model])
    others = remaining(rates.groupby("model")["value"].max().drop(order))
    if len(places) == 1:
        does = verb(places["task"].iloc[0], len(order))
        return f"{listed([label(model) for model in order], FEW)} {does} in at least {MOST:.0%} of the seeds{others}."
    tasks, ranges = (places[name].nunique() for name in ("task", "range"))
    of = "tasks and ranges" if min(tasks, ranges) > 1 else "tasks" if tasks > 1 else f"ranges of {_only_task(places)}"
    told = listed([f"{label(model)} {counts[model]}" for model in order], FEW)
    return f"Solved in at least {MOST:.0%} of the seeds, of {len(places)} {of}: by {told}{others}."


def _only_task(places: pd.DataFrame) -> str:
    return TASKS.get(places["task"].iloc[0], places["task"].iloc[0])


def verdicts(outcomes: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What became of most networks."""
    shares = outcomes["verdict"].value_counts(normalize=True)
    told = listed([f"{shares[verdict]:.0%} {BECAME[verdict]}" for verdict in shares.index[:3]])
    return f"Of {len(outcomes):,} networks {told}."


def error(outcomes: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How many models, task by task, come near the truth inside and outside."""
    sides = ["relative_interpolation", "relative_extrapolation"]
    medians, _ = finite_medians(outcomes, ["model", "task", "range"], sides)
    there = "outside" if all_outside(cells) else "where networks are judged"
    if len(medians) == 1:
        inside, outside = map(share, medians.iloc[0])
        whose = f"{label(outcomes['model'].iloc[0])}'s median error"
        return f"{whose} is {inside} inside the training range and {outside} {there}."
    inside, outside = (medians < CLOSE).sum()
    return (
        f"Of {len(medians)} median errors {inside} are below {CLOSE:.0%} inside the training range, {outside} {there}."
    )


def horizon(summary: pd.DataFrame, profile: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How many models stay near the truth as far as was measured."""
    known = summary[summary["metric"] == "horizon"].merge(reached(profile, cells), on=CELL).dropna(subset="value")
    reach, edge = (known["value"] >= known["farthest"]).sum(), (known["value"] < known["nearest"]).sum()
    within = f"stay below {HORIZON_ERROR:.0%}"
    return (
        f"Of {len(known)} median errors {reach} {within} as far as was measured, and {edge} not even next to the edge."
    )


def sweep(summary: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Whose success hangs most on the setting, or where nobody's does by much, whose error."""
    for metric, much in {"success_rate": 0.2, "relative_extrapolation": 0.0}.items():
        rows = summary[summary["metric"] == metric]
        wide = rows.pivot_table(index=["model", "task", "range"], columns="overrides", values="value")
        wide = wide[sorted(wide, key=natural)]
        spread = wide.clip(1e-7, 1e6).map(np.log) if metric != "success_rate" else wide
        spread = (spread.max(axis=1) - spread.min(axis=1)).dropna()
        if not spread.gt(much).any():
            continue
        model, task, range_ = spread.idxmax()
        of = wide.loc[(model, task, range_)].dropna()
        where = f" ({range_title(cells, range_, task)})" if wide.index.get_level_values("range").nunique() > 1 else ""
        ends = [(of[name], _setting(name, list(wide))) for name in (of.idxmin(), of.idxmax())]
        if metric == "success_rate":
            (low, worst), (high, best) = ends
            does = f"{label(model)} {verb(task)}"
            return f"{does} in {high:.0%} of the seeds with {best} and in {low:.0%} with {worst}{where}."
        (low, best), (high, worst) = [(share(value, long=True), setting) for value, setting in ends]
        whose = f"{label(model)}'s error{' outside' * all_outside(cells)} on {TASKS.get(task, task)}"
        return f"{whose} is {low} with {best} and {high} with {worst}{where}."
    return ""


def _setting(overrides: str, among: list[str]) -> str:
    """A setting as a sentence names it: the swept number where there is one."""
    swept, numbers, _ = settings(among)
    if swept:
        return f"{spaced(swept)} = {numbers[overrides]:g}"
    return setting(overrides)


def distance(profile: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How many models are near the truth where the edge is next, and how many at the farthest distance."""
    table = by_distance(profile, cells)
    table = table[table["distance"] >= 1].sort_values("distance")
    ends = table.groupby(CELL)["relative"].agg(["first", "last"])
    if len(ends) == 1:
        edge, far = (share(error, long=True) for error in ends.iloc[0])
        whose = f"{label(table['model'].iloc[0])}'s median error"
        return f"{whose} is {edge} next to the edge of training and {far} farthest out."
    edge, far = (ends < HORIZON_ERROR).sum()
    told = f"{edge} are below {HORIZON_ERROR:.0%} next to the edge of training, {far} farthest out"
    return f"Of {len(ends)} median errors {told}."


def inputs(profile: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Who errs least and who most at the inputs that lie farthest outside."""
    told = []
    for (task, range_), part in by_task_and_range(errors(profile, cells)[0], cells):
        ends = at_the_ends(part)
        ends = ends[np.isfinite(ends)]
        if len(ends):
            least, most = ends.idxmin(), ends.idxmax()
            names = f"{amount(ends[least])} ({label(least) if least != most or len(ends) == 1 else 'each'})"
            names += f" to {amount(ends[most])} ({label(most)})" if least != most else ""
            where = range_title(cells, range_, task).partition(" →")[0].removesuffix(", judged there")
            told.append(f"{TASKS.get(task, task)}, trained on {where}: {names}")
    more = f"; and {len(told) - 2} more" if len(told) > 2 else ""
    where = "farthest outside" if all_outside(cells) else "at the ends of the inputs"
    return f"Errors {where}: of {'; of '.join(told[:2])}{more}." if told else ""


def learning(curves: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How many models end below their thresholds."""
    last = curves[curves["step"] == curves.groupby(CELL)["step"].transform("max")]
    medians = last.groupby(CELL)["extrapolation"].median().reset_index().merge(cells[[*CELL, "threshold"]], on=CELL)
    below = (medians["extrapolation"] < medians["threshold"]).sum()
    if len(medians) == 1:
        side = "below" if below else "above"
        return f"{label(medians['model'].iloc[0])}'s median error outside ends {side} the threshold of success."
    return f"Of {len(medians)} median errors outside {below} end below the threshold of success."


def untrained(initialisation: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Whose outputs are the least and the largest before training, and who saturates most."""
    table = initialisation.assign(size=initialisation["output"] / initialisation["target"])
    sizes = table.groupby("model")["size"].median().dropna()
    if sizes.empty:
        return ""
    least, most = sizes.idxmin(), sizes.idxmax()
    told = f"from {label(least)} {share(sizes[least])} to {label(most)} {share(sizes[most])}"
    told = f"{told if least != most else share(sizes[least])} of the targets"
    saturated = table.groupby("model")["saturation"].median()
    more = (
        f"; {label(saturated.idxmax())} saturates {saturated.max():.0%} of its weights" if saturated.max() > 0 else ""
    )
    return f"Before training outputs are, by root mean square, {told}{more}."


def responses(responses: pd.DataFrame, outcomes: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Who solves one task on one range in most seeds."""
    task, name = responses[["task", "range"]].iloc[0]
    own = outcomes[(outcomes["task"] == task) & (outcomes["range"] == name)]
    solved = own.groupby("model")["solved"].mean()
    able = [label(model) for model in models_of(responses) if solved.get(model, 0) > 0.5]
    where = range_title(cells, name, task)
    outside = " outside the training range" if all_outside(cells) else " where judged"
    return f"{listed(able, 4) or 'No model'} {verb(task, len(able))}{outside} in most seeds: {where}"


def plane(plane: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Who is near the truth on the largest part of the plane, and who on the least."""
    near = (plane["error"] < CLOSE * largest_target(plane)).groupby(plane["model"]).mean()
    best, worst = near.idxmax(), near.idxmin()
    who = label(best) if best != worst or len(near) == 1 else f"each of {len(near)} models"
    told = f"Within {CLOSE:.0%} of the largest target: {who} on {near[best]:.0%} of the plane"
    return f"{told}, {label(worst)} on {near[worst]:.0%}." if best != worst else f"{told}."


def agreement(comparison: pd.DataFrame, cells: pd.DataFrame) -> str:
    """How many of our rates agree with the published ones; without a test, how many lie how near."""
    rows = rates_and_scores(comparison)
    tested = rows.loc[rows["verdict"] != "", "verdict"]
    if len(tested):
        verbs = {"same": "agree{}", "differ": "differ{}", "inconclusive": "leave{} it open"}
        counts = tested.value_counts()
        s = {verdict: "s" * int(count == 1) for verdict, count in counts.items()}
        told = listed([f"{counts[name]} {does.format(s[name])}" for name, does in verbs.items() if name in counts])
        return f"Of {len(tested)} success rates beside the published ones {told}."
    near = ((rows["value"] <= 1) == (rows["published"] <= 1)).sum()
    side = "on the same side of 1, a hundredth of an untrained network's error,"
    return f"Of {len(rows)} scores {near} {'is' if near == 1 else 'are'} {side} as published."


def differences(table: pd.DataFrame) -> str:
    """How often A is better than B, worse, the same or neither."""
    counts = table["verdict"].value_counts()
    verbs = {"better": "better", "worse": "worse", "same": "the same", "inconclusive": "neither for sure"}
    told = listed([f"{does} in {counts[verdict]}" for verdict, does in verbs.items() if verdict in counts])
    return f"Of {len(table)} numbers A is {told}."


def speed(speed: pd.DataFrame) -> str:
    """How many times as fast as the plain loop ours is, the least and the most."""
    ratios = beside_loops(speed)["ratio"].dropna()
    beside = f", × {amount(ratios.min())} to × {amount(ratios.max())} the plain loop" if len(ratios) else ""
    best = speed.loc[speed["replica_steps_per_second"].idxmax()]
    return f"Up to {amount(best['replica_steps_per_second'])} replica-steps a second ({best['workload']}){beside}."


def representable(declared: pd.DataFrame) -> str:
    """How many models can compute which operations on operands of both signs."""
    can = declared[(declared["sign"] == "mixed") & (declared["representable"] == "yes")].groupby("task").size()
    told = [f"{TASKS.get(task, task)} {can.get(task, 0)}" for task in ordered(declared["task"], TASKS)]
    return (
        f"Of {declared['model'].nunique()} models so many can compute, with operands of both signs: {', '.join(told)}."
    )
