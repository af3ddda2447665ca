"""From tensor operations to numbers: what a function of tensors computes, recorded while torch runs it once.

Beside each tensor's memory lies a shadow of the same layout that holds numbers, so that views, slices and what is
written in place need no rules of their own. Of a batch, whose axis is told by its stride, the shadow holds the first
example: all others are computed alike. Parameters and inputs are what `Tracer.given` says; every other tensor that
appears is a constant.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark.training.fused.elementwise import ELEMENTWISE, Array
from benchmark.training.fused.numbers import Graph, Number

Numbers = np.ndarray  # of Number, the batch's axis of length 1


class NotFusable(Exception):
    """The network does what the generator does not know; the text reads after "as"."""

    def __init__(self, reason: str, operation: str | None = None):
        super().__init__(reason if operation is None else f"its operation {operation} {reason}")
        self.reason = reason


class Tracer(TorchDispatchMode):
    """Records on `graph` what is computed of the tensors that `given` names. batch: examples in a batch."""

    def __init__(self, graph: Graph, batch: int):
        super().__init__()
        self.graph, self.batch = graph, batch
        self.real = torch.float64 if graph.dtype is np.float64 else torch.float32
        self.shadows: dict[int, tuple[Numbers, int | None]] = {}  # storage -> (its numbers, the batch axis's stride)
        self.kept: list[Tensor] = []  # so that no storage's address is used twice
        self.ufuncs: dict[str, Callable] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: nothing here is compiled by torch, and to say so to its compiler takes two seconds to load it."""
        return False

    # Shadows

    def given(self, tensor: Tensor, array: str, mask: bool = False, first: int = 0) -> Tensor:
        """The tensor [..., batch] or [...] as the places first, first + 1, … of an array."""
        lanes = array in ("x", "t", "noise")
        count = tensor.numel() // (self.batch if lanes else 1)
        places = [self.graph.place(array, first + i, lanes, mask) for i in range(count)]
        shape = (*tensor.shape[:-1], 1) if lanes else tensor.shape
        self._write(tensor, np.array(places, dtype=object).reshape(shape), tensor.dim() - 1 if lanes else None)
        return tensor

    def read(self, tensor: Tensor) -> tuple[Numbers, int | None]:
        """Its numbers, and the axis of the batch counted from the last; axes that only repeat have length 1."""
        key = tensor.untyped_storage().data_ptr()
        if key not in self.shadows:
            flat = tensor.detach().flatten().tolist() if tensor.numel() < 4096 or tensor.dtype == torch.bool else None
            if flat is None:
                first = tensor.flatten()[0]
                if not bool((tensor == first).all()):
                    flat = tensor.flatten().tolist()
                else:
                    return np.full((1,) * tensor.dim(), self.graph.constant(first.item()), dtype=object), None
            constants = np.array([self.graph.constant(value) for value in flat], dtype=object)
            return constants.reshape(tensor.shape), None
        memory, stride = self.shadows[key]
        axis, shape = None, []
        for i, (size, step) in enumerate(zip(tensor.shape, tensor.stride(), strict=True)):
            if stride is not None and step == stride and size == self.batch and axis is None:
                axis = i
            shape.append(1 if axis == i or (step == 0 and size > 0) else size)
        if stride is not None and axis is None and tensor.numel() and self.batch > 1:
            raise NotFusable("reads single examples of a batch")
        view = np.lib.stride_tricks.as_strided(
            memory[tensor.storage_offset() :], shape, [8 * step for step in tensor.stride()]
        )
        return view, None if axis is None else axis - tensor.dim()

    def _write(self, tensor: Tensor, numbers: Numbers, axis: int | None) -> None:
        """Its numbers from now on. axis: of the batch."""
        if tensor.numel() == 0:
            return
        key = tensor.untyped_storage().data_ptr()
        step = None if axis is None else tensor.stride(axis)
        if key not in self.shadows:
            size = tensor.untyped_storage().nbytes() // tensor.element_size()
            memory = np.empty(size, dtype=object)
            if tensor.numel() < size:  # a part of what was never seen: constants until now
                whole = torch.as_strided(tensor.detach(), (size,), (1,), 0)
                memory[:] = [self.graph.constant(value) for value in whole.tolist()]
            self.shadows[key] = memory, step
            self.kept.append(tensor)
        memory, stride = self.shadows[key]
        if step is not None and stride is None:
            self.shadows[key] = memory, step
        elif step is None and stride is not None:  # one value for all examples
            steps = tensor.stride()
            found = [i for i in range(tensor.dim()) if steps[i] == stride and tensor.shape[i] == self.batch]
            axis = found[0] if found else None
        elif step != stride:
            raise NotFusable("mixes the axes of examples and of features")
        shape = [1 if i == axis else size for i, size in enumerate(tensor.shape)]
        view = np.lib.stride_tricks.as_strided(
            memory[tensor.storage_offset() :], shape, [8 * step for step in tensor.stride()]
        )
        if axis is not None and numbers.ndim and numbers.shape[axis] not in (1,):
            numbers = numbers.take([0], axis)
        view[...] = np.broadcast_to(numbers, shape)

    # Arithmetic on arrays of numbers

    def apply(self, op: str, *arrays: Numbers | float | bool) -> Numbers:
        """One operation, elementwise."""
        self.graph.births += 1
        if op not in self.ufuncs:
            self.ufuncs[op] = np.frompyfunc(lambda *args: self.graph(op, *args), len(arrays), 1)
        lifted = [np.array(self.graph.constant(a), dtype=object) if isinstance(a, float | int) else a for a in arrays]
        result = self.ufuncs[op](*lifted)
        return result if isinstance(result, np.ndarray) else np.array(result, dtype=object)

    def as_real(self, numbers: Numbers) -> Numbers:
        """Masks as 0 and 1."""
        flat = numbers.ravel()
        if not len(flat) or not flat[0].mask:
            return numbers
        return self.apply("where", numbers, 1.0, 0.0)

    def as_mask(self, numbers: Numbers) -> Numbers:
        """Whether they differ from 0."""
        flat = numbers.ravel()
        return numbers if not len(flat) or flat[0].mask else self.apply("ne", numbers, 0.0)

    def over(self, numbers: Numbers, axis: int | None, dims: Any, shape: tuple[int, ...]) -> tuple[Numbers, bool]:
        """Sums over axes of a tensor of this shape, which stay with length 1; and whether the batch is still there."""
        rank = len(shape)
        numbers = self.full(numbers, axis, shape)
        dims = range(rank) if dims is None or dims == [] else dims
        chosen = sorted({d % rank - rank for d in ([dims] if isinstance(dims, int) else dims)}) if rank else []
        left = axis is not None and axis not in chosen
        if axis is not None and axis in chosen:
            self.graph.births += 1
            numbers = np.frompyfunc(lambda n: self.graph.over_lanes(n, self.batch), 1, 1)(numbers)
        features = [d for d in chosen if d != axis]
        if features:
            order = [i for i in range(-rank, 0) if i not in features] + features
            kept = [numbers.shape[i] for i in range(-rank, 0) if i not in features]
            rows = numbers.transpose(order).reshape((*kept, -1))
            self.graph.births += 1
            flat = rows.reshape(-1, rows.shape[-1])
            sums = np.empty(len(flat), dtype=object)
            sums[:] = self._sums(flat)
            numbers = sums.reshape([1 if i in features else numbers.shape[i] for i in range(-rank, 0)])
        return numbers, left

    def _sums(self, rows: Numbers) -> list[Number]:
        """Of each row; level by level, so that numbers of one level are born together."""
        if rows.size and any(number.lanes for number in rows.flat):
            return [self.graph.sum(list(row)) for row in rows]
        return list(self.halved("add", rows, 0.0))

    def halved(self, op: str, rows: Numbers, empty: float | bool) -> Numbers:
        """Each row's sum, product, largest, …, by halves: [row]."""
        if rows.shape[-1] == 0:
            return np.full(len(rows), self.graph.constant(empty), dtype=object)
        while (n := rows.shape[-1]) > 1:
            both = self.apply(op, rows[:, : n // 2], rows[:, n // 2 : n // 2 * 2])
            rows = np.concatenate([both, rows[:, n // 2 * 2 :]], -1)
        return rows[:, 0]

    # Torch's operations

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        inplace = func._schema.is_mutable
        base = name[:-1] if inplace and name.endswith("_") else name
        try:
            return self._run(func, base, inplace, args, kwargs)
        except NotFusable as problem:
            raise NotFusable(problem.reason, base) from None

    def _run(self, func: Any, base: str, inplace: bool, args: tuple, kwargs: dict) -> Any:
        """One operation, in torch and on the shadows."""
        rule, elementwise = getattr(self, f"on_{base}", None), ELEMENTWISE.get(base)
        lists = [arg for arg in args if isinstance(arg, list | tuple)]
        tensors = [arg for arg in (*args, *kwargs.values(), *(one for some in lists for one in some))]
        tensors = [tensor for tensor in tensors if isinstance(tensor, Tensor)]
        known = any(tensor.untyped_storage().data_ptr() in self.shadows for tensor in tensors)
        if base in VIEWS or base in FRESH or not known:  # or of constants alone
            return func(*args, **kwargs)
        if kwargs.get("approximate", "none") != "none":
            elementwise = None
        if any(tensor.dtype not in (self.real, torch.bool, torch.int64) for tensor in tensors if tensor.dim()):
            raise NotFusable("computes in another precision than the network's")
        if "out" in kwargs:
            raise NotFusable("writes into a tensor that it is given")
        if rule is None and elementwise is None:
            return self._decomposed(func, args, kwargs, inplace)
        if inplace and base not in OVERWRITING and args[0].untyped_storage().data_ptr() not in self.shadows:
            self._write(args[0], self.read(args[0])[0], None)  # the constants that it holds until this is done
        result = func(*args, **kwargs)
        if rule is not None:
            numbers, axis = rule(result, *args, **kwargs)
        else:
            assert elementwise is not None
            numbers, axis = self._elementwise(elementwise, result, args, kwargs)
        self._write(result, numbers, None if axis is None else axis + result.dim())
        return result

    def _decomposed(self, func: Any, args: tuple, kwargs: dict, inplace: bool) -> Any:
        """By the rules that torch has for its operations in terms of simpler ones."""
        result = NotImplemented
        with self:
            if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
                result = func.decompose(*args, **kwargs)
            else:
                from torch._decomp import decomposition_table

                if func in decomposition_table:
                    result = decomposition_table[func](*args, **kwargs)
        if result is NotImplemented:
            raise NotFusable("is not known to the generator")
        return args[0].copy_(result) if inplace and result is not args[0] else result

    def _elementwise(self, rule: Callable, result: Tensor, args: tuple, kwargs: dict) -> tuple[Numbers, int | None]:
        read: list[Any] = []
        axes = set()
        for arg in args:
            if isinstance(arg, Tensor):
                numbers, axis = self.read(arg)
                axes |= set() if axis is None else {axis}
                read.append(Array(self, numbers))
            else:
                read.append(arg)
        if len(axes) > 1:
            raise NotFusable("pairs examples with features")
        axis = axes.pop() if axes else None
        if axis is not None:
            for arg in (arg for arg in read if isinstance(arg, Array)):
                arg.numbers = self._of_all(arg.numbers, axis)
        if unknown := {name for name, value in kwargs.items() if value is not None} - HEARD:
            raise NotFusable(f"is asked for with {', '.join(sorted(unknown))}")
        numbers = rule(*read, **{name: value for name, value in kwargs.items() if name in FACTORS}).numbers
        logic = result.dtype == torch.bool
        return (self.as_mask(numbers) if logic else self.as_real(numbers)), axis

    def _of_all(self, numbers: Numbers, axis: int) -> Numbers:
        """Numbers that go with each example: the same for all of them."""
        if numbers.ndim < -axis or numbers.shape[axis] == 1:
            return numbers
        first = numbers.take([0], axis)
        if not (numbers == first).all():
            raise NotFusable("takes another parameter for each example of a batch")
        return first

    def _copied(self, result: Tensor, source: Tensor) -> tuple[Numbers, int | None]:
        numbers, axis = self.read(source)
        return (self.as_mask(numbers) if result.dtype == torch.bool else self.as_real(numbers)), axis

    def on_copy(self, result: Tensor, target: Tensor, source: Tensor, *_: Any) -> tuple[Numbers, int | None]:
        if result.dtype not in (self.real, torch.bool, source.dtype):
            raise NotFusable(f"turns numbers into {str(result.dtype).removeprefix('torch.')}")
        return self._copied(result, source)

    def on_clone(self, result: Tensor, source: Tensor, **_: Any) -> tuple[Numbers, int | None]:
        return self._copied(result, source)

    def on__to_copy(self, result: Tensor, source: Tensor, **_: Any) -> tuple[Numbers, int | None]:
        if result.dtype not in (self.real, torch.bool):
            raise NotFusable(f"turns numbers into {str(result.dtype).removeprefix('torch.')}")
        return self._copied(result, source)

    def on_convert_element_type(self, result: Tensor, source: Tensor, _: Any) -> tuple[Numbers, int | None]:
        return self.on__to_copy(result, source)

    def on__unsafe_view(self, result: Tensor, source: Tensor, shape: Any) -> tuple[Numbers, int | None]:
        return self._reshaped(source, result)

    def _reshaped(self, source: Tensor, result: Tensor) -> tuple[Numbers, int | None]:
        numbers, axis = self.read(source)
        sizes = [1 if i - source.dim() == axis else n for i, n in enumerate(source.shape)]
        numbers = np.broadcast_to(numbers, sizes)
        if axis is None:
            return numbers.reshape(result.shape), None
        before = math.prod(source.shape[:axis])
        for i, size in enumerate(result.shape):
            if size == self.batch and math.prod(result.shape[:i]) == before:
                shape = [1 if j == i else n for j, n in enumerate(result.shape)]
                return numbers.reshape(shape), i - result.dim()
        raise NotFusable("mixes the axes of examples and of features")

    def on_fill(self, result: Tensor, target: Tensor, value: Any) -> tuple[Numbers, int | None]:
        if isinstance(value, Tensor):
            return self._copied(result, value)
        return np.array(self.graph.constant(value), dtype=object), None

    def on_zero(self, result: Tensor, target: Tensor) -> tuple[Numbers, int | None]:
        return self.on_fill(result, target, False if result.dtype == torch.bool else 0.0)

    def on_sum(self, result: Tensor, a: Tensor, dim: Any = None, keepdim: bool = False, **_: Any):
        numbers, axis = self.read(a)
        sums, left = self.over(self.as_real(numbers), axis, dim, tuple(a.shape))
        return self._kept(sums, result, axis, left, dim, keepdim, a.dim())

    def on_mean(self, result: Tensor, a: Tensor, dim: Any = None, keepdim: bool = False, **_: Any):
        sums, axis = self.on_sum(result, a, dim, keepdim)
        return self.apply("div", sums, float(a.numel() // max(result.numel(), 1))), axis

    def on_var(self, result: Tensor, a: Tensor, dim: Any = None, correction: float = 1, keepdim: bool = False):
        numbers, axis = self.read(a)
        count = a.numel() // max(result.numel(), 1)
        total, _ = self.over(numbers, axis, dim, tuple(a.shape))
        away = self.apply("sub", numbers, self.apply("div", total, float(count)))
        squares, left = self.over(self.apply("mul", away, away), axis, dim, tuple(a.shape))
        return self._kept(
            self.apply("div", squares, float(count - correction)), result, axis, left, dim, keepdim, a.dim()
        )

    def on_std(self, result: Tensor, a: Tensor, dim: Any = None, **options: Any):
        numbers, axis = self.on_var(result, a, dim, **options)
        return self.apply("sqrt", numbers), axis

    def _kept(self, numbers: Numbers, result: Tensor, axis: int | None, left: bool, dim: Any, keepdim: bool, rank: int):
        """Without the axes that were summed over, unless they are to stay."""
        if not keepdim:
            gone = range(rank) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
            gone = sorted({d % rank for d in gone}) if rank else []
            if left and axis is not None:
                axis += sum(d > axis + rank for d in gone)
            numbers = numbers.reshape([n for i, n in enumerate(numbers.shape) if i not in gone])
        return numbers, (axis if left else None)

    def _extreme(self, op: str, result: Tensor, a: Tensor, dim: Any, keepdim: bool):
        numbers, axis = self.read(a)
        rank = a.dim()
        dims = range(rank) if dim is None or dim == [] else [dim] if isinstance(dim, int) else dim
        chosen = sorted({d % rank - rank for d in dims})
        if axis in chosen:
            raise NotFusable("looks for an extreme or a product among the examples of a batch")
        numbers = self.full(numbers, axis, a.shape)
        order = [i for i in range(-rank, 0) if i not in chosen] + chosen
        kept = [numbers.shape[i] for i in range(-rank, 0) if i not in chosen]
        rows = numbers.transpose(order).reshape(math.prod(kept), -1)
        empty = {"mul": 1.0, "and": True, "or": False}.get(op, 0.0)
        found = self.halved(op, rows, empty).reshape([1 if i in chosen else numbers.shape[i] for i in range(-rank, 0)])
        return self._kept(found, result, axis, axis is not None, dim, keepdim, rank)

    def on_prod(self, result: Tensor, a: Tensor, dim: int | None = None, keepdim: bool = False):
        return self._extreme("mul", result, a, dim, keepdim)

    def on_flip(self, result: Tensor, a: Tensor, dims: list[int]):
        numbers, axis = self.read(a)
        turned = [d % a.dim() for d in dims]
        if axis is not None and axis + a.dim() in turned:
            raise NotFusable("turns the examples of a batch around")
        return np.flip(self.full(numbers, axis, a.shape), tuple(turned)), axis

    def on_amax(self, result: Tensor, a: Tensor, dim: Any = None, keepdim: bool = False):
        return self._extreme("maximum", result, a, dim, keepdim)

    def on_amin(self, result: Tensor, a: Tensor, dim: Any = None, keepdim: bool = False):
        return self._extreme("minimum", result, a, dim, keepdim)

    def on_any(self, result: Tensor, a: Tensor, dim: Any = None, keepdim: bool = False):
        return self._extreme("or", result, a, dim, keepdim)

    def on_all(self, result: Tensor, a: Tensor, dim: Any = None, keepdim: bool = False):
        return self._extreme("and", result, a, dim, keepdim)

    def on_cat(self, result: Tensor, tensors: list[Tensor], dim: int = 0):
        parts, axes = [], set()
        for tensor in tensors:
            if tensor.numel() == 0 and tensor.dim() == 1:
                continue
            numbers, axis = self.read(tensor)
            axes |= set() if axis is None else {axis}
            parts.append((tensor, numbers, axis))
        axis = axes.pop() if len(axes) == 1 else None
        if axes or (axis is not None and dim % result.dim() - result.dim() == axis):
            raise NotFusable("joins examples to examples")
        full = [
            np.broadcast_to(
                numbers if own == axis or axis is None else self._of_all(numbers, axis),
                [1 if i - tensor.dim() == axis else n for i, n in enumerate(tensor.shape)],
            )
            for tensor, numbers, own in parts
        ]
        return np.concatenate(full, dim), axis

    def on_stack(self, result: Tensor, tensors: list[Tensor], dim: int = 0):
        dim %= result.dim()
        return self.on_cat(result, [tensor.unsqueeze(dim) for tensor in tensors], dim)

    def on_index(self, result: Tensor, a: Tensor, indices: list[Tensor | None]):
        numbers, axis = self.read(a)
        numbers = self.full(numbers, axis, a.shape)
        picked = {i: index for i, index in enumerate(indices) if index is not None}
        if axis is not None:
            ((first, index), *others) = picked.items()
            if others or a.dim() + axis in picked or (index.dtype == torch.bool and index.dim() > 1):
                raise NotFusable("picks single examples of a batch")
            axis -= index.dim() - 1 if first > a.dim() + axis else 0
        places = [slice(None) if i is None else self._constant(i) for i in indices]
        return numbers[tuple(places)], axis

    def on_index_select(self, result: Tensor, a: Tensor, dim: int, index: Tensor):
        numbers, axis = self.read(a)
        if dim % a.dim() - a.dim() == axis:
            raise NotFusable("picks single examples of a batch")
        numbers = self.full(numbers, axis, a.shape)
        return numbers.take(self._constant(index), dim), axis

    def on_index_add(self, result: Tensor, a: Tensor, dim: int, index: Tensor, source: Tensor, alpha: float = 1):
        return self._placed(a, dim, index, source, alpha)

    def _placed(self, a: Tensor, dim: int, index: Tensor, source: Tensor, added: float | None):
        """`a` with the parts of the source along an axis in their places; or added there, so many times."""
        (numbers, axis), (others, other) = self.read(a), self.read(source)
        axis = other if axis is None else axis
        if other not in (None, axis) or dim % a.dim() - a.dim() == axis:
            raise NotFusable("scatters examples")
        if axis is not None:
            numbers, others = self._of_all(numbers, axis), self._of_all(others, axis)
        whole = np.moveaxis(self.full(numbers, axis, a.shape).copy(), dim, 0)
        parts = np.moveaxis(self.full(others, axis, source.shape), dim, 0)
        for place, part in zip(self._constant(index), parts, strict=True):
            part = part if added in (None, 1) else self.apply("mul", part, float(added))
            whole[place] = part if added is None else self.apply("add", whole[place], part)
        return np.moveaxis(whole, 0, dim), axis

    def on_index_put(self, result: Tensor, a: Tensor, indices: list, values: Tensor, accumulate: bool = False):
        numbers, axis = self.read(a)
        added, other = self.read(values)
        if axis is not None or other is not None:
            (dim, index), *more = [(i, index) for i, index in enumerate(indices) if index is not None]
            if more or index.dim() != 1 or index.dtype == torch.bool:
                raise NotFusable("scatters examples")
            shape = [*a.shape[:dim], len(index), *a.shape[dim + 1 :]]
            return self._placed(a, dim, index, values.expand(shape), 1 if accumulate else None)
        whole = np.broadcast_to(numbers, a.shape).copy()
        where = np.arange(a.numel()).reshape(a.shape)
        places = where[tuple(slice(None) if i is None else self._constant(i) for i in indices)]
        flat = whole.reshape(-1)
        for place, value in zip(places.ravel(), np.broadcast_to(added, places.shape).ravel(), strict=True):
            flat[place] = self.graph("add", flat[place], value) if accumulate else value
        return flat.reshape(a.shape), None

    on__index_put_impl, on__unsafe_index = on_index_put, on_index

    def on_slice_backward(self, result: Tensor, slope: Tensor, shape: Any, dim: int, start: int, end: int, step: int):
        numbers, axis = self.read(slope)
        if dim % len(shape) - len(shape) == axis:
            raise NotFusable("picks single examples of a batch")
        whole = self._zeros(shape, axis)
        np.moveaxis(whole, dim, 0)[start : min(end, shape[dim]) : step] = np.moveaxis(
            self.full(numbers, axis, slope.shape), dim, 0
        )
        return whole, axis

    def on_select_backward(self, result: Tensor, slope: Tensor, shape: Any, dim: int, index: int):
        return self.on_slice_backward(
            result, slope.unsqueeze(dim), shape, dim, index % shape[dim], shape[dim], shape[dim]
        )

    def full(self, numbers: Numbers, axis: int | None, shape: Any) -> Numbers:
        """With all axes at full length but the batch's."""
        return np.broadcast_to(numbers, [1 if i - len(shape) == axis else n for i, n in enumerate(shape)])

    def _zeros(self, shape: Any, axis: int | None) -> Numbers:
        sizes = [1 if i - len(shape) == axis else n for i, n in enumerate(shape)]
        return np.full(sizes, self.graph.constant(0.0), dtype=object)

    def _constant(self, index: Tensor) -> np.ndarray:
        if index.untyped_storage().data_ptr() in self.shadows:
            raise NotFusable("indexes by what is computed")
        return index.numpy()

    def on_constant_pad_nd(self, result: Tensor, a: Tensor, pad: list[int], value: float = 0.0):
        numbers, axis = self.read(a)
        numbers = self.full(numbers, axis, a.shape)
        widths = [(0, 0)] * a.dim()
        for i in range(len(pad) // 2):
            widths[-1 - i] = (pad[2 * i], pad[2 * i + 1])
        if axis is not None and widths[axis] != (0, 0):
            raise NotFusable("adds examples to a batch")
        fill: Any = self.graph.constant(value)
        return np.pad(numbers, widths, constant_values=fill), axis

    def on_mm(self, result: Tensor, a: Tensor, b: Tensor):
        (left, i), (right, j) = self.read(a), self.read(b)
        left = self.full(left, i, a.shape)
        right = self.full(right, j, b.shape)
        products = (left[..., :, :, None], right[..., None, :, :])
        if i == -1 or j == -2:  # the sum is over the examples
            if i not in (-1, None) or j not in (-2, None):
                raise NotFusable("multiplies examples with examples")
            terms = self.apply("mul", *products)
            self.graph.births += 1
            return np.frompyfunc(lambda n: self.graph.over_lanes(n, self.batch), 1, 1)(terms)[..., 0, :], None
        if i is not None and j is not None:
            raise NotFusable("multiplies examples with examples")
        terms = self.apply("mul", *products)
        rows = np.moveaxis(terms, -2, -1)
        sums = np.empty(math.prod(rows.shape[:-1]), dtype=object)
        sums[:] = self._sums(rows.reshape(-1, rows.shape[-1]))
        return sums.reshape(rows.shape[:-1]), i if i is not None else j

    on_bmm = on_mm

    def on_addmm(self, result: Tensor, bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1):
        if (beta, alpha) != (1, 1):
            raise NotFusable("weighs its parts")
        product, axis = self.on_mm(result, a, b)
        return self.apply("add", product, self.read(bias)[0]), axis

    def on_dot(self, result: Tensor, a: Tensor, b: Tensor):
        (left, i), (right, j) = self.read(a), self.read(b)
        if i is not None or j is not None:
            raise NotFusable("multiplies examples with examples")
        return np.array(self._sums(self.apply("mul", left, right)[None])[0], dtype=object), None

    def on__local_scalar_dense(self, result: Any, *_: Any):
        raise NotFusable("lets what is computed depend on the numbers themselves")

    def on__softmax(self, result: Tensor, a: Tensor, dim: int, half: bool = False):
        (largest, _), (numbers, axis) = self._extreme("maximum", result, a, dim, True), self.read(a)
        powers = self.apply("exp", self.apply("sub", numbers, largest))
        total, _ = self.over(powers, axis, dim, tuple(a.shape))
        return self.apply("div", powers, total), axis

    def on__softmax_backward_data(self, result: Tensor, slope: Tensor, output: Tensor, dim: int, dtype: Any):
        (g, i), (y, j) = self.read(slope), self.read(output)
        axis = j if i is None else i
        felt = self.apply("mul", g, y)
        total, _ = self.over(felt, axis, dim, tuple(output.shape))
        return self.apply("sub", felt, self.apply("mul", y, total)), axis


# These change nothing but how memory is looked at.
VIEWS = {
    "view", "expand", "permute", "transpose", "t", "squeeze", "unsqueeze", "select", "slice", "split", "unbind",
    "split_with_sizes", "detach", "alias", "as_strided", "_reshape_alias", "diagonal", "swapaxes", "lift_fresh",
    "view_as", "expand_as", "broadcast_in_dim", "unfold", "movedim", "chunk", "narrow", "unsafe_split",
}  # fmt: skip
OUTWARD = {"tolist", "numpy", "__array__", "__dlpack__"}  # which no dispatch sees
FACTORS = {"alpha", "value", "min", "max"}  # what elementwise operations are told by name
HEARD = FACTORS | {"approximate"}
OVERWRITING = {"copy", "fill", "zero"}  # in place, whatever was there
# What they hold is written into them afterwards, or does not depend on a tensor's numbers.
FRESH = {
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_full", "new_ones", "new_empty",
    "new_empty_strided", "empty_strided", "_has_same_storage_numel", "is_same_size",
}  # fmt: skip


class Watched(TorchFunctionMode):
    """Refuses what takes a traced tensor's numbers out of torch, where no rule sees what becomes of them."""

    def __init__(self, tracer: Tracer):
        super().__init__()
        self.tracer = tracer

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in OUTWARD and args[0].untyped_storage().data_ptr() in self.tracer.shadows:
            raise NotFusable("takes numbers out of torch", name.strip("_"))
        return func(*args, **(kwargs or {}))
