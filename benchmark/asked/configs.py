"""From names and overrides to cells: Hydra's configuration, checked and resolved."""

import copy
import dataclasses
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.asked.conf_files import CONF, GROUPS, VERSION_BASE, choices_of, published_tables
from benchmark.asked.models import Model
from benchmark.asked.protocol import Engine, Protocol
from benchmark.asked.ranges import Ranges
from benchmark.asked.recipe import Recipe, Regularizer, Restart, Turn
from benchmark.asked.replicas import Cell, Replica, Specification
from benchmark.asked.tasks import OPERATIONS, Task, check_precision
from benchmark.errors import UsageError, short, unknown


@dataclass
class Config:
    """The whole configuration of a job; `model`, `task` and `range` map a name to an object."""

    model: dict[str, Model] = field(default_factory=dict)
    task: dict[str, Task] = field(default_factory=dict)
    range: dict[str, Ranges] = field(default_factory=dict)
    protocol: Protocol = field(default_factory=Protocol)
    engine: Engine = field(default_factory=Engine)
    results: str | None = None
    published: str | None = None


HYDRA_ERRORS = (HydraException, OmegaConfBaseException)
MOST = 1_000_000  # networks of a request
PROTOCOL = [f.name for f in dataclasses.fields(Protocol)]
NUMBERLESS = ("results", "published", "protocol.seeds", "protocol.first_seed")  # settings no number depends on
CONFIGURED = (Config, Model, Recipe, Regularizer, Restart, Turn, Task, Ranges, Protocol, Engine)


@dataclass
class Request:
    """What is asked for: cells × seeds, how to compute them, and the folder they go to."""

    cells: list[Cell]
    seeds: range
    engine: Engine
    results: Path
    published: str | None

    def replicas(self) -> list[Replica]:
        """Every seed of every cell."""
        return [Replica(cell, seed) for cell in self.cells for seed in self.seeds]

    def notes(self) -> list[str]:
        """Sentences about regularizers that begin only after the run has ended."""
        late: dict[int, dict[str, None]] = {}
        for cell in self.cells:
            steps = cell.specification.protocol.steps
            for name, term in cell.specification.model.recipe.regularizers.items():
                if term.weight and not term.strength(steps - 1, steps):
                    late.setdefault(steps, {})[f"{name} of {cell.model} (from step {term.start:,.0f})"] = None
        return [f"{steps:,} steps end before these regularizers act: {', '.join(told)}" for steps, told in late.items()]


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
    return request if results is None else dataclasses.replace(request, results=Path(results))


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


def resolve(cfg: DictConfig, choices: Any, overrides: Iterable[str]) -> Request:
    """The request of a composed configuration; UsageError with one sentence for whatever is wrong in it.

    choices: the options of the groups that Hydra composed. overrides: the command line's `key=value`.
    """
    overrides = list(overrides)
    try:
        known = OmegaConf.create({name: cfg[name] for name in cfg if name != "hydra"})
        content = OmegaConf.to_container(known, resolve=True)
        _check_shape(content)
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
    protocol_name = choices.get("protocol") or _of_a_list(choices.get("experiment"))
    given = canonical(overrides, cfg)
    cells = []
    for changed in config.protocol.varied(_settings("protocol", given, cfg)):
        protocol = _variant(config.protocol, changed) if changed else config.protocol
        _check_names(config, protocol)
        told = {name: value for name, value in changed.items() if name not in ("models", "tasks")}
        spelled = given | {f"protocol.{name}": _spell(value) for name, value in told.items()}
        cells += _cells(config, protocol_name, protocol, spelled, cfg)
    if not cells:
        its_own = {task: models for task, models in config.protocol.tasks.items() if models}
        published = ", ".join(f"{task} with {' '.join(map(str, models))}" for task, models in its_own.items())
        raise UsageError(f"Protocol {protocol_name} trains none of these models on these tasks; it has {published}")
    folder = Path(config.results or Path("results") / (choices.get("experiment") or protocol_name))
    first = config.protocol.first_seed
    seeds = range(first, first + config.protocol.seeds)
    if len(cells) * len(seeds) > MOST:
        raise UsageError(f"{len(cells):,} cells × {len(seeds):,} seeds are more than {MOST:,} networks; ask for fewer")
    return Request(_once(cells), seeds, config.engine, folder, config.published)


