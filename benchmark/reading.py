"""`benchmark.results("headline")`: the results of a reference or of any folder, as data frames."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.asked.classes import class_name
from benchmark.asked.replicas import CELL, KEY, SEMANTICS, Cell
from benchmark.errors import UsageError, short, unknown
from benchmark.results import statistics
from benchmark.results.references import REFERENCES, citation, references
from benchmark.results.tables import read_table, table_path

if TYPE_CHECKING:
    from benchmark.trained import Trained


class Files(Mapping[str, pd.DataFrame]):
    """The tables of a folder by name, each read when it is first asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        names = {path.name.partition(".csv")[0] for path in folder.glob("[!.]*.csv*") if path.is_file()}
        self._names = sorted(names & {*statistics.TABLES})
        self._read: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            self._read[name] = read_table(table_path(self.folder, name), statistics.TABLES[name])
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(repr=False)
class Reading:
    """The tables of a results folder by name."""

    folder: Path
    tables: Mapping[str, pd.DataFrame]

    def asked(self, name: str) -> pd.DataFrame:
        """A table; UsageError where the folder does not hold it."""
        if name not in self.tables:
            told = f"it holds {', '.join(self.tables) or 'no table'}"
            if self.folder.is_relative_to(REFERENCES):
                told += "; the package comes with the summaries of its references, and its repository with all of them"
            raise UsageError(f"{self.folder} holds no table {name}: {told}")
        return self.tables[name]

    @property
    def outcomes(self) -> pd.DataFrame:
        """One row for each replica."""
        return self.asked("outcomes")

    @property
    def summary(self) -> pd.DataFrame:
        """One row for each cell and metric."""
        return self.asked("summary")

    @property
    def cells(self) -> pd.DataFrame:
        """One row for each cell: effective ranges, threshold, whether the model can represent the task."""
        return self.asked("cells")

    def network(
        self,
        model: str | type | None = None,
        task: str | None = None,
        range: str | None = None,
        seed: int | None = None,
        protocol: str | None = None,
        overrides: str | None = None,
        config_dir: str | Path | None = None,
    ) -> "Trained":
        """A trained network at its selected step, as a torch module on rows: [..., inputs] -> [..., 1].

        What is not named must be the same in all rows that are left. model: its name in the tables; or a class of your
        own that it is of, or the importable name of one. The parameters are those in the folder's shards; where these
        are not there, as in a reference, the replica is trained anew (see `trained.of_row`). The configuration is the
        one of its name here, or in config_dir, a folder of your own yaml: nothing that results name is imported.

        Raises UsageError where there is no such row, more than one, or no configuration here that it is of.
        """
        from benchmark.trained import of_row

        classes = [] if model is None else [class_name(model)]
        wanted: dict[str, Any] = {"task": task, "range": range, "protocol": protocol, "overrides": overrides}
        rows = self.outcomes
        if classes:
            known = [classes[0].rpartition(".")[2], classes[0].replace(".", "_")]
            wanted = {"model": next((name for name in known[::-1] if name in set(rows["model"])), known[0])} | wanted
        for name, value in (wanted | {"seed": seed}).items():
            if value is not None:
                if not (rows[name] == value).any():
                    raise unknown(f"{name} in these rows", str(value), {str(one) for one in rows[name]})
                rows = rows[rows[name] == value]
        if several := [name for name in KEY if rows[name].nunique() > 1]:
            told = "; ".join(f"{name}: {', '.join(map(str, sorted(rows[name].unique())))}" for name in several)
            raise UsageError(f"{len(rows):,} networks are so called; say which ({told})")
        row = rows.iloc[0]
        names = tuple(row[CELL])
        cell = self.configured(rows, classes, config_dir).get(names)
        if cell is None or cell.specification.digest != row["digest"]:
            raise UsageError(f"{' × '.join(names[:3])} of {self.folder} cannot be built here: {self._why(names, cell)}")
        return of_row(row, cell, self.folder)

    def configured(
        self, rows: pd.DataFrame, models: Sequence[str], config_dir: str | Path | None = None
    ) -> dict[tuple, Cell]:
        """The cells of rows by their names, as the configuration here gives them, or classes of these names."""
        from benchmark.results.configured import cells_of

        return cells_of(rows, self.folder.resolve().name, models, config_dir)

    def _why(self, names: tuple, cell: Cell | None) -> str:
        """Why a cell's row is of no configuration here."""
        version = self.cells.set_index(CELL)["semantics"].to_dict().get(names, SEMANTICS)
        if version != SEMANTICS:
            return f"its numbers are of version {version} of the semantics, and this is version {SEMANTICS}"
        if cell is None:
            own = "name a class of your own as the model, or where your yaml lies as config_dir"
            return f"no configuration here gives it; {own}"
        return "the configuration of its name here is another one (its digest differs)"

    @property
    def citation(self) -> str:
        """A line on what to cite for these results."""
        return citation(self.summary["protocol"].unique())

    def figures(self, *kinds: str) -> None:
        """Show in a notebook what these tables look like: `figures("summary", "responses")`, or all there is.

        Raises UsageError elsewhere, or where there is no such figure.
        """
        from benchmark.showing.notebook import show

        show({name: self.asked(name) for name in self.tables}, kinds)

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__} of {self.folder}", *self._finding(), f"To cite: {self.citation}"])

    def _repr_html_(self) -> str:
        from benchmark.showing.texts import html

        return html(self._finding(), self.tables and self.summary)

    def _finding(self) -> list[str]:
        """What was found, in sentences, where there are the tables that say it; else what there is."""
        from benchmark.showing.findings import in_short

        if not {"outcomes", "cells"} <= set(self.tables):
            return [f"Tables: {', '.join(self.tables) or 'none'}"]
        return in_short(self.outcomes, self.cells)


def opened(source: str | Path) -> Reading:
    """The results in a folder, or those of a reference by its name; a folder of that name comes first.

    Raises UsageError where there is neither, or the folder holds no results. Tables are read when they are asked for.
    """
    if not isinstance(source, str | Path):
        raise UsageError(f"results ({short(source)}) must be a folder or the name of a reference")
    folder = Path(source)
    if not folder.is_dir():
        if folder.suffix or folder.parent != Path("."):
            raise UsageError(f"There is no results folder {folder}")
        if str(source) not in references():
            raise unknown("results folder or reference", str(source), references())
        folder = REFERENCES / folder
    reading = Reading(folder, Files(folder))
    if "summary" not in reading.tables:
        raise UsageError(f"{folder} holds no summary.csv; run the benchmark into it or name another results folder")
    return reading
