"""The figures show the numbers of their tables, mark what they promise to mark, and can be read at any size."""

import gc
import re
import weakref
from itertools import combinations, product
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import same_color, to_rgb
from matplotlib.text import Text

from benchmark.asked.tasks import held
from benchmark.results.intervals import success_rate
from benchmark.results.statistics import VERDICTS
from benchmark.showing.figures import (
    FORMATS,
    difference_heatmap,
    draw,
    drawings,
    error_by_distance,
    error_by_input,
    error_by_input_heatmap,
    error_heatmap,
    horizon_heatmap,
    initialisation,
    label,
    learning_curves,
    left_out,
    looks,
    opening,
    operand_plane,
    responses,
    save,
    success_by_range,
    success_by_setting,
    success_heatmap,
    titles,
    verdict_bars,
)
from benchmark.showing.figures.agreement import VERDICTS as AGREEMENT
from benchmark.showing.figures.look import FAMILIES, OTHERS, family, mark_of, trained
from benchmark.showing.figures.ranges import BY_SETTING, several_settings
from benchmark.showing.figures.verdicts import LOOKS, MEANINGS
from benchmark.showing.names import MODELS

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
RANGES = ["1 to 2 → 2 to 6", "−5 to 5 → −20 to −5 or 5 to 20"]
PLANE = np.arange(-19, 20, 2)
OF_TWO = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
TARGET = {"square": np.square, "sqrt": lambda x: np.sqrt(np.abs(x)), "identity": lambda x: x}


def tables(models, tasks, ranges, seeds=5, protocol="trask", overrides=""):
    random = np.random.default_rng(0)
    names = ("outcomes", "summary", "profile", "plane", "responses", "curves", "cells", "initialisation")
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
            verdict["solved"] = verdict["verdict"] == "solved"
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
            error = skill * (1 + np.linspace(0, 4, 41))
        x = np.linspace(low if low >= 0 else -far, far, 41)
        for operand in "ab"[: 1 if one else 2]:
            other = held(low, high)
            with np.errstate(divide="ignore"):
                of_two = OF_TWO.get(task, np.add)(*((x, other) if operand == "a" else (other, x)))
            right = TARGET[task](x) if one else of_two
            answers = {f"seed_{n}": right + (0 if good else (n + 1) * np.abs(x)) for n in range(5)}
            points = pd.DataFrame({"x": x, "target": right, "median": answers["seed_2"]} | answers)
            rows["responses"].append(points.assign(**key, operand=operand, seeds=seeds))
        x = np.linspace(low if task == "sqrt" or low > 0 else -far, far, 81) if one else np.linspace(0, 4, 41)
        rows["profile"] += [
            key | {"x": a, "error": e, "median": e, "low": e / 2, "high": 2 * e, "relative": e / far, "seeds": seeds}
            for a, e in zip(x, error, strict=True)
        ]
    planes = pd.concat(rows.pop("plane") or [pd.DataFrame(columns=[*KEY, "a", "b", "error", "relative", "seeds"])])
    whole = {"plane": planes, "responses": pd.concat(rows.pop("responses"), ignore_index=True)}
    return {name: pd.DataFrame(table) for name, table in rows.items()} | whole


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


def one(figures):
    """The only page of a figure."""
    (figure,) = figures
    return figure


def texts(axes, named=None):
    """The annotations of a heatmap by (model label, task label); only the leftmost panels name their models."""
    rows = [tick.get_text() for tick in (named or axes).get_yticklabels()]
    columns = [tick.get_text() for tick in axes.get_xticklabels()]
    return {(rows[int(t.get_position()[1])], columns[int(t.get_position()[0])]): t.get_text() for t in axes.texts}


def hatched(axes):
    """The lower left corners of hatched cells."""
    paths = [path for patches in axes.collections if patches.get_hatch() for path in patches.get_paths()]
    return {tuple(path.get_extents().min) for path in paths}


def stems(made):
    """What would be drawn of these tables, without making it."""
    return [drawing.stem for drawing in drawings(made) if not drawing.nothing]


def panels(figure):
    return [axes for axes in figure.axes if axes.get_title()]


def lines(axes, model, among):
    color = looks(among)[model]["color"]
    drawn = [line for line in axes.lines if line.get_transform() is not axes.transAxes]  # as the markers of names are
    return [line for line in drawn if same_color(line.get_color(), color) and len(line.get_xdata())]


def marks(axes):
    """The markers before names, in their order."""
    return [line.get_marker() for line in axes.lines if line.get_transform() is axes.transAxes]


def bands(axes):
    """The grey bands of models that have no line of their own."""
    return [band for band in axes.collections if band.get_alpha() == OTHERS["alpha"]]


def named(axes):
    """The models whose lines are named, from the lowest name."""
    return [text.get_text() for text in axes.texts]


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
    made = tables(*SIZES[size], seeds=2)
    few = {"plane": {tasks[0]}, "responses": {tasks[0], "div", "square"}}  # those of other tasks and ranges look alike
    for name, shown in few.items():
        made[name] = made[name][made[name]["task"].isin(shown) & (made[name]["range"] == ranges[0])]
    pages = dict(draw(made | {"comparison": comparison(models)}))
    count = len(ranges) * len(tasks)
    first = [stem for stem in pages if not re.search(r"-\d$", stem)]
    by_range = ["success_by_range"] if size == "full" else []
    inputs = ["error_by_input", "error_by_input_heatmap"] if set(tasks) & set(TARGET) else []
    planes = [f"plane_{tasks[0]}_{ranges[0]}"] if tasks[0] in OF_TWO else []
    wanted = ["success", "verdicts", "error", "horizon", *by_range, "error_by_distance", *inputs, "learning_curves"]
    answers = [f"responses_{task}_{ranges[0]}" for task in tasks if task in few["responses"]]
    wanted = ["summary", *wanted, *answers, *planes]
    told = {sentence.split()[2].strip(":") for sentence in left_out(drawings(made))}
    assert first == [kind for kind in wanted if kind not in told] and told <= set(wanted)
    of = lambda kind: [pages[stem] for stem in pages if re.fullmatch(rf"{kind}(-\d+)?", stem)]
    for kind, number in {"success": len(ranges), "error": 2 * len(ranges), "error_by_distance": count}.items():
        assert sum(len(panels(page)) for page in of(kind)) == (number if kind in pages else 0)
    assert all(sum(len(panels(page)) for page in of(kind)) == min(len(models), 8) for kind in planes)
    assert not plt.get_fignums()
    pages |= {f"differences-{i}": page for i, page in enumerate(difference_heatmap(differences(*SIZES[size])))}
    for stem, figure in pages.items():
        assert figure.get_figwidth() <= 7.2 and figure.get_figheight() <= 9, f"{stem} is larger than a page"
        assert len(panels(figure)) <= 9
        figure.draw_without_rendering()
        assert all(axes.has_data() or axes.collections for axes in figure.axes), f"{stem} has an empty panel"
        seen = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
        # Ticks beyond the limits exist, too, but are not drawn.
        ticks = {
            id(t.label1): t for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for t in axis.get_major_ticks()
        }
        drawn = {
            id(t.label1) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for t in axis._update_ticks()
        }
        seen = [text for text in seen if id(text) not in ticks or id(text) in drawn]
        names, boxes = [text.get_text() for text in seen], [Text.get_window_extent(text) for text in seen]
        for name, box in zip(names, boxes, strict=True):
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
            assert inside, f"{stem} cuts {name!r}"
        low, high = (
            np.array([corner(box.padded(-1)) for box in boxes]) for corner in (lambda b: b.min, lambda b: b.max)
        )
        overlaps = np.argwhere(np.triu((low[:, None] <= high).all(-1) & (low <= high[:, None]).all(-1), 1))
        assert not overlaps.size, f"{stem}: {[(names[one], names[other]) for one, other in overlaps]} overlap"
        assert min(text.get_fontsize() for text in seen) >= 7
        assert not any("$" in name for name in names)


