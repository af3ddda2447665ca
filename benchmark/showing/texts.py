"""From tables to what the terminal and the reports say."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd
from tabulate import tabulate

from benchmark.asked.replicas import CELL
from benchmark.asked.tasks import OPERATIONS
from benchmark.errors import plain
from benchmark.results.agreement import RATES
from benchmark.results.statistics import OUTPUT_ERRORS, VERDICTS, finite_medians
from benchmark.showing.findings import in_short, leads_outside
from benchmark.showing.names import MODELS, TASKS, label, latex, listed, natural, not_finite, ordered

# The metrics of a report, or of a table that has none of the first three; and whether more of it is better.
SHOWN = {"success_rate": True, "relative_extrapolation": False, "horizon": True} | dict.fromkeys(OUTPUT_ERRORS, False)
OTHERWISE = {"score": False, "score_interpolation": False, "solved_at": False, "sparsity": False}
HEADINGS = {
    "success_rate": "Success rate in % [95% interval]",
    "relative_extrapolation": "Relative error where networks are judged, median over the seeds [95% interval]",
    "horizon": "Horizon: the multiple of the training half-width up to which the median relative error stays below 1%, "
    "0 where it does not even at the first distance measured from the edge (1) on [quartiles of the seeds]",
    "score": "Score outside the training range: 100 × the error over an untrained network's [95% interval]",
    "score_interpolation": "Score inside the training range [95% interval]",
    "solved_at": "Step at which a seed solves the task, median [95% interval]",
    "sparsity": "Sparsity error of the solved seeds, median [95% interval]",
} | {
    f"error_{name}": f"Mean absolute error of {TASKS[name]}, mean over the seeds [95% interval]" for name in OPERATIONS
}
LOST = "(24 of 25 ∞): the numbers of so many seeds are not finite, and the median is of the others"
MEANINGS = {
    "diverged": "training ended in numbers that are not finite",
    "solved": "the error outside the training range is below the threshold, that of weights which are each wrong by ε "
    "unless the protocol sets one",
    "near_miss": "above that threshold, but relative error outside below 0.1%",
    "inexact": "above that threshold, but relative error outside below the limit that counts as fitting inside (5% "
    "unless the protocol sets another)",
    "unjudged": "relative error outside below that limit, where no threshold exists that could call it solved",
    "interpolates": "fits its training range and fails outside: relative error there at or above that limit",
    "cannot_represent": "no weights of this model compute the task where it is judged, so no training could",
    "not_learned": "does not even fit its training range",
}


def number(value: float) -> str:
    """Three figures, as short as they can be read.

    >>> [number(x) for x in (0.98, 1.79e-4, 123456.0, -math.inf, math.nan)]
    ['0.98', '1.8e-04', '1.2e+05', '−∞', '–']
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.1e}" if value != 0 and not 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def table(rows: list[dict[str, str]]) -> str:
    """Aligned columns under a header, for the terminal."""
    shown = [{plain(name): plain(text) for name, text in row.items()} for row in rows]
    return tabulate(shown, headers="keys", disable_numparse=True)


def in_markdown(text: str) -> str:
    """The text, on one line, with the characters that would be markup in Markdown or HTML escaped.

    >>> in_markdown("mlp_relu | <b> `x` [a](b)")
    'mlp_relu \\\\| \\\\<b\\\\> \\\\`x\\\\` [a]\\\\(b)'
    """
    return re.sub(r"[\\`*<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<=\])[(\[:]", r"\\\g<0>", plain(text))


def in_code(text: str) -> str:
    """The text, on one line, as a span of code in Markdown.

    >>> in_code("nac"), in_code("a`b")
    ('`nac`', '`` a`b ``')
    """
    shown = plain(text)
    fence = _fence(shown, 1)
    return f"{fence}{shown}{fence}" if fence == "`" else f"{fence} {shown} {fence}"


def code_block(text: str) -> str:
    """Lines as a block of code in Markdown."""
    fence = _fence(text, 3)
    return "\n".join([f"{fence}text", *map(plain, text.split("\n")), fence])


def _fence(text: str, least: int) -> str:
    """More backticks than stand next to each other in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table, aligned for those who read it as text; its cells are Markdown (see `in_markdown`)."""
    return frame.to_markdown(index=False, disable_numparse=True)


