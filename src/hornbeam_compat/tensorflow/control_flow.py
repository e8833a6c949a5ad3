"""Conditions, loops, functions of Python, and TensorArray. Arguments are TensorFlow's.

Outside of compiled functions and functional models, TensorFlow runs conditions and loops as Python does, with
values. So do these functions, where the traced form fails because a function reads a value.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Sequence
from typing import Any, SupportsInt, TypeAlias

import numpy as np

from hornbeam import ops, tree
from hornbeam.data import Strings
from hornbeam.errors import BranchError, ConcretizationError
from hornbeam.extensions.tensors import Composite, as_tensor
from hornbeam.extensions.tracing import Running
from hornbeam_compat.tensorflow.extension_types import row_of, stack_tensors
from hornbeam_compat.tensorflow.ragged import concatenate, stack_rows
from hornbeam_compat.tensorflow.strings import StringTensor
from hornbeam_compat.tensorflow.tensors import convert_to_tensor
from hornbeam_compat.tensorflow.typing import DTypeLike, TensorLike, TextOrTensor, Tree

# Functions by condition, and by index.
Pairs: TypeAlias = Sequence[tuple[TensorLike, Callable[[], Tree]]] | dict[TensorLike, Callable[[], Tree]]
Branches: TypeAlias = Any

# -- functions of Python -------------------------------------------------------------------------------------


def py_function(
    func: Callable[..., Any] | None = None, inp: Sequence[Tree] = (), Tout: Tree = None,
    name: str | None = None,
) -> Tree:  # fmt: skip
    """Call `func(*inp)`, and convert its results to tensors of `Tout`. Without `func`, return a decorator."""
    if func is None:
        return lambda decorated: functools.wraps(decorated)(lambda *args: py_function(decorated, args, Tout))
    return _as_types(func(*inp), Tout)


def _as_types(results: Tree, types: Tree) -> Tree:
    """Convert results to tensors of these dtypes."""
    if isinstance(types, (list, tuple)):
        if not types:
            return results
        return [_as_types(x, dtype) for x, dtype in zip(results, types, strict=True)]
    if results is None:
        return None
    dtype = None if types is None or str(getattr(types, "dtype", types)) == "string" else types
    if not isinstance(dtype, (str, type(None))):  # a TensorSpec
        dtype = getattr(dtype, "dtype", None)
    tensor = convert_to_tensor(results)
    return tensor if dtype is None or isinstance(tensor, Strings) else ops.cast(tensor, dtype)


def numpy_function(
    func: Callable[..., Any] | None = None, inp: Sequence[Tree] = (), Tout: Tree = None,
    stateful: bool = True, name: str | None = None,
) -> Tree:  # fmt: skip
    """Call `func` on NumPy arrays, and convert its results. Without `func`, return a decorator."""
    if func is None:
        return lambda decorated: functools.wraps(decorated)(
            lambda *args: numpy_function(decorated, args, Tout)
        )
    arrays = [x.numpy() if hasattr(x, "numpy") else x for x in inp]
    return _as_types(func(*arrays), Tout)


def _is_eager(values: Tree) -> bool:
    """Return True outside of compiled functions and functional models, where tensors have values."""
    return not Running.traces() and not any(getattr(x, "symbolic", False) for x in tree.flatten(values))


# -- conditions and loops ------------------------------------------------------------------------------------


def cond(
    pred: TensorLike, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None
) -> Tree:
    """Return the result of one of two functions."""
    if isinstance(pred, (builtins.bool, np.bool_)):
        return true_fn() if pred else false_fn()
    if _is_eager(pred):  # the other function has no effects then
        return true_fn() if np.asarray(pred) else false_fn()
    return ops.cond(pred, true_fn, false_fn)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Sequence[Any],
    shape_invariants: object = None, parallel_iterations: int = 10, back_prop: bool = True,
    swap_memory: bool = False, maximum_iterations: int | None = None, name: str | None = None,
) -> Tree:  # fmt: skip
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` is true.

    With a TensorArray or a composite tensor among the variables this is a loop of Python, whose condition
    must have a value; so is a loop outside of compiled functions that reads values.
    """
    if not any(isinstance(leaf, (TensorArray, Composite)) for leaf in tree.flatten(loop_vars)):
        try:
            return ops.while_loop(cond, body, loop_vars, maximum_iterations=maximum_iterations)
        except (ConcretizationError, BranchError):
            if not _is_eager(loop_vars):
                raise
    state, steps = loop_vars, 0
    while (maximum_iterations is None or steps < maximum_iterations) and builtins.bool(cond(*state)):
        result = body(*state)
        state = result if isinstance(result, (list, tuple)) else (result,)
        steps += 1
    return state


