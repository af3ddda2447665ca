"""Can a neural network that learned + − × ÷ square √ on one range of numbers compute it outside that range?

In a notebook: `from benchmark.run import run`, `results = run(models=["nalu"], tasks=["mul"])`, `results.figures()`;
and `benchmark.results("headline").summary` for what is there already. `notebook.ipynb` here shows more.
The rooms of the package, each importing only from those before it: `asked`, `units`, `results`, `training`, `showing`.
Their docstrings say what belongs in them; here lie the commands, and `exact` and `errors` for everybody.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmark import results

if TYPE_CHECKING:
    from benchmark.reading import Reading

# What pip knows it by -> what Python imports it as.
NEEDED = {
    **{name: name for name in ("torch", "pandas", "seaborn", "matplotlib", "numpy", "scipy", "tqdm", "tabulate")},
    **{"hydra-core": "hydra", "omegaconf": "omegaconf", "jinja2": "jinja2", "filelock": "filelock"},
}


def _missing() -> str:
    """What has to be installed first, and by which command; "" if nothing."""
    lacking = [name for name, module in NEEDED.items() if find_spec(module) is None]
    clone = Path(__file__).resolve().parent.parent
    what = f"-e {clone}" if (clone / "pyproject.toml").is_file() else " ".join(lacking)
    told = f"The benchmark needs {', '.join(lacking)}, which this Python has not got; run: "
    return f"{told}{sys.executable} -m pip install {what}" if lacking else ""


# What Python calls a module until it has found it: this is `python -m benchmark` or one of the others.
_is_command = sys.argv[:1] == ["-m"]
if _told := _missing():
    if _is_command:
        raise SystemExit(_told)
    raise ModuleNotFoundError(_told)


def _end(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """Ctrl-C ends a command in a word, also while it loads what it needs."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nInterrupted.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if _is_command:
    sys.excepthook = _end


class _Room(ModuleType):
    """The room `results`, which called also hands out results."""

    def __call__(self, source: Any) -> "Reading":
        """The results of a reference or of a folder as data frames; see `reading.opened`."""
        from benchmark.reading import opened  # pandas, for whoever calls it

        return opened(source)


results.__class__ = _Room  # type: ignore[assignment]
