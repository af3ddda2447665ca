"""A compiled program is kept where it is safe and loaded only whole; what the compiler cannot do is told in a line."""

import errno
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmark.training.fused import build
from benchmark.training.fused.build import COMPILERS, CannotBuild, built, check, folders

ONE = 'extern "C" int one() { return 1; }'
OUT = "for out; do :; done"  # the last argument
BUILD = [sys.executable, "-c", f"from benchmark.training.fused.build import built; print(built({ONE!r}, ()).one())"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the user's cache; nothing is kept outside the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(build, "level", lambda: ())  # torch, which it asks, takes seconds to load
    return tmp_path / "cache" / "arithmetic-extrapolation"


@pytest.fixture
def temporary(tmp_path):
    """Where programs are kept if they cannot be in the cache."""
    return tmp_path / f"arithmetic-extrapolation-{os.getuid()}"


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """(a compiler that works, what it has made of ONE), without the help of `build`."""
    path = tmp_path_factory.mktemp("real") / "one.so"
    for name in filter(None, map(shutil.which, COMPILERS)):
        command = [name, "-fPIC", "-shared", "-x", "c++", "-", "-o", str(path)]
        if not subprocess.run(command, input=ONE, text=True, capture_output=True).returncode:
            return name, path
    pytest.skip("no C++ compiler works")


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Makes a script $CXX: what it does to compile, and when asked for its version."""

    def put(compiling, version="echo fake 1", name="fake c++"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\ncase "$*" in *--version) {version}; exit;; esac\n{OUT}\n{compiling}\n')
        path.chmod(0o700)
        monkeypatch.setenv("CXX", str(path))
        return path

    return put


@pytest.fixture
def working(real, compiler, tmp_path):
    """What a compiler that works does; `compiled` counts it."""
    script = f"""echo >> '{tmp_path}/compiled'; cp '{real[1]}' "$out" """
    compiler(script)
    return script


@pytest.fixture
def compiled(tmp_path):
    """How often it was compiled."""
    path = tmp_path / "compiled"
    return lambda: len(path.read_text()) if path.exists() else 0


def kept(folder):
    """Names of the programs in a folder, in which there is nothing else."""
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    assert all(name.endswith(".so") for name in names)
    return names


def raises(kind, code=errno.ENOSPC):
    def fail(*_args, **_kwargs):
        raise kind(code, os.strerror(code))

    return fail


def refusal(source=ONE):
    """What is told instead of a program: a line without a full stop."""
    with pytest.raises(CannotBuild) as caught:
        built(source, ())
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and not text.endswith(".")
    return text


# Where


def test_a_program_is_compiled_once_and_kept_in_the_users_cache(working, compiled, cache, temporary):
    assert [built(ONE, ()).one() for _ in range(3)] == [1, 1, 1]
    assert compiled() == 1
    assert len(kept(cache)) == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    assert not temporary.exists()


def test_a_compiler_that_is_found_makes_a_program_that_runs(real, cache, monkeypatch):
    monkeypatch.setenv("CXX", real[0])
    check()
    assert built(ONE, ()).one() == 1
    assert len(kept(cache)) == 1


def test_the_cache_is_in_the_home_where_no_absolute_other_place_is_set(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    expected = tmp_path / "home" / ".cache" / "arithmetic-extrapolation"
    for elsewhere in ("", "relative/cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", elsewhere)
        assert next(folders()) == expected
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert next(folders()) == expected


def test_an_unset_home_is_looked_up_and_one_that_nobody_knows_is_not_used(monkeypatch, temporary):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    assert next(folders()) == Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "arithmetic-extrapolation"
    monkeypatch.setattr(pwd, "getpwuid", raises(KeyError))
    assert list(folders()) == [temporary]


def test_where_the_home_cannot_be_written_a_temporary_folder_of_ones_own_serves(working, compiled, tmp_path, temporary):
    (tmp_path / "cache").write_text("in the way")
    assert [built(ONE, ()).one() for _ in range(2)] == [1, 1]
    assert compiled() == 1
    assert len(kept(temporary)) == 1
    assert temporary.stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_nothing_is_compiled(working, compiled, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setattr(tempfile, "gettempdir", raises(FileNotFoundError, errno.ENOENT))
    assert "cannot be kept and loaded anywhere: [Errno" in refusal()
    monkeypatch.setattr(build, "folders", lambda: [])
    assert refusal().endswith("anywhere: no folder can be written")
    assert compiled() == 0


def test_a_cache_that_cannot_be_written_any_more_still_serves(working, compiled, monkeypatch):
    built(ONE, ())
    monkeypatch.setattr(tempfile, "mkdtemp", raises(OSError, errno.EROFS))
    monkeypatch.setattr(build, "FileLock", lambda path: pytest.fail("nothing is to be written"))
    assert built(ONE, ()).one() == 1
    assert compiled() == 1


def test_paths_may_have_spaces(real, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a [folder] with spaces"))
    (tmp_path / "my compilers").mkdir()
    (tmp_path / "my compilers" / "c++").symlink_to(real[0])
    monkeypatch.setenv("CXX", str(tmp_path / "my compilers" / "c++"))
    assert [built(ONE, ()).one() for _ in range(2)] == [1, 1]
    assert len(kept(tmp_path / "a [folder] with spaces" / "arithmetic-extrapolation")) == 1


# What is kept


def test_source_flags_and_compiler_tell_programs_apart(working, compiler, cache):
    built(ONE, ())
    built(f"{ONE}\n", ())
    built(ONE, ("-g",))
    compiler(working, name="another")
    built(ONE, ())
    compiler(working, version="echo fake 2", name="another")
    build._identity.cache_clear()  # another process would ask anew
    built(ONE, ())
    assert len(kept(cache)) == 5


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: data[:-1] + bytes([data[-1] ^ 1])],
    ids=["emptied", "cut", "altered"],
)
def test_a_damaged_program_is_made_anew(working, compiler, compiled, cache, tmp_path, damage):
    compiler(f"""{working}; cat '{tmp_path}/compiled' >> "$out" """)  # never the same twice
    built(ONE, ())
    (name,) = kept(cache)
    data = (cache / name).read_bytes()
    (cache / name).unlink()  # the loaded file itself is not to be changed under this process
    (cache / name).write_bytes(damage(data))
    assert [built(ONE, ()).one() for _ in range(2)] == [1, 1]
    assert compiled() == 2
    assert [(cache / name).read_bytes() for name in kept(cache)] == [data + b"\n"]


def test_many_processes_at_once_compile_a_program_once(working, compiler, compiled, cache):
    compiler(f"sleep 0.2; {working}")
    processes = [subprocess.Popen(BUILD, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0] for process in processes] == ["1\n"] * 4
    assert compiled() == 1
    assert len(kept(cache)) == 1


@pytest.mark.parametrize("problem", [raises(NotImplementedError), raises(OSError)], ids=["no locks", "full disk"])
def test_without_locks_several_compile_the_same_and_all_of_it_works(
    working, compiler, compiled, cache, monkeypatch, problem
):
    compiler(f"sleep 0.1; {working}")
    monkeypatch.setattr(build.FileLock, "acquire", problem)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: built(ONE, ()).one(), range(4))) == [1] * 4
    assert compiled() > 1
    assert len(kept(cache)) == 1


# A full disk


def full(place):
    """What a compiler does where a folder's disk is full."""
    said = "ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status"
    return f"""case "$out" in *{place}*) echo '{said}' >&2; echo half > "$out"; exit 1;; esac"""


def test_what_a_full_cache_cannot_keep_the_temporary_folder_does(working, compiler, cache, temporary):
    compiler(f"{full('/cache/')}\n{working}")
    assert built(ONE, ()).one() == 1
    assert (len(kept(cache)), len(kept(temporary))) == (0, 1)


def test_a_compilers_own_files_do_not_need_another_disk(working, compiler, cache, tmp_path):
    compiler(f"""echo "$TMPDIR" > '{tmp_path}/told'; {working}""")
    built(ONE, ())
    assert Path((tmp_path / "told").read_text()).parent == cache


def test_where_every_disk_is_full_this_is_told(compiler, cache, temporary, monkeypatch):
    compiler(full("/"))
    assert "cannot be kept and loaded anywhere: ld: final link failed: No space left on device" in refusal()
    assert kept(cache) == kept(temporary) == []
    monkeypatch.setattr(tempfile, "mkdtemp", raises(OSError))
    assert "No space left on device" in refusal()


def test_a_program_that_cannot_be_kept_is_used(working, compiled, cache, monkeypatch):
    monkeypatch.setattr(os, "replace", raises(OSError))
    assert [built(ONE, ()).one() for _ in range(2)] == [1, 1]
    assert compiled() == 2
    assert kept(cache) == []


# Killed


def test_what_a_killed_compiler_has_written_is_not_kept(working, compiler, cache):
    compiler('echo half > "$out"; kill -9 $$')
    assert refusal().endswith("does not work: it ended with code -9")
    assert kept(cache) == []
    compiler(working)
    assert built(ONE, ()).one() == 1


def test_what_a_killed_process_leaves_is_in_nobodys_way_and_removed_when_it_is_old(working, compiler, cache):
    compiler('echo half > "$out"; exec sleep 60')
    process = subprocess.Popen(BUILD, start_new_session=True)
    until = time.monotonic() + 30
    while not list(cache.glob("*.making/made.so")) and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (making,) = cache.glob("*.making")
    (lock,) = cache.glob("*.lock")
    other = lock.with_stem("other")
    lock.rename(other)
    compiler(working)
    assert built(ONE, ()).one() == 1
    assert making.exists() and other.exists()  # they could be of a process at work
    for path in (making, other):
        os.utime(path, (0, 0))
    built(ONE, ("-g",))
    assert len(kept(cache)) == 2


def test_a_killed_process_lets_the_next_one_compile(working, compiler, cache):
    cache.mkdir(parents=True)
    holder = "import os, sys; from filelock import FileLock; FileLock(sys.argv[1]).acquire(); os.kill(os.getpid(), 9)"
    built(ONE, ())
    (name,) = kept(cache)
    (cache / name).unlink()
    subprocess.run([sys.executable, "-c", holder, str(cache / f"{name.partition('-')[0]}.lock")])
    assert len(list(cache.glob("*.lock"))) == 1
    assert built(ONE, ()).one() == 1
    assert len(kept(cache)) == 1


# No compiler, or one that does not work


def test_that_there_is_no_compiler_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refusal() == "no C++ compiler (g++ or clang++) is found"
    for name in ("/nowhere/g++", str(tmp_path), "nothing -O1", "an 'unfinished name"):
        monkeypatch.setenv("CXX", name)
        assert refusal() == f"no C++ compiler ({name}) is found"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "it ended with code 1"),
        ("exit 0", "it makes nothing"),
        (': > "$out"', "it makes nothing"),
        ("echo 'no licence.' >&2; exit 3", "no licence"),
        ("echo 'no licence'; exit 3", "no licence"),
        ("printf 'In file a:\\na:1: error: no namespace\\nmore\\n' >&2; exit 1", "a:1: error: no namespace"),
        ("printf 'Assembler messages:\\n1: Error: no such thing\\n' >&2; exit 1", "1: Error: no such thing"),
        (
            "printf 'ld: cannot find crti.o\\ncollect2: error: ld returned 1 exit status\\n' >&2; exit 1",
            "ld: cannot find crti.o",
        ),
        ('echo "error: in $LC_ALL" >&2; exit 1', "error: in C"),
        ("printf 'error: caf\\351 \\t closed\\n' >&2; exit 1", "error: caf\ufffd closed"),
    ],
)
def test_a_compiler_that_does_not_work_is_told_with_what_it_says(compiler, cache, temporary, script, reason):
    path = compiler(script)
    assert refusal() == f"the C++ compiler {path} does not work: {reason}"
    assert kept(cache) == [] and not temporary.exists()


