"""From names and overrides to cells: Hydra's configuration, composed and resolved."""

import copy
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from benchmark.asked.checks import (
    HYDRA_ERRORS,
    UNFIT,
    Config,
    check_amount,
    check_choices,
    check_names,
    check_shape,
    check_size,
    sentence,
)
from benchmark.asked.conf_files import CONF, VERSION_BASE, check_name, choices_of, published_tables
from benchmark.asked.effects import idle
from benchmark.asked.labels import label, repeated, settings
from benchmark.asked.models import Model
from benchmark.asked.protocol import Engine, Protocol
from benchmark.asked.recipe import in_steps
from benchmark.asked.replicas import Cell, Replica, Specification
from benchmark.asked.tasks import check_precision
from benchmark.errors import UsageError, located, unknown

MOST = 1_000_000  # networks of a request


@dataclass
class Request:
    """What is asked for: cells × seeds, how to compute them, and the folder they go to."""

    cells: list[Cell]
    seeds: range
    engine: Engine
    results: Path
    published: str | None
    told: list[str] = field(default_factory=list)  # sentences about what of the request decides nothing

    def replicas(self) -> list[Replica]:
        """Every seed of every cell."""
        return [Replica(cell, seed) for cell in self.cells for seed in self.seeds]

    def notes(self) -> list[str]:
        """Sentences about what is asked for and does nothing, in these cells or in a run of this length."""
        late: dict[int, dict[str, None]] = {}
        for cell in self.cells:
            steps = cell.specification.protocol.steps
            for name, term in cell.specification.model.recipe.regularizers.items():
                if term.weight and not term.strength(steps - 1, steps):
                    late.setdefault(steps, {})[f"{name} of {cell.model} (from step {term.start:,.0f})"] = None
        told = [
            f"{steps:,} steps end before these regularizers act: {', '.join(names)}" for steps, names in late.items()
        ]
        for cell in self.cells:
            steps, restart = cell.specification.protocol.steps, cell.specification.model.recipe.restart
            if restart and in_steps(restart.after, steps) >= steps:
                told.append(f"{steps:,} steps end before {cell.model} could start anew (after {restart.after:,.0f})")
        if (workers := self.engine.workers or 0) > (networks := len(self.cells) * len(self.seeds)):
            told.append(f"{networks} networks keep no more than {networks} of {workers} workers busy")
        return list(dict.fromkeys(self.told + told))


