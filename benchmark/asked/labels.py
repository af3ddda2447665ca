"""What a request sets, each setting under one key and in one spelling: the column `overrides` of every table."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from benchmark.asked.conf_files import GROUPS, MISSING
from benchmark.asked.protocol import Protocol
from benchmark.errors import UsageError

PROTOCOL = [f.name for f in dataclasses.fields(Protocol)]
# Settings that no number depends on; a variant's own settings do, and stand for themselves.
NUMBERLESS = ("results", "published", "protocol.seeds", "protocol.first_seed", "protocol.variants", "engine", "hydra")


def settings(overrides: Iterable[str], cfg: DictConfig, resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that decide numbers, key -> value; UsageError where one has none.

    resolved: the whole configuration, its values of the types that they are used in.
    """
    result: dict[str, Any] = {}
    for override in overrides:
        key, _, text = override.partition("=")
        taken_away, key = key.startswith("~"), key.lstrip("+~").split("@")[0]
        if key in GROUPS or (taken_away and key.count(".") == 1 and key.partition(".")[0] in GROUPS[:3]):
            continue
        for leaf in [key] if taken_away else _leaves(key, text):
            top, _, name = leaf.partition(".")
            if (taken_away and top == "protocol" and name in PROTOCOL) or OmegaConf.is_missing(*_parent(cfg, leaf)):
                raise UsageError(f"{leaf} must have a value; write {leaf}=<value> or leave it out")
            own, value = _found(resolved, leaf)
            if not any(own == key or own.startswith(f"{key}.") for key in NUMBERLESS):
                result[own] = value
    return result


def repeated(overrides: Iterable[str]) -> list[str]:
    """A sentence for each setting that is written more than once."""
    keys = Counter(o.partition("=")[0].lstrip("+") for o in overrides if not o.startswith("~"))
    return [f"{key} is set {times} times; the last one counts" for key, times in keys.items() if times > 1]


def label(given: Mapping[str, Any], model: str, task: str, range_: str) -> str:
    """The settings that enter the digest of this model × task × range, sorted, `key=value;key=value`."""
    return ";".join(f"{k}={spell(v)}" for k, v in sorted(given.items()) if concerns(k, model, task, range_))


def parts_of(text: str) -> list[str]:
    """A label's settings as the command line takes them, whether the keys are there or not.

    >>> parts_of("model.nac.recipe.clip_norm=1.0;protocol.inputs=10")
    ['++model.nac.recipe.clip_norm=1.0', 'protocol.inputs=10']
    """
    parts = list(filter(None, text.split(";")))
    return [part if part.partition("=")[0].count(".") == 1 else f"++{part}" for part in parts]


def concerns(key: str, model: str, task: str, range_: str) -> bool:
    """Whether a setting is of this cell: `model.nac.…` and `protocol.models.nac.…` are no concern of nalu's."""
    parts = key.split(".")
    own = {"model": [model], "task": [task], "range": [range_]}.get(parts[0], [])
    if parts[0] == "protocol" and len(parts) > 2:
        own = {"models": ["models", model], "tasks": ["tasks", task, model]}.get(parts[1], [])
    return all(name == part for name, part in zip(own, parts[1:], strict=False))


def _leaves(key: str, text: str) -> list[str]:
    """What is set where a mapping is written: key.name for each of its values; the key itself of anything else."""

    def under(path: str, value: Any) -> list[str]:
        if not isinstance(value, dict) or not value:
            return [path]
        return [leaf for name, inner in value.items() for leaf in under(f"{path}.{name}", inner)]

    leaves = under(key, OverridesParser.create().parse_override(f"{key}={text}").value()) if "{" in text else [key]
    return list(dict.fromkeys(map(_whole, leaves)))


def _whole(key: str) -> str:
    """The key of what is one value, as a range's distribution is."""
    parts = key.split(".")
    return ".".join(parts[:3] if parts[0] == "range" else parts)


def _found(resolved: Any, key: str) -> tuple[str, Any]:
    """A setting's key, of the whole list where it is a part of one, and its value; None if there is none."""
    value, own = resolved, []
    for name in _whole(key).split("."):
        if value is not None and not isinstance(value, dict):
            break
        value = (value or {}).get(name)
        own.append(name)
    return ".".join(own), value


def _parent(cfg: DictConfig, key: str) -> tuple[Any, str]:
    """The mapping that holds a key's value, and its name there."""
    path, _, name = key.rpartition(".")
    parent = OmegaConf.select(cfg, path) if path else cfg
    return (parent, name) if isinstance(parent, DictConfig) else (cfg, "")


def spell(value: Any) -> str:
    """A value as it stands in `overrides`: equal numbers alike, and a text in quotes where it could be something else.

    >>> spell([1.0, 1e-1, "best", "1.0", None])
    '[1,0.1,best,"1.0",null]'
    """
    if isinstance(value, str):
        plain = re.fullmatch(r"[^\W\d][\w./+-]*", value) and value.lower() not in MISSING
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{','.join(map(spell, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{k}:{spell(v)}' for k, v in sorted(value.items()))}}}"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e22:
        return str(int(value))
    return json.dumps(value)