def switch_case(
    branch_index: TensorLike, branch_fns: Branches, default: Callable[[], Tree] | None = None,
    name: str | None = None,
) -> Tree:  # fmt: skip
    """Return the result of the function with this index, of the default (or last) for other indices.

    Args:
        branch_index: Integer scalar.
        branch_fns: Functions without arguments: a list, a dict by index, or pairs (index, function).
        default: Function for other indices.
        name: Ignored.
    """
    pairs = branch_fns.items() if isinstance(branch_fns, dict) else branch_fns
    pairs = [pair if isinstance(pair, tuple) else (i, pair) for i, pair in enumerate(pairs)]
    branches = {int(index): function for index, function in pairs}
    otherwise = default or branches[max(branches)]
    functions = [branches.get(index, otherwise) for index in range(max(branches) + 1)] + [otherwise]
    if not isinstance(branch_index, (int, np.integer)) and _is_eager(branch_index):
        branch_index = int(np.asarray(branch_index))  # the other functions have no effects then
    if not isinstance(branch_index, (int, np.integer)):
        index = ops.cast(branch_index, "int32")
        is_known = (index >= 0) & (index < len(functions))
        return ops.switch(ops.where(is_known, index, len(functions) - 1), functions)
    return functions[branch_index if 0 <= branch_index < len(functions) else -1]()


def case(
    pred_fn_pairs: Pairs, default: Callable[[], Tree] | None = None, exclusive: bool = False,
    strict: bool = False, name: str | None = None,
) -> Tree:  # fmt: skip
    """Return the result of the function of the first true condition, else of the default.

    Args:
        pred_fn_pairs: Pairs (condition, function without arguments), or a dict of them.
        default: Function for the case that no condition is true; by default the last of the pairs.
        exclusive: Ignored, as the following arguments: the first true condition counts.
    """
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    if default is None:
        *pairs, (_, default) = pairs
    if not pairs:
        return default()
    (condition, function), *rest = pairs
    return cond(condition, function, lambda: case(rest, default) if rest else default())


def map_fn(
    fn: Callable[[Any], Any], elems: Tree, dtype: object = None, fn_output_signature: object = None,
    **kwargs: object,
) -> Tree:  # fmt: skip
    """Apply `fn` to each slice along the first axis, to each row of ragged tensors and ExtensionTypes.

    Results are ragged if a row is, if `fn_output_signature` says so, or if their lengths differ. Outside of
    compiled functions `fn` may read values.
    """
    leaves = tree.flatten(elems)
    if not any(isinstance(x, (Composite, Strings)) for x in leaves) and not hasattr(
        fn_output_signature, "ragged_rank"
    ):
        try:
            return ops.map(fn, elems)
        except (ConcretizationError, BranchError):
            if not _is_eager(elems):
                raise
    counts = [x.row_count() if isinstance(x, Composite) else len(x) for x in leaves]
    results = []
    for index in range(counts[0]):
        rows = [row_of(x, index) for x in leaves]
        parts = [row.for_user() if isinstance(row, Composite) else convert_to_tensor(row) for row in rows]
        results.append(fn(tree.pack_sequence_as(elems, parts)))
    return tree.map_structure(lambda *rows: _stacked(rows), *results)


def _stacked(rows: Sequence[Any]) -> Tree:
    """Stack the results of rows, as a ragged tensor if their shapes differ."""
    lengths = {tuple(row.shape) for row in rows if not isinstance(row, Composite)}
    return stack_rows(list(rows)) if len(lengths) > 1 else stack_tensors(rows)


def vectorized_map(
    fn: Callable[[Any], Any], elems: Tree, fallback_to_while_loop: bool = True, **kwargs: object
) -> Tree:
    """Apply `fn` to all slices along the first axis at once."""
    return ops.vectorized_map(fn, elems)


# -- loops over rows -----------------------------------------------------------------------------------------


