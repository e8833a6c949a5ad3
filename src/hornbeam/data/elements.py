"""What flows through a pipeline: elements, which are arrays, numbers and strings in tuples and dicts.

Inside of a pipeline numbers are NumPy's and strings are Python's; functions of the user's, and loops over a
Dataset, see Tensors and `Strings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hornbeam.core.convert import as_tensor, from_torch
from hornbeam.core.lazy import evaluate
from hornbeam.core.tensor import Tensor
from hornbeam.data.frames import frame_to_array
from hornbeam.ir.node import leaf
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name, numpy_dtype


@dataclass(frozen=True)
class TensorSpec:
    """Shape (None for sizes that vary, or for all that is unknown) and dtype ("string" for text) of a part
    of an element.

    >>> hornbeam.data.TensorSpec((None, 28, 28), "uint8").shape
    (None, 28, 28)
    """

    shape: tuple[int | None, ...] | None
    dtype: str = "float32"
    name: str | None = None

    def __post_init__(self) -> None:
        if self.shape is not None:
            object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "dtype", spec_dtype(self.dtype))

    def with_shape(self, shape: tuple[int | None, ...] | None) -> TensorSpec:
        """The same with another shape."""
        return replace(self, shape=shape)

    def row(self) -> TensorSpec:
        """That of a row: without the first axis."""
        return self if self.shape is None else replace(self, shape=self.shape[1:])

    def batch(self, size: int | None) -> TensorSpec:
        """That of `size` of them, with a new first axis."""
        return self if self.shape is None else replace(self, shape=(size, *self.shape))


def spec_dtype(dtype: Any) -> str:
    """Name of a dtype that may be text: str, bytes and "string" are "string"."""
    name = getattr(dtype, "name", dtype)  # TensorFlow's dtypes have one
    if name in (str, bytes) or name == "string":
        return "string"
    return dtype_name(name if isinstance(name, str) else dtype)


class Strings(np.ndarray):
    """An array of strings (str, or bytes as files hold them), with the `numpy()` of a Tensor.

    >>> hornbeam.data.Strings.of(["a", "b"]).numpy().tolist()
    ['a', 'b']
    """

    @classmethod
    def of(cls, value: Any) -> Strings:
        """A string, or nested lists of them."""
        return _objects(value).view(cls)

    def numpy(self) -> Any:
        """The strings as a plain array; a single one as str or bytes."""
        return self.view(np.ndarray) if self.ndim else self.item()


def is_text(value: Any) -> bool:
    """True for strings and arrays of them, as they stand inside of a pipeline."""
    return isinstance(value, (str, bytes)) or (isinstance(value, np.ndarray) and value.dtype == object)


def each(function: Callable[[Any], Any], element: Any) -> Any:
    """`function` applied to the parts of an element: tuples and dicts are structure, lists are not."""
    if isinstance(element, tuple):
        parts = [each(function, part) for part in element]
        return type(element)(*parts) if hasattr(element, "_fields") else tuple(parts)
    if isinstance(element, dict):
        return {key: each(function, part) for key, part in element.items()}
    return function(element)


def parts_of(element: Any) -> list[Any]:
    """The parts of an element from left to right."""
    if isinstance(element, tuple):
        return [part for item in element for part in parts_of(item)]
    if isinstance(element, dict):
        return [part for item in element.values() for part in parts_of(item)]
    return [element]


def together(function: Callable[[Sequence[Any]], Any], elements: Sequence[Any]) -> Any:
    """One element out of several of the same structure: `function` gets the corresponding parts of all.

    Raises ValueError where the structures differ.
    """
    first = elements[0]
    if isinstance(first, tuple):
        if any(not isinstance(e, tuple) or len(e) != len(first) for e in elements):
            raise ValueError(_differing(elements))
        parts = [together(function, column) for column in zip(*elements, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, dict):
        if any(not isinstance(e, dict) or e.keys() != first.keys() for e in elements):
            raise ValueError(_differing(elements))
        return {key: together(function, [e[key] for e in elements]) for key in first}
    return function(elements)


def _differing(elements: Sequence[Any]) -> str:
    forms = [form_of(element) for element in elements]
    number = next(i for i, form in enumerate(forms) if form != forms[0])
    return f"elements must have one structure: {forms[0]} at first, {forms[number]} in number {number}"


def form_of(element: Any) -> str:
    """An element's structure, to be read."""
    if isinstance(element, tuple):
        return f"({', '.join(form_of(part) for part in element)})"
    if isinstance(element, dict):
        return "{" + ", ".join(f"{key!r}: {form_of(part)}" for key, part in element.items()) + "}"
    return "array"


