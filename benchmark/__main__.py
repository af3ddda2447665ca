"""The command line: config -> run -> tables -> figures. The only module that knows Hydra's main."""

import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr
from pathlib import Path
from typing import Any

from benchmark.asked.conf_files import CONF, GROUPS, VERSION_BASE, choices_of, groups_as_they_are
from benchmark.errors import RunError, UsageError, doing, guarded, plain_warnings, say, speak, to_stderr, told

EXAMPLES = """\
  python -m benchmark +model=nalu +task=mul
  python -m benchmark '+model=[mlp_relu,nac,nalu]' +task=arithmetic protocol.seeds=10
  python -m benchmark +experiment=trask2018_figure1_rmsprop
  python -m benchmark +experiment=madsen2020_simple protocol=madsen2020_simple/quick"""

# Hydra's flags that only tell something, or take another configuration than ours.
TELLS = ("cfg", "info", "hydra_help", "shell_completion", "experimental_rerun", "config_path", "config_name")
# What Hydra raises where files make no configuration; what a job of ours raises does not come so far.
WRONG = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError)
finished: list[Any] = []  # what jobs have results of: `jobs.Asked`
stores: dict[Any, Any] = {}  # the stores of their folders
failures: list[tuple[int, str]] = []  # (exit code, sentence) of its failed jobs


def main(cfg: Any) -> None:
    """One Hydra job: a grid. Its failure is remembered, not raised, so that a sweep's other jobs run.

    What a launcher runs elsewhere tells the command how it ended, and the command shows and draws.
    """
    from hydra.core.hydra_config import HydraConfig

    from benchmark import jobs

    hydra = HydraConfig.get()
    folder = jobs.launched(hydra)
    if folder is None:
        _job(cfg, hydra)
        return
    plain_warnings()
    jobs.tell(folder)
    _job(cfg, hydra, jobs.at_once(hydra), here=False)
    code = max((code for code, _ in failures), default=0)
    ended = jobs.Ended(code, " ".join(text for _, text in failures), finished[0] if finished else None)
    finished.clear()  # this process may run another job, or be the command's
    failures.clear()
    jobs.tell(folder, ended)


def _job(cfg: Any, hydra: Any, share: int = 1, here: bool = True) -> None:
    """Train and show what is asked for; see `run.train_missing`. here: where somebody sees it."""
    from omegaconf import OmegaConf

    from benchmark.asked.configs import resolve
    from benchmark.results.store import Store
    from benchmark.run import keep, train_missing

    try:
        overrides: Any = OmegaConf.to_container(hydra.overrides.task)
        request = resolve(cfg, hydra.runtime, overrides, hydra.runtime.cwd)
        place = os.path.abspath(request.results)
        store = stores[place] = stores.get(place) or Store(request.results)
        try:
            train_missing(request, store, share, here)
        except RunError as error:
            failures.append((1, str(error)))
        except KeyboardInterrupt:
            keep(request, store)
            raise
        one = asked_for(request)
        if here:
            show(one)
        elif set(dict(one.cells)) & {identity[:-2] for identity in store.held()}:
            finished.append(one)
    except Exception as error:
        failures.append(told(error))


def asked_for(request: Any) -> Any:
    """A request as its results are shown."""
    from benchmark.asked.conf_files import published_of
    from benchmark.jobs import Asked
    from benchmark.run import asked

    elsewhere: dict[str, list[tuple]] = {}
    for cell in request.cells if request.published else ():
        if published_of(cell.protocol) != request.published:
            elsewhere.setdefault(request.published, []).append(cell.names)
    return Asked(str(request.results), list(asked(request).items()), elsewhere)


def show(one: Any) -> None:
    """The summary of the cells asked for. Tables are made of these alone: the folder's follow once, in `draw`."""
    from benchmark.results.store import Store
    from benchmark.run import derived
    from benchmark.showing.texts import report

    doing("Evaluating …")
    place = os.path.abspath(one.folder)
    store = stores[place] = stores.get(place) or Store(Path(one.folder))
    tables, _ = derived(store, dict(one.cells), alone=True)
    if tables:
        finished.append(one)
        swept = os.environ.get("BENCHMARK_SWEPT", "").split(",")
        say(report(tables["outcomes"], tables["summary"], tables["cells"], swept))


def draw() -> None:
    """The tables, figures and reports of the folders that were worked on, and our numbers beside the published ones.

    Figures that tell of these very tables stay as they are; where one was removed, all are drawn again.
    """
    from benchmark import rank, report
    from benchmark.showing import figures, published

    for name in dict.fromkeys(one.folder for one in finished):
        folder = Path(name)
        doing(f"Deriving the tables of {folder} and drawing its figures …")
        own = [one for one in finished if one.folder == name]
        wanted = {cell: digest for one in own for cell, digest in one.cells}
        elsewhere: dict[str, list[tuple]] = {}
        for table, cells in (item for one in own for item in one.elsewhere.items()):
            elsewhere.setdefault(table, []).extend(cells)
        try:
            found, notes = report.write(folder, anew=False, asked=wanted)
            for note in notes:
                to_stderr(f"note: {note}")
            if "comparison" in found:
                _tell(published.asked(found["comparison"], wanted), found)
            for table, cells in elsewhere.items():
                to_stderr(
                    f"note: comparison.csv does not hold the numbers beside {table}: it holds, for each protocol, the "
                    "published table of the experiment with its name"
                )
                parts = {kind: published.asked(rows, cells) for kind, rows in found.items()}
                _tell(published.beside(table, parts, stores[os.path.abspath(folder)]), found)
            if verdict := rank.among(_from_here(folder), found, wanted):
                say(f"\n{verdict}")
            say(f"\n{report.files_of(folder, figures.showing(found, wanted))}")
        except Exception as error:
            failures.append(told(error))


