"""A class of one's own is known by what stands in its file, not by its name."""

import importlib
import linecache
import sys

import numpy as np
import pytest
import torch

from benchmark.asked.classes import source
from benchmark.asked.configs import compose
from benchmark.errors import UsageError

NET = """
from torch import nn
from parts import factor
from parts.base import Base
SCALE = 1.0
class Net(Base):
    def __init__(self, inputs, outputs, width=3):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)
    def forward(self, x):
        from parts import late
        return SCALE * factor.of * self.layer(x)
"""
FILES = {
    "mine.py": NET,
    "parts/factor.py": "of = 1.0\n",
    "parts/late.py": "of = 1.0\n",
    "parts/base.py": "from torch import nn\nclass Base(nn.Module):\n    pass\n",
    "parts/unused.py": "of = 1.0\n",
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write modules that are imported from an empty folder, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def files(**changed):
        for name, text in changed.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    yield files
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is None or str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


@pytest.mark.parametrize("edited", [name for name in FILES if name != "parts/unused.py"])
def test_the_source_is_that_of_the_class_of_what_it_inherits_and_of_what_it_imports(write, edited):
    write(**FILES)
    before = source(["mine.Net"])
    write(**{"parts/unused.py": "of = 2.0\n"})
    assert before == source(["mine.Net"])
    write(**{edited: FILES[edited] + "more = 1\n"})
    assert source(["mine.Net"]) not in (before, None)


def test_installed_packages_and_this_one_have_no_source():
    assert source(["torch.nn.Linear", "benchmark.units.NAC"]) is None


def test_a_file_that_was_edited_after_its_import_is_not_taken_for_what_was_imported(write):
    write(**FILES)
    before = source(["mine.Net"])
    write(**{"mine.py": NET.replace("SCALE *", "2 *")})
    with pytest.raises(UsageError, match="was edited after mine was imported"):
        source(["mine.Net"])
    importlib.reload(sys.modules["mine"])
    assert source(["mine.Net"]) != before


def test_of_a_notebook_counts_what_a_class_names_there(monkeypatch, write):
    write(**FILES)
    cell = "import mine\ndef half(x):\n    return SCALE * x / 2\n" + NET.replace("SCALE *", "half(1) *").replace(
        "class Net(", "class Gain:\n    of = 1.0\nclass Net(Gain, "
    )

    def run(text, scale=1.0):
        session = sys.modules["__main__"]
        linecache.cache["<cell>"] = len(text), None, text.splitlines(keepends=True), "<cell>"
        names = {"__name__": "__main__"}
        exec(compile(text, "<cell>", "exec"), names)
        for name, value in (names | {"SCALE": scale}).items():
            if not name.startswith("__"):
                monkeypatch.setattr(session, name, value, raising=False)
        return source(["__main__.Net"])

    first = run(cell)
    assert first == run(cell + "other = 1\n") == run("\n\n" + cell)
    others = {run(cell, 2.0), run(cell.replace("x / 2", "x / 3")), run(cell.replace("half(1)", "half(2)"))}
    assert len({first, run(cell.replace("of = 1.0", "of = 2.0"))} | others) == 5
    values = [[1.0], [2.0], {"of": [1.0]}, {"of": [2.0]}, {1.0, 2.0}, np.ones(1), np.zeros(1), torch.eye(2)]
    assert len({first, *(run(cell, value) for value in values)}) == 9
    write(**{"parts/base.py": FILES["parts/base.py"] + "more = 1\n"})
    assert run(cell) != first
    linecache.cache.pop("<cell>")
    with pytest.raises(UsageError, match="define it in a file"):
        source(["__main__.Net"])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mien.Net", "mien.Net: there is no module 'mien'"),
        ("mine.Nte", "did you mean Net?"),
        ("parts.factor.Net", "parts.factor has no class 'Net'"),
        ("broken.Net", "broken.Net cannot be imported: Unexpected ZeroDivisionError (broken.py, line 2)"),
        ("cut.Net", "cut.Net cannot be imported: Unexpected SyntaxError: '(' was never closed (cut.py, line 2)"),
        ("needy.Net", "No module named 'missing'"),
        ("leaving.Net", "leaving.Net cannot be imported: Unexpected SystemExit"),
        ("Net", "there is no module 'Net'"),
        (".mine.Net", "cannot be imported"),
    ],
)
def test_a_name_that_leads_to_no_class_is_refused_with_a_sentence(write, name, sentence):
    write(**FILES)
    write(**{"broken.py": "\n1 / 0\n", "needy.py": "import missing\n", "leaving.py": "raise SystemExit\n"})
    write(**{"cut.py": "\nprint(1\n"})
    with pytest.raises(UsageError) as refusal:
        source([name])
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def names(*models, overrides=()):
    return {cell.model: cell.specification.model for cell in compose([*models], ["mul"], overrides=overrides).cells}


def test_a_class_is_a_model_by_its_own_name_or_with_its_modules_where_another_has_it_too(write):
    other = NET.replace("class Net", "class nalu(Base): pass\nclass Net")
    write(**FILES, **{"other.py": other})
    models = names("mine.Net", "nac", overrides=["+model.Net.hidden=[2]"])
    assert {name: model.hidden for name, model in models.items()} == {"Net": [2], "nac": []}
    assert {*names("mine.Net", "other.Net", "other.nalu")} == {"mine_Net", "other_Net", "other_nalu"}
    assert names("mine.Net")["Net"].options == {"width": 3}
    assert names("mine.Net", overrides=["model.Net.options.width=8"])["Net"].options == {"width": 8}
    with pytest.raises(UsageError, match=r"model\.Net\.options\.wdth"):
        names("mine.Net", overrides=["model.Net.options.wdth=8"])
    with pytest.raises(UsageError, match="is no class but module"):
        names("parts.factor")


def test_the_python_entry_takes_classes_that_a_name_leads_to(write):
    write(**FILES)
    kind = importlib.import_module("mine").Net
    assert {*names(kind)} == {"Net"}
    with pytest.raises(UsageError, match="define it at the top of its module"):
        names(type("Other", (kind,), {"__qualname__": "test.<locals>.Other"}))
