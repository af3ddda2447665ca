"""The page in a browser: what it shows is what the tables say, whatever they say."""

import csv
import io
import json
import shlex
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from browser import CHROMIUM, Browser

from benchmark.asked.configs import compose
from benchmark.asked.replicas import CELL, KEY, SEMANTICS
from benchmark.results import statistics
from benchmark.results.intervals import success_rate
from benchmark.showing.findings import CLOSE, findings
from benchmark.showing.names import TASKS
from benchmark.showing.page import data, document, embedded

pytest.importorskip("vl_convert", reason="needs vl-convert-python")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
HOSTILE = '<img src=x onerror="troubles++">\'</script>&amp;'
FORMULA = "=1+1"
RANGES = {"positive": ("[1, 2]", "[2, 6]", 1.5, 0.5), "symmetric": ("[-5, 5]", "[-20, -5] ∪ [5, 20]", 0.0, 5.0)}
OPERATIONS = {"mul": lambda a, b: a * b, "add": lambda a, b: a + b, "square": lambda a, b: a * a}


def made_up(models, tasks=("mul", "add", "square"), ranges=RANGES, seeds=8, protocol="default", points=21):
    """Tables of a result that nobody measured: networks that err ever more outside, each model by its own measure."""
    draw = np.random.default_rng(0)
    tables = {name: [] for name in ("cells", "outcomes", "summary", "profile", "plane", "responses", "curves")}
    for number, model in enumerate(models):
        for task in tasks:
            inputs = 1 if task == "square" else 2
            for name, (trained, judged, middle, half) in ranges.items():
                cell = [model, task, name, protocol, ""]
                worth, lost = 10.0 ** (number % 5 - 4), 3 if model == "nac" else 0
                tables["cells"].append(
                    [*cell, inputs, inputs, trained, judged, middle, half, 1e-6, "yes", "yes", "", "finite", "finite",
                     SEMANTICS]
                )  # fmt: skip
                inside, outside = (worth * draw.lognormal(size=seeds) * share for share in (0.01, 1.0))
                solved = outside < 1e-3
                for seed in range(seeds):
                    verdict = "solved" if solved[seed] else "interpolates"
                    known = {"relative_interpolation": inside[seed], "relative_extrapolation": outside[seed]}
                    known |= dict(zip(KEY, [*cell, seed], strict=True)) | {"verdict": verdict, "solved": solved[seed]}
                    tables["outcomes"].append([known.get(column, 1) for column in statistics.OUTCOMES])
                    for step in (0, 50, 100):
                        tables["curves"].append([*cell, seed, step, inside[seed] / (1 + step), outside[seed]])
                low, high = success_rate(int(solved.sum()), seeds)[1:]
                tables["summary"] += [
                    [*cell, "success_rate", solved.mean(), low, high, seeds, 0],
                    [*cell, "relative_extrapolation", *np.quantile(outside, [0.5, 0.1, 0.9]), seeds, lost],
                    [*cell, "horizon", 1 + number / 3, np.nan, np.nan, seeds, lost],
                ]
                x = (
                    np.linspace(0, 9, points)
                    if inputs == 2
                    else np.linspace(middle - 9 * half, middle + 9 * half, points)
                )
                distance = x if inputs == 2 else np.abs(x - middle) / half
                tables["profile"] += [
                    [*cell, at, 9 * error, 9 * error, 5 * error, 20 * error, error, seeds, lost]
                    for at, error in zip(x, worth * distance**2, strict=True)
                ]
                if inputs == 2:
                    tables["plane"] += [
                        [*cell, a, b, worth * abs(a * b), worth, seeds, lost]
                        for a in range(-18, 19, 4)
                        for b in range(-18, 19, 4)
                    ]
                for operand in "ab"[:inputs]:
                    for at in np.linspace(middle - 9 * half, middle + 9 * half, points):
                        target = OPERATIONS[task](at, middle or 2.5)
                        off = worth * max(0, abs(at - middle) / half - 1) * 10
                        tables["responses"].append(
                            [*cell, operand, at, target, *(target - off * part for part in (1, 2, 0, 3, 0)),
                             *(target - off * part for part in np.linspace(0.4, 2, 5)), seeds, lost]
                        )  # fmt: skip
    columns = {
        "cells": statistics.CELLS, "outcomes": statistics.OUTCOMES, "summary": statistics.SUMMARY,
        "profile": statistics.PROFILE, "plane": statistics.PLANE,
        "responses": statistics.RESPONSES,
        "curves": [*KEY, "step", "interpolation", "extrapolation"],
    }  # fmt: skip
    return {name: pd.DataFrame(rows, columns=columns[name]) for name, rows in tables.items()}


