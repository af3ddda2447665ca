"""Small grids that train in a moment. What takes long to load, the process that deals out the tests need not load."""

import copy
import gc
import os
import sys
from functools import cache

import pytest

from benchmark import __main__ as cli
from benchmark.asked.conf_files import CONF

os.environ.setdefault("OMP_NUM_THREADS", "1")  # there is a process for each core
gc.set_threshold(20_000, 50)  # what is loaded is large, and to search it for garbage again and again takes long
QUICK = [
    "protocol.seeds=3",
    "protocol.steps=6",
    "protocol.evaluate_every=2",
    "protocol.evaluation_size=200",
    "protocol.batch=16",
]


posix = pytest.mark.skipif(os.name != "posix", reason="Windows has neither pipes among files nor signals that kill")
needs_references = pytest.mark.skipif(
    not list(CONF.parent.glob("results/reference/headline/outcomes.csv*")),
    reason="needs results/reference whole, of which the source distribution has the summaries",
)
needs_compiler = pytest.mark.usefixtures("can_compile")


@pytest.fixture(scope="session", autouse=True)
def quickly_compiled():
    """Programs are optimised less, which takes the compiler less time and changes no bit (test_fused shows it)."""
    from benchmark.training.fused import build

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAGS", tuple("-Og" if flag == "-O2" else flag for flag in build.FLAGS))
        yield


@pytest.fixture(scope="session", autouse=True)
def read_once():
    """What a yaml file says is parsed once, for to parse it in each of 600 requests is a tenth of the suite."""
    import yaml

    load, known = yaml.load, {}

    def loaded(stream, Loader):
        if isinstance(stream, str):
            return load(stream, Loader)
        key = (Loader.__qualname__, stream.read())  # omegaconf makes its class anew each time
        if key not in known:
            stream.seek(0)
            known[key] = load(stream, Loader)
        return copy.deepcopy(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "load", loaded)
        yield


@pytest.fixture(scope="session")
def can_compile():
    """Skip what needs programs where none can be compiled."""
    from benchmark.training.fused.build import CannotBuild, check

    try:
        check()
    except CannotBuild:
        pytest.skip("needs a C++ compiler")


class Memory:
    """A checkpoint that keeps all that is saved and gives the first of it back."""

    def __init__(self):
        self.saved = []

    def load(self):
        return dict(self.saved[0]) if self.saved else None

    def save(self, arrays):
        self.saved.append({name: values.copy() for name, values in arrays.items()})


@pytest.fixture(scope="session")
def draw():
    """`figures.draw`, whatever stands in its place meanwhile."""
    from benchmark.showing import figures

    return figures.draw


def sketch(figure, stem, formats=("png",)):
    """A figure's files, which hold what it tells instead of how it looks."""
    told = [
        (
            ax.get_title(),
            [line.get_xydata().tolist() for line in ax.lines],
            [str(c.get_array()) for c in ax.collections],
        )
        for ax in figure.axes
    ]
    paths = [stem.with_name(f"{stem.name}.{form}") for form in formats]
    for path in paths:
        path.write_text(repr(told), encoding="utf-8")
    return paths


@pytest.fixture
def sketched(draw):
    """Figures are made but not drawn, which is faster; how they look is of test_figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.showing.figures.draw", draw)
        patch.setattr("benchmark.showing.figures.save", sketch)
        yield


def outlines(tables):
    """Of each figure, in place of its pages, the tables that it shows."""
    from benchmark.showing import figures

    return ((drawing.stem, drawing.pages.args) for drawing in figures.drawings(tables) if not drawing.nothing)


def outline(shown, stem, formats=("png",)):
    """A figure's files, which hold what follows from those tables."""
    import pandas as pd

    told = [int(pd.util.hash_pandas_object(table).sum()) for table in shown]
    paths = [stem.with_name(f"{stem.name}.{form}") for form in formats]
    for path in paths:
        path.write_text(repr(told), encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def outlined(draw):
    """Figures are not even made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.showing.figures.draw", outlines)
        patch.setattr("benchmark.showing.figures.save", outline)
        yield


@pytest.fixture(scope="module")
def few_points():
    """At each distance errors are profiled at a few points, which is faster; what they are is of test_data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("benchmark.asked.data.PROFILE_POINTS", 4)
        yield


@pytest.fixture
def command(tmp_path, monkeypatch, capsys, outlined):
    """Run a command line in an empty folder of its own: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
        cli.finished.clear()
        cli.failures.clear()
        try:
            cli.command_line()
            code = 0
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def checkpoint(monkeypatch):
    """Where training saves at every evaluation, for whoever asks for it anew to go on after the first."""
    monkeypatch.setattr("benchmark.training.engine.KEPT_EVERY", 0.0)
    return Memory()


@pytest.fixture(scope="session")
def quick():
    """A request for a grid of three seeds and six steps; further names and overrides as for `configs.compose`."""
    from benchmark.asked.configs import compose

    @cache
    def composed(models, tasks, ranges, overrides, names):
        return compose(models, tasks, ranges, overrides=[*QUICK, *overrides], **dict(names))

    def request(models=("nalu",), tasks=("mul",), ranges=("positive",), overrides=(), **names):
        return composed(*map(tuple, (models, tasks, ranges, overrides, names.items())))

    return request
