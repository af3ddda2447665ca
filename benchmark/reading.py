"""`benchmark.results("headline")`: the results of a reference or of any folder, as data frames."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.asked.replicas import CELL
from benchmark.errors import UsageError, short, unknown
from benchmark.results import statistics
from benchmark.results.references import REFERENCES, citation, references
from benchmark.results.tables import read_table, table_path


class Files(Mapping[str, pd.DataFrame]):
    """The tables of a folder by name, each read when it is first asked for."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._names = sorted({path.name.partition(".csv")[0] for path in folder.glob("[!.]*.csv*") if path.is_file()})
        self._read: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._read:
            columns = getattr(statistics, name.upper(), CELL)
            self._read[name] = read_table(table_path(self.folder, name), columns)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass
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

    @property
    def citation(self) -> str:
        """A line on what to cite for these results."""
        return citation(self.summary["protocol"].unique())

    def __repr__(self) -> str:
        return f"{type(self).__name__} of {self.folder}: {', '.join(self.tables)}. To cite: {self.citation}"


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