def matrix(summary: pd.DataFrame, metric: str, bold: str, write: Callable[[str], str] = str) -> pd.DataFrame:
    """One metric of one range as text, model × task, with its interval; `bold` is a pattern for the best of each task
    if most of its seeds solve it.

    Beside a median that leaves seeds out stands how many, and it is never the best.

    summary: the rows of that range, of the metric and of the success rate. write: what the format does to plain text.

    >>> row = {"model": "nac", "task": "add", "metric": "success_rate", "value": 0.98, "low": 0.93, "high": 0.99}
    >>> matrix(pd.DataFrame([row]), "success_rate", "**{}**").loc["NAC", "a + b"]
    '**98 [93, 99]**'
    """
    rows = summary[summary["metric"] == metric]
    rates = summary[summary["metric"] == "success_rate"].set_index(["model", "task"])["value"].to_dict()
    more = (SHOWN | OTHERWISE)[metric]
    whole = rows.assign(value=rows["value"].mask(rows.get("not_finite", 0 * rows["value"]) > 0))
    compared = whole.pivot(index="model", columns="task", values="value")
    best = compared.max() if more else compared.min()
    told = (lambda value: number(round(100 * value, 0))) if metric in RATES else number

    def cell(row: dict[str, Any]) -> str:
        value, low, high = (told(row[name]) for name in ("value", "low", "high"))
        lost = row.get("not_finite", 0)
        text = write((value if low == high == "–" else f"{value} [{low}, {high}]") + not_finite(lost, row.get("seeds")))
        solved = rates.get((row["model"], row["task"]), 0.0) > 0.5 and not lost > 0
        solved &= row["value"] > 0 or not more  # nothing is best of what is none
        return bold.format(text) if solved and row["value"] == best[row["task"]] else text

    texts = rows.assign(text=[cell(row) for row in rows.to_dict("records")]).pivot(
        index="model", columns="task", values="text"
    )
    texts = texts.reindex(index=ordered(texts.index, MODELS), columns=ordered(texts.columns, TASKS)).fillna("")
    texts.index = [write(label(model)) for model in texts.index]
    texts.columns = [write(TASKS.get(task, task)) for task in texts.columns]
    return texts


def matrices(summary: pd.DataFrame) -> list[tuple[tuple[str, str, str], str, pd.DataFrame]]:
    """((range, protocol, overrides), metric, rows) of every table that a summary gives."""
    groups = list(summary.groupby(["range", "protocol", "overrides"], sort=False))
    places = {range_: place for place, range_ in enumerate(summary["range"].unique())}
    groups.sort(key=lambda group: (places[group[0][0]], *map(natural, group[0][1:])))
    shown = SHOWN if summary["metric"].isin(SHOWN).any() else OTHERWISE
    return [
        (names, metric, rows[rows["metric"].isin([metric, "success_rate"])])
        for names, rows in groups
        for metric in shown
        if rows.loc[rows["metric"] == metric, "value"].notna().any()
    ]


def markdown_tables(summary: pd.DataFrame, ranges: Mapping[str, str] | None = None) -> str:
    """Model × task tables of the metrics a report shows, each under its heading, the best of each task in bold.

    ranges: where each range trains and judges, in words.
    """
    parts = []
    for (range_, protocol, overrides), metric, rows in matrices(summary):
        told = (ranges or {}).get(range_, range_)
        asked = [told, *([range_] if range_ not in told else []), protocol, overrides]
        where = in_markdown(" · ".join(filter(None, asked)))
        frame = matrix(rows, metric, "**{}**", write=in_markdown).rename_axis("model").reset_index()
        parts.append(f"**{where}**: {_heading(metric, rows)}\n\n{markdown(frame)}")
    return "\n\n".join(parts)


def _heading(metric: str, rows: pd.DataFrame) -> str:
    return HEADINGS[metric] + (f"; {LOST}" if (rows.get("not_finite", pd.Series()) > 0).any() else "")


def html(sentences: list[str], summary: pd.DataFrame) -> str:
    """Sentences, and the success rates of `matrices`, for a notebook."""
    parts = [f"<p>{'<br>'.join(escape(plain(sentence)) for sentence in sentences)}</p>"]
    for names, metric, rows in matrices(summary) if len(summary) else ():
        if metric in ("success_rate", "score"):
            where = escape(plain(" · ".join(filter(None, names))))
            frame = matrix(rows, metric, "<b>{}</b>", write=lambda text: escape(plain(text)))
            parts.append(f"<p><b>{where}</b>: {_heading(metric, rows)}</p>{frame.to_html(escape=False, border=0)}")
    return "".join(parts)


