"""The command line: config -> run -> tables -> figures. The only module that knows Hydra's main."""

import os
import re
import sys
import tempfile
from typing import Any

from benchmark.asked.conf_files import CONF, GROUPS, VERSION_BASE, choices_of
from benchmark.errors import RunError, UsageError, plain_warnings, told

EXAMPLES = """\
  python -m benchmark +model=nalu +task=mul
  python -m benchmark '+model=[mlp_relu,nac,nalu]' +task=arithmetic protocol.seeds=10
  python -m benchmark +experiment=trask2018_figure1_rmsprop
  python -m benchmark +experiment=madsen2020_simple protocol=madsen2020_simple/quick"""

# Hydra's flags that only tell something, or take another configuration than ours.
TELLS = ("cfg", "info", "hydra_help", "shell_completion", "experimental_rerun", "config_path", "config_name")
# What Hydra raises where files make no configuration; what a job of ours raises does not come so far.
WRONG = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError)
finished: list[Any] = []  # the requests of this process's jobs
failures: list[tuple[int, str]] = []  # (exit code, sentence) of its failed jobs


def main(cfg: Any) -> None:
    """One Hydra job: a grid. Its failure is remembered, not raised, so that a sweep's other jobs run."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from benchmark.asked.configs import resolve
    from benchmark.run import gather, run

    hydra = HydraConfig.get()
    try:
        overrides: Any = OmegaConf.to_container(hydra.overrides.task)
        request = resolve(cfg, hydra.runtime.choices, overrides, hydra.runtime.cwd)
        try:
            results = run(request)
        except RunError as error:
            failures.append((1, str(error)))
            results = gather(request)
        if results.tables:
            finished.append(request)
            show(results)
    except Exception as error:
        failures.append(told(error))
    if os.environ.get("BENCHMARK_COMMAND_LINE") != str(os.getpid()):  # in a process of one of Hydra's launchers
        draw()
        if failures:
            raise UsageError(failures[-1][1])


def show(results: Any) -> None:
    """The summary of the cells asked for, and our numbers beside the published ones where an experiment has some."""
    from benchmark.results.tables import to_csv, write_text
    from benchmark.showing.published import compare, tell
    from benchmark.showing.texts import report, say

    say(report(results.outcomes, results.summary, results.asked("cells")))
    for note in results.notes:
        print(f"note: {note}", file=sys.stderr)
    if results.request.published:
        comparison = compare(results)
        write_text(results.folder / "comparison.csv", to_csv(comparison))
        say(tell(comparison, results.outcomes))


def draw() -> None:
    """The figures and reports of the folders that were worked on, unless they tell of these very tables."""
    from benchmark import report
    from benchmark.showing.texts import say

    for folder in dict.fromkeys(request.results for request in finished):
        try:
            report.write(folder, anew=False)
            say(f"\n{report.files_of(folder)}")
        except Exception as error:
            failures.append(told(error))


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
python -m benchmark.representable  what each model can compute at all, and how exactly with its best weights
python -m benchmark.speed        replica-steps per second, beside the loop of one network per process"""


def normalise(arguments: list[str]) -> list[str]:
    """`+model=x` and `model=x` mean the same, and Hydra reads `~` only in quotes.

    >>> normalise(["+model=nalu", "results=~/here"])
    ['model=nalu', "results='~/here'"]
    """
    plain = [re.sub(rf"^\+({'|'.join(GROUPS)})=", r"\1=", argument) for argument in arguments]
    return [re.sub(r"^(\+*results=)(~[^,'\"]*)$", r"\1'\2'", argument) for argument in plain]


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
    named = [argument for argument in arguments if re.match(r"(--config-dir|-cd)(=|$)", argument)]
    if len(named) > 1:
        raise UsageError(f"There is one --config-dir, not {len(named)}; hydra.searchpath=[DIR,DIR] names several")
    return parser.parse_args(arguments)


def command_line() -> None:
    """Exit code 0; 2 for a request that cannot be met, 1 for a run that failed, 130 after Ctrl-C."""
    arguments = sys.argv[1:] = normalise(sys.argv[1:])
    if {"-h", "--help"} & set(arguments):
        print(help_text())
        return
    code = 0
    plain_warnings()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing and exiting
    os.environ["BENCHMARK_COMMAND_LINE"] = str(os.getpid())
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # where units of one's own lie; `python -m` does so by itself
    scratch = tempfile.TemporaryDirectory()  # Hydra's own record of a sweep does not belong to the results
    try:
        import hydra

        from benchmark.asked.checks import HYDRA_ERRORS, check_choices, sentence
        from benchmark.asked.configs import instead
        from benchmark.asked.own_files import own_folder

        flags, overrides = separated(arguments)
        options = understood([*overrides, *flags])
        folders = [] if options.config_dir is None else [own_folder("--config-dir", options.config_dir)]
        flags += [f"--config-dir={folder}" for folder in folders]  # the last one counts
        if not any(getattr(options, name) for name in TELLS):
            check_choices(overrides, folders)
            _ask_for_what_is_missing(overrides)
        sweep = [f"hydra.sweep.dir={scratch.name}"]
        compatible = VERSION_BASE or {"execution_whitelist": ["benchmark.*"]}
        job = hydra.main(**compatible, config_path=str(CONF), config_name="config")(main)
        try:
            sys.argv[1:] = [*sweep, *overrides, *flags]
            try:
                job()
            except HYDRA_ERRORS as error:
                sys.argv[1:] = [*sweep, *instead(overrides, error), *flags]
                job()
        except HYDRA_ERRORS as error:
            failures.append((2, sentence(error)))
        except WRONG as error:
            failures.append((2, f"These settings make no configuration: {sentence(error)}"))
    except Exception as error:
        failures.append(told(error))
    except KeyboardInterrupt:
        text = "\nInterrupted; finished tiles are kept and the same command goes on from there."
        failures.append((130, text))
    finally:
        scratch.cleanup()
        if finished:
            draw()
    for own, text in failures:
        print(text, file=sys.stderr)
        code = max(code, own)
    raise SystemExit(code)


def _ask_for_what_is_missing(arguments: list[str]) -> None:
    named = {argument.split("=", 1)[0] for argument in arguments}
    for group in ("model", "task"):
        if not {group, "experiment"} & named:
            raise UsageError(
                f"Choose a {group}: {group}=<one or [several] of {', '.join(choices_of(group))}>, or an experiment: "
                f"experiment=<{', '.join(choices_of('experiment'))}>; --help tells more"
            )


if __name__ == "__main__":
    command_line()
