"""`python -m benchmark.page [FOLDERS]`: results as one HTML page to explore, which needs no network."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmark import ledger
from benchmark.errors import Parser, UsageError, guarded, outlet, say, to_stderr
from benchmark.results.references import REFERENCES, references
from benchmark.results.statistics import TABLES
from benchmark.results.tables import check_together, read_table, table_path, write_text
from benchmark.showing.names import natural

REFERENCE = Path("results/reference")
FIRST = "headline"  # what the page opens with, where it is among them
LARGE = 15 << 20  # bytes


def found(folders: Sequence[Path]) -> list[Path]:
    """The results folders among these and right below them; UsageError where one is not there or holds none."""
    results: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"There is no results folder {folder}")
        below = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: natural(path.name))
        own = [path for path in (folder, *below) if table_path(path, "summary").is_file()]
        if not own:
            raise UsageError(f"{folder} holds no results: neither a summary.csv nor folders with one")
        results += own
    return list(dict.fromkeys(path.resolve() for path in results))


def named(folders: Sequence[Path]) -> dict[str, Path]:
    """The folders by as much of the ends of their paths as tells them apart."""
    deepest = max(len(folder.parts) for folder in folders)
    for depth in range(1, deepest + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return dict(sorted(zip(names, folders, strict=True), key=lambda item: (item[0] != FIRST, natural(item[0]))))


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """A results folder's tables by name, those that it holds; UsageError where they do not belong together."""
    paths = {name: table_path(folder, name) for name in TABLES}
    found = {name: read_table(path, TABLES[name]) for name, path in paths.items() if path.is_file()}
    check_together(folder, found)
    if "summary" in found and found["summary"].empty:
        raise UsageError(f"{paths['summary']} holds no row; there is nothing to show")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 where there is nothing to show."""
    parser = Parser(
        prog="python -m benchmark.page",
        description="Write one HTML file in which results are explored. It opens from disk and needs no network.",
    )
    parser.add_argument(
        "FOLDERS", nargs="*", type=Path, default=[REFERENCE],
        help=f"results folders, or folders of them (default: all in {REFERENCE})",
    )  # fmt: skip
    parser.add_argument("--output", default="results/page.html", metavar="FILE", help="(%(default)s)")
    options = parser.parse_args(arguments)
    return guarded(lambda: _page(options.FOLDERS, options.output))


def _page(folders: Sequence[Path], name: str) -> int:
    from benchmark.showing.page import document

    output = outlet("--output", name, is_file=True)
    shown = found(folders)
    results = {name: tables(folder) for name, folder in named(shown).items()}
    ours = {(REFERENCES / name).resolve() for name in references()} <= {*shown} and ledger.is_whole()
    page = document(results, ledger.html(ledger.lines()) if ours else "")
    write_text(output, page)
    size = len(page.encode())
    if size > LARGE:
        to_stderr(f"note: {output} is larger than {LARGE >> 20} MiB; name fewer folders for one that opens faster")
    many = f"{len(results)} results" if len(results) > 1 else next(iter(results))
    say(f"{output}: {many}, {size / 2**20:.1f} MiB; open it in a browser")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
