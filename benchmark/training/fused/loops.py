"""What is alike as loops: stretches of neighbours that change in the same way, and their text."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmark.training.fused.numbers import Number

Change = tuple[Any, ...]  # how a number differs from its neighbour before it
Factors = tuple[tuple[str, Any], ...]  # of a term: each one's array and index, or a text where it has no array


def literal(value: Any) -> str:
    """A constant, to the bit."""
    if isinstance(value, bool):
        return "-1" if value else "0"
    number = float(value)
    if number != number:
        return "real(NOT_A_NUMBER)"
    if number in (float("inf"), float("-inf")):
        return f"real({'-' if number < 0 else ''}INFINITE)"
    return f"real({number.hex()})"


@dataclass
class Repeated:
    """Like numbers as a loop: lines over k, `size` times, in steps of `step`; before it come others."""

    size: int
    step: int
    lines: list[str]
    before: list[str] = field(default_factory=list)


def apart(a: Factors, b: Factors) -> list[int] | None:
    """How far b's factors are from a's; None where they are not of the same arrays."""
    if [array for array, _ in a] != [array for array, _ in b] or not all(array for array, _ in a):
        return None
    return [to - of for (_, of), (_, to) in zip(a, b, strict=True)]


def rows_apart(a: tuple[list[Factors], Any], b: tuple[list[Factors], Any]) -> list[int] | None:
    """The same of the first of two runs that are alike."""
    (one, across), (other, own) = a, b
    return apart(one[0], other[0]) if len(one) == len(other) and across == own else None


def runs(numbers: list[Any], change: Callable[[Any, Any], Any]) -> list[tuple[list[Any], Any]]:
    """The numbers in stretches that change alike from neighbour to neighbour, and how."""
    found: list[tuple[list[Any], Any]] = []
    start = 0
    while start < len(numbers):
        stop, own = start + 1, None
        while stop < len(numbers):
            step = change(numbers[stop - 1], numbers[stop])
            if step is None or (own is not None and step != own):
                break
            own, stop = step, stop + 1
        found.append((numbers[start:stop], own))
        start = stop
    return found


def copies(to: int, numbers: list[Number], place: dict[Number, int]) -> list[str]:
    """Numbers brought together: stretches of neighbours as loops."""
    lines = []
    start = 0
    while start < len(numbers):
        stop = start + 1
        number = numbers[start]
        if number.op == "constant":
            value = literal(number.args[0])
            text = f"from_mask({value})" if number.mask else value
            while stop < len(numbers) and numbers[stop] is number:
                stop += 1
            source = text
        else:
            first = place[number]
            while stop < len(numbers) and place.get(numbers[stop]) == first + stop - start:
                stop += 1
            source = f"p[{first} + k]"
        if number.op == "constant" or place[number] != to + start:
            lines.append(f"OVER(k, {stop - start}, 1) p[{to + start} + k] = {source};")
        start = stop
    return [*lines, "SYNC;"] if lines else []


def merged(block: list[Any]) -> list[str]:
    """The lines of a block; loops of one length that follow each other are one."""
    lines: list[str] = []
    pending: list[Repeated] = []

    def flush() -> None:
        if pending:
            lines.extend(line for loop in pending for line in loop.before)
            size, step = pending[0].size, pending[0].step
            lines.append(f"for (int k = 0; k < {size}; k += {step}) {{")
            lines.extend(line for loop in pending for line in loop.lines)
            lines.append("}")
            pending.clear()

    for item in block:
        if isinstance(item, Repeated):
            stores = any(line.startswith("st(") for loop in pending for line in loop.lines)
            if pending and (stores or (pending[0].size, pending[0].step) != (item.size, item.step)):
                flush()
            pending.append(item)
        else:
            flush()
            lines.append(item)
    flush()
    return lines
