"""The system's C++ compiler, and a cache of what it made."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

COMPILERS = ("g++", "clang++")
# No product and sum is contracted unless the text says so, or bits would depend on the compiler. g++ 12 reads copied
# numbers four at a time as if they lay on multiples of sixteen bytes, and dies of it, unless it leaves them single.
FLAGS = (
    *("-std=c++17", "-O2", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-tree-slp-vectorize"),
    *("-fPIC", "-shared", "-w"),
)
LEVELS = {"AVX512": ("-march=x86-64-v4", "-mprefer-vector-width=512"), "AVX2": ("-march=x86-64-v3",)}
PATIENCE = 1800.0  # seconds for a compiler, or for another process that compiles the same
ABANDONED = 3600.0  # seconds after which an unfinished file's maker is dead
FULL = ("No space left on device", "Disk quota exceeded", "Read-only file system")
VAGUE = ("ld returned", "linker command failed")  # what the compiler says after the linker's own line


class CannotBuild(Exception):
    """There is no compiler, or it fails; the text is a sentence without its full stop."""


def compiler() -> tuple[str, ...]:
    """The command of $CXX, which may have arguments, or of the first compiler that is found."""
    wanted = os.environ.get("CXX", "").strip()
    commands = [[wanted]] if wanted else [[name] for name in COMPILERS]
    with suppress(ValueError):  # a quotation mark without its partner
        commands += [shlex.split(wanted)] if wanted else []
    for name, *arguments in commands:
        if found := shutil.which(name):
            return found, *arguments
    raise CannotBuild(f"no C++ compiler ({wanted or ' or '.join(COMPILERS)}) is found")


@cache
def _identity(command: tuple[str, ...]) -> str:
    """What a compiler calls itself."""
    return _told([*command, "--version"])


def level() -> tuple[str, ...]:
    """The flags for this processor's registers."""
    import torch

    machine = platform.machine().lower()
    return LEVELS.get(torch.backends.cpu.get_cpu_capability(), ()) if machine in ("x86_64", "amd64") else ()


def folders() -> Iterator[Path]:
    """Where compiled programs are kept: the user's cache, or a temporary folder where that cannot be written."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):  # relative ones are to be ignored, says their specification
        home = os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(home):  # it is not where the user has no home
        yield Path(home) / "arithmetic-extrapolation"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    with suppress(FileNotFoundError):  # no temporary folder can be written either
        yield Path(tempfile.gettempdir()) / f"arithmetic-extrapolation-{user}"


def built(source: str, flags: tuple[str, ...] | None = None) -> ctypes.CDLL:
    """The source as a loaded library, from the cache where it has it. flags: of the processor, `level` if None.

    Raises CannotBuild with what the compiler said in one line.
    """
    path = compiler()
    command = [*path, *FLAGS, *(level() if flags is None else flags)]

    def make(made: Path) -> None:
        _told([*command, "-x", "c++", "-", "-o", str(made)], source, str(made.parent))
        if not made.exists() or not made.stat().st_size:
            raise CannotBuild(f"the C++ compiler {command[0]} does not work: it makes nothing")

    identity = "\0".join([source, _identity(path), platform.machine(), *command])
    return kept(identity, ".so", make, lambda made: ctypes.CDLL(str(made)))


def kept(identity: str, suffix: str, make: Callable[[Path], None], load: Callable[[Path], Any]) -> Any:
    """A file, loaded, from the cache or made there. identity: of what is in it.

    Raises CannotBuild on Windows, whose `long` is half as long as the programs' is to be, and where no folder can be
    used; and what `make` raises.
    """
    if sys.platform == "win32":
        raise CannotBuild("programs are compiled on Linux and macOS only")
    key = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:32]
    problems = []
    for folder in folders():
        try:
            _own(folder)
            found = _found(folder, key, suffix, load)
            if found is not None:
                return found
            with _alone(folder / f"{key}.lock"):
                found = _found(folder, key, suffix, load)
                return _made(folder, key, suffix, make, load) if found is None else found
        except OSError as error:  # a full disk, a folder that cannot be written or whose files cannot be run
            problems.append(str(error))
    told = _line("; ".join(problems)) or "no folder can be written"
    raise CannotBuild(f"compiled programs cannot be kept and loaded anywhere: {told}")


def _own(folder: Path) -> None:
    """Make a folder of the user's. Raises OSError where others could put there what is then run."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if hasattr(os, "getuid"):
        target = folder.stat()
        if {folder.lstat().st_uid, target.st_uid} != {os.getuid()} or target.st_mode & 0o022:
            raise PermissionError(f"others may write to {folder}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else compiles the same program meanwhile, where files can be locked; it would be harmless."""
    lock = FileLock(path)
    with suppress(OSError, NotImplementedError):
        lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):
                path.unlink()
            lock.release()


