"""The system's C++ compiler, and a cache of what it made."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock

COMPILERS = ("g++", "clang++")
# No product and sum is contracted unless the text says so, or bits would depend on the compiler.
FLAGS = ("-std=c++17", "-O2", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-w")
LEVELS = {"AVX512": ("-march=x86-64-v4", "-mprefer-vector-width=512"), "AVX2": ("-march=x86-64-v3",)}


class CannotBuild(Exception):
    """There is no compiler, or it fails; the text is a sentence without its full stop."""


def compiler() -> str:
    """The path of $CXX or of the first compiler that is found."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else COMPILERS
    for name in names:
        if found := shutil.which(name):
            return found
    raise CannotBuild(f"no C++ compiler ({' or '.join(names)}) is found")


@cache
def _identity(path: str) -> str:
    """What a compiler calls itself."""
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotBuild(f"the C++ compiler {path} does not work: {_line(str(error))}") from None
    return told.partition("\n")[0]


def level() -> tuple[str, ...]:
    """The flags for this processor's registers."""
    import torch

    machine = platform.machine().lower()
    return LEVELS.get(torch.backends.cpu.get_cpu_capability(), ()) if machine in ("x86_64", "amd64") else ()


def folders() -> Iterator[Path]:
    """Where compiled programs are kept: the user's cache, or a temporary folder where that cannot be written."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    yield Path(home) / "arithmetic-extrapolation"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    yield Path(tempfile.gettempdir()) / f"arithmetic-extrapolation-{user}"


def built(source: str, flags: tuple[str, ...] | None = None) -> ctypes.CDLL:
    """The source as a loaded library, from the cache where it has it. flags: of the processor, `level` if None.

    Raises CannotBuild with what the compiler said in one line.
    """
    path = compiler()
    command = [path, *FLAGS, *(level() if flags is None else flags)]
    name = hashlib.sha256("\0".join([source, _identity(path), *command]).encode()).hexdigest()[:32] + ".so"
    problem: Exception | None = None
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
                continue  # somebody else's: what lies there is not to be run
            with _alone(folder / f"{name}.lock"):
                return _loaded(folder / name, source, command)
        except OSError as error:  # a full disk, a folder that cannot be written
            problem = error
    raise CannotBuild(f"compiled programs cannot be kept anywhere: {_line(str(problem))}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else compiles the same program meanwhile."""
    try:
        lock = FileLock(path)
        lock.acquire(timeout=600)
    except (OSError, NotImplementedError, TimeoutError):
        yield
        return
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):
            path.unlink()


def _loaded(path: Path, source: str, command: list[str]) -> ctypes.CDLL:
    if path.exists():
        with suppress(OSError):  # damaged: made anew
            return ctypes.CDLL(str(path))
    handle, temporary = tempfile.mkstemp(suffix=".so", dir=path.parent)
    os.close(handle)
    try:
        done = subprocess.run(
            [*command, "-x", "c++", "-", "-o", temporary], input=source, capture_output=True, text=True
        )
        if done.returncode:
            said = next((line for line in done.stderr.splitlines() if "error" in line.lower()), done.stderr)
            reason = _line(said) or f"it ended with code {done.returncode}"
            if "space" in said.lower():
                raise OSError(reason)
            raise CannotBuild(f"the C++ compiler {command[0]} does not work: {reason}")
        library = ctypes.CDLL(temporary)
        os.replace(temporary, path)
        return library
    finally:
        with suppress(OSError):
            os.unlink(temporary)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


def check() -> None:
    """Raise CannotBuild unless a program can be compiled and loaded."""
    if built('extern "C" int one() { return 1; }').one() != 1:
        raise CannotBuild(f"what the C++ compiler {compiler()} makes does not work")
