"""A module imports only from lower floors, and the command line's help needs nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "benchmark"
FLOORS = [
    {"exact"},
    {"errors", "conf_files", "streams", "names", "intervals", "plain", "__init__"},
    {"ranges", "recipe", "protocol", "optimizers", "units"},
    {"tasks", "models"},
    {"replicas"},
    {"networks", "data"},
    {"steps", "statistics", "agreement"},
    {"eager", "fused"},
    {"engine", "tiles"},
    {"configs", "store", "figures", "texts"},
    {"published", "workers"},
    {"run"},
    {"report", "compare", "representable", "speed"},
    {"__main__"},
]


def imported(path):
    """Names of this package's modules that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "benchmark":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


def name_of(path):
    """A module by its own name; those of a subpackage stand on one floor under the name of the subpackage."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_module_has_its_floor_and_imports_from_none_above():
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    modules = list(PACKAGE.rglob("*.py"))
    for path in modules:
        own = name_of(path)
        above = [name for name in imported(path) if floor[name] >= floor[own] and name != own]
        assert not above, f"{own} imports {above}, which lie no lower"
    assert {name_of(path) for path in modules} == set(floor)


def test_units_know_nothing_but_streams_and_exact_functions():
    for path in (PACKAGE / "units").glob("*.py"):
        assert set(imported(path)) <= {"units", "streams", "exact"}


def test_help_and_refusals_need_no_torch():
    code = (
        "import sys; sys.argv = ['benchmark', {!r}]\n"
        "import runpy\n"
        "try: runpy.run_module('benchmark', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(sorted({{'torch', 'pandas', 'seaborn'}} & set(sys.modules)))"
    )
    for argument in ("--help", "model=nlau"):
        output = subprocess.run(
            [sys.executable, "-c", code.format(argument)], capture_output=True, text=True, check=True
        )
        assert output.stdout.splitlines()[-1] == "[]"
