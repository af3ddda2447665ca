"""The figures show the numbers of their tables, mark what they promise to mark, and can be read at any size."""

import re
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from benchmark.figures import (
    draw,
    error_by_input,
    error_by_input_heatmap,
    error_heatmap,
    label,
    learning_curves,
    save,
    style,
    success_heatmap,
)

NARROW = "* on the part of the range where the task is defined"
KEY = ["model", "task", "range", "protocol", "overrides"]
MLPS = [
    f"mlp_{name}"
    for name in [
        "hardtanh",
        "sigmoid",
        "relu6",
        "tanh",
        "tanhshrink",
        "hardshrink",
        "leakyrelu",
        "softshrink",
        "softsign",
        "relu",
        "prelu",
        "softplus",
        "elu",
        "selu",
        "threshold",
    ]
]
MANY = ["linear", *MLPS, "mlp_gelu", "mlp_silu", "nac", "nac_mul", "nalu", "nmu", "novel"]
SIZES = {
    "first": (["nalu"], ["add"], ["symmetric", "positive"]),
    "full": (MANY, ["add", "sub", "mul", "div", "square", "sqrt"], ["symmetric", "positive"]),
    "identity": (MLPS, ["identity"], ["symmetric"]),
    "single": (["nac"], ["identity"], ["symmetric"]),
}
TARGET = {"square": np.square, "sqrt": lambda x: np.sqrt(np.abs(x)), "identity": lambda x: x}


def tables(models, tasks, ranges, seeds=5, protocol="trask", overrides=""):
    random = np.random.default_rng(0)
    rows = {name: [] for name in ("outcomes", "summary", "profile", "curves", "cells")}
    steps, exact = (
        np.linspace(0, 10000, 41),
        {"add": {"linear", "nac"}, "identity": {"linear", "nac"}, "mul": {"nac_mul"}},
    )
    for model, task, name in product(models, tasks, ranges):
        key = dict(zip(KEY, (model, task, name, protocol, overrides), strict=True))
        good, one = model in exact.get(task, ()), task in TARGET
        low, high, far = (1, 2, 6) if name == "positive" else (0, 5, 20) if task == "sqrt" else (-5, 5, 20)
        judged = f"[{high}, {far}]" if low >= 0 else f"[{-far}, {low}] ∪ [{high}, {far}]"
        cell = {
            "inputs": 1 if one else 2,
            "trained": f"[{low}, {high}]",
            "judged": judged,
            "middle": (low + high) / 2,
        }
        can = "yes" if good else "no" if model.startswith(("mlp", "linear")) and task in ("mul", "div") else "unknown"
        rows["cells"].append(
            key | cell | {"half_width": (high - low) / 2, "threshold": 1e-4 if good else np.inf, "representable": can}
        )
        skill = 10 ** random.uniform(-3, -1)
        final = skill * np.array([0.01, 1e-3 if good else 30]) * 10 ** random.normal(0, 0.4, (seeds, 2))
        for seed in range(seeds):
            begin = far**2 * np.array([0.1, 1.0])
            curve = final[seed] + begin * np.exp(-steps[:, None] / 900) * 10 ** random.normal(0, 0.1, (41, 2))
            rows["curves"] += [
                key | {"seed": seed, "step": int(s), "interpolation": i, "extrapolation": e, "sparsity": 0.0}
                for s, (i, e) in zip(steps, curve, strict=True)
            ]
            inside, outside = final[seed]
            relative = {"relative_interpolation": inside**0.5 / far, "relative_extrapolation": outside**0.5 / far}
            rows["outcomes"].append(key | {"seed": seed, "interpolation": inside, "extrapolation": outside} | relative)
        rate = random.integers(3, 6) / 5 if good else 0.0
        rows["summary"].append(key | {"metric": "success_rate", "value": rate, "low": 0.0, "high": 1.0, "seeds": seeds})
        x = np.linspace(low if task == "sqrt" or low > 0 else -far, far, 81)
        if one:
            saturates = (
                1 if any(word in model for word in ("tanh", "sig", "6", "soft", "thres")) else random.uniform(0, 0.6)
            )
            change = np.abs(TARGET[task](x) - TARGET[task](np.clip(x, low, high)))
            error = skill + (0 if good else saturates * random.uniform(0.9, 1.1)) * change
        else:
            x = np.linspace(0, 4, 41)
            error = skill * (1 + x)
        rows["profile"] += [
            key | {"x": a, "error": e, "median": e, "low": e / 2, "high": 2 * e, "relative": e / far, "seeds": seeds}
            for a, e in zip(x, error, strict=True)
        ]
    return {name: pd.DataFrame(table) for name, table in rows.items()}