def _found(folder: Path, key: str, suffix: str, load: Callable[[Path], Any]) -> Any:
    """The file, loaded, if the folder has it undamaged, which its name tells; else None."""
    for path in folder.glob(f"{key}-*{suffix}"):
        with suppress(OSError):
            if path.name == _name(key, path):
                return load(path)
            path.unlink()
    return None


def _name(key: str, path: Path) -> str:
    return f"{key}-{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}{path.suffix}"


def _made(folder: Path, key: str, suffix: str, make: Callable[[Path], None], load: Callable[[Path], Any]) -> Any:
    """The file, made, loaded and then kept if possible. Raises OSError where this folder does not serve."""
    _sweep(folder)
    with tempfile.TemporaryDirectory(suffix=".making", dir=folder, ignore_cleanup_errors=True) as making:
        path = Path(making) / f"made{suffix}"
        make(path)
        loaded = load(path)
        with suppress(OSError):
            os.replace(path, folder / _name(key, path))
        return loaded


def _sweep(folder: Path) -> None:
    """Remove what killed processes left."""
    for path in (*folder.glob("*.making"), *folder.glob("*.lock")):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _told(command: list[str], source: str = "", making: str | None = None) -> str:
    """What a compiler prints; making: the folder for its files.

    Raises CannotBuild with what it complains of, or OSError if that is the disk of this folder.
    """
    environment = {**os.environ, "LC_ALL": "C"} | ({"TMPDIR": making} if making else {})
    try:
        code, printed, said = _ran(command, source, environment)
    except OSError as error:
        reason = error.strerror or str(error)
    except subprocess.TimeoutExpired:
        reason = f"it does not end within {PATIENCE:.0f} s"
    else:
        if not code:
            return printed
        said = said or printed
        full = [line for line in said.splitlines() if any(text in line for text in FULL)]
        if full and making:
            raise OSError(full[0])
        reason = first_error(said) or f"it ended with code {code}"
    raise CannotBuild(f"the C++ compiler {command[0]} does not work: {reason}")


def _ran(command: list[str], source: str, environment: dict[str, str]) -> tuple[int, str, str]:
    """(code, output, complaints) of a command; if it takes too long or we are interrupted, nothing of it is left.

    What is called is a driver, whose own death would leave the compiler proper at work.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, encoding="utf-8", errors="replace", env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            printed, said = process.communicate(source, timeout=PATIENCE)
        except BaseException:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, printed, said


def first_error(said: str) -> str:
    """The line of a compiler's complaints that matters most; "" if it said nothing."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line.lower() and not any(text in line for text in VAGUE)]
    return _line([*errors, *lines, ""][0])


def _line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".")


def check() -> None:
    """Raise CannotBuild unless a program can be compiled and loaded."""
    one = getattr(built('extern "C" int one() { return 1; }'), "one", None)
    if one is None or one() != 1:
        raise CannotBuild(f"what the C++ compiler {compiler()[0]} makes does not work")
