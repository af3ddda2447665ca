"""Is the repository light? At most 30 MiB of tracked files, of which results/reference 22.

`--thin` makes the references so: of their figures those that say most (of answers where one shows them all), in few
colours, which are all that REPORT.md then shows, and large tables gzipped by zopfli (`pip install zopfli`), a seventh
smaller than by zlib. `python -m benchmark.report FOLDER` draws the others again.
"""

import gzip
import re
import subprocess
import sys
from pathlib import Path

from benchmark.results.tables import table_path

ROOT = Path(__file__).resolve().parent.parent
LIMITS = {"": 30, "results/reference/": 22}  # MiB
LARGE = 20_000  # bytes of a table
COLOURS = 128  # of a picture
SHOWN = re.compile(  # of many pages three
    r"summary|opening|success(?!_by)|(success_by_setting|initialisation)(?!-[4-9])|agreement|representable|error_by_input"
)


def thin(folder: Path) -> None:
    """Keep of a folder of results what is committed of it."""
    import zopfli.gzip
    from PIL import Image

    from benchmark import report  # which takes seconds to load
    from benchmark.results import statistics

    drawn = [*(folder / "figures").glob("*")]
    answers = [path for path in drawn if path.stem.startswith("responses")]
    for path in drawn:
        if path.suffix != ".png" or (not SHOWN.match(path.stem) and [path] != answers):
            path.unlink()
    for path in (*folder.glob("*.png"), *(folder / "figures").glob("*.png")):
        image = Image.open(path)
        if image.mode != "P":
            image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    for path in folder.glob("*.csv*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if len(content) > LARGE and path.name.partition(".")[0] in statistics.TABLES:
            path.unlink()
            path.with_name(f"{path.name.removesuffix('.gz')}.gz").write_bytes(zopfli.gzip.compress(content))
    if (folder / "REPORT.md").is_file() and table_path(folder, "cells").is_file():
        (folder / "REPORT.md").write_text(report.text(folder, report.tables(folder)[0]))


def main() -> None:
    """Exit with a sentence where it is not."""
    if "--thin" in sys.argv:
        for folder in sorted((ROOT / "results/reference").iterdir()):
            if folder.is_dir():
                thin(folder)
        return
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    tracked = {name: (ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).is_file()}
    for part, limit in LIMITS.items():
        size = sum(bytes_ for name, bytes_ in tracked.items() if name.startswith(part)) / (1 << 20)
        if size > limit:
            sys.exit(f"{part or 'the repository'} holds {size:.1f} MiB of tracked files, at most {limit} are allowed")
        print(f"{part or 'all'}: {size:.1f} of {limit} MiB")


if __name__ == "__main__":
    main()
