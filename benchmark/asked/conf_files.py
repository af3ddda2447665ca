"""Where the configuration lies, in a clone and in a wheel, and what it offers; nothing heavy is imported for it."""

import gzip
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark.errors import UsageError, short

HERE = Path(__file__).resolve().parent.parent
CONF = next(path for path in (HERE / "conf", HERE.parent / "conf") if (path / "config.yaml").is_file())
PUBLISHED = CONF.parent / "results" / "published"
# Hydra 1.3 asks for a version base and 1.4 warns about it.
VERSION_BASE: dict[str, Any] = {"version_base": "1.3"} if version("hydra-core").startswith("1.3") else {}
GROUPS = ("model", "task", "range", "protocol", "experiment")
MISSING = ("nan", "na", "null", "none", "inf", "infinity", "true", "false")  # what tables are read back as

DIGITS = 1000  # of a number; Python reads no more than 4,300
LONG = re.compile(rf"[0-9a-fA-F_]{{{DIGITS + 1}}}")


def check_name(what: str, name: Any) -> None:
    """UsageError unless a name is one that every table gives back as it was.

    A letter, then at most 63 more letters, digits, `_`, `-` or `.`; and no word that pandas and others read as missing,
    a number or a truth value.

    >>> check_name("a model", "nalu")
    """
    right = isinstance(name, str) and re.fullmatch(r"[A-Za-z][\w.-]{0,63}", name, re.ASCII)
    if not right or name.lower() in MISSING:
        raise UsageError(
            f"{what} is called {short(name)}; a name is a letter followed by at most 63 letters (ASCII), digits, _, - "
            f"or . and none of the words that are read as something else: {', '.join(MISSING)}"
        )


def choices_of(group: str, folders: Iterable[str | Path] = ()) -> list[str]:
    """The options of a configuration group, those of further configuration folders included.

    >>> choices_of("task")[:3]
    ['add', 'arithmetic', 'div']
    """
    roots = [CONF, *map(Path, folders)]
    files = {path.relative_to(root / group) for root in roots for path in (root / group).rglob("*.yaml")}
    return sorted(file.with_suffix("").as_posix() for file in files if not file.name.startswith(("_", ".")))


def own_models(experiments: Iterable[str], folders: Iterable[str | Path] = ()) -> list[str]:
    """The models that experiments bring themselves, which are no options of the group.

    A file that cannot be read has none; Hydra says what is wrong with it.

    >>> own_models(["learning_rate"])
    ['nalu_normal', 'nalu_stable']
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    folders, found = [*folders], dict[str, Any]()
    for path in (Path(root) / "experiment" / f"{name}.yaml" for root in (CONF, *folders) for name in experiments):
        with suppress(OSError, ValueError, YAMLError, OmegaConfBaseException):
            content: Any = OmegaConf.to_container(OmegaConf.load(path))
            if isinstance(content, dict) and isinstance(content.get("model"), dict):
                found |= content["model"]
    options = choices_of("model", folders)
    return [str(name) for name in found if name not in options]


def members_of(group: str, name: str) -> list[str]:
    """The options that a preset stands for; none if it is no preset.

    >>> members_of("range", "madsen2020")[:2]
    ['neg_2_1', 'mixed_2']
    """
    from omegaconf import OmegaConf

    path = CONF / group / f"{name}.yaml"
    content: Any = OmegaConf.load(path) if path.is_file() else {}
    return [option for option in content.get("defaults", []) if isinstance(option, str)]


def range_of(name: str) -> dict[str, Any]:
    """What the package's file of a range says; empty where it has none."""
    from omegaconf import OmegaConf

    path = CONF / "range" / f"{name}.yaml"
    content: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
    return content


def published_tables(*columns: str) -> list[str]:
    """The published tables that have one of these columns.

    >>> published_tables("rule")
    ['thresholds']
    """
    headers = {}
    for path in PUBLISHED.glob("*.csv*"):
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            headers[path.name.partition(".csv")[0]] = file.readline().strip().split(",")
    return sorted(name for name, header in headers.items() if {*columns} & {*header})


@cache
def published_of(protocol: str) -> str | None:
    """The published table of a protocol: that of the experiment with its name, whatever its budget.

    >>> published_of("trask2018_figure1_adam"), published_of("madsen2020_simple/quick"), published_of("default")
    ('trask2018_figure1', 'madsen2020_simple', None)
    """
    from omegaconf import OmegaConf

    experiment = protocol.partition("/")[0]
    if experiment not in choices_of("experiment"):
        return None
    content: Any = OmegaConf.load(CONF / "experiment" / f"{experiment}.yaml")
    return content.get("published")


def groups_as_they_are(arguments: Iterable[str]) -> list[str]:
    """`+model=x` and `model=x` mean the same.

    >>> groups_as_they_are(["+model=nalu", "+model.nalu.hidden=[2]"])
    ['model=nalu', '+model.nalu.hidden=[2]']
    """
    return [re.sub(rf"^\+({'|'.join(GROUPS)})=", r"\1=", argument) for argument in arguments]
