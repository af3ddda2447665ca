"""Where a command is to write is looked at before it computes, by one rule for all of them."""

import os
from pathlib import Path

import pytest
from conftest import posix

from benchmark import ledger, representable, speed
from benchmark.errors import UsageError, outlet


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("mine")
    Path("folder").mkdir()
    if os.name == "posix":
        os.mkfifo("pipe")
        os.symlink("nothing", "link")
    return tmp_path


@pytest.mark.parametrize(
    ("value", "is_file", "sentence"),
    [
        ("", False, "must name a folder"),
        ("a\x1b[2J", True, "must name a file, in characters that can be seen"),
        pytest.param("~nobody9/x", False, "there is no such user", marks=posix),
        ("file", False, "file is a file; name a folder"),
        ("file/sub", True, "file is a file; name a folder"),
        ("folder", True, "is a folder; name a file in it"),
        pytest.param("pipe", True, "is no file", marks=posix),
        pytest.param("pipe", False, "is no folder", marks=posix),
        pytest.param("link", True, "is a link", marks=posix),
        pytest.param("link", False, "is no folder", marks=posix),
    ],
)
def test_what_cannot_be_written_to_is_refused_with_a_sentence(value, is_file, sentence):
    with pytest.raises(UsageError, match="--output") as refused:
        outlet("--output", value, is_file)
    assert sentence in str(refused.value)


def test_what_can_be_written_to_keeps_the_name_it_was_given():
    assert outlet("--output", "new/deep") == Path("new/deep")
    assert outlet("--output", "file", is_file=True) == Path("file")
    assert outlet("--output", "~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (representable.main, [""]),
        (representable.main, ["file/sub"]),
        (ledger.main, ["--into", "folder"]),
        (ledger.main, ["--into", "file"]),
        (ledger.main, ["--into", "nothing"]),
        (speed.command_line, ["file/sub"]),
    ],
)
def test_commands_refuse_before_they_compute(command, arguments, place, monkeypatch, capsys):
    monkeypatch.setattr(ledger, "lines", lambda: pytest.fail("it has computed"))
    monkeypatch.setattr(representable, "representable", lambda cells: pytest.fail("it has computed"))
    try:
        code = command(arguments)
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and err.strip()
    assert Path("file").read_text() == "mine" and not Path("nothing").exists()
