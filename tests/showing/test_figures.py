"""The figures show the numbers of their tables, mark what they promise to mark, and can be read at any size."""

import re
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from benchmark.results.statistics import VERDICTS
from benchmark.showing.figures import (
    difference_heatmap,
    draw,
    error_by_distance,
    error_by_input,
    error_by_input_heatmap,
    error_heatmap,
    horizon_heatmap,
    initialisation,
    label,
    learning_curves,
    operand_plane,
    save,
    style,
    success_by_range,
    success_by_setting,
    success_heatmap,
    verdict_bars,
)
from benchmark.showing.figures.ranges import BY_SETTING, several_settings
from benchmark.showing.figures.verdicts import LOOKS, MEANINGS

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
PLANE = np.arange(-19, 20, 2)
OF_TWO = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
TARGET = {"square": np.square, "sqrt": lambda x: np.sqrt(np.abs(x)), "identity": lambda x: x}


def tables(models, tasks, ranges, seeds=5, protocol="trask", overrides=""):
    random = np.random.default_rng(0)
    names = ("outcomes", "summary", "profile", "plane", "curves", "cells", "initialisation")
    rows = {name: [] for name in names}
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
            "variance_trained": "finite",
            "variance_judged": "finite",
            "representable_trained": "unknown",
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
            verdict = {"verdict": random.choice(["solved", "near_miss"] if good else VERDICTS[3:])}
            errors = {"interpolation": inside, "extrapolation": outside}
            rows["outcomes"].append(key | {"seed": seed} | errors | relative | verdict)
        rate = random.integers(3, 6) / 5 if good else 0.0
        metrics = {
            "success_rate": (rate, 0.0, 1.0),
            "solved_at": (6000, 4000, 9000) if good else [np.nan] * 3,
            "sparsity": (1e-4, 1e-5, 1e-3) if good else [np.nan] * 3,
            "horizon": (4 if good else 0.95, 0.9, 4),
        }
        rows["summary"] += [
            key | {"metric": metric} | dict(zip(("value", "low", "high"), values, strict=True)) | {"seeds": seeds}
            for metric, values in metrics.items()
        ]
        before = {
            "saturation": random.uniform(0, 1),
            "output": skill,
            "output_low": skill / 2,
            "output_high": 2 * skill,
        }
        rows["initialisation"].append(key | before | {"target": far / 2, "untrained": far**2, "seeds": seeds})
        if not one:
            a, b = (values.ravel() for values in np.meshgrid(PLANE, PLANE, indexing="ij"))
            error, target = skill * np.maximum(abs(a), abs(b)), np.abs(OF_TWO[task](a, b))
            with np.errstate(divide="ignore"):
                ratio = np.where(target > 0, error / target, np.nan)
            points = pd.DataFrame({"a": a, "b": b, "error": error, "relative": ratio, "seeds": seeds})
            rows["plane"].append(points.assign(**key))
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
    planes = pd.concat(rows.pop("plane") or [pd.DataFrame(columns=[*KEY, "a", "b", "error", "relative", "seeds"])])
    return {name: pd.DataFrame(table) for name, table in rows.items()} | {"plane": planes}


def comparison(models, range_="symmetric"):
    x = np.array([-19.5, -15, -10, 10, 15, 19.5])
    key = {"task": "identity", "range": range_, "protocol": "trask", "overrides": ""}
    standing = {"source": "Trask et al. 2018", "standing": "digitised"}
    return pd.DataFrame(
        [
            {"model": model} | key | {"x": a, "error": 0.1, "published": (abs(a) - 5) * (1 - i / 20)} | standing
            for i, model in enumerate(models)
            for a in x
        ]
    )


