"""One training step and the forward pass of many replicas of one architecture, written once.

Eager training executes these functions; the fused engine traces them with one replica, and generates its program from
what it sees.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from benchmark.asked.recipe import Recipe
from benchmark.asked.replicas import Specification
from benchmark.training.networks import Network, build
from benchmark.training.optimizers import OPTIMIZERS, Update


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

    def rows(self, theta: Tensor) -> Tensor:
        """Flat -> a row a replica, [replica, parameter]."""
        return torch.cat([piece.reshape(len(piece), -1) for piece in self.unflat(theta).values()], 1)

    def of_rows(self, rows: Tensor) -> Tensor:
        """[replica, parameter] -> flat."""
        widths = [size // len(rows) for size in self.sizes]
        return torch.cat([piece.reshape(-1) for piece in rows.split(widths, 1)])

    def named(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """[..., parameter] -> [..., *shape] by name."""
        ends = np.cumsum([size // shape[0] for size, shape in zip(self.sizes, self.shapes, strict=True)])
        pieces = np.split(rows, ends[:-1], -1)
        return {
            name: piece.reshape(*rows.shape[:-1], *shape[1:])
            for name, piece, shape in zip(self.names, pieces, self.shapes, strict=True)
        }


class _Parameters(torch.nn.Module):
    """Lets `functional_call` reach what a network computes from its parameters alone."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, name: str, *arguments: str | None) -> Tensor | list[Tensor]:
        return getattr(self.network, name)(*arguments)


def of_parameters(name: str, network: Network, named: dict[str, Tensor], *arguments: str | None):
    """`network.<name>(*arguments)` with these parameters."""
    own = {f"network.{key}": value for key, value in named.items()}
    return functional_call(_Parameters(network), own, (name, *arguments))


Loss = Callable[[Tensor], tuple[Tensor, Tensor]]


def _gradient(loss: Loss, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The slope of the first value, and the second."""
    theta = theta.detach().requires_grad_()
    value, error = loss(theta)
    return torch.autograd.grad(value, theta)[0], error.detach()


def _clip(gradient: Tensor, parameters: Parameters, value: float | None, norm: float | None) -> Tensor:
    """The gradient with each element within ± value and each replica's Euclidean norm at most `norm`."""
    if value is not None:
        gradient = gradient.clamp(-value, value)
    if norm is not None:
        squares = [piece.square().reshape(len(piece), -1).sum(-1) for piece in parameters.unflat(gradient).values()]
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


class Step:
    """Training and forward pass of `replicas` replicas of an architecture on a device.

    turns: which elements of theta are updated in each step of a round, [step, flat]; None where all always are.
    terms: (name, layers) of the regularizers -> the error below which each acts. watched: whether a restart looks at
    the errors of batches.
    """

    def __init__(self, specification: Specification, replicas: int, device: torch.device):
        self.recipe = specification.model.recipe
        self.network, self.training = build(specification).eval(), build(specification).train()
        self.parameters = Parameters(self.network, replicas, device)
        self.slots, self.update = OPTIMIZERS[specification.protocol.optimizer]
        self.turns = _turns(self.recipe, self.parameters)
        self.terms = {(name, term.layers): term.below for name, term in self.recipe.regularizers.items()}
        self.watched = self.recipe.restart is not None and self.recipe.restart.errors == "batch"

    def forward(self, theta: Tensor, x: Tensor) -> Tensor:
        """theta [flat], x [replica, in, point] -> [replica, output, point]."""
        return functional_call(self.network, self.parameters.unflat(theta), (x,))

    def sparsity(self, theta: Tensor) -> Tensor:
        """[replica], see `Network.sparsity`."""
        return of_parameters("sparsity", self.network, self.parameters.unflat(theta))

    def __call__(
        self,
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
        """One step: theta [flat] and the optimizer's slots are updated in place.

        x: [replica, in, batch]. t: [replica, output, batch]. noise: [replica, row, batch] or None. rate: [flat].
        correction: [2]. strengths: [term]. active: [flat] or None. Returns the batch's error before it, [replica].
        """
        terms, parameters, recipe = self.terms, self.parameters, self.recipe

        def outputs(theta: Tensor) -> tuple[Tensor, list[Tensor]]:
            return functional_call(self.training, parameters.unflat(theta), (x, list(terms), noise))

        def regularized(each: Tensor, error: Tensor, penalties: list[Tensor]) -> Tensor:
            for below, strength, penalty in zip(terms.values(), strengths, penalties, strict=True):
                term = strength * penalty
                each = each + (term if below is None else torch.where(error < below, term, 0.0))
            return each

        def loss(theta: Tensor) -> tuple[Tensor, Tensor]:
            y, penalties = outputs(theta)
            error = (y - t).square().mean((-2, -1))  # [replica]
            return (error if recipe.separate else regularized(error, error, penalties)).sum(), error

        def move(loss: Loss, chosen: Tensor | None) -> Tensor:
            slope, error = _gradient(loss, theta)
            slope = _clip(slope, parameters, recipe.clip_value, recipe.clip_norm)
            (self.update if chosen is None else _only(chosen, self.update))(theta, slope, slots, rate, correction)
            return error

        error = move(loss, active)
        if recipe.separate:
            felt = [
                (strength > 0) & (error < (torch.inf if below is None else below))
                for below, strength in zip(terms.values(), strengths, strict=True)
            ]
            penalty = lambda theta: (regularized(torch.zeros_like(error), error, outputs(theta)[1]).sum(), error)
            move(penalty, torch.stack(felt).any(0)[parameters.owner])
        parameters.project(theta)
        return error