def _from_here(folder: Any) -> str:
    """The folder as a command names it from here; on another drive of Windows by its whole path."""
    try:
        return os.path.relpath(folder)
    except ValueError:
        return str(folder)


def _tell(comparison: Any, found: Any) -> None:
    from benchmark.showing.published import tell

    if text := tell(comparison, found["outcomes"]):
        say(text)


def help_text() -> str:
    """What `--help` prints."""
    import textwrap

    def listed(group: str) -> str:
        names = ", ".join(choices_of(group)) or "none yet"
        return textwrap.fill(names, 110, initial_indent=f"  {group + 's':12}", subsequent_indent=" " * 14)

    return f"""\
Can a neural network that learned + − × ÷ square √ on one range of numbers compute it outside that range?

usage: python -m benchmark +model=NAME +task=NAME [range=NAME] [protocol=NAME] [key=value ...]
       python -m benchmark +experiment=NAME [key=value ...]

NAME may be a list, '[nac,nalu]': one job trains the whole grid. -m runs one job for each of model=nac,nalu.
A model may be a class of your own, mine.Net: a Unit or a torch.nn.Module that is made with (inputs, outputs).

{chr(10).join(map(listed, GROUPS))}

settings:
  results=DIR        where tables and figures go; results/<experiment or protocol> if not given
  protocol.KEY=...   what decides the numbers: seeds steps batch optimizer ... (see conf/protocol/default.yaml)
  engine.KEY=...     how they are computed: workers tile steps_per_call mode device
  --cfg job          show the configuration and run nothing; --hydra-help: Hydra's own options

examples:
{EXAMPLES}

python -m benchmark.report DIR   tables, figures and REPORT.md of a results folder again, without training
python -m benchmark.compare A B  is A better than B, worse, or the same? results folders, tables or published names
python -m benchmark.rank A B ... every model's rank task by task, and your own against all others
python -m benchmark.verify DIR   draw rows of a results folder, train them anew and compare every number
python -m benchmark.page [DIR]   all results as one HTML page to explore, which opens from disk
python -m benchmark.ledger       what papers claim, and what the references say of it
python -m benchmark.representable  what each model can compute at all, and how exactly with its best weights
python -m benchmark.speed        replica-steps per second, beside the loop of one network per process"""


def _help() -> int:
    say(help_text())
    return 0


def normalise(arguments: list[str]) -> list[str]:
    """`+model=x` and `model=x` mean the same, and Hydra reads `~` only in quotes.

    >>> normalise(["+model=nalu", "results=~/here"])
    ['model=nalu', "results='~/here'"]
    """
    plain = groups_as_they_are(arguments)
    return [re.sub(r"^(\+*results=)(~[^,'\"]*)$", r"\1'\2'", argument) for argument in plain]


def quoted(text: str) -> str:
    r"""A text as Hydra reads it whatever is in it.

    >>> print(quoted("/shared/o'brien"), quoted("C:\\here"))
    '/shared/o\'brien' 'C:\here'
    """
    escaped = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + (found[2] and "\\'"), text)
    return f"'{escaped}'"


def separated(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags, in full, with their values; and the overrides, wherever they stand between them.

    >>> separated(["+task=add", "--config-d", "mine", "+model=nac", "-m"])
    (['--config-dir', 'mine', '-m'], ['+task=add', '+model=nac'])
    """
    from hydra._internal.utils import get_args_parser

    actions = get_args_parser()._option_string_actions
    flags: list[str] = []
    overrides: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        name, equals, value = argument.partition("=")
        near = [option for option in actions if name.startswith("--") and option.startswith(name)]
        name = near[0] if len(near) == 1 else name
        flags.append(name + equals + value)
        takes = actions[name].nargs if name in actions and not equals else 0
        if rest and (takes is None or (takes == "?" and not re.match(r"-|.*=", rest[0]))):
            flags.append(rest.pop(0))
    return flags, overrides


def understood(arguments: list[str]) -> Any:
    """The arguments as Hydra's parser reads them; UsageError where it does not."""
    from hydra._internal.utils import get_args_parser

    def refuse(told: str) -> Any:
        raise UsageError(f"{told}; --help tells what there is")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign, assignment]
    for argument in arguments:
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", argument):
            raise UsageError(f"{argument!r} holds a control character; write it without")
    named = [argument for argument in arguments if re.match(r"(--config-dir|-cd)(=|$)", argument)]
    if len(named) > 1:
        raise UsageError(f"There is one --config-dir, not {len(named)}; hydra.searchpath=[DIR,DIR] names several")
    return parser.parse_args(arguments)


