"""In which order a program's numbers are computed, and where each is kept.

What is the same for all examples is computed first, as short loops over neighbours; then one loop over the examples
sums what has to be summed; then comes what follows from these sums, and so on, level by level. A place is used again
once nobody reads any more what was there.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from benchmark.training.fused.numbers import LENGTHY, Graph, Number, uses

ALIGNED = 16  # numbers: no place of one array shares a register with another's


def contracted(graph: Graph, roots: list[Number]) -> list[Number]:
    """The roots with every product that is read once, and by a sum, made part of it: one rounding less.

    And with what is negated added up over the examples as it is: it may have to be kept for them without the sign, too.
    """
    counts = uses(roots)
    once = lambda number: number.op == "mul" and counts[number] == 1

    def fused(number: Number, args: tuple[Number, ...]) -> Number | None:
        if number.op == "over_lanes" and number.args[0].op == "neg" and not once(number.args[0].args[0]):
            return graph._number("sub", (graph.constant(0.0), graph.over_lanes(args[0].args[0], 0)))  # never -0
        if number.op in ("add", "sub") and once(number.args[1]):
            return graph._number("fma" if number.op == "add" else "fnma", (*args[1].args, args[0]))
        if number.op in ("add", "sub") and once(number.args[0]):
            return graph._number("fma" if number.op == "add" else "fms", (*args[0].args, args[1]))
        return None

    return _rebuilt(graph, roots, fused)


def prepared(graph: Graph, roots: list[Number], inputs: int) -> tuple[list[Number], list[Number]]:
    """The roots, which read what takes long and follows from the inputs alone from further rows of them; and those.

    They are the same for all replicas that see the same inputs, whatever these are asked and have learned. A product
    that several read, also in a row, is among them: left with one reader, it would become part of a sum. One that a
    single sum reads is a part of it either way.
    """
    alone: set[Number] = set()
    counts = uses(roots)
    for number in counts:
        given = number.op == "place" and number.args[0] == "x"
        if given or (number.lanes and number.inputs and all(n in alone or n.op == "constant" for n in number.inputs)):
            alone.add(number)
    found: dict[Number, None] = {}
    seen = set(roots)
    todo = list(roots)
    while todo:
        number = todo.pop()
        if number in alone and number.op in LENGTHY:
            found[number] = None
        else:
            new = set(number.inputs) - seen
            seen |= new
            todo += new
    found |= {
        number: None for number in uses(list(found)) if number in seen and number.op == "mul" and counts[number] > 1
    }
    rows = sorted(found, key=lambda number: number.order)
    places = {number: graph.place("x", inputs + i, lanes=True) for i, number in enumerate(rows)}
    return _rebuilt(graph, roots, lambda number, _: places.get(number)), rows


def _rebuilt(
    graph: Graph, roots: list[Number], instead: Callable[[Number, tuple[Number, ...]], Number | None]
) -> list[Number]:
    """The roots, where `instead` says what takes a number's place, of its new arguments; None: they alone are new."""
    new: dict[Number, Number] = {}
    for number in uses(roots):
        graph.births = number.born
        args = tuple(new[arg] for arg in number.inputs)
        if (other := instead(number, args)) is not None:
            new[number] = other
        elif number.op in ("place", "constant") or args == number.args:
            new[number] = number
        elif number.op == "over_lanes":
            new[number] = graph.over_lanes(args[0], 0)
        else:
            new[number] = graph._number(number.op, args, mask=number.mask)
    return [new[root] for root in roots]


@dataclass
class Loop:
    """Numbers that are the same for all examples, `size` neighbours at a time.

    steps: groups of `size` numbers of one operation, each with its arguments as they are read (see `Reading`).
    """

    size: int
    steps: list[tuple[list[Number], list["Reading"]]] = field(default_factory=list)


@dataclass
class Reading:
    """How a loop reads one argument: a number for all ("all"), the loop's own ("own"), or places from `first` on."""

    kind: str
    first: int = 0
    number: Number | None = None


