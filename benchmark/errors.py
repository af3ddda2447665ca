"""The one exception for whoever asks for something impossible, and what any other tells its reader."""

import argparse
import difflib
import errno
import math
import os
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

# What is wrong with a file that somebody has named, rather than with the machine.
NAMED = {
    *(errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.EINVAL),
}


class UsageError(Exception):
    """What is wrong and what would be right, in one sentence: the command line prints it and exits with 2."""


def short(value: Any, most: int = 80) -> str:
    """What was written, as a sentence can hold it.

    >>> short([1] * 100, 10)
    '[1, 1, 1,…'
    """
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


def whole(name: str, value: Any, least: int, most: int) -> int:
    """`value` as a whole number within limits, refused where it is none.

    >>> whole("batch", 128, 1, 1000)
    128
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{name} ({short(value)}) must be a whole number from {least:,} to {most:,}")
    told = f"{name} ({value:,})" if abs(value) < 10**20 else name
    if value < least:
        raise UsageError(f"{told} must be at least {least:,}")
    if value > most:
        raise UsageError(f"{told} must be at most {most:,}")
    return value


def located(name: str, value: str | Path, stood: str = "", kind: str = "folder") -> Path:
    """`value`, a path as somebody types it, made absolute from where he stood, or stands now; `~` is his home.

    >>> located("results", "/tmp/../here").as_posix()
    '/here'
    """
    if not isinstance(value, str | Path):
        raise UsageError(f"{name} ({short(value)}) must name a {kind}")
    path = os.path.expanduser(value)
    if not str(value) or not str(value).isprintable():
        raise UsageError(f"{name} ({short(str(value))}) must name a {kind}, in characters that can be seen")
    if str(path).startswith("~"):
        raise UsageError(f"{name} ({value}): there is no such user; write ./{value} for a {kind} of that name")
    return Path(os.path.abspath(os.path.join(stood, path)))


def outlet(name: str, value: str | Path, is_file: bool = False) -> Path:
    """A folder, or a file, that is to be written: refused before anything is computed where it cannot be."""
    path = located(name, value, kind="file" if is_file else "folder")
    if is_file and path.is_dir():
        raise UsageError(f"{name} ({value}) is a folder; name a file in it")
    if is_file and os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise UsageError(f"{name} ({value}) is {'a link' if path.is_symlink() else 'no file'}; name another file")
    folder = path.parent if is_file else path
    there = next(one for one in (folder, *folder.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise UsageError(f"{name} ({value}): {there} is {'a file' if there.is_file() else 'no folder'}; name a folder")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{name} ({value}): {there} cannot be written to; name another folder")
    return Path(os.path.expanduser(value))


def plain(text: str) -> str:
    """The text on one line as a terminal can show it: what would steer the terminal, or hide, is written as an escape.

    >>> plain("nac\\x1b[2J")
    'nac\\\\x1b[2J'
    """
    shown = lambda character: character.isprintable() or unicodedata.category(character) == "Zs"
    return "".join(c if shown(c) else c.encode("unicode_escape").decode() for c in text)


class Parser(argparse.ArgumentParser):
    """That of a command's arguments, which repeats what it refuses as plain text."""

    def error(self, message: str) -> NoReturn:
        """Say it and exit with 2."""
        super().error(plain(message))


def speak() -> None:
    """A process may be started without standard output or errors (`>&-`): what is said there then goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  until the process ends


def say(text: str) -> None:
    """Print, as escapes what would steer the terminal or what it has no character for, as Windows' consoles may not.

    Whoever closed the pipe (`| head`) does not want to hear the rest.
    """
    encoding = sys.stdout.encoding or "utf-8"
    shown = "\n".join(map(plain, text.split("\n")))
    try:
        with naming("standard output"):
            print(shown.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def to_stderr(text: str) -> None:
    """Print a sentence beside the results, which are worth more: where nobody can be told, the work goes on."""
    with suppress(OSError):
        print("\n".join(map(plain, text.split("\n"))), file=sys.stderr)


def doing(text: str) -> None:
    """Tell whoever sits at the terminal what a wait is for."""
    if sys.stderr.isatty():
        to_stderr(text)


@contextmanager
def naming(what: str | Path) -> Iterator[None]:
    """An OSError on the way says what it is of, as it does not where the disk of an open file is full."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(what)
        raise


class RunError(Exception):
    """Training failed in a way that is nobody's input: the command line exits with 1."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """The sentence for a misspelled name.

    >>> print(unknown("model", "nlau", ["nac", "nalu"]))
    There is no model 'nlau' (did you mean nalu?); choose from: nac, nalu
    """
    choices = sorted(choices)
    name = name if len(name) <= 80 else name[:79] + "…"
    near = difflib.get_close_matches(name, choices, n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    return UsageError(f"There is no {kind} {name!r}{hint}; choose from: {', '.join(choices)}")


def told(error: Exception) -> tuple[int, str]:
    """The exit code and the sentence for an exception, whose traceback BENCHMARK_TRACEBACK=1 prints.

    >>> told(UsageError("Choose a model"))
    (2, 'Choose a model')
    """
    if os.environ.get("BENCHMARK_TRACEBACK"):
        traceback.print_exception(error)
    if isinstance(error, UsageError):
        return 2, plain(str(error))
    if isinstance(error, MemoryError):
        return 1, "There is not enough memory for this; ask for less at once"
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return 2 if error.errno in NAMED else 1, f"{error.strerror or error}{where}"
    if isinstance(error, RunError):
        return 1, str(error)
    return 1, f"{unexpected(error)}; BENCHMARK_TRACEBACK=1 shows all of it"


def unexpected(error: BaseException) -> str:
    """What went wrong and on which line: the last of a file that is not an installed package's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    told = isinstance(error, SyntaxError)  # which says its place itself
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own and not told else ""
    said = " ".join(str(error).split())
    return f"Unexpected {type(error).__name__}{where}{': ' if said else ''}{short(said, 300)[1:-1] if said else ''}"


def plain_warnings() -> None:
    """Print what this program warns of as a sentence; others' warnings as ever."""
    others = warnings.showwarning

    def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
        if category is UserWarning:
            to_stderr(f"note: {message}")
        else:
            others(message, category, *where, **more)

    warnings.showwarning = show  # type: ignore[assignment]


def guarded(command: Callable[[], int]) -> int:
    """A command's exit code, 130 after Ctrl-C; where it raises, what `told` says, printed."""
    speak()
    with warnings.catch_warnings():  # as before for whoever calls a command from Python
        plain_warnings()
        try:
            return command()
        except KeyboardInterrupt:
            to_stderr("\nInterrupted.")
            return 130
        except Exception as error:
            code, text = told(error)
            to_stderr(text)
            return code


def number(
    name: str,
    value: Any,
    least: float | None = None,
    above: float | None = None,
    infinite: bool = False,
) -> float:
    """`value` as a float; refused where it is no number, nan, infinite (if not allowed) or too small.

    >>> number("steps", "1e3", least=1)
    1000.0
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        result = float(value)
    except OverflowError:
        raise UsageError(f"{name} must be at most 1e308; it has too many digits") from None
    except (TypeError, ValueError):
        raise UsageError(f"{name} ({short(value)}) must be a number") from None
    if math.isnan(result) or (math.isinf(result) and not infinite):
        raise UsageError(f"{name} ({value}) must be a{'' if math.isnan(result) else ' finite'} number")
    if least is not None and result < least:
        raise UsageError(f"{name} ({value}) must be at least {least:g}")
    if above is not None and result <= above:
        raise UsageError(f"{name} ({value}) must exceed {above:g}")
    return result
