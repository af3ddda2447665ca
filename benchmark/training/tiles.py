"""How a request is cut into tiles of replicas that train together, and how such a tile is computed."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import Replica, architecture
from benchmark.errors import UsageError
from benchmark.training.cost import by_architecture, compiled, is_long, products, worth_a_gpu
from benchmark.training.eager import PAD
from benchmark.training.fused import build, gpu
from benchmark.training.fused.build import CannotBuild
from benchmark.training.fused.program import source
from benchmark.training.fused.trace import NotFusable
from benchmark.training.trial import check_program

TILE_NUMBERS = 1 << 21  # products W x of one step that an eager tile may hold
FUSED_TILE = 1 << 10  # replicas whose results are kept, and lost, together
TILE_SECONDS, LEAST = 300.0, 16  # a compiled tile takes no longer, so that all get a share, or has no more
GPU_TILE, GPU_NUMBERS = 1 << 14, 1 << 27  # replicas of a tile on a GPU, and products W x of one eager step there

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
    interrupted run has left half trained; they stay together. Raises UsageError where compiling is asked for and cannot
    be done, or a GPU and there is none.
    """
    whole = by_architecture(request or replicas)
    together = {replica for tile in begun for replica in tile}
    groups = by_architecture([replica for replica in replicas if replica not in together])
    shares = -(-workers // len(groups)) if groups else 1  # a group is split for idle workers only
    kinds = _definite(whole, engine)
    cut: list[Tile] = []
    for tile in begun:
        definite = kinds[architecture(tile[0])]
        cut.append((list(tile), replace(definite, tile=_size(tile, len(tile), definite))))
    for kind, unordered in groups.items():
        members = sorted(unordered, key=_sees)
        own = 1 if kinds[kind].device == "cuda" else shares
        size = _size(members, -(-len(members) // own), kinds[kind])
        whole_groups = kinds[kind].mode == "compiled" and kinds[kind].device == "cpu"
        cut += [(part, replace(kinds[kind], tile=size)) for part in _parts(members, size, whole_groups)]
    return sorted(cut, key=lambda tile: -_work(tile[0]))


def _sees(replica: Replica) -> tuple[int, str]:
    """What decides its inputs: on a CPU those that see the same, beside each other, have them drawn once."""
    return replica.data_seed, replica.cell.range


def _parts(members: list[Replica], size: int, whole_groups: bool) -> Iterator[list[Replica]]:
    """At most `size` at a time; whole_groups: a part may be a quarter smaller to end where shared inputs do."""
    first = [i for i, member in enumerate(members) if not i or _sees(member) != _sees(members[i - 1])]
    ends = {*first, len(members)} if whole_groups else set()
    start = 0
    while start < len(members):
        most = min(start + size, len(members))
        stop = next((at for at in range(most, most - size // 4 - 1, -1) if at in ends and at > start), most)
        yield members[start:stop]
        start = stop


def _definite(groups: dict[tuple, list[Replica]], engine: Engine) -> dict[tuple, Engine]:
    """How each architecture is computed: as asked for, or as its share of the request makes worth while."""
    if engine.device == "cuda" and not has_gpu():
        raise UsageError("engine.device=cuda needs a GPU that torch can use, and none is found; use cpu")
    long = {kind: is_long(members) for kind, members in groups.items()}
    wanted = [kind for kind in groups if engine.mode == "compiled" or (engine.mode == "auto" and long[kind])]
    devices = dict.fromkeys(groups, "cuda" if engine.device == "cuda" else "cpu")
    if engine.device == "auto" and has_gpu():
        pays = {kind: worth_a_gpu(members) if kind in wanted else long[kind] for kind, members in groups.items()}
        devices = {kind: "cuda" if pays[kind] else "cpu" for kind in groups}
        if broken := _broken("cuda", [kind for kind in wanted if devices[kind] == "cuda"]):
            warnings.warn(f"{broken}: the GPU is not used", stacklevel=2)
            devices |= dict.fromkeys(wanted, "cpu")
    refused: dict[tuple, str] = {}  # why not
    for device in ("cpu", "cuda"):
        own = [kind for kind in wanted if devices[kind] == device]
        if broken := _broken(device, own):
            refused |= dict.fromkeys(own, broken)
    for kind in (kind for kind in wanted if kind not in refused):
        cell = groups[kind][0].cell
        try:
            if cell.specification.model.foreign:
                check_program(cell, devices[kind])
            else:
                source(cell.specification, devices[kind])
        except (NotFusable, CannotBuild) as problem:
            refused[kind] = f"{cell.model} cannot be compiled, as {problem}"
    for reason in dict.fromkeys(refused.values()):
        if engine.mode == "compiled":
            raise UsageError(f"engine.mode=compiled: {reason}; use eager")
        warnings.warn(f"{reason}: training is eager, which takes some hundred times longer", stacklevel=2)
    fused = {kind for kind in wanted if kind not in refused}
    return {
        kind: replace(engine, mode="compiled" if kind in fused else "eager", device=devices[kind]) for kind in groups
    }


def _broken(device: str, wanted: list[tuple]) -> str:
    """Why nothing can be compiled for a device; "" if it can, or nothing is wanted."""
    try:
        if wanted:
            (gpu if device == "cuda" else build).check()
    except CannotBuild as problem:
        return str(problem)
    return ""


def has_gpu() -> bool:
    """Whether torch can use a GPU."""
    import torch

    return torch.cuda.is_available()


def _size(members: Sequence[Replica], share: int, engine: Engine) -> int:
    """Replicas of a tile; eager on a GPU it follows from the architecture alone, as one tile's bits from its size."""
    numbers = products(members[0].cell.specification)
    if engine.mode == "compiled":
        shared = max(LEAST, int(TILE_SECONDS / compiled(members[0].cell.specification, 1)))
        most = GPU_TILE if engine.device == "cuda" else min(FUSED_TILE, shared)
        parts = max(1, -(-share // most))  # of like size, so that no worker is left with a whole one at the end
        return engine.tile or max(1, -(-share // parts))
    if engine.device == "cuda":
        return padded_size(engine.tile or max(PAD, min(GPU_TILE, GPU_NUMBERS // numbers)))
    return padded_size(engine.tile or max(2 * PAD, min(960, share, TILE_NUMBERS // numbers)))


def _work(members: Sequence[Replica]) -> int:
    specification = members[0].cell.specification
    return len(members) * products(specification) * specification.protocol.steps


def padded_size(size: int) -> int:
    """Filled up to whole vectors."""
    return size + -size % PAD
