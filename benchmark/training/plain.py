"""The loop a user would write: one network, one seed, one process. `benchmark.speed` measures the engine against it."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn


class NAC(nn.Module):
    """y = x Wᵀ,  W = tanh(Ŵ) ⊙ σ(M̂), for rows [batch, in]."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.W_hat = nn.Parameter(torch.empty(outputs, inputs).uniform_(-1, 1))
        self.M_hat = nn.Parameter(torch.empty(outputs, inputs).uniform_(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """y = x Wᵀ."""
        return x @ (torch.tanh(self.W_hat) * torch.sigmoid(self.M_hat)).T


class NAU(nn.Module):
    """y = x Wᵀ,  W ∈ [-1, 1]."""

    low = -1.0

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.W = nn.Parameter(torch.empty(outputs, inputs).uniform_(0.25, 0.75))

    def forward(self, x: Tensor) -> Tensor:
        """y = x Wᵀ."""
        return x @ self.W.T

    def sparsity(self) -> Tensor:
        """Mean of min(|W|, |1 - |W||)."""
        return torch.minimum(self.W.abs(), (1 - self.W.abs()).abs()).mean()


class NMU(NAU):
    """y_o = Π_i (W_oi x_i + 1 - W_oi),  W ∈ [0, 1]."""

    low = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """y = Π (W x + 1 - W)."""
        return (x.unsqueeze(1) * self.W + 1 - self.W).prod(-1)


class NALU(nn.Module):
    """y = g ⊙ a + (1 - g) ⊙ m,  g = σ(x Gᵀ)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.nac = NAC(inputs, outputs)
        self.G = nn.Parameter(torch.empty(outputs, inputs).uniform_(-1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """y = g ⊙ a + (1 - g) ⊙ m."""
        g = torch.sigmoid(x @ self.G.T)
        return g * self.nac(x) + (1 - g) * torch.exp(self.nac(torch.log(x.abs() + 1e-7)))


def product(x: Tensor) -> Tensor:
    """Of two inputs, or of the sums of two overlapping quarters of many."""
    if x.shape[1] == 2:
        return x[:, :1] * x[:, 1:]
    return x[:, :25].sum(1, keepdim=True) * x[:, 13:38].sum(1, keepdim=True)


def perceptron() -> nn.Module:
    """1 → 8 → 8 → 8 → 1 with tanh."""
    hidden = [part for inputs in (1, 8, 8) for part in (nn.Linear(inputs, 8), nn.Tanh())]
    return nn.Sequential(*hidden, nn.Linear(8, 1))


# workload -> network, inputs, lowest and highest training value, target
WORKLOADS: dict[str, tuple[Callable[[], nn.Module], int, float, float, Callable[[Tensor], Tensor]]] = {
    "nalu": (lambda: NALU(2, 1), 2, 1.0, 2.0, product),
    "nau_nmu": (lambda: nn.Sequential(NAU(100, 2), NMU(2, 1)), 100, 1.0, 2.0, product),
    "mlp": (perceptron, 1, -5.0, 5.0, lambda x: x),
}


def steps_per_second(workload: str, seconds: float, batch: int = 128, every: int = 1000, points: int = 10_000) -> float:
    """Train one network for about so long, evaluated on two sets every 1000 steps as the papers do."""
    torch.set_num_threads(1)
    make, inputs, low, high, target = WORKLOADS[workload]
    sample = lambda size: torch.rand(size, inputs) * (high - low) + low
    network = make()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    judged = [sample(points), 2 * sample(points)]
    bounded = [part for part in network.modules() if isinstance(part, NAU)]
    began, steps = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < seconds:
        if steps % every == 0:
            with torch.no_grad():
                [nn.functional.mse_loss(network(x), target(x)).item() for x in judged]
        x = sample(batch)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(x), target(x))
        for unit in bounded:
            loss = loss + 0.01 * unit.sparsity()
        loss.backward()
        optimizer.step()
        for unit in bounded:
            unit.W.data.clamp_(unit.low, 1.0)
        steps += 1
    return steps / elapsed
