"""Functions whose every bit is the same on every machine.

The last digits of a libm, of BLAS and LAPACK, of a vectorised sum differ from one processor and library to the next.
IEEE 754 leaves no choice in + - * / and the square root of two float64 numbers, and numpy's elementwise loops round
each by itself: from these alone, and from integers, everything here is made. Arguments are numbers or arrays of any
shape, results float64 of the same shape. The errors told are the largest that a comparison with mpmath found; an ulp
is the distance between two neighbouring float64 numbers.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# ln 2 = LN2 + LN2_REST. LN2 has 42 bits, so that its product with a float64's exponent is exact.
LN2, LN2_REST = float.fromhex("0x1.62e42fefa38p-1"), float.fromhex("0x1.ef35793c7673p-45")
INVERSE_ATANH = [1 / (2 * k + 1) for k in range(12, 0, -1)]  # (artanh(s)/s - 1) / s² in powers of s²
EXPONENTIAL = [1 / math.factorial(k) for k in range(14, 1, -1)]  # (exp(r) - 1 - r) / r² in powers of r
# π/2 in three parts; the first two have 33 bits, so that products with whole numbers below 2^20 are exact.
QUARTER = [float.fromhex("0x1.921fb544p+0"), float.fromhex("0x1.0b4611a6p-34"), float.fromhex("0x1.3198a2e037073p-69")]
SINE = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9, 0, -1)]  # (sin(r)/r - 1) / r² in powers of r²
COSINE = [(-1) ** k / math.factorial(2 * k) for k in range(9, 1, -1)]  # (cos(r) - 1 + r²/2) / r⁴ in powers of r²
# (1 + x) exp(x²/2) (1 - Φ(x)) for x ≥ 0 in powers of t = (x - 5) / (x + 5): the first 24 terms of its Chebyshev series
# over -1 ≤ t ≤ 1, computed with 40 digits. What is left out is below 1e-17.
MILLS = [
    *(-3.815816262632953e-10, -2.8220772290629865e-10, 4.4011596227599254e-09, 3.627373163401201e-09),
    *(-3.095201755804207e-08, -2.6286205089898754e-08, 1.9627809920091187e-07, 1.27878221820937e-07),
    *(-1.3074486019237587e-06, -7.034644683537101e-08, 9.05982468125664e-06, -9.896097759279782e-06),
    *(-5.36075811148722e-05, 0.00018233414511643843, 7.791597409338999e-06, -0.00167607234455447),
    *(0.006522000667783896, -0.015170415402514863, 0.024536963243678652, -0.026401042966308307),
    *(0.010002352385229382, 0.031030368425963708, -0.09155228183400904, 0.46151582985003775),
]
# Wichura 1988, algorithm AS 241, PPND16: numerator and denominator, highest power first.
CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)  # fmt: skip
TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)  # fmt: skip
FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)  # fmt: skip

_silently = np.errstate(all="ignore")  # infinities and nan are computed with, and chosen or not


def _polynomial(coefficients: Sequence[float], x: np.ndarray) -> np.ndarray:
    """Horner's rule, the highest power first."""
    y = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        y *= x
        y += coefficient
    return y


def _ratio(numerator_and_denominator: tuple[Sequence[float], Sequence[float]], x: np.ndarray) -> np.ndarray:
    numerator, denominator = numerator_and_denominator
    return _polynomial(numerator, x) / _polynomial(denominator, x)


@_silently
def log(x: ArrayLike) -> np.ndarray:
    """Natural logarithm, within 1 ulp; -inf at 0, nan below.

    x = 2^k (1 + f) with 1 + f between √½ and √2; log(1 + f) = 2 artanh(s) with s = f / (2 + f), a Taylor series.
    """
    x = np.asarray(x, dtype=np.float64)
    mantissa, k = np.frexp(x)
    small = mantissa < math.sqrt(0.5)
    f, k = np.where(small, 2 * mantissa, mantissa) - 1, k - small
    s = f / (2 + f)
    square = s * s
    # 2 s = f - s f: so written, what is rounded is small beside f.
    y = k * LN2 + (f - (s * (f - 2 * square * _polynomial(INVERSE_ATANH, square)) - k * LN2_REST))
    return np.select([x == 0, x == np.inf, ~(x >= 0)], [-np.inf, np.inf, np.nan], y)[()]


