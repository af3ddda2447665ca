"""From names and overrides to cells: Hydra's configuration, composed and resolved."""

import copy
import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.asked.checks import (
    HYDRA_ERRORS,
    Config,
    check_choices,
    check_names,
    check_shape,
    check_size,
    sentence,
)
from benchmark.asked.classes import class_name
from benchmark.asked.conf_files import CONF, GROUPS, VERSION_BASE, check_name, choices_of, published_tables
from benchmark.asked.models import Model
from benchmark.asked.protocol import Engine, Protocol
from benchmark.asked.ranges import Ranges
from benchmark.asked.replicas import Cell, Replica, Specification
from benchmark.asked.tasks import Task, check_precision
from benchmark.errors import UsageError, located, unknown

MOST = 1_000_000  # networks of a request
PROTOCOL = [f.name for f in dataclasses.fields(Protocol)]
NUMBERLESS = ("results", "published", "protocol.seeds", "protocol.first_seed")  # settings no number depends on


@dataclass
class Request:
    """What is asked for: cells × seeds, how to compute them, and the folder they go to."""

    cells: list[Cell]
    seeds: range
    engine: Engine
    results: Path
    published: str | None
    left_out: list[str] = field(default_factory=list)  # sentences about what was named and is not trained

    def replicas(self) -> list[Replica]:
        """Every seed of every cell."""
        return [Replica(cell, seed) for cell in self.cells for seed in self.seeds]

    def notes(self) -> list[str]:
        """Sentences about what is left out, and about regularizers that begin only after the run has ended."""
        late: dict[int, dict[str, None]] = {}
        for cell in self.cells:
            steps = cell.specification.protocol.steps
            for name, term in cell.specification.model.recipe.regularizers.items():
                if term.weight and not term.strength(steps - 1, steps):
                    late.setdefault(steps, {})[f"{name} of {cell.model} (from step {term.start:,.0f})"] = None
        return self.left_out + [
            f"{steps:,} steps end before these regularizers act: {', '.join(told)}" for steps, told in late.items()
        ]


def compose(
    models: str | type | Sequence[str | type] = (),
    tasks: Sequence[str] = (),
    ranges: Sequence[str] = (),
    protocol: str | None = None,
    experiment: str | None = None,
    results: str | Path | None = None,
    overrides: Sequence[str] = (),
) -> Request:
    """A request by names, as on the command line; what is not named is as there. A model may also be a class.

    >>> [cell.names for cell in compose(models=["nalu"], tasks=["mul"], ranges=["positive"]).cells]
    [('nalu', 'mul', 'positive', 'default', '')]
    """
    classes = class_name(models) if isinstance(models, str | type) else [*map(class_name, models)]
    named = {"model": classes, "task": tasks, "range": ranges, "protocol": protocol, "experiment": experiment}
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
        content = OmegaConf.to_container(known, resolve=True)
        check_shape(content)
        chosen = _without_changes_of_others(content, overrides)
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), chosen))
    except OmegaConfBaseException as error:
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
    given = canonical(overrides, cfg)
    cells = []
    left_out: dict[tuple[str, tuple[str, ...]], list[str]] = {}  # (a variant's settings, tasks) -> models
    for changed in config.protocol.varied(_settings("protocol", given, cfg)):
        protocol = _variant(config.protocol, changed) if changed else config.protocol
        check_names(config, protocol)
        told = {name: value for name, value in changed.items() if name not in ("models", "tasks")}
        spelled = given | {f"protocol.{name}": _spell(value) for name, value in told.items()}
        chosen = any(f"protocol.{name}" in given for name in told)
        for model in config.model:
            tasks = [task for task in config.task if _is_trained(config.protocol, protocol, model, task, chosen)]
            cells += _cells(config, protocol_name, protocol, model, tasks, spelled, cfg)
            if rest := tuple(task for task in config.task if task not in tasks):
                settings = ", ".join(f"{name}={_spell(value)}" for name, value in told.items())
                left_out.setdefault((settings, rest), []).append(model)
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
    asked = {key.partition("=")[0].lstrip("+") for key in overrides}
    if not {"model", "task"} & asked:  # who asks for an experiment alone asks for no more than it has
        left_out = {}
    sentences = _sentences(protocol_name, left_out, len(config.task))
    return Request(_once(cells), seeds, config.engine, folder, config.published, sentences)


