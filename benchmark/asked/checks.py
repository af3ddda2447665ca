"""What a request may say: its keys and names, and the sentences for what does not fit."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException, OverrideParseException
from omegaconf import BooleanNode, DictConfig, FloatNode, IntegerNode, OmegaConf, StringNode
from omegaconf.errors import OmegaConfBaseException, ValidationError

from benchmark.asked.classes import offer
from benchmark.asked.conf_files import DIGITS, GROUPS, LONG, check_name, choices_of, own_models
from benchmark.asked.models import Model
from benchmark.asked.own_files import own_folder
from benchmark.asked.protocol import Engine, Protocol
from benchmark.asked.ranges import Ranges
from benchmark.asked.recipe import Recipe, Regularizer, Restart, Turn
from benchmark.asked.tasks import EVERY, Task, outputs_of
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
VALUES = 100_000  # of a whole configuration
# What a value of these types is called, and what reads it.
VALUE_OF: dict[Any, tuple[str, Any]] = {
    int: ("a whole number", IntegerNode),
    float: ("a number", FloatNode),
    bool: ("true or false", BooleanNode),
    str: ("a text", StringNode),
}
# What Hydra and OmegaConf say of keys and places in the words of Python -> what a reader can act on.
PLAINER = {
    r"invalid literal for int\(\) with base 10: ('.*?')": r"\1 is no place in a list; a place is a number from 0 on",
    r"Index ('.*?') \(\w+\) is not an int": r"\1 is no place in a list; a place is a number from 0 on",
    r"list index out of range": "the list that is there is shorter",
    r"Incompatible key type '\w+'": "the keys of a mapping must be texts",
    r"LexerNoViableAltException: .*? \^": "a character in it has to stand in quotes",
    r"token recognition error at: ('.*?'): LexerNoViableAltException\(.*?\)": r"\1 has to stand in quotes",
}
CONFIGURED = (Config, Model, Recipe, Regularizer, Restart, Turn, Task, Ranges, Protocol, Engine)


def check_choices(arguments: Iterable[str], folders: Sequence[Path] = ()) -> None:
    """Refuse a misspelled option of a group or a misspelled key, with the nearest right ones.

    folders: where there are further options, see `own_files.own_folder`.
    """
    arguments = list(arguments)
    places = [place for a in arguments if re.match(r"\+*hydra\.searchpath=", a) for place in _places(a)]
    elsewhere = any("://" in place for place in places)  # in a package, say, which Hydra finds
    folders = [*folders, *(own_folder("hydra.searchpath", place) for place in places if "://" not in place)]
    experiments = _names("experiment", [argument for argument in arguments if not LONG.search(argument)])
    for argument in arguments:
        key, equals, _ = argument.partition("=")
        if LONG.search(argument):
            raise UsageError(f"{short(argument)} holds a number of more than {DIGITS:,} digits")
        if argument.startswith("~"):
            continue
        if not equals:
            raise UsageError(f"{short(argument)} is no setting; write key=value, for example model=nalu")
        group, at, _ = key.lstrip("+").partition("@")
        if at and group in GROUPS:
            raise UsageError(f"{short(argument)} would give a {group} another name; write {group}=<name>")
        if at:
            continue
        key = group
        if "/" in key:
            raise UsageError(
                f"{short(argument)} is no setting; a group is chosen by its name, for example protocol=smoke"
            )
        if re.fullmatch(r"hydra|hydra\.(run|sweep|output_subdir)(\..*)?", key):
            raise UsageError(f"{short(argument)}: nothing is written but the results; write results=<folder>")
        if key not in GROUPS:
            _check_key(key)
            if "glob(" in argument and isinstance(_chosen(argument), Glob):
                raise UsageError(f"{argument}: glob chooses files of a group; write {key}=<value> or {key}=a,b,c")
            continue
        chosen = _chosen(argument)
        if isinstance(chosen, Glob):
            if not elsewhere and not chosen.filter(choices := choices_of(key, folders)):
                raise UsageError(f"{short(argument)} finds no {key} among {', '.join(choices)}")
            continue
        names = [name for one in chosen for name in (one if isinstance(one, list) else [one])]
        choices = choices_of(key, folders)
        if key == "model":
            own = own_models(experiments, folders)
            for name in filter(names.__contains__, own):  # as options of their group, which the experiment fills
                ConfigStore.instance().store(name, {}, group="model", package=f"model.{name}")
            choices += own
            classes = {name for name in names if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", str(name))} - {*choices}
            offer(sorted(classes), choices)
            choices += classes
        if elsewhere:
            continue
        if key in ("protocol", "experiment") and any(isinstance(one, list) for one in chosen):
            raise UsageError(f"A job has one {key}, not a list: {key}=<one of {', '.join(choices_of(key))}>")
        if not names or (any(name in (None, "") for name in names) and key != "experiment"):
            several = "" if key in ("protocol", "experiment") else " or [several]"
            raise UsageError(f"Choose a {key}: {key}=<one{several} of {', '.join(choices)}>")
        for name in names:
            if name is not None and name not in choices:
                raise unknown(key, str(name), choices)


def _parsed(argument: str) -> Override:
    try:
        return OverridesParser.create().parse_override(argument)
    except HYDRA_ERRORS as error:
        raise UsageError(f"cannot read the argument {argument!r} ({sentence(error)})") from None


def _places(argument: str) -> list[str]:
    """Where Hydra is told to look, files' folders as paths."""
    places = _parsed(argument).value()
    plain = [str(getattr(place, "text", place)) for place in (places if isinstance(places, list) else [])]
    return [place.removeprefix("file://") for place in plain]