def latex_tables(summary: pd.DataFrame) -> str:
    """The tables of `markdown_tables` for LaTeX with booktabs."""
    parts = []
    for (range_, protocol, overrides), metric, rows in matrices(summary):
        frame = matrix(rows, metric, r"\textbf{{{}}}", write=latex)
        counts = sorted({f"{seeds:.0f}" for seeds in rows.loc[rows["metric"] == metric, "seeds"].dropna()}, key=int)
        seeds = [f"{' to '.join(dict.fromkeys((counts[0], counts[-1])))} seeds"] if counts else []
        caption = "; ".join(filter(None, (_heading(metric, rows), range_, protocol, overrides, *seeds))) + "."
        words = re.findall(r"[A-Za-z0-9.]+", " ".join((metric, range_, protocol, overrides)))
        written = frame.style.to_latex(
            hrules=True,
            column_format="l" + "r" * len(frame.columns),
            position_float="centering",
            caption=latex(caption),
            label="tab:" + "-".join(words),
        )
        parts.append(written)
    return "% needs \\usepackage{booktabs}\n" + "\n".join(parts)


def differing(overrides: Iterable[str], swept: Iterable[str] = ()) -> dict[str, str]:
    """Of each of a column's `overrides` the settings that not all of them have, and those of the keys that are swept.

    >>> differing(["protocol.batch=64;protocol.steps=20", "protocol.batch=64"])
    {'protocol.batch=64;protocol.steps=20': 'protocol.steps=20', 'protocol.batch=64': ''}
    """
    settings = {text: text.split(";") for text in overrides}
    common = set.intersection(*map(set, settings.values()))
    keys = tuple(swept)
    other = lambda one: one not in common or any(re.match(rf"{re.escape(key)}[.=]", one) for key in keys)
    return {text: ";".join(filter(other, parts)) for text, parts in settings.items()}


def report(outcomes: pd.DataFrame, summary: pd.DataFrame, cells: pd.DataFrame, swept: Collection[str] = ()) -> str:
    """The cells' success rates, errors and verdicts, what the verdicts mean, and why what is impossible is so.

    swept: keys of settings in which other jobs' tables differ from this one.
    """
    metrics = summary.set_index([*CELL, "metric"])
    told = differing(outcomes["overrides"].unique(), swept)
    varying = ["protocol"] if "protocol" in swept or outcomes["protocol"].nunique() > 1 else []
    varying += ["overrides"] if any(told.values()) else []
    medians, lost = finite_medians(outcomes, CELL, ["relative_interpolation", "relative_extrapolation"])
    medians, lost = ({names: row for names, *row in of.itertuples(name=None)} for of in (medians, lost))
    rows = []
    for names, group in outcomes.groupby(CELL, sort=False):
        own = dict(zip(CELL, names, strict=True))
        own["overrides"] = told[own["overrides"]]
        rate, at = metrics.loc[(*names, "success_rate")], metrics.loc[(*names, "solved_at")]
        counts = group["verdict"].value_counts()
        verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
        success = f"{rate['value']:4.0%} [{100 * rate['low']:.0f}–{100 * rate['high']:.0f}]"
        rows.append(
            {name: own[name] for name in ("model", "task", "range", *varying)}
            | {"success [95%]": success if rate["seeds"] else "–"}
            | {"solved at": "–" if math.isnan(at["value"]) else f"{at['value']:,.0f}"}
            | {
                side: number(middle) + not_finite(count, len(group))
                for side, middle, count in zip(("error inside", "outside"), medians[names], lost[names], strict=True)
            }
            | {"verdicts (seeds)": verdicts}
        )
    seen = [verdict for verdict in VERDICTS if (outcomes["verdict"] == verdict).any()]
    lines = [
        *in_short(outcomes, cells),
        "",
        table(rows),
        "",
        "Errors are relative (RMS error over RMS target), medians over the seeds.",
    ]
    lines += [f"{LOST}."] if any(any(of) for of in lost.values()) else []
    lines += [f"{verdict}: {MEANINGS[verdict]}." for verdict in seen]
    return "\n".join(lines + late(outcomes) + of_cells(cells))