def beside_published(tables):
    """The first three success rates of these tables beside published ones."""
    rates = tables["summary"].query("metric == 'success_rate'").head(3)
    more = {"published": [0.0, 0.5, 1.0], "published_low": np.nan, "published_high": np.nan, "published_seeds": 10}
    return rates.assign(**more, verdict=["same", "better", "inconclusive"], source="Somebody 2020", standing="read")


def predictions():
    """Two predictions beside published ones, which have no intervals."""
    cell = dict(zip(CELL, ("nalu", "mul", "positive", "default", ""), strict=True))
    rows = [(0, 2, 3, 6.0, 6.25, 5.5), (0, 4, 5, 20.0, 20.0, 21.0)]
    columns = ["seed", "a", "b", "target", "prediction", "published"]
    return pd.DataFrame([cell | dict(zip(columns, row, strict=True)) for row in rows])


MODELS = ["mlp_tanh", "mlp_relu", "nac", "nalu", "nmu", "linear", "nau", HOSTILE, FORMULA]


@pytest.fixture(scope="module")
def results():
    everything = made_up(MODELS)
    everything["comparison"] = beside_published(everything)
    bare = {"summary": made_up(["nalu", "nac"], ["mul"])["summary"]}
    bare["comparison"] = predictions()
    elsewhere = made_up(["nalu", "nac", "mlp_relu"], ["mul"])
    del elsewhere["curves"]
    elsewhere["outcomes"]["solved_at"] = 10 * (1 + elsewhere["outcomes"]["seed"])
    elsewhere["outcomes"]["steps"] = 500
    return {"headline": everything, "results/of/<b>mine": bare, "elsewhere": elsewhere}


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    """The page, open in a browser; `open(link)` opens it anew."""
    folder = tmp_path_factory.mktemp("page")
    file = folder / "page.html"
    file.write_text(document(results), encoding="utf-8")
    browser = Browser(folder)
    browser.file = file.as_uri()
    yield browser
    browser.close()


def opened(page, link=""):
    """The page, opened from disk by a link."""
    page.troubles.clear()
    page.call("Page.navigate", url="about:blank")
    page.call("Page.navigate", url=page.file + link)
    page.until("document.documentElement?.dataset.shown && document.readyState === 'complete'")
    return page


@pytest.fixture
def fresh(page):
    """The page with two models, which are quickly drawn."""
    if page("document.readyState !== 'complete' || location.protocol !== 'file:'"):
        opened(page)
    settled(page, "enter('#model=nac&model=nalu')")
    yield page
    assert page.troubles == []


SEEN = """
    [...document.querySelectorAll("h1, #detail, #reach, .chart, #agreed, #chosen, #counted, #table")].map(one =>
      [one.textContent, ...[...one.querySelectorAll("path")].map(path => path.getAttribute("d"))].join())
"""


def settled(page, action):
    """What is seen after an action, once it is drawn."""
    before = page("document.documentElement.dataset.shown")
    page(action)
    page.until(f"document.documentElement.dataset.shown !== '{before}'")
    return page(SEEN)


def change(control, value):
    """Code that sets a control as its user would."""
    event = "input" if control in ("out", "find") else "change"
    what = "checked" if isinstance(value, bool) else "value"
    told = f"$('{control}').dispatchEvent(new Event('{event}', {{bubbles: true}}))"
    return f"$('{control}').{what} = {json.dumps(value)}; {told}"


def text(page, selector):
    return page(f"document.querySelector({json.dumps(selector)}).textContent")


