"""The text of a program: a schedule as C++ in the vocabulary of the headers."""

from dataclasses import dataclass, field
from typing import Any

from benchmark.fused.numbers import LOGIC, TEXT, Number
from benchmark.fused.schedule import Copy, Loop, Reading, Schedule

ROLLED = 16  # so many like numbers are a loop
CHAINS = 4  # partial sums of a long sum, so that one addition need not wait for the last

Change = tuple[Any, ...]  # how a number differs from its neighbour before it


def literal(value: Any) -> str:
    """A constant, to the bit."""
    if isinstance(value, bool):
        return "-1" if value else "0"
    number = float(value)
    if number != number:
        return "real(__builtin_nan(\"\"))"
    if number in (float("inf"), float("-inf")):
        return f"real({'-' if number < 0 else ''}__builtin_inf())"
    return f"real({number.hex()})"


@dataclass
class Repeated:
    """Like numbers as a loop: lines over k, `size` times, in steps of `step`; before it and after it are others."""

    size: int
    step: int
    lines: list[str]
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


class Writer:
    """Writes one function's body. masked: the batch's last block is not full. stores: name of an array of examples'
    results -> the number that it receives."""

    def __init__(self, schedule: Schedule, masked: bool, stores: dict[str, Number] | None = None):
        self.schedule, self.masked, self.stores = schedule, masked, stores or {}
        self.names: dict[Number, str] = {}
        self.serial = 0

    def body(self) -> list[str]:
        """All phases, each in a scope of its own."""
        lines: list[str] = []
        last = len(self.schedule.phases) - 1
        for level, (items, sums) in enumerate(self.schedule.phases):
            for item in items:
                lines += self._copy(item) if isinstance(item, Copy) else self._loop(item)
            stores = {name: n for name, n in self.stores.items() if level == last}
            if sums or stores:
                lines += self._over_lanes(sums, stores)
        return lines

    # What is the same for all examples

    def _copy(self, copy: Copy) -> list[str]:
        return copies(copy.to, copy.numbers, self.schedule.place)

    def _loop(self, loop: Loop) -> list[str]:
        at = "" if loop.size <= ALIGNED_STEP else " + k"
        names: dict[Number, str] = {}
        lines = []
        for members, readings in loop.steps:
            first = members[0]
            args = [self._read(reading, names, at) for reading in readings]
            name = self._name("v")
            lines.append(f"const {'M' if first.mask else 'V'} {name} = {TEXT[first.op].format(*args)};")
            names[first] = name
            if any(member in self.schedule.kept for member in members):
                stored = f"number({name})" if first.mask else name
                lines.append(f"st(p + {self.schedule.place[first]}{at}, {stored});")
        if not at:
            return [f"for (int k = 0; k < {loop.size}; k += W) {{", *(lines_at(lines, "k")), "}"]
        return [f"for (int k = 0; k < {loop.size}; k += W) {{", *lines, "}"]

    def _read(self, reading: Reading, names: dict[Number, str], at: str) -> str:
        number = reading.number
        assert number is not None
        if reading.kind == "own":
            return names[number]
        if reading.kind == "all":
            return self._for_all(number)
        text = f"ld(p + {reading.first}{at})"
        return f"bits({text})" if number.mask else text

    def _for_all(self, number: Number) -> str:
        if number.op == "constant":
            value = literal(number.args[0])
            return f"(M{{}} + {value})" if number.mask else f"all({value})"
        text = f"all(p[{self.schedule.place[number]}])"
        return f"bits({text})" if number.mask else text

    # What each example has of its own

    def _over_lanes(self, sums: list[Number], stores: dict[str, Number]) -> list[str]:
        self.names, self.block = {}, []  # type: ignore[var-annotated]
        self.arrays: list[str] = []
        self.group_of: dict[Number, tuple[int, list[Number]]] = {}
        self.scratch: dict[Number, tuple[str, int]] = {}
        self._find_groups([*(n.args[0] for n in sums), *stores.values()])
        rolled: dict[Number, tuple[list[Number], Change]] = {}
        for run, change in runs([number.args[0] for number in sums], self._change):
            if len(run) >= ROLLED and change is not None:
                rolled |= {number: (run, change) for number in run}
        singles: list[int] = []
        done: set[Number] = set()
        for i, number in enumerate(sums):
            inner = number.args[0]
            if inner in done:
                continue
            if inner in rolled:
                run, change = rolled[inner]
                done |= set(run)
                self._accumulate(i, run, change)
            else:
                done.add(inner)
                singles.append(i)
                self.block.append(f"a{i} = {self._added(f'a{i}', inner)};")
        for name, number in stores.items():
            self.block.append(f"st({name} + at, {self._need(number)});")
        count = len(sums)
        first = self.schedule.place[sums[0]] if sums else 0
        return [
            "{",
            *([f"alignas(64) V rows[{count} * PARTS] = {{}};"] if sums else []),
            "for (int part = 0; part < PARTS; part++) {",
            *([f"V {', '.join(f'a{i} = V{{}}' for i in singles)};"] if singles else []),
            "for (int at = part * W; at < PADDED; at += 16) {",
            *(["const M valid = before(BATCH - at);"] if self.masked and sums else []),
            *self.arrays,
            *merged(self.block),
            "}",
            *(f"rows[{i} * PARTS + part] = a{i};" for i in singles),
            "}",
            *([f"for (int k = 0; k < {count}; k++) p[{first} + k] = total(rows + k * PARTS);"] if sums else []),
            "}",
        ]

    def _added(self, name: str, inner: Number) -> str:
        if self.masked:
            return f"{name} + select(valid, {self._need(inner)}, V{{}})"
        if inner.op == "mul" and self.schedule.counts[inner] == 1:
            a, b = (self._need(arg) for arg in inner.args)
            return f"fma({a}, {b}, {name})"
        return f"{name} + {self._need(inner)}"

    def _accumulate(self, first: int, run: list[Number], change: Change) -> None:
        inner, name = run[0], f"rows[({first} + k) * PARTS + part]"
        if not self.masked and inner.op == "mul" and self.schedule.counts[inner] == 1:
            a, b = (self._repeated(arg, own, "k") for arg, own in zip(inner.args, change[1], strict=True))
            line = f"{name} = fma({a}, {b}, {name});"
        else:
            text = self._repeated(inner, change, "k")
            line = f"{name} = {name} + {f'select(valid, {text}, V{{}})' if self.masked else text};"
        self.block.append(Repeated(len(run), 1, [line]))

    def _need(self, number: Number) -> str:
        """The number's name in this block of examples, computed there if it was not yet."""
        if not number.lanes:
            return self._for_all(number)
        if number.op == "place":
            array, index = number.args
            return f"ld({array} + {index} * PADDED + at)"
        if number in self.scratch:
            name, index = self.scratch[number]
            return f"{name}[{index}]"
        if number in self.group_of:
            self._fill(*self.group_of[number])
            return self._need(number)
        if number in self.names:
            return self.names[number]
        text = self._sum(number) if number.op == "sum" else None
        if text is None:
            args = [self._need(arg) for arg in number.args]
            text = TEXT[number.op].format(*args)
        name = self._name("b")
        self.names[number] = name
        self.block.append(f"const {'M' if number.mask else 'V'} {name} = {text};")
        return name

    def _sum(self, number: Number) -> str:
        terms = number.args
        chains = CHAINS if len(terms) >= ROLLED else 1
        names = [self._name("c") for _ in range(chains)]
        run, change = runs(list(terms), self._change)[0]
        whole = len(terms) // CHAINS * CHAINS
        done = 0
        if chains > 1 and len(run) == len(terms) and change is not None:
            lines = [
                self._term(names[j], run[0], lambda n, own, j=j: self._repeated(n, own, f"(k + {j})"), change)
                for j in range(CHAINS)
            ]
            loop = Repeated(whole, CHAINS, lines, [f"V {', '.join(f'{name} = V{{}}' for name in names)};"])
            self.block.append(loop)
            done = whole
        else:
            self.block.append(f"V {', '.join(f'{name} = V{{}}' for name in names)};")
        for i in range(done, len(terms)):
            self.block.append(self._term(names[i % chains], terms[i], lambda n, own: self._need(n), (None, [None] * 4)))
        return names[0] if chains == 1 else f"({names[0]} + {names[1]}) + ({names[2]} + {names[3]})"

    def _term(self, name: str, term: Number, text: Any, change: Change) -> str:
        if term.op == "mul" and self.schedule.counts[term] == 1 and term.lanes:
            a, b = (text(arg, own) for arg, own in zip(term.args, change[1], strict=False))
            return f"{name} = fma({a}, {b}, {name});"
        return f"{name} = {name} + {text(term, change)};"

    # Like numbers

    def _find_groups(self, roots: list[Number]) -> None:
        """Numbers that many others read and of which there are many: kept in an array of this block of examples."""
        from benchmark.fused.numbers import uses

        reached = [n for n in uses(roots) if n.lanes and n.op not in ("place", "over_lanes", "sum")]
        shared: dict[tuple, list[Number]] = {}
        for number in reached:
            if self.schedule.counts[number] > 1 and not number.mask:
                shared.setdefault((number.born, number.op), []).append(number)
        for members in shared.values():
            for run, change in runs(members, self._inner_change):
                if len(run) >= ROLLED and change is not None:
                    name = self._name("s")
                    for i, number in enumerate(run):
                        self.group_of[number] = (i, run)
                        self.scratch_names = getattr(self, "scratch_names", {})
                        self.scratch_names[number] = (name, i)

    def _fill(self, _: int, run: list[Number]) -> None:
        name = self.scratch_names[run[0]][0]
        change = self._inner_change(run[0], run[1])
        assert change is not None
        self.arrays.append(f"V {name}[{len(run)}];")
        first = run[0]
        args = [self._repeated(arg, own, "k") for arg, own in zip(first.args, change[1], strict=True)]
        self.block.append(Repeated(len(run), 1, [f"{name}[k] = {TEXT[first.op].format(*args)};"]))
        for number in run:
            self.scratch[number] = self.scratch_names[number]

    def _inner_change(self, a: Number, b: Number) -> Change | None:
        """As `_change`, of two numbers that are kept themselves."""
        return self._structure(a, b) if a is not b else None

    def _change(self, a: Number, b: Number) -> Change | None:
        """How b differs from a where both are computed alike; None where they are not."""
        if a is b:
            return ("same", a)
        if a in self.group_of and b in self.group_of:
            (name, i), (other, j) = self.scratch_names[a], self.scratch_names[b]
            return ("array", name, j - i) if name == other else None
        if a.op == b.op == "place" and a.lanes and b.lanes:
            return ("place", a.args[0], b.args[1] - a.args[1]) if a.args[0] == b.args[0] else None
        if not a.lanes and not b.lanes:
            at = [self.schedule.place.get(number) for number in (a, b)]
            return None if at[0] is None or at[1] is None or a.mask else ("common", at[1] - at[0])
        if self.schedule.counts.get(a) != 1 or self.schedule.counts.get(b) != 1:
            return None
        return self._structure(a, b)

    def _structure(self, a: Number, b: Number) -> Change | None:
        if a.op != b.op or a.op in ("place", "constant", "sum") or len(a.args) != len(b.args):
            return None
        parts = [self._change(one, other) for one, other in zip(a.args, b.args, strict=True)]
        return None if None in parts else (a.op, parts)

    def _repeated(self, first: Number, change: Any, k: str) -> str:
        """The text of the k-th of numbers that differ by `change`."""
        if change[0] == "same":
            return self._need(first)
        if change[0] == "array":
            if first not in self.scratch:
                self._fill(*self.group_of[first])
            name, index = self.scratch[first]
            return f"{name}[{index} + {change[2]} * {k}]"
        if change[0] == "place":
            return f"ld({first.args[0]} + ({first.args[1]} + {change[2]} * {k}) * PADDED + at)"
        if change[0] == "common":
            return f"all(p[{self.schedule.place[first]} + {change[1]} * {k}])"
        args = [self._repeated(arg, own, k) for arg, own in zip(first.args, change[1], strict=True)]
        return f"({TEXT[first.op].format(*args)})"

    def _name(self, kind: str) -> str:
        self.serial += 1
        return f"{kind}{self.serial}"


ALIGNED_STEP = 0


def lines_at(lines: list[str], k: str) -> list[str]:
    return lines


def runs(numbers: list[Number], change: Any) -> list[tuple[list[Number], Any]]:
    """The numbers in stretches that change alike from neighbour to neighbour, and how."""
    found: list[tuple[list[Number], Any]] = []
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
            lines.append(f"for (int k = 0; k < {stop - start}; k++) p[{to + start} + k] = {source};")
        start = stop
    return lines


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
            if pending and (pending[0].size, pending[0].step) != (item.size, item.step):
                flush()
            pending.append(item)
        else:
            flush()
            lines.append(item)
    flush()
    return lines
