"""How much is trained and how it is judged; and, apart from that, how it is computed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from benchmark.errors import UsageError, number, short, unknown, whole

OPTIMIZERS = ("adam", "rmsprop", "rmsprop_tensorflow", "rmsprop_flux", "sgd", "schedule_free")
LIMITS = {  # of whole numbers: the least and the most
    "seeds": (1, 1_000_000), "first_seed": (0, 1 << 62), "data_seed": (0, 1 << 62), "steps": (1, 10**10),
    "batch": (1, 1 << 20), "evaluate_every": (1, 10**10), "evaluation_size": (2, 1 << 20), "inputs": (1, 1 << 12),
    "samples": (1, 1 << 30),
}  # fmt: skip
WIDEST = 1 << 12  # units of a layer
ONCE = ("variants", "seeds", "first_seed")  # what no variant sets


def _mapped(name: str, value: Any) -> list[tuple[str, Any]]:
    """A mapping's entries under their names; UsageError if it is none, unless it is None."""
    if value is not None and not isinstance(value, dict):
        raise UsageError(f"{name} ({short(value)}) must be a mapping, such as {{}}")
    return [(f"{name}.{key}", inner) for key, inner in (value or {}).items()]


def check_hidden(sizes: Any) -> None:
    """Raise UsageError unless these are the sizes of hidden layers."""
    if not isinstance(sizes, list):
        raise UsageError(f"hidden ({short(sizes)}) must be a list of sizes, [2] or []")
    for size in sizes:
        whole("a hidden layer's size", size, 1, WIDEST)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise unknown(name, value, choices)


@dataclass
class Protocol:
    """A paper's numbers. Everything here but `seeds` and `first_seed` decides a replica's numbers.

    seeds: how many, counted from first_seed. data_seed: one seed for everybody's training data and subsets, or None
    for each replica's own. evaluate_every: in steps; None for twenty evaluations a run. epsilon: of the success
    threshold. fits: largest relative interpolation error of a network that fits its training range. select: the judged
    step, "best" (by interpolation error), "last", or "sum" (by the sum of both errors, so that what judges selects too:
    of papers that do so). learning_rate, hidden: instead of the models' own, where not None.
    samples: training examples in all, the same in every epoch and never reshuffled; None for fresh ones in every batch.
    inputs, subset, overlap, spans: the arithmetic data set's, see `tasks.pose`. threshold: how it follows from epsilon,
    or what it is, see `tasks.threshold`. models: a model's name -> what this protocol changes of its configuration.
    tasks: a task's name -> the models that are trained on it, each -> what is changed of it for this task; every model
    is if a task is not named, and a model that is named nowhere here is trained on every task. ranges: the names of
    those on which it trains, a variant mostly; all if empty, and a variant also on those that none names. variants:
    settings of this protocol that are tried one after the other, each as a mapping from names to values; one run with
    what stands here if there are none.
    """

    seeds: int = 25
    first_seed: int = 0
    data_seed: int | None = None
    steps: int = 40_000
    batch: int = 128
    evaluate_every: int | None = None
    evaluation_size: int = 10_000
    epsilon: float = 1e-4
    fits: float = 0.05
    select: str = "best"
    optimizer: str = "adam"
    learning_rate: float | None = None
    hidden: list[int] | None = None
    dtype: str = "float32"
    inputs: int | None = None
    subset: float = 0.25
    overlap: float = 0.5
    spans: list[Any] | None = None
    samples: int | None = None
    threshold: Any = None
    models: dict[str, Any] = field(default_factory=dict)
    tasks: dict[str, Any] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    variants: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, limits in LIMITS.items():
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), *limits)
        for name in ("epsilon", "fits", "learning_rate"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), above=0)
        number("subset", self.subset, above=0)
        number("overlap", self.overlap, least=0)
        for name in ("epsilon", "subset", "overlap"):
            if getattr(self, name) > 1:
                raise UsageError(f"{name} ({getattr(self, name):g}) must be a fraction, at most 1")
        if self.epsilon == 1:
            raise UsageError("epsilon (1) must be below 1, for weights that are wrong by 1 may be 0")
        if self.hidden is not None:
            check_hidden(self.hidden)
        if self.samples is not None and self.samples % self.batch:
            raise UsageError(f"samples ({self.samples}) must be a multiple of the batch ({self.batch})")
        if isinstance(self.threshold, str):
            _one_of("threshold", self.threshold, ("inclusive", "module"))
        elif self.threshold is not None:
            self.threshold = number("threshold", self.threshold, above=0)
        if self.spans is not None:
            self._check_spans()
        for name, changes in [*_mapped("models", self.models), *_mapped("tasks", self.tasks)]:
            _mapped(name, changes)
        for task, models in (self.tasks or {}).items():
            for name, changes in _mapped(f"tasks.{task}", models or {}):
                _mapped(name, changes)
        _one_of("select", self.select, ("best", "last", "sum"))
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("dtype", self.dtype, ("float32", "float64"))

    def varied(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What each variant changes; of the protocol itself, nothing.

        given: the settings of the command line. A variant that would change one of them to something else is left out,
        and so is one that does not speak of them where another sets them just so. UsageError where nothing is left.
        """
        if not self.variants:
            return [{}]
        known = {f.name for f in fields(self)} - {*ONCE}
        for variant in self.variants:
            if not isinstance(variant, dict):
                raise UsageError(f"a protocol's variants ({short(variant)}) are mappings, such as {{inputs: 10}}")
            for name in variant:
                if name not in known:
                    raise unknown("key of protocol in its variants", str(name), known)
        varied = {name: [v[name] for v in self.variants if name in v] for variant in self.variants for name in variant}
        chosen = {name: value for name, value in given.items() if name in varied}
        kept = [v for v in self.variants if all(value == v.get(name, value) for name, value in chosen.items())]
        kept = [v for v in kept if chosen.keys() <= v.keys()] or kept
        if not kept:
            told = [f"{name}={value} (they have {', '.join(map(str, varied[name]))})" for name, value in chosen.items()]
            raise UsageError(f"No variant of this protocol has {' and '.join(told)}")
        return [dict(variant) for variant in kept]

    def _check_spans(self) -> None:
        pairs = [isinstance(span, list) and [type(end) for end in span] == [int, int] for span in self.spans or ()]
        if not all(pairs) or len(pairs) != 2:
            raise UsageError(
                f"spans ({short(self.spans)}) must be two pairs of whole numbers, [[start, stop], [start, stop]]"
            )
        if self.inputs is None:
            raise UsageError("spans are of the arithmetic data set; set protocol.inputs as well")

    @property
    def evaluated_steps(self) -> list[int]:
        """Step 0, every `evaluate_every` steps, and the last step.

        >>> Protocol(steps=10, evaluate_every=4).evaluated_steps
        [0, 4, 8, 10]
        """
        every = self.evaluate_every or max(1, self.steps // 20)
        return [*range(0, self.steps, every), self.steps]


@dataclass
class Engine:
    """How the numbers are computed, which no number depends on; None leaves the choice to the engine.

    mode: "auto", "eager" or "compiled". workers: processes. tile: replicas trained at once. steps_per_call: training
    steps in one compiled call. device: "auto" (a GPU for long work where there is one), "cpu" or "cuda".
    """

    mode: str = "auto"
    workers: int | None = None
    tile: int | None = None
    steps_per_call: int | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, ("auto", "eager", "compiled"))
        _one_of("device", self.device, ("auto", "cpu", "cuda"))
        for name, most in (("workers", 4096), ("tile", 1 << 20), ("steps_per_call", 10**10)):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), 1, most)
