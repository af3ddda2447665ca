"""A trained network as an ordinary module of torch: rows in, rows out."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmark.asked.protocol import Engine
from benchmark.asked.replicas import Cell, Replica, Specification
from benchmark.errors import UsageError
from benchmark.layers import Layer
from benchmark.results.store import Store
from benchmark.training.engine import train
from benchmark.training.networks import build
from benchmark.training.tiles import tiles


class Trained(Layer):
    """A network of a replica with its parameters at the selected step, on rows: [..., inputs] -> [..., outputs].

    It computes in the precision it was trained in, and can be trained on, like any layer of `benchmark.layers`; what it
    is handed out as is `eval()`. `torch.save` keeps it whole (`torch.load(path, weights_only=False)`), or its
    `state_dict` alone.
    """

    def __init__(self, specification: Specification, parameters: Mapping[str, np.ndarray]):
        nn.Module.__init__(self)
        problem = specification.problem
        self.in_features, self.out_features, self.options = problem.inputs, problem.outputs, {}
        self.unit: Any = build(specification)  # a network has what a layer needs of a unit
        self.unit.to(getattr(torch, specification.protocol.dtype))
        with torch.no_grad():
            for name, own in self.unit.named_parameters():
                own.copy_(torch.as_tensor(parameters[name]))
        self._follow()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The network's answer to each row."""
        columns = x.reshape(-1, self.in_features).mT
        count = self.unit.noise_rows if self.training else 0
        noise = torch.rand(count, columns.shape[-1], dtype=x.dtype, device=x.device) if count else None
        return self.unit(columns, noise=noise).mT.reshape(*x.shape[:-1], self.out_features)

    def predict(self, x: Any) -> np.ndarray:
        """The answers to an array of rows, [..., inputs] -> [...]; UsageError where it has other than `inputs` columns.

        Of several outputs, [..., outputs].
        x: whatever numpy takes for an array of numbers. Nothing random is drawn, and no gradient kept.
        """
        like = next(self.parameters())
        rows = torch.as_tensor(np.asarray(x, dtype=float), dtype=like.dtype, device=like.device)
        if rows.shape[-1:] != (self.in_features,):
            raise UsageError(f"rows are [..., {self.in_features}], and these are {[*rows.shape]}")
        columns = rows.reshape(-1, self.in_features).mT
        with torch.no_grad():
            answers = self.unit(columns).mT.reshape(*rows.shape[:-1], self.out_features)
        return (answers if self.out_features > 1 else answers[..., 0]).cpu().numpy()


def of_row(row: pd.Series, cell: Cell, folder: Path) -> Trained:
    """The network of a row of outcomes.

    Its parameters are those of the folder's shards. Where the shards are not there, as in a reference, the one replica
    is trained anew, which gives the same bits; a warning says so where it does not, as it may where it was trained
    eagerly on another kind of machine.
    """
    replica = Replica(cell, int(row["seed"]))
    if (folder / "shards").is_dir():
        try:
            return Trained(cell.specification, Store(folder).parameters(replica))
        except KeyError:  # its shard is gone
            pass
    ((tile, engine),) = tiles([replica], Engine(mode=row["engine"], workers=1, device="cpu"), 1)
    measured = train(tile, engine)
    error = measured.interpolation[0, measured.best[0]]
    if np.isfinite(row["interpolation"]) and error != row["interpolation"]:
        warnings.warn(
            f"trained anew, {' × '.join(cell.names[:3])} of seed {replica.seed} errs by {error} inside, where "
            f"{folder} says {row['interpolation']}",
            stacklevel=3,
        )
    return Trained(cell.specification, {name: values[0] for name, values in measured.parameters.items()})