@dataclass
class Copy:
    """Numbers brought together at places `to`, to + 1, …"""

    to: int
    numbers: list[Number]


class Schedule:
    """Of the program that computes `roots`, of which the first so many, `new_state`, take the places from 0 on.

    arrays: the given ones that are the same for all examples, name -> size; they come first and stay. phases: for each
    level its loops and copies, in order, and the sums over the examples that follow. place: of every number that is
    kept. size: of all.
    """

    def __init__(self, roots: list[Number], arrays: dict[str, int], new_state: int = 0):
        self.roots, self.new_state = roots, new_state
        self.counts = uses(roots)
        self.first: dict[str, int] = {}
        self.copied: dict[tuple[Number, ...], int] = {}
        self.size = 0
        self.starts: list[int] = []  # of arrays: neighbours that stay together
        for name, size in arrays.items():
            self.first[name] = self._take(size)
        given = self.size
        self.place: dict[Number, int] = {
            number: self.first[number.args[0]] + number.args[1]
            for number in self.counts
            if number.op == "place" and not number.lanes
        }
        common = [n for n in self.counts if not n.lanes and n.op not in ("place", "constant", "over_lanes")]
        sums = [number for number in self.counts if number.op == "over_lanes"]
        levels = 1 + max(number.level for number in self.counts)
        self.phases: list[tuple[list[Loop | Copy], list[Number]]] = []
        for level in range(levels):
            items = self._loops([number for number in common if number.level == level])
            own = [number for number in sums if number.level == level + 1]
            base = self._take(len(own))
            self.place |= {number: base + i for i, number in enumerate(own)}
            self.phases.append((items, own))
        self.kept = self._kept()
        self._pack(given)

    def _take(self, size: int) -> int:
        first = self.size
        self.starts.append(first)
        self.size += size + -size % ALIGNED
        return first

    def _loops(self, numbers: list[Number]) -> list[Loop | Copy]:
        items: list[Loop | Copy] = []
        current: Loop | None = None
        inside: dict[Number, int] = {}  # the current loop's numbers and which neighbour each is
        for _, group in groupby(self._by_birth(numbers), key=lambda n: (n.born, n.op, n.mask)):
            members = list(group)
            size = len(members)
            columns = list(zip(*(member.args for member in members), strict=True))
            fits = current is not None and current.size == size
            for column in columns:
                held = [arg in inside for arg in column]
                fits = fits and (not any(held) or (all(held) and [inside[arg] for arg in column] == [*range(size)]))
            if not fits:
                current, inside = Loop(size), {}
                items.append(current)
            readings = []
            for column in columns:
                reading, copy = self._reading(list(column), inside)
                if copy is not None:
                    items.insert(len(items) - 1, copy)
                readings.append(reading)
            assert current is not None
            current.steps.append((members, readings))
            base = self._take(size)
            self.place |= {member: base + i for i, member in enumerate(members)}
            inside |= {member: i for i, member in enumerate(members)}
        return items

    def _by_birth(self, numbers: list[Number]) -> list[Number]:
        """In order of making, but numbers of one birth and operation together."""
        first: dict[tuple, int] = {}
        for number in numbers:
            first.setdefault((number.born, number.op, number.mask), number.order)
        ordered = sorted(numbers, key=lambda n: (first[n.born, n.op, n.mask], n.order))
        waiting = set(numbers)
        for number in ordered:  # a group that needs a later one would be computed too early
            if any(arg in waiting for arg in number.inputs):
                return numbers
            waiting.remove(number)
        return ordered

    def _reading(self, column: list[Number], inside: dict[Number, int]) -> tuple[Reading, Copy | None]:
        if column[0] in inside:
            return Reading("own", number=column[0]), None
        if all(arg is column[0] for arg in column):
            return Reading("all", number=column[0]), None
        places = [self.place.get(arg) for arg in column]
        if places[0] is not None and places == [*range(places[0], places[0] + len(column))]:
            return Reading("places", places[0], column[0]), None
        known = tuple(column) in self.copied
        base = self.copied.setdefault(tuple(column), self.size)
        if not known:
            self._take(len(column))
        return Reading("places", base, column[0]), None if known else Copy(base, column)

    def _kept(self) -> set[Number]:
        """Numbers that somebody reads from memory: whatever is not only the next step of its own loop."""
        kept = {root for root in self.roots if not root.lanes}
        for number in self.counts:
            if number.lanes or number.op == "over_lanes":
                kept |= {arg for arg in number.inputs if not arg.lanes}
        for items, _ in self.phases:
            for item in items:
                if isinstance(item, Copy):
                    kept |= set(item.numbers)
                    continue
                own = {member for members, _ in item.steps for member in members}
                for members, readings in item.steps:
                    for i, reading in enumerate(readings):
                        column = {member.args[i] for member in members}
                        if reading.kind != "own":
                            kept |= column
                        assert reading.kind == "own" or not column & own
        return kept

    def _pack(self, given: int) -> None:
        """Move arrays to where others were that are read no more; the given ones, before `given`, stay."""
        ranges = [
            (reading.first, reading.first + len(members))
            for items, _ in self.phases
            for item in items
            if isinstance(item, Loop)
            for members, readings in item.steps
            for reading in readings
            if reading.kind == "places"
        ]
        inside = {start for start in self.starts if any(first < start < stop for first, stop in ranges)}
        starts = [start for start in dict.fromkeys(self.starts) if start not in inside]
        array = lambda place: starts[bisect_right(starts, place) - 1]
        lives: dict[int, tuple[int, int]] = {}  # array -> when it is written first and read last
        last = 0
        for last, places in enumerate(self._touched()):
            for place in places:
                lives[array(place)] = lives.get(array(place), (last, last))[0], last
        size_of = {start: stop - start for start, stop in pairwise([*starts, self.size])}
        moved = {start: start for start in starts if start < given}
        taken: list[tuple[int, int, int]] = []  # place, array
        self.size = given
        for start in sorted(lives.keys() - moved.keys(), key=lives.__getitem__):
            born, died = lives[start]
            place = given
            for other, stop, until in sorted(taken):
                if until >= born and other < place + size_of[start] and place < stop:
                    place = stop
            taken.append((place, place + size_of[start], died))
            moved[start] = place
            self.size = max(self.size, place + size_of[start])
        new = lambda place: moved[array(place)] + place - array(place)
        self.place = {number: new(place) for number, place in self.place.items() if array(place) in moved}
        for items, _ in self.phases:
            for item in items:
                if isinstance(item, Copy):
                    item.to = new(item.to)
                    continue
                for _, readings in item.steps:
                    for reading in readings:
                        if reading.kind == "places":
                            reading.first = new(reading.first)

    def _touched(self) -> Iterator[list[int]]:
        """At each point of time, the places that are written or read."""
        for level, (items, sums) in enumerate(self.phases):
            for item in items:
                if isinstance(item, Copy):
                    yield [item.to, *self._places(item.numbers)]
                else:
                    members = [member for members, _ in item.steps for member in members if member in self.kept]
                    read = [arg for members, _ in item.steps for member in members for arg in member.args]
                    yield [
                        *self._places([*members, *(arg for arg in read if arg in self.kept)]),
                        *(r.first for _, readings in item.steps for r in readings if r.kind == "places"),
                    ]
            terms = [number.args[0] for number in sums]
            if level == len(self.phases) - 1:
                terms += [root for root in self.roots if root.lanes]
            yield self._places([*sums, *_common(terms)])
        yield self._places([root for root in self.roots if not root.lanes])

    def _places(self, numbers: list[Number]) -> list[int]:
        return [self.place[number] for number in numbers if number in self.place]


def _common(terms: list[Number]) -> list[Number]:
    """What examples' numbers are computed from and is the same for all."""
    seen: dict[Number, None] = dict.fromkeys(terms)
    waiting = list(seen)
    while waiting:
        number = waiting.pop()
        new = [arg for arg in (number.inputs if number.lanes else ()) if arg not in seen]
        seen |= dict.fromkeys(new)
        waiting += new
    return [number for number in seen if not number.lanes]
