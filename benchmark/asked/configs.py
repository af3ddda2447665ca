"""From names and overrides to cells: Hydra's configuration, composed and resolved."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.asked.checks import (
    HYDRA_ERRORS,
    Config,
    check_amount,
    check_choices,
    check_names,
    check_shape,
    check_size,
    made,
    sentence,
    without_others,
)
from benchmark.asked.classes import class_name
from benchmark.asked.conf_files import (
    CONF,
    VERSION_BASE,
    check_name,
    choices_of,
    groups_as_they_are,
    own_models,
    published_tables,
)
from benchmark.asked.effects import idle
from benchmark.asked.labels import concerns, label, repeated, settings, spell
from benchmark.asked.models import Model
from benchmark.asked.protocol import Engine, Protocol
from benchmark.asked.ranges import Ranges
from benchmark.asked.recipe import in_steps
from benchmark.asked.replicas import Cell, Replica, Specification
from benchmark.asked.tasks import Task, check_precision, threshold
from benchmark.errors import UsageError, located, short, unknown

MOST = 1_000_000  # networks of a request


@dataclass
class Request:
    """What is asked for: cells × seeds, how to compute them, and the folder they go to."""

    cells: list[Cell]
    seeds: range
    engine: Engine
    results: Path
    published: str | None
    told: list[str] = field(default_factory=list)  # sentences about what of it is not trained or decides nothing

    def replicas(self) -> list[Replica]:
        """Every seed of every cell."""
        return [Replica(cell, seed) for cell in self.cells for seed in self.seeds]

    def notes(self) -> list[str]:
        """Sentences about what is left out, and what does nothing, in these cells or in a run of this length."""
        late: dict[int, dict[str, None]] = {}
        for cell in self.cells:
            steps = cell.specification.protocol.steps
            for name, term in cell.specification.model.recipe.regularizers.items():
                if term.weight and not term.acts(steps):
                    late.setdefault(steps, {})[f"{name} of {cell.model} (from step {term.start:,.0f})"] = None
        told = [
            f"{steps:,} steps end before these regularizers act: {', '.join(names)}" for steps, names in late.items()
        ]
        for cell in self.cells:
            steps, restart = cell.specification.protocol.steps, cell.specification.model.recipe.restart
            if restart and in_steps(restart.after, steps) >= steps:
                told.append(f"{steps:,} steps end before {cell.model} could start anew (after {restart.after:,.0f})")
        solved: dict[int, dict[str, None]] = {}
        for cell in self.cells:
            if (rows := cell.specification.rows) is not None:
                solved.setdefault(rows, {})[cell.model] = None
        for rows, models in solved.items():
            told.append(f"Solved, not trained, on the first {rows:,} training examples: {', '.join(models)}")
        if (workers := self.engine.workers or 0) > (networks := len(self.cells) * len(self.seeds)):
            told.append(f"{networks} networks keep no more than {networks} of {workers} workers busy")
        return list(dict.fromkeys(self.told + told))


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
    many = {"models": models, "tasks": tasks, "ranges": ranges, "overrides": overrides}
    chosen = {name: _texts(name, value) for name, value in many.items()}
    arguments = [f"{name[:-1]}=[{','.join(chosen[name])}]" for name in ("models", "tasks", "ranges") if many[name]]
    for name, value in (("protocol", protocol), ("experiment", experiment)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{name} ({short(value)}) must be a name")
        arguments += [f"{name}={value}"] if value else []
    arguments += groups_as_they_are(chosen["overrides"])
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
    request = resolve(cfg, cfg.hydra.runtime, arguments)
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


def _texts(name: str, value: Any) -> list[str]:
    """One text or several as a list, classes by their names; UsageError for anything else."""
    values = [value] if isinstance(value, str | type) else list(value) if isinstance(value, Iterable) else [value]
    if isinstance(value, Mapping) or not all(isinstance(one, str | type) for one in values):
        raise UsageError(f"{name} ({short(value)}) must be a list of texts")
    return [class_name(one) for one in values]


def resolve(cfg: DictConfig, runtime: Any, overrides: Iterable[str], stood: str = "") -> Request:
    """The request of a composed configuration; UsageError with one sentence for whatever is wrong in it.

    runtime: Hydra's, with the options of the groups that it composed, and where it found them. overrides: the command
    line's `key=value`. stood: where its writer stood, from where relative paths lead; here, if empty.
    """
    overrides, choices = list(overrides), runtime.choices
    folders = [source.path for source in runtime.config_sources if source.schema == "file"]
    try:
        known = OmegaConf.create({name: cfg[name] for name in cfg if name != "hydra"})
        check_amount(known)
        content = OmegaConf.to_container(known, resolve=True)
        check_shape(content)
        own = own_models([str(choices.get("experiment"))], folders)
        chosen = without_others(_without_changes_of_others(content, overrides), overrides, own)
    except OmegaConfBaseException as error:
        raise UsageError(sentence(error)) from None
    config: Config = made("", chosen, Config)
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
    cells: list[Cell] = []
    adapted: dict[str, Model] = {}  # a model trained alike on several tasks or in several variants is one
    left_out: dict[tuple[str, tuple[str, ...]], list[str]] = {}  # (a variant's settings, tasks) -> models
    varied = config.protocol.varied(_under("protocol", given))
    protocols = [_variant(config.protocol, changed) if changed else config.protocol for changed in varied]
    for variant in config.protocol.variants:
        if variant not in varied:  # what is not trained is looked at, too
            _variant(config.protocol, variant)
    for changed, protocol in zip(varied, protocols, strict=True):
        check_names(config, protocol, own)
        changes = {name: getattr(protocol, name) for name in changed if name not in ("models", "tasks", "ranges")}
        whole = given | {f"protocol.{name}": value for name, value in changes.items()}
        chosen = any(f"protocol.{name}" in given for name in changes)
        ranges = _ranges(config.protocol, protocol, config.range)
        for model in config.model:
            tasks = [task for task in config.task if _is_trained(config.protocol, protocol, model, task, chosen)]
            cells += _cells(config, protocol_name, protocol, model, tasks, ranges, whole, cfg, adapted)
            if rest := tuple(task for task in config.task if task not in tasks):
                told = ", ".join(f"{name}={spell(value)}" for name, value in changes.items())
                left_out.setdefault((told, rest), []).append(model)
    if not cells:
        raise UsageError(f"Protocol {protocol_name} trains none of this; it has {_own(config.protocol)}")
    results = f"results/{experiment or protocol_name}" if config.results is None else config.results
    folder = located("results", results, stood)
    first = config.protocol.first_seed
    seeds = range(first, first + config.protocol.seeds)
    if len(cells) * len(seeds) > MOST:
        raise UsageError(f"{len(cells):,} cells × {len(seeds):,} seeds are more than {MOST:,} networks; ask for fewer")
    asked = {key.partition("=")[0].lstrip("+") for key in overrides}
    trained = {cell.names[:2] for cell in cells}
    left_out = {  # in one variant, or in all; who asks for an experiment alone asks for no more than it has
        (told, rest): missing
        for (told, rest), models in (left_out.items() if {"model", "task"} & asked else ())
        if (missing := [m for m in models if (told and "model" in asked) or {(m, t) for t in rest} - trained])
    }
    cells, alike = _distinct(cells)
    where = {cell.names[1:3] for cell in cells}
    apart = [f"{task} on {name}" for task in config.task for name in config.range if (task, name) not in where]
    excluded = _sentences(protocol_name, left_out, len(config.task))
    if apart and "range" in asked:
        excluded.append(f"{protocol_name} has its own ranges for each task, and leaves out: {', '.join(apart)}")
    notes = [*repeated(overrides), *idle(given, cells), *excluded, *alike]
    return Request(cells, seeds, config.engine, folder, config.published, notes)


def _sentences(protocol_name: str, left_out: Mapping[tuple[str, tuple[str, ...]], list[str]], tasks: int) -> list[str]:
    """What was asked for and is not trained, and why: a sentence, if there is anything."""
    told = []
    for (own, missing), models in left_out.items():
        where = [] if len(missing) == tasks else [f"on {', '.join(missing)}"]
        told.append(" ".join([", ".join(models), *where, *([f"with {own}"] if own else [])]))
    return [f"{protocol_name} says who is trained on what, and leaves out: {'; '.join(told)}"] if told else []


def _own(protocol: Protocol) -> str:
    """Who is trained on what, as the protocol says, in words."""
    told = []
    for variant in protocol.variants or [{}]:
        ranges = variant.get("ranges") or protocol.ranges
        where = f" on {' '.join(ranges)}" if ranges else ""
        for task, models in (variant.get("tasks") or protocol.tasks).items():
            if models:
                told.append(f"{task} with {' '.join(map(str, models))}{where}")
    return ", ".join(dict.fromkeys(told))


def _is_known(protocol: Protocol, model: str) -> bool:
    """Whether a protocol that says who is trained on which task speaks of this model."""
    each = [variant.get("tasks") or {} for variant in protocol.variants]
    named = [protocol.models, *(models or {} for tasks in (protocol.tasks, *each) for models in tasks.values())]
    return any(model in models for models in named)


def _is_trained(whole: Protocol, protocol: Protocol, model: str, task: str, chosen: bool) -> bool:
    """Whether a protocol, or the variant of it that `protocol` is, trains a model on a task.

    One that it knows where it says so. One that it does not know wherever it trains any, but for variants which it has
    for some of its models alone, unless the variant was chosen by its settings.
    """
    named = protocol.tasks.get(task)
    if named is None or model in named:
        return True
    return bool(named) and not _is_known(whole, model) and (chosen or set(whole.tasks.get(task) or ()) <= set(named))


def _ranges(whole: Protocol, protocol: Protocol, ranges: Iterable[str]) -> list[str]:
    """On which of these ranges a protocol, or the variant of it that `protocol` is, trains."""
    named = {name for variant in whole.variants for name in variant.get("ranges") or ()}
    own = protocol.ranges
    return [name for name in ranges if not own or name in own or (named and name not in named)]


def restored(content: Mapping[str, Any]) -> Specification:
    """A specification from what `dataclasses.asdict` made of it; UsageError where that is none."""
    kinds = {"model": Model, "task": Task, "ranges": Ranges, "protocol": Protocol}
    if missing := kinds.keys() - content:
        raise UsageError(f"{', '.join(sorted(missing))} is missing")
    return Specification(**{name: made(name, content[name], kind) for name, kind in kinds.items()})


def _variant(protocol: Protocol, changed: Mapping[str, Any]) -> Protocol:
    """The protocol with what a variant changes, its values checked like any others."""
    content = dataclasses.asdict(protocol) | dict(changed) | {"variants": []}
    varied: Protocol = made("protocol.variants", content, Protocol)
    return varied


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


def _cells(
    config: Config,
    protocol_name: str,
    protocol: Protocol,
    model_name: str,
    tasks: Sequence[str],
    ranges: Sequence[str],
    given: Mapping[str, Any],
    cfg: DictConfig,
    adapted: dict[str, Model],
) -> list[Cell]:
    """A model on these tasks and ranges. given: what the command line and the variant set.

    adapted: models as they are trained, by all that `adapt` makes them of.
    """
    cells = []
    model = config.model[model_name]
    own_settings = _under(f"model.{model_name}", given)
    for task_name in tasks:
        task = config.task[task_name]
        changes = [protocol.models.get(model_name), protocol.tasks.get(task_name, {}).get(model_name)]
        if own := _own_rate(config.protocol, model_name, given, cfg):
            changes.append({"recipe": {"learning_rate": own}})
        changes.append(_for_all(given, model_name, task_name, model, protocol))
        changes = [*filter(None, changes)]
        key = repr((model_name, protocol.learning_rate, protocol.hidden, changes))
        trained = adapted.get(key) or adapt(model_name, model, protocol, changes, own_settings)
        adapted[key] = trained
        check_size(model_name, trained, task, protocol)
        for range_name in ranges:
            specification = Specification(trained, task, config.range[range_name], protocol)
            try:
                check_precision(specification.problem, protocol.dtype)
                threshold(specification.problem, protocol.epsilon, protocol.threshold)
            except UsageError as error:
                raise UsageError(f"{task_name} on range {range_name}: {error}") from None
            text = label(given, model_name, task_name, range_name)
            cells.append(Cell(model_name, task_name, range_name, protocol_name, text, specification))
    return cells


def _own_rate(protocol: Protocol, model: str, given: Mapping[str, Any], cfg: DictConfig) -> float | None:
    """The learning rate that a model brings which a protocol with models of its own does not know; else None."""
    if not protocol.tasks or _is_known(protocol, model) or "protocol.learning_rate" in given:
        return None
    return OmegaConf.select(cfg, f"model.{model}.recipe.learning_rate")


def _for_all(given: Mapping[str, Any], name: str, task: str, model: Model, protocol: Protocol) -> dict[str, Any]:
    """What is asked for every model, as a change of this one: it wins over what a protocol has for one model, but not
    where that is asked for, too. A model that is solved takes none of it.
    """
    specific = ("protocol.models.", "protocol.tasks.")
    own = [key for key in given if key.startswith(specific) and concerns(key, name, task, "")]
    of_all = lambda key: given.get(f"protocol.{key}") is not None and not any(one.endswith(f".{key}") for one in own)
    if model.recipe.rows is not None:
        return {}
    changes: dict[str, Any] = {"recipe": {"learning_rate": protocol.learning_rate}} if of_all("learning_rate") else {}
    return changes | ({"hidden": protocol.hidden} if of_all("hidden") else {})


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping and what stands over it: its values are the ones, or within mappings theirs."""
    both = {key for key, value in above.items() if isinstance(value, dict) and isinstance(below.get(key), dict)}
    return {**below, **{key: _over(below[key], value) if key in both else value for key, value in above.items()}}