def compose(
    models: Sequence[str] = (),
    tasks: Sequence[str] = (),
    ranges: Sequence[str] = (),
    protocol: str | None = None,
    experiment: str | None = None,
    results: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Request:
    """A request by names, as on the command line; what is not named is as there.

    >>> [cell.names for cell in compose(models=["nalu"], tasks=["mul"], ranges=["positive"]).cells]
    [('nalu', 'mul', 'positive', 'default', '')]
    """
    named = {"model": models, "task": tasks, "range": ranges, "protocol": protocol, "experiment": experiment}
    arguments = [f"{group}={_listed(value)}" for group, value in named.items() if value] + list(overrides)
    check_choices(arguments)
    with initialize_config_dir(str(CONF), **VERSION_BASE):
        try:
            try:
                cfg = hydra_compose("config", overrides=arguments, return_hydra_config=True)
            except HYDRA_ERRORS as error:
                arguments = instead(arguments, error)
                cfg = hydra_compose("config", overrides=arguments, return_hydra_config=True)
        except Exception as error:
            raise UsageError(sentence(error)) from error
    request = resolve(cfg, cfg.hydra.runtime.choices, arguments)
    return request if results is None else dataclasses.replace(request, results=located("results", results))


def instead(arguments: Sequence[str], error: Exception) -> list[str]:
    """The arguments with one that cannot be merged, a law where there are intervals, taking the place of what is there.

    Raises the error where that is not what is wrong.
    """
    found = re.search(r"Error merging override (.+)", str(error))
    told = [argument for argument in arguments if found and argument == found[1].strip()]
    if len(told) != 1 or "Cannot merge" not in f"{error} {error.__cause__}":
        raise error
    key = told[0].partition("=")[0].lstrip("+")
    return [own for a in arguments for own in ([f"~{key}", f"+{key}={a.partition('=')[2]}"] if a == told[0] else [a])]


def _listed(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else f"[{','.join(value)}]"


def resolve(cfg: DictConfig, choices: Any, overrides: Iterable[str], stood: str = "") -> Request:
    """The request of a composed configuration; UsageError with one sentence for whatever is wrong in it.

    choices: the options of the groups that Hydra composed. overrides: the command line's `key=value`. stood: where its
    writer stood, from where relative paths lead; here, if empty.
    """
    overrides = list(overrides)
    try:
        known = OmegaConf.create({name: cfg[name] for name in cfg if name != "hydra"})
        check_amount(known)
        content = OmegaConf.to_container(known, resolve=True)
        check_shape(content)
        chosen = _without_changes_of_others(content, overrides)
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), chosen))
    except UNFIT as error:
        raise UsageError(sentence(error)) from None
    assert isinstance(config, Config)
    for group in ("model", "task", "range"):
        if not getattr(config, group):
            raise UsageError(f"Choose a {group}: {group}=<one or [several] of {', '.join(choices_of(group))}>")
    comparable = published_tables("metric", "x", "prediction")
    if config.published is not None and config.published not in comparable:
        raise unknown("published table to stand beside results", config.published, comparable)
    experiment = choices.get("experiment")
    protocol_name = choices.get("protocol") or _of_a_list(experiment)
    for group, name in (("protocol", protocol_name), ("experiment", experiment)):
        for part in name.split("/") if name else ():
            check_name(f"a {group}", part)
    given = settings(overrides, cfg, dataclasses.asdict(config))
    cells = []
    for changed in config.protocol.varied(_under("protocol", given)):
        protocol = _variant(config.protocol, changed) if changed else config.protocol
        check_names(config, protocol)
        own = {f"protocol.{name}": getattr(protocol, name) for name in changed if name not in ("models", "tasks")}
        cells += _cells(config, protocol_name, protocol, given | own)
    if not cells:
        its_own = {task: models for task, models in config.protocol.tasks.items() if models}
        published = ", ".join(f"{task} with {' '.join(map(str, models))}" for task, models in its_own.items())
        raise UsageError(f"Protocol {protocol_name} trains none of these models on these tasks; it has {published}")
    results = f"results/{experiment or protocol_name}" if config.results is None else config.results
    folder = located("results", results, stood)
    first = config.protocol.first_seed
    seeds = range(first, first + config.protocol.seeds)
    if len(cells) * len(seeds) > MOST:
        raise UsageError(f"{len(cells):,} cells × {len(seeds):,} seeds are more than {MOST:,} networks; ask for fewer")
    cells, alike = _distinct(cells)
    notes = [*repeated(overrides), *idle(given, cells), *_left_out(config, protocol_name, cells, overrides), *alike]
    return Request(cells, seeds, config.engine, folder, config.published, notes)


def _variant(protocol: Protocol, changed: Mapping[str, Any]) -> Protocol:
    """The protocol with what a variant changes, its values checked like any others."""
    try:
        content = dataclasses.asdict(protocol) | dict(changed) | {"variants": []}
        varied = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Protocol), content))
    except UNFIT as error:
        raise UsageError(f"a variant of the protocol: {sentence(error)}") from None
    assert isinstance(varied, Protocol)
    return varied


def _left_out(config: Config, protocol: str, cells: Sequence[Cell], overrides: Sequence[str]) -> list[str]:
    """A sentence about the models and tasks that were named and that the protocol does not train together."""
    named = any(override.partition("=")[0].lstrip("+") in ("model", "task") for override in overrides)
    trained = {(cell.model, cell.task) for cell in cells}
    lacking = [pair for pair in product(config.model, config.task) if pair not in trained] if named else []
    by_task = {task: [model for model, other in lacking if other == task] for _, task in lacking}
    told = "; ".join(f"{', '.join(models)} on {task}" for task, models in by_task.items())
    return [f"protocol {protocol} does not train {told}"] if told else []


