"""What a tile executes, one program an architecture: its training step and its forward pass, eager or compiled.

Both engines run the same functions, written once. Compiled, forward, gradient and optimizer of several steps are one
graph; tasks, ranges, seeds, learning rates and schedules are its inputs, so that one compilation serves them all.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.compiling import compiled
from benchmark.networks import Network, build
from benchmark.optimizers import OPTIMIZERS, Update
from benchmark.recipe import Recipe
from benchmark.replicas import Specification


class Parameters:
    """All parameters of all replicas as one flat vector, parameter by parameter: [Σ replica · size]."""

    def __init__(self, network: Network, replicas: int, device: torch.device):
        self.names = [name for name, _ in network.named_parameters()]
        self.shapes = [(replicas, *parameter.shape) for parameter in network.parameters()]
        self.sizes = [int(np.prod(shape)) for shape in self.shapes]
        owners = [torch.arange(replicas).repeat_interleave(size // replicas) for size in self.sizes]
        self.owner = torch.cat(owners).to(device)  # the replica of each element
        self.bounds: tuple[Tensor, Tensor] | None = None
        if bounds := network.bounds:
            ends = torch.tensor([bounds.get(name, (-torch.inf, torch.inf)) for name in self.names], dtype=torch.float32)
            low, high = ends.repeat_interleave(torch.tensor(self.sizes), 0).to(device).unbind(-1)
            self.bounds = low, high

    def project(self, theta: Tensor) -> None:
        """Clamp what its unit bounds, in place."""
        if self.bounds is not None:
            theta.clamp_(*(end.to(theta.dtype) for end in self.bounds))

    def flat(self, tensors: dict[str, Tensor]) -> Tensor:
        """[replica, ...] by name -> flat."""
        return torch.cat([tensors[name].reshape(-1) for name in self.names])

    def unflat(self, theta: Tensor) -> dict[str, Tensor]:
        """Flat -> views [replica, ...] by name."""
        pieces = theta.split(self.sizes)
        return {name: piece.view(shape) for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)}


class _Parameters(torch.nn.Module):
    """Lets `functional_call` reach what a network computes from its parameters alone."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, name: str, *arguments: str) -> Tensor | list[Tensor]:
        return getattr(self.network, name)(*arguments)


def of_parameters(name: str, network: Network, named: dict[str, Tensor], *arguments: str):
    """`network.<name>(*arguments)` with these parameters."""
    own = {f"network.{key}": value for key, value in named.items()}
    return functional_call(_Parameters(network), own, (name, *arguments))


Loss = Callable[[Tensor], tuple[Tensor, Tensor]]


def _eager_gradient(loss: Loss) -> Loss:
    """What `torch.func.grad` gives of the first value beside the second, bit for bit, without its overhead."""

    def gradient(theta: Tensor) -> tuple[Tensor, Tensor]:
        theta = theta.detach().requires_grad_()
        value, error = loss(theta)
        return torch.autograd.grad(value, theta)[0], error.detach()

    return gradient


def _clip(gradient: Tensor, parameters: Parameters, value: float | None, norm: float | None) -> Tensor:
    """The gradient with each element within ± value and each replica's Euclidean norm at most `norm`."""
    if value is not None:
        gradient = gradient.clamp(-value, value)
    if norm is not None:
        squares = [piece.square().flatten(1).sum(-1) for piece in parameters.unflat(gradient).values()]
        size = torch.stack(squares).sum(0).sqrt()  # [replica]
        gradient = gradient * (norm / (size + 1e-6)).clamp(max=1)[parameters.owner]  # torch's small constant
    return gradient


def _only(active: Tensor, update: Update) -> Update:
    """The update of what is active [flat]; the rest and its moments stay as they are."""

    def masked(theta: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, correction: Tensor) -> None:
        before = [values.clone() for values in (theta, *slots)]
        update(theta, gradient, slots, rate, correction)
        for values, old in zip((theta, *slots), before, strict=True):
            values.copy_(torch.where(active, values, old))

    return masked


def _turns(recipe: Recipe, parameters: Parameters) -> Tensor | None:
    """Which elements are updated in each step of a round of turns, [step, flat]; None where all always are."""
    if recipe.turns is None:
        return None
    rounds = []
    for turn in recipe.turns:
        taken = torch.tensor([name.rpartition(".")[2] in turn.parameters for name in parameters.names])
        rounds += [taken.repeat_interleave(torch.tensor(parameters.sizes))] * turn.steps
    return torch.stack(rounds).to(parameters.owner.device)


Advance = Callable[
    [Tensor, list[Tensor], Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor, Tensor | None], Tensor | None
]


@dataclass(frozen=True)
class Program:
    """An architecture's network, the layout of its parameters, and what is executed.

    advance(theta, slots, x [step, replica, in, batch], t [step, replica, 1, batch], noise [step, replica, row, batch]
    or None, rate [flat], corrections [step, 2], strengths [step, term], active [step, flat] or None): as many training
    steps as `x` holds, theta and the optimizer's slots updated in place. The batches' errors [step, replica] where a
    restart looks at them. turns: see `_turns`.
    forward(theta, x [replica, in, point]): [replica, point]. squares(theta, x [set, in, point], set_of [replica],
    t [target, point], target_of [replica], real [point]): the sum of squared errors, float64 [replica]. What is done
    once a tile, `forward`, is never worth a compilation.
    """

    network: Network
    parameters: Parameters
    advance: Advance
    turns: Tensor | None
    forward: Callable[[Tensor, Tensor], Tensor]
    squares: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