def of_cells(cells: pd.DataFrame) -> list[str]:
    """Sentences about what was known before training: what is impossible and why, where targets have no variance, and
    the effective ranges.
    """
    lines = []
    where = {"trained": ("trained on", "in training"), "judged": ("judged on", "where it is judged")}
    for side, (verb, meant) in where.items():
        infinite = cells[cells[f"variance_{side}"] == "infinite"]
        for (range_, interval), group in infinite.groupby(["range", side], sort=False):
            tasks = ", ".join(group["task"].unique())
            lines.append(
                f"The targets of {tasks} on {range_}, {verb} {interval}, have no finite variance: errors {meant} "
                "depend on how near to 0 a divisor happened to come."
            )
    only = cells[(cells["representable_trained"] == "no") & (cells["representable"] != "no")]
    for (model, range_), group in only.groupby(["model", "range"], sort=False):
        tasks = ", ".join(group["task"].unique())
        lines.append(f"{model} cannot represent {tasks} where it is trained on {range_}, only where it is judged.")
    impossible = cells[cells["representable"] == "no"]
    for (model, range_, why), group in impossible.groupby(["model", "range", "why"], sort=False):
        lines.append(f"{model} cannot represent {', '.join(group['task'].unique())} on {range_}: {why}.")
    has_threshold = (cells["threshold"] < math.inf).rename("has_threshold")
    alike = cells.groupby(["range", "trained", "judged", has_threshold], sort=False)
    for (range_, trained, judged, threshold), group in alike:
        told = f"{', '.join(group['task'].unique())} on {range_}: trained on {trained}, judged on {judged}"
        lines.append(told + ("." if threshold else ", without a threshold: weights wrong by ε err by ∞."))
    return lines


def beyond(profile: pd.DataFrame, cells: pd.DataFrame, responses: pd.DataFrame | None = None) -> list[str]:
    """A sentence for each task and range that is judged inside its training range only: how far off networks are
    beyond it, where two operands lie farthest from its middle, and on either side of it where only the first does.
    """
    known = cells[(cells["inputs"] > 1) & ~cells["trained"].str.contains("inf")]
    inside = [not leads_outside(*ends) for ends in zip(known["trained"], known["judged"], strict=True)]
    rows = profile[profile["x"] > 1].merge(known.loc[inside, [*CELL, "judged"]], on=CELL).dropna(subset="relative")
    lines = []
    for (task, range_), group in rows.groupby(["task", "range"], sort=False):
        last = group[group["x"] == group["x"].max()].groupby("model")["relative"].median()
        errors = [f"{number(100 * error)}% ({label(str(model))})" for model, error in last.items()]
        told = (
            f"{task} on {range_} is judged inside its training range only. Beyond it, at {group['x'].max():g} times "
            f"its half-width, the median relative error is {listed(errors)}."
        )
        own = pd.DataFrame() if responses is None else responses[responses["operand"] == "a"]
        own = own[(own[["task", "range"]] == [task, range_]).all(axis=1)] if len(own) else own
        told += "".join(f" {_side(own[own['x'] == x])}" for x in own.get("x", pd.Series()).agg(["min", "max"]).dropna())
        lines.append(told)
    return lines


def _side(rows: pd.DataFrame) -> str:
    """How far off the median answers are at one value of the first operand."""
    errors = ((rows["median"] - rows["target"]) / rows["target"]).abs()
    told = [f"{number(100 * error)}% ({label(model)})" for model, error in zip(rows["model"], errors, strict=True)]
    at = f"{rows['x'].iloc[0]:,g}".replace("-", "−")
    return f"With a alone at {at} the median answer is off by {listed(told)}."


def late(outcomes: pd.DataFrame) -> list[str]:
    """A sentence for each cell whose success rate hangs on the last tenth of the run: more than a tenth of its networks
    first pass their threshold there.
    """
    last = outcomes["solved"] & (outcomes["solved_at"] > 0.9 * outcomes["steps"])
    cells = outcomes.assign(late=last).groupby(CELL, sort=False)
    counted = cells.agg(solved=("solved", "sum"), late=("late", "sum"), networks=("late", "size")).reset_index()
    return [
        f"{row.model} on {row.task}, {row.range}: {row.late} of the {row.solved} that solve it first pass the "
        "threshold in the last tenth of the run; the rate depends on its length."
        for row in counted[counted["late"] > counted["networks"] / 10].itertuples()
    ]
