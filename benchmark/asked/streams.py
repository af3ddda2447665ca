"""Random numbers without a state: each is a function of (seed, stream, step, input, lane), computed with integers only.

A generator that carries a state would make a replica's data depend on what was drawn before it. Here 64 bits are mixed
from seed, stream and step *before* the lane enters, and the lane enters twice, so that no batch is another one shifted
or permuted. The work horse is a two-round 32-bit mixer found with C. Wellons' hash prospector; the 64-bit one is the
finaliser of Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators" (OOPSLA), section 3.
"""

import torch
from torch import Tensor

from benchmark import exact

DATA, INITIALISATION, OFFSET, EVALUATION, PROFILE, NOISE = range(6)
DRAWS = 1 << 16  # tensors that one initialisation may draw
# An element's 32-bit counter is input · 2^20 + lane: a batch's numbers do not depend on its size.
MAX_LANES = 1 << 20


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


_GOLDEN = _signed(0x9E3779B97F4A7C15, 64)
_MIX64 = ((30, _signed(0xBF58476D1CE4E5B9, 64)), (27, _signed(0x94D049BB133111EB, 64)))
_MIX32 = ((16, 0x21F0AAAD), (15, 0x735A2D97))
_ODD32, _ADDED32 = _signed(0x9E3779B1, 32), 0x632BE5AB


def _mix64(z: Tensor) -> Tensor:
    z = z + _GOLDEN
    for shift, factor in _MIX64:
        z = (z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def _mix32(h: Tensor) -> Tensor:
    """Mix int32 in place; the masks make torch's arithmetic shifts logical ones."""
    for shift, factor in _MIX32:
        h = h.bitwise_xor_((h >> shift).bitwise_and_((1 << (32 - shift)) - 1)).mul_(factor)
    return h.bitwise_xor_((h >> 15).bitwise_and_((1 << 17) - 1))


def key(seed: Tensor | int, stream: int, step: Tensor | int = 0) -> Tensor:
    """64-bit key (int64) of the numbers of one seed, stream and step; the arguments broadcast.

    For one seed and stream it is a bijection of the step, so no two steps share a key.

    >>> key(torch.arange(3), DATA, torch.arange(2)[:, None]).unique().numel()
    6
    """
    return _mix64(seeded(torch.as_tensor(seed, dtype=torch.int64), stream) + step)


def seeded(seed: Tensor, stream: int) -> Tensor:
    """What of a key does not depend on the step: int64 like the seeds."""
    return _mix64(_mix64(seed) + stream)


def counter(inputs: int, lanes: int, first_lane: int = 0, device: torch.device | None = None) -> Tensor:
    """The place of each input and lane in a stream: int32 [inputs, lanes]."""
    if first_lane + lanes > MAX_LANES:
        raise ValueError(f"a batch holds at most {MAX_LANES} examples, not {first_lane + lanes}")
    lane = torch.arange(first_lane, first_lane + lanes, device=device)
    return (torch.arange(inputs, device=device)[:, None] * MAX_LANES + lane).to(torch.int32)


def words(key: Tensor, counter: Tensor) -> tuple[Tensor, Tensor]:
    """Twice 32 random bits for each place under each key: [...] and [inputs, lanes] -> int32 [..., inputs, lanes]."""
    low, high = (part[..., None, None].to(torch.int32) for part in (key, key >> 32))
    half, turned = _mix32(counter ^ low), counter * _ODD32 + high
    return _mix32(half ^ turned), _mix32((half + _ADDED32).bitwise_xor_(turned))


def bits(key: Tensor, counter: Tensor) -> Tensor:
    """The first of the `words`."""
    return words(key, counter)[0]


def uniform(key: Tensor, counter: Tensor) -> Tensor:
    """Odd multiples of 2^-53 in (0, 1), of 52 random bits: [...] and [inputs, lanes] -> float64 [..., inputs, lanes].

    Neither 0 nor 1 nor a multiple of 2^-52 is among them. Every operation here is exact.
    """
    coarse, fine = words(key, counter)
    rest = (fine >> 12).bitwise_and_((1 << 20) - 1).double().mul_(2.0**-52).add_(0.5 + 2.0**-53)
    return coarse.double().mul_(2.0**-32).add_(rest)


def _normal_quantile(p: Tensor) -> Tensor:
    return torch.from_numpy(exact.normal_quantile(p.numpy()))


class Draw:
    """Initial parameters of many replicas: a unit asks for one tensor's shape and gets one tensor per seed.

    seeds: int64 [replica]. attempt: 0 at first, higher where training starts anew. Every method returns float64
    [replica, *shape], a fresh stream at each call.

    >>> Draw(torch.tensor([0, 1])).uniform((2, 3), -0.5, 0.5).shape
    torch.Size([2, 2, 3])
    """

    def __init__(self, seeds: Tensor, attempt: int = 0):
        self.seeds, self.calls = seeds, attempt * DRAWS

    def _open_unit_interval(self, shape: tuple[int, ...]) -> Tensor:
        size = torch.Size(shape).numel()
        lanes = min(size, MAX_LANES)
        words = bits(key(self.seeds, INITIALISATION, self.calls), counter(-(-size // lanes), lanes)).flatten(1)[
            :, :size
        ]
        self.calls += 1
        return ((words.to(torch.float64) + (2.0**31 + 0.5)) * 2.0**-32).reshape(-1, *shape)

    def constant(self, shape: tuple[int, ...], value: float) -> Tensor:
        """The same value everywhere."""
        return torch.full((len(self.seeds), *shape), value, dtype=torch.float64)

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        """U(low, high)."""
        return self._open_unit_interval(shape) * (high - low) + low

    def normal(self, shape: tuple[int, ...], mean: float, sd: float) -> Tensor:
        """N(mean, sd²)."""
        return _normal_quantile(self._open_unit_interval(shape)) * sd + mean

    def orthogonal(self, shape: tuple[int, int]) -> Tensor:
        """Orthonormal rows or columns, whichever are fewer, distributed evenly (Saxe et al. 2014)."""
        rows, columns = shape
        gaussian = self.normal((max(shape), min(shape)), 0.0, 1.0)
        Q = torch.from_numpy(exact.orthonormal(gaussian.numpy()))
        return Q if rows >= columns else Q.mT.contiguous()

    def truncated_normal(self, shape: tuple[int, ...], sd: float, cut: float = 2.0) -> Tensor:
        """N(0, sd²) cut at ± `cut` standard deviations (TensorFlow's initialiser cuts at two)."""
        outside = float(exact.normal_cdf(-cut))
        return _normal_quantile(self._open_unit_interval(shape) * (1 - 2 * outside) + outside) * sd