class TensorArray:
    """List of tensors, with integer indices.

    Args:
        dtype: Dtype of the tensors.
        size: Integer, the number of entries.
        dynamic_size: True if `write` may append entries.
        clear_after_read: False to keep entries that were read. The following arguments are ignored.
    """

    def __init__(
        self, dtype: DTypeLike, size: SupportsInt = 0, dynamic_size: bool | None = None,
        clear_after_read: bool | None = None, tensor_array_name: str | None = None, handle: object = None,
        flow: object = None, infer_shape: bool = True, element_shape: object = None,
        colocate_with_first_write_call: bool = True, name: str | None = None,
    ) -> None:  # fmt: skip
        self.dtype = dtype
        self._items: list[Any] = [None] * int(size)
        self._clear_after_read = clear_after_read is not False
        self._dynamic_size = bool(dynamic_size)

    def write(self, index: SupportsInt, value: TensorLike, name: str | None = None) -> TensorArray:
        """Set an entry and return this list. Raise IndexError beyond the end, unless `dynamic_size`."""
        position = int(index)
        if position >= len(self._items):
            if not self._dynamic_size:
                raise IndexError(
                    f"TensorArray.write({position}) exceeds the {len(self._items)} entries of the array. "
                    "Create it with dynamic_size=True to append."
                )
            self._items += [None] * (position + 1 - len(self._items))
        self._items[position] = self._convert(value)
        return self

    def _convert(self, value: TensorLike) -> TextOrTensor:
        dtype = str(self.dtype)
        return StringTensor(value) if dtype == "string" else ops.cast(as_tensor(value), dtype)

    def read(self, index: SupportsInt, name: str | None = None) -> Tree:
        """Return an entry, and clear it unless `clear_after_read` is False."""
        item = self._items[int(index)]
        if item is None:
            raise ValueError(
                f"TensorArray.read({int(index)}): this entry was never written, or already read: create the "
                "array with clear_after_read=False to read entries again"
            )
        if self._clear_after_read:
            self._items[int(index)] = None
        return item

    def _entries(self) -> list[Any]:
        """Return all entries, zeros for empty ones."""
        known = next((item for item in self._items if item is not None), None)
        if known is None:
            raise ValueError("no entry of this TensorArray was written, or all were read")
        is_text = isinstance(known, Strings)
        empty: Any = StringTensor(np.full(known.shape, b"", object)) if is_text else ops.zeros_like(known)
        return [empty if item is None else item for item in self._items]

    def size(self, name: str | None = None) -> int:
        """Return the number of entries."""
        return len(self._items)

    def stack(self, name: str | None = None) -> Tree:
        """Stack all tensors along a new first axis."""
        return stack_tensors(self._entries())

    def concat(self, name: str | None = None) -> Tree:
        """Concatenate all tensors along their first axis."""
        return concatenate(self._entries())

    def unstack(self, value: TensorLike, name: str | None = None) -> TensorArray:
        """Replace all entries by the rows of `value`, and return this list."""
        entries = self._convert(value)
        self._items = list(entries) if isinstance(entries, StringTensor) else ops.unstack(entries, axis=0)
        return self


def _rows(elems: Tree, reverse: bool) -> list[Any]:
    leaves = [ops.unstack(as_tensor(x), axis=0) for x in tree.flatten(elems)]
    rows = [tree.pack_sequence_as(elems, list(row)) for row in zip(*leaves, strict=True)]
    return rows[::-1] if reverse else rows


def scan(
    fn: Callable[[Any, Any], Any], elems: Tree, initializer: Tree = None, reverse: bool = False,
    **options: object,
) -> Tree:  # fmt: skip
    """Compute `state = fn(state, row)` over rows, and stack the states."""
    rows = _rows(elems, reverse)
    states = [] if initializer is not None else [rows.pop(0)]
    state = states[0] if states else initializer
    for row in rows:
        state = fn(state, row)
        states.append(state)
    states = states[::-1] if reverse else states
    return tree.map_structure(lambda *parts: ops.stack(parts, axis=0), *states)


def foldl(
    fn: Callable[[Any, Any], Any], elems: Tree, initializer: Tree = None, reverse: bool = False,
    **options: object,
) -> Tree:  # fmt: skip
    """Compute `state = fn(state, row)` over rows, and return the last state."""
    rows = _rows(elems, reverse)
    state = rows.pop(0) if initializer is None else initializer
    for row in rows:
        state = fn(state, row)
    return state


foldr = functools.partial(foldl, reverse=True)