def _sentences(protocol_name: str, left_out: Mapping[tuple[str, tuple[str, ...]], list[str]], tasks: int) -> list[str]:
    """What was asked for and is not trained, and why: a sentence, if there is anything."""
    told = []
    for (settings, missing), models in left_out.items():
        where = [] if len(missing) == tasks else [f"on {', '.join(missing)}"]
        told.append(" ".join([", ".join(models), *where, *([f"with {settings}"] if settings else [])]))
    return [f"{protocol_name} says who is trained on what, and leaves out: {'; '.join(told)}"] if told else []


def _is_known(protocol: Protocol, model: str) -> bool:
    """Whether a protocol that says who is trained on which task speaks of this model."""
    each = [variant.get("tasks") or {} for variant in protocol.variants]
    named = [protocol.models, *(models or {} for tasks in (protocol.tasks, *each) for models in tasks.values())]
    return any(model in models for models in named)


def _is_trained(whole: Protocol, protocol: Protocol, model: str, task: str, chosen: bool) -> bool:
    """Whether a protocol, or the variant of it that `protocol` is, trains a model on a task.

    One that it knows where it says so. One that it does not know always, but for variants which it has for some of its
    models alone, unless the variant was chosen by its settings.
    """
    named = protocol.tasks.get(task)
    if named is None or model in named:
        return True
    return not _is_known(whole, model) and (chosen or set(whole.tasks.get(task) or ()) <= set(named))


def restored(content: Mapping[str, Any]) -> Specification:
    """A specification from what `dataclasses.asdict` made of it; UsageError where that is none."""
    kinds = {"model": Model, "task": Task, "ranges": Ranges, "protocol": Protocol}
    try:
        merged = {name: OmegaConf.merge(OmegaConf.structured(kind), content[name]) for name, kind in kinds.items()}
        return Specification(**{name: OmegaConf.to_object(config) for name, config in merged.items()})  # type: ignore
    except (OmegaConfBaseException, KeyError) as error:
        raise UsageError(sentence(error)) from None


def _variant(protocol: Protocol, changed: Mapping[str, Any]) -> Protocol:
    """The protocol with what a variant changes, its values checked like any others."""
    try:
        content = dataclasses.asdict(protocol) | dict(changed) | {"variants": []}
        varied = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Protocol), content))
    except OmegaConfBaseException as error:
        raise UsageError(f"a variant of the protocol: {sentence(error)}") from None
    assert isinstance(varied, Protocol)
    return varied


def _once(cells: Sequence[Cell]) -> list[Cell]:
    """Each cell once; UsageError where one key would stand for two configurations."""
    known: dict[Cell, Cell] = {}
    for cell in cells:
        if known.setdefault(cell, cell).specification.digest != cell.specification.digest:
            names = " × ".join(filter(None, cell.names))
            raise UsageError(f"{names} means two variants of the protocol here; set more of what tells them apart")
    return list(known)


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


def _settings(prefix: str, given: Iterable[str], cfg: DictConfig) -> dict[str, Any]:
    """The values of the given keys under this one, by what is left of the key."""
    return {key.removeprefix(f"{prefix}."): _value(cfg, key) for key in given if key.startswith(f"{prefix}.")}