@needs_chromium
def test_it_opens_from_disk_with_a_finding_and_its_charts_and_asks_for_nothing_else(page, results):
    page.requests.clear()
    opened(page)
    outcomes = results["headline"]["outcomes"].query("task == 'mul' and range == 'positive'")
    chosen = outcomes[outcomes["model"].isin(["mlp_tanh", "mlp_relu", "nac", "nalu", "nmu"])]
    outside = (chosen["relative_extrapolation"] < CLOSE).mean()
    said = text(page, "h1")
    assert said.startswith("a × b, learned on 1 to 2:") and f"{100 * outside:.0f}% on 2 to 6" in said
    assert page("$('finding').getBoundingClientRect().bottom < $('choice').getBoundingClientRect().top")
    assert text(page, "#findings").endswith(
        " ".join(findings(*(results["headline"][name] for name in ("outcomes", "cells"))))
    )
    for chart in ("responses", "distance", "plane", "curves", "agreement"):
        assert page(f"document.querySelectorAll('#{chart} svg path').length") > 5, chart
    assert page.troubles == []
    assert [url for url in page.requests if not url.startswith(("file:", "about:", "data:", "blob:"))] == []


@needs_chromium
@pytest.mark.parametrize(
    ("control", "value"),
    [("experiment", "1"), ("task", "0"), ("range", "1"), ("out", "0.3"), ("operand", "1"), ("find", "nalu"),
     ("whole", True)],
)  # fmt: skip
def test_each_control_changes_what_is_shown_and_the_link(fresh, control, value):
    before, link = fresh(SEEN), fresh("location.hash")
    assert settled(fresh, change(control, value)) != before
    assert fresh("location.hash") != link


@needs_chromium
def test_models_are_chosen_up_to_six_and_drawn(fresh):
    boxes = "[...document.querySelectorAll('#models input')]"
    settled(fresh, "enter('')")
    assert "linear" not in text(fresh, "#chosen")
    settled(fresh, f"{boxes}.find(box => box.parentElement.textContent === 'linear').click()")
    assert "linear" in text(fresh, "#chosen") and "linear" in text(fresh, "#distance")
    assert fresh(f"{boxes}.filter(box => box.checked).length") == 6
    assert fresh(f"{boxes}.filter(box => !box.checked).every(box => box.disabled)")


@needs_chromium
def test_a_link_restores_the_selection(page):
    opened(page, "#model=nac&model=nalu&model=nmu")
    for control, value in {"task": "2", "range": "1", "out": "0.5", "find": "n", "whole": True}.items():
        settled(page, change(control, value))
    settled(page, "document.querySelector('[data-sort=relative_extrapolation]').click()")
    settled(page, "[...document.querySelectorAll('#models input')].find(box => box.checked).click()")
    seen, link = page(SEEN), page("location.hash")
    assert settled(page, "enter('')") != seen
    opened(page, link)
    assert page(SEEN) == seen and page("location.hash") == link
    assert page.troubles == []


@needs_chromium
def test_what_a_link_names_and_nobody_has_is_told(page):
    opened(page, "#experiment=headline&task=cube&model=nalu&model=nlau")
    assert text(page, "#told") == (
        "The link names the operation cube, which is not here. The link names the model nlau, which is not here."
    )


@needs_chromium
def test_the_numbers_are_those_of_the_tables(page, results):
    opened(page, "#whole=yes")
    rows = list(csv.DictReader(io.StringIO(page("csv()"))))
    tables = results["headline"]
    summary = tables["summary"].set_index([*CELL, "metric"])
    inside = tables["outcomes"].groupby(CELL)["relative_interpolation"].median()
    assert len(rows) == len(tables["cells"])
    for row in rows:
        model = FORMULA if row["model"] == f"'{FORMULA}" else row["model"]
        cell = (model, *(row[name] for name in CELL[1:]))
        for metric in ("success_rate", "relative_extrapolation", "horizon"):
            own = summary.loc[(*cell, metric)]
            assert row[metric] == "" if np.isnan(own["value"]) else float(row[metric]) == own["value"]
            if metric != "horizon":
                assert [float(row[f"{metric}_{end}"]) for end in ("low", "high")] == [own["low"], own["high"]]
        assert float(row["relative_interpolation"]) == inside[cell] and int(row["seeds"]) == 8
    rows_seen = "[...document.querySelectorAll('#table tbody tr')]"
    shown = page(f"{rows_seen}.map(row => [...row.cells].map(one => one.textContent.trim()))")
    assert len(shown) == len(rows)
    for told, row in zip(shown, rows, strict=True):
        rate, low, high = (float(row[f"success_rate{end}"]) for end in ("", "_low", "_high"))
        percent = [f"{round(100 * value + 1e-9, 1):g}%" for value in (rate, low, high)]
        assert told[1] == TASKS[row["task"]] and told[3] == row["seeds"]
        assert told[4] == f"{percent[0]} [{percent[1]}, {percent[2]}]"
        assert [cell.endswith(" (3∞)") for cell in told[4:8]] == [False, False, *[row["model"] == "nac"] * 2]