def adapt(name: str, model: Model, protocol: Protocol, changes: Sequence[Any], given: Mapping[str, Any]) -> Model:
    """The model as it is trained: its own configuration, the protocol's over it, and the command line's over both.

    changes: what the protocol changes of this model, the last one having the last word. given: what the command line
    sets of it, dotted key -> value.
    """
    if protocol.learning_rate is None and protocol.hidden is None and not changes and not given:
        return model
    own: Any = dataclasses.asdict(model)
    if protocol.learning_rate is not None:
        own["recipe"]["learning_rate"] = protocol.learning_rate
    if protocol.hidden is not None:
        own["hidden"] = protocol.hidden
    for change in changes:
        if not isinstance(change, dict):
            raise UsageError(f"model.{name} ({short(change)}) must be a mapping, such as {{}}")
        own = _over(own, change)
    if given:
        try:
            adapted = OmegaConf.create(own)
            for key, value in given.items():
                OmegaConf.update(adapted, key, value)
            own = OmegaConf.to_container(adapted)
        except OmegaConfBaseException as error:
            raise UsageError(f"model.{name}: {sentence(error)}") from None
    result: Model = made(f"model.{name}", own, Model)
    if result.recipe.rows is not None and not any("hidden" in change for change in (given, *changes)):
        result.hidden = model.hidden  # what is solved is one layer
    return result