def test_many_panels_go_to_further_pages_that_are_freed_one_after_the_other():
    made = tables(["linear", "nac", "nalu", "mlp_relu"], ["add"], [f"pos_{i}" for i in range(12)], seeds=1)
    alive, shown, most = [], [], 0
    gc.freeze()  # what is there already need not be looked through again for each page
    for stem, figure in draw({name: made[name] for name in ("cells", "outcomes", "summary")}):
        assert len(panels(figure)) <= 9 and figure.get_figheight() <= 9
        if stem.startswith("success"):
            shown += [(title(axes), len(axes.texts)) for axes in panels(figure)]
        alive.append(weakref.ref(figure))
        del figure
        gc.collect()
        most = max(most, sum(one() is not None for one in alive))
    gc.unfreeze()
    assert len(alive) > 4 and most <= 1
    assert sum(number for _, number in shown) == 12 * 4


def test_success_heatmap_shows_percent_hatches_and_gaps(full):
    summary, cells = full["summary"], full["cells"].copy()
    where = (summary["model"] == "nmu") & (summary["task"] == "mul")
    summary = summary.assign(value=summary["value"].mask(where, 0.4))
    summary = summary[~((summary["model"] == "novel") & (summary["task"] == "div"))]
    cells["representable"] = "yes"
    cells.loc[
        (cells["model"] == "linear") & (cells["task"] == "mul") & (cells["range"] == "positive"), "representable"
    ] = "no"
    figure = one(success_heatmap(summary, cells))
    positive, symmetric = panels(figure)
    assert title(symmetric) == "-5 to 5 → -20 to -5 or 5 to 20"  # not the [0, 5] of √
    assert title(positive) == "1 to 2 → 2 to 6"
    shown = texts(symmetric, named=positive)
    assert shown["NMU", "a × b"] == "40%" and shown["MLP ReLU", "a × b"] == "0%"
    assert ("novel", "a ÷ b") not in shown and len(shown) == len(MANY) * 6 - 1
    assert hatched(symmetric) == set() and hatched(positive) == {(2, 0)}  # column ×, row linear
    meanings = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert set(meanings) == {"no result", "cannot represent the task", NARROW}


def test_rows_and_columns_have_the_fixed_order_and_narrowed_tasks_a_star(full):
    positive, symmetric = panels(one(success_heatmap(full["summary"].sample(frac=1, random_state=0), full["cells"])))
    order = [tick.get_text() for tick in positive.get_yticklabels()]
    assert order[0] == "linear" and order[-5:] == ["NAC", "NAC•", "NALU", "NMU", "novel"]
    tasks = [tick.get_text() for tick in symmetric.get_xticklabels()]
    assert tasks == ["a + b", "a − b", "a × b", "a ÷ b", "a²", "√a*"]
    assert not any("*" in tick.get_text() for tick in positive.get_xticklabels())


def test_ranges_stand_by_sign_and_size():
    intervals = {"b": (-2, -1), "far": (10, 20), "c": (-3, 3), "near": (1, 2), "a": (-20, -10)}
    cells = pd.DataFrame([
        {"model": "nac", "task": "add", "range": name, "trained": f"[{low}, {high}]", "judged": "[0, 1]",
         "middle": (low + high) / 2, "half_width": (high - low) / 2, "representable": "yes"}
        for name, (low, high) in intervals.items()
    ])  # fmt: skip
    summary = cells.assign(metric="success_rate", value=0.5)
    titles = [title(axes).partition(" →")[0] for axes in panels(one(success_heatmap(summary, cells)))]
    assert titles == ["1 to 2", "10 to 20", "-3 to 3", "-2 to -1", "-20 to -10"]


def test_ranges_of_the_same_intervals_are_told_apart_and_those_judged_where_trained_say_so():
    cells = tables(["nac"], ["add"], ["exponential_1", "exponential_2"])["cells"]
    cells = cells.assign(trained="[0, inf]", judged="[0, inf]")
    summary = cells.assign(metric="success_rate", value=0.5)
    titles = [axes.get_title().replace("\n", " ") for axes in panels(one(success_heatmap(summary, cells)))]
    assert titles == [f"0 to ∞, judged there (exponential_{i})" for i in (1, 2)]


def test_error_heatmap_shows_percent_multiples_and_infinity(full):
    outcomes = full["outcomes"].copy()
    here = (outcomes["range"] == "symmetric") & (outcomes["task"] == "add")
    for model, errors in {
        "nac": [1e-3, 1e-2, np.inf],
        "nalu": [1, np.inf, np.inf],
        "nmu": [3e7] * 3,
        "linear": [0] * 3,
    }.items():
        outcomes.loc[here & (outcomes["model"] == model), "relative_extrapolation"] = errors
    outcomes.loc[here & (outcomes["model"] == "nac"), "relative_interpolation"] = [1e-5, 1e-4, 1]
    pages = list(error_heatmap(outcomes, full["cells"]))
    inside, outside = panels(pages[-1])
    assert title(inside) == "inside: -5 to 5"
    assert title(outside) == "outside: -20 to -5 or 5 to 20"
    assert texts(inside)["NAC", "a + b"] == "0.01%"
    shown = {model: texts(outside, named=inside)[model, "a + b"] for model in ("NAC", "NALU", "NMU", "linear")}
    assert shown == {"NAC": "0.5% (1∞)", "NALU": "100% (2∞)", "NMU": "×30M", "linear": "0%"}
    assert outside.collections[0].get_clim() == inside.collections[0].get_clim() == (1e-6, 10)
    row = [tick.get_text() for tick in inside.get_yticklabels()].index("NALU")  # whose upper quartile is infinite
    for strips, wanted in zip(outside.collections[1:3], (1, 10), strict=True):
        places = [tuple(path.vertices[:, 1].round().astype(int)[[0, 2]]) for path in strips.get_paths()]
        columns = [int(path.vertices[0, 0]) for path in strips.get_paths()]
        at = list(zip(places, columns, strict=True)).index(((row, row + 1), 0))
        assert strips.get_array()[at] == wanted