def _distinct(cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """Each configuration once, and a sentence for each cell that another variant of the protocol is the same as.

    UsageError where one key would stand for two configurations.
    """
    digests: dict[Cell, str] = {}
    first: dict[tuple, Cell] = {}
    notes = []
    for cell in cells:
        names, digest = " × ".join(cell.names[:3]), cell.specification.digest
        if digests.setdefault(cell, digest) != digest:
            told = " × ".join(filter(None, cell.names))
            raise UsageError(f"{told} means two variants of the protocol here; set more of what tells them apart")
        if first.setdefault((names, digest), cell) is not cell:
            notes.append(f"two variants of the protocol are the same for {names}, which is trained once")
    return list(first.values()), notes


def _without_changes_of_others(content: Any, overrides: Iterable[str]) -> Any:
    """Without what an experiment changes of tasks that the command line left out: they have no operation."""
    if isinstance(tasks := content.get("task"), dict):
        spelled = {key.lstrip("+~").split(".")[1] for key in overrides if key.lstrip("+~").startswith("task.")}
        left_out = {name for name in choices_of("task") if "operation" not in (tasks.get(name) or {})} - spelled
        content["task"] = {name: task for name, task in tasks.items() if name not in left_out}
    return content


def _of_a_list(experiment: str | None) -> str:
    """The protocol that an experiment names in a list: its own, as published.

    Where a protocol has budgets, a list it must be, for Hydra 1.4 reads `a/b` as an option of another group; and which
    one it was Hydra does not tell.
    """
    own = f"{experiment}/paper"
    if own not in choices_of("protocol"):
        raise UsageError(f"Say which protocol: protocol=<one of {', '.join(choices_of('protocol'))}>")
    return own


def _under(prefix: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under this key, by what is left of theirs."""
    return {key.removeprefix(f"{prefix}."): value for key, value in given.items() if key.startswith(f"{prefix}.")}


def _cells(config: Config, protocol_name: str, protocol: Protocol, given: Mapping[str, Any]) -> list[Cell]:
    """Every model × task × range under one protocol. given: what the command line and the variant set."""
    cells = []
    for model_name, model in config.model.items():
        own_settings = _under(f"model.{model_name}", given)
        for task_name, task in config.task.items():
            if model_name not in protocol.tasks.get(task_name, config.model):
                continue
            changes = [protocol.models.get(model_name), protocol.tasks.get(task_name, {}).get(model_name)]
            trained = adapt(model_name, model, protocol, [*filter(None, changes)], own_settings)
            check_size(model_name, trained, task, protocol)
            for range_name, ranges in config.range.items():
                specification = Specification(trained, task, ranges, protocol)
                try:
                    check_precision(specification.problem, protocol.dtype)
                except UsageError as error:
                    raise UsageError(f"{task_name} on range {range_name}: {error}") from None
                text = label(given, model_name, task_name, range_name)
                cells.append(Cell(model_name, task_name, range_name, protocol_name, text, specification))
    return cells


def adapt(name: str, model: Model, protocol: Protocol, changes: Sequence[Any], given: Mapping[str, Any]) -> Model:
    """The model as it is trained: its own configuration, the protocol's over it, and the command line's over both.

    changes: what the protocol changes of this model, the last one having the last word. given: what the command line
    sets of it, dotted key -> value.
    """
    adapted = OmegaConf.structured(copy.deepcopy(model))
    try:
        if protocol.learning_rate is not None:
            adapted.recipe.learning_rate = protocol.learning_rate
        if protocol.hidden is not None:
            adapted.hidden = protocol.hidden
        adapted = OmegaConf.merge(adapted, *changes)
        for key, value in given.items():
            OmegaConf.update(adapted, key, value)
        result = OmegaConf.to_object(adapted)
    except UNFIT as error:
        raise UsageError(f"model.{name}: {sentence(error)}") from None
    assert isinstance(result, Model)
    return result