@pytest.mark.parametrize("version", ["echo broken >&2; exit 1", "echo broken; false"])
def test_a_compiler_that_cannot_tell_its_version_does_not_work(working, compiler, compiled, version):
    path = compiler(working, version)
    assert refusal() == f"the C++ compiler {path} does not work: broken"
    assert compiled() == 0


def test_a_file_that_is_no_program_is_no_compiler(compiler):
    path = compiler("")
    path.write_text("what?")
    assert refusal() == f"the C++ compiler {path} does not work: Exec format error"
    path.write_text("#!/nowhere/sh")
    assert refusal() == f"the C++ compiler {path} does not work: No such file or directory"


def test_a_compiler_that_is_removed_or_never_ends_does_not_work(compiler, monkeypatch):
    path = compiler("exec sleep 60", version='rm "$0"')
    assert refusal() == f"the C++ compiler {path} does not work: No such file or directory"
    # A driver that waits for the compiler proper: neither is left.
    path = compiler('sleep 60 & echo $! > "$0.proper"; wait', name="slow")
    monkeypatch.setattr(build, "PATIENCE", 0.3)
    assert refusal().startswith(f"the C++ compiler {path} does not work: it does not end within")
    states = ["ps", "-o", "stat=", "-p", Path(f"{path}.proper").read_text().strip()]
    alive = lambda: subprocess.run(states, capture_output=True, text=True).stdout[:1] not in ("", "Z")
    patience = time.monotonic() + 5
    while alive() and time.monotonic() < patience:
        time.sleep(0.05)
    assert not alive()