def test_errors_are_called_outside_only_where_networks_are_judged_nowhere_inside():
    made = tables(["nac", "nalu"], ["add"], ["symmetric"])
    whole = made["cells"].assign(judged="{-20, -19, …, 20}")
    told = [title(panel).replace("\n", " ") for panel in panels(one(error_heatmap(made["outcomes"], whole)))]
    assert told == ["inside: -5 to 5", "judged on: -20, -19, …, 20"]
    law = {"range": "exponential_0p2", "trained": "[0, inf]", "judged": "[0, inf]", "middle": 0.1 * np.log(1000)}
    figure = one(error_heatmap(made["outcomes"].assign(range="exponential_0p2"), made["cells"].assign(**law)))
    assert [title(panel).replace("\n", " ") for panel in panels(figure)] == [
        "inside: exponential, mean 0.2", "judged on: exponential, mean 0.5"
    ]  # fmt: skip


def test_verdict_bars_hatch_what_no_weights_compute_also_where_networks_fit_inside():
    made = tables(["nac", "nalu"], ["add"], ["symmetric"])
    outcomes, cells = made["outcomes"].assign(verdict="interpolates"), made["cells"].assign(representable="no")
    figure = one(verdict_bars(outcomes, cells))
    hatched = [patches for patches in figure.axes[0].collections if patches.get_hatch() == "////"]
    assert sum(len(patches.get_paths()) for patches in hatched) == 2
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["interpolates (fails outside)", "cannot represent the task"]


def test_dark_is_good_in_every_heatmap(full, identity):
    two = tables(["nac", "nalu"], ["add"], ["symmetric"])
    darkest = lambda mesh, value: np.dot(mesh.cmap(mesh.norm(value))[:3], (0.299, 0.587, 0.114))
    for figure, good, bad in (
        (one(success_heatmap(full["summary"], full["cells"])), 1, 0),
        (next(error_heatmap(full["outcomes"], full["cells"])), 1e-6, 1),
        (one(horizon_heatmap(full["summary"], full["profile"], full["cells"])), 1, 0),
        (one(error_by_input_heatmap(identity["profile"], identity["cells"])), 1e-4, 1),
        (one(operand_plane(two["plane"], two["cells"])), 1e-5, 1),
    ):
        mesh = panels(figure)[0].collections[0]
        assert darkest(mesh, good) < 0.2 and darkest(mesh, bad) > 0.6
        words = [text.get_text() for text in figure.axes[-1].texts]
        assert words == (["bad", "good"] if good > bad else ["good", "bad"])


def test_error_by_input_draws_the_profile_and_the_training_range():
    made = tables(["mlp_relu", "mlp_tanh"], ["identity"], ["symmetric"])
    profile, cells = made["profile"].copy(), made["cells"]
    profile.loc[(profile["model"] == "mlp_relu") & (profile["x"] > 15), "error"] = np.inf
    (axes,) = panels(one(error_by_input(profile.sample(frac=1, random_state=0), cells)))
    (line,) = lines(axes, "mlp_tanh", cells["model"])
    wanted = profile[profile["model"] == "mlp_tanh"]
    np.testing.assert_allclose(line.get_xydata(), wanted[["x", "error"]])
    (run_out,) = lines(axes, "mlp_relu", cells["model"])
    assert run_out.get_ydata()[-1] > axes.get_ylim()[1] and np.isfinite(run_out.get_ydata()).all()
    (trained,) = axes.patches
    assert (trained.get_x(), trained.get_x() + trained.get_width()) == (-5, 5)
    assert 15.75 <= axes.get_ylim()[1] <= 20 and axes.get_ylim()[0] == 0


def test_error_axis_lies_between_a_constant_and_a_zero_network():
    made = tables(["nac"], ["square", "identity"], ["symmetric"])
    tops = lambda profile: [axes.get_ylim()[1] for axes in panels(one(error_by_input(profile, made["cells"])))]
    assert tops(made["profile"].assign(error=0.0)) == pytest.approx([1.05 * 375, 1.05 * 15])
    assert tops(made["profile"].assign(error=1e9)) == [400, 20]


@pytest.mark.parametrize(
    ("function", "table", "place", "error"),
    [
        (error_by_input, "profile", "x", "error"),
        (error_by_distance, "profile", "x", "relative"),
        (learning_curves, "curves", "step", "extrapolation"),
    ],
)
def test_of_many_models_the_best_and_the_worst_have_named_lines_and_the_others_a_band(function, table, place, error):
    made = tables(MLPS, ["identity"], ["symmetric"], seeds=1)
    shown = made[table]
    figure = one(function(shown, made["cells"]))
    (axes,) = panels(figure)
    ends = (
        shown[shown[place].abs() == shown[place].abs().max()]
        .groupby("model")[error]
        .agg("mean" if error == "error" else "max")
    )
    order = list(ends.sort_values().index)
    wanted = {label(model) for model in [*order[:3], *order[-3:]]}
    assert set(named(axes)) == wanted and len(bands(axes)) == 1
    of = {text.get_text(): mark for text, mark in zip(axes.texts, marks(axes), strict=True)}  # each name has its line's
    assert of == {label(model): looks(MLPS)[model]["marker"] for model in [*order[:3], *order[-3:]]}
    assert [t.get_text() for t in figure.legends[0].get_texts()][-1] == f"{len(MLPS) - 6} other models"
    heights = [text.xyann[1] for text in axes.texts]
    assert heights == sorted(heights)
    few = tables(MLPS[:6], ["identity"], ["symmetric"], seeds=1)
    (roomy,) = panels(one(function(few[table], few["cells"])))
    assert len(named(roomy)) == 6 and not bands(roomy)


def test_published_values_get_a_panel_where_they_fit():
    models = ["mlp_hardtanh", "mlp_relu"]
    made = tables(models, ["identity"], ["symmetric"])
    measured, theirs = panels(one(error_by_input(made["profile"], made["cells"], comparison(models))))
    assert measured.get_ylim() == theirs.get_ylim() and "Trask et al. 2018, digitised" in theirs.get_title()
    left, right = lines(theirs, "mlp_hardtanh", models)
    np.testing.assert_allclose(left.get_xdata(), [-19.5, -15, -10])
    np.testing.assert_allclose(right.get_ydata(), [5, 10, 14.5])
    both = tables(["nac"], ["identity"], ["positive", "symmetric"])
    assert len(panels(one(error_by_input(both["profile"], both["cells"], comparison(["nac"]))))) == 3
    unpublished = comparison(["nac"]).assign(published=np.nan)
    for nothing in (None, unpublished, unpublished.drop(columns="x"), comparison(["nac"], "elsewhere")):
        assert len(panels(one(error_by_input(both["profile"], both["cells"], nothing)))) == 2


@pytest.mark.parametrize("models", [MLPS, ["mlp_tanh"]])
def test_error_by_input_heatmap_outlines_and_colours_even_one_row(models):
    made = tables(models, ["identity"], ["symmetric"])
    (axes,) = panels(one(error_by_input_heatmap(made["profile"], made["cells"])))
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == [label(model) for model in MODELS if model in models]
    assert axes.yaxis_inverted()
    assert [line.get_xdata()[0] for line in axes.lines] == [-5, 5]
    mesh = axes.collections[0]
    first = next(model for model in MODELS if model in models)
    errors = made["profile"][made["profile"]["model"] == first].sort_values("x")["error"]
    (top,) = {axes.get_ylim()[1] for axes in panels(one(error_by_input(made["profile"], made["cells"])))}
    np.testing.assert_allclose(mesh.get_array()[0], (errors / top).clip(*mesh.get_clim()))
    assert np.ptp(mesh.get_coordinates()[..., 1]) == len(models)


