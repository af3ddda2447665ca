"""Classes that are not this package's: found by importable name, as options of the group `model`, and their source."""

import ast
import hashlib
import importlib
import inspect
import json
import sys
import sysconfig
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib.util import decode_source, find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from benchmark.errors import UsageError, unexpected, unknown

PACKAGE = Path(__file__).resolve().parent.parent
# A script or a notebook. Of it counts what a class needs, not all of it; workers know a script by the second name.
SESSION = ("__main__", "__mp_main__")
PLAIN = (bool, int, float, complex, str, bytes, tuple, type(None))


def is_ours(name: str) -> bool:
    """Whether an importable name is of this package.

    >>> is_ours("benchmark.units.nac.NAC"), is_ours("mine.Net")
    (True, False)
    """
    return name.startswith(f"{PACKAGE.name}.")


def class_name(kind: str | type) -> str:
    """The importable name of a class; a name itself as it is. UsageError for a class that no name leads to."""
    if isinstance(kind, str):
        return kind
    name = f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else ""
    if not name or "<locals>" in name or found(name) is not kind:
        raise UsageError(f"{kind!r} is no class that an importable name leads to; define it at the top of its module")
    return name


_trusted: ContextVar[frozenset[str] | None] = ContextVar("trusted", default=None)


@contextmanager
def only(names: Iterable[str]) -> Iterator[None]:
    """Meanwhile nothing is imported but this package and these: what a results folder names is somebody else's word."""
    token = _trusted.set(frozenset(names))
    try:
        yield
    finally:
        _trusted.reset(token)


def found(name: str) -> Any:
    """What an importable name, `module.Class`, stands for; UsageError with one sentence where it stands for nothing, or
    is not trusted (see `only`).
    """
    trusted = _trusted.get()
    if trusted is not None and not is_ours(name) and name not in trusted:
        raise UsageError(f"{name} is named by a results folder alone, and is not imported for that")
    importlib.invalidate_caches()  # a file may have been written a moment ago
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        try:
            value: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and f"{module_name}.".startswith(f"{error.name}."):
                continue  # it is a class that holds the class, or nothing
            raise UsageError(f"{name} cannot be imported: {unexpected(error)}") from None
        except (Exception, SystemExit) as error:  # whatever somebody's module raises
            raise UsageError(f"{name} cannot be imported: {unexpected(error)}") from None
        for part in parts[cut:]:
            if not hasattr(value, part):
                classes = [key for key, own in vars(value).items() if isinstance(own, type)]
                if not classes:
                    raise UsageError(f"{name}: {module_name} has no class {part!r}, nor any other")
                raise unknown(f"class in {module_name}", part, classes)
            value = getattr(value, part)
        return value
    raise UsageError(f"{name}: there is no module {parts[0]!r} in the current directory or among the installed ones")


def offer(names: Iterable[str], models: Iterable[str]) -> None:
    """Make classes options of the group `model`, named as they are; UsageError where a name is no class's.

    In the tables a class has its own name; with its module's before it, `mine_Net`, where one of `models`, or another
    of the classes, has it too. Its options are those of its constructor, with their defaults.
    """
    from hydra.core.config_store import ConfigStore

    names = list(dict.fromkeys(names))
    taken = Counter([*models, *(name.rpartition(".")[2] for name in names)])
    for name in names:
        kind, own = found(name), name.rpartition(".")[2]
        if not isinstance(kind, type):
            raise UsageError(f"{name} is no class but {type(kind).__name__}; name a torch.nn.Module")
        label = own if taken[own] == 1 else name.replace(".", "_")
        node = {"unit": name, "options": _defaults(kind)}
        ConfigStore.instance().store(name, node, group="model", package=f"model.{label}")


def _defaults(kind: type) -> dict[str, Any]:
    try:
        parameters = [*inspect.signature(kind).parameters.values()][2:]  # after inputs and outputs
    except ValueError:  # a constructor that is not written in Python
        return {}
    return {p.name: p.default for p in parameters if isinstance(p.default, bool | int | float | str | None)}


def session_only(name: str) -> bool:
    """Whether a name is of a class that lives in this process alone, such as a notebook's: no other can import it."""
    module = name.partition(".")[0]
    return module == SESSION[0] and not hasattr(sys.modules[module], "__file__")


def source(names: Iterable[str]) -> str | None:
    """A digest of the code behind importable names, of theirs and of what it imports; None where none is the user's.

    The files of a class's module, of those of all that it inherits from and of whatever these import, in turn, count
    whole; neither the standard library's nor those of installed packages or of this one do. Of a script or a notebook
    count the class and the functions, classes and values that it names. UsageError where there is no source.
    """
    texts: dict[str, str] = {}
    for name in names:
        kind = found(name)
        files = [name.rpartition(".")[0]]
        kinds = dict.fromkeys((kind, *getattr(kind, "__mro__", ())))
        for each in kinds:
            module = getattr(each, "__module__", None) or ""
            files += _of_session(each, texts) if module in SESSION else [module]
        _of_files(files, texts)
        for each in kinds:
            _check_loaded(each, texts)
    return hashlib.sha256(json.dumps(sorted(texts.items())).encode()).hexdigest() if texts else None