def swept(overrides: list[str]) -> list[str]:
    """The keys of the settings that a sweep varies.

    >>> swept(["task=add", "model=nac,nalu", "protocol.steps=2000,5000"])
    ['model', 'protocol.steps']
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(overrides)
    return [override.key_or_group for override in parsed if override.is_sweep_override()]


def command_line() -> None:
    """Exit code 0; 2 for a request that cannot be met, 1 for a run that failed, 130 after Ctrl-C."""
    arguments = sys.argv[1:] = normalise(sys.argv[1:])
    if {"-h", "--help"} & set(arguments):
        if code := guarded(_help):
            raise SystemExit(code)
        return
    code = 0
    speak()
    stores.clear()
    plain_warnings()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and exiting
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # where units of one's own lie; `python -m` does so by itself
    scratch = tempfile.TemporaryDirectory()  # Hydra's own record of a sweep does not belong to the results
    away = None  # a sweep whose jobs a launcher runs elsewhere
    try:
        import hydra

        from benchmark.asked.checks import HYDRA_ERRORS, check_choices, sentence
        from benchmark.asked.configs import instead
        from benchmark.asked.own_files import own_folder

        flags, overrides = separated(arguments)
        options = understood([*overrides, *flags])
        folders = [] if options.config_dir is None else [own_folder("--config-dir", options.config_dir)]
        flags += [f"--config-dir={folder}" for folder in folders]  # the last one counts
        tells = {name for name in TELLS if getattr(options, name)}
        if tells <= {"cfg"}:
            check_choices(overrides, folders)
        if not tells:
            _ask_for_what_is_missing(overrides)
        multirun = options.multirun or "hydra.mode=MULTIRUN" in overrides
        if multirun and any(re.match(r"hydra/launcher=(?!basic$)", override) for override in overrides):
            from benchmark.jobs import Sweep

            away = Sweep(overrides)
        sweep = [f"hydra.sweep.dir={quoted(str(away.folder if away else scratch.name))}"]
        compatible = VERSION_BASE or {"execution_whitelist": ["benchmark.*"]}
        job = hydra.main(**compatible, config_path=str(CONF), config_name="config")(main)
        try:
            sys.argv[1:] = [*sweep, *overrides, *flags]
            os.environ["BENCHMARK_SWEPT"] = ",".join(swept(overrides) if options.multirun else [])
            with away.watched() if away else nullcontext():
                try:
                    _started(job, options)
                except HYDRA_ERRORS as error:
                    sys.argv[1:] = [*sweep, *instead(overrides, error), *flags]
                    _started(job, options)
        except HYDRA_ERRORS as error:
            failures.append((2, sentence(error)))
        except WRONG as error:
            failures.append((2, f"These settings make no configuration: {sentence(error)}"))
    except Exception as error:
        failures.append(told(error))
    except KeyboardInterrupt:
        text = "\nInterrupted; finished tiles are kept and the same command goes on from there."
        text += " What its launcher has queued goes on." if away else ""
        failures.append((130, text))
    finally:
        scratch.cleanup()
        try:
            if away:
                _gather(away)
            if finished:
                draw()
        except KeyboardInterrupt:
            text = "\nInterrupted; `python -m benchmark.report DIR` derives the tables and draws the figures again."
            failures.append((130, text))
    for own, text in failures:
        to_stderr(text)
        code = max(code, own)
    raise SystemExit(code)


def _started(job: Callable[[], Any], options: Any) -> None:
    """Run Hydra's job; UsageError where it is to show a part of the configuration that there is not, which ends it."""
    if not (options.cfg and options.package):
        job()
        return
    with redirect_stderr(io.StringIO()) as said:
        try:
            job()
        except SystemExit:
            raise UsageError(
                f"--package ({options.package}) is no part of the configuration, as engine is one"
            ) from None
    sys.stderr.write(said.getvalue())


def _gather(away: Any) -> None:
    """Show what the jobs of a sweep have trained elsewhere, and remember their failures."""
    asked, failed = away.ends(bool(failures))
    if not any(code == 130 for code, _ in failures):  # else jobs need not have ended
        failures.extend(failed)
    for one in asked:
        try:
            show(one)
        except Exception as error:
            failures.append(told(error))


def _ask_for_what_is_missing(arguments: list[str]) -> None:
    named = {argument.split("=", 1)[0] for argument in arguments}
    for group in ("model", "task"):
        if not {group, "experiment"} & named:
            raise UsageError(
                f"Choose a {group}: {group}=<one or [several] of {', '.join(choices_of(group))}>, or an experiment: "
                f"experiment=<{', '.join(choices_of('experiment'))}>; --help tells more"
            )


if __name__ == "__main__":
    import importlib

    # By its name, under which other processes find what they are to run.
    importlib.import_module("benchmark.__main__").command_line()
