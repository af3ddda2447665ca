"""A configuration file of one's own is what its place says, or is refused with its name, a line and what is wrong."""

import os

import pytest

from benchmark.asked.configs import compose
from benchmark.asked.own_files import own_folder
from benchmark.errors import UsageError

RIGHT = "# @package model.mine\nunit: benchmark.units.nac.NAC\n"
NESTED = "\n".join(f"  {b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


def folder_of(tmp_path, place, content):
    path = tmp_path / "mine" / place
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / "mine"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (RIGHT + "options: {a: [1, 2\n", "line 4: expected ',' or ']'"),
        (RIGHT + "\toptions: {}\n", r"line 3: found character '\\t' .*; indent with spaces"),
        ("\ufeff" + RIGHT, "line 1: it begins with a byte order mark"),
        (RIGHT.encode("utf-16"), "line 1: it is written in UTF-16"),
        (RIGHT.encode("utf-16-le"), r"line 1: there is a control character, '\\x00'"),
        ((RIGHT + "# é").encode("latin-1"), "line 3: byte 0xe9 is no UTF-8"),
        (RIGHT + "hidden: []\x07", r"line 3: there is a control character, '\\x07'"),
        (RIGHT + "hidden: []\nhidden: []\n", "line 4: found duplicate key hidden"),
        (RIGHT + "options:\n  a: &a [x]\n" + NESTED, "line 8: it holds more than 10,000 values"),
        (RIGHT + "options: &a {a: *a}\n", "line 3: it holds more than 10,000 values, or itself"),
        (RIGHT + f"options: {{a: {'[' * 3000}{']' * 3000}}}\n", "line 3: it is nested more than 32 levels"),
        (RIGHT + "options: {a: *b}\n", "line 3: found undefined alias 'b'"),
        (RIGHT + "options: {a: !!int b}\n", "line 3: tags"),
        (RIGHT + "options: {no: 1}\n", r"line 3: a key \(no\) must be a text"),
        (RIGHT + "options: {a: '${'}\n", "options.a: no viable alternative"),
        (RIGHT + "---\nhidden: []\n", "line 3: expected a single document"),
        (RIGHT + "#" * 100_000, "at most 100,000 bytes"),
        ("# @package model.mine\n", "line 1: it is empty"),
        ("# @package model.mine\n5\n", "line 1: it must hold a mapping"),
        ("# @package model.other\nunit: mine.Mine\n", "line 1: it must begin with `# @package model.mine`"),
        ("# Mine.\n" + RIGHT, "line 1: it must begin with `# @package model.mine`"),
        ("# @package model.mine by me\nunit: a\n", "line 1: '# @package model.mine by me' must be as in"),
        ("# @package _global_\nmodel: {nac: {unit: mine.Mine}}\n", "is a preset .* a list of defaults"),
        ("# @package _global_\ndefaults: [nalu@model.nac]\n", "'nalu@model.nac' in its defaults gives something"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_is_refused_with_the_line_and_what_is_wrong(tmp_path, content, told):
    with pytest.raises(UsageError, match=rf"mine/model/mine\.yaml.*{told}") as refusal:
        own_folder("--config-dir", str(folder_of(tmp_path, "model/mine.yaml", content)))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir), lambda path: os.symlink("nowhere", path)])
def test_a_folder_a_pipe_or_a_link_to_nothing_is_no_file(tmp_path, make):
    folder = folder_of(tmp_path, "model/other.yaml", RIGHT.replace("mine", "other"))
    make(folder / "model" / "mine.yaml")
    with pytest.raises(UsageError, match=r"mine\.yaml is no file"):
        own_folder("--config-dir", str(folder))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        *((f"{name}.yaml", "has the name of a file of the benchmark's own") for name in (
            "model/nac", "task/add", "range/positive", "protocol/default", "protocol/madsen2020_gate/quick",
            "experiment/smoke", "model/_mlp",
        )),
        *((f"{place}/{name}.yaml", "a name is a letter followed by") for place in ("model", "protocol/own") for name in
          ("nan", "N A", "NULL", "None", "inf", "true", "1e5", "-1", "é", "a\nb", "a" * 65)),
        ("range/sub/mine.yaml", "must lie in"),
        ("model/mine.yml", "let its name end in .yaml"),
        ("model/mine.net.yaml", "has one dot"),
        ("nodel/mine.yaml", "holds no model, task, range, protocol or experiment folder"),
    ],
)  # fmt: skip
def test_a_file_in_the_wrong_place_or_of_a_name_that_tables_lose_is_refused(tmp_path, place, told):
    with pytest.raises(UsageError, match=told):
        own_folder("--config-dir", str(folder_of(tmp_path, place, RIGHT)))


def test_a_file_may_take_over_what_another_holds_and_is_found_from_python_too(tmp_path, monkeypatch):
    folder_of(tmp_path, "model/mine.yaml", "# @package model.mine\ndefaults: [nac@_here_, _self_]\nhidden: [3]\n")
    monkeypatch.chdir(tmp_path)
    for place in ("mine", "file://mine"):
        (cell,) = compose(["mine"], ["add"], ["positive"], overrides=[f"hydra.searchpath=[{place}]"]).cells
        assert (cell.model, cell.specification.hidden) == ("mine", [3])
    with pytest.raises(UsageError, match="there is nothing at"):
        compose(["mine"], ["add"], overrides=["hydra.searchpath=[mien]"])