# -- from the user -----------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """One part that a user or a function gave, as it stands inside of a pipeline.

    Raises HornbeamTypeError for what is neither numbers nor strings, ShapeError for ragged lists.
    """
    if isinstance(value, (np.generic, str, bytes)) or value is None or is_pipeline(value):
        return value.item() if isinstance(value, np.generic) and value.dtype.kind in "USO" else value
    if isinstance(value, Tensor):
        if value.symbolic:
            raise HornbeamTypeError(f"an element cannot hold the symbolic {value!r}")
        return _number_or_array(value.numpy())
    if isinstance(value, (bool, int, float)):
        kind = numpy_dtype(as_tensor(value).dtype)
        return kind.type(value)
    if hasattr(value, "detach"):  # torch, possibly on a device or with gradients
        value = from_torch(value)
    elif not isinstance(value, np.ndarray) and hasattr(value, "to_numpy"):  # pandas, polars
        array = value.to_numpy()
        value = array if _has_text(array) else frame_to_array(value, "a frame")
    elif isinstance(value, list):
        return _from_list(value)
    if not hasattr(value, "__array__"):
        raise HornbeamTypeError(
            f"elements are arrays, numbers, strings, and tuples and dicts of them, got {type(value).__name__}"
        )
    array = np.asarray(value)
    if array.dtype.kind in "USO":
        return _objects(array) if array.ndim else _objects(array).item()
    dtype_name(array.dtype)
    return _number_or_array(array)


def _has_text(array: np.ndarray) -> bool:
    return array.dtype == object and array.ndim == 1 and array.size > 0 and isinstance(array[0], (str, bytes))


def _number_or_array(array: np.ndarray) -> Any:
    return array if array.ndim else array[()]


def is_pipeline(value: Any) -> bool:
    """Whether a part is a Dataset itself, as the elements of `window` are."""
    return hasattr(value, "_stage")


def _from_list(items: list[Any]) -> Any:
    flat = list(_leaves(items))
    if flat and isinstance(flat[0], (str, bytes)):
        return _objects(items)
    if flat and any(hasattr(item, "__array__") for item in flat):
        return stacked([plain(item) for item in items])
    return as_tensor(items).numpy() if items else np.zeros(0, "float32")


def _leaves(items: Iterable[Any]) -> Iterable[Any]:
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item)
        else:
            yield item


def _objects(value: Any) -> np.ndarray:
    """Strings as an array of Python objects. Raises HornbeamTypeError where other things stand in it."""
    array = np.asarray(value)
    if array.dtype.kind in "US" and not isinstance(value, np.ndarray):
        # NumPy cuts zeros off the end of bytes and makes text of both where they are mixed.
        array = np.array(value, dtype=object)
    array = array.astype(object, copy=False)
    wrong = next((item for item in array.reshape(-1) if not isinstance(item, (str, bytes))), None)
    if wrong is not None:
        raise HornbeamTypeError(
            f"elements are numbers or strings, got an array of objects such as {str(wrong)[:40]!r} "
            f"({type(wrong).__name__}): where items differ in shape, give them one by one with from_generator"
        )
    return array.view(np.ndarray)


def element_of(structure: Any) -> Any:
    """What a user or a function gave, as an element. Values that are still to be computed are, together."""
    pending = [p.node for p in parts_of(structure) if isinstance(p, Tensor) and p.node.value is None]
    if pending:
        evaluate(pending)
    return each(plain, structure)


# -- to the user -------------------------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """One part as users see it: a Tensor for numbers, Strings for text."""
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        array = value.view() if isinstance(value, np.ndarray) else np.asarray(value)
        array.flags.writeable = False
        return Tensor(leaf((None, array), TensorType(array.shape, dtype_name(array.dtype))))
    return Strings.of(value) if is_text(value) else value


def presented(element: Any) -> Any:
    """An element as users see it."""
    return each(shown, element)


# -- several elements --------------------------------------------------------------------------------------


def stacked(values: Sequence[Any]) -> Any:
    """Corresponding parts of several elements as one array. Raises ShapeError where they differ in shape."""
    first = values[0]
    if first is None:
        return None
    if is_text(first):
        return _stacked_text(values)
    if is_pipeline(first):
        raise HornbeamTypeError("windows cannot be batched: flat_map them first, each with its own batch()")
    made = np.empty((len(values), *first.shape), first.dtype)
    for index, value in enumerate(values):
        if value.shape != first.shape or value.dtype != first.dtype:
            raise ShapeError(
                f"a batch needs elements of one shape and dtype: {first.dtype}{list(first.shape)} at first, "
                f"{value.dtype}{list(value.shape)} in number {index}. padded_batch() fills shorter ones up"
            )
        made[index] = value
    return made


def _stacked_text(values: Sequence[Any]) -> np.ndarray:
    if isinstance(values[0], (str, bytes)):
        made = np.empty(len(values), object)
        made[:] = values
        return made
    return np.stack(values)


def batch_of(elements: Sequence[Any]) -> Any:
    """Elements as one with a new first axis."""
    return together(stacked, elements)


def padded_batch_of(elements: Sequence[Any], shapes: Any, values: Any) -> Any:
    """Elements as one with a new first axis, filled up at their ends to the longest, or to `shapes`."""
    count = len(parts_of(elements[0]))
    sizes = iter(_each_part(shapes, count, _is_shape))
    fills = iter(_each_part(values, count, lambda value: not isinstance(value, (tuple, dict))))
    return together(lambda column: _padded(column, next(sizes), next(fills)), elements)


def _is_shape(value: Any) -> bool:
    size = (int, np.integer, type(None))
    return value is None or isinstance(value, list) or all(isinstance(s, size) for s in parts_of(value))


def _each_part(given: Any, count: int, single: Callable[[Any], bool]) -> list[Any]:
    """A setting for each of `count` parts, from one for all or a structure of them."""
    if single(given):
        return [given] * count
    found = _settings(given, single)
    if len(found) != count:
        raise ValueError(
            f"an element has {count} parts, but there are {len(found)} shapes or values for padding"
        )
    return found


def _settings(given: Any, single: Callable[[Any], bool]) -> list[Any]:
    if single(given):
        return [given]
    parts = given.values() if isinstance(given, dict) else given
    return [setting for part in parts for setting in _settings(part, single)]


def _padded(column: Sequence[Any], shape: Any, value: Any) -> np.ndarray:
    text = is_text(column[0])
    arrays = [np.asarray(part, dtype=object if text else None) for part in column]
    longest = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    wanted = longest if shape is None else tuple(shape)
    if len(wanted) != len(longest):
        raise ShapeError(f"padded_shapes has {list(wanted)} for a part of shape {list(longest)}")
    size = tuple(
        long if want in (None, -1) else int(want) for long, want in zip(longest, wanted, strict=True)
    )
    if any(long > want for long, want in zip(longest, size, strict=True)):
        raise ShapeError(f"an element of shape {list(longest)} does not fit into padded_shapes {list(size)}")
    made = np.full((len(arrays), *size), ("" if text else 0) if value is None else value, arrays[0].dtype)
    for filled, array in zip(made, arrays, strict=True) if longest else ():
        filled[tuple(map(slice, array.shape))] = array
    if not longest:
        made[:] = arrays
    return made


def row_of(arrays: Any, index: int) -> Any:
    """One row of every array, as an element."""
    return each(lambda array: array[index], arrays)


def rows_of(arrays: Any, rows: np.ndarray) -> Any:
    """Some rows of every array, as a batch."""
    return each(lambda array: array[rows], arrays)


def count_of(arrays: Any, what: str) -> int:
    """The common number of rows. Raises ShapeError where they differ, or where there are none to take."""
    parts = parts_of(arrays)
    for part in parts:
        if np.ndim(part) == 0:
            raise ShapeError(f"{what} cuts along the first axis, and {part!r} has none")
    lengths = {len(part) for part in parts}
    if len(lengths) != 1:
        raise ShapeError(
            f"{what} needs arrays of one length, got {', '.join(str(len(part)) for part in parts)}"
        )
    return lengths.pop()


# -- specs -------------------------------------------------------------------------------------------------


def spec_of(element: Any) -> Any:
    """The element with a TensorSpec for every part."""

    def spec(value: Any) -> Any:
        if is_text(value):
            return TensorSpec(np.shape(value) if isinstance(value, np.ndarray) else (), "string")
        if isinstance(value, (np.ndarray, np.generic)):
            return TensorSpec(value.shape, dtype_name(value.dtype))
        return value.element_spec if is_pipeline(value) else None

    return each(spec, element)


def map_specs(function: Callable[[TensorSpec], Any], spec: Any) -> Any:
    """`function` applied to every TensorSpec of a structure; what else stands there stays."""
    return each(lambda part: function(part) if isinstance(part, TensorSpec) else part, spec)


def fitted(element: Any, spec: Any) -> Any:
    """An element with the dtypes of `spec`. Raises ShapeError, HornbeamTypeError where it does not fit."""

    def fit(pair: Sequence[Any]) -> Any:
        value, wanted = pair
        if not isinstance(wanted, TensorSpec):
            return value
        if is_text(value) != (wanted.dtype == "string"):
            raise HornbeamTypeError(f"expected {wanted.dtype} values, got {value!r:.60}")
        shape = np.shape(value)
        if wanted.shape is not None and (
            len(shape) != len(wanted.shape)
            or any(want not in (None, size) for size, want in zip(shape, wanted.shape, strict=True))
        ):
            raise ShapeError(f"expected a value of shape {list(wanted.shape)}, got one of {list(shape)}")
        return value if wanted.dtype == "string" else value.astype(numpy_dtype(wanted.dtype))

    return together(fit, [element, spec])
