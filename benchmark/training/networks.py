"""From a model's description to a network of units, and what that network can represent."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from benchmark.asked.classes import found
from benchmark.asked.replicas import Specification
from benchmark.asked.streams import Draw
from benchmark.asked.tasks import EVERY, Problem, outputs_of
from benchmark.errors import UsageError, short, unexpected, unknown
from benchmark.units import Impossible, Rows, Unit, distance_from_sparse
from benchmark.units.rows import seeded

MOST_SOLVED = 512  # unknowns of a least squares, whose time grows with their square: 30 s on 16,384 rows


class Network(nn.Sequential):
    """Units in a row, [..., in, batch] -> [..., output, batch]."""

    def __init__(self, *units: Unit):
        super().__init__(*units)
        self.axes = next(self.parameters()).dim()  # of the first parameter, without those of replicas

    def forward(
        self, x: Tensor, regularizers: Sequence[tuple[str, str | None]] | None = None, noise: Tensor | None = None
    ) -> Any:
        """The output, or with regularizers' names and layers (output, their terms): both of one set of parameters.

        noise: [..., `noise_rows`, batch], in training.
        """
        y, used, seen = x, 0, []
        for unit in self.units:
            seen.append(y)
            if unit.noisy and noise is not None:
                y = unit(y, noise[..., used : used + unit.inputs, :])
                used += unit.inputs
            else:
                y = unit(y)
        return y if regularizers is None else (y, [self.penalty(*term, seen) for term in regularizers])

    @property
    def units(self) -> list[Unit]:
        """The layers in order."""
        return [cast(Unit, unit) for unit in self]

    def initial(self, draw: Draw) -> dict[str, Tensor]:
        """Every parameter's starting values by its qualified name, float64 [replica, *shape]."""
        layers = enumerate(self.units)
        return {f"{i}.{name}": value for i, unit in layers for name, value in unit.initial(draw).items()}

    @property
    def noise_rows(self) -> int:
        """How many rows of noise its units take in training."""
        return sum(unit.inputs for unit in self.units if unit.noisy)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of the parameters that are clamped after every step, by qualified name."""
        return {f"{i}.{name}": ends for i, unit in enumerate(self.units) for name, ends in unit.bounds.items()}

    def regularizer(self, name: str, layers: str | None = None) -> Tensor:
        """The sum of all layers' terms of this name, or of the "hidden" layers' or the "output" layer's, [...]."""
        return self._summed(name, layers, [unit.regularizer for unit in self.units])

    def penalty(self, name: str, layers: str | None, seen: Sequence[Tensor]) -> Tensor:
        """The same while each layer is given what is `seen`."""
        return self._summed(name, layers, [partial(u.penalty, x=x) for u, x in zip(self.units, seen, strict=True)])

    def _summed(self, name: str, layers: str | None, terms: Sequence[Callable[[str], Tensor]]) -> Tensor:
        terms = {None: terms, "hidden": terms[:-1], "output": terms[-1:]}[layers]
        if not terms:
            raise ValueError(f"the regularizer {name!r} is of hidden layers and there are none; leave its layers out")
        return torch.stack([term(name) for term in terms]).sum(0)

    def effective_weights(self) -> list[Tensor]:
        """Every layer's."""
        return [W for unit in self.units for W in unit.effective_weights()]

    def sparsity(self) -> Tensor:
        """Largest min(|W|, |1 - |W||) over all effective weights: [...]; nan if no unit names any."""
        errors = [distance_from_sparse(W).flatten(-2).amax(-1) for W in self.effective_weights()]
        if not errors:
            first = next(self.parameters())
            return torch.full(first.shape[: first.dim() - self.axes], torch.nan)
        return torch.stack(errors).amax(0)


def build(specification: Specification) -> Network:
    """The network of a specification, its parameters unfilled.

    Raises UsageError where a class or an option of its configuration does not exist.
    """
    model, problem = specification.model, specification.problem
    sizes = [problem.inputs, *specification.hidden, problem.outputs]
    units = []
    for (name, options), (inputs, outputs) in zip(specification.layers, pairwise(sizes), strict=True):
        kind = found(name)
        try:
            _check_options(name, kind, options)
            rows = isinstance(kind, type) and issubclass(kind, nn.Module) and not issubclass(kind, Unit)
            with seeded(0):  # what a constructor draws and keeps is the same in every network
                unit = Rows(inputs, outputs, kind, **options) if rows else kind(inputs, outputs, **options)
        except UsageError:
            raise
        except (Exception, SystemExit) as error:  # whatever somebody's module or constructor raises
            told = (
                error if isinstance(error, ImportError | AttributeError | ValueError | TypeError) else unexpected(error)
            )
            call = ", ".join([str(inputs), str(outputs), *(f"{key}={short(value)}" for key, value in options.items())])
            raise UsageError(f"{name}({call}), of inputs, outputs and options, does not make a unit: {told}") from None
        if not isinstance(unit, Unit):
            raise UsageError(f"{name} makes no torch.nn.Module but {type(unit).__name__}; derive it from one")
        units.append(unit)
    if not any(parameter.numel() for unit in units for parameter in unit.parameters()):
        raise UsageError(f"{model.unit} has no parameters; there is nothing to train")
    network = Network(*units)
    for name, term in model.recipe.regularizers.items():
        try:
            network.penalty(name, term.layers, [torch.ones(unit.inputs, 1) for unit in units])
        except ValueError as error:
            raise UsageError(str(error)) from None
    if specification.rows is not None:
        _check_solvable(network, specification.rows, model.unit)
    known = {name.rpartition(".")[2] for name, _ in network.named_parameters()}
    for name in (name for turn in model.recipe.turns or () for name in turn.parameters):
        if name not in known:
            raise unknown("parameter that takes turns", name, known)
    return network


