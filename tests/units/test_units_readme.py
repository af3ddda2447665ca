"""The table of units says what they declare and what the reference measured; run as a script, this file writes it."""

import re
from pathlib import Path

import pandas as pd

from benchmark.asked.classes import found
from benchmark.asked.conf_files import choices_of, members_of
from benchmark.asked.configs import compose
from benchmark.asked.tasks import OPERATIONS
from benchmark.results.tables import table_path
from benchmark.showing.names import TASKS as NAMES

ROOT = Path(__file__).parents[2]
README, BIBLIOGRAPHY = ROOT / "benchmark/units/README.md", ROOT / "benchmark/units/references.bib"
MARKS = {"positive": "+", "negative": "−", "mixed": "±"}
ROW = re.compile(r"^(\| `(\w+)` \|.*? \|.*? \|).*$", re.MULTILINE)
TASKS = {task: name for task, name in NAMES.items() if task in OPERATIONS}


def declared(models):
    """What each model of one layer can represent, by name."""
    told = {}
    for cell in compose(models, ["add"], ["positive"]).cells:
        *_, (name, options) = cell.specification.layers
        unit, parts = found(name), []
        for task, label in TASKS.items():
            signs = ["positive"] if task == "sqrt" else list(MARKS)
            ideal = {sign: unit(OPERATIONS[task].operands, 1, **options).ideal(task, sign) for sign in signs}
            can = [MARKS[sign] for sign, weights in ideal.items() if isinstance(weights, dict)]
            if can or None in ideal.values():
                which = "" if len(can) == len(signs) else f" ({' '.join(can)})" if can else " not known"
                parts.append(f"{label}{which}")
        known = [part for part in parts if not part.endswith("not known")]
        rest = [part.removesuffix(" not known") for part in parts if part.endswith("not known")]
        whole = "not known" if not known else f"not known: {', '.join(rest)}" if rest else ""
        told[cell.model] = "; ".join(filter(None, [", ".join(known), whole]))
    return told


def solved(models):
    """The success rates of the single-module task, by name."""
    table = pd.read_csv(table_path(ROOT / "results/reference/mistry2022_single_module", "summary"))
    rates = table[(table["metric"] == "success_rate") & table["overrides"].isna()]
    assert set(rates["seeds"]) == {100}
    told = {}
    for model in models:
        parts = []
        for task, label in TASKS.items():
            own = rates[(rates["model"] == model) & (rates["task"] == task)]["value"]
            if len(own):
                low, high = f"{100 * own.min():.0f}", f"{100 * own.max():.0f}"
                parts.append(f"{label} {own.mean():.0%}" + (f" ({low}–{high})" if low != high else ""))
        told[model] = ", ".join(parts) or "–"
    return told


def written(text):
    """The README with its last two columns as they should be."""
    models = [model for _, model in ROW.findall(text)]
    can, solves = declared(models), solved(models)
    return ROW.sub(lambda row: f"{row[1]} {can[row[2]]} | {solves[row[2]]} |", text)


def test_the_table_is_what_units_declare_and_the_reference_measured():
    text = README.read_text(encoding="utf-8")
    models = {name for name in choices_of("model") if not members_of("model", name) and not name.startswith("mlp_")}
    assert {model for _, model in ROW.findall(text)} == models
    assert written(text) == text


def test_every_source_is_in_the_bibliography_and_every_paper_has_a_unit():
    entries = re.findall(r"^@\w+\{(\w+),$", BIBLIOGRAPHY.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(entries) == len(set(entries))
    cited = re.findall(r"\d{4} `(\w+)`", README.read_text(encoding="utf-8"))
    assert set(cited) == set(entries) - {"arithmetic_extrapolation_benchmark"}


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