def _of_files(modules: Iterable[str], texts: dict[str, str]) -> None:
    """Add the texts of these modules' files, and of those that they import, by module."""
    queue = [part for module in modules for part in _with_parents(module)]
    while queue:
        module = queue.pop()
        path = None if module in texts else _file(module)
        if path is None:
            continue
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UsageError(f"the source of {module} cannot be read: {error.strerror} ({path})") from None
        if path.suffix != ".py":  # compiled
            texts[module] = hashlib.sha256(content).hexdigest()
            continue
        texts[module] = decode_source(content)
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        queue += _imported(texts[module], package, str(path))


def _with_parents(module: str) -> Iterator[str]:
    """a.b.c -> a, a.b, a.b.c: to import the last is to import all."""
    parts = module.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _file(module: str) -> Path | None:
    """The file of a module if it is the user's."""
    top = module.partition(".")[0]
    if module in SESSION:
        return None
    path = None
    for each in dict.fromkeys((top, module)):  # what lies in somebody else's package need not be imported to be found
        try:
            spec = find_spec(each)
        except Exception:  # no module, one without a spec, or in a package that cannot be imported
            return None
        if spec is None:
            return None
        path = Path(spec.origin) if spec.has_location and spec.origin else None
        if path is not None and _is_of_others(path.resolve()):
            return None
    return path


def _is_of_others(path: Path) -> bool:
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return bool(installed) or any(path.is_relative_to(folder) for folder in _folders_of_others())


def _check_loaded(kind: Any, texts: dict[str, str]) -> None:
    """UsageError where a class's file was edited after it was imported: its text is not that of the class."""
    module = getattr(kind, "__module__", None) or ""
    path = _file(module) if module in texts else None
    if path is None or path.suffix != ".py":
        return
    functions = [own.__code__ for own in vars(kind).values() if isinstance(own, FunctionType)]
    if {code for code in functions if code.co_filename == str(path)} - _codes(texts[module], str(path)):
        raise UsageError(f"{path} was edited after {module} was imported; reload it, or start Python anew")


@lru_cache(1024)
def _codes(text: str, path: str) -> frozenset[CodeType]:
    """All functions and classes of a text, compiled."""
    queue, found = [compile(text, path, "exec", dont_inherit=True)], set()
    while queue:
        inner = [constant for constant in queue.pop().co_consts if isinstance(constant, CodeType)]
        found.update(inner)
        queue += inner
    return frozenset(found)


@cache
def _folders_of_others() -> tuple[Path, ...]:
    """Where installed packages and the standard library lie."""
    places = [sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    torch = find_spec("torch")
    if torch is not None and torch.origin:
        places.append(str(Path(torch.origin).parent.parent))
    return PACKAGE, *(Path(place).resolve() for place in places)


@lru_cache(1024)
def _imported(text: str, package: str, path: str) -> tuple[str, ...]:
    """All that a module's text may import, also where it does so later: names of modules, and of what is in them."""
    names = []
    for node in ast.walk(ast.parse(text, path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # beyond its own package: it could not be imported either
                continue
            names += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(dict.fromkeys(part for name in names for part in _with_parents(name)))


def _of_session(thing: Any, texts: dict[str, str]) -> list[str]:
    """Add the texts of a script's or notebook's class and of what it names there; the modules of what it names."""
    queue, modules = [thing], []
    while queue:
        thing = queue.pop()
        key = f"{SESSION[0]}.{thing.__qualname__}"
        if key in texts:
            continue
        texts[key] = _text(thing)
        around = vars(sys.modules[SESSION[0]])
        for name in {node.id for node in ast.walk(ast.parse(texts[key])) if isinstance(node, ast.Name)}:
            value = around.get(name)
            if isinstance(value, ModuleType):
                modules.append(value.__name__)
            elif isinstance(value, type | FunctionType):
                if value.__module__ in SESSION:
                    queue.append(value)
                modules.append(value.__module__ or "")
            elif name in around and (said := _value(value)) is not None:
                texts[f"{SESSION[0]}.{name}"] = said
    return modules


def _value(value: Any) -> str | None:
    """What a plain value is, or a collection, an array or a tensor of such; None of anything else."""
    if isinstance(value, PLAIN):
        return repr(value)
    if hasattr(value, "tolist"):  # numpy's and torch's
        return repr(value.tolist())
    if isinstance(value, list | set | frozenset | dict):
        parts = [_value(list(one)) for one in value.items()] if isinstance(value, dict) else [*map(_value, value)]
        told = [part for part in parts if part is not None]
        return repr(told if isinstance(value, list) else sorted(told))
    return None


def _text(thing: Any) -> str:
    """The text of a class or function of a script or a notebook.

    A class's is found by its functions, as in a notebook only they know their cell; one without any is what its
    attributes are.
    """
    members = [thing] if isinstance(thing, FunctionType) else vars(thing).values()
    functions = [inspect.unwrap(getattr(member, "fget", None) or member) for member in members]
    functions = [function for function in functions if isinstance(function, FunctionType)]
    if not functions:
        return repr(
            sorted((key, own) for key, own in vars(thing).items() if key[:2] != "__" and isinstance(own, PLAIN))
        )
    for function in functions:
        try:
            lines = inspect.findsource(function)[0]
        except OSError:
            continue
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == thing.__name__:
                first = min(one.lineno for one in (node, *node.decorator_list))
                last = node.end_lineno or first
                if first <= function.__code__.co_firstlineno <= last:
                    return textwrap.dedent("".join(lines[first - 1 : last]))
    raise UsageError(f"The source of {thing.__qualname__} is not to be had; define it in a file")