def differences(models, tasks, ranges):
    random = np.random.default_rng(0)
    rows = []
    for model, task, name, metric in product(models, tasks, ranges, ("success_rate", "relative_extrapolation")):
        difference = random.uniform(-1, 1) * (1 if metric == "success_rate" else 12)
        verdict = random.choice(["better", "worse", "same", "inconclusive"])
        key = dict(zip(KEY, (model, task, name, "trask", ""), strict=True))
        rows.append(key | {"metric": metric, "difference": difference, "verdict": verdict})
    return pd.DataFrame(rows)


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
    figures = dict(draw(tables(*SIZES[size], seeds=2) | {"comparison": comparison(models)}))
    by_range = ["success_by_range"] if size == "full" else []
    inputs = ["error_by_input", "error_by_input_heatmap"] if set(tasks) & set(TARGET) else []
    planes = [f"plane_{task}_{name}" for task, name in product(tasks, ranges) if task in OF_TWO]
    wanted = ["success", "error", "verdicts", "horizon", *by_range, "error_by_distance", *inputs, "learning_curves"]
    assert list(figures) == [*wanted, "initialisation", *planes]
    figures["differences"] = difference_heatmap(differences(*SIZES[size]))
    for stem in ("success", "horizon"):
        assert len(panels(figures[stem])) == len(ranges)
    for stem in ("error", "initialisation", "differences"):
        assert len(panels(figures[stem])) == 2 * len(ranges)
    for stem in ("verdicts", "error_by_distance", "learning_curves"):
        assert len(panels(figures[stem])) == len(ranges) * len(tasks)
    for stem in planes:
        assert len(panels(figures[stem])) == len(models)
    for stem in planes[len(ranges) :]:
        del figures[stem]  # of another task, like those of the first
    assert not plt.get_fignums()
    for stem, figure in figures.items():
        assert figure.get_figwidth() <= 7.2, f"{stem} is wider than a page"
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
        names, boxes = [text.get_text() for text in seen], [text.get_window_extent() for text in seen]
        for name, box in zip(names, boxes, strict=True):
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
            assert inside, f"{stem} cuts {name!r}"
        low, high = (
            np.array([corner(box.padded(-1)) for box in boxes]) for corner in (lambda b: b.min, lambda b: b.max)
        )
        overlaps = np.argwhere(np.triu((low[:, None] <= high).all(-1) & (low <= high[:, None]).all(-1), 1))
        assert not overlaps.size, f"{stem}: {[(names[one], names[other]) for one, other in overlaps]} overlap"
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
    figure = error_by_input(identity["profile"], identity["cells"], comparison(MLPS))
    measured, theirs = panels(figure)
    assert measured.get_ylim() == theirs.get_ylim() and "Trask et al. 2018,\ndigitised" in theirs.get_title()
    left, right = lines(theirs, "mlp_hardtanh")
    np.testing.assert_allclose(left.get_xdata(), [-19.5, -15, -10])
    np.testing.assert_allclose(right.get_ydata(), [5, 10, 14.5])
    both = tables(["nac"], ["identity"], ["positive", "symmetric"])
    assert len(panels(error_by_input(both["profile"], both["cells"], comparison(["nac"])))) == 3
    unpublished = comparison(["nac"]).assign(published=np.nan)
    for nothing in (None, unpublished, unpublished.drop(columns="x"), comparison(["nac"], "elsewhere")):
        assert len(panels(error_by_input(both["profile"], both["cells"], nothing))) == 2


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


def test_dashed_curves_have_the_models_marks_hollow():
    made = tables(["nac", "nalu"], ["add"], ["positive"])
    (axes,) = panels(learning_curves(made["curves"], made["cells"]))
    outside, inside = lines(axes, "nalu")
    assert inside.get_marker() == outside.get_marker() == style("nalu")["marker"]
    assert inside.get_markerfacecolor() == "white" and inside.get_markersize() < outside.get_markersize()


def test_horizon_heatmap_says_at_least_where_the_profile_ends():
    made = tables(["linear", "nac", "nalu"], ["add", "square"], ["symmetric", "positive"])
    summary, profile = made["summary"], made["profile"]
    horizon = summary["metric"] == "horizon"
    for (model, task, name), value in {
        ("nac", "add", "symmetric"): 4.0,
        ("nalu", "add", "symmetric"): 3.9,
        ("nac", "square", "positive"): 9.0,
        ("nalu", "square", "positive"): 4.0,
    }.items():
        here = (summary["model"] == model) & (summary["task"] == task) & (summary["range"] == name)
        summary.loc[horizon & here, "value"] = value
    symmetric, positive = panels(horizon_heatmap(summary, profile, made["cells"]))
    assert texts(symmetric)["NAC", "a + b"] == "≥4.0" and texts(symmetric)["NALU", "a + b"] == "3.9"
    shown = texts(positive, named=symmetric)
    assert shown["NAC", "a²"] == "≥9.0" and shown["NALU", "a²"] == "4.0"
    assert symmetric.collections[0].get_clim() == positive.collections[0].get_clim() == (0, 9)


