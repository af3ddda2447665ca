"""How fast networks are trained, beside a plain loop."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmark.showing.figures.layout import WIDTH, grid, legend
from benchmark.showing.figures.look import amount, log_axis, paper, power, wrapped


def speed_dots(speed: pd.DataFrame) -> Iterator[Figure]:
    """Replica-steps a second of each engine (full dots) and of the plain loop that ran beside it (open), on a
    logarithmic axis; a panel a processor. speed: the columns of `benchmark.speed.SPEED`.
    """
    yield _page(list(beside_loops(speed).groupby("processor", sort=False)))


def beside_loops(speed: pd.DataFrame) -> pd.DataFrame:
    """The rates, beside the plain loop's where both ran on the same cores: a GPU has no cores to share."""
    same = speed["processor"].str.contains(" cores")
    return speed.assign(ratio=speed["ratio"].where(same), plain_loop=speed["plain_loop"].where(same))


@paper()
def _page(groups: list[tuple[str, pd.DataFrame]]) -> Figure:
    rows = max(len(part) for _, part in groups)
    across = min(3, len(groups))
    width = (WIDTH - 1.3) / across
    figure, places = grid(len(groups), across, width, 0.7 + 0.22 * rows, (1.3, 0.8), "replica-steps a second")
    rates = pd.concat([part[["replica_steps_per_second", "plain_loop"]] for _, part in groups]).to_numpy(float)
    ends = 10 ** np.floor(np.log10(np.nanmin(rates))), 10 ** np.ceil(np.log10(np.nanmax(rates)))
    for axes, (name, part) in zip(places, groups, strict=True):
        for y, row in enumerate(part.to_dict("records")):
            axes.plot([row["plain_loop"], row["replica_steps_per_second"]], [y, y], color="0.6", linewidth=1, zorder=1)
            axes.plot(row["plain_loop"], y, "o", color="black", markerfacecolor="white", markersize=5)
            axes.plot(row["replica_steps_per_second"], y, "o", color="black", markersize=5)
            if np.isfinite(row["ratio"]):
                middle = np.sqrt(row["plain_loop"] * row["replica_steps_per_second"])
                told, where = f"× {amount(row['ratio'])}", (middle, y)
                axes.annotate(told, where, (0, 2), "data", "offset points", ha="center", fontsize=7)
        several = part["engine"].nunique() > 1
        pairs = part[["workload", "engine"]].to_numpy()
        named = [f"{workload}, {engine}" if several else workload for workload, engine in pairs]
        axes.set_yticks(range(len(part)), named)
        axes.set(ylim=(len(part) - 0.5, -0.6), title=wrapped(name, width))
        log_axis(axes, power, "x")
        axes.set_xlim(ends)
        axes.tick_params(axis="y", length=0)
    handles = [Line2D([], [], color="black", marker="o", linestyle="", markersize=5, label="ours")]
    handles += [
        Line2D([], [], color="black", marker="o", linestyle="", markersize=5, markerfacecolor="white",
               label="plain loop, one network in one process per core")
    ]  # fmt: skip
    legend(figure, handles, 2)
    return figure
