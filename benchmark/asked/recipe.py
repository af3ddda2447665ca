"""How a unit's authors train it."""

import math
from dataclasses import dataclass, field

from benchmark.errors import UsageError, number, unknown, whole

LONGEST_TURN = 1000  # steps; memory holds what each step of a round of turns updates


def in_steps(time: float, steps: int) -> float:
    """A time in a run of `steps`: fractions of the run up to 1, steps above it."""
    return time * steps if time <= 1 else time


@dataclass
class Regularizer:
    """A term added to the loss with a weight that rises linearly from 0 at `start` to `weight` at `end`.

    start, end: fractions of the run up to 1, steps above it. Madsen & Johansen 2020, section on the sparsity
    regularizer: λ(t) = λ̂ min(max((t - start) / (end - start), 0), 1).

    initial, every: instead of that line, the weight starts at `initial` and grows tenfold after each `every` up to
    `weight`. until: a time from which on it is 0 again (Sahoo et al. 2018). below: only replicas whose mean squared
    error on the batch is below it feel the term. layers: "hidden" or "output" where only their parameters feel it
    (Madsen & Johansen 2020, the experiment on gates).
    """

    weight: float
    start: float = 0.0
    end: float = 0.0
    initial: float | None = None
    every: float | None = None
    until: float | None = None
    below: float | None = None
    layers: str | None = None

    def __post_init__(self) -> None:
        if self.layers not in (None, "hidden", "output"):
            raise unknown("regularizer's layers", str(self.layers), ("hidden", "output"))
        number("a regularizer's weight", self.weight, least=0)
        number("a regularizer's start", self.start, least=0)
        for name in ("initial", "every", "until", "below"):
            if getattr(self, name) is not None:
                number(f"a regularizer's {name}", getattr(self, name), above=0)
        if (self.initial is None) != (self.every is None):
            raise UsageError(
                "a regularizer's initial and every belong together: the weight grows tenfold after each every"
            )
        if number("a regularizer's end", self.end) < self.start:
            raise UsageError(f"a regularizer's end ({self.end:g}) must not come before its start ({self.start:g})")
        if self.until is not None and self.until <= self.start:
            raise UsageError(f"a regularizer's until ({self.until:g}) must come after its start ({self.start:g})")

    def acts(self, steps: int) -> bool:
        """Whether a run of `steps` feels it."""
        last = steps if self.until is None else min(steps, math.ceil(in_steps(self.until, steps)))
        return self.strength(last - 1, steps) > 0

    def strength(self, step: int, steps: int) -> float:
        """λ at this step of a run of `steps`.

        >>> [Regularizer(10.0, start=0.4, end=0.6).strength(step, 100) for step in (40, 50, 60, 99)]
        [0.0, 5.0, 10.0, 10.0]
        """
        start, end = in_steps(self.start, steps), in_steps(self.end, steps)
        if self.until is not None and step >= in_steps(self.until, steps):
            return 0.0
        if self.initial is not None and self.every is not None:
            times = max(0.0, step - start) / in_steps(self.every, steps)
            tenfolds = math.floor(min(times, 1000.0))  # beyond any number; what is infinite has no floor
            # Read from its digits: a libm's power need not be exact.
            return min(self.weight, self.initial * float(f"1e{tenfolds}")) * (step >= start)
        if end <= start:
            return self.weight * (step >= start)
        return self.weight * min(max((step - start) / (end - start), 0.0), 1.0)


@dataclass
class Restart:
    """When a replica that gets nowhere starts anew from other initial parameters (Schlör et al. 2020).

    That is when more than `after` (a fraction of the run up to 1, steps above it) has passed since it last started, the
    mean interpolation error of the second half of its evaluations since then is above `above`, and that of the first
    half is not more than a standard deviation above that of the second.

    every: it is looked at in multiples of this time only. errors: "batch" for the errors of all batches since then
    instead of the evaluations'. uniform: parameters are drawn from U(-uniform, uniform) instead of anew as at first.
    The optimizer's moments are kept.
    """

    after: float = 0.1
    above: float = 1.0
    every: float | None = None
    errors: str | None = None
    uniform: float | None = None

    def __post_init__(self) -> None:
        for name in ("every", "uniform"):
            if getattr(self, name) is not None:
                number(f"restart's {name}", getattr(self, name), above=0)
        if self.errors not in (None, "batch"):
            raise unknown("restart's errors", str(self.errors), ("batch",))
        number("restart's after", self.after, above=0)
        number("restart's above", self.above, least=0)

    def due(self, step: int, steps: int) -> bool:
        """Whether it is looked at after this step.

        >>> Restart(every=0.07).due(2_800, 40_000), Restart(every=100).due(150, 40_000), Restart().due(150, 40_000)
        (True, False, True)
        """
        return self.every is None or step % max(1, round(in_steps(self.every, steps))) == 0


@dataclass
class Turn:
    """For so many steps only these parameters of each layer are updated; the others and their moments rest.

    Schlör et al. 2020. Adam's corrections count every step.
    """

    steps: int
    parameters: list[str]

    def __post_init__(self) -> None:
        whole("a turn's steps", self.steps, 1, LONGEST_TURN)
        if not self.parameters:
            raise UsageError("a turn must name the parameters that are updated in it")


@dataclass
class Recipe:
    """How a model is trained: learning rate, regularizers by the names that its units know (see `Unit.regularizer`).

    clip_value: largest absolute value of a gradient's elements. clip_norm: largest Euclidean norm of a replica's
    gradient. restart: whether and when training starts anew. turns: which parameters take turns, again and again.
    separate: the regularizers are not added to the error but minimised by a step of their own after each of its steps,
    in the replicas that feel them (Schlör et al. 2020). rows: instead of all this, no step changes anything but the
    first, which solves the one layer in closed form (see `Unit.solve`) on that many of the first training examples, or
    all if they are fewer; what is judged is that, whatever the protocol selects.
    """

    learning_rate: float = 0.01
    regularizers: dict[str, Regularizer] = field(default_factory=dict)
    clip_value: float | None = None
    clip_norm: float | None = None
    restart: Restart | None = None
    turns: list[Turn] | None = None
    separate: bool | None = None
    rows: int | None = None

    def __post_init__(self) -> None:
        number("learning_rate", self.learning_rate, above=0)
        for name in ("clip_value", "clip_norm"):
            if getattr(self, name) is not None:
                number(name, getattr(self, name), above=0)
        if self.turns == []:
            raise UsageError("turns must hold at least one turn; without turns all parameters are always updated")
        if self.rows is not None:
            whole("rows", self.rows, 1, 1 << 20)