def published(models):
    x = np.array([-19.5, -15, -10, 10, 15, 19.5])
    return pd.DataFrame(
        [
            {
                "model": model,
                "task": "identity",
                "x": a,
                "error": (abs(a) - 5) * (1 - i / 20),
                "source": "Trask et al. 2018",
                "standing": "digitised",
            }
            for i, model in enumerate(models)
            for a in x
        ]
    )


def texts(axes, named=None):
    """The annotations of a heatmap by (model label, task label); only the leftmost panels name their models."""
    rows = [tick.get_text() for tick in (named or axes).get_yticklabels()]
    columns = [tick.get_text() for tick in axes.get_xticklabels()]
    return {(rows[int(t.get_position()[1])], columns[int(t.get_position()[0])]): t.get_text() for t in axes.texts}


def hatched(axes):
    return {patch.get_xy() for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_hatch()}


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def lines(axes, model):
    return [
        line for line in axes.lines if same_color(line.get_color(), style(model)["color"]) and len(line.get_xdata())
    ]


def title(axes):
    return axes.get_title().replace("−", "-")


@pytest.fixture(scope="module")
def full():
    return tables(*SIZES["full"], seeds=3)


@pytest.fixture(scope="module")
def identity():
    return tables(*SIZES["identity"], seeds=3)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_has_its_figures_and_no_text_overlaps_or_is_cut(size):
    models, tasks, ranges = SIZES[size]
    figures = dict(draw(tables(*SIZES[size], seeds=2), published(models)))
    inputs = ["error_by_input", "error_by_input_heatmap"] if set(tasks) & set(TARGET) else []
    assert list(figures) == ["success", "error", *inputs, "learning_curves"]
    assert len(panels(figures["success"])) == len(ranges)
    assert len(panels(figures["error"])) == 2 * len(ranges)
    assert len(panels(figures["learning_curves"])) == len(ranges) * len(tasks)
    assert not plt.get_fignums()
    for stem, figure in figures.items():
        figure.draw_without_rendering()
        assert all(axes.has_data() for axes in figure.axes), f"{stem} has an empty panel"
        seen = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        # Ticks beyond the limits exist, too, but are not drawn.
        ticks = {
            id(t.label1): t for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for t in axis.get_major_ticks()
        }
        drawn = {
            id(t.label1) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for t in axis._update_ticks()
        }
        seen = [text for text in seen if id(text) not in ticks or id(text) in drawn]
        boxes = [(text.get_text(), text.get_window_extent()) for text in seen]
        for text, box in boxes:
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
            assert inside, f"{stem} cuts {text!r}"
        for (one, box), (other, another) in combinations(boxes, 2):
            assert not box.padded(-1).overlaps(another.padded(-1)), f"{stem}: {one!r} overlaps {other!r}"
        assert min(text.get_fontsize() for text in seen) >= 7 * 0.7  # the exponents of a power are 0.7 of its size


def test_success_heatmap_shows_percent_hatches_and_gaps(full):
    summary, cells = full["summary"], full["cells"].copy()
    where = (summary["model"] == "nmu") & (summary["task"] == "mul")
    summary = summary.assign(value=summary["value"].mask(where, 0.4))
    summary = summary[~((summary["model"] == "novel") & (summary["task"] == "div"))]
    cells["representable"] = "yes"
    cells.loc[
        (cells["model"] == "linear") & (cells["task"] == "mul") & (cells["range"] == "positive"), "representable"
    ] = "no"
    figure = success_heatmap(summary, cells)
    symmetric, positive = panels(figure)
    assert title(symmetric) == "symmetric: trained on [-5, 5],\njudged on [-20, -5] ∪ [5, 20]"  # not the [0, 5] of √
    assert title(positive) == "positive: trained on [1, 2],\njudged on [2, 6]"
    shown = texts(symmetric)
    assert shown["NMU", "a × b"] == "40%" and shown["MLP ReLU", "a × b"] == "0%"
    assert ("novel", "a ÷ b") not in shown and len(shown) == len(MANY) * 6 - 1
    assert hatched(symmetric) == set() and hatched(positive) == {(2, 0)}  # column ×, row linear
    meanings = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert set(meanings) == {"no result", "cannot represent the task", NARROW}


