"""What a notebook shows below a cell: a bar of its own, figures, tables."""

import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.errors import UsageError, to_stderr, unknown


def is_here() -> bool:
    """Whether this process is a notebook's kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


def bar(total: int, shown: bool) -> Any:
    """A bar over replica-steps: the notebook's own in one, else the terminal's; silent without either."""
    kinds: dict[str, Any] = {"unit": " replica-steps", "unit_scale": True, "dynamic_ncols": True}
    if not shown or not is_here():
        from tqdm import tqdm

        return tqdm(total=total, disable=None if shown else True, **kinds)
    with warnings.catch_warnings():  # without ipywidgets it is one of text
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm as own
    return own(total=total, **kinds)


def show(tables: Mapping[str, pd.DataFrame], kinds: tuple[str, ...]) -> None:
    """Figures of tables, below the cell: those whose names begin with one of `kinds`, or all.

    Raises UsageError where this is no notebook, or no figure is so called; of one that would show nothing it is said.
    """
    from benchmark.showing import figures  # which takes a second to load, and few runs show any

    if not is_here():
        raise UsageError("Figures are shown in a notebook; python -m benchmark.report DIR draws them into files")
    from IPython.display import Image, display

    names, found = set(), set()
    with tempfile.TemporaryDirectory() as scratch:
        for stem, figure in figures.draw(dict(tables)):
            names.add(stem)
            wanted = {kind for kind in kinds if stem.startswith(kind)}
            if wanted or not kinds:
                found |= wanted
                (path,) = figures.save(figure, Path(scratch) / stem)
                display(Image(path.read_bytes(), width=round(72 * figure.get_figwidth()), alt=stem))
    for kind in (kind for kind in kinds if kind not in found):
        why = [
            sentence
            for sentence in figures.left_out(figures.drawings(dict(tables)))
            if sentence.startswith(f"No figure {kind}")
        ]
        if not why:
            raise unknown("figure", kind, names)
        to_stderr("\n".join(why))