_made: dict[str, Program] = {}  # the last one: tiles of an architecture follow each other


def program(specification: Specification, replicas: int, compile: bool, device: torch.device) -> Program:
    """The program of a tile of so many replicas, padding included; made anew only where the architecture changes."""
    model, protocol = specification.model, specification.protocol
    architecture = model.unit, model.options, model.hidden_unit, model.hidden_options, specification.hidden
    form = specification.problem.inputs, protocol.batch, protocol.dtype, protocol.optimizer
    recipe = replace(model.recipe, regularizers={}, learning_rate=1.0)  # of which numbers are arguments
    key = repr((architecture, form, _terms(model.recipe), recipe, replicas, compile, device))
    if key not in _made:
        _made.clear()
        _made[key] = _make(specification, replicas, compile, device)
    return _made[key]


def _terms(recipe: Recipe) -> dict[tuple[str, str | None], float | None]:
    """The regularizers' names and layers, and the error below which each acts."""
    return {(name, term.layers): term.below for name, term in recipe.regularizers.items()}


def _make(specification: Specification, replicas: int, compile: bool, device: torch.device) -> Program:
    network, training, recipe = build(specification).eval(), build(specification).train(), specification.model.recipe
    terms = _terms(recipe)
    parameters = Parameters(network, replicas, device)
    update, turns = OPTIMIZERS[specification.protocol.optimizer][1], _turns(recipe, parameters)
    differentiate = partial(torch.func.grad, has_aux=True) if compile else _eager_gradient
    watched = recipe.restart is not None and recipe.restart.errors == "batch"

    def forward(theta: Tensor, x: Tensor) -> Tensor:
        return functional_call(network, parameters.unflat(theta), (x,))[:, 0]

    def squares(theta: Tensor, x: Tensor, set_of: Tensor, t: Tensor, target_of: Tensor, real: Tensor) -> Tensor:
        return ((forward(theta, x[set_of]).double() - t[target_of]).square() * real).sum(-1)

    def gradient(loss: Loss, theta: Tensor) -> tuple[Tensor, Tensor]:
        slope, error = differentiate(loss)(theta)
        return _clip(slope, parameters, recipe.clip_value, recipe.clip_norm), error

    def regularized(each: Tensor, error: Tensor, penalties: list[Tensor], strengths: Tensor) -> Tensor:
        for below, strength, penalty in zip(terms.values(), strengths, penalties, strict=True):
            term = strength * penalty
            each = each + (term if below is None else torch.where(error < below, term, 0.0))
        return each

    def step(
        theta: Tensor,
        slots: list[Tensor],
        x: Tensor,
        t: Tensor,
        noise: Tensor | None,
        rate: Tensor,
        correction: Tensor,
        strengths: Tensor,
        active: Tensor | None,
    ) -> Tensor:
        """One training step; the batch's error [replica] before it."""

        def loss(theta: Tensor) -> tuple[Tensor, Tensor]:
            y, penalties = functional_call(training, parameters.unflat(theta), (x, list(terms), noise))
            error = (y - t).square().mean((-2, -1))  # [replica]
            return (error if recipe.separate else regularized(error, error, penalties, strengths)).sum(), error

        slope, error = gradient(loss, theta)
        (update if active is None else _only(active, update))(theta, slope, slots, rate, correction)
        if recipe.separate:

            def penalty(theta: Tensor) -> tuple[Tensor, Tensor]:
                _, penalties = functional_call(training, parameters.unflat(theta), (x, list(terms), noise))
                return regularized(torch.zeros_like(error), error, penalties, strengths).sum(), error

            felt = [
                (strength > 0) & (error < (torch.inf if below is None else below))
                for below, strength in zip(terms.values(), strengths, strict=True)
            ]
            slope, _ = gradient(penalty, theta)
            _only(torch.stack(felt).any(0)[parameters.owner], update)(theta, slope, slots, rate, correction)
        parameters.project(theta)
        return error

    def advance(
        theta: Tensor,
        slots: list[Tensor],
        x: Tensor,
        t: Tensor,
        noise: Tensor | None,
        rate: Tensor,
        corrections: Tensor,
        strengths: Tensor,
        active: Tensor | None = None,
    ) -> Tensor | None:
        errors = []
        for k in range(len(x)):
            u, turn = (None if values is None else values[k] for values in (noise, active))
            errors.append(step(theta, slots, x[k], t[k], u, rate, corrections[k], strengths[k], turn))
        return torch.stack(errors) if watched else None

    if compile:
        advance, squares = compiled(advance), compiled(squares)
    return Program(network, parameters, advance, turns, torch.no_grad()(forward), torch.no_grad()(squares))