def test_rows_and_columns_have_the_fixed_order_and_narrowed_tasks_a_star(full):
    axes, positive = panels(success_heatmap(full["summary"].sample(frac=1, random_state=0), full["cells"]))
    order = [tick.get_text() for tick in axes.get_yticklabels()]
    assert order[0] == "linear" and order[-5:] == ["NAC", "NAC•", "NALU", "NMU", "novel"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a + b", "a − b", "a × b", "a ÷ b", "a²", "√a*"]
    assert not any("*" in tick.get_text() for tick in positive.get_xticklabels())


def test_error_heatmap_shows_the_log_of_the_median_and_infinity(full):
    outcomes = full["outcomes"].copy()
    here = (outcomes["range"] == "symmetric") & (outcomes["task"] == "add")
    for model, errors in {
        "nac": [1e-3, 1e-2, np.inf],
        "nalu": [1, np.inf, np.inf],
        "nmu": [1e40] * 3,
        "linear": [0] * 3,
    }.items():
        outcomes.loc[here & (outcomes["model"] == model), "relative_extrapolation"] = errors
    outcomes.loc[here & (outcomes["model"] == "nac"), "relative_interpolation"] = [1e-5, 1e-4, 1]
    inside, outside, *_ = panels(error_heatmap(outcomes, full["cells"]))
    assert title(inside) == "symmetric: inside,\ntrained on [-5, 5]"
    assert title(outside) == "symmetric: outside,\njudged on [-20, -5] ∪ [5, 20]"
    assert texts(inside)["NAC", "a + b"] == "−4.0"
    shown = {model: texts(outside, named=inside)[model, "a + b"] for model in ("NAC", "NALU", "NMU", "linear")}
    assert shown == {"NAC": "−2.0", "NALU": "∞", "NMU": "40", "linear": "−∞"}
    assert outside.collections[0].get_clim() == inside.collections[0].get_clim() == (-7, 1)


def test_error_by_input_draws_the_profile_and_the_training_range(identity):
    profile, cells = identity["profile"].copy(), identity["cells"]
    profile.loc[(profile["model"] == "mlp_relu") & (profile["x"] > 15), "error"] = np.inf
    (axes,) = panels(error_by_input(profile.sample(frac=1, random_state=0), cells))
    (line,) = lines(axes, "mlp_tanh")
    wanted = profile[profile["model"] == "mlp_tanh"]
    np.testing.assert_allclose(line.get_xydata(), wanted[["x", "error"]])
    (run_out,) = lines(axes, "mlp_relu")
    assert run_out.get_ydata()[-1] > axes.get_ylim()[1] and np.isfinite(run_out.get_ydata()).all()
    (trained,) = axes.patches
    assert (trained.get_x(), trained.get_x() + trained.get_width()) == (-5, 5)
    assert 15.75 <= axes.get_ylim()[1] <= 20 and axes.get_ylim()[0] == 0


def test_error_axis_lies_between_a_constant_and_a_zero_network():
    made = tables(["nac"], ["square", "identity"], ["symmetric"])
    exact = made["profile"].assign(error=0.0)
    tops = [axes.get_ylim()[1] for axes in panels(error_by_input(exact, made["cells"]))]
    assert tops == pytest.approx([1.05 * 375, 1.05 * 15])
    awful = made["profile"].assign(error=1e9)
    assert [axes.get_ylim()[1] for axes in panels(error_by_input(awful, made["cells"]))] == [400, 20]


def test_legend_is_in_the_order_of_the_line_ends(identity):
    (legend,) = error_by_input(identity["profile"], identity["cells"]).legends
    far = identity["profile"].query("abs(x) == 20").groupby("model")["error"].mean().sort_values(ascending=False)
    assert [text.get_text() for text in legend.get_texts()] == [label(model) for model in far.index]


def test_published_values_get_a_panel_where_they_fit(identity):
    figure = error_by_input(identity["profile"], identity["cells"], published(MLPS))
    measured, theirs = panels(figure)
    assert measured.get_ylim() == theirs.get_ylim() and "Trask et al. 2018,\ndigitised" in theirs.get_title()
    left, right = lines(theirs, "mlp_hardtanh")
    np.testing.assert_allclose(left.get_xdata(), [-19.5, -15, -10])
    np.testing.assert_allclose(right.get_ydata(), [5, 10, 14.5])
    elsewhere = tables(["nac"], ["identity"], ["positive"])
    assert len(panels(error_by_input(elsewhere["profile"], elsewhere["cells"], published(["nac"])))) == 1
    both = tables(["nac"], ["identity"], ["positive", "symmetric"])
    assert len(panels(error_by_input(both["profile"], both["cells"], published(["nac"])))) == 3


@pytest.mark.parametrize("models", [MLPS, ["mlp_tanh"]])
def test_error_by_input_heatmap_sorts_outlines_and_colours_even_one_row(models):
    made = tables(models, ["identity"], ["symmetric"])
    (axes,) = panels(error_by_input_heatmap(made["profile"], made["cells"]))
    ends = made["profile"].query("abs(x) == 20").groupby("model")["error"].mean().sort_values(ascending=False)
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [label(model) for model in ends.index]
    assert axes.yaxis_inverted()
    assert [line.get_xdata()[0] for line in axes.lines] == [-5, 5]
    mesh = axes.collections[0]
    worst = made["profile"][made["profile"]["model"] == ends.index[0]].sort_values("x")["error"]
    np.testing.assert_allclose(mesh.get_array()[0], worst.clip(*mesh.get_clim()))
    assert np.ptp(mesh.get_coordinates()[..., 1]) == len(models)


def test_learning_curves_draw_medians_sides_threshold_and_survive_infinity():
    made = tables(["nac", "nalu"], ["add"], ["positive"])
    curves = made["curves"]
    curves.loc[(curves["model"] == "nalu") & (curves["step"] > 5000) & (curves["seed"] < 4), "extrapolation"] = np.inf
    (axes,) = panels(learning_curves(curves, made["cells"]))
    outside, inside = lines(axes, "nac")
    medians = curves[curves["model"] == "nac"].groupby("step")[["extrapolation", "interpolation"]].median()
    np.testing.assert_allclose(outside.get_ydata(), medians["extrapolation"])
    np.testing.assert_allclose(inside.get_ydata(), medians["interpolation"])
    assert (outside.get_linestyle(), inside.get_linestyle()) == ("-", "--")
    assert lines(axes, "nalu")[0].get_ydata()[-1] > axes.get_ylim()[1]
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1e-4]
    assert len(axes.collections) == 4  # a quartile band for each line
    many = tables(MLPS, ["add"], ["positive"], seeds=2)
    (crowded,) = panels(learning_curves(many["curves"], many["cells"]))
    assert not crowded.collections and not [line for line in crowded.lines if line.get_linestyle() == ":"]