def restored(content: Mapping[str, Any]) -> Specification:
    """A specification from what `dataclasses.asdict` made of it; UsageError where that is none."""
    kinds = {"model": Model, "task": Task, "ranges": Ranges, "protocol": Protocol}
    try:
        merged = {name: OmegaConf.merge(OmegaConf.structured(kind), content[name]) for name, kind in kinds.items()}
        return Specification(**{name: OmegaConf.to_object(config) for name, config in merged.items()})  # type: ignore
    except (OmegaConfBaseException, KeyError) as error:
        raise UsageError(sentence(error)) from None


def _check_shape(content: Any) -> None:
    """UsageError where something else stands in the place of a mapping, or nothing in that of a value."""
    for path in ("model", "task", "range", "protocol", "engine"):
        place = content.get(path)
        if place is None:
            raise UsageError(f"{path} is nothing; choose one or leave it out")
        named = place.items() if isinstance(place, dict) and path in ("model", "task", "range") else ()
        for name, value in [(path, place), *((f"{path}.{name}", inner) for name, inner in named)]:
            if not isinstance(value, dict):
                raise UsageError(f"{name} ({short(value)}) must be a mapping")


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
    config: Config, protocol_name: str, protocol: Protocol, given: Mapping[str, str], cfg: DictConfig
) -> list[Cell]:
    """Every model × task × range under one protocol. given: what the command line and the variant set, spelled."""
    cells = []
    for model_name, model in config.model.items():
        own_settings = _settings(f"model.{model_name}", given, cfg)
        for task_name, task in config.task.items():
            if model_name not in protocol.tasks.get(task_name, config.model):
                continue
            changes = [protocol.models.get(model_name), protocol.tasks.get(task_name, {}).get(model_name)]
            trained = adapt(model_name, model, protocol, [*filter(None, changes)], own_settings)
            _check_size(model_name, trained, task, protocol)
            for range_name, ranges in config.range.items():
                specification = Specification(trained, task, ranges, protocol)
                try:
                    check_precision(specification.problem, protocol.dtype)
                except UsageError as error:
                    raise UsageError(f"{task_name} on range {range_name}: {error}") from None
                own = {"model": model_name, "task": task_name, "range": range_name}
                text = ";".join(f"{k}={v}" for k, v in sorted(given.items()) if _concerns(k, own))
                cells.append(Cell(model_name, task_name, range_name, protocol_name, text, specification))
    return cells


def _check_size(name: str, model: Model, task: Task, protocol: Protocol) -> None:
    """UsageError where a step or an evaluation would not fit into memory, or a recipe speaks of what is not there."""
    inputs = protocol.inputs or OPERATIONS[task.operation].operands
    sizes = [inputs, *model.hidden, 1]
    weights = sum(a * b for a, b in pairwise(sizes))
    for what, size, most in (
        (f"the weights of {name}", weights, 1 << 20),
        (f"batch × the widest layer of {name}", protocol.batch * max(sizes), 1 << 24),
        ("evaluation_size × inputs", protocol.evaluation_size * inputs, 1 << 26),
    ):
        if size > most:
            raise UsageError(f"{what} ({size:,}) must be at most {most:,}")
    if model.recipe.separate and not model.recipe.regularizers:
        raise UsageError(f"{name} minimises its regularizers separately, and it has none; leave separate out")


def _check_names(config: Config, protocol: Protocol) -> None:
    """UsageError where the protocol speaks of models or tasks that there are not."""
    models, tasks = {*choices_of("model"), *config.model}, {*choices_of("task"), *config.task}
    for name in protocol.tasks:
        if name not in tasks:
            raise unknown("task", str(name), tasks)
    for name in (name for named in (protocol.models, *protocol.tasks.values()) for name in named or ()):
        if name not in models:
            raise unknown("model", str(name), models)


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


