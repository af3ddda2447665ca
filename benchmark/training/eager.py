"""Training by torch's own operations: the reference that every fused program is tested against."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmark.asked.data import CHUNK, Batches, EvaluationSet
from benchmark.asked.replicas import Replica
from benchmark.training.steps import Step

PAD = 32  # replicas are filled up to a multiple of it: the widest vector loop has no scalar tail, which rounds apart
DATA_NUMBERS = 1 << 18  # inputs generated at once


class Eager:
    """Replicas of one architecture as tensors [replica, ...]; see `engine.Trainer` for what its methods promise.

    width: replicas to fill up to with the first one again and again, on a GPU, where the bits depend on the size.
    """

    name = "eager"

    def __init__(self, replicas: Sequence[Replica], device: torch.device, width: int | None = None):
        self.count, self.device = len(replicas), device
        size = max(len(replicas), width or 0)
        padded = [*replicas, *[replicas[0]] * (size + -size % PAD - len(replicas))]
        first = padded[0].cell.specification
        self.padded, self.protocol = padded, first.protocol
        self.dtype = getattr(torch, first.protocol.dtype)
        self.step = Step(first, len(padded), device)
        rates = [replica.cell.specification.model.recipe.learning_rate for replica in padded]
        self.rate = torch.tensor(rates, dtype=self.dtype, device=device)[self.step.parameters.owner]
        self.batches = Batches(padded, self.dtype, device)
        numbers = len(padded) * self.batches.inputs * self.batches.batch
        self.drawn = max(1, min(32, DATA_NUMBERS // numbers))

    def load(self, rows: np.ndarray) -> None:
        """See `engine.Trainer`."""
        filled = np.concatenate([rows, np.repeat(rows[:1], len(self.padded) - len(rows), 0)])
        vectors = [
            self.step.parameters.of_rows(torch.from_numpy(filled[:, i])).to(self.device) for i in range(rows.shape[1])
        ]
        self.theta, *self.slots = vectors

    def rows(self) -> np.ndarray:
        """See `engine.Trainer`."""
        vectors = [self.step.parameters.rows(vector)[: self.count] for vector in (self.theta, *self.slots)]
        return torch.stack(vectors, 1).cpu().numpy()

    def advance(self, first: int, schedule: np.ndarray, watched: np.ndarray | None) -> None:
        """See `engine.Trainer`."""
        columns = torch.as_tensor(schedule, dtype=self.dtype, device=self.device)
        turns = self.step.turns
        for begin in range(0, len(schedule), self.drawn):
            count = min(self.drawn, len(schedule) - begin)
            x, t = self.batches(first + begin, count)
            noise = self.batches.noise(first + begin, count, self.step.network.noise_rows)
            for k in range(count):
                now = columns[begin + k]
                active = None if turns is None else turns[(first + begin + k) % len(turns)]
                u = None if noise is None else noise[k]
                error = self.step(self.theta, self.slots, x[k], t[k], u, self.rate, now[:2], now[2:], active)
                if watched is not None:
                    own = error[: self.count].double().cpu().numpy()
                    watched += np.stack([own, own**2], -1)

    @torch.no_grad()
    def outputs(self, data: EvaluationSet) -> Tensor:
        """See `engine.Trainer`."""
        set_of = torch.cat([data.set_of, data.set_of[:1].expand(len(self.padded) - self.count)]).to(self.device)
        parts = []
        for x in data.x.split(CHUNK, -1):
            points = x.shape[-1]
            filled = torch.cat([x, x[..., -1:].expand(*x.shape[:-1], -points % 16)], -1).to(self.device)
            parts.append(self.step.forward(self.theta, filled[set_of])[: self.count, :, :points])
        return torch.cat(parts, -1).flatten(1)

    def mean_squares(self, data: EvaluationSet) -> np.ndarray:
        """See `engine.Trainer`."""
        t = data.t[data.target_of]
        square = (self.outputs(data).cpu().double() - t).square()
        if data.outputs == 1:
            return square.mean(-1).numpy()
        return square.where(~t.isnan(), 0.0).sum(-1).numpy() / data.asked[data.target_of.numpy()]

    @torch.no_grad()
    def sparsity(self) -> np.ndarray:
        """See `engine.Trainer`."""
        named: Tensor = self.step.sparsity(self.theta)[: self.count]
        return named.double().cpu().numpy()