@pytest.mark.parametrize(("name", "square"), [("symmetric", (-5, -5, 10, 10)), ("positive", (1, 1, 1, 1))])
def test_operand_plane_draws_the_errors_where_they_are_and_outlines_the_training_square(name, square):
    made = tables(["nalu", "linear"], ["mul"], [name])
    plane = made["plane"].sample(frac=1, random_state=0)
    plane.loc[(plane["model"] == "nalu") & (plane["a"] == 19) & (plane["b"] == -3), "error"] = np.inf
    plane.loc[(plane["model"] == "nalu") & (plane["a"] == -19) & (plane["b"] == -3), "error"] = 0
    linear, nalu = panels(operand_plane(plane, made["cells"]))
    assert (linear.get_title(), nalu.get_title()) == ("linear", "NALU")
    for axes in (linear, nalu):
        (patch,) = axes.patches
        assert (*patch.get_xy(), patch.get_width(), patch.get_height()) == square
        (mesh,) = axes.collections
        assert mesh.get_clim() == pytest.approx((361e-5, 361))  # 19 × 19, and five decades
        np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], np.arange(-20, 21, 2))
    errors = nalu.collections[0].get_array()  # [b, a]
    assert errors[8, -1] == pytest.approx(361) and errors[8, 0] == pytest.approx(361e-5)
    wanted = plane.query("model == 'nalu' and a == 7 and b == 1")["error"].item()
    assert errors[PLANE == 1, PLANE == 7] == pytest.approx(max(wanted, 361e-5))


def test_inputs_at_which_every_network_is_infinitely_wrong_are_drawn(identity):
    cells = identity["cells"].assign(judged=identity["cells"]["trained"])
    half = cells["half_width"].iloc[0]
    inside = identity["profile"][identity["profile"]["x"].abs() <= half].assign(error=np.inf)
    for figure in (error_by_input, error_by_input_heatmap):
        assert panels(figure(inside, cells))


def test_error_by_distance_folds_signed_inputs_and_keeps_the_worse_side():
    made = tables(["nac"], ["identity", "add"], ["symmetric"])
    cells, key = made["cells"], made["profile"].iloc[0][KEY]
    x, relative = np.linspace(-20, 20, 5), np.array([0.5, 1e-3, np.nan, 2e-3, np.inf])
    profile = pd.DataFrame({"x": x, "relative": relative, "median": 10 * relative, "low": 5 * relative, "high": np.inf})
    (axes,) = panels(error_by_distance(profile.assign(**key), cells[cells["task"] == "identity"]))
    (line,) = lines(axes, "nac")
    np.testing.assert_allclose(line.get_xdata(), [2, 4])
    assert line.get_ydata()[0] == 2e-3 and line.get_ydata()[1] > axes.get_ylim()[1]
    (shaded,) = axes.patches
    assert (shaded.get_x(), shaded.get_width()) == (0, 1)
    assert [dotted.get_ydata()[0] for dotted in axes.lines if dotted.get_linestyle() == ":"] == [0.01]


def test_error_by_distance_bands_are_the_quartiles_relative_to_the_target():
    made = tables(["nac"], ["add"], ["symmetric"])
    (axes,) = panels(error_by_distance(made["profile"], made["cells"]))
    (line,), (band,) = lines(axes, "nac"), axes.collections
    np.testing.assert_allclose(line.get_xydata(), made["profile"][["x", "relative"]])
    edges = band.get_paths()[0].get_extents()
    ends = made["profile"]["relative"].min() / 2, made["profile"]["relative"].max() * 2
    assert (edges.y0, edges.y1) == pytest.approx(ends)
    many = tables(MLPS, ["add"], ["symmetric"])
    (crowded,) = panels(error_by_distance(many["profile"], many["cells"]))
    assert not crowded.collections


