"""How long training takes, roughly and without loading torch: what is compiled and shared out follows from it."""

from collections.abc import Sequence
from itertools import pairwise

from benchmark.asked.replicas import Replica, Specification, architecture

USUAL_SEEDS = 25  # the default protocol's
WORTH_COMPILING = 1.5  # seconds of eager training that a compilation, 0.5 to 3 s, has to replace
COMPILATION = 5.0  # seconds of one core that it takes, tracing included, or more for large networks
WORTH_A_GPU = 5.0  # seconds of compiled training on one core; a GPU needs two to start and to compile
WORTH_WORKERS = 3.0  # seconds of training for which worker processes, that load torch anew, are started


def products(specification: Specification) -> int:
    """Products of weights and inputs in one step of a replica."""
    sizes = [specification.problem.inputs, *specification.hidden, specification.problem.outputs]
    return sum(a * b for a, b in pairwise(sizes)) * specification.protocol.batch


def by_architecture(replicas: Sequence[Replica]) -> dict[tuple, list[Replica]]:
    """What may train in one tile."""
    groups: dict[tuple, list[Replica]] = {}
    for replica in replicas:
        groups.setdefault(architecture(replica), []).append(replica)
    return groups


def is_long(members: Sequence[Replica]) -> bool:
    """Whether eager training of an architecture takes long enough to compile it."""
    # More seeds than usual count for nothing: 100 seeds after 25 are trained as those were.
    cells = len({replica.cell for replica in members})
    return _eager(members[0].cell.specification, cells * min(len(members) // cells, USUAL_SEEDS)) > WORTH_COMPILING


def _eager(specification: Specification, replicas: int) -> float:
    """Measured: an eager step takes 0.6 ms at least, or 4 µs and 3.5 ns a product for each replica."""
    return max(6e-4, replicas * (4e-6 + 3.5e-9 * products(specification))) * specification.protocol.steps


def worth_a_gpu(members: Sequence[Replica]) -> bool:
    """Whether compiled training of an architecture takes long enough for a GPU."""
    return compiled(members[0].cell.specification, len(members)) > WORTH_A_GPU


def compiled(specification: Specification, replicas: int) -> float:
    """Of one core. Measured: a compiled step takes 0.8 µs and 0.4 ns a product."""
    return replicas * (8e-7 + 4e-10 * products(specification)) * specification.protocol.steps


def to_compile(replicas: Sequence[Replica]) -> float:
    """Seconds of one core until their programs are there, where none was compiled before."""
    return COMPILATION * sum(map(is_long, by_architecture(replicas).values()))


def seconds(replicas: Sequence[Replica]) -> float:
    """Of one core."""
    total = 0.0
    for members in by_architecture(replicas).values():
        specification = members[0].cell.specification
        total += (compiled if is_long(members) else _eager)(specification, len(members))
    return total
