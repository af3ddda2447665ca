"""Which network: a unit as the output layer, another or the same before it, and the recipe it is trained with."""

from dataclasses import dataclass, field
from typing import Any

from benchmark.asked.classes import is_ours
from benchmark.asked.protocol import check_hidden
from benchmark.asked.recipe import Recipe


@dataclass
class Model:
    """A network and how its authors train it.

    unit, hidden_unit: importable names of classes, units or modules that compute on rows; hidden_unit is the unit
    itself if None. options, hidden_options: their keyword arguments; one that is "trained range" is the interval of the
    training inputs in the first layer, and the class's default in the others. hidden: the sizes of the layers before
    the output, unless the protocol sets them.
    """

    unit: str
    options: dict[str, Any] = field(default_factory=dict)
    hidden_unit: str | None = None
    hidden_options: dict[str, Any] = field(default_factory=dict)
    hidden: list[int] = field(default_factory=list)
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        check_hidden(self.hidden)

    @property
    def foreign(self) -> list[str]:
        """The importable names of its classes that are not this package's, those that `Rows` wraps included."""
        names = []
        for unit, options in ((self.unit, self.options), (self.hidden_unit, self.hidden_options)):
            names += [unit] if unit and not is_ours(unit) else []
            wrapped = options.get("module") if unit and is_ours(unit) else None
            names += [wrapped] if isinstance(wrapped, str) and not is_ours(wrapped) else []
        return names