def test_one_look_per_model_everywhere():
    one, two = (
        tables(["nalu", "novel"], ["identity"], ["symmetric"]),
        tables(["novel", "nac", "nalu"], ["identity"], ["symmetric"]),
    )
    for made, model in product((one, two), ("nalu", "novel")):
        (by_input,) = panels(error_by_input(made["profile"], made["cells"]))
        (learning,) = panels(learning_curves(made["curves"], made["cells"]))
        assert len(lines(by_input, model)) == 1 and len(lines(learning, model)) == 2
    looks = [(str(style(model)["linestyle"]), style(model)["marker"]) for model in MANY if model != "novel"]
    assert len(set(looks)) == len(looks)  # grey print tells them apart


def test_draw_separates_protocols_and_skips_what_does_not_apply():
    several = [
        tables(["nac"], ["add"], ["positive"], protocol=p, overrides=o) for p, o in (("a", ""), ("a", "lr=0.1/x"))
    ]
    together = {name: pd.concat([made[name] for made in several]) for name in several[0]}
    figures = dict(draw(together))
    kinds = ("success", "error", "learning_curves")
    first, second = list(figures)[:3], list(figures)[3:]
    assert first == [f"{kind}-a" for kind in kinds]
    assert all(
        re.fullmatch(rf"{kind}-a-lr=0.1-x-[0-9a-f]{{8}}", stem) for kind, stem in zip(kinds, second, strict=True)
    )
    assert figures[second[1]].get_suptitle() == "a · lr=0.1/x"
    alone = several[0] | {"curves": several[0]["curves"][:0], "other": pd.DataFrame({"x": [1]})}
    assert list(dict(draw(alone))) == ["success", "error"]
    del alone["outcomes"]
    assert list(dict(draw(alone))) == ["success"]
    assert dict(draw({name: table[:0] for name, table in several[0].items()})) == {}


def test_saved_files_are_reproducible(tmp_path, identity):
    def pictures(figure):
        save(figure, tmp_path / "a.b")
        return {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}

    for function, table in (
        (error_by_input_heatmap, "profile"),
        (success_heatmap, "summary"),
        (error_by_input, "profile"),
    ):
        figure = function(identity[table], identity["cells"])
        first = pictures(figure)
        assert list(first) == ["a.b.png", "a.b.svg"]
        assert first == pictures(figure) == pictures(function(identity[table], identity["cells"]))
        assert b"<dc:date>" not in first["a.b.svg"] and b"Matplotlib v" not in first["a.b.svg"] + first["a.b.png"]
