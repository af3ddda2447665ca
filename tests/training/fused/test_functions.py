"""The elementary functions of compiled code: as exact as their header says, and the same bits at every width."""

import ctypes
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

FUSED = Path(__file__).parents[3] / "benchmark" / "training" / "fused"
HEADER = (FUSED / "functions.h").read_text()
# What the header says: the largest errors of floats and of doubles, in units of the last place.
STATED = {
    name: {np.float32: float(single), np.float64: float(double)}
    for name, single, double in re.findall(r"// (\w+)v: within ([\d.]+), as doubles ([\d.]+) ulp", HEADER)
}
EXACT = {
    "abs": torch.abs,
    "round": torch.round,
    "sign": torch.sign,
    "copysign": torch.copysign,
    "min": torch.minimum,
    "max": torch.maximum,
}
OF_TWO = ("pow", "copysign", "min", "max")
TYPES = {np.float32: ("F", "float"), np.float64: ("D", "double")}
HUGE = 6381956970095103 * 2.0**797  # the double nearest to a multiple of pi/2, for its size

LOOP = """
extern "C" void {name}_{number}(long n, const {number}* x, const {number}* y, {number}* result) {{
    for (long i = 0; i < n; i += sizeof({register}) / sizeof({number})) {{
        {register} v, w;
        __builtin_memcpy(&v, x + i, sizeof v), __builtin_memcpy(&w, y + i, sizeof v);
        v = {name}v({arguments});
        __builtin_memcpy(result + i, &v, sizeof v);
    }}
}}
"""
REFERENCE = """
extern "C" void {name}_reference(long n, const long double* x, const long double* y, long double* result) {{
    for (long i = 0; i < n; i++) result[i] = {value};
}}
"""


def levels():
    """The instruction sets that this machine has."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return ["native"]
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set()
    return [
        "x86-64",
        *["x86-64-v3"] * ({"avx2", "fma", "bmi2"} <= flags),
        *["x86-64-v4"] * ({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags),
    ]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """Every function over arrays, compiled for each instruction set; and by the machine's library, in long doubles."""
    if not shutil.which("g++"):
        pytest.skip("no g++")
    folder = tmp_path_factory.mktemp("functions")
    loops = "".join(
        LOOP.format(name=name, register=register, number=number, arguments="v, w" if name in OF_TWO else "v")
        for name in (*STATED, *EXACT)
        for register, number in TYPES.values()
    )
    (folder / "loops.cpp").write_text('#include "functions.h"\n' + loops)
    formulas = {"sigmoid": "1 / (1 + __builtin_expl(-x[i]))", "pow": "__builtin_powl(x[i], y[i])"}
    (folder / "reference.cpp").write_text(
        "".join(REFERENCE.format(name=name, value=formulas.get(name, f"__builtin_{name}l(x[i])")) for name in STATED)
    )
    exact = ["-O1", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-w"]
    command = ["g++", "-std=c++17", "-shared", "-fPIC", *exact, f"-I{FUSED}"]
    compilers = {
        level: subprocess.Popen([*command, f"-march={level}", folder / "loops.cpp", "-o", folder / f"{level}.so"])
        for level in levels()
    }
    compilers["reference"] = subprocess.Popen([*command, folder / "reference.cpp", "-o", folder / "reference.so"])
    assert not any([compiler.wait() for compiler in compilers.values()])
    return {name: ctypes.CDLL(str(folder / f"{name}.so")) for name in compilers}


def call(library, name, x, y=None):
    """One function of a library at all of x."""
    arrays = [np.ascontiguousarray(x), np.ascontiguousarray(x if y is None else y, x.dtype), np.empty_like(x)]
    number = TYPES[x.dtype.type][1] if x.dtype.type in TYPES else "reference"
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
    getattr(library, f"{name}_{number}")(ctypes.c_long(len(x)), *pointers)
    return arrays[2]


def errors(values, exact):
    """In units of the last place; beyond the largest number these go on as if there were one binade more."""
    info, top = np.finfo(values.dtype), np.ldexp(np.longdouble(1), np.finfo(values.dtype).maxexp)
    wide, exact = np.clip(values.astype(np.longdouble), -top, top), np.clip(exact, -top, top)
    unit = np.ldexp(np.longdouble(1), np.maximum(np.frexp(exact)[1] - 1, info.minexp) - info.nmant)
    error = np.where(np.isnan(values) & np.isnan(exact), 0, np.abs(wide - exact) / unit)
    flipped = (values == 0) & (np.signbit(values) != np.signbit(exact))
    return np.where(np.isnan(error) | flipped, np.inf, error)


def multiple(*arrays):
    """As many as fill any register: the last one is repeated."""
    return [np.pad(array, (0, -len(array) % 16), mode="edge") for array in arrays]


def samples(kind):
    """Numbers of every exponent, many of ordinary size, many near 1, large angles, and all that is special."""
    rng = np.random.default_rng(0)
    info, integers = np.finfo(kind), {np.float32: np.uint32, np.float64: np.uint64}[kind]
    special = [0, 1, info.tiny, info.smallest_subnormal, info.max, np.inf, np.nan, 0.5, 1.5, 2.5, 2.0**30, 9, 20]
    near = 1 + np.exp2(rng.uniform(-info.nmant, -1, 10000)) * rng.choice([-1, 1], 10000)
    with np.errstate(over="ignore"):  # HUGE, as a float
        half_turns = np.array([*(np.arange(5000) * (np.pi / 2)), HUGE, HUGE / 2**600, 1e22]).astype(kind)
    positive = np.concatenate(
        [
            np.array(special, kind),
            rng.integers(0, 2 ** (info.bits - 1), 40000, integers).view(kind),
            np.exp2(rng.uniform(-30, np.log2(np.log(float(info.max))), 30000)).astype(kind),
            near.astype(kind),
            half_turns,
        ]
    )
    return multiple(np.concatenate([positive, -positive]))[0]


def pairs(kind):
    """Bases and exponents: powers of every size, integer ones of negative bases, and all that is special."""
    rng = np.random.default_rng(1)
    info = np.finfo(kind)
    special = np.array([0, 1, 2, 3, 0.5, 1.5, info.max, info.smallest_subnormal, 2.0**info.nmant - 1, np.inf, np.nan])
    grid = np.meshgrid(*[np.concatenate([special, -special])] * 2)
    near = 1 + np.exp2(rng.uniform(-info.nmant, -1, 20000)) * rng.choice([-1, 1], 20000)
    wide = np.exp2(rng.uniform(info.minexp - info.nmant, info.maxexp, 20000))
    base = np.concatenate([near, wide]).astype(kind)
    with np.errstate(divide="ignore"):
        logarithm = np.log(base.astype(np.float64))
    logarithm[logarithm == 0] = 1
    exponent = rng.uniform(np.log(float(info.smallest_subnormal)), np.log(float(info.max)), len(base)) / logarithm
    whole = -rng.integers(1, 100, 5000), rng.integers(-150, 150, 5000)
    parts = [grid[0].ravel(), base, whole[0]], [grid[1].ravel(), exponent, whole[1]]
    with np.errstate(over="ignore", under="ignore"):
        return multiple(*[np.concatenate(part).astype(kind) for part in parts])


def arguments(name, kind):
    return pairs(kind) if name in OF_TWO else [samples(kind)]


def same(a, b):
    """Bit for bit, except that one nan is like another."""
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a[a == 0]), np.signbit(b[b == 0]))