def test_learning_curves_draw_medians_sides_threshold_and_survive_infinity():
    made = tables(["nac", "nalu"], ["add"], ["positive"])
    curves, among = made["curves"], ["nac", "nalu"]
    curves.loc[(curves["model"] == "nalu") & (curves["step"] > 5000) & (curves["seed"] < 4), "extrapolation"] = np.inf
    (axes,) = panels(one(learning_curves(curves, made["cells"])))
    outside, inside = lines(axes, "nac", among)
    medians = curves[curves["model"] == "nac"].groupby("step")[["extrapolation", "interpolation"]].median()
    np.testing.assert_allclose(outside.get_ydata(), medians["extrapolation"])
    np.testing.assert_allclose(inside.get_ydata(), medians["interpolation"])
    assert (outside.get_linestyle(), inside.get_linestyle()) == ("-", "--")
    assert lines(axes, "nalu", among)[0].get_ydata()[-1] > axes.get_ylim()[1]
    assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1e-4]
    assert len(axes.collections) == 4  # a quartile band for each line


def test_horizon_heatmap_says_at_least_where_the_profile_ends():
    made = tables(["linear", "nac", "nalu"], ["add", "square"], ["symmetric", "positive"])
    summary, profile = made["summary"], made["profile"]
    horizon = summary["metric"] == "horizon"
    for (model, task, name), value in {
        ("nac", "add", "symmetric"): 4.0,
        ("nalu", "add", "symmetric"): 3.9,
        ("nac", "square", "positive"): 9.0,
        ("nalu", "square", "positive"): 4.0,
        ("linear", "square", "positive"): 0.0,
    }.items():
        here = (summary["model"] == model) & (summary["task"] == task) & (summary["range"] == name)
        summary.loc[horizon & here, "value"] = value
    positive, symmetric = panels(one(horizon_heatmap(summary, profile, made["cells"])))
    shown = texts(symmetric, named=positive)
    assert shown["NAC", "a + b"] == "≥4.0" and shown["NALU", "a + b"] == "3.9"
    assert texts(positive)["NAC", "a²"] == "≥9.0" and texts(positive)["NALU", "a²"] == "4.0"
    far = profile["x"] - 1.5
    nearest = (far / 0.5)[(profile["range"] == "positive") & (profile["task"] == "square") & (far >= 0.5)].min()
    assert texts(positive)["linear", "a²"] == f"<{nearest:.1f}"
    reached = positive.collections[0].get_array()
    assert reached[1, 1] == 1 and reached[2, 1] == pytest.approx(4 / 9)  # colours: a share of the reach


@pytest.mark.parametrize(
    ("name", "square", "judged"), [("symmetric", (-5, -5, 10, 10), 4), ("positive", (1, 1, 1, 1), 1)]
)
def test_operand_plane_draws_the_errors_where_they_are_and_outlines_where_is_trained_and_judged(name, square, judged):
    made = tables(["nalu", "linear"], ["mul"], [name])
    plane = made["plane"].sample(frac=1, random_state=0)
    plane.loc[(plane["model"] == "nalu") & (plane["a"] == 19) & (plane["b"] == -3), "error"] = np.inf
    plane.loc[(plane["model"] == "nalu") & (plane["a"] == -19) & (plane["b"] == -3), "error"] = 0
    linear, nalu = panels(one(operand_plane(plane, made["cells"])))
    assert (linear.get_title(), nalu.get_title()) == ("linear", "NALU")
    for axes in (linear, nalu):
        patch, *regions = axes.patches
        assert (*patch.get_xy(), patch.get_width(), patch.get_height()) == square
        assert len(regions) == judged and all(region.get_linestyle() == ":" for region in regions)
        assert max(region.get_x() + region.get_width() for region in regions) == (6 if name == "positive" else 20)
        (mesh,) = axes.collections
        assert mesh.get_clim() == pytest.approx((1e-5, 1))  # of 19 × 19, the largest target
        np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], np.arange(-20, 21, 2))
    errors = nalu.collections[0].get_array()  # [b, a]
    assert errors[8, -1] == pytest.approx(1) and errors[8, 0] == pytest.approx(1e-5)
    wanted = plane.query("model == 'nalu' and a == 7 and b == 1")["error"].item() / 361
    assert errors[PLANE == 1, PLANE == 7] == pytest.approx(max(wanted, 1e-5))


def test_responses_draw_the_truth_the_seeds_and_the_stretch_of_training_and_tell_what_leaves_the_axes():
    made = tables(["nalu", "nac"], ["mul", "div"], ["symmetric"])
    rows, cells = made["responses"].sample(frac=1, random_state=0), made["cells"]
    cells.loc[cells["task"] == "div", "trained"] = "a [-5, 5], b [-5, -0.1] ∪ [0.1, 4]"
    rows.loc[(rows["model"] == "nac") & (rows["x"] == 20), "seed_4"] = 3e7
    of = lambda task: one(responses(rows[rows["task"] == task], made["outcomes"], cells))
    product = of("mul")
    nac, nalu = panels(product)
    solved = made["outcomes"].query("task == 'mul' and model == 'nac'")["solved"].sum()
    assert nac.get_title() == f"NAC\n{solved} of 5 seeds solve it"
    *seeds, truth = nalu.lines[:6]
    assert all((line.get_xdata() == np.arange(-20, 21)).all() for line in (*seeds, truth))
    assert truth.get_linestyle() == "--" and (truth.get_ydata() == 2.5 * np.arange(-20, 21)).all()
    wanted = rows.query("model == 'nalu' and task == 'mul' and operand == 'a'").sort_values("x")
    assert [line.get_ydata().tolist() for line in seeds] == [wanted[f"seed_{n}"].tolist() for n in range(5)]
    assert [
        {"trained here", "5 seeds", "truth"} - {text.get_text() for text in axes.texts} for axes in (nac, nalu)
    ] == [set()] * 2
    assert "up to 30 million" in [text.get_text() for text in nac.texts]
    (stretch,) = nalu.patches
    assert (stretch.get_x(), stretch.get_width()) == (-5, 10)
    assert "b staying at 2.5" in product.get_supxlabel()
    quotient = of("div")
    assert "a ÷ b along b, a staying at 2.5" in quotient.get_supxlabel()
    assert panels(quotient)[0].patches[0].get_width() == 9
    assert not (set(made["outcomes"].query("task == 'div'")["verdict"]) & {"solved"})
    told = titles.responses(rows[rows["task"] == "div"], made["outcomes"], cells)
    assert told.startswith("No model divides outside the training range")


