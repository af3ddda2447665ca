"""Published numbers stand beside ours where they belong and nowhere else."""

import numpy as np
import pandas as pd
import pytest

from benchmark.asked.conf_files import PUBLISHED
from benchmark.asked.configs import compose
from benchmark.errors import UsageError
from benchmark.results.intervals import boschloo, holm
from benchmark.run import run
from benchmark.showing import published

FEW = ["protocol.seeds=2", "protocol.steps=4", "protocol.evaluate_every=2", "engine.workers=1"]
FEW += ["protocol.evaluation_size=200"]


def compared(tmp_path, *overrides, **names):
    results = run(results=tmp_path, overrides=[*FEW, *overrides], **names)
    table = published.asked(results.tables["comparison"], {cell.names for cell in results.request.cells})
    return table, published.tell(table, results.outcomes)


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.csv")), ids=lambda path: path.stem)
def test_every_published_row_has_its_source_and_standing(path):
    table = published.load(path.stem)
    assert table[["source", "standing"]].notna().all(axis=None)
    assert not table.duplicated().any()


@pytest.mark.parametrize(
    "name",
    [
        *("curry2025_dmu", "dujardin2025_hillspace", "heim2020_large", "heim2020_npu", "passo2024_nalu2mig"),
        "sahoo2018_eql",
    ],
)
def test_what_is_published_of_an_experiment_is_of_what_it_trains(name):
    table, request = published.load(name), compose(experiment=name)
    cells = {cell.names[:3]: cell.specification for cell in request.cells}
    table = table[~table["model"].isin(["mlp", "svr", "eureqa"])]  # what Sahoo et al. compare with
    assert {*table[["model", "task", "range"]].itertuples(index=False, name=None)} <= {*cells}
    assert request.published == name and set(table["protocol"]) == {cell.protocol for cell in request.cells}
    operands = {task: of.model.options["operands"] for (model, task, _), of in cells.items() if model == "dmu_frozen"}
    wanted = {"add": "sum", "mul": "sum", "sub": "difference", "div": "difference"}
    assert operands == (wanted if name == "curry2025_dmu" else {})


def test_the_digitised_figure_has_the_fifteen_activations_of_its_legend():
    table = published.load("trask2018_figure1").set_index(["model", "x"])["error"]
    assert table.index.get_level_values("model").nunique() == 15
    assert table["mlp_hardtanh", -19.5] == 14.36
    assert table["mlp_softsign", 19.5] == 4.23


def test_the_recalled_table_is_marked_and_has_every_static_cell():
    table = published.load("trask2018_table1")
    assert len(table) == 4 * 6 * 2
    assert set(table["standing"]) == {"recalled, not checked against a copy"}
    scores = table.set_index(["model", "task", "metric"])["value"]
    assert scores["nalu", "div", "score_interpolation"] == 5.3
    assert scores["nalu", "div", "score"] == 0.7


@pytest.mark.parametrize("experiment", ["trask2018_table1", "trask2018_table1_two_inputs"])
def test_our_scores_stand_beside_the_recalled_ones(tmp_path, experiment):
    table, text = compared(tmp_path, experiment=experiment, models=["linear", "nac"], tasks=["add", "sqrt"])
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["model", "task", "metric"])["value"]
    assert len(table) == 2 * 2 * 2
    for row in table.itertuples():
        assert row.value == summary[row.model, row.task, row.metric]
    assert "recalled, not checked against a copy" in text
    older = table.drop(columns=["p", "p_adjusted", "verdict", "difference"])  # as folders of before hold it
    assert published.tell(older, None) == text
    assert "(36.8)" not in text and "(16.4)" in text  # NAC's recalled score on √ outside


def test_published_success_rates_are_compared_by_the_agreement_rule(tmp_path):
    table, text = compared(tmp_path, experiment="madsen2020_simple")
    rates = table[table["metric"] == "success_rate"].set_index("model")
    assert rates["published"].to_dict() == {"nac_mul": 0.13, "nalu": 0.26, "nmu": 0.94}
    assert rates.loc["nmu", ["value", "seeds", "published_seeds"]].tolist() == [0, 2, 100]
    expected = holm(np.array([boschloo(0, 2, solved, 100) for solved in (13, 26, 94)]))
    assert rates["p_adjusted"].tolist() == pytest.approx(expected.tolist())
    assert rates["verdict"].to_dict() == {"nac_mul": "inconclusive", "nalu": "inconclusive", "nmu": "worse"}
    assert "Beside the published rates: 0 of 3 agree, 1 differ, 2 inconclusive." in text
    assert "0 [0, 0.658] (0.94) ▼" in text