def test_success_by_range_shows_who_solved_something_and_counts_the_others(full):
    figure = success_by_range(full["summary"], full["cells"])
    rate, step, sparsity, *second = figure.axes
    assert rate.get_title(loc="left") == f"add (a + b); {len(MANY) - 2} other models: 0%"
    assert second[0].get_title(loc="left") == f"mul (a × b); {len(MANY) - 1} other models: 0%" and len(second) == 3
    rates = full["summary"].query("task == 'add' and metric == 'success_rate'").set_index(["model", "range"])["value"]
    for model in ("linear", "nac"):
        (points,) = lines(rate, model)
        np.testing.assert_allclose(points.get_ydata(), rates[model][["symmetric", "positive"]])
        assert list(points.get_xdata().round()) == [0, 1]
    (bars, _) = rate.collections
    assert bars.get_segments()[0][:, 1].tolist() == [pytest.approx(0, abs=1e-7), 1]
    assert [name.get_text() for name in second[0].get_xticklabels()] == ["symmetric\n[−5, 5]", "positive\n[1, 2]"]
    assert [axes.get_ylabel() for axes in (rate, step, sparsity)] == [
        "success rate",
        "solved at step",
        "sparsity error",
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["linear", "NAC", "NAC•"]
    assert "95% intervals" in legend.get_title().get_text()


def test_success_by_range_has_room_for_nine_ranges():
    ranges = [f"neg_1p{i}_1p1" for i in range(9)]
    made = tables(MANY[-8:], ["add", "mul"], ranges)
    figure = success_by_range(made["summary"], made["cells"])
    figure.draw_without_rendering()
    names = [text.get_window_extent() for text in figure.axes[3].get_xticklabels()]
    assert len(names) == 9 and not any(one.overlaps(other) for one, other in combinations(names, 2))


def test_verdict_bars_are_as_wide_as_the_shares():
    made = tables(["nac", "nalu"], ["add"], ["symmetric"], seeds=4)
    outcomes = made["outcomes"]
    outcomes.loc[outcomes["model"] == "nac", "verdict"] = ["diverged", "solved", "solved", "solved"]
    outcomes.loc[outcomes["model"] == "nalu", "verdict"] = [
        "cannot_represent",
        "not_learned",
        "near_miss",
        "interpolates",
    ]
    figure = verdict_bars(outcomes, made["cells"])
    (axes,) = panels(figure)
    widths = {name: [bar[row].get_width() for bar in axes.containers] for row, name in enumerate(("nac", "nalu"))}
    assert widths == {"nac": [0.75, 0, 0, 0, 0, 0, 0, 0.25], "nalu": [0, 0.25, 0, 0, 0.25, 0.25, 0.25, 0]}
    assert [bar[0].get_x() for bar in axes.containers] == [0, *[0.75] * 7]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["NAC", "NALU"] and axes.yaxis_inverted()
    meanings = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [meaning.split(" (")[0] for meaning in meanings] == [
        "solved", "near miss", "inexact", "below that limit, no threshold exists", "interpolates", "not learned",
        "cannot represent the task", "diverged",
    ]  # fmt: skip


def test_every_verdict_has_its_look_and_grey_print_tells_them_apart():
    assert set(LOOKS) == set(VERDICTS) == set(MEANINGS)
    plain = [to_rgb(look["color"]) for look in LOOKS.values() if "hatch" not in look]
    grey = sorted(np.dot(color, (0.299, 0.587, 0.114)) for color in plain)
    assert min(np.diff([*grey, 1])) > 0.1
    hatches = [look["hatch"] for look in LOOKS.values() if "hatch" in look]
    assert len(set(hatches)) == len(hatches) == len(LOOKS) - len(plain)


def test_initialisation_groups_tasks_by_their_inputs_and_spans_the_targets():
    made = tables(["nalu", "linear"], ["add", "mul", "square"], ["symmetric"])
    table = made["initialisation"].assign(target=[4.0, 8.0, 9.0] * 2)
    nalu = table["model"] == "nalu"
    columns = ["saturation", "output_low", "output", "output_high"]
    table.loc[nalu, columns] = [[0.2, 0.5, 1.0, 2.0], [0.4, 2.0, 3.0, 4.0], [0.9, 6.0, 7.0, 8.0]]
    saturation, output = panels(initialisation(table, made["cells"]))
    assert [tick.get_text() for tick in saturation.get_yticklabels()] == ["linear", "NALU"]
    one, two = saturation.lines
    assert (one.get_marker(), two.get_marker()) == ("o", "s")
    assert one.get_xdata()[1] == 0.9 and two.get_xdata()[1] == pytest.approx(0.3)
    assert [round(float(y)) for y in two.get_ydata()] == [0, 1]
    assert [line.get_xdata()[1] for line in output.lines if len(line.get_xdata()) == 2] == [7.0, 2.0]
    (targets,) = output.patches
    assert (targets.get_x(), targets.get_width()) == (4, 5)


def test_success_by_setting_shows_each_setting_in_its_place(full):
    settings = ["", "protocol.hidden=[9]", "protocol.hidden=[10]"]
    parts = [tables(["nac", "nalu"], ["add"], ["positive"], overrides=o, seeds=3) for o in settings[::-1]]
    summary, cells = (pd.concat([part[name] for part in parts]) for name in ("summary", "cells"))
    figure = success_by_setting(several_settings(summary), cells)
    rate, step, error = figure.axes
    assert [tick.get_text() for tick in error.get_xticklabels()] == ["as it is", "hidden=[9]", "hidden=[10]"]
    assert (rate.get_ylabel(), step.get_ylabel(), error.get_ylabel()) == tuple(BY_SETTING.values())
    values = summary[summary["metric"] == "success_rate"].set_index(["model", "overrides"])["value"]
    for line, model in zip(rate.containers, ("nac", "nalu"), strict=True):
        expected = [values[model, setting] for setting in settings]
        assert line.lines[0].get_ydata().tolist() == pytest.approx(expected, abs=1e-7)
    assert several_settings(full["summary"]).empty


def test_success_by_setting_draws_errors_beyond_its_axis_at_its_end():
    parts = [tables(["nac"], ["add"], ["positive"], overrides=o, seeds=3) for o in ("", "protocol.hidden=[9]")]
    summary, cells = (pd.concat([part[name] for part in parts]) for name in ("summary", "cells"))
    beyond = {"metric": "relative_extrapolation", "low": 0.1, "value": np.inf, "high": np.inf}
    errors = summary[summary["metric"] == "success_rate"].assign(**beyond)
    figure = success_by_setting(pd.concat([summary, errors]), cells)
    (points,) = figure.axes[-1].containers
    assert points.lines[0].get_ydata().tolist() == [1e3, 1e3]
    assert figure.legends[0].get_title().get_text().endswith("Errors above 1,000 are drawn there.")


def test_rates_that_were_tested_against_published_ones_make_an_agreement_heatmap():
    made = tables(["nalu", "nac"], ["add"], ["positive"])
    rates = differences(["nalu", "nac"], ["add"], ["positive"])
    both = rates.assign(p=[0.5, np.nan, 0.01, np.nan])
    figures = dict(draw(made | {"comparison": both}))
    (panel,) = panels(figures["agreement"])
    assert title(panel) == "success rate, positive"
    assert len(texts(panel)) == 2
    assert "agreement" not in dict(draw(made | {"comparison": both.assign(p=np.nan)}))


def test_difference_heatmap_annotates_differences_and_verdicts():
    table = differences(["nalu", "nac"], ["add", "mul"], ["positive"])
    table["difference"] = [-0.25, -4.2, 1.0, np.inf, 0.0, np.nan, 0.5, 0.26]
    table["verdict"] = ["worse", "better", "better", "worse", "same", "same", "inconclusive", "inconclusive"]
    figure = difference_heatmap(table)
    rate, error = panels(figure)
    assert (title(rate), title(error)) == ("success rate, positive", "relative error outside, positive")
    plain = {place: text.replace("\N{THIN SPACE}", "") for place, text in texts(rate).items()}
    assert plain == {
        ("NALU", "a + b"): "−25▼", ("NALU", "a × b"): "+100▲", ("NAC", "a + b"): "+0=", ("NAC", "a × b"): "+50?",
    }  # fmt: skip
    plain = {place: text.replace("\N{THIN SPACE}", "") for place, text in texts(error).items()}
    assert plain == {
        ("NALU", "a + b"): "−4.2▲", ("NALU", "a × b"): "∞▼", ("NAC", "a + b"): "=", ("NAC", "a × b"): "0.3?",
    }  # fmt: skip
    assert rate.collections[0].get_clim() == (-100, 100) and error.collections[0].get_clim() == (-3, 3)
    # Blue, the colour of what is better for A, is the end of the one map and the start of the other.
    assert same_color(rate.collections[0].cmap(1.0), error.collections[0].cmap(0.0))


@pytest.mark.parametrize(
    ("missing", "rows", "columns", "count"),
    [
        ([], ["NAC", "NALU"], ["a + b", "a × b"], 4),
        (["range"], ["NAC", "NALU"], ["a + b", "a × b"], 2),
        (["model"], ["a + b", "a × b"], ["positive", "symmetric"], 2),
        (["task"], ["NAC", "NALU"], ["positive", "symmetric"], 2),
        (["task", "range"], ["NAC", "NALU"], [""], 2),
        (["model", "range", "protocol", "overrides"], ["a + b", "a × b"], [""], 2),
    ],
)
def test_difference_heatmap_takes_the_key_that_the_results_share(missing, rows, columns, count):
    key = [name for name in KEY if name not in missing]
    table = differences(["nalu", "nac"], ["add", "mul"], ["symmetric", "positive"]).drop(columns=missing)
    shown = panels(difference_heatmap(table.drop_duplicates([*key, "metric"])))
    assert len(shown) == count
    assert [tick.get_text() for tick in shown[0].get_yticklabels()] == rows
    assert [tick.get_text() for tick in shown[0].get_xticklabels()] == columns


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
        tables(["nac"], ["add"], ["positive"], protocol=p, overrides=o)
        for p, o in (("a", ""), ("a", "protocol.lr=0.1/x"))
    ]
    together = {name: pd.concat([made[name] for made in several]) for name in several[0]}
    figures = dict(draw(together))
    kinds = ("success", "error", "verdicts", "horizon", "error_by_distance", "learning_curves", "initialisation")
    kinds = (*kinds, "plane_add_positive")
    first, second = list(figures)[: len(kinds)], list(figures)[len(kinds) : -1]
    assert first == list(kinds)
    assert list(figures)[-1] == "success_by_setting_add"
    assert all(re.fullmatch(rf"{kind}-lr=0.1-x-[0-9a-f]{{8}}", stem) for kind, stem in zip(kinds, second, strict=True))
    assert figures[second[1]].get_suptitle() == "a · protocol.lr=0.1/x"
    assert figures[second[-1]].get_suptitle().startswith("a · protocol.lr=0.1/x\nadd (a + b), positive:")
    other = tables(["nac"], ["add"], ["positive"], protocol="b/quick", overrides="")
    both = dict(draw({name: pd.concat([several[0][name], other[name]]) for name in other}))
    assert list(both) == [f"{kind}-{protocol}" for protocol in ("a", "b-quick") for kind in kinds]
    empty = {name: several[0][name][:0] for name in ("curves", "plane", "profile", "initialisation")}
    alone = several[0] | empty | {"other": pd.DataFrame({"x": [1]})}
    alone["summary"] = alone["summary"].query("metric == 'success_rate'")
    assert list(dict(draw(alone))) == ["success", "error", "verdicts"]
    del alone["outcomes"]
    assert list(dict(draw(alone))) == ["success"]
    assert dict(draw({name: table[:0] for name, table in several[0].items()})) == {}


def test_saved_files_are_reproducible(tmp_path, identity):
    def pictures(figure):
        save(figure, tmp_path / "a.b")
        return {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}

    two = tables(["nac"], ["add"], ["positive"])
    for function, table, made in (
        (error_by_input_heatmap, "profile", identity),
        (success_heatmap, "summary", identity),
        (error_by_input, "profile", identity),
        (operand_plane, "plane", two),
        (verdict_bars, "outcomes", two),
    ):
        figure = function(made[table], made["cells"])
        first = pictures(figure)
        assert list(first) == ["a.b.png", "a.b.svg"]
        assert first == pictures(figure) == pictures(function(made[table], made["cells"]))
        assert b"<dc:date>" not in first["a.b.svg"] and b"Matplotlib v" not in first["a.b.svg"] + first["a.b.png"]