def test_of_many_models_the_best_of_each_family_answers(full):
    rows = full["responses"].query("task == 'sub' and range == 'positive'")
    figure = one(responses(rows, full["outcomes"], full["cells"]))
    shown = [axes.get_title().split("\n")[0] for axes in panels(figure)]
    assert len(shown) == len({family(name) for name in MANY})
    errors = full["outcomes"].query("task == 'sub' and range == 'positive'").groupby("model")["relative_extrapolation"]
    saturating = [name for name in FAMILIES["MLPs that saturate"][1] if name in MANY]
    assert label(errors.median()[saturating].idxmin()) in shown


def test_the_opening_picture_is_drawn_only_where_it_is_true():
    made = tables(["mlp_tanh", "mlp_relu", "nalu"], ["mul"], ["symmetric", "positive"], 10)
    assert "opening" not in stems(made)
    outcomes = made["outcomes"]
    nalu, positive = outcomes["model"] == "nalu", outcomes["range"] == "positive"
    outcomes["verdict"] = np.select([~nalu, nalu & positive], ["interpolates", "solved"], "not_learned")
    outcomes["solved"] = outcomes["verdict"] == "solved"
    figure = one(opening(made["responses"], outcomes, made["cells"]))
    assert [axes.get_title().split("\n")[1] for axes in panels(figure)] == [
        *["0 of 10 seeds solve it"] * 3,
        "10 of 10 seeds solve it",
    ]
    assert "opening" in stems(made)
    assert "opening" not in stems(made | {"outcomes": outcomes[outcomes["seed"] < 9]})  # too few to say it


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("[1, 2]", (-5, 5)),
        ("a [-5, 5], b [-5, -0.1] ∪ [1e-05, 2.5]", (-5, 2.5)),
        ("{0, 5, …, 95} × {5, 10, …, 100}", (5, 100)),
        ("a [-inf, inf], b [0.1, inf]", (-5, 5)),
    ],
)
def test_the_training_range_of_the_second_operand_is_read_where_it_is_told(text, ends):
    assert trained(pd.Series({"trained": text, "middle": 0.0, "half_width": 5.0}), "b") == ends


def test_error_by_distance_folds_signed_inputs_and_keeps_the_worse_side():
    made = tables(["nac"], ["identity", "add"], ["symmetric"])
    cells, key = made["cells"], made["profile"].iloc[0][KEY]
    x, relative = np.linspace(-20, 20, 5), np.array([0.5, 1e-3, np.nan, 2e-3, np.inf])
    profile = pd.DataFrame({"x": x, "relative": relative, "median": 10 * relative, "low": 5 * relative, "high": np.inf})
    (axes,) = panels(one(error_by_distance(profile.assign(**key), cells[cells["task"] == "identity"])))
    (line,) = lines(axes, "nac", ["nac"])
    np.testing.assert_allclose(line.get_xdata(), [2, 4])
    assert line.get_ydata()[0] == 2e-3 and line.get_ydata()[1] > axes.get_ylim()[1]
    (shaded,) = axes.patches
    assert (shaded.get_x(), shaded.get_width()) == (0, 1)
    assert [dotted.get_ydata()[0] for dotted in axes.lines if dotted.get_linestyle() == ":"] == [0.01]


def test_error_by_distance_bands_are_the_quartiles_relative_to_the_target():
    made = tables(["nac"], ["add"], ["symmetric"])
    (axes,) = panels(one(error_by_distance(made["profile"], made["cells"])))
    (line,), (band,) = lines(axes, "nac", ["nac"]), axes.collections
    np.testing.assert_allclose(line.get_xydata(), made["profile"][["x", "relative"]])
    edges = band.get_paths()[0].get_extents()
    ends = made["profile"]["relative"].min() / 2, made["profile"]["relative"].max() * 2
    assert (edges.y0, edges.y1) == pytest.approx(ends)


def test_success_by_range_shows_who_solved_something_and_counts_the_others(full):
    figure = one(success_by_range(full["summary"], full["cells"]))
    rate, step, sparsity, *second = figure.axes
    assert rate.get_title(loc="left") == f"a + b; {len(MANY) - 2} other models: 0%"
    assert second[0].get_title(loc="left") == f"a × b; {len(MANY) - 1} other models: 0%" and len(second) == 3
    rates = full["summary"].query("task == 'add' and metric == 'success_rate'").set_index(["model", "range"])["value"]
    for model in ("linear", "nac"):
        points = next(line for line in lines(rate, model, MANY) if len(line.get_xdata()) == 2)
        np.testing.assert_allclose(points.get_xdata(), rates[model][["positive", "symmetric"]])
        assert np.round(points.get_ydata().astype(float)).tolist() == [0, 1]
    bars = rate.collections[0]
    assert bars.get_segments()[0][:, 0].tolist() == [pytest.approx(0, abs=1e-7), 1]
    assert [name.get_text() for name in second[0].get_yticklabels()] == ["1 to 2", "−5 to 5"]
    assert [axes.get_xlabel() for axes in second] == ["success rate", "solved at step", "sparsity error"]
    assert rate.get_ylabel() == "trained on" and not step.get_ylabel() + sparsity.get_ylabel()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["linear", "NAC", "NAC•"]
    assert "95% intervals" in legend.get_title().get_text()


def test_success_by_range_has_room_for_many_ranges_and_further_pages():
    ranges = [f"neg_1p{i:02}_1p1" for i in range(20)]
    made = tables(MANY[-8:], ["add"], ranges)
    pages = list(success_by_range(made["summary"], made["cells"]))
    told = []
    for figure in pages:
        figure.draw_without_rendering()
        labels = figure.axes[0].get_yticklabels()
        assert {text.get_rotation() for text in labels} == {0}
        names = [text.get_window_extent() for text in labels]
        assert not any(one.overlaps(other) for one, other in combinations(names, 2))
        told += [text.get_text() for text in labels]
    assert len(pages) == 2 and len(set(told)) == 20


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
    figure = one(verdict_bars(outcomes, made["cells"]))
    (axes,) = panels(figure)
    corners = lambda bars: [path.get_extents() for path in bars.get_paths()]
    bars = {
        (verdict, round(box.y0 + 0.4)): (box.x0, box.width)
        for verdict, drawn in zip(LOOKS, axes.collections, strict=True)
        for box in corners(drawn)
    }
    assert bars == {
        ("solved", 0): (0, 0.75), ("diverged", 0): (0.75, 0.25), ("near_miss", 1): (0, 0.25),
        ("interpolates", 1): (0.25, 0.25), ("not_learned", 1): (0.5, 0.25), ("cannot_represent", 1): (0.75, 0.25),
    }  # fmt: skip
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["NAC", "NALU"] and axes.yaxis_inverted()
    meanings = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [meaning.split(" (")[0] for meaning in meanings] == [
        "solved", "near miss", "interpolates", "not learned",
        "cannot represent the task", "diverged",
    ]  # fmt: skip
    solved = one(verdict_bars(outcomes[outcomes["verdict"] == "solved"], made["cells"]))
    assert [text.get_text() for text in solved.legends[0].get_texts()] == ["solved"]  # of the verdicts that are there


