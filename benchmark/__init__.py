"""Can a neural network that learned + − × ÷ square √ on one range of numbers compute it outside that range?

In a notebook: `from benchmark.run import run`, then `run(models=["nalu"], tasks=["mul"]).summary`; and
`benchmark.results("headline").summary` for what is there already.
The rooms of the package, each importing only from those before it: `asked`, `units`, `results`, `training`, `showing`.
Their docstrings say what belongs in them; here lie the commands, and `exact` and `errors` for everybody.
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchmark import results

if TYPE_CHECKING:
    from benchmark.reading import Reading


class _Room(ModuleType):
    """The room `results`, which called also hands out results."""

    def __call__(self, source: Any) -> "Reading":
        """The results of a reference or of a folder as data frames; see `reading.opened`."""
        from benchmark.reading import opened  # pandas, for whoever calls it

        return opened(source)


results.__class__ = _Room  # type: ignore[assignment]
