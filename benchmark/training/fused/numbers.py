"""The numbers of a program: a graph whose equal parts are one, simplified while it is made.

A number is the same for all examples or, with `lanes`, one for each example of a batch. It is the result of one
operation on other numbers, a constant, or a place in an array that is given.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

UNARY = {
    "neg": "-{}", "abs": "absv({})", "exp": "expv({})", "log": "logv({})", "log1p": "log1pv({})",
    "expm1": "expm1v({})", "tanh": "tanhv({})", "sigmoid": "sigmoidv({})", "sqrt": "root({})", "sin": "sinv({})",
    "cos": "cosv({})", "erf": "erfv({})", "round": "roundv({})", "sign": "signv({})",
}  # fmt: skip
BINARY = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "pow": "powv({}, {})",
    "minimum": "minv({}, {})", "maximum": "maxv({}, {})",
}  # fmt: skip
COMPARE = {"lt": "{} < {}", "le": "{} <= {}", "gt": "{} > {}", "ge": "{} >= {}", "eq": "{} == {}", "ne": "{} != {}"}
LOGIC = {"and": "{} & {}", "or": "{} | {}", "not": "inverse({})"}
OTHER = {"where": "select({}, {}, {})", "fma": "fma({}, {}, {})", "fms": "fma({}, {}, -{})", "fnma": "fma(-{}, {}, {})"}
TEXT = UNARY | BINARY | COMPARE | LOGIC | OTHER  # each operation in the vocabulary of registers.h and functions.h
# What takes as long as a dozen sums or more: worth a row of memory where it need not be computed again.
LENGTHY = {"exp", "log", "log1p", "expm1", "tanh", "sigmoid", "sqrt", "sin", "cos", "erf", "pow", "div"}

EXACT: dict[str, Callable] = {  # what is rounded correctly everywhere may be computed beforehand
    "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt, "add": np.add, "sub": np.subtract, "mul": np.multiply,
    "div": np.divide, "minimum": np.minimum, "maximum": np.maximum, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal, "and": np.logical_and,
    "or": np.logical_or, "not": np.logical_not, "round": np.rint, "sign": np.sign,
}  # fmt: skip


class Number:
    """op and args: what it is made of; a constant's one argument is its value, a place's are its array and index.

    lanes: whether each example has its own. level: how many sums over the examples lie, at most, on the way to it.
    born: the number of the tensor operation that it stems from; those of one operation are likely neighbours.
    """

    __slots__ = ("args", "born", "lanes", "level", "mask", "op", "order")

    def __init__(self, op: str, args: tuple, lanes: bool, level: int, mask: bool, order: int, born: int):
        self.op, self.args, self.lanes, self.level, self.mask = op, args, lanes, level, mask
        self.order, self.born = order, born

    @property
    def inputs(self) -> tuple["Number", ...]:
        """The numbers that it is computed from."""
        return () if self.op in ("constant", "place") else self.args

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(map(repr, self.args))})"


class Graph:
    """Makes numbers; none twice. dtype: of the reals, float32 or float64."""

    def __init__(self, dtype: type):
        self.dtype, self.known, self.births = dtype, {}, 0  # type: ignore[var-annotated]

    def constant(self, value: float | bool) -> Number:
        """The same in every step."""
        if isinstance(value, bool | np.bool_):
            return self._number("constant", (bool(value),), mask=True, key=("constant", bool(value)))
        rounded = self.dtype(value)
        return self._number("constant", (rounded,), key=("constant", rounded.tobytes()))

    def place(self, array: str, index: int, lanes: bool, mask: bool = False) -> Number:
        """What an array holds when the program starts."""
        return self._number("place", (array, index), lanes=lanes, mask=mask)

    def __call__(self, op: str, *args: Number) -> Number:
        """One operation's result."""
        if op in EXACT and all(arg.op == "constant" for arg in args):
            with np.errstate(all="ignore"):
                return self.constant(EXACT[op](*(arg.args[0] for arg in args)))
        short = self._simpler(op, args)
        if short is not None:
            return short
        if op in ("add", "mul", "and", "or", "eq", "ne"):
            args = tuple(sorted(args, key=lambda arg: arg.order))
        return self._number(op, args, mask=op in COMPARE or op in LOGIC or (op == "where" and args[1].mask))

    def sum(self, terms: list[Number]) -> Number:
        """Of many; with lanes in one go, else by halves, so that neighbours are added to neighbours."""
        terms = [term for term in terms if not is_constant(term, 0.0)]
        if any(term.lanes for term in terms) and len(terms) > 2:
            return self._number("sum", tuple(terms))
        while len(terms) > 1:
            self.births += 1
            half = len(terms) // 2
            terms = [self("add", a, b) for a, b in zip(terms, terms[half:], strict=False)][:half] + terms[2 * half :]
        return terms[0] if terms else self.constant(0.0)

    def over_lanes(self, number: Number, batch: int) -> Number:
        """The sum over all examples of a batch."""
        if not number.lanes:
            return self("mul", number, self.constant(float(batch)))
        return self._number("over_lanes", (number,), lanes=False, level=number.level + 1)

    def _number(
        self, op: str, args: tuple, lanes: bool | None = None, level: int = 0, mask: bool = False, key: Any = None
    ) -> Number:
        key = key or (op, *args)
        if key not in self.known:
            inputs = [arg for arg in args if isinstance(arg, Number)]
            if lanes is None:
                lanes = any(arg.lanes for arg in inputs)
            level = max([level, *(arg.level for arg in inputs)])
            self.known[key] = Number(op, args, lanes, level, mask, len(self.known), self.births)
        return self.known[key]

    def _simpler(self, op: str, args: tuple[Number, ...]) -> Number | None:
        a, b = (*args, None, None)[:2]
        assert a is not None
        if op == "neg" and a.op == "neg":
            return a.args[0]
        if op in ("add", "mul") and b is not None:
            for one, other in ((a, b), (b, a)):
                if is_constant(one, 0.0 if op == "add" else 1.0):
                    return other
                if op == "mul" and is_constant(one, -1.0):
                    return self("neg", other)
                if op == "mul" and is_power_of_two(one) and other.op == "mul":
                    for inner, rest in (other.args, other.args[::-1]):
                        if is_power_of_two(inner):  # both products are exact
                            return self("mul", self("mul", one, inner), rest)
                if op == "add" and one.op == "neg":
                    return self("sub", other, one.args[0])
        if op == "sub" and b is not None:
            if is_constant(b, 0.0):
                return a
            if is_constant(a, 0.0):
                return self("neg", b)
            if b.op == "neg":
                return self("add", a, b.args[0])
        if op == "div" and b is not None and b.op == "constant":
            if b.args[0] == 1:
                return a
            if is_power_of_two(b):  # its inverse is exact
                return self("mul", a, self.constant(1 / b.args[0]))
        if op == "where" and (a.op == "constant" or args[1] is args[2]):
            return args[1] if a.op != "constant" or a.args[0] else args[2]
        if op in ("and", "or") and b is not None:
            for one, other in ((a, b), (b, a)):
                if one.op == "constant":
                    return other if one.args[0] == (op == "and") else one
        return None


def is_constant(number: Number, value: float) -> bool:
    """Whether it is this constant; nothing else is ever known to be."""
    return number.op == "constant" and not number.mask and bool(number.args[0] == value)


def is_power_of_two(number: Number) -> bool:
    """Whether it is a constant ± 2^n, not near the ends of its range."""
    if number.op != "constant" or number.mask:
        return False
    return math.frexp(abs(number.args[0]))[0] == 0.5 and 1e-15 < abs(number.args[0]) < 1e15


def uses(roots: list[Number]) -> dict[Number, int]:
    """Everything that the roots are computed from, in the order of its making, and how often each is read."""
    counts: dict[Number, int] = dict.fromkeys(roots, 0)
    todo = list(counts)
    while todo:
        for part in todo.pop().inputs:
            if part not in counts:
                counts[part] = 0
                todo.append(part)
            counts[part] += 1
    for root in roots:
        counts[root] += 1
    return dict(sorted(counts.items(), key=lambda item: item[0].order))
