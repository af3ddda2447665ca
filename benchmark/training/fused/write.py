"""The text of a program: a schedule as C++ in the vocabulary of the headers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmark.training.fused.numbers import TEXT, Number, uses
from benchmark.training.fused.schedule import ALIGNED, Copy, Loop, Reading, Schedule

ROLLED = 16  # so many like numbers are a loop
CHAINS = 4  # partial sums of a long sum, so that one addition need not wait for the last

Change = tuple[Any, ...]  # how a number differs from its neighbour before it


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


@dataclass(frozen=True)
class Machine:
    """What decides how a text is laid out, and no bit of what it computes.

    beside: registers of one value side by side, as one operation waits for another. sums: over the examples, that find
    room in registers at once; 0 if threads that share out the examples have to meet before they are summed.
    """

    beside: int
    sums: int


@dataclass
class Repeated:
    """Like numbers as a loop: lines over k, `size` times, in steps of `step`; before it come others."""

    size: int
    step: int
    lines: list[str]
    before: list[str] = field(default_factory=list)


class Writer:
    """Writes one function's body.

    masked: the batch's last block is not full. stores: name of an array of examples' results -> the number that it
    receives. kept_lanes: how many numbers are kept for all examples at most.
    """

    def __init__(self, schedule: Schedule, masked: bool, machine: Machine, stores: dict[str, Number] | None = None):
        self.schedule, self.masked, self.machine, self.stores = schedule, masked, machine, stores or {}
        self.names: dict[Number, str] = {}  # of what a block of examples has computed so far
        self.lanes: dict[Number, int] = {}  # what is kept for all examples, and where
        self.block: list[str | Repeated] = []
        self.written: dict[int, int] = {}  # since threads have met: places, and whose neighbour each is
        self.seen: dict[int, int | None] = {}  # and what was read, None by several
        self.serial = self.kept_lanes = 0

    def body(self) -> list[str]:
        """All phases, each in a scope of its own."""
        lines: list[str] = []
        last = len(self.schedule.phases) - 1
        for level, (items, sums) in enumerate(self.schedule.phases):
            for item in items:
                lines += self._copy(item.to, item.numbers) if isinstance(item, Copy) else self._loop(item)
            stores = {name: n for name, n in self.stores.items() if level == last}
            if sums or stores:
                lines += [*self._meet(), *self._over_lanes(sums, stores)]
        return lines + self._copy(0, self.schedule.roots[: self.schedule.new_state])

    # What is the same for all examples

    def _copy(self, to: int, numbers: list[Number]) -> list[str]:
        return [*self._meet(), *copies(to, numbers, self.schedule.place)]

    def _meet(self, read: dict[int, int | None] | None = None, written: dict[int, int] | None = None) -> list[str]:
        """Where threads have to wait for each other: before a loop that reads what another neighbour's thread has
        written, or writes what another's reads; before anything else in any case.
        """
        if read is None or written is None:
            needed, read, written = bool(self.written or self.seen), {}, {}
        else:
            needed = any(self.written.get(place, k) != k for place, k in [*read.items(), *written.items()])
            needed |= any(self.seen.get(place, k) != k for place, k in written.items())
        if needed:
            self.written, self.seen = {}, {}
        self.written |= written
        self.seen |= {place: k if self.seen.get(place, k) == k else None for place, k in read.items()}
        return ["SYNC;"] if needed else []

    def _loop(self, loop: Loop) -> list[str]:
        read: dict[int, int | None] = {}
        written: dict[int, int] = {}
        names: dict[Number, str] = {}
        lines = []
        for members, readings in loop.steps:
            first = members[0]
            name = names[first] = self._name("v")
            text = TEXT[first.op].format(*(self._read(reading, names) for reading in readings))
            for reading in readings:
                if reading.kind == "places":
                    for k in range(loop.size):
                        read[reading.first + k] = k if read.get(reading.first + k, k) == k else None
                elif reading.kind == "all" and reading.number in self.schedule.place:
                    read[self.schedule.place[reading.number]] = None
            lines.append(f"const {'M' if first.mask else 'V'} {name} = {text};")
            if any(member in self.schedule.kept for member in members):
                stored = f"number({name})" if first.mask else name
                lines.append(f"st(p + {self.schedule.place[first]} + k, {stored});")
                written |= {self.schedule.place[first] + k: k for k in range(loop.size)}
        return [*self._meet(read, written), f"OVER(k, {loop.size}, W) {{", *lines, "}"]

    def _read(self, reading: Reading, names: dict[Number, str]) -> str:
        number = reading.number
        assert number is not None
        if reading.kind == "own":
            return names[number]
        if reading.kind == "all":
            return self._for_all(number)
        text = f"ld(p + {reading.first} + k)"
        return f"bits({text})" if number.mask else text

    def _for_all(self, number: Number) -> str:
        if number.op == "constant":
            value = literal(number.args[0])
            return f"(M{{}} + {value})" if number.mask else f"all({value})"
        text = f"all(p[{self.schedule.place[number]}])"
        return f"bits({text})" if number.mask else text

    # What each example has of its own

    def _over_lanes(self, sums: list[Number], stores: dict[str, Number]) -> list[str]:
        """One loop over blocks of sixteen examples, and what is summed over them.

        A few sums stay in registers meanwhile. Of many, the factors are kept and the sums follow, some at a time, or by
        a table of their factors.
        """
        self.names, self.block, self.lanes = {}, [], {}
        self.groups: dict[Number, list[Number]] = {}
        terms = [number.args[0] for number in sums]
        self._find_groups([*terms, *stores.values()])
        for name, number in stores.items():
            self.block.append(f"st({name} + at@, {self._need(number)});")
        few = range(len(sums)) if len(sums) <= self.machine.sums else range(0)
        for i in few:
            self.block.append(f"a{i}@ = {self._added(f'a{i}@', terms[i], self._need)};")
        if not few:
            for factor in dict.fromkeys(factor for term in terms for factor in self._factors(term)):
                self._keep(factor)
        first = self.schedule.place[sums[0]] if sums else 0
        lines = [f"ROWS({len(sums) + -len(sums) % ALIGNED});"] if sums else []
        lines += self._blocks(first, few, merged(self.block), self.machine.beside)
        if sums and not self.machine.sums:
            rows = ", ".join(self._rows(term) for term in terms)
            lines += ["SYNC;", f"static const short factors[{len(sums)}][2] = {{{rows}}};"]
            lines.append(f"sums_of(p + {first}, factors, lanes - DATA * ROW);")
        for start in range(len(few), len(sums) * (self.machine.sums > 0), max(self.machine.sums, 1)):
            tile = range(start, min(start + self.machine.sums, len(sums)))
            block = [f"a{i}@ = {self._added(f'a{i}@', terms[i], self._kept)};" for i in tile]
            lines += self._blocks(first, tile, block, 1)
        if sums:
            lines += [f"TOTALS({first}, {len(sums)});", "SYNC;"]
        self.kept_lanes = max(self.kept_lanes, len(self.lanes))
        return ["{", *lines, "}"]

    def _blocks(self, first: int, sums: range, block: list[str], beside: int) -> list[str]:
        """A loop over blocks of examples with these sums in registers, for places from `first` on."""
        suffixes = [f"_{h}" for h in range(beside)] if beside > 1 else [""]
        valid = ["const M valid@ = before(BATCH - at@);"] if self.masked and sums else []

        def each(lines: list[str]) -> list[str]:
            return [line.replace("@", own) for line in lines for own in (suffixes if "@" in line else [""])]

        return [
            f"OVER(part, PARTS, {beside}) {{",
            *each([f"V a{i}@ = V{{}};" for i in sums]),
            "for (int block = part * W; block < PADDED; block += PARTS * W) {",
            *(f"const int at{own} = block + {h} * W;" for h, own in enumerate(suffixes)),
            *each([*valid, *block]),
            "}",
            *(f"SUM({first}, {i}, part + {h}, a{i}{own});" for i in sums for h, own in enumerate(suffixes)),
            "}",
        ]

    def _factors(self, term: Number) -> tuple[Number, ...]:
        """What a sum over the examples multiplies and adds: two factors, or one number."""
        inside = term.op == "mul" and self.schedule.counts[term] == 1 and not self.masked
        return term.args if inside else (term,)

    def _added(self, name: str, term: Number, text: Callable[[Number], str]) -> str:
        """The sum so far and one more term."""
        factors = [text(factor) for factor in self._factors(term)]
        if len(factors) == 2:
            return f"fma({factors[0]}, {factors[1]}, {name})"
        return f"{name} + {f'select(valid@, {factors[0]}, V{{}})' if self.masked else factors[0]}"

    def _keep(self, number: Number) -> None:
        """Compute the number and keep it for all examples, so that the sums can come afterwards."""
        if (number.lanes or not self.machine.sums) and not (number.lanes and number.op == "place"):
            text = self._need(number)
            if number not in self.lanes:
                self.lanes[number] = len(self.lanes)
                self.block.append(f"st(LANE({self.lanes[number]}, at@), {text});")

    def _kept(self, number: Number) -> str:
        """A number that was kept for all examples."""
        if not number.lanes or number.op == "place":
            return self._need(number)
        return f"ld(LANE({self.lanes[number]}, at@))"

    def _rows(self, term: Number) -> str:
        """Where a sum's factors are kept, in rows from the inputs on; -1 for a second that is not there."""
        start = {"x": "", "t": "INPUTS + ", "noise": "INPUTS + 1 + "}
        rows = [
            f"{start[n.args[0]]}{n.args[1]}" if n.lanes and n.op == "place" else f"DATA + {self.lanes[n]}"
            for n in self._factors(term)
        ]
        return f"{{{rows[0]}, {rows[1] if len(rows) > 1 else -1}}}"

    def _need(self, number: Number) -> str:
        """The number's name in this block of examples, computed there if it was not yet."""
        if not number.lanes:
            return self._for_all(number)
        if number.op == "place":
            array, index = number.args
            return f"ld({array} + {index} * ROW + at@)"
        if number in self.names:
            return self.names[number]
        if number in self.groups:
            self._fill(self.groups[number])
            return self._kept(number)
        if number.op == "sum":
            text = self._sum(number)
        else:
            text = TEXT[number.op].format(*(self._need(arg) for arg in number.args))
        name = self.names[number] = self._name("b") + "@"
        self.block.append(f"const {'M' if number.mask else 'V'} {name} = {text};")
        return name

    def _sum(self, number: Number) -> str:
        terms = number.args
        names = [self._name("c") + "@" for _ in range(CHAINS if len(terms) >= ROLLED else 1)]
        run, change = runs(list(terms), self._change)[0]
        start = [f"V {name} = V{{}};" for name in names]
        done = 0
        if len(names) > 1 and len(run) == len(terms) and change is not None:
            done = len(terms) // CHAINS * CHAINS
            every = [partial(self._repeated, k=f"(k + {j})") for j in range(CHAINS)]
            lines = [self._more(name, run[0], text, change) for name, text in zip(names, every, strict=True)]
            self.block.append(Repeated(done, CHAINS, lines, start))
        else:
            self.block += start
        for i in range(done, len(terms)):
            text = self._more(names[i % len(names)], terms[i], lambda n, own: self._need(n), (None, (None, None)))
            self.block.append(text)
        return names[0] if len(names) == 1 else f"({names[0]} + {names[1]}) + ({names[2]} + {names[3]})"

    def _more(self, name: str, term: Number, text: Callable[[Number, Any], str], change: Change) -> str:
        """A line that adds a term."""
        if term.op == "mul" and self.schedule.counts[term] == 1 and term.lanes:
            a, b = (text(arg, own) for arg, own in zip(term.args, change[1], strict=True))
            return f"{name} = fma({a}, {b}, {name});"
        return f"{name} = {name} + {text(term, change)};"

    # Like numbers

    def _find_groups(self, roots: list[Number]) -> None:
        """Like numbers of which there are many and which several read: computed by a loop, and kept."""
        shared: dict[tuple, list[Number]] = {}
        for number in uses(roots):
            likely = number.lanes and number.op not in ("place", "sum") and not number.mask
            if likely and self.schedule.counts[number] > 1:
                shared.setdefault((number.born, number.op), []).append(number)
        for members in shared.values():
            for run, change in runs(members, self._structure):
                if len(run) >= ROLLED and change is not None:
                    self.groups |= dict.fromkeys(run, run)

    def _fill(self, run: list[Number]) -> None:
        """Compute and keep a group."""
        if run[0] in self.lanes:
            return
        change = self._structure(run[0], run[1])
        assert change is not None
        args = [self._repeated(arg, own, "k") for arg, own in zip(run[0].args, change[1], strict=True)]
        first = len(self.lanes)
        self.lanes |= {number: first + i for i, number in enumerate(run)}
        line = f"st(LANE({first} + k, at@), {TEXT[run[0].op].format(*args)});"
        self.block.append(Repeated(len(run), 1, [line]))

    def _change(self, a: Number, b: Number) -> Change | None:
        """How b differs from a where both are computed alike; None where they are not."""
        if a is b:
            return ("same", a)
        if a in self.groups or b in self.groups:
            run = self.groups.get(a, [])
            return ("kept", run.index(b) - run.index(a)) if run is self.groups.get(b) else None
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
        if change[0] == "kept":
            self._fill(self.groups[first])
            return f"ld(LANE({self.lanes[first]} + {change[1]} * {k}, at@))"
        if change[0] == "place":
            return f"ld({first.args[0]} + ({first.args[1]} + {change[2]} * {k}) * ROW + at@)"
        if change[0] == "common":
            return f"all(p[{self.schedule.place[first]} + {change[1]} * {k}])"
        args = [self._repeated(arg, own, k) for arg, own in zip(first.args, change[1], strict=True)]
        return f"({TEXT[first.op].format(*args)})"

    def _name(self, kind: str) -> str:
        self.serial += 1
        return f"{kind}{self.serial}"


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