def test_every_verdict_has_its_look_and_grey_print_tells_them_apart():
    assert set(LOOKS) == set(VERDICTS) == set(MEANINGS)
    plain = [to_rgb(look["color"]) for look in LOOKS.values() if "hatch" not in look]
    grey = sorted(np.dot(color, (0.299, 0.587, 0.114)) for color in plain)
    assert min(np.diff([*grey, 1])) > 0.1
    hatches = [look["hatch"] for look in LOOKS.values() if "hatch" in look]
    assert len(set(hatches)) == len(hatches) == len(LOOKS) - len(plain)


def test_in_grey_print_lines_stand_out_from_paper_and_what_the_agreement_rule_says_is_told_apart():
    grey = lambda color: np.dot(to_rgb(color), (0.299, 0.587, 0.114))
    assert max(grey(look["color"]) for look in looks(MODELS).values()) < 0.75
    verdicts = [AGREEMENT[verdict][1] for verdict in ("same", "differ", "inconclusive")]
    assert min(np.diff(sorted(grey(look["color"]) for look in verdicts))) > 0.1
    assert len({(look["linewidth"], look.get("linestyle"), round(grey(look["color"]), 1)) for look in verdicts}) == 3


def test_initialisation_groups_tasks_by_their_inputs_and_spans_the_targets():
    made = tables(["nalu", "linear"], ["add", "mul", "square"], ["symmetric"])
    table = made["initialisation"].assign(target=[4.0, 8.0, 9.0] * 2)
    nalu = table["model"] == "nalu"
    columns = ["saturation", "output_low", "output", "output_high"]
    table.loc[nalu, columns] = [[0.2, 0.5, 1.0, 2.0], [0.4, 2.0, 3.0, 4.0], [0.9, 6.0, 7.0, 8.0]]
    output, saturation = panels(one(initialisation(table, made["cells"])))
    assert [tick.get_text() for tick in output.get_yticklabels()] == ["linear", "NALU"]
    few, two = saturation.lines
    assert (few.get_marker(), two.get_marker()) == ("o", "s")
    assert few.get_xdata()[1] == 0.9 and two.get_xdata()[1] == pytest.approx(0.3)
    assert [round(float(y)) for y in two.get_ydata()] == [0, 1]
    assert [line.get_xdata()[1] for line in output.lines if len(line.get_xdata()) == 2] == [7.0, 2.0]
    (targets,) = output.patches
    assert (targets.get_x(), targets.get_width()) == (4, 5)
    assert len(panels(one(initialisation(table.assign(saturation=0.001), made["cells"])))) == 1  # nothing saturates


def sweep(settings, models=("nac", "nalu"), tasks=("add",)):
    parts = [tables(list(models), list(tasks), ["positive"], overrides=o, seeds=3) for o in settings]
    return {name: pd.concat([part[name] for part in parts]) for name in parts[0]}


def test_success_by_setting_has_an_axis_of_the_swept_numbers_and_marks_what_changes_along(full):
    settings = ["protocol.hidden=[9]", "protocol.hidden=[10]", "protocol.hidden=[12];protocol.steps=5"]
    made = sweep(settings[::-1])
    summary, cells = made["summary"], made["cells"]
    figure = one(success_by_setting(several_settings(summary), cells))
    rate, step = figure.axes  # none has an error outside
    assert [axes.get_xlabel() for axes in (rate, step)] == ["hidden"] * 2
    assert (rate.get_ylabel(), step.get_ylabel()) == tuple(BY_SETTING.values())[:2]
    values = summary[summary["metric"] == "success_rate"].set_index(["model", "overrides"])["value"]
    for line, model in zip(rate.containers, ("nac", "nalu"), strict=True):
        assert line.lines[0].get_ydata().tolist() == [values[model, setting] for setting in settings]
        assert np.round(line.lines[0].get_xdata().astype(float)).tolist() == [9, 10, 12]
    assert [line.get_xdata()[0] for line in rate.lines if line.get_linestyle() == ":"] == [11]
    assert [text.get_text().strip() for text in rate.texts] == ["5 steps →"]
    assert several_settings(full["summary"]).empty
    wide = sweep([f"protocol.inputs={n}" for n in (4, 100)])
    assert one(success_by_setting(wide["summary"], wide["cells"])).axes[0].get_xscale() == "log"


def test_success_by_setting_has_a_place_for_each_setting_that_is_no_number():
    made = sweep(["protocol.hidden=[9]", "", "protocol.inputs=10;protocol.steps=100000;protocol.subset=0.1"])
    summary = several_settings(made["summary"])
    figure = one(success_by_setting(summary, made["cells"]))
    figure.draw_without_rendering()
    labels = figure.axes[0].get_yticklabels()
    told = ["nothing changed", "hidden = 9", "10 inputs,\n100,000 steps,\nsubset = 0.1"]
    assert [text.get_text() for text in labels] == told and {text.get_rotation() for text in labels} == {0}
    rates = summary[summary["metric"] == "success_rate"].set_index(["model", "overrides"])["value"]
    for line, model in zip(figure.axes[0].containers, ("nac", "nalu"), strict=True):
        assert line.lines[0].get_xdata().tolist() == rates[model].sort_index(key=lambda names: names.str.len()).tolist()
        assert np.round(line.lines[0].get_ydata().astype(float)).tolist() == [0, 1, 2]


def test_a_success_rate_that_is_the_same_everywhere_is_told_and_not_drawn():
    made = sweep(["protocol.hidden=[9]", "protocol.hidden=[10]"], ["nac"])
    summary = made["summary"].copy()
    summary.loc[summary["metric"] == "success_rate", "value"] = 0.0
    figure = one(success_by_setting(several_settings(summary), made["cells"]))
    assert [axes.get_ylabel() for axes in figure.axes] == ["solved at step"]
    assert "The success rate is 0% everywhere." in figure.legends[0].get_title().get_text().replace("\n", " ")


def test_success_by_setting_draws_errors_beyond_its_axis_at_its_end():
    made = sweep(["", "protocol.hidden=[9]"], ["nac"])
    summary = made["summary"]
    beyond = {"metric": "relative_extrapolation", "low": 0.1, "high": np.inf}
    errors = summary[summary["metric"] == "success_rate"].assign(**beyond, value=[5e3, np.inf])
    figure = one(success_by_setting(pd.concat([summary, errors]), made["cells"]))
    (points,) = figure.axes[-1].containers
    assert points.lines[0].get_xdata().tolist() == [1e3, 1e3]
    assert "Errors above × 1,000 are drawn there" in figure.legends[0].get_title().get_text().replace("\n", " ")


def beside_published(rates, **columns):
    """A comparison of the rates, or scores, of models that add on a range."""
    rows = [
        {"model": model, "task": "add", "range": "positive", "protocol": "trask", "overrides": ""} for model in rates
    ]
    table = pd.DataFrame(rows).assign(value=[ours for ours, _ in rates.values()])
    table["published"] = [theirs for _, theirs in rates.values()]
    more = {"metric": "success_rate", "low": table["value"] - 0.1, "high": table["value"], "published_low": np.nan,
            "published_high": np.nan, "published_seeds": 10, "p": 0.5, "verdict": "same", "source": "Somebody 2020",
            "standing": "recalled"}  # fmt: skip
    return table.assign(**more | columns)


