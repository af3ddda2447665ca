"""How a request is cut into tiles of replicas that train as one program, and how such a program is computed."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from benchmark.compiling import has_compiler, has_gpu
from benchmark.errors import UsageError
from benchmark.protocol import Engine, Protocol
from benchmark.replicas import Replica, Specification, architecture

PAD = 32  # replicas a tile is filled up to a multiple of: the widest vector loop has no scalar tail, which rounds apart
TILE_NUMBERS = 1 << 21  # products W x of one step that a tile may hold
USUAL_SEEDS = 25  # the default protocol's
WORTH_COMPILING = 30.0  # seconds of eager training that a compilation, 6 to 25 s, has to replace
DATA_NUMBERS = 1 << 18  # inputs generated at once
GPU_TILE, GPU_NUMBERS = 1 << 14, 1 << 27  # replicas of a tile on a GPU, and products W x of one step there
CACHED_NUMBERS = 1 << 19  # inputs of one step that stay in a processor's cache

Tile = tuple[list[Replica], Engine]  # the replicas, and how they are trained


def tiles(
    replicas: Sequence[Replica],
    engine: Engine,
    workers: int,
    request: Sequence[Replica] | None = None,
    begun: Sequence[Sequence[Replica]] = (),
) -> list[Tile]:
    """Replicas grouped by architecture and cut into tiles, the most work first, each with its engine made definite.

    request: all replicas that were asked for, where `replicas` are those that are missing: what is compiled follows
    from the request, so that a run that goes on computes what an uninterrupted one would have. begun: tiles that an
    interrupted run has left half trained; they stay together. Raises UsageError where compiling is asked for and no C++
    compiler is found, or a GPU and there is none.
    """
    whole = _by_architecture(request or replicas)
    together = {replica for tile in begun for replica in tile}
    groups = _by_architecture([replica for replica in replicas if replica not in together])
    shares = -(-workers // len(groups)) if groups else 1  # a group is split for idle workers only: small tiles are slow
    kinds = {kind: _definite(members, engine) for kind, members in whole.items()}
    cut: list[Tile] = []
    for tile in begun:
        definite = kinds[architecture(tile[0])]
        cut.append((list(tile), replace(definite, tile=_size(tile, len(tile), definite))))
    for kind, members in groups.items():
        size = _size(members, -(-len(members) // shares), kinds[kind])
        cut += [(members[i : i + size], replace(kinds[kind], tile=size)) for i in range(0, len(members), size)]
    return sorted(cut, key=lambda tile: -_work(tile[0]))


def _definite(members: Sequence[Replica], engine: Engine) -> Engine:
    """How an architecture is computed: as asked for, or as its share of the request makes worth while."""
    specification = members[0].cell.specification
    # Measured: an eager step takes 0.6 ms at least, or 4 µs and 3.5 ns a product for each replica, a compiled one an
    # eighth. More seeds than usual count for nothing: 100 seeds after 25 are trained as those were.
    cells = len({replica.cell for replica in members})
    usual = cells * min(len(members) // cells, USUAL_SEEDS)
    step = max(6e-4, usual * (4e-6 + 3.5e-9 * _numbers(specification)))
    long = step * specification.protocol.steps > WORTH_COMPILING
    compiled = engine.mode == "compiled" or (engine.mode == "auto" and long)
    if compiled and not has_compiler():
        if engine.mode == "compiled":
            raise UsageError("engine.mode=compiled needs a C++ compiler (g++ or clang++), and none is found; use eager")
        warnings.warn("no C++ compiler (g++ or clang++) is found: training takes some eight times longer", stacklevel=2)
        compiled = False
    if engine.device == "cuda" and not has_gpu():
        raise UsageError("engine.device=cuda needs a GPU that torch can use, and none is found; use cpu")
    gpu = engine.device == "cuda" or (engine.device == "auto" and long and has_gpu())
    return replace(engine, mode="compiled" if compiled else "eager", device="cuda" if gpu else "cpu")


def _size(members: Sequence[Replica], share: int, engine: Engine) -> int:
    """Replicas of a tile; on a GPU it depends on nothing but the architecture, as one tile's bits on its size."""
    numbers = _numbers(members[0].cell.specification)
    if engine.device == "cuda":
        return padded_size(engine.tile or max(PAD, min(GPU_TILE, GPU_NUMBERS // numbers)))
    if engine.tile:
        return padded_size(engine.tile)
    if engine.mode == "compiled":
        return _compiled_size(members, share)
    return padded_size(max(2 * PAD, min(960, share, TILE_NUMBERS // numbers)))


def _work(members: Sequence[Replica]) -> int:
    specification = members[0].cell.specification
    return len(members) * _numbers(specification) * specification.protocol.steps


def _by_architecture(replicas: Sequence[Replica]) -> dict[tuple, list[Replica]]:
    groups: dict[tuple, list[Replica]] = {}
    for replica in replicas:
        groups.setdefault(architecture(replica), []).append(replica)
    return groups


def padded_size(size: int) -> int:
    """Filled up to whole vectors."""
    return size + -size % PAD


def _numbers(specification: Specification) -> int:
    """Products of weights and inputs in one step of a replica."""
    sizes = [specification.problem.inputs, *specification.hidden, 1]
    return sum(a * b for a, b in pairwise(sizes)) * specification.protocol.batch


def _compiled_size(members: Sequence[Replica], share: int) -> int:
    """Replicas that a step's working set keeps in the cache, such that the last tile wastes the least."""
    specification = members[0].cell.specification
    data = specification.problem.inputs * specification.protocol.batch
    most = min(256, padded_size(share), TILE_NUMBERS // _numbers(specification), CACHED_NUMBERS // data)
    most = max(PAD, most - most % PAD)
    sizes = range(min(2 * PAD, most), most + 1, PAD)
    return min(sizes, key=lambda size: (-(-len(members) // size) * size, -size))


def steps_per_call(specification: Specification, width: int, engine: Engine) -> int:
    """Training steps in one compiled call: a call costs 0.1 ms. They divide what lies between two evaluations."""
    products = width * _numbers(specification)
    wanted = engine.steps_per_call or (1 if products > 1 << 20 else 4 if products > 1 << 13 else 16)
    return math.gcd(wanted, _between_evaluations(specification.protocol))


def steps_drawn(protocol: Protocol, numbers: int, per_call: int) -> int:
    """Steps whose data, `numbers` a step, is made at once; so many divide what lies between two evaluations."""
    calls = _between_evaluations(protocol) // per_call
    most = max(1, min(32, DATA_NUMBERS // numbers) // per_call)
    return per_call * max(count for count in range(1, most + 1) if calls % count == 0)


def _between_evaluations(protocol: Protocol) -> int:
    return math.gcd(*(end - begin for begin, end in pairwise(protocol.evaluated_steps)))
