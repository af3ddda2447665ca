"""What has to be installed is stated once for pip and once for whoever has not installed it yet."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import benchmark

ROOT = Path(__file__).parent.parent


def test_what_the_package_looks_for_is_what_pip_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]}
    assert names == set(benchmark.NEEDED)


@pytest.mark.parametrize("module", ["benchmark", "benchmark.compare"])
def test_a_command_before_installation_says_what_to_install_in_one_sentence(module):
    command = [sys.executable, "-S", "-m", module]  # without site-packages
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert re.match(r"The benchmark needs torch, .*; run: \S+ -m pip install -e ", done.stderr)
