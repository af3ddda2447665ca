"""How a unit's authors train it."""

from dataclasses import dataclass, field

from benchmark.errors import UsageError, number

REGULARIZERS = ("sparsity", "l1")


@dataclass
class Regularizer:
    """A term added to the loss with a weight that rises linearly from 0 at `start` to `weight` at `end`.

    start, end: fractions of the run up to 1, steps above it. Madsen & Johansen 2020, section on the sparsity
    regularizer: λ(t) = λ̂ min(max((t - start) / (end - start), 0), 1).
    """

    weight: float
    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        number("a regularizer's weight", self.weight, least=0)
        number("a regularizer's start", self.start, least=0)
        if number("a regularizer's end", self.end) < self.start:
            raise UsageError(f"a regularizer's end ({self.end:g}) must not come before its start ({self.start:g})")

    def strength(self, step: int, steps: int) -> float:
        """λ at this step of a run of `steps`.

        >>> [Regularizer(10.0, start=0.4, end=0.6).strength(step, 100) for step in (40, 50, 60, 99)]
        [0.0, 5.0, 10.0, 10.0]
        """
        start, end = (time * steps if time <= 1 else time for time in (self.start, self.end))
        if end <= start:
            return self.weight * (step >= start)
        return self.weight * min(max((step - start) / (end - start), 0.0), 1.0)


@dataclass
class Recipe:
    """The learning rate and the regularizers by name: `sparsity` (mean of min(|W|, |1 - |W||)) or `l1` (sum of |θ|)."""

    learning_rate: float = 0.01
    regularizers: dict[str, Regularizer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number("learning_rate", self.learning_rate, above=0)
        for name in self.regularizers:
            if name not in REGULARIZERS:
                raise UsageError(f"There is no regularizer {name!r}; choose from: {', '.join(REGULARIZERS)}")
