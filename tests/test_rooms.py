"""A module imports only from its own room and from lower ones, and the command line's help needs nothing heavy."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "benchmark"
# From the bottom. Training keeps what it finished in results, which know nothing of how it came about.
ROOMS = ["asked", "units", "results", "training", "showing"]
EVERYBODYS = {"exact", "errors"}  # below the rooms
COMMANDS = {
    "layers", "trained", "reading", "run", "report", "compare", "rank", "verify", "representable", "speed", "__main__",
    "page", "ledger", "jobs", "__init__",
}  # fmt: skip
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__"): path
    for path in PACKAGE.rglob("*.py")
}


def imported(module):
    """The modules of this package that a module imports, also inside functions, as room/module."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, *parts = name.split(".")
            if package == "benchmark":
                yield next(path for end in (len(parts), -1) if (path := "/".join(parts[:end])) in MODULES)


def floor(module):
    """The number of a module's room."""
    room = module.split("/")[0]
    return -1 if room in EVERYBODYS else len(ROOMS) if room in COMMANDS else ROOMS.index(room)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_no_higher_room(module):
    assert not [other for other in imported(module) if floor(other) > floor(module)]


def test_no_module_imports_itself_in_a_circle():
    list(TopologicalSorter({module: set(imported(module)) for module in MODULES}).static_order())


def test_units_know_nothing_but_streams_and_exact_functions():
    others = {other for module in MODULES if module.startswith("units") for other in imported(module)}
    assert {other for other in others if not other.startswith("units")} <= {"asked/streams", "exact"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_belongs_in_it(room):
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))
    assert len([part for part in docstring.replace("\n", " ").split(". ") if part]) >= 2


def test_help_and_refusals_need_no_torch():
    code = (
        "import sys; sys.argv = ['benchmark', {!r}]\n"
        "import runpy\n"
        "try: runpy.run_module('benchmark', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({{'torch', 'pandas', 'matplotlib'}} & set(sys.modules)))"
    )
    for argument in ("--help", "model=nlau"):
        output = subprocess.run(
            [sys.executable, "-c", code.format(argument)], capture_output=True, text=True, check=True
        )
        assert output.stdout.splitlines()[-1] == "[]"