def _check_solvable(network: Network, rows: int, name: str) -> None:
    """UsageError unless its parameters follow from so many rows."""
    if len(network) > 1 or not network.units[0].solvable:
        what = f"{name} cannot be" if len(network) == 1 else f"{len(network)} layers of {name} cannot be"
        raise UsageError(f"{what} solved in closed form, only trained; leave recipe.rows out")
    unknowns = sum(parameter.numel() for parameter in network.parameters())
    if unknowns > min(rows, MOST_SOLVED):
        told = f"these {rows:,} training examples" if rows < MOST_SOLVED else f"{MOST_SOLVED} are solved for"
        raise UsageError(f"{name} has {unknowns:,} unknowns here, more than {told}; leave it out")


def _check_options(name: str, kind: Any, options: dict[str, Any]) -> None:
    """UsageError where an option is of another type than its default: the text "off" is true."""
    for key, parameter in inspect.signature(kind).parameters.items():
        default, value = parameter.default, options.get(key, parameter.default)
        types = {bool: bool, int: int, float: int | float, str: str}.get(type(default))
        if types is not None and (not isinstance(value, types) or (isinstance(value, bool) and types is not bool)):
            wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[type(default)]
            raise UsageError(f"{name}: {key} ({value!r}) must be {wanted}")


def representable(network: Network, problem: Problem, sign: str) -> tuple[str, str]:
    """Can some parameters compute the task on inputs of this sign: ("yes", "no" or "unknown", why not), as the units
    declare.

    A stack can where the hidden layers select the operands and the output computes, or the hidden layers compute and
    the output passes the result on. A product of two copies is a square. A stack that cannot do so is "unknown" unless
    its layers are all of one kind whose compositions are of that kind again, sums of sums or products of products.

    Several outputs it cannot where it cannot one of them; that it could all of them at once no unit declares.
    """
    if problem.outputs > 1:
        each = {name: replace(problem, operation=name) for name in outputs_of(problem.operation)}
        # A root is asked of what is not negative alone.
        signs = {name: "positive" if EVERY[name].low >= 0 else sign for name in each}
        told = [representable(network, part, signs[name]) for name, part in each.items()]
        return next((one for one in told if one[0] == "no"), ("unknown", ""))
    operation = problem.operation
    *before, output = network.units
    declared = output.ideal(operation, sign)
    why = declared.why if isinstance(declared, Impossible) else ""
    if not before:
        # A unit that sums its own inputs to operands and computes at once is not what `ideal` speaks of.
        answer = _can(output, operation, sign)
        return ("unknown", "") if answer == "yes" and problem.subsets else (answer, why)
    select = "identity" if problem.subsets is None else "add"

    def selecting(wires: int, computing: str) -> list[str]:
        """The hidden layers pass `wires` operands on, the output computes."""
        wide = "yes" if all(unit.outputs >= wires for unit in before) else "no"
        return [wide, *(_can(unit, select, sign) for unit in before), _can(output, computing, sign)]

    routes = [selecting(problem.operands, operation)]
    if operation == "square":
        routes.append(selecting(2, "mul"))
    if problem.subsets is None:
        passed = [_can(unit, "identity", _sign_of_result(operation, sign)) for unit in [*before[1:], output]]
        routes.append([_can(before[0], operation, sign), *passed])
    answers = ["no" if "no" in route else "unknown" if "unknown" in route else "yes" for route in routes]
    if "yes" in answers:
        return "yes", ""
    # That no route works is a proof only where layers of one kind compute nothing that is not of that kind.
    closed = all(type(unit) is type(output) and unit.closed for unit in network.units)
    if not closed or "unknown" in answers:
        return "unknown", ""
    return "no", why or "its layers cannot pass the operands on"


def _sign_of_result(operation: str, sign: str) -> str:
    if operation == "sub":
        return "mixed"
    return "positive" if operation in ("mul", "div") and sign == "negative" else sign


def _can(unit: Unit, operation: str, sign: str) -> str:
    declared = unit.ideal(operation, sign)
    return "unknown" if declared is None else "no" if isinstance(declared, Impossible) else "yes"