def test_a_published_rate_over_nine_ranges_is_beside_ours_over_these_nine_and_no_fewer(tmp_path):
    variants = "protocol.variants=[{inputs: 10, steps: 4, subset: 0.1},{inputs: 2, steps: 4, subset: 0.5}]"
    overrides = ["protocol.threshold=0.5", variants]
    asked = {"experiment": "mistry2022_division", "models": ["nmru"]}
    table, _ = compared(tmp_path, *overrides, **asked)
    assert table.empty  # the published runs are longer
    known = published.load("mistry2022_division").assign(overrides="")
    results = run(results=tmp_path, overrides=[*FEW, *overrides], **asked)
    rows = published._metrics(known, results.tables)
    assert len(rows) == 2
    for row in rows.itertuples():
        own = results.outcomes[results.outcomes["overrides"] == row.overrides]
        assert (row.range, row.seeds, row.value) == ("mistry2022", 2 * 9, own["solved"].mean())
    results.tables["summary"] = results.summary[results.summary["range"] != "positive"]
    assert published._metrics(known, results.tables).empty


def test_what_was_not_printed_so_is_told(tmp_path):
    _, text = compared(tmp_path, experiment="madsen2020_arithmetic", models=["nac"], tasks=["add"])
    assert (
        "NAC, a + b, sparsity_mean: corrected: printed 0.226559, but the authors' interval code halves the mean" in text
    )
    assert "read" in text.split("Not as printed:")[1]


def test_what_only_solved_networks_have_is_counted_over_them():
    table = published.load("madsen2020_arithmetic").set_index(["model", "task", "metric"])["seeds"]
    assert table["nac_mul", "mul", "success_rate"] == 100
    assert table["nac_mul", "mul", "solved_at"] == table["nac_mul", "mul", "sparsity_mean"] == 31


@pytest.mark.parametrize("unit", ["os.system", "benchmark.units.nac.torch.hub.load", "benchmark.units.nac:torch"])
def test_a_results_folder_chooses_no_code_that_predicts(unit):
    class Store:
        def specification(self, digest):
            return {"model": {"unit": unit, "options": {}, "hidden_unit": None}}

    assert np.isnan(published._predicted(Store(), tuple("mtrpo"), 0, "d", np.ones((2, 3)))).all()


def test_a_table_that_nobody_published_is_refused():
    with pytest.raises(UsageError, match="did you mean trask2018_figure1"):
        published.load("trask2018_figure")


def test_our_error_stands_at_each_published_input(tmp_path):
    table, text = compared(tmp_path, experiment="trask2018_figure1_adam", models=["mlp_tanh", "mlp_relu", "mlp_elu"])
    profile = pd.read_csv(tmp_path / "profile.csv").set_index(["model", "x"])["error"]
    for row in table.itertuples():
        assert row.error == profile[row.model, row.x]
    assert set(table["x"]) == {-19.5, -15, -10, 10, 15, 19.5}
    assert "mlp_tanh" in text


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("trask2018_figure1_adam", {"tasks": ["square"], "models": ["mlp_tanh"]}),
        ("trask2018_figure1_adam", {"models": ["nalu"]}),
        ("trask2018_figure1_adam", {"ranges": ["positive"], "models": ["mlp_tanh"]}),
        ("tutorial_addition", {"tasks": ["mul"]}),
        ("tutorial_addition", {"models": ["nalu"]}),
        ("tutorial_addition", {"ranges": ["positive"], "tasks": ["sqrt"]}),
    ],
)
def test_an_experiment_turned_to_something_else_compares_nothing(tmp_path, experiment, names):
    table, text = compared(tmp_path, experiment=experiment, **names)
    assert "published" not in text
    assert "tutorial" not in text
    assert table.empty or table["published"].isna().all()


def test_the_tutorials_median_seed_is_the_one_with_the_median_error(tmp_path):
    results = run(experiment="tutorial_addition", results=tmp_path, overrides=["protocol.seeds=5", *FEW[1:]])
    table = results.tables["comparison"]
    text = published.tell(table, results.outcomes)
    errors = results.outcomes.sort_values("relative_extrapolation")
    assert set(table["seed"]) == {0, int(errors["seed"].iloc[2])}
    assert "the tutorial's own ten rows: 4.9e-05" in text
