"""Configuration files of one's own: refused where Hydra would stumble over them, overlook them or misname them."""

import io
import os
import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from benchmark.asked.conf_files import CONF, DIGITS, GROUPS, LONG, check_name
from benchmark.errors import UsageError, located, short

LARGEST, MOST, DEEPEST = 100_000, 10_000, 32  # bytes of a file, values in it with what its aliases repeat, its levels
NAMED = ("model", "task", "range")  # groups whose files are told apart in the tables by their names
HEADERS = {"protocol": ("protocol",), "experiment": ("_global_",)}


def own_folder(name: str, given: str) -> Path:
    """The folder that somebody names for files of his own, its files checked; UsageError for what is wrong in it."""
    folder = located(name, given)
    if not folder.is_dir():
        raise UsageError(f"{name} ({given}): there is {'no folder' if folder.exists() else 'nothing'} at {folder}")
    groups = [group for group in (*GROUPS, "hydra") if (folder / group).is_dir()]
    if not groups:
        raise UsageError(f"{name} ({given}) holds no model, task, range, protocol or experiment folder")
    paths = [folder / "config.yaml", *(path for group in groups for path in (folder / group).rglob("*"))]
    for path in sorted(path for path in paths if path.suffix in (".yaml", ".yml") and os.path.lexists(path)):
        if not path.name.startswith("."):
            _check(path, path.relative_to(folder))
    return folder


def _check(path: Path, place: Path) -> None:
    """UsageError unless this file can be read and is what its place in the folder says."""
    group = place.parts[0]
    if path.suffix == ".yml":
        raise UsageError(f"{path} is not looked at; let its name end in .yaml")
    if (CONF / place).exists():
        if path.exists() and path.samefile(CONF / place):
            return
        raise UsageError(f"{path} has the name of a file of the benchmark's own, which is taken instead; rename it")
    text = _read(path)
    content = _parsed(path, text)
    if group not in GROUPS or path.name.startswith("_"):
        return
    if group in NAMED and len(place.parts) > 2:
        raise UsageError(f"{path} must lie in {path.parents[len(place.parts) - 2]} itself: its name alone is known")
    name = place.relative_to(group).with_suffix("").as_posix()
    for part in name.split("/"):
        check_name(f"a {group} in {path.parent}", part)
    if "." in name:
        raise UsageError(f"{path}: the name of a configuration's file has one dot, that of .yaml")
    package = _package(path, text)
    right = HEADERS.get(group, (f"{group}.{name}", "_global_"))
    if package not in right and not (group == "protocol" and package is None and len(place.parts) == 2):
        why = ", so that it is known by its own name" if group in NAMED else ""
        raise UsageError(f"{path}, line 1: it must begin with `# @package {right[0]}`{why}")
    if group in NAMED and package == "_global_" and list(content) != ["defaults"]:
        raise UsageError(f"{path} is a preset (`# @package _global_`): it holds a list of defaults and nothing else")
    for entry in _listed(content.get("defaults")):
        if re.search("@(?!_here_$)", entry):
            raise UsageError(f"{path}: {short(entry)} in its defaults gives something another name; use @_here_")


def _listed(defaults: Any) -> list[str]:
    """The texts of a list of defaults."""
    entries = defaults if isinstance(defaults, list) else []
    return [str(text) for entry in entries for text in (entry if isinstance(entry, dict) else [entry])]


def _read(path: Path) -> str:
    """A file's text; UsageError where it is none."""
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path} must have at most {LARGEST:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{path}, line 1: it is written in UTF-16 or UTF-32; save it as UTF-8")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}, line {line}: byte {content[error.start]:#x} is no UTF-8; save it as UTF-8") from None
    if text.startswith("\ufeff"):
        raise UsageError(f"{path}, line 1: it begins with a byte order mark; save it as UTF-8 without one")
    if found := LONG.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise UsageError(f"{path}, line {line}: it holds a number of more than {DIGITS:,} digits")
    if found := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise UsageError(f"{path}, line {line}: there is a control character, {found[0]!r}; remove it")
    return text


def _parsed(path: Path, text: str) -> dict[Any, Any]:
    """What a text says; UsageError where it is no mapping, or more than a configuration can be."""
    try:
        _check_tokens(text)
        if (node := yaml.compose(text, Loader=yaml.SafeLoader)) is None:
            raise UsageError("line 1: it is empty")
        if not isinstance(node, yaml.MappingNode):
            raise UsageError("line 1: it must hold a mapping, key: value")
        _size(node, {})
        return OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))  # type: ignore[return-value]
    except (UsageError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"{path}, {_told(error)}") from None


def _check_tokens(text: str) -> None:
    """UsageError for what nests too deeply to be read, and for tags: `!!int abc` says how a value is to be made."""
    level = -1  # the stream itself is one
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        name, line = type(token).__name__, f"line {token.start_mark.line + 1}"
        level += name.endswith("StartToken") - name.endswith("EndToken")
        if isinstance(token, yaml.TagToken):
            raise UsageError(f"{line}: tags, such as !!str, are not understood; write values alone, texts in quotes")
        if level > DEEPEST:
            raise UsageError(f"{line}: it is nested more than {DEEPEST} levels deep")


def _size(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node holds and in how many levels; an alias counts as often as it stands there."""
    line = f"line {node.start_mark.line + 1}"
    if id(node) not in known:
        known[id(node)] = MOST + 1, 0  # if it holds itself
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        for key in (one[0] for one in inner if isinstance(one, tuple)):
            if key.tag.rpartition(":")[2] not in ("str", "merge"):
                told = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise UsageError(f"line {key.start_mark.line + 1}: a key ({told}) must be a text; put it in quotes")
        sizes = [_size(part, known) for one in inner for part in (one if isinstance(one, tuple) else (one,))]
        known[id(node)] = 1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0)
    size, levels = known[id(node)]
    if size > MOST:
        raise UsageError(f"{line}: it holds more than {MOST:,} values, or itself; use fewer aliases")
    if levels > DEEPEST:
        raise UsageError(f"{line}: it is nested more than {DEEPEST} levels deep")
    return size, levels


def _told(error: Exception) -> str:
    """Where a text is wrong and what it is."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        parts = [error.problem, error.context][:: 1 if str(error.context).startswith("while") else -1]
        spaces = "; indent with spaces" if r"'\t'" in str(error.problem) else ""
        line = f"line {mark.line + 1}: " if mark else ""
        return line + " ".join(" ".join(filter(None, parts)).split()) + spaces
    key = re.search(r"full_key: (\S+)", str(error))
    return (f"{key[1]}: " if key else "") + str(error).splitlines()[0]


def _package(path: Path, text: str) -> str | None:
    """What Hydra takes for a file's package: it reads the lines `# @key value` at the very beginning."""
    package = None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not re.match(r"\s*#\s*@", line):
            break
        words = line.replace("#", " ").split()
        if words and len(words) != 2:
            raise UsageError(f"{path}, line {number}: {short(line.strip())} must be as in `# @package model.mine`")
        package = words[1] if words and words[0] == "@package" else package
    return package
