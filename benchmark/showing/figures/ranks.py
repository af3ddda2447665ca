"""Who solves a task, best first: one's own models among the others."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from benchmark.asked.conf_files import members_of
from benchmark.results.intervals import success_rate
from benchmark.results.ranking import METRICS, is_pool
from benchmark.showing.figures.layout import grid, legend, pages
from benchmark.showing.figures.look import HATCH, as_text, looks, paper, range_titles, wrapped
from benchmark.showing.names import TASKS, ordered, setting
from benchmark.showing.ranks import entrant_label

MOST = 16  # entrants of a panel
ROW = 0.16  # inches
PANEL = ["task", "protocol", "overrides"]


def over_ranges(ranking: pd.DataFrame) -> pd.DataFrame:
    """The success rate of each entrant over all ranges of a task together, with Wilson's interval, best first.

    Columns: PANEL, entrant, model, published, value, low, high, seeds, cannot (on each range), complete (whether it has
    a rate on all ranges that anybody has one on; others have no value).
    """
    rates = ranking[(ranking["metric"] == METRICS[0]) & ranking["value"].notna()]
    rows = []
    for names, part in rates.groupby(PANEL, sort=False):
        single = part[~is_pool(part)]
        ranges = set(single["range"])
        for (entrant, model), own in part.groupby(["entrant", "model"], sort=False):
            each = own[own["range"].isin(ranges)]
            pools = own[[set(members_of("range", name)) == ranges for name in own["range"]]] if ranges else own
            row = dict(zip(PANEL, names, strict=True)) | {"entrant": entrant, "model": model}
            complete = set(each["range"]) == ranges and bool((each["seeds"] > 0).all()) and bool(ranges)
            rate: Sequence[float] = (np.nan, np.nan, np.nan, np.nan)
            if complete:
                seeds = int(each["seeds"].sum())
                rate = (*success_rate(round((each["value"] * each["seeds"]).sum()), seeds), seeds)
            elif len(pools):
                rate = tuple(pools.iloc[0][["value", "low", "high", "seeds"]])
            row["published"] = own["standing"].ne("").all()
            row |= dict(zip(("value", "low", "high", "seeds"), rate, strict=True))
            rows.append(row | {"cannot": bool(own["cannot"].all()), "complete": rate[0] == rate[0]})
    columns = ["entrant", "model", "published", "value", "low", "high", "seeds", "cannot", "complete"]
    table = pd.DataFrame(rows, columns=[*PANEL, *columns])
    return table.sort_values(["cannot", "value"], ascending=[True, False], kind="stable", ignore_index=True)


def rank_dots(
    ranking: pd.DataFrame, own: Sequence[str], cells: Sequence[pd.DataFrame] = (), finding: str = ""
) -> Iterator[Figure]:
    """Success rates over all ranges of a task with their 95% intervals, one panel per task, best first.

    Short strokes are the rates on single ranges. own: the entrants whose names are bold; of more than sixteen in a
    panel they and the best have a row. cells: what is known of the cells, by table. finding: the title.
    """
    ranking = as_text(ranking)
    table = over_ranges(ranking)
    tasks = ordered(table["task"], TASKS)
    panels = sorted(table.groupby(PANEL, sort=False), key=lambda group: (tasks.index(group[0][0]), *group[0][1:]))
    height = 0.55 + ROW * min(MOST, max((len(part) for _, part in panels), default=0))
    for page in pages(panels, 2, height, 1.3):
        yield _page(page, ranking, set(own), list(cells), height, finding)


@paper()
def _page(
    panels: list[tuple[tuple, pd.DataFrame]], ranking: pd.DataFrame, own: set[str], cells: list[pd.DataFrame],
    height: float, finding: str,
) -> Figure:  # fmt: skip
    figure, places = grid(len(panels), 2, 2.6, height, (1.6, 1.3), "share of the seeds that solve")
    figure.suptitle(wrapped(finding, figure.get_figwidth()))
    style = looks(ranking["model"])
    protocols = ranking["protocol"].unique()
    handles: list[Any] = [Line2D([], [], color="0.4", marker="o", label="over all ranges, with 95% interval")]
    for axes, (key, table) in zip(places, panels, strict=True):
        known = table[table["complete"]].reset_index(drop=True)
        mine = known["entrant"].isin(own)
        best = known.loc[~mine, "entrant"].head(max(0, MOST - mine.sum()))
        rows = known[mine | known["entrant"].isin(best)].reset_index(drop=True)
        part = ranking[(ranking[PANEL] == list(key)).all(axis=1) & ranking["metric"].eq(METRICS[0])]
        part = part[~is_pool(part)]
        for y, row in rows.iterrows():
            color = style[row["model"]]["color"]
            bold = row["entrant"] in own
            each = part.loc[part["entrant"] == row["entrant"], "value"]
            if len(each) > 1:
                axes.plot(each, [y] * len(each), "|", color=color, alpha=0.5, markersize=7)
                handles.append(Line2D([], [], color="0.4", linestyle="", marker="|", label="on one range"))
            if row["published"]:
                handles.append(Line2D([], [], color="0.4", marker="o", markerfacecolor="white", label="published"))
            if row["cannot"]:
                axes.axhspan(y - 0.5, y + 0.5, **HATCH)
                handles.append(Patch(label="cannot represent the task", **HATCH))
            bars = ([max(0.0, row["value"] - row["low"])], [max(0.0, row["high"] - row["value"])])
            marks: dict[str, Any] = {"marker": "D" if bold else "o", "markersize": 5 if bold else 3.5}
            marks |= {"elinewidth": 1.6 if bold else 0.9, "color": color, "linestyle": ""}
            marks |= {"markerfacecolor": "white"} if row["published"] else {}
            axes.errorbar([row["value"]], [y], xerr=bars, **marks)
        axes.set_yticks(
            range(len(rows)), [f"{entrant_label(row['entrant'])}, {row['seeds']:,.0f}" for _, row in rows.iterrows()]
        )
        for tick, row in zip(axes.get_yticklabels(), rows.to_dict("records"), strict=True):
            tick.set_color(style[row["model"]]["color"])
            tick.set_fontweight("bold" if row["entrant"] in own else "normal")
        ranges = part["range"].unique()
        where = f"{len(ranges)} ranges" if len(ranges) > 1 else range_titles(cells, ranges[0], key[0])
        asked = [key[1] if len(protocols) > 1 else "", key[2] and setting(key[2])]
        title = [f"{TASKS.get(key[0], key[0])}, {where}", *filter(None, asked)]
        left = [f"{len(known) - len(rows)} more below" if len(known) > len(rows) else ""]
        left.append(f"{len(table) - len(known)} not on every range" if len(table) > len(known) else "")
        axes.set_title(wrapped("; ".join([" · ".join(title), *filter(None, left)]), 2.2), loc="left")
        axes.set(xlim=(-0.03, 1.03), ylim=(max(len(rows), 1) - 0.5, -0.5))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(axis="y", length=0)
    under = f"{protocols[0]}. " if len(protocols) == 1 else ""
    legend(figure, handles, 4, f"{under}After a name: how many networks.")
    return figure
