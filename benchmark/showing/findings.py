"""What was found, in sentences; every number in them is one of the tables'."""

import re

import pandas as pd

from benchmark.asked.replicas import CELL
from benchmark.results.intervals import success_rate
from benchmark.showing.names import MODELS, TASKS, label, listed, ordered, setting, spoken, verb

CLOSE = 0.01  # relative error of a network that comes near the truth
MOST = 0.9  # share of its seeds in which a model does what it can do
ENOUGH = 10  # seeds; of fewer no rate says much
FEW = 4  # models that are named, and cells that are told one by one
PLACE = ["task", "range", "protocol", "overrides"]


def findings(outcomes: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Three sentences: how many networks come near the truth, who solves what, and what nobody does."""
    outcomes = outcomes.merge(cells[[*CELL, "trained", "judged", "representable"]], on=CELL)
    return [near(outcomes), able(outcomes), nobody(outcomes)]


def near(outcomes: pd.DataFrame) -> str:
    """How many networks come near the truth where they are trained, and how many where they are judged."""
    mlps = outcomes["model"].str.startswith("mlp_")
    outside = "outside" if all_outside(outcomes) else "where they are judged"
    told: list[str] = []
    for name, group in (("MLPs", outcomes[mlps]), ("other networks" if mlps.any() else "networks", outcomes[~mlps])):
        if len(group):
            shares = [f"{(group[f'relative_{side}polation'] < CLOSE).mean():.0%}" for side in ("inter", "extra")]
            words = f"come within {CLOSE:.0%} of the truth where they are trained and {shares[1]} {outside}"
            told.append(f"of {len(group):,} {name} {shares[0]} {f'and {shares[1]}' if told else words}")
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."


def few(outcomes: pd.DataFrame) -> str:
    """That the networks of a cell are too few for a result; "" where they are not."""
    seeds = int(outcomes.groupby(CELL).size().min())
    if seeds >= ENOUGH:
        return ""
    low = success_rate(seeds, seeds)[1]
    of = f"{seeds} seed{'s' * (seeds > 1)}"
    return f"{of} a cell are no result: even of a rate of 100% the 95% interval begins at {low:.0%}."


NUMBER = r"-?(?:\d[\d.]*(?:e[+-]?\d+)?|inf)"


def leads_outside(trained: str, judged: str) -> bool:
    """Whether networks are judged anywhere outside the hull of where they are trained.

    >>> leads_outside("[1, 2]", "[2, 6]"), leads_outside("{0, 5, …, 95} × {5, 10, …, 100}", "{10, 20, …, 60}")
    (True, False)
    """
    hull, ends = ([float(end) for end in re.findall(NUMBER, text)] for text in (trained, judged))
    return not (hull and ends) or min(ends) < min(hull) or max(ends) > max(hull)


def all_outside(cells: pd.DataFrame) -> bool:
    """Whether networks are judged nowhere within the hull of where they are trained, in every row (trained, judged).

    >>> trained = pd.DataFrame({"trained": ["[-5, 5]"]})
    >>> all_outside(trained.assign(judged="[-9, -5] ∪ [5, 9]")), all_outside(trained.assign(judged="{-9, …, 9}"))
    (True, False)
    """
    for trained, judged in cells[["trained", "judged"]].drop_duplicates().itertuples(index=False, name=None):
        hull = [float(end) for end in re.findall(NUMBER, trained)]
        for piece in re.findall(r"[\[{][^]}]*", judged):
            ends = [float(end) for end in re.findall(NUMBER, piece)]
            if hull and ends and min(ends) < max(hull) and max(ends) > min(hull):
                return False
    return True


def able(outcomes: pd.DataFrame) -> str:
    """Which models solve which tasks in most of their seeds."""
    rates = outcomes.groupby(CELL, sort=False)["solved"].agg(["mean", "sum", "size"]).reset_index()
    if (outcomes["verdict"] == "unjudged").any() and not rates["sum"].any():
        return "No threshold exists that could call a network's task solved."
    if not rates["sum"].any():
        near = (
            outcomes.assign(near=outcomes["relative_extrapolation"] < CLOSE)
            .groupby("model")["near"]
            .agg(["mean", "size"])
        )
        best = near["mean"].idxmax()
        return (
            f"No network solves its task; nearest comes {label(best)}, within {CLOSE:.0%} of the truth where judged in "
            f"{near['mean'][best]:.0%} of {near['size'][best]:,} networks."
        )
    places = rates[PLACE].drop_duplicates()
    reliable = rates[rates["mean"] >= MOST]
    if reliable.empty or len(rates) == 1:
        best = rates.sort_values("mean", ascending=False, kind="stable").iloc[0]
        does = f"{label(best['model'])} {verb(best['task'])} in {best['sum']} of {best['size']} seeds"
        if len(rates) == 1:
            return f"{does}."
        return f"No model solves a task in {MOST:.0%} of its seeds; best, {does}{_where(best, places)}."
    counts = reliable.groupby("model").size()
    order = sorted(ordered(counts.index, MODELS), key=lambda model: -counts[model])
    rest = [f"{len(order) - FEW} more at most {counts[order[FEW]]}"] if len(order) > FEW else []
    others = remaining(rates.groupby("model")["sum"].max().drop(order))
    if len(places) == 1:
        verbs = verb(places["task"].iloc[0], len(order))
        return f"{listed([label(model) for model in order], FEW)} {verbs} in at least {MOST:.0%} of the seeds{others}."
    told = []
    for model in order[:FEW]:
        tasks = ordered(reliable.loc[reliable["model"] == model, "task"], TASKS)
        told.append(f"{label(model)} {counts[model]} ({', '.join(TASKS.get(task, task) for task in tasks)})")
    settings = places[["protocol", "overrides"]].drop_duplicates().shape[0] > 1
    what = "tasks, ranges and settings" if settings else "tasks and ranges"
    return (
        f"Solved in at least {MOST:.0%} of the seeds, of {len(places)} combinations of {what}: by "
        f"{listed([*told, *rest], FEW + 1)}{others}."
    )


def remaining(solved: pd.Series) -> str:
    """How many models solve a task in fewer seeds than most, or in none: from what each solves at best.

    >>> remaining(pd.Series([0.5, 0.1, 0])), remaining(pd.Series([0])), remaining(pd.Series(dtype=float))
    ('; of the others 2 in fewer, 1 in none', '; of the others 1 in none', '')
    """
    counts = {"in fewer": (solved > 0).sum(), "in none": (solved == 0).sum()}
    told = ", ".join(f"{count} {where}" for where, count in counts.items() if count)
    return f"; of the others {told}" if told else ""


def nobody(outcomes: pd.DataFrame) -> str:
    """What no network solves or how much hangs on the setting; what was impossible, and how many networks diverged."""
    told = []
    solved = outcomes.groupby("task")["solved"].agg(["sum", "size"])
    unsolved = ordered(solved.index[solved["sum"] == 0], TASKS)
    if unsolved and len(unsolved) < len(solved):
        networks = solved.loc[unsolved, "size"].sum()
        names = [TASKS.get(task, task) for task in unsolved]
        told.append(f"none solves {listed(names, last='or')} (of {networks:,})")
    if impossible := (outcomes["representable"] == "no").sum():
        told.append(f"{impossible:,} are asked for what their weights cannot represent")
    lost = (outcomes["verdict"] == "diverged").sum()
    told.append(f"{lost:,} {'diverges' if lost == 1 else 'diverge'}" if lost else "none diverges")
    text = f"Of {len(outcomes):,} networks {listed(told)}"
    near = outcomes.assign(near=outcomes["relative_extrapolation"] < CLOSE)
    settings = near.groupby(["model", "overrides"])["near"].mean().unstack()
    if settings.shape[1] > 1 and settings.notna().all(axis=None):
        model = (settings.max(axis=1) - settings.min(axis=1)).idxmax()
        of = settings.loc[model]
        low, high = (f"{of[name]:.0%} with {setting(name)}" for name in (of.idxmin(), of.idxmax()))
        share_of = f"the share of {label(model)}'s within {CLOSE:.0%} of the truth where judged"
        text += f"; {share_of} goes from {low} to {high}" if of.max() > of.min() else ""
    return f"{text}."


def _where(cell: pd.Series, places: pd.DataFrame) -> str:
    """Which of several ranges and settings a cell is of."""
    told = [cell["range"]] if places["range"].nunique() > 1 else []
    told += [setting(cell["overrides"])] if places["overrides"].nunique() > 1 else []
    return f" ({', '.join(told)})" if told else ""


def in_short(outcomes: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """What the terminal says first: a sentence for each model and task, or of many the three of `findings`."""
    if len(cells) > FEW:
        return findings(outcomes, cells)
    groups = cells.groupby(["model", "task", "protocol", "overrides"], sort=False)
    sentences = []
    for (model, task, _, overrides), group in groups:
        does, name = f"{label(model)} {verb(task)}", label(model)
        for cell in group.to_dict("records"):
            own = outcomes[(outcomes[CELL] == [cell[key] for key in CELL]).all(axis=1)]
            where = spoken(cell["trained"])
            if cell["representable"] == "no":
                sentences.append(f"On {where} {name} cannot: {cell['why']}.")
                continue
            to = f"{where} → {spoken(cell['judged'])}" if cell["trained"] != cell["judged"] else where
            with_ = f" with {setting(overrides)}" if cells["overrides"].nunique() > 1 else ""
            if not cell["threshold"] < float("inf"):
                sentences.append(f"Of {name} on {TASKS.get(task, task)}, {to}, no threshold says what is solved.")
                continue
            sentences.append(f"{does} {to}{with_} in {own['solved'].sum()} of {len(own)} seeds.")
    return sentences
