"""The optimizers written out, elementwise over one flat vector of all parameters of all replicas.

Each operation is a kernel of its own: fused ones round differently in a vector's body and in its tail, and a replica
would depend on where in a tile it lies. Constants are torch's defaults, as the papers' PyTorch code uses them.
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from torch import Tensor

from benchmark import exact

WARM_UP = 100  # steps
Update = Callable[[Tensor, Tensor, list[Tensor], Tensor, Tensor], None]


def adam(theta: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, correction: Tensor) -> None:
    """Kingma & Ba 2015, algorithm 1: β₁ = 0.9, β₂ = 0.999, ε = 1e-8.

    slots: first and second moment. correction: [2], 1 - β₁ᵗ and √(1 - β₂ᵗ).
    """
    m, v = slots
    m.mul_(0.9).add_(gradient * (1 - 0.9))
    v.mul_(0.999).add_((gradient * gradient).mul_(1 - 0.999))
    theta.sub_((m / correction[0]).mul_(rate).div_(v.sqrt().div_(correction[1]).add_(1e-8)))


def rmsprop(
    theta: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, correction: Tensor, decay: float = 0.99
) -> None:
    """Tieleman & Hinton 2012 as in torch: decay 0.99 (in Flux 0.9), ε = 1e-8 outside the root. slots: mean square."""
    (v,) = slots
    v.mul_(decay).add_((gradient * gradient).mul_(1 - decay))
    theta.sub_((gradient * rate).div_(v.sqrt().add_(1e-8)))


def rmsprop_tensorflow(theta: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, correction: Tensor) -> None:
    """RMSprop as in TensorFlow 1: decay 0.9, ε = 1e-10 inside the root. slots: mean square, which starts at 1."""
    (v,) = slots
    v.mul_(0.9).add_((gradient * gradient).mul_(1 - 0.9))
    theta.sub_((gradient * rate).div_((v + 1e-10).sqrt_()))


def sgd(theta: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, correction: Tensor) -> None:
    """Plain gradient descent."""
    theta.sub_(gradient * rate)


def schedule_free(theta: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, correction: Tensor) -> None:
    """AdamW without a schedule (Defazio et al. 2024), as DuJardin 2025 has it: β₁ = 0.9, β₂ = 0.96, ε = 1e-8, a warm-up
    of 100 steps; but no decay, which is 1e-8 there, and ε is outside of the bias correction.

    theta: y = 0.1 z + 0.9 x, where plain steps move z and x is a mean of all z; networks are judged at y, too. slots:
    z - y and the mean square. correction: [2], the weight of z in the mean, and of the step.
    """
    ahead, v = slots
    v.mul_(0.96).add_((gradient * gradient).mul_(1 - 0.96))
    step = (gradient * rate).mul_(correction[1]).div_(v.sqrt().add_(1e-8))
    kept = 1 - correction[0]
    theta.add_(ahead * correction[0]).sub_(step * (1 - 0.9 * kept))
    ahead.sub_(step * 0.9).mul_(kept)


# What each slot starts at, and the update.
OPTIMIZERS: dict[str, tuple[tuple[float, ...], Update]] = {
    "adam": ((0.0, 0.0), adam),
    "rmsprop": ((0.0,), rmsprop),
    "rmsprop_tensorflow": ((1.0,), rmsprop_tensorflow),
    "rmsprop_flux": ((0.0,), partial(rmsprop, decay=0.9)),
    "sgd": ((), sgd),
    "schedule_free": ((0.0, 0.0), schedule_free),
}


def corrections(steps: Iterable[int], optimizer: str = "adam") -> np.ndarray:
    """Adam's bias corrections 1 - β₁ᵗ and √(1 - β₂ᵗ) for steps t - 1 counted from 0: float64 [step, 2].

    Of "schedule_free", the weight w² / Σ w² of z in the mean and w √(1 - β₂ᵗ), w = min(t / 100, 1).
    """
    t = np.fromiter(steps, dtype=np.int64) + 1
    if optimizer == "schedule_free":
        rising = np.minimum(t, WARM_UP)
        total = rising * (rising + 1) * (2 * rising + 1) / 6 + (t - rising) * WARM_UP**2
        return np.stack([rising**2 / total, rising / WARM_UP * np.sqrt(1 - exact.power(0.96, t))], axis=-1)
    return np.stack([1 - exact.power(0.9, t), np.sqrt(1 - exact.power(0.999, t))], axis=-1)
