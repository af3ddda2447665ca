"""What a tile executes, one program an architecture: its training step and its forward pass, eager or compiled.

Both engines run the same functions, written once. Compiled, forward, gradient and optimizer of several steps are one
graph; tasks, ranges, seeds, learning rates and schedules are its inputs, so that one compilation serves them all.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.compiling import compiled
from benchmark.networks import Network, build
from benchmark.optimizers import OPTIMIZERS
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


def _eager_gradient(loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What `torch.func.grad` gives, bit for bit, without its overhead on small tensors."""

    def gradient(theta: Tensor) -> Tensor:
        theta = theta.detach().requires_grad_()
        return torch.autograd.grad(loss(theta), theta)[0]

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


Advance = Callable[[Tensor, list[Tensor], Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor], None]


@dataclass(frozen=True)
class Program:
    """An architecture's network, the layout of its parameters, and what is executed.

    advance(theta, slots, x [step, replica, in, batch], t [step, replica, 1, batch], noise [step, replica, row, batch]
    or None, rate [flat], corrections [step, 2], strengths [step, term]): as many training steps as `x` holds, theta and
    the optimizer's slots updated in place.
    forward(theta, x [replica, in, point]): [replica, point]. squares(theta, x [set, in, point], set_of [replica],
    t [target, point], target_of [replica], real [point]): the sum of squared errors, float64 [replica]. What is done
    once a tile, `forward`, is never worth a compilation.
    """

    network: Network
    parameters: Parameters
    advance: Advance
    forward: Callable[[Tensor, Tensor], Tensor]
    squares: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


_made: dict[str, Program] = {}  # the last one: tiles of an architecture follow each other


def program(specification: Specification, replicas: int, compile: bool, device: torch.device) -> Program:
    """The program of a tile of so many replicas, padding included; made anew only where the architecture changes."""
    model, protocol = specification.model, specification.protocol
    architecture = model.unit, model.options, model.hidden_unit, model.hidden_options, specification.hidden
    form = specification.problem.inputs, protocol.batch, protocol.dtype, protocol.optimizer
    loss = _terms(model.recipe), model.recipe.clip_value, model.recipe.clip_norm
    key = repr((architecture, form, loss, replicas, compile, device))
    if key not in _made:
        _made.clear()
        _made[key] = _make(specification, replicas, compile, device)
    return _made[key]


def _terms(recipe: Recipe) -> dict[str, float | None]:
    """The regularizers' names, and the error below which each acts."""
    return {name: term.below for name, term in recipe.regularizers.items()}


def _make(specification: Specification, replicas: int, compile: bool, device: torch.device) -> Program:
    network, training, recipe = build(specification).eval(), build(specification).train(), specification.model.recipe
    terms = _terms(recipe)
    parameters = Parameters(network, replicas, device)
    update = OPTIMIZERS[specification.protocol.optimizer][1]
    differentiate = torch.func.grad if compile else _eager_gradient

    def forward(theta: Tensor, x: Tensor) -> Tensor:
        return functional_call(network, parameters.unflat(theta), (x,))[:, 0]

    def squares(theta: Tensor, x: Tensor, set_of: Tensor, t: Tensor, target_of: Tensor, real: Tensor) -> Tensor:
        return ((forward(theta, x[set_of]).double() - t[target_of]).square() * real).sum(-1)

    def gradient(theta: Tensor, x: Tensor, t: Tensor, noise: Tensor | None, strengths: Tensor) -> Tensor:
        def loss(theta: Tensor) -> Tensor:
            y, penalties = functional_call(training, parameters.unflat(theta), (x, list(terms), noise))
            each = error = (y - t).square().mean((-2, -1))  # [replica]
            for below, strength, penalty in zip(terms.values(), strengths, penalties, strict=True):
                term = strength * penalty
                each = each + (term if below is None else torch.where(error < below, term, 0.0))
            return each.sum()

        return _clip(differentiate(loss)(theta), parameters, recipe.clip_value, recipe.clip_norm)

    def advance(
        theta: Tensor,
        slots: list[Tensor],
        x: Tensor,
        t: Tensor,
        noise: Tensor | None,
        rate: Tensor,
        corrections: Tensor,
        strengths: Tensor,
    ) -> None:
        for k in range(len(x)):
            slope = gradient(theta, x[k], t[k], None if noise is None else noise[k], strengths[k])
            update(theta, slope, slots, rate, corrections[k])
            parameters.project(theta)

    if compile:
        advance, squares = compiled(advance), compiled(squares)
    return Program(network, parameters, advance, torch.no_grad()(forward), torch.no_grad()(squares))