@needs_chromium
def test_charts_hold_the_points_of_the_tables(fresh, results):
    profile = results["headline"]["profile"].query("model == 'nalu' and task == 'mul' and range == 'positive'")
    last = profile.loc[profile["x"].idxmax(), "relative"]
    assert f"NALU {fresh(f'share({last})')}" in text(fresh, "#distance")
    own = fresh("of('responses', cellOf(result.models.findIndex(model => model.name === 'nalu'))).b.median")
    answers = results["headline"]["responses"].query("model == 'nalu' and task == 'mul' and range == 'positive'")
    assert own == pytest.approx(answers[answers["operand"] == "b"]["median"].tolist(), rel=1e-3)


@needs_chromium
def test_the_slider_zooms_both_charts_and_obeys_the_keyboard(fresh):
    assert "operands up to 6)" in text(fresh, "#reach")
    fresh("$('out').focus()")
    before = fresh("document.documentElement.dataset.shown")
    fresh.press("Home")
    fresh.until(f"document.documentElement.dataset.shown !== '{before}'")
    assert "up to 1 ×" in text(fresh, "#reach")
    assert "trained here" in text(fresh, "#responses")


@needs_chromium
def test_without_learning_curves_it_shows_when_seeds_solve_their_task(page, results):
    opened(page, "#experiment=elsewhere&range=positive&model=nac&model=nalu")
    assert "Share of the networks that solve" in text(page, "#curves-caption")
    assert page("document.querySelectorAll('#curves svg path').length") > 5
    outcomes = results["elsewhere"]["outcomes"].query("range == 'positive'")
    for model, own in outcomes.groupby("model"):
        found = page(f"of('learned', cellOf(result.models.findIndex(model => model.name === '{model}')))")
        by = [int((own["solved"] & (own["solved_at"] <= step)).sum()) for step in found["step"]]
        assert found["solved"] == by and (found["step"][0], found["step"][-1]) == (0, 500)
    assert 0 < outcomes.query("model == 'nac'")["solved"].sum() < 8
    settled(page, "enter('#experiment=elsewhere&model=mlp_relu')")
    assert text(page, "#curves") == "None of these networks solves it in 500 steps."
    assert page.troubles == []


@needs_chromium
def test_a_row_leads_to_its_command_by_keyboard(fresh):
    fresh("document.querySelector('#table td button').focus()")
    fresh.press("Enter")
    assert fresh("$('reproduce').open")
    said = text(fresh, "#command")
    assert said == (
        "python -m benchmark +experiment=headline model=linear task=mul range=positive protocol=default "
        "protocol.seeds=8"
    )
    fresh("$('copy').click()")
    fresh.until("$('copied').textContent !== ''")
    fresh("$('close').click()")
    assert not fresh("$('reproduce').open")


@needs_chromium
def test_columns_sort_up_down_and_back(fresh):
    rates = "[...document.querySelectorAll('#table tbody tr')].map(row => row.cells[2].textContent)"
    first = fresh(rates)
    orders = []
    for told in ("ascending", "descending", None):
        settled(fresh, "document.querySelector('[data-sort=success_rate]').click()")
        assert (
            fresh("document.querySelector('[data-sort=success_rate]').parentElement.getAttribute('aria-sort')") == told
        )
        orders.append([float(one.split("%")[0]) for one in fresh(rates)])
    assert orders[0] == sorted(orders[0]) and orders[1] == sorted(orders[1], reverse=True) and fresh(rates) == first


@needs_chromium
def test_a_hostile_name_stays_text(page):
    opened(page, f"#model={quote(HOSTILE)}&model=nalu&find=img")
    assert HOSTILE in text(page, "#chosen") and HOSTILE in text(page, "#table")
    assert page("[...document.querySelectorAll('#responses svg text')].some(one => one.textContent.startsWith('<img'))")
    assert page("document.querySelectorAll('img').length") == 0
    assert page("typeof window.troubles") == "undefined"
    settled(page, change("experiment", "1"))
    assert page("$('experiment').selectedOptions[0].text") == "results/of/<b>mine"
    assert page.troubles == []


