"""The references that come with the package, by name: where they lie, and whose protocols they follow."""

from collections.abc import Iterable
from functools import cache

from benchmark.asked.conf_files import CONF
from benchmark.results.shards import benchmark_version
from benchmark.results.tables import read_table, table_path

REFERENCES = CONF.parent / "results" / "reference"
DEFAULT = "headline"  # what the default protocol's reference is called
# What a protocol's name begins with -> where it was published.
PAPERS = {
    "trask2018": "Trask, Hill, Reed, Rae, Dyer & Blunsom (2018), Neural Arithmetic Logic Units, NeurIPS, "
    "arXiv:1808.00508",
    "madsen2020": "Madsen & Johansen (2020), Neural Arithmetic Units, ICLR, arXiv:2001.05016",
    "schloer2020": "Schlör, Ring & Hotho (2020), iNALU: Improved Neural Arithmetic Logic Unit, Frontiers in "
    "Artificial Intelligence 3, arXiv:2003.07629",
    "curry2025": "Curry (2025), The Domain Mixed Unit: A New Neural Arithmetic Layer, arXiv:2509.08180",
    "dujardin2025": "DuJardin (2025), Hill Space is All You Need, preprint and repository justindujardin/hillspace",
    "passo2024": "Passo et al. (2024), NALU2MIG (recalled)",
    "heim2020": "Heim, Pevný & Šmídl (2020), Neural Power Units, NeurIPS, arXiv:2006.01681",
    "hoedt2021": "Hoedt, Kratzert, Klotz, Halmich, Holzleitner, Nearing, Hochreiter & Klambauer (2021), MC-LSTM: "
    "Mass-Conserving LSTM, ICML, arXiv:2101.05186",
    "sahoo2018": "Sahoo, Lampert & Martius (2018), Learning Equations for Extrapolation and Control, ICML",
    "mistry2022_division": "Mistry, Farrahi & Hare (2021), Learning Division with Neural Arithmetic Logic Modules, "
    "arXiv:2110.05177",
    "mistry2022": "Mistry, Farrahi & Hare (2022), A Primer for Neural Arithmetic Logic Modules, Journal of Machine "
    "Learning Research 23 (185), arXiv:2101.09530",
}


@cache
def references() -> tuple[str, ...]:
    """The names of the references of results.

    >>> "headline" in references(), "speed" in references()
    (True, False)
    """
    folders = REFERENCES.iterdir() if REFERENCES.is_dir() else []
    return tuple(sorted(folder.name for folder in folders if table_path(folder, "summary").is_file()))


def reference_of(protocol: str) -> str | None:
    """The reference of a protocol, whatever its budget: that of the experiment with its name.

    >>> reference_of("madsen2020_simple/quick"), reference_of("default"), reference_of("mine")
    ('madsen2020_simple', 'headline', None)
    """
    name = DEFAULT if protocol == "default" else protocol.partition("/")[0]
    return name if name in references() else None


@cache
def models_of_references() -> frozenset[str]:
    """The models that have results in some reference."""
    tables = [read_table(table_path(REFERENCES / name, "summary"), ["model"]) for name in references()]
    return frozenset(model for table in tables for model in table["model"])


def citation(protocols: Iterable[str]) -> str:
    """A line on what to cite for results under these protocols: this benchmark, and who published the protocols.

    >>> citation(["madsen2020_simple/paper"]).partition("; ")[2]
    'protocol: Madsen & Johansen (2020), Neural Arithmetic Units, ICLR, arXiv:2001.05016'
    """
    heads = [max((name for name in PAPERS if one.startswith(name)), key=len, default="") for one in protocols]
    own = f"Arithmetic extrapolation benchmark, version {benchmark_version()}"
    return "; ".join([own, *(f"protocol: {PAPERS[head]}" for head in sorted({*heads} - {""}))])