def test_published_numbers_stand_beside_ours_with_both_intervals_and_the_verdict():
    made = tables(["nalu", "nac"], ["add"], ["positive"])
    both = beside_published({"nalu": (0.5, 0.4), "nac": (1.0, 0.0)}, verdict=["same", "better"])
    figure = dict(draw(made | {"comparison": both}))["agreement"]
    (panel,) = panels(figure)
    assert title(panel) == "1 to 2 → 2 to 6"
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["NAC", "NALU"]
    assert figure.get_suptitle() == "Of 2 success rates beside the published ones 1 agrees and 1 differs."
    (nac, *dumbbell), _ = [panel.lines[i : i + 5] for i in (0, 5)]
    assert list(nac.get_xdata()) == [1, 0] and same_color(nac.get_color(), "#d1500b") and nac.get_linewidth() > 2
    their_interval, theirs, our_interval, ours = dumbbell
    assert (list(theirs.get_xdata()), list(ours.get_xdata())) == ([0], [1]) and theirs.get_markerfacecolor() == "white"
    assert list(their_interval.get_xdata()) == pytest.approx(success_rate(0, 10)[1:])  # none was published
    assert list(our_interval.get_xdata()) == [0.9, 1]
    (legend,) = figure.legends
    assert "Published: Somebody 2020, recalled." in legend.get_title().get_text()
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "published", "they agree", "they differ"]


def test_scores_beside_published_ones_are_told_apart_on_a_logarithmic_axis():
    both = beside_published({"nalu": (3e15, 0.0), "nac": (0.5, 0.2)}, metric="score", p=np.nan)
    made = tables(["nalu", "nac"], ["add"], ["positive"])
    figure = dict(draw(made | {"comparison": both}))["agreement"]
    (panel,) = panels(figure)
    assert list(panel.lines[5].get_xdata()) == [1e3, 1e-3] and panel.get_xscale() == "log"
    assert "Of 2 scores 1 is on the same side of 1" in figure.get_suptitle()
    assert "agreement" not in dict(draw(made | {"comparison": both.assign(published=np.nan)}))


def test_difference_heatmap_annotates_differences_and_verdicts():
    table = differences(["nalu", "nac"], ["add", "mul"], ["positive"])
    table["difference"] = [-0.25, -4.2, 1.0, np.inf, 0.0, np.nan, 0.5, 0.26]
    table["verdict"] = ["worse", "better", "better", "worse", "same", "same", "inconclusive", "inconclusive"]
    cells = tables(["nalu", "nac"], ["add", "mul"], ["positive"])["cells"]
    rate, error = (panels(figure)[0] for figure in difference_heatmap(table, [cells]))
    titles = [title(axes).replace("\n", " ") for axes in (rate, error)]
    assert titles == [f"{what}, {RANGES[0]}" for what in ("success rate", "relative error outside")]
    plain = {place: text.replace("\N{THIN SPACE}", "") for place, text in texts(rate).items()}
    assert plain == {
        ("NALU", "a + b"): "−25▼", ("NALU", "a × b"): "+100▲", ("NAC", "a + b"): "+0=", ("NAC", "a × b"): "+50?",
    }  # fmt: skip
    plain = {place: text.replace("\N{THIN SPACE}", "") for place, text in texts(error).items()}
    assert plain == {
        ("NALU", "a + b"): "÷16k▲", ("NALU", "a × b"): "×∞▼", ("NAC", "a + b"): "=", ("NAC", "a × b"): "×1.8?",
    }  # fmt: skip
    assert rate.collections[0].get_clim() == (-100, 100) and error.collections[0].get_clim() == (-3, 3)
    # Blue, the colour of what is better for A, is the end of the one map and the start of the other.
    assert same_color(rate.collections[0].cmap(1.0), error.collections[0].cmap(0.0))


@pytest.mark.parametrize(
    ("missing", "rows", "columns", "count"),
    [
        ([], ["NAC", "NALU"], ["a + b", "a × b"], 4),
        (["range"], ["NAC", "NALU"], ["a + b", "a × b"], 2),
        (["model"], ["a + b", "a × b"], RANGES, 2),
        (["task"], ["NAC", "NALU"], RANGES, 2),
        (["task", "range"], ["NAC", "NALU"], [""], 2),
        (["model", "range", "protocol", "overrides"], ["a + b", "a × b"], [""], 2),
    ],
)
def test_difference_heatmap_takes_the_key_that_the_results_share(missing, rows, columns, count):
    key = [name for name in KEY if name not in missing]
    table = differences(["nalu", "nac"], ["add", "mul"], ["symmetric", "positive"]).drop(columns=missing)
    cells = [tables(["nac"], ["add"], ["symmetric", "positive"])["cells"]]
    rows_of = table.drop_duplicates([*key, "metric"])
    shown = [axes for page in difference_heatmap(rows_of, cells) for axes in panels(page)]
    assert len(shown) == count
    assert [tick.get_text() for tick in shown[0].get_yticklabels()] == rows
    assert [tick.get_text().replace("\n", " ") for tick in shown[0].get_xticklabels()] == columns


def test_one_look_per_model_and_one_hue_a_family():
    families = {name: members for name, (_, members) in FAMILIES.items()}
    assert sorted(model for members in families.values() for model in members) == sorted(MODELS)
    assert len({hue for hue, _ in FAMILIES.values()}) == len(FAMILIES)
    own = ["mine", "nac_mul_uniform", "nac_mul_stable", "other"]
    every = looks([*MODELS, *own])
    for members in families.values():  # dashes and markers tell a family's members apart in grey print
        assert len({(str(every[model]["linestyle"]), every[model]["marker"]) for model in members}) == len(members)
    firsts = [members[0] for members in families.values()]  # and markers one family from another
    assert len({every[model]["marker"] for model in firsts}) == len(firsts)
    assert [mark_of(hue) for hue, _ in FAMILIES.values()] == [every[model]["marker"] for model in firsts]
    assert looks(["nalu", "nac"])["nalu"] == every["nalu"]  # whoever stands beside it
    assert every["nac_mul_uniform"] != every["nac_mul_stable"] != every["nac_mul"]
    assert every["mine"] != every["other"]