@needs_chromium
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_heeds_the_dark(page, dark):
    page.window(390, 844, mobile=True, dark=dark)
    opened(page, f"#model={quote(HOSTILE)}&model=nalu")
    page("$('picker').open = true")
    assert page("document.documentElement.scrollWidth") <= 390
    assert page("[...document.querySelectorAll('.chart svg')].every(one => one.getBoundingClientRect().right <= 390)")
    light = page("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(part => part > 127)")
    assert light != dark
    page.window(1200, 900)


@needs_chromium
def test_what_is_not_there_is_said(page):
    opened(page, "#experiment=results/of/<b>mine")
    for chart, table in {"responses": "responses.csv", "distance": "profile.csv", "plane": "plane.csv"}.items():
        assert table in text(page, f"#{chart}")
    assert page("document.querySelectorAll('#table tbody tr').length") == 2
    assert page.troubles == []


@pytest.mark.parametrize(
    ("experiment", "model", "task", "range_", "protocol", "overrides"),
    [
        ("mistry2022_division", "nru", "div", "mixed_2", "mistry2022_division/paper",
         "protocol.inputs=10;protocol.steps=100000;protocol.subset=0.1"),
        ("madsen2020_gate", "nalu_after_nac", "mul", "positive", "madsen2020_gate/quick", ""),
        ("results/default", "nalu", "mul", "positive", "default", "protocol.steps=50"),
    ],
)  # fmt: skip
def test_a_command_asks_for_the_cell_that_it_stands_at(experiment, model, task, range_, protocol, overrides):
    names = (model, task, range_, protocol, overrides)
    tables = {"summary": pd.DataFrame([[*names, "success_rate", 0.5, 0.1, 0.9, 3, 0]], columns=statistics.SUMMARY)}
    cells = data.experiment(experiment, tables)["cells"]
    program, *said = shlex.split(cells["command"][0])[2:]
    given = dict(part.lstrip("+").split("=", 1) for part in said)
    asked = {group: [given.pop(group)] for group in ("model", "task", "range") if group in given}
    request = compose(
        asked.get("model", ()), asked["task"], asked["range"], given.pop("protocol"), given.pop("experiment", None),
        overrides=[f"{key}={value}" for key, value in given.items()],
    )  # fmt: skip
    own = [cell for cell in request.cells if cell.names == names]
    assert program == "benchmark" and len(own) == 1 and own[0].specification.protocol.seeds == 3
    assert len(request.cells) == 1 or "all of its models are trained" in cells["note"][0]


def test_numbers_beside_published_ones_are_told_whatever_they_are_of():
    rates = data.agreement(beside_published(made_up(["nalu"])))
    assert (
        rates["what"] == ["success_rate"] * 3
        and rates["published"] == [0, 0.5, 1]
        and rates["published_low"] == [None] * 3
    )
    untested = beside_published(made_up(["nalu"])).assign(p=[0.5, np.nan, 0.5])
    assert data.agreement(untested)["verdict"] == ["same", "", "inconclusive"]
    told = data.agreement(predictions())
    assert told["of"] == ["2, 3 → 6", "4, 5 → 20"]
    assert told["ours"] == [0.25, 0] and told["published"] == [-0.5, 1]
    inputs = predictions().drop(columns="prediction").assign(x=-19.5, error=[1.5, np.nan], low=1.0, high=2.0)
    told = data.agreement(inputs)
    assert told["what"] == ["mean absolute error at -19.5"] and told["ours"] == [1.5] and told["low"] == [None]


def test_no_text_ends_the_script_it_stands_in():
    assert "</" not in embedded(["</script><!--"]) and json.loads(embedded(["</script>"])) == ["</script>"]


def test_commands_of_what_the_package_does_not_have_say_so():
    tables = made_up(["mine", "nalu"], ["mul"], {"positive": RANGES["positive"]}, protocol="default")
    cells = data.experiment("results/mine", tables)["cells"]
    by_model = dict(zip(cells["model"], zip(cells["command"], cells["note"], strict=True), strict=True))
    assert by_model[0] == (
        "python -m benchmark model=nalu task=mul range=positive protocol=default protocol.seeds=8",
        "",
    )
    assert by_model[1][1] == "mine is no model of this package: name its class, as in model=[package.mine]."
