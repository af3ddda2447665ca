"""The README's example runs and its numbers are those of the committed results."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import needs_references

from benchmark import ledger, verify
from benchmark.asked.conf_files import choices_of
from benchmark.results.papers import DIFFER, evaluated
from benchmark.results.references import references
from benchmark.results.tables import table_path
from benchmark.showing.names import label
from benchmark.showing.texts import number

ROOT = Path(__file__).parent.parent
README, CONF, RESULTS = ((ROOT / folder / "README.md").read_text() for folder in (".", "conf", "results/reference"))
DIVIDERS = ["real_npu", "real_npu_modified", "nmru"]  # in the order of the README


def test_the_notebook_example_runs(tmp_path, monkeypatch, capsys):
    (code,) = [block for block in blocks("python") if "benchmark.run" in block]
    code = code.replace("protocol.steps=500", "protocol.steps=5")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert "mlp_tanh" in capsys.readouterr().out
    assert (tmp_path / "results/notebook/outcomes.csv").exists()


@needs_references
@pytest.mark.parametrize(("column", "variant"), list(enumerate(("rmsprop", "adam", "sgd", "uniform"), start=1)))
def test_the_figure_1_table_holds_the_committed_numbers(column, variant):
    table = table_of(f"trask2018_figure1_{variant}", "comparison")
    ends = table[table["x"].abs() == 19.5].groupby("model")[["error", "published"]].mean()
    rows = [line.strip("| ").split(" | ") for line in RESULTS.splitlines() if line.count(" | ") == 5]
    told = {row[0]: row for row in rows[1:]}
    for model, row in ends.iterrows():
        cells = told[label(model).removeprefix("MLP ")]
        assert cells[column] == f"{row['error']:.1f}"
        assert cells[5] == ("–" if pd.isna(row["published"]) else f"{row['published']:.1f}")


@needs_references
@pytest.mark.parametrize("variant", ["rmsprop", "adam", "sgd", "uniform"])
def test_the_finding_holds_in_every_variant(variant):
    profile = table_of(f"trask2018_figure1_{variant}", "profile")
    inside = profile[profile["x"].abs() <= 5].groupby("model")["error"].mean()
    far = profile[profile["x"].abs() == 20].groupby("model")["error"]
    for name in ("hardtanh", "sigmoid", "relu6", "tanh", "softsign"):
        assert inside[f"mlp_{name}"] < 0.15
        assert far.min()[f"mlp_{name}"] > 11
    for name in ("relu", "leakyrelu", "prelu", "softplus", "elu"):
        assert far.max()[f"mlp_{name}"] < 3


def table_of(name, table):
    return pd.read_csv(table_path(ROOT / "results/reference" / name, table))


def outcomes(name):
    return table_of(name, "outcomes")


@needs_references
def test_the_headline_says_what_the_committed_outcomes_say():
    table = outcomes("headline")
    mlps = table[table["model"].str.startswith("mlp")]
    assert (len(table), len(mlps)) == (6600, 5400)
    assert f"{(mlps['relative_interpolation'] < 0.05).mean():.0%}" == "90%"
    solved = mlps[mlps["solved"]]
    told = {"mlp_prelu": 24, "mlp_relu": 8, "mlp_leakyrelu": 7, "mlp_threshold": 2}
    assert solved["model"].value_counts().to_dict() == told
    assert set(solved["task"]) == {"add", "sub"}
    assert f"{(mlps['verdict'] == 'interpolates').mean():.0%}" == "76%"
    close = mlps.loc[mlps["verdict"].isin(["near_miss", "inexact"]), "task"].value_counts()
    assert (close.sum(), close[["add", "sub"]].sum(), close["sqrt"]) == (702, 602, 72)
    assert (~mlps["task"].isin(["add", "sub"])).sum() == 3600
    rates = table.groupby(["model", "task", "range"])["solved"].mean()
    for range_ in ("positive", "symmetric"):
        for task in ("add", "sub"):
            assert rates["nac", task, range_] == rates["linear", task, range_] == 1
            assert rates["nalu", task, range_] == (range_ == "positive")
    for task in ("mul", "div"):
        assert rates["nac_mul", task, "positive"] == rates["nalu", task, "positive"] == 1
    assert (rates["nalu", "sqrt", "positive"], rates["nalu", "sqrt", "symmetric"]) == (1, 0.44)
    assert rates["nac_mul", "sqrt", "positive"] == rates["nac_mul", "sqrt", "symmetric"] == 1
    errors = table.groupby(["model", "task", "range"])["relative_extrapolation"].median()
    assert errors["linear", "add", "positive"] < errors["nac", "add", "positive"]


@needs_references
def test_the_starts_cost_what_the_readme_says():
    rates = outcomes("initialisation").groupby(["model", "task"])["solved"].mean()
    assert (rates["nalu_normal"] == 1).all()
    assert (rates["nalu_uniform"].min(), rates["nalu_uniform"].max()) == (0.96, 1.0)
    assert (rates["nalu_stable"].min(), rates["nalu_stable"].max()) == (0.84, 0.96)
    before = table_of("initialisation", "initialisation").set_index(["model", "task"])
    assert {f"{share:.0%}" for share in before.loc["nalu_stable", "saturation"]} == {"44%"}
    assert (before.loc["nalu_uniform", "saturation"] == 0).all()


@needs_references
def test_what_nalu2mig_solves_is_as_the_page_says():
    table = outcomes("passo2024_nalu2mig").query("model == 'nalu_2mig'")
    near = (table["relative_extrapolation"] < 0.05).groupby(table["task"]).sum()
    solved = table.groupby("task")["solved"].sum()
    assert (table.groupby("task").size() == 25).all()
    assert near[["add", "sub", "sqrt"]].tolist() == [22, 9, 12] and solved[["add", "sub", "sqrt"]].tolist() == [3, 0, 0]
    assert solved[["mul", "square"]].tolist() == [6, 11] == near[["mul", "square"]].tolist()
    told = " ".join(RESULTS.split())
    assert "are within 5% in 22, 9 and 12 of 25 seeds and solved in 3, none and none; products" in told
    assert "squares are solved in 6 and 11, and far off in the others." in told


@needs_references
def test_the_table_1_scores_are_the_committed_ones():
    scores = {}
    for variant in ("trask2018_table1", "trask2018_table1_two_inputs"):
        table = table_of(variant, "comparison")
        scores[variant] = table[table["metric"] == "score"].set_index(["model", "task"])
    hundred, two = scores.values()
    nalus = outcomes("trask2018_table1").query("model == 'nalu'")
    assert (len(nalus), (nalus["relative_interpolation"] < 0.05).sum()) == (150, 69)
    for model in ("mlp_relu6", "linear", "nac", "nalu"):
        cells = [
            f"{number(hundred.loc[(model, task), 'value'])} · {number(two.loc[(model, task), 'value'])} · "
            f"*{number(hundred.loc[(model, task), 'published'])}*"
            for task in ("add", "sub", "mul", "div", "square", "sqrt")
        ]
        assert f"| {label(model)} | {' | '.join(cells)} |" in RESULTS


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README + CONF, re.DOTALL)


@pytest.fixture
def own(tmp_path):
    """The unit of one's own and its configuration, where the README puts them: a command of the README's, as words."""
    (unit,) = [block for block in blocks("python") if block.startswith("# mine.py")]
    (model,) = [block for block in blocks("yaml") if "mine/model" in block]
    (tmp_path / "mine.py").write_text(unit)
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / re.search(r"# (mine/model/\w+\.yaml)", model)[1]).write_text(model)

    def words(named):
        (command,) = [line for block in blocks("sh") for line in block.splitlines() if named in line]
        few = ["protocol.seeds=2", "protocol.steps=4", "protocol.evaluation_size=100", "range=positive"]
        return [*shlex.split(command), *few]

    return words


def trained(folder):
    table = pd.read_csv(folder / "results/default/outcomes.csv")
    assert table.loc[table["model"] != "nac", "sparsity"].isna().all()
    return set(table["model"])


def test_the_unit_of_ones_own_trains_as_the_readme_says(tmp_path, own):
    arguments = [sys.executable, *own("'+model=[mine.Net,")[1:]]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "its overrides are none" in done.stdout and "python -m benchmark.rank results/default" in done.stdout
    assert trained(tmp_path) == {"Net", "Doubled", "nac"}


def test_the_configuration_of_ones_own_trains_as_the_readme_says(tmp_path, own, command, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("mine")
    del sys.modules["mine"]
    monkeypatch.setitem(sys.modules, "mine", mine)  # and nobody else finds it there
    python, m, benchmark, *arguments = own("benchmark --config-dir mine")
    assert (python, m, benchmark) == ("python", "-m", "benchmark")
    code, _, err = command(*arguments)
    assert (code, err) == (0, "")
    assert trained(tmp_path) == {"net", "nac"}
    (checking,) = [line for block in blocks("sh") for line in block.splitlines() if "verify results/default" in line]
    python, m, benchmark, *arguments = shlex.split(checking, comments=True)
    assert benchmark == "benchmark.verify" and verify.main(arguments) == 0


def test_every_model_and_protocol_is_in_the_readmes_tables():
    rows = "\n".join(line for line in CONF.splitlines() if line.startswith("| `"))
    words = set(re.findall(r"[\w…{},]+", rows))
    for name in choices_of("model"):
        assert name.removeprefix("mlp_") in words or name in ("all", "mlps", "figure1")
    for name in choices_of("protocol"):
        parts = re.match(r"(trask2018_figure1|trask2018_table1|tutorial)_?(.*)", name)
        assert all(part in rows for part in (parts.groups() if parts else [f"`{name.partition('/')[0]}`"]))


@needs_references
@pytest.mark.parametrize(
    "name",
    [
        *("madsen2020_simple", "madsen2020_arithmetic", "mistry2022_division"),
        *("schloer2020_minimal", "schloer2020_minimal_adam", "curry2025_dmu", "curry2025_dmu_stopped"),
        "dujardin2025_hillspace",
    ],
)
def test_the_agreement_with_published_rates_is_that_of_the_committed_comparisons(name):
    table = table_of(name, "comparison")
    rates = table[table["metric"] == "success_rate"]
    differ = rates["verdict"].isin(["better", "worse"]).sum()
    counts = [(rates["verdict"] == "same").sum(), differ, (rates["verdict"] == "inconclusive").sum()]
    told = " | ".join(map(str, counts))
    (line,) = [line for line in RESULTS.splitlines() if line.startswith(f"| [`{name}`]")]
    assert f"| {told} |" in line
    if name == "curry2025_dmu":
        solved = outcomes(name).groupby("model")["solved"].sum()
        assert f"{solved['dmu_frozen']} of 900" in line and f"{solved['dmu']} of 900" in line
    elif name == "curry2025_dmu_stopped":
        fails = outcomes(name).query("task == 'div' and not solved")["range"]
        assert {*fails} == {"neg_0p2_0p1", "neg_1p2_1p1", "pos_1p1_1p2"}
        assert rates.query("range in @fails and task == 'div'")["published"].max() < 1
        assert f"{outcomes(name)['solved'].sum()} of 900" in line
    elif name == "dujardin2025_hillspace":
        assert (rates["value"] - rates["published"]).abs().lt(1e-9).sum() == 14 and "14 of the 16" in line
    elif not name.startswith("schloer"):
        order = rates.set_index("model").loc[DIVIDERS] if name == "mistry2022_division" else rates
        pairs = [f"{value:.0%} ({published:.0%}" for value, published in order[["value", "published"]].to_numpy()]
        assert re.findall(r"\d+% \(\d+%", line) == pairs
    else:
        equal = (rates["value"] - rates["published"]).abs().lt(1e-9).sum()
        assert (len(rates), equal) == (112, 87 if name.endswith("adam") else 80)
        assert f"{equal} " in line


@needs_references
def test_the_optimizer_explains_where_the_minimal_task_differs():
    rates = {}
    for optimizer, name in (("rmsprop", "schloer2020_minimal"), ("adam", "schloer2020_minimal_adam")):
        table = table_of(name, "comparison")
        rates[optimizer] = table[table["metric"] == "success_rate"]
    assert (rates["rmsprop"]["verdict"] == "better").sum() == 7
    assert (rates["adam"]["p"] < 0.05).sum() == 1
    solved = {name: (10 * table.groupby("model")["value"].sum()).round() for name, table in rates.items()}
    published = (10 * rates["adam"].groupby("model")["published"].sum()).round()
    models = ["inalu", "inalu_shared", "nalu"]
    counts = [list(column[models].astype(int)) for column in (solved["adam"], published, solved["rmsprop"])]
    assert counts == [[220, 183, 64], [214, 171, 63], [273, 253, 57]]


@needs_references
def test_the_single_modules_do_what_the_readme_says():
    table = outcomes("mistry2022_single_module")
    assert (len(table), table["model"].nunique()) == (32_400, 16)
    table = table.assign(overrides=table["overrides"].fillna(""))
    rates = table.groupby(["model", "task", "range", "overrides"])["solved"].mean()
    assert (rates["nau"] == 1).all()
    nmu = rates["nmu", "mul"].droplevel("overrides")
    assert nmu[nmu < 1].round(2).to_dict() == {"neg_1p2_1p1": 0.60, "neg_2_1": 0.82}
    dividing = rates[:, "div", "mixed_2", ""]
    expected = {"nru": 1.0, "nmru": 1.0, "real_npu_modified": 0.52}
    assert dividing[dividing > 0].round(2).to_dict() == expected
    adding = rates["inalu", "add"]
    assert (adding[:, ""] == 1).all()
    ten = adding.drop("", level="overrides").droplevel("overrides")
    assert (ten[["neg_20_10", "pos_10_20"]] == 1).all()
    unsigned = table[table["model"] == "mul_mcfc"].groupby("range")["verdict"].agg(set)
    negative = unsigned.index.str.startswith(("neg", "mixed"))
    assert all(told == {"diverged"} for told in unsigned[negative])
    assert all(told == {"solved"} for told in unsigned[~negative])
    signed = table["model"].str.startswith("mul_mcfc_")
    assert table.loc[signed, "model"].nunique() == 2 and table.loc[signed, "solved"].all()
    assert ten["neg_2_1"] == 0.15
    assert ten.drop(["neg_20_10", "pos_10_20", "neg_2_1"]).max() < 0.1


@needs_references
def test_only_some_rows_of_smoke_were_trained_eagerly():
    eager = {name: outcomes(name)["engine"].eq("eager").sum() for name in references()}
    assert {name: count for name, count in eager.items() if count} == {"smoke": 96}
    assert "the 96 rows of `smoke`" in RESULTS


@needs_references
def test_the_sweeps_and_single_seeds_give_what_the_readme_says():
    subtracting = outcomes("curry2025_dmu").query("model == 'dmu' and task == 'sub'")
    rates = subtracting.groupby("range")["solved"].mean().sort_values(ascending=False)
    assert rates.round(2).tolist()[:4] == [0.84, 0.6, 0.32, 0.2] and rates.iloc[4:].max() == 0.08
    assert rates.index[0] == "mixed_2" and "[-2, 2] in\n84% of 25 seeds, on three ranges of positive" in RESULTS
    scores = table_of("passo2024_nalu2mig", "comparison").query("model == 'nalu_2mig'").set_index("task")
    ours = scores.loc[["mul", "square", "add", "sub", "sqrt"], "value"]
    assert [f"{value:.{digits}f}" for value, digits in zip(ours, (0, 0, 2, 1, 1), strict=True)] == [
        *("96", "92", "0.02", "0.3", "0.3")
    ]
    published = scores.loc[["mul", "square", "add", "sub", "sqrt"], "published"]
    assert [f"{value:.1g}" for value in published] == ["0", "0", "0.002", "0.002", "0.0004"]
    scores = table_of("passo2024_nalu2mig_judged", "comparison").set_index(["model", "task"])
    told = [f"{scores['value']['nalu_2mig', task]:.1g}" for task in ("sub", "sqrt", "mul")]
    assert told == ["0.0006", "0.1", "9e+01"] and f"{scores['value']['nalu_2mig', 'square']:.0f}" == "75"
    assert [f"{scores['published']['nac', task]:.2g}" for task in ("div", "sqrt")] == ["4.3", "43"]
    (claim,) = [claim for paper, claim in ledger._claims() if paper.startswith("Passo")]
    beyond = {}
    for reference in ("passo2024_nalu2mig", "passo2024_nalu2mig_judged"):
        of_seeds = evaluated({**claim, **claim["shown"], "in": reference})
        beyond[reference] = [key for key, (_, verdict) in of_seeds.items() if verdict == DIFFER]
    assert [len(of_seeds) - len(keys) for keys in beyond.values()] == [29, 32]
    assert {key for key in beyond["passo2024_nalu2mig_judged"] if key[1] not in ("div", "sqrt")} == {("nalu_ig", "add")}
    assert f"{of_seeds['nalu_ig', 'add'][0]['low'].item():.0f}" == "83"
    sums = outcomes("passo2024_nalu2mig_judged").query("model == 'nac' and task in ('div', 'sqrt')")
    assert (
        sums["best_step"].eq(0).all() and min(of_seeds["nac", task][0]["low"].item() for task in ("div", "sqrt")) > 98
    )
    errors = {}
    for sweep in ("input_size", "hidden_size"):
        summary = table_of(f"madsen2020_{sweep}", "summary").query("metric == 'relative_extrapolation'")
        numbers = summary["overrides"].str.extract(r"=\[?(\d+)")[0].astype(int)
        errors[sweep] = summary.assign(number=numbers).set_index(["model", "number"])["value"]
    inputs, hidden = (errors[sweep]["nmu"].sort_index() for sweep in ("input_size", "hidden_size"))
    assert inputs.is_monotonic_decreasing and (inputs.index[0], inputs.index[-1]) == (4, 300)
    assert (f"{inputs.iloc[0]:.0%}", f"{inputs.iloc[-1]:.2%}") == ("5%", "0.04%")
    assert errors["input_size"]["nalu"].max() > 1e9
    assert f"{hidden.iloc[0]:.1%}" == "0.1%" and hidden[hidden > 100].index.tolist() == [8, 9, 10]
    solved = outcomes("madsen2020_range").groupby(["model", "range"])["solved"].mean()
    assert solved[solved > 0].to_dict() == {("nmu", "mixed_2"): 0.92}
    few = outcomes("madsen2020_input_size").query("solved").groupby(["model", "overrides"]).size()
    assert set(few) == {1, 2, 3} and set(few.index.get_level_values("overrides")) == {
        *("protocol.inputs=10", "protocol.inputs=25")
    }
    assert not outcomes("madsen2020_overlap")["solved"].any()
    subset = outcomes("madsen2020_subset")
    assert set(subset["steps"]) == {5_000_000} and set(subset["seed"]) == set(range(6))
    counts = subset.groupby(["model", "overrides"])["solved"].sum().unstack()
    assert counts.columns.tolist() == [f"protocol.subset={share}" for share in (0.05, 0.1, 0.25, 0.5)]
    assert {model: list(row) for model, row in counts.iterrows()} == {
        **{"nmu": [6] * 4, "nac_sigma": [6, 6, 6, 0], "nac_nmu": [6, 6, 6, 0]},
        **{"nac_mul": [4, 5, 2, 0], "nalu": [1, 0, 0, 0]},
    }
    assert outcomes("madsen2020_gate")["solved"].sum() == 1


@needs_references
def test_the_order_of_figure_1_correlates_as_the_readme_says():
    orders = []
    for variant in ("rmsprop", "adam", "sgd", "uniform"):
        table = table_of(f"trask2018_figure1_{variant}", "comparison")
        ends = table[table["x"].abs() == 19.5].groupby("model")[["error", "published"]].mean().dropna()
        orders.append(ends.rank().corr().loc["error", "published"])
    assert f"between {min(orders):.2f} and {max(orders):.2f} at x" in RESULTS


@needs_references
def test_the_tutorials_give_what_the_readme_says():
    addition, multiplication = (
        outcomes(f"tutorial_{name}")["relative_extrapolation"] for name in ("addition", "multiplication")
    )
    assert len(addition) == len(multiplication) == 16
    assert f"{addition.median():.0e}" == "5e-05"
    assert f"{multiplication.median():.1e}" == "3.8e-05"
    assert f"{multiplication.min():.0e}" == "4e-07"


def test_each_reference_is_in_the_index_with_what_its_report_found():
    for report in sorted((ROOT / "results/reference").glob("*/REPORT.md")):
        name = report.parent.name
        if name not in ("smoke", "speed"):
            finding = report.read_text().split("## Finding\n\n")[1].split("\n\n")[0]
            (line,) = [line for line in RESULTS.splitlines() if f"({name}/REPORT.md) | **{name}**" in line]
            assert finding in line and f"+experiment={name}" in line


@needs_references
def test_the_readme_is_short_and_every_link_of_these_pages_leads_somewhere():
    assert len(README.splitlines()) <= 150
    pages = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("conf/*.md"), *ROOT.glob("benchmark/**/*.md")]
    for page in (*pages, ROOT / "results/reference/README.md"):
        for target in re.findall(r"""(?:\]\(|src=")(?!http)([^)#"]+)""", page.read_text()):
            assert (page.parent / target).exists(), (page, target)