def test_the_header_states_the_error_of_each_function():
    functions = "exp expm1 log log1p tanh sigmoid sin cos erf pow"
    assert sorted(STATED) == sorted(functions.split())
    assert max(limit[np.float32] for limit in STATED.values()) <= 2
    assert max(limit[np.float64] for limit in STATED.values()) <= 2


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", STATED)
def test_no_result_errs_by_more_than_the_header_says(libraries, name, kind):
    given = arguments(name, kind)
    values = call(libraries[levels()[-1]], name, *given)
    slack = 1 if np.finfo(np.longdouble).nmant == np.finfo(kind).nmant else 0  # the reference's own error
    with np.errstate(all="ignore"):
        exact = call(libraries["reference"], name, *[array.astype(np.longdouble) for array in given])
        error = errors(values, exact)
    worst = np.argmax(error)
    assert error[worst] <= STATED[name][kind] + slack, [float(array[worst]) for array in given]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", EXACT)
def test_signs_rounding_and_order_are_those_of_torch(libraries, name, kind):
    given = arguments(name, kind)
    values, expected = call(libraries[levels()[-1]], name, *given), EXACT[name](*map(torch.from_numpy, given)).numpy()
    # Of two zeros either is the smaller.
    assert np.array_equal(values, expected, equal_nan=True) if name in ("min", "max") else same(values, expected)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", [*STATED, *EXACT])
def test_registers_of_any_width_give_the_same_bits(libraries, name, kind):
    given = arguments(name, kind)
    results = [call(libraries[level], name, *given) for level in levels()]
    assert all(same(results[0], other) for other in results[1:])


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_a_huge_angle_leaves_its_neighbours_bits_alone(libraries, name):
    library = libraries[levels()[-1]]
    angles = np.random.default_rng(2).uniform(-100, 100, 4096)
    mixed = np.where(np.arange(4096) % 3, angles, HUGE)
    alone, beside = call(library, name, angles), call(library, name, mixed)
    assert same(beside[mixed == angles], alone[mixed == angles])
    assert same(
        beside[mixed == HUGE], np.broadcast_to(call(library, name, np.full(16, HUGE))[0], (mixed == HUGE).sum())
    )
    # Muller et al., Handbook of Floating-Point Arithmetic: the cosine is -4.68716592425462761112e-19.
    assert call(library, "cos", np.full(16, HUGE))[0] == pytest.approx(-4.68716592425462761112e-19, rel=1e-15)