def sentence(error: BaseException) -> str:
    """Hydra's or OmegaConf's message, with its causes, as one line; a misspelled key with the nearest right ones."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        text = " ".join(
            line for line in lines if not re.match(r"(full_key|object_type|reference_type|See https?:)", line)
        )
        where = re.search(r"full_key: (\S+)", str(cause))
        key = re.search(r"Key '([^']+)' (?:is )?not in", text)
        if key:
            path = where[1] if where else key[1]
            vocabulary = {f.name for kind in CONFIGURED for f in dataclasses.fields(kind)}
            vocabulary |= {name for group in ("model", "task", "range") for name in choices_of(group)}
            if key[1] in vocabulary:
                return f"There is no key {path!r} here; if it is to be added, write +{path}=<value>"
            near = difflib.get_close_matches(key[1], sorted(vocabulary), n=3)
            return f"There is no key {path!r}" + (f" (did you mean {' or '.join(near)}?)" if near else "")
        if isinstance(cause, OverrideParseException):
            text = f"cannot read the argument {cause.override!r} ({text})"
        if where and where[1] not in text:
            text = f"{where[1]}: {text}"
        texts += [text] if text and not any(text in other for other in texts) else []
        cause = cause.__cause__
    return re.sub(r"\s+", " ", ": ".join(texts))


def check_choices(arguments: Iterable[str]) -> None:
    """Refuse a misspelled option of a group or a misspelled key, with the nearest right ones."""
    arguments = list(arguments)
    folders = [a.split("=", 1)[1] for a in arguments if re.match(r"--config-dir=|-cd=", a)]
    folders += [b for a, b in pairwise(arguments) if a in ("--config-dir", "-cd")]
    searched = any("hydra.searchpath" in a for a in arguments)
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if argument.startswith("-") or "@" in key or argument.startswith("~") or argument in folders:
            continue
        if not equals:
            raise UsageError(f"{argument!r} is no setting; write key=value, for example model=nalu")
        key = key.lstrip("+")
        if key not in GROUPS:
            _check_key(key)
            if "glob(" in argument and isinstance(_chosen(argument), Glob):
                raise UsageError(f"{argument}: glob chooses files of a group; write {key}=<value> or {key}=a,b,c")
            continue
        chosen = _chosen(argument)
        if isinstance(chosen, Glob) or searched:
            continue
        names = [name for one in chosen for name in (one if isinstance(one, list) else [one])]
        if key in ("protocol", "experiment") and any(isinstance(one, list) for one in chosen):
            raise UsageError(f"A job has one {key}, not a list: {key}=<one of {', '.join(choices_of(key))}>")
        if not names or (any(name in (None, "") for name in names) and key != "experiment"):
            raise UsageError(f"Choose a {key}: {key}=<one or [several] of {', '.join(choices_of(key, folders))}>")
        for name in names:
            if name is not None and name not in choices_of(key, folders):
                raise unknown(key, str(name), choices_of(key, folders))


def _chosen(argument: str) -> list[Any] | Glob:
    """What an argument chooses from its group: what each job of a sweep does, or one."""
    try:
        parsed = OverridesParser.create().parse_override(argument)
    except HYDRA_ERRORS as error:
        raise UsageError(f"cannot read the argument {argument!r} ({sentence(error)})") from None
    value = parsed.value()
    if isinstance(value, Glob):
        return value
    try:
        chosen = list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [value]
    except (HydraException, ValueError, TypeError):
        raise UsageError(f"{argument} chooses no names; write {parsed.key_or_group}=<name> or [several]") from None
    plain = lambda one: one if one is None or isinstance(one, list) else str(getattr(one, "text", one))
    return [[plain(inner) for inner in one] if isinstance(one, list) else plain(one) for one in chosen]


def _check_key(key: str) -> None:
    top, *rest = key.split(".")
    names = [f.name for f in dataclasses.fields(Config)] + ["hydra", "experiment"]
    if top.split("/")[0] not in names:
        raise unknown("key", top, [name for name in names if name != "hydra"])
    parts: dict[str, Any] = {"protocol": Protocol, "engine": Engine}
    if top in parts and rest:
        fields = [f.name for f in dataclasses.fields(parts[top])]
        if rest[0] not in fields:
            raise unknown(f"key of {top}", rest[0], fields)
