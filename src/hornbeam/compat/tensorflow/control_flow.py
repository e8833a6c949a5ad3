"""tf.function, conditions, loops, and TensorArray. Arguments are TensorFlow's."""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops, tree
from hornbeam.compat.messages import log_once
from hornbeam.compat.tensorflow import tape
from hornbeam.compat.tensorflow.tensors import convert_to_tensor
from hornbeam.core.convert import as_tensor
from hornbeam.core.jit import jit
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable, current_variable_tracer
from hornbeam.data import Strings
from hornbeam.errors import ConcretizationError, MissingNameError
from hornbeam.ir.trace import current_level

# -- tf.function ---------------------------------------------------------------------------------------------


# Set by tf.config.run_functions_eagerly.
run_eagerly = False


class _ByReference:
    """A variable among the arguments, passed by reference so that the function can assign it."""

    def __init__(self, variable: Variable) -> None:
        self.variable = variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByReference) and other.variable is self.variable

    def __hash__(self) -> int:
        return id(self.variable)


def _wrap(x: Any) -> Any:
    return _ByReference(x) if isinstance(x, Variable) else x


def _unwrap(x: Any) -> Any:
    return x.variable if isinstance(x, _ByReference) else x


class Function:
    """A compiled function, by `hornbeam.jit`.

    TensorFlow rewrites `if`, `while` and `for` on tensors; here such a function runs line by line, which a
    line on stderr reports. Under an open gradient tape it is not compiled either: the tape needs its nodes.

    Args:
        fn: Function of tensors, variables and Python values.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fn)
        self.python_function = fn
        self._concrete: dict[Any, ConcreteFunction] = {}

        def run(args: Any, kwargs: Any) -> Any:
            args, kwargs = tree.map_structure(_unwrap, (args, kwargs))
            return fn(*args, **kwargs)

        self._compiled: Callable[..., Any] | None = jit(run)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        eager = run_eagerly or tape.is_recording() or self._compiled is None
        if eager or current_level() or current_variable_tracer() is not None or _has_text(args, kwargs):
            return self.python_function(*args, **kwargs)
        try:
            return self._compiled(*tree.map_structure(_wrap, (args, kwargs)))  # type: ignore[misc]
        except ConcretizationError:
            self._compiled = None
            name = getattr(self.python_function, "__name__", "function")
            log_once(
                f"tf.function {name!r} branches on values (if, while, for on tensors): it runs line by line"
            )
            return self.python_function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind a method: it is compiled once for each instance."""
        if instance is None:
            return self
        bound = Function(self.python_function.__get__(instance, owner))
        if hasattr(instance, "__dict__") and self.python_function.__name__.isidentifier():
            object.__setattr__(instance, self.python_function.__name__, bound)
        return bound

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """Return the function for one signature of its arguments.

        Args:
            *args: Tensors, TensorSpecs and Python values.
            **kwargs: The same, by name.
        """
        leaves = tree.flatten((args, kwargs))
        key = tuple((tuple(x.shape), str(x.dtype)) if hasattr(x, "dtype") else repr(x) for x in leaves)
        return self._concrete.setdefault(key, ConcreteFunction(self, args, kwargs))