def _cells(
    config: Config,
    protocol_name: str,
    protocol: Protocol,
    model_name: str,
    tasks: Sequence[str],
    given: Mapping[str, str],
    cfg: DictConfig,
) -> list[Cell]:
    """A model on these tasks and every range. given: what the command line and the variant set, spelled."""
    cells = []
    model = config.model[model_name]
    own_settings = _settings(f"model.{model_name}", given, cfg)
    for task_name in tasks:
        task = config.task[task_name]
        changes = [protocol.models.get(model_name), protocol.tasks.get(task_name, {}).get(model_name)]
        if own := _own_rate(config.protocol, model_name, given, cfg):
            changes.append({"recipe": {"learning_rate": own}})
        trained = adapt(model_name, model, protocol, [*filter(None, changes)], own_settings)
        check_size(model_name, trained, task, protocol)
        for range_name, ranges in config.range.items():
            specification = Specification(trained, task, ranges, protocol)
            try:
                check_precision(specification.problem, protocol.dtype)
            except UsageError as error:
                raise UsageError(f"{task_name} on range {range_name}: {error}") from None
            own_names = {"model": model_name, "task": task_name, "range": range_name}
            text = ";".join(f"{k}={v}" for k, v in sorted(given.items()) if _concerns(k, own_names))
            cells.append(Cell(model_name, task_name, range_name, protocol_name, text, specification))
    return cells


def _own_rate(protocol: Protocol, model: str, given: Mapping[str, str], cfg: DictConfig) -> float | None:
    """The learning rate that a model brings which a protocol with models of its own does not know; else None."""
    if not protocol.tasks or _is_known(protocol, model) or "protocol.learning_rate" in given:
        return None
    return OmegaConf.select(cfg, f"model.{model}.recipe.learning_rate")


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
    except OmegaConfBaseException as error:
        raise UsageError(f"model.{name}: {sentence(error)}") from None
    assert isinstance(result, Model)
    return result


def _concerns(key: str, own: dict[str, str]) -> bool:
    """Whether an override enters the cell's digest: `model.nac.…` is no concern of nalu's."""
    group, _, rest = key.partition(".")
    return group not in own or rest == own[group] or rest.startswith(own[group] + ".")


def canonical(overrides: Iterable[str], cfg: DictConfig) -> dict[str, str]:
    """The overrides that decide numbers, key -> composed value in one spelling (2_000 and 2000 are the same)."""
    result = {}
    for override in overrides:
        key, _, text = override.partition("=")
        taken_away, key = key.startswith("~"), key.lstrip("+~").split("@")[0]
        if key in (*GROUPS, *NUMBERLESS) or key.startswith(("engine.", "hydra")):
            continue
        for own in [key] if taken_away else _leaves(key, text):
            top, _, name = own.partition(".")
            if (taken_away and top == "protocol" and name in PROTOCOL) or OmegaConf.is_missing(*_parent(cfg, own)):
                raise UsageError(f"{own} must have a value; write {own}=<value> or leave it out")
            result[own] = _spell(_value(cfg, own))
    return result


def _leaves(key: str, text: str) -> list[str]:
    """What is set where a mapping is written: key.name for each of its values; the key itself of anything else."""

    def under(path: str, value: Any) -> list[str]:
        if not isinstance(value, dict) or not value:
            return [path]
        return [leaf for name, inner in value.items() for leaf in under(f"{path}.{name}", inner)]

    return under(key, OverridesParser.create().parse_override(f"{key}={text}").value()) if "{" in text else [key]


def _parent(cfg: DictConfig, key: str) -> tuple[Any, str]:
    """The mapping that holds a key's value, and its name there."""
    path, _, name = key.rpartition(".")
    parent = OmegaConf.select(cfg, path) if path else cfg
    return (parent, name) if isinstance(parent, DictConfig) else (cfg, "")


def _value(cfg: DictConfig, key: str) -> Any:
    value = OmegaConf.select(cfg, key)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _spell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, list):
        return f"[{','.join(map(_spell, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{_spell(v)}' for k, v in sorted(value.items()))}}}"
    return json.dumps(value)