def test_draw_separates_protocols_and_skips_what_does_not_apply():
    several = [
        tables(["nac", "nalu"], ["add", "mul"], ["positive"], protocol=p, overrides=o)
        for p, o in (("a", "protocol.lr=0.1/x"), ("a", "protocol.lr=2;protocol.steps=5"))
    ]
    together = {name: pd.concat([made[name] for made in several]) for name in several[0]}
    figures = dict(draw(together))
    kinds = ("success", "verdicts", "error", "horizon", "error_by_distance", "learning_curves")
    kinds = (*kinds, *(f"{kind}_{task}_positive" for kind in ("responses", "plane") for task in ("add", "mul")))
    ends = ["lr-0.1-x", "lr-2-steps-5"]
    assert list(figures) == ["summary", "success_by_setting", *(f"{kind}-{end}" for end in ends for kind in kinds)]
    assert figures["error-lr-0.1-x"].get_suptitle().splitlines()[-1] == "a · lr = 0.1/x"
    plane = figures["plane_add_positive-lr-0.1-x"].get_suptitle()
    assert plane.startswith("Within 1% of the largest target: ")
    assert plane.endswith("\na · lr = 0.1/x\na + b, 1 to 2 → 2 to 6")
    other = tables(["nac", "nalu"], ["add", "mul"], ["positive"], protocol="b/quick", overrides="")
    first = tables(["nac", "nalu"], ["add", "mul"], ["positive"], protocol="b-quick", overrides="")
    few = ("summary", "outcomes", "cells")
    both = stems({name: pd.concat([first[name], other[name]]) for name in few})
    few_kinds = ("success", "verdicts", "error")
    assert both == ["summary", *(f"{kind}-b-quick{end}" for end in ("", "_") for kind in few_kinds)]
    empty = {name: other[name][:0] for name in ("curves", "plane", "responses", "profile", "initialisation")}
    alone = other | empty | {"other": pd.DataFrame({"x": [1]})}
    alone["summary"] = alone["summary"].query("metric == 'success_rate'")
    assert stems(alone) == ["summary", "success", "verdicts", "error"]
    del alone["outcomes"]
    assert list(dict(draw(alone))) == ["success"]
    assert dict(draw({name: table[:0] for name, table in other.items()})) == {}


@pytest.mark.parametrize("value", [0.0, 0.25, np.inf])
def test_no_figure_shows_nothing_or_one_number_everywhere_and_each_left_out_is_told(value):
    settings = [("", "protocol.hidden=[9]"), ("nac", "nalu"), ("add", "square")]
    parts = [
        tables(settings[1], settings[2], ["positive", "symmetric"], overrides=overrides, seeds=2)
        for overrides in settings[0]
    ]
    made = {name: pd.concat([part[name] for part in parts]) for name in parts[0]}
    numbers = {"value", "error", "relative", "median", "interpolation", "extrapolation", "output"}
    numbers |= {"relative_interpolation", "relative_extrapolation", "low", "high", "difference"}
    made |= {"comparison": beside_published({"nac": (0.5, value), "nalu": (0.5, value)})}
    for name, table in made.items():
        if name != "cells":
            made[name] = table.assign(**{column: value for column in numbers & set(table)})
    made["outcomes"] = made["outcomes"].assign(verdict="diverged")
    drawn = dict(draw(made))
    kinds = {"success_by_setting", "agreement", "success", "verdicts", "error", "horizon", "error_by_distance"}
    kinds |= {"error_by_input", "error_by_input_heatmap", "learning_curves", "plane", "summary"}
    kinds |= {"responses"}
    if value > 0:
        kinds |= {"success_by_range"}
    assert drawn == {}
    told = left_out(drawings(made))
    assert (
        kinds - {re.sub(r"(plane|responses)_.*", r"\1", sentence.split()[2].strip(":")) for sentence in told} == set()
    )
    assert all(sentence.startswith("No figure ") and sentence.endswith(".") for sentence in told)


def test_starts_are_compared_only_where_a_model_has_several():
    drawn = lambda models: [
        stem for stem in dict(draw(tables(models, ["add"], ["positive"], 2))) if stem == "initialisation"
    ]
    assert drawn(["nac", "nalu"]) == []
    assert drawn(["nac_normal", "nac_uniform"]) == ["initialisation"]


def test_a_panel_without_a_finite_number_is_left_out_and_told():
    made = tables(["nac", "nalu"], ["square", "identity"], ["symmetric"])
    made["profile"].loc[made["profile"]["task"] == "square", ["error", "relative"]] = np.inf
    figures = dict(draw(made))
    for kind in ("error_by_input", "error_by_input_heatmap", "error_by_distance"):
        assert len(panels(figures[kind])) == 1
    assert left_out(drawings(made))[:1] == [
        "No panel of square on symmetric in error_by_distance: nothing is finite there."
    ]


def test_a_users_settings_of_matplotlib_neither_reach_the_figures_nor_change(tmp_path, identity):
    def pictures():
        save(next(error_heatmap(identity["outcomes"], identity["cells"])), tmp_path / "a")
        return [path.read_bytes() for path in sorted(tmp_path.iterdir())]

    plain = pictures()
    with mpl.rc_context({"text.usetex": True, "font.size": 20, "axes.facecolor": "red", "svg.fonttype": "none"}):
        before = dict(mpl.rcParams)
        assert pictures() == plain
        assert dict(mpl.rcParams) == before


@pytest.mark.filterwarnings("error")
def test_names_from_a_strangers_folder_stay_text_in_every_figure(tmp_path):
    models = [r"$\frac{$", "\x1b[2J\0", "<script>&", "a\nb"]
    ranges = ["".join(models[:2])]
    made = [tables(models, ["add", "square"], ranges, 2, models[0], o) for o in ("$x$=1", "<b>=\x07")]
    # Under the second settings only what shows both.
    made = {name: pd.concat([part[name] for part in made][: 1 + (name in ("summary", "cells"))]) for name in made[0]}
    made["cells"] = made["cells"].assign(trained=models[1], judged=models[2])
    made["summary"] = made["summary"].assign(value=np.linspace(0, 1, len(made["summary"])))
    published = comparison(models, models[0]).assign(task="square", source=models[0], protocol=models[0])
    published = published.assign(overrides="$x$=1")
    figures = dict(draw(made | {"comparison": published}))
    both = difference_heatmap(differences(models, models, ranges))
    figures |= {f"differences{i}": page for i, page in enumerate(both)}
    kinds = {re.sub(r"(?<=plane|onses).*|-.*|\d$", "", stem) for stem in figures}
    assert {"success", "error", "success_by_setting", "error_by_input", "plane", "responses", "differences"} <= kinds
    for kind in sorted(kinds):
        stem = next(stem for stem in figures if re.sub(r"(?<=plane|onses).*|-.*|\d$", "", stem) == kind)
        save(figures[stem], tmp_path / kind, ["svg"])
        ElementTree.parse(tmp_path / f"{kind}.svg")
    assert all(re.fullmatch(r"[\w.-]+", stem, re.ASCII) for stem in figures)


def test_saved_files_are_reproducible(tmp_path):
    def pictures(figure):
        save(figure, tmp_path / "a.b", list(FORMATS))
        return {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}

    two = tables(["nac"], ["add"], ["positive"])
    identity = tables(["nac", "mlp_tanh"], ["identity"], ["symmetric"], seeds=3)
    for function, table, made in (
        (error_by_input_heatmap, "profile", identity),
        (success_heatmap, "summary", identity),
        (error_by_input, "profile", identity),
        (operand_plane, "plane", two),
        (verdict_bars, "outcomes", two),
    ):
        figure = one(function(made[table], made["cells"]))
        first = pictures(figure)
        assert list(first) == ["a.b.pdf", "a.b.png", "a.b.svg"]
        assert first == pictures(figure) == pictures(one(function(made[table], made["cells"])))
        assert b"<dc:date>" not in first["a.b.svg"] and b"Matplotlib v" not in first["a.b.svg"] + first["a.b.png"]