@_silently
def log1p(x: ArrayLike) -> np.ndarray:
    """log(1 + x), within 2 ulp; -inf at -1, nan below."""
    x = np.asarray(x, dtype=np.float64)
    y = 1 + x
    lost = np.where(np.abs(x) < 1, x - (y - 1), 1 - (y - x))
    return log(y) + np.where((y > 0) & (y < np.inf), lost / y, 0.0)


def _reduced(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, exp(r) - 1) for x = k ln 2 + r with |r| ≤ ½ ln 2."""
    k = np.rint(x / LN2)
    r = (x - k * LN2) - k * LN2_REST
    return k.astype(np.int32), r + r * r * _polynomial(EXPONENTIAL, r)


@_silently
def exp(x: ArrayLike) -> np.ndarray:
    """Exponential function, within 1 ulp, denormal results included."""
    k, y = _reduced(np.clip(np.asarray(x, dtype=np.float64), -800, 800))
    half = k >> 1
    return (1 + y) * np.ldexp(1.0, half) * np.ldexp(1.0, k - half)


@_silently
def expm1(x: ArrayLike) -> np.ndarray:
    """exp(x) - 1, within 2 ulp."""
    x = np.asarray(x, dtype=np.float64)
    k, y = _reduced(np.clip(x, -60, 60))
    scale = np.ldexp(1.0, k)
    return np.where(x > 60, exp(x), np.where(k == 0, y, scale * y + (scale - 1)))[()]


@_silently
def tanh(x: ArrayLike) -> np.ndarray:
    """Hyperbolic tangent, within 3 ulp."""
    y = expm1(-2 * np.abs(np.asarray(x, dtype=np.float64)))
    return np.copysign(y / (y + 2), x)


def _turned(x: ArrayLike, quarters: int) -> np.ndarray:
    """sin(x + quarters · π/2), by Taylor series of what is left of x by whole quarters of a turn."""
    x = np.asarray(x, dtype=np.float64)
    whole = np.abs(x) < 2.0**20  # beyond, a turn is its nearest float64 number
    x = np.where(whole, x, np.fmod(x, 2 * math.pi))
    k = np.rint(x / (0.5 * math.pi))
    r = ((x - k * QUARTER[0]) - k * QUARTER[1]) - k * QUARTER[2]
    square, k = r * r, np.where(np.isfinite(k), k, 0).astype(np.int64) + quarters
    half = 0.5 * square
    sine = r + r * square * _polynomial(SINE, square)
    cosine = (1 - half) + (((1 - (1 - half)) - half) + square * square * _polynomial(COSINE, square))
    return np.where(k & 1, cosine, sine) * np.where(k & 2, -1.0, 1.0)


@_silently
def sin(x: ArrayLike) -> np.ndarray:
    """Sine, within 2 ulp for |x| below a million; nan of infinities."""
    return _turned(x, 0)[()]


@_silently
def cos(x: ArrayLike) -> np.ndarray:
    """Cosine, as `sin`."""
    return _turned(x, 1)[()]


@_silently
def normal_cdf(x: ArrayLike) -> np.ndarray:
    """Φ(x), with a relative error of 1e-15 wherever it is no denormal number, the lower tail included.

    1 - Φ(|x|) = exp(-x²/2) M(|x|) with one polynomial for (1 + x) M(x), as Shepherd & Laframboise 1981, "Chebyshev
    approximation of (1 + 2x) exp(x²) erfc x in 0 ≤ x < ∞" (Mathematics of Computation 36), have it for erfc.
    """
    x = np.asarray(x, dtype=np.float64)
    size = np.minimum(np.abs(x), 40)
    rough = np.rint(size * 2.0**20) * 2.0**-20  # its square is exact
    gaussian = exp(-0.5 * (rough * rough)) * exp(-0.5 * ((size - rough) * (size + rough)))
    upper = gaussian * (_polynomial(MILLS, (size - 5) / (size + 5)) / (1 + size))
    return np.where(x > 0, 1 - upper, upper)[()]


@_silently
def normal_quantile(p: ArrayLike) -> np.ndarray:
    """The inverse of Φ, with a relative error of 1e-15; -inf at 0, inf at 1, nan elsewhere outside (0, 1).

    Wichura 1988, "Algorithm AS 241: The percentage points of the normal distribution" (Applied Statistics 37), PPND16.
    """
    p = np.asarray(p, dtype=np.float64)
    flat = p.ravel()
    q = flat - 0.5
    central = np.abs(q) <= 0.425
    middle, outer = q[central], flat[~central]
    r = np.sqrt(-log(np.minimum(outer, 1 - outer)))
    tail = np.where(r <= 5, _ratio(TAIL, r - 1.6), _ratio(FAR_TAIL, r - 5))
    x = np.empty_like(flat)
    x[central] = middle * _ratio(CENTRE, 0.180625 - middle * middle)
    x[~central] = np.copysign(np.where(r == np.inf, np.inf, tail), q[~central])
    return x.reshape(p.shape)[()]


@_silently
def power(base: float, n: ArrayLike) -> np.ndarray:
    """base^n for whole n ≥ 0 by repeated squaring, with a relative error of at most n 2^-52.

    >>> power(2.0, [0, 1, 10]).tolist()
    [1.0, 2.0, 1024.0]
    """
    n = np.asarray(n, dtype=np.int64)
    result, square = np.ones(n.shape), float(base)
    while n.any():
        result, square, n = np.where(n & 1, result * square, result), square * square, n >> 1
    return result[()]


def total(values: Any, axis: int = -1) -> Any:
    """The sum along an axis: with zeros up to a power of two, the upper half is added to the lower until one is left.

    values: what is an array of float64 once it is one, or a tensor, which stays on its device.

    >>> float(total([1.0, 2.0, 3.0]))
    6.0
    """
    tensor = hasattr(values, "movedim")
    rest: Any = values.movedim(axis, -1) if tensor else np.moveaxis(np.asarray(values, dtype=np.float64), axis, -1)
    if not rest.shape[-1]:
        return rest.sum(-1)
    while (size := rest.shape[-1]) > 1:
        half = 1 << ((size - 1).bit_length() - 1)
        upper, rest = rest[..., half:], rest[..., :half].clone() if tensor else rest[..., :half].copy()
        rest[..., : size - half] += upper
    return rest[..., 0]


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """The Q of [..., row, column] = Q R, R's diagonal positive; of full rank, with no fewer rows than columns.

    Gram-Schmidt's projections done twice leave QᵀQ the identity to rounding (Giraud, Langou & Rozložník 2005).
    """
    Q = np.zeros(columns.shape)
    for j in range(columns.shape[-1]):
        done, rest = Q[..., :j], columns[..., j]
        for _ in range(2):
            along = total(done * rest[..., None], axis=-2)
            rest = rest - total(done * along[..., None, :])
        Q[..., j] = rest / np.sqrt(total(rest * rest))[..., None]
    return Q


def least_squares(columns: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The w of the least |columns w - target|², [row, column] and [row] -> [column].

    By Gram-Schmidt as in `orthonormal`. A column that those before it make up, to 1e-12 of its length, gets 0.

    >>> least_squares(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.array([1.0, 3.0, 5.0])).round(12).tolist()
    [1.0, 2.0]
    """
    count = columns.shape[1]
    Q, R = np.zeros(columns.shape), np.zeros((count, count))
    for j in range(count):
        done, rest = Q[:, :j], columns[:, j]
        least = 1e-12 * np.sqrt(total(rest * rest))
        for _ in range(2):
            along = total(done * rest[:, None], axis=0)
            rest = rest - total(done * along)
            R[:j, j] += along
        length = np.sqrt(total(rest * rest))
        if not length <= least:  # nan, too, is to be seen
            Q[:, j], R[j, j] = rest / length, length
    w, along = np.zeros(count), total(Q * target[:, None], axis=0)
    for j in reversed(range(count)):
        if R[j, j] != 0:
            w[j] = (along[j] - total(R[j, j + 1 :] * w[j + 1 :])) / R[j, j]
    return w