def _chosen(argument: str) -> list[Any] | Glob:
    """What an argument chooses from its group: what each job of a sweep does, or one."""
    parsed = _parsed(argument)
    value = parsed.value()
    if isinstance(value, Glob):
        return value
    try:
        chosen = list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [value]
    except (HydraException, ValueError, TypeError):
        raise UsageError(f"{argument} chooses no names; write {parsed.key_or_group}=<name> or [several]") from None
    plain = lambda one: one if one is None or isinstance(one, list) else str(getattr(one, "text", one))
    return [[plain(inner) for inner in one] if isinstance(one, list) else plain(one) for one in chosen]


def _names(group: str, arguments: Iterable[str]) -> list[str]:
    """What these arguments choose from a group, by name."""
    own = [argument for argument in arguments if argument.partition("=")[0].lstrip("+") == group and "=" in argument]
    every = [one for argument in own if not isinstance(chosen := _chosen(argument), Glob) for one in chosen]
    return [str(name) for one in every for name in (one if isinstance(one, list) else [one])]


def without_others(content: Any, arguments: Sequence[str], own: Collection[str]) -> Any:
    """Without those of an experiment's own models that the command line, which chooses models, does not choose."""
    chosen = _names("model", arguments)
    if chosen and isinstance(content.get("model"), dict):
        content["model"] = {name: it for name, it in content["model"].items() if name in chosen or name not in own}
    return content


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


def check_amount(cfg: Any) -> None:
    """UsageError where references, `${…}`, repeat what others repeat until it fills the memory."""
    known: dict[int, tuple[Any, int]] = {}  # a container is kept, so that no other gets its number

    def amount(node: Any) -> int:
        if not OmegaConf.is_config(node):
            return 1
        if id(node) not in known:
            names = node.keys() if isinstance(node, DictConfig) else range(len(node))
            values = [node[name] for name in names if not OmegaConf.is_missing(node, name)]
            known[id(node)] = node, 1 + sum(map(amount, values))
        return known[id(node)][1]

    if (values := amount(cfg)) > VALUES:
        raise UsageError(
            f"references repeat others until there are {values:,} values; {VALUES:,} is the most there can be"
        )


def check_shape(content: Any) -> None:
    """UsageError where something else stands in the place of a mapping, nothing in that of a value, or a wrong name."""
    for path in ("model", "task", "range", "protocol", "engine"):
        place = content.get(path)
        if place is None:
            raise UsageError(f"{path} is nothing; choose one or leave it out")
        named = place.items() if isinstance(place, dict) and path in ("model", "task", "range") else ()
        for name, _ in named:
            check_name(f"a {path}", name)
        for name, value in [(path, place), *((f"{path}.{name}", inner) for name, inner in named)]:
            if not isinstance(value, dict):
                raise UsageError(f"{name} ({short(value)}) must be a mapping")


