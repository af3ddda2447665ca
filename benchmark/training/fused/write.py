"""The text of a program: a schedule as C++ in the vocabulary of the headers."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmark.training.fused.loops import Change, Factors, Repeated, apart, copies, literal, merged, rows_apart, runs
from benchmark.training.fused.numbers import TEXT, Number, uses
from benchmark.training.fused.schedule import ALIGNED, Copy, Loop, Reading, Schedule

ROLLED = 16  # so many like numbers are a loop
SHORT = 4  # and so many where a matrix is: such a program is long
WIDE = 48  # so many like sums over the examples are loops
SIMPLE = 200  # so many lines of a block, without a loop, have registers left for a second one
LONG, CHAINS = 16, 4  # so many terms are added up in partial sums, so that one addition need not wait for the last


@dataclass(frozen=True)
class Machine:
    """What decides how a text is laid out, and no bit of what it computes.

    beside: registers of one value side by side, as one operation waits for another: of a block of examples, and
    blocks: of several, whose number divides that of all. sums: over the examples, that find room in registers at once;
    0 if threads that share out the examples have to meet before they are summed.
    """

    beside: int
    sums: int
    blocks: int = 1


@dataclass(frozen=True, eq=False)
class Product:
    """A matrix that is the same for all examples, times a column of numbers that each has of its own.

    sums: the result. first: where the matrix begins among the places; row, column: how far apart those are.
    """

    sums: list[Number]
    factors: tuple[Number, ...]
    first: int
    row: int
    column: int


class Writer:
    """Writes one function's body.

    masked: the batch's last block is not full. results: numbers of each example that become the rows of y. kept_lanes:
    how many numbers are kept for all examples at most.
    """

    def __init__(self, schedule: Schedule, masked: bool, machine: Machine, results: Sequence[Number] = ()):
        self.schedule, self.masked, self.machine, self.results = schedule, masked, machine, list(results)
        self.names: dict[Number, str] = {}  # of what a block of examples has computed so far
        self.lanes: dict[Number, int] = {}  # what is kept for all examples, and where
        self.block: list[str | Repeated] = []
        self.written: dict[int, int] = {}  # since threads have met: places, and whose neighbour each is
        self.seen: dict[int, int | None] = {}  # and what was read, None by several
        self.serial = self.room = self.kept_lanes = 0

    def phases(self) -> Iterator[tuple[list[str], list[str]]]:
        """Of each the lines of what is the same for all examples, and of what each has of its own, in a scope."""
        last = len(self.schedule.phases) - 1
        for level, (items, sums) in enumerate(self.schedule.phases):
            common: list[str] = []
            for item in items:
                common += self._copy(item.to, item.numbers) if isinstance(item, Copy) else self._loop(item)
            results = self.results if level == last else []
            yield common, [*self._meet(), *self._over_lanes(sums, results)] if sums or results else []
        if self.schedule.new_state:
            yield self._copy(0, self.schedule.roots[: self.schedule.new_state]), []

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

    def _over_lanes(self, sums: list[Number], results: list[Number]) -> list[str]:
        """One loop over blocks of sixteen examples, and what is summed over them.

        A few sums stay in registers meanwhile. Of many, the factors are kept and the sums follow, some at a time, or by
        a table of their factors.
        """
        self.names, self.block, self.lanes, self.room = {}, [], {}, 0
        self.groups: dict[Number, list[Number]] = {}
        self.products: dict[Number, Product] = {}
        self.columns: dict[tuple[Number, ...], int] = {}  # brought together, and where the first is kept
        self.beside: dict[Number, int] = {}  # of these numbers each, and where it is kept
        terms = [number.args[0] for number in sums]
        self._find_groups([*terms, *results])
        self._store(results)
        few = range(len(sums)) if len(sums) <= self.machine.sums else range(0)
        for i in few:
            self.block.append(self._added(f"a{i}#", [self._need(factor) for factor in self._factors(terms[i])]))
        if not few:
            for factor in dict.fromkeys(factor for term in terms for factor in self._factors(term)):
                self._keep(factor)
        first = self.schedule.place[sums[0]] if sums else 0
        lines = [f"ROWS({len(sums) + -len(sums) % ALIGNED});"] if sums else []
        block = merged(self.block)
        simple = len(block) <= SIMPLE and not any(line.startswith("for ") for line in block)
        blocks = self.machine.blocks if simple else 1
        lines += self._blocks(first, [*map(str, few)], block, self.machine.beside, blocks)
        if sums and not self.machine.sums:
            rows = ", ".join(self._rows(term) for term in terms)
            lines += ["SYNC;", f"static const short factors[{len(sums)}][2] = {{{rows}}};"]
            lines.append(f"sums_of(p + {first}, factors, lanes - DATA * ROW);")
        if not few and self.machine.sums:
            lines += self._tiles(first, terms)
        if sums:
            lines += [f"TOTALS({first}, {len(sums)});", "SYNC;"]
        self.kept_lanes = max(self.kept_lanes, self.room)
        return ["{", *lines, "}"]

    def _store(self, results: list[Number]) -> None:
        """Write them where they belong, many that are alike by a loop."""
        done = 0
        for run, change in runs(results, self._change):
            if len(run) >= ROLLED and change is not None:
                line = f"st(y + ({done} + k) * ROW + at@, {self._repeated(run[0], change, 'k')});"
                self.block.append(Repeated(len(run), 1, [line]))
            else:
                self.block += [f"st(y + {done + i} * ROW + at@, {self._need(number)});" for i, number in enumerate(run)]
            done += len(run)

    def _blocks(self, first: int, sums: list[str], block: list[str], beside: int, blocks: int) -> list[str]:
        """A loop over blocks of examples with sums a0, a1, … in registers. sums: which they are, from `first` on."""
        parts = [f"_{h}" for h in range(beside)] if beside > 1 else [""]
        ends, starts = [], []  # of the registers' names, and where each begins
        for b, (h, part) in itertools.product(range(blocks), enumerate(parts)):
            ends.append((part, f"{part}_{b}" if blocks > 1 else part))
            starts.append(f"block + {h} * W" + (f" + {b} * PARTS * W" if b else ""))
        valid = ["const M valid@ = before(BATCH - at@);"] if self.masked and sums else []

        def each(line: str) -> list[str]:
            """The line of every register: @ tells them apart, and # those that have a sum of their own."""
            own = ends if "@" in line or "#" in line else ends[:1]
            return [line.replace("#", part).replace("@", end) for part, end in own]

        return [
            f"OVER(part, PARTS, {beside}) {{",
            *(f"V a{i}{part} = V{{}};" for i in range(len(sums)) for part in parts),
            f"for (int block = part * W; block < PADDED; block += {f'{blocks} * ' * (blocks > 1)}PARTS * W) {{",
            *(f"const int at{end} = {start};" for (_, end), start in zip(ends, starts, strict=True)),
            *(own for line in [*valid, *block] for own in each(line)),
            "}",
            *(f"SUM({first}, {i}, part + {h}, a{k}{own});" for k, i in enumerate(sums) for h, own in enumerate(parts)),
            "}",
        ]

    def _tiles(self, first: int, terms: list[Number]) -> list[str]:
        """Many sums, of factors that are kept, a few at a time; what is like a matrix of sums is two loops."""
        lines: list[str] = []
        waiting: list[Factors] = []
        done, most = 0, self.machine.sums

        def flush() -> None:
            for start in range(0, len(waiting), most):
                tile = waiting[start : start + most]
                at = done - len(waiting) + start
                lines.extend(self._tile(first, [f"{at + i}" for i in range(len(tile))], tile))
            waiting.clear()

        for rows, down in runs(runs([self._addresses(term) for term in terms], apart), rows_apart):
            (row, across), columns = rows[0], len(rows[0][0])
            if len(rows) * columns < WIDE or across is None:
                waiting += [factors for row, _ in rows for factors in row]
                done += len(rows) * columns
                continue
            flush()
            steps = list(zip(down or [0] * len(across), across, strict=True))
            height = _height(len(rows), steps, most)
            width = most // height
            size = min(columns, max(range(width // 2 + 1, width + 1), key=lambda n: (columns // n * n, n)))
            whole = columns // size * size

            def part(k: str, size: int, start=done, row=row, columns=columns, steps=steps, height=height) -> list[str]:
                places = list(itertools.product(range(height), range(size)))
                tile = [tuple((f"f{j}", n * a + m * b) for j, (a, b) in enumerate(steps)) for n, m in places]
                at = [f"{start} + {columns} * (i + {n}) + {k} + {m}" for n, m in places]
                return [*self._pointers(row[0], steps, k), *self._tile(first, at, tile)]

            lines += [
                f"for (int i = 0; i < {len(rows)}; i += {height}) {{",
                f"for (int k = 0; k < {whole}; k += {size}) {{",
                *part("k", size),
                "}",
                *(part(str(whole), columns - whole) if whole < columns else []),
                "}",
            ]
            done += len(rows) * columns
        flush()
        return lines

    @staticmethod
    def _pointers(factors: Factors, steps: list[tuple[int, int]], k: str) -> list[str]:
        """Of the factors' rows, i rows down and k columns across; steps: of each factor, a row down and one across."""
        return [
            f"const real* f{j} = {array} + ({index} + {row} * i + {column} * {k}) * ROW;"
            for j, ((array, index), (row, column)) in enumerate(zip(factors, steps, strict=True))
        ]

    def _tile(self, first: int, at: list[str], tile: list[Factors]) -> list[str]:
        """A few sums, of these numbers, whose factors are kept."""
        texts = [[self._at(array, index) for array, index in factors] for factors in tile]
        lines = [self._added(f"a{i}#", own) for i, own in enumerate(texts)]
        return self._blocks(first, at, lines, 1, 1)

    def _addresses(self, term: Number) -> Factors:
        """Where a sum's factors are kept."""
        return tuple(self._address(factor) for factor in self._factors(term))

    def _address(self, number: Number) -> tuple[str, Any]:
        if not number.lanes:
            return "", self._for_all(number)
        if number.op == "place":
            array, index = number.args
            return array, index
        return "lanes", self.beside.get(number, self.lanes[number])

    @staticmethod
    def _at(array: str, index: Any) -> str:
        """What is at an address."""
        if not array:
            return index
        return f"ld(LANE({index}, at@))" if array == "lanes" else f"ld({array} + {index} * ROW + at@)"

    def _factors(self, term: Number) -> tuple[Number, ...]:
        """What a sum over the examples multiplies and adds: two factors, or one number."""
        inside = term.op == "mul" and self.schedule.counts[term] == 1 and not (self.masked and not self.machine.sums)
        return term.args if inside else (term,)

    def _added(self, name: str, factors: list[str]) -> str:
        """A line that adds one more term to the sum so far."""
        if len(factors) == 2 and not self.masked:
            return f"{name} = fma({factors[0]}, {factors[1]}, {name});"
        term = " * ".join(factors)
        return f"{name} = {name} + {f'select(valid@, {term}, V{{}})' if self.masked else term};"

    def _keep(self, number: Number) -> None:
        """Compute the number and keep it for all examples, so that the sums can come afterwards."""
        if (number.lanes or not self.machine.sums) and not (number.lanes and number.op == "place"):
            text = self._need(number)
            if number not in self.lanes:
                self._make_room([number])
                self.block.append(f"st(LANE({self.lanes[number]}, at@), {text});")

    def _make_room(self, numbers: list[Number], first: int | None = None) -> int:
        """For numbers that are kept side by side for all examples, if there is none yet: where the first is."""
        if first is None:
            first = self.room
            self.room += len(numbers)
        self.lanes |= {number: first + i for i, number in enumerate(numbers)}
        return first

    def _rows(self, term: Number) -> str:
        """Where a sum's factors are kept, in rows from the inputs on; -1 for a second that is not there."""
        start = {"x": "", "t": "SEEN + ", "noise": "SEEN + OUTPUTS + "}
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
            return f"ld(LANE({self.lanes[number]}, at@))"
        if number.op == "sum":
            text = self._sum(number)
        else:
            text = TEXT[number.op].format(*(self._need(arg) for arg in number.args))
        name = self.names[number] = self._name("b") + "@"
        self.block.append(f"const {'M' if number.mask else 'V'} {name} = {text};")
        return name

    def _sum(self, number: Number) -> str:
        terms = number.args
        names = self._chains(terms)
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
        return chained(names)

    def _chains(self, terms: tuple[Number, ...]) -> list[str]:
        """Names of the partial sums of these terms."""
        return [self._name("c") + "@" for _ in range(CHAINS if len(terms) >= LONG else 1)]

    def _more(self, name: str, term: Number, text: Callable[[Number, Any], str], change: Change) -> str:
        """A line that adds a term."""
        if term.op == "mul" and self.schedule.counts[term] == 1 and term.lanes:
            a, b = (text(arg, own) for arg, own in zip(term.args, change[1], strict=True))
            return f"{name} = fma({a}, {b}, {name});"
        return f"{name} = {name} + {text(term, change)};"

    # Matrices

    def _find_products(self, numbers: list[Number]) -> None:
        """Sums that are a matrix times a column: one loop in another."""
        born: dict[int, list[Number]] = {}
        for number in numbers:
            if number.lanes and number.op == "sum":
                born.setdefault(number.born, []).append(number)
        for sums in born.values():
            product = self._product(sums) if len(sums) >= ROLLED else None
            if product is not None:
                self.groups |= dict.fromkeys(sums, sums)
                self.products |= dict.fromkeys(sums, product)

    def _product(self, sums: list[Number]) -> Product | None:
        """What the sums are as a product, if they are one."""
        rows = [[self._sides(term) for term in number.args] for number in sums]
        factors = tuple(own for _, own in rows[0])
        places = [[place for place, _ in row] for row in rows]
        if any(tuple(own for _, own in row) != factors for row in rows) or any(min(own) < 0 for own in places):
            return None
        first, row, column = places[0][0], places[1][0] - places[0][0], places[0][1] - places[0][0]
        even = all(place == first + row * i + column * k for i, own in enumerate(places) for k, place in enumerate(own))
        return Product(sums, factors, first, row, column) if even else None

    def _sides(self, term: Number) -> tuple[int, Number]:
        """The place of a term's factor that is the same for all examples, -1 if it has none, and each example's own."""
        if term.op != "mul" or self.schedule.counts[term] != 1 or term.args[0].lanes == term.args[1].lanes:
            return -1, term
        common, own = term.args if term.args[1].lanes else term.args[::-1]
        return self.schedule.place.get(common, -1), own

    def _multiply(self, product: Product) -> None:
        """Compute and keep a product's sums."""
        text = self._side_by_side(product.factors)
        names, count = self._chains(product.factors), len(product.factors)
        whole = count // len(names) * len(names)
        first = self._make_room(product.sums)

        def more(name: str, k: str) -> str:
            place = f"{product.first} + {product.row} * i + {product.column} * {k}"
            return f"{name} = fma(all(p[{place}]), {text(k)}, {name});"

        self.block += [
            f"for (int i = 0; i < {len(product.sums)}; i++) {{",
            *(f"V {name} = V{{}};" for name in names),
            f"for (int k = 0; k < {whole}; k += {len(names)}) {{",
            *(more(name, f"(k + {j})") for j, name in enumerate(names)),
            "}",
            *(more(name, str(whole + j)) for j, name in enumerate(names[: count - whole])),
            f"st(LANE({first} + i, at@), {chained(names)});",
            "}",
        ]

    def _side_by_side(self, numbers: tuple[Number, ...]) -> Callable[[str], str]:
        """The text of the k-th of each example's numbers, which are brought together if they are not yet."""
        found = runs(list(numbers), self._change)
        run, change = found[0]
        if len(found) == 1 and change is not None and change[0] in ("kept", "place"):
            return partial(self._repeated, run[0], change)
        if numbers not in self.columns:
            first = self.columns[numbers] = self.room
            self.room += len(numbers)
            self.beside |= {number: first + i for i, number in enumerate(numbers)}
            done = first
            for run, change in found:
                new = run[0] not in self.lanes and run[0] not in self.products
                if new and self.groups.get(run[0]) == run:
                    self._fill(run, done)
                elif change is None:
                    self.block.append(f"st(LANE({done}, at@), {self._need(run[0])});")
                else:
                    text = self._repeated(run[0], change, "k")
                    self.block.append(Repeated(len(run), 1, [f"st(LANE({done} + k, at@), {text});"]))
                done += len(run)
        return lambda k: f"ld(LANE({self.columns[numbers]} + {k}, at@))"

    # Like numbers

    def _find_groups(self, roots: list[Number]) -> None:
        """Like numbers of which there are many and which several read: computed by a loop, and kept."""
        shared: dict[tuple, list[Number]] = {}
        numbers = uses(roots)
        self._find_products(list(numbers))
        many = SHORT if self.products else ROLLED
        for number in numbers:
            likely = number.lanes and number.op not in ("place", "sum") and not number.mask
            if likely and self.schedule.counts[number] > 1:
                shared.setdefault((number.born, number.op), []).append(number)
        for members in shared.values():
            for run, change in runs(members, self._structure):
                if len(run) >= many and change is not None:
                    self.groups |= dict.fromkeys(run, run)

    def _fill(self, run: list[Number], first: int | None = None) -> None:
        """Compute and keep a group. first: where, if there is room already."""
        if run[0] in self.lanes:
            return
        if run[0] in self.products:
            self._multiply(self.products[run[0]])
            return
        change = self._structure(run[0], run[1])
        assert change is not None
        args = [self._repeated(arg, own, "k") for arg, own in zip(run[0].args, change[1], strict=True)]
        first = self._make_room(run, first)
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


def chained(names: list[str]) -> str:
    """The sum of partial sums."""
    return names[0] if len(names) == 1 else f"({names[0]} + {names[1]}) + ({names[2]} + {names[3]})"


def _height(rows: int, steps: list[tuple[int, int]], most: int) -> int:
    """Rows of a matrix of sums that are added up at a time: several where one factor is a row's and one a column's."""
    outer = all(not (down and across) for down, across in steps)
    return max(n for n in range(1, math.isqrt(most) + 1) if rows % n == 0) if outer else 1
