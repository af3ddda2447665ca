"""One run and its identity: model × task × range × protocol × overrides × seed, and a digest of all that decides it."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from benchmark.asked.classes import source
from benchmark.asked.models import Model
from benchmark.asked.protocol import Protocol
from benchmark.asked.ranges import Grid, Ranges
from benchmark.asked.tasks import Problem, Task, pose, together

SEMANTICS = 2  # raised whenever the same configuration would give other numbers
UNDECISIVE = ("seeds", "first_seed", "models", "tasks", "ranges", "variants")  # of a protocol
TRAINED = "trained range"  # of an option: see `Specification.layers`
CELL = ["model", "task", "range", "protocol", "overrides"]
KEY = [*CELL, "seed"]


@dataclass
class Specification:
    """All that decides a cell's numbers, resolved."""

    model: Model
    task: Task
    ranges: Ranges
    protocol: Protocol

    @cached_property
    def digest(self) -> str:
        """64 bits over the specification without its names and its choice of seeds, the semantics and users' code."""
        protocol = replace(self.protocol, models={}, tasks={}, ranges=[], variants=[])  # which take long
        bare = replace(self, protocol=protocol)
        content = [SEMANTICS, decisive(asdict(bare)), *([self.source] if self.source else [])]
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def source(self) -> str | None:
        """A digest of the code of its classes that are the user's, see `classes.source`."""
        return source(self.model.foreign)

    @cached_property
    def problem(self) -> Problem:
        """What the network is trained and judged on."""
        protocol = self.protocol
        return pose(self.task, self.ranges, protocol.inputs, protocol.subset, protocol.overlap, protocol.spans)

    @cached_property
    def trained(self) -> str:
        """The network and how it is trained, but for what is summed, in words: what replicas of one program share."""
        content = decisive({"protocol": asdict(self.protocol), "model": asdict(self.model)})
        for name in ("subset", "overlap", "spans"):
            content["protocol"].pop(name, None)
        return repr((content, self.layers))

    @property
    def layers(self) -> list[tuple[str, dict[str, Any]]]:
        """Class and options of each layer.

        An option that is "trained range" becomes [lowest, highest] training input in the first layer, whose inputs have
        one; later layers are made without it.
        """
        model = self.model
        hidden = (model.hidden_unit or model.unit, model.hidden_options if model.hidden_unit else model.options)
        first, *later = [hidden] * len(model.hidden) + [(model.unit, model.options)]
        ends = [end for hull in self.problem.trained_hulls for end in hull] if TRAINED in first[1].values() else []
        own = {key: [min(ends), max(ends)] if value == TRAINED else value for key, value in first[1].items()}
        rest = [(name, {key: value for key, value in each.items() if value != TRAINED}) for name, each in later]
        return [(first[0], own), *rest]

    @property
    def rows(self) -> int | None:
        """Training examples on which a model that is solved is solved; None for one that is trained."""
        most, protocol = self.model.recipe.rows, self.protocol
        return most and min(most, protocol.samples or protocol.batch * protocol.steps)

    @property
    def hidden(self) -> list[int]:
        """The sizes of the layers before the output."""
        return self.model.hidden


def decisive(content: dict[str, Any]) -> dict[str, Any]:
    """What numbers depend on in a specification that was made a mapping."""
    protocol = {name: value for name, value in content["protocol"].items() if name not in UNDECISIVE}
    options = {name: _floats(content["model"][name]) for name in ("options", "hidden_options")}
    return _given(content | {"protocol": protocol, "model": content["model"] | options})


def _given(content: Any) -> Any:
    """Without what is None: a setting that did not exist yet is the same as one that is not set."""
    if isinstance(content, dict):
        return {key: _given(value) for key, value in content.items() if value is not None}
    return content + 0.0 if isinstance(content, float) else content  # -0.0 is 0.0


def _floats(content: Any) -> Any:
    """With equal numbers alike; what needs a whole number refuses any other (see `networks.build`)."""
    if isinstance(content, dict):
        return {key: _floats(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_floats(value) for value in content]
    if isinstance(content, int) and not isinstance(content, bool) and abs(content) < 2**53:
        return float(content)
    return int(content) if isinstance(content, float) and content.is_integer() and abs(content) >= 2**53 else content


@dataclass(frozen=True)
class Cell:
    """Everything of a key but the seed; the specification travels along."""

    model: str
    task: str
    range: str
    protocol: str
    overrides: str
    specification: Specification = field(compare=False, repr=False)

    @property
    def names(self) -> tuple[str, str, str, str, str]:
        """The key's columns without the seed."""
        return (self.model, self.task, self.range, self.protocol, self.overrides)


@dataclass(frozen=True)
class Replica:
    """One seed of a cell."""

    cell: Cell
    seed: int

    @property
    def key(self) -> tuple[str, str, str, str, str, int]:
        """The key's columns."""
        return (*self.cell.names, self.seed)

    @property
    def data_seed(self) -> int:
        """The seed of its training data and subsets: the protocol's for everybody, or its own."""
        shared = self.cell.specification.protocol.data_seed
        return self.seed if shared is None else shared


def architecture(replica: Replica) -> tuple:
    """What replicas that train in one tile have in common: all but the task, its range and its operands."""
    cell, problem = replica.cell, replica.cell.specification.problem
    grid = isinstance(problem.interpolation, Grid) or isinstance(problem.extrapolation, Grid)
    form = problem.inputs, problem.subsets is None, problem.has_plane, cell.range if grid else ""
    return cell.model, cell.specification.trained, *form, tuple(together(problem.operation))