class ConcreteFunction:
    """A tf.function for one signature. Python values are fixed: only tensors are passed to it.

    Args:
        function: The function.
        args: Tensors, TensorSpecs and Python values.
        kwargs: The same, by name.
    """

    def __init__(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._function = function
        self.name = getattr(function.python_function, "__name__", "function")
        self.structured_input_signature = (args, kwargs)
        self._args = args
        self._fixed = {k: v for k, v in kwargs.items() if not hasattr(v, "dtype")}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with the values of its tensors, fixed Python values in between."""
        values = iter(args)
        python = (int, float, bool, str, type(None))
        listed = [x if isinstance(x, python) else next(values, _MISSING) for x in self._args]
        rest = [x for x in listed if x is not _MISSING]
        return self._function(*rest, *values, **{**self._fixed, **kwargs})

    def __getattr__(self, name: str) -> Any:
        raise MissingNameError(
            f"a concrete function has no {name!r} under `hornbeam run`, which builds no graph of TensorFlow"
        )


_MISSING = object()


def _has_text(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    return any(isinstance(x, Strings) for x in (*args, *kwargs.values()))


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    experimental_implements: Any = None,
    experimental_autograph_options: Any = None,
    experimental_attributes: Any = None,
    experimental_relax_shapes: bool | None = None,
    experimental_compile: bool | None = None,
    experimental_follow_type_hints: bool | None = None,
) -> Any:
    """Compile `func`, once for each signature of its arguments.

    Options are ignored: unknown sizes in `input_signature` are compiled when they occur, and the others
    configure TensorFlow's compiler.
    """
    return function if func is None else Function(func)


def py_function(
    func: Callable[..., Any] | None = None, inp: Any = None, Tout: Any = None, name: str | None = None
) -> Any:
    """Call `func(*inp)`, and convert its results to tensors of `Tout`. Without `func`, return a decorator."""
    if func is None:
        return lambda decorated: functools.wraps(decorated)(lambda *args: py_function(decorated, args, Tout))
    return _as_types(func(*inp), Tout)


def _as_types(results: Any, types: Any) -> Any:
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
    func: Callable[..., Any] | None = None, inp: Any = None, Tout: Any = None, stateful: bool = True,
    name: str | None = None,
) -> Any:  # fmt: skip
    """Call `func` on NumPy arrays, and convert its results. Without `func`, return a decorator."""
    if func is None:
        return lambda decorated: functools.wraps(decorated)(
            lambda *args: numpy_function(decorated, args, Tout)
        )
    arrays = [x.numpy() if hasattr(x, "numpy") else x for x in inp]
    return _as_types(func(*arrays), Tout)


# -- conditions and loops ------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None) -> Any:
    """Return the result of one of two functions."""
    if isinstance(pred, (builtins.bool, np.bool_)):
        return true_fn() if pred else false_fn()
    return ops.cond(pred, true_fn, false_fn)


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Sequence[Any],
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    maximum_iterations: int | None = None,
    name: str | None = None,
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` is true."""
    return ops.while_loop(cond, body, loop_vars, maximum_iterations=maximum_iterations)


def map_fn(
    fn: Callable[[Any], Any], elems: Any, dtype: Any = None, fn_output_signature: Any = None, **kwargs: Any
) -> Any:
    """Apply `fn` to each slice along the first axis."""
    return ops.map(fn, elems)


def vectorized_map(
    fn: Callable[[Any], Any], elems: Any, fallback_to_while_loop: bool = True, **kwargs: Any
) -> Any:
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
        self,
        dtype: Any,
        size: Any = 0,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ) -> None:
        self.dtype = dtype
        self._items: list[Tensor | None] = [None] * int(size)
        self._clear_after_read = clear_after_read is not False
        self._dynamic_size = bool(dynamic_size)

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """Set an entry and return this list. Raise IndexError beyond the end, unless `dynamic_size`."""
        position = int(index)
        if position >= len(self._items):
            if not self._dynamic_size:
                raise IndexError(
                    f"TensorArray.write({position}) exceeds the {len(self._items)} entries of the array. "
                    "Create it with dynamic_size=True to append."
                )
            self._items += [None] * (position + 1 - len(self._items))
        self._items[position] = ops.cast(as_tensor(value), str(self.dtype))
        return self

    def read(self, index: Any, name: str | None = None) -> Tensor:
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

    def _entries(self) -> list[Tensor]:
        """Return all entries, zeros for empty ones."""
        known = next((item for item in self._items if item is not None), None)
        if known is None:
            raise ValueError("no entry of this TensorArray was written, or all were read")
        return [ops.zeros_like(known) if item is None else item for item in self._items]

    def size(self, name: str | None = None) -> int:
        """Return the number of entries."""
        return len(self._items)

    def stack(self, name: str | None = None) -> Tensor:
        """Stack all tensors along a new first axis."""
        return ops.stack(self._entries(), axis=0)

    def concat(self, name: str | None = None) -> Tensor:
        """Concatenate all tensors along their first axis."""
        return ops.concatenate(self._entries(), axis=0)

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """Replace all entries by the rows of `value`, and return this list."""
        self._items = list(ops.unstack(ops.cast(as_tensor(value), str(self.dtype)), axis=0))
        return self


def _rows(elems: Any, reverse: bool) -> list[Any]:
    leaves = [ops.unstack(as_tensor(x), axis=0) for x in tree.flatten(elems)]
    rows = [tree.pack_sequence_as(elems, list(row)) for row in zip(*leaves, strict=True)]
    return rows[::-1] if reverse else rows


def scan(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, reverse: bool = False, **options: Any
) -> Any:
    """Compute `state = fn(state, row)` over rows, and stack the states."""
    rows = _rows(elems, reverse)
    states = [] if initializer is not None else [rows.pop(0)]
    state = states[0] if states else initializer
    for row in rows:
        state = fn(state, row)
        states.append(state)
    states = states[::-1] if reverse else states
    return tree.map_structure(lambda *parts: ops.stack(parts, axis=0), *states)


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, **options: Any) -> Any:
    """Compute `state = fn(state, row)` over rows, and return the last state."""
    rows = _rows(elems, False)
    state = rows.pop(0) if initializer is None else initializer
    for row in rows:
        state = fn(state, row)
    return state