def made(path: str, value: Any, kind: Any) -> Any:
    """What a configuration's value under this path is in the program: an object, a list, a mapping or a plain value.

    kind: a type of a field of a configuration. Raises UsageError where the value is of another kind, where something
    is missing, and where something is there that the kind does not have.
    """
    kinds = get_args(kind) if get_origin(kind) is UnionType else (kind,)
    if (isinstance(value, str) and value == "???") or (value is None and not {Any, NoneType} & {*kinds}):
        raise UsageError(f"{path} must have a value; write {path}=<value> or leave it out")
    if value is None:
        return None
    if kind is Any:
        if isinstance(value, dict):
            return {key: made(f"{path}.{key}", part, Any) for key, part in value.items()}
        return [made(f"{path}[{i}]", part, Any) for i, part in enumerate(value)] if isinstance(value, list) else value
    kind, *inner = kinds[0], *get_args(kinds[0])
    if kind in CONFIGURED or get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise UsageError(f"{path} ({short(value)}) must be a mapping, such as {{}}")
        own = _fields(kind) if kind in CONFIGURED else dict.fromkeys(value, (inner[1], False))
        within = {key: f"{path}.{key}".lstrip(".") for key in (*own, *value)}
        for key in value:
            if not isinstance(key, str):
                raise UsageError(f"{path}: its key {short(key)} must be a text; put it in quotes")
            if key not in own:
                raise UsageError(_no_key(within[key]))
        for key, (_, needed) in own.items():
            if needed and key not in value:
                raise UsageError(f"{within[key]} is missing; give it a value")
        parts = {key: made(within[key], part, own[key][0]) for key, part in value.items()}
        return kind(**parts) if kind in CONFIGURED else parts
    if get_origin(kind) is list:
        if not isinstance(value, list):
            raise UsageError(f"{path} ({short(value)}) must be a list, such as []")
        return [made(f"{path}[{place}]", part, inner[0]) for place, part in enumerate(value)]
    told, node = VALUE_OF[kind]
    try:
        return node(value)._value()
    except ValidationError:
        raise UsageError(f"{path} ({short(value)}) must be {told}") from None
    except OverflowError:
        raise UsageError(f"{path} ({short(value)}) must be at most 1e308") from None


@cache
def _fields(kind: type) -> dict[str, tuple[Any, bool]]:
    """The type of each field of a configuration's class, and whether it must be given."""
    kinds = get_type_hints(kind)
    without = {f.name: f.default is f.default_factory is dataclasses.MISSING for f in dataclasses.fields(kind)}
    return {name: (kinds[name], needed) for name, needed in without.items()}


def check_size(name: str, model: Model, task: Task, protocol: Protocol) -> None:
    """UsageError where a step or an evaluation would not fit into memory, or a recipe speaks of what is not there."""
    inputs = protocol.inputs or EVERY[task.operation].operands
    sizes = [inputs, *model.hidden, len(outputs_of(task.operation))]
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


def check_names(config: Config, protocol: Protocol, own: Collection[str]) -> None:
    """UsageError where the protocol speaks of models, tasks or ranges that there are not. own: the experiment's."""
    models, tasks = {*choices_of("model"), *config.model, *own}, {*choices_of("task"), *config.task}
    ranges = {*choices_of("range"), *config.range}
    for kind, named, known in (("task", protocol.tasks, tasks), ("range", protocol.ranges, ranges)):
        for name in named:
            if name not in known:
                raise unknown(kind, str(name), known)
    for name in (name for named in (protocol.models, *protocol.tasks.values()) for name in named or ()):
        if name not in models:
            raise unknown("model", str(name), models)


def _no_key(path: str) -> str:
    """That there is no such key, and what to write instead."""
    key = path.rpartition(".")[2]
    vocabulary = {f.name for kind in CONFIGURED for f in dataclasses.fields(kind)}
    vocabulary |= {name for group in ("model", "task", "range") for name in choices_of(group)}
    if key in vocabulary:
        return f"There is no key {path!r} here; if it is to be added, write +{path}=<value>"
    if re.fullmatch(r"model\.[^.]+\.options\.\w+", path):
        return (
            f"There is no key {path!r}; an argument of a class that is no text, number or truth value by default, or "
            f"that its yaml does not name, is added: +{path}=<value>"
        )
    near = difflib.get_close_matches(key, sorted(vocabulary), n=3)
    return f"There is no key {path!r}" + (f" (did you mean {' or '.join(near)}?)" if near else "")


def sentence(error: BaseException) -> str:
    """Hydra's or OmegaConf's message, with its causes, as one line; a misspelled key with the nearest right ones."""
    texts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        if isinstance(cause, RecursionError):
            lines = ["they are nested too deeply, or lead back to themselves"]
        text = " ".join(
            line for line in lines if not re.match(r"(full_key|object_type|reference_type|See https?:)", line)
        )
        where = re.search(r"full_key: (\S+)", str(cause))
        key = re.search(r"Key '([^']+)' (?:is )?not in", text)
        if key:
            return _no_key(where[1] if where else key[1])
        if isinstance(cause, OverrideParseException):
            text = f"cannot read the argument {cause.override!r} ({text})"
        if where and where[1] not in text:
            text = f"{where[1]}: {text}"
        texts += [text] if text and not any(text in other for other in texts) else []
        cause = cause.__cause__
    told = re.sub(r"Config search path:.*", "", ": ".join(texts), flags=re.DOTALL)
    for theirs, ours in PLAINER.items():
        told = re.sub(theirs, ours, told)
    return " ".join(told.split()) or "a list of defaults is not as Hydra reads it"
