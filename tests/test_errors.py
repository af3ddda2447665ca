"""What is told, and that nothing is worth less than the telling."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import posix

from benchmark.errors import naming, to_stderr, told

needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's disk that is always full")


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_commands_work_where_there_is_nowhere_to_speak(closed, tmp_path):
    line = f'"{sys.executable}" -m benchmark.report "{tmp_path}" {closed}'
    assert subprocess.run(["sh", "-c", line], capture_output=True).returncode == 2  # as aloud, of an empty folder


@posix
def test_help_without_an_output_is_no_error():
    line = f'"{sys.executable}" -m benchmark --help >&-'
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@needs_full_device
@pytest.mark.parametrize("line", ["benchmark --help", "benchmark +model=nac +task=add --cfg job"])
def test_a_full_disk_behind_standard_output_is_told_in_a_sentence(line):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", *line.split()]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith("No space left on device") and ended.stderr.count("\n") == 1


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "the disk is full")])
def test_what_nobody_can_be_told_ends_no_work(error, monkeypatch):
    class Ended:
        def write(self, text):
            raise error

    monkeypatch.setattr(sys, "stderr", Ended())
    to_stderr("note")


def test_an_error_of_an_open_file_is_told_with_its_name():
    with pytest.raises(OSError, match="full") as failed, naming("results/x"):
        raise OSError(errno.ENOSPC, "the disk is full")
    assert told(failed.value) == (1, "the disk is full: results/x")
    with pytest.raises(OSError, match="its own words") as failed, naming("results/x"):
        raise OSError("its own words")
    assert told(failed.value) == (1, "its own words")


def test_whoever_asks_for_tracebacks_gets_them(monkeypatch, capsys):
    monkeypatch.setenv("BENCHMARK_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError) as raised:
        1 / 0  # noqa: B018
    assert told(raised.value)[0] == 1
    assert "Traceback" in (said := capsys.readouterr().err) and "ZeroDivisionError: division by zero" in said


@posix
@pytest.mark.parametrize("command", ["report", "verify"])
def test_ctrl_c_ends_a_command_in_a_word_also_while_it_loads(command, tmp_path):
    (tmp_path / "pandas.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    run = subprocess.run([sys.executable, "-m", f"benchmark.{command}", "x"], env=environment, capture_output=True)
    assert run.stderr.split() == [b"Interrupted."] and run.returncode in (130, -signal.SIGINT)