def test_what_is_no_library_is_not_kept(compiler, cache, temporary):
    compiler('echo text > "$out"')
    assert "cannot be kept and loaded anywhere" in refusal()
    assert kept(cache) == kept(temporary) == []


def test_a_library_without_what_was_asked_for_is_told(real, compiler):
    compiler(f"""echo 'extern "C" int two() {{ return 2; }}' | {real[0]} "$@" """)
    with pytest.raises(CannotBuild, match="makes does not work"):
        check()


def test_the_compiler_may_be_named_with_arguments(working, compiler, cache, monkeypatch, tmp_path):
    compiler(working, name="c++")
    compiler('exec "$@"', version='exec "$@"', name="ccache")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CXX", " ccache c++ -DNAME=caf\udce9 ")
    assert built(ONE, ()).one() == 1
    monkeypatch.setenv("CXX", "ccache 'no such'")
    text = refusal()
    assert text.startswith(f"the C++ compiler {tmp_path / 'bin' / 'ccache'} does not work: ")
    assert "no such" in text


# Other users


def test_a_folder_that_others_can_write_to_is_not_used(working, cache, temporary):
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    assert built(ONE, ()).one() == 1
    assert (kept(cache), len(kept(temporary))) == ([], 1)
    temporary.chmod(0o770)
    assert "others may write to" in refusal()


def test_a_folder_of_another_user_is_not_used(working, compiled, cache, monkeypatch):
    another = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: another)
    assert "others may write to" in refusal()
    assert compiled() == 0


def test_a_link_to_ones_folder_is_followed_unless_another_user_made_it(working, cache, temporary, tmp_path):
    (tmp_path / "scratch").mkdir(mode=0o700)
    cache.parent.mkdir()
    cache.symlink_to(tmp_path / "scratch")
    built(ONE, ())
    assert len(kept(tmp_path / "scratch")) == 1
    if os.getuid() != 0:
        pytest.skip("only root can make another user's link")
    os.chown(cache, 12345, -1, follow_symlinks=False)
    built(ONE, ())
    assert len(kept(temporary)) == 1


def test_where_there_are_no_users_by_number_it_works(working, cache):
    text = f"import os; del os.getuid; {BUILD[2]}"
    assert subprocess.run([sys.executable, "-c", text], capture_output=True, text=True).stdout == "1\n"
    assert len(kept(cache)) == 1
