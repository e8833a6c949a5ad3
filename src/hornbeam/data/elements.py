"""Elements of a pipeline: arrays, numbers and strings, alone or in tuples and dicts.

Inside of a pipeline numbers are NumPy's and strings are Python's. Functions of the user, and loops over a
Dataset, receive Tensors and `Strings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hornbeam._internal.typing import DTypeLike, ShapeLike, Tree
from hornbeam.core.convert import as_tensor, from_torch
from hornbeam.core.lazy import evaluate
from hornbeam.core.tensor import Tensor
from hornbeam.data.composite import Composite
from hornbeam.data.frames import check_present, frame_to_array, is_missing
from hornbeam.ir.node import leaf
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name, numpy_dtype


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of a part of an element.

    Args:
        shape: Sizes of the axes, None for sizes that vary; None if the shape is unknown.
        dtype: Dtype, "string" for text.
        name: Accepted for compatibility with tf.TensorSpec, unused.

    Example:
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

    def with_shape(self, shape: ShapeLike | None) -> TensorSpec:
        """Return a spec with the same dtype and another shape.

        Args:
            shape: Sizes of the axes, or None.
        """
        return replace(self, shape=None if shape is None else tuple(shape))

    def row(self) -> TensorSpec:
        """Return the spec of a row: without the first axis."""
        return self if self.shape is None else replace(self, shape=self.shape[1:])

    def batch(self, size: int | None) -> TensorSpec:
        """Return the spec of a batch, with a new first axis.

        Args:
            size: Size of the first axis, None if it varies.
        """
        return self if self.shape is None else replace(self, shape=(size, *self.shape))


def spec_dtype(dtype: DTypeLike) -> str:
    """Return the name of a dtype that may be text: str, bytes and "string" are "string"."""
    name = getattr(dtype, "name", dtype)  # TensorFlow's dtypes have one
    if name in (str, bytes) or name == "string":
        return "string"
    return dtype_name(name if isinstance(name, str) else dtype)


class Strings(np.ndarray):
    """Array of strings (str, or bytes as in files), with the method `numpy()` of a Tensor.

    Create it with `Strings.of`; the constructor is NumPy's.

    Args:
        shape, dtype, buffer, offset, strides, order: As for `numpy.ndarray`.

    Example:
        >>> hornbeam.data.Strings.of(["a", "b"]).numpy().tolist()
        ['a', 'b']
    """

    @classmethod
    def of(cls, value: str | bytes | Sequence[Any] | np.ndarray) -> Strings:
        """Create an array of strings.

        Args:
            value: String, nested lists of strings, or an array of them.

        Raises:
            HornbeamTypeError: If `value` holds anything else.
        """
        return _object_array(value).view(cls)

    def numpy(self) -> Tree:
        """Return the strings as a plain array, or a single string as str or bytes."""
        return self.view(np.ndarray) if self.ndim else self.item()


def is_text(value: object) -> bool:
    """Return True for strings and arrays of strings, as they are inside of a pipeline."""
    return isinstance(value, (str, bytes)) or (isinstance(value, np.ndarray) and value.dtype == object)


def map_parts(function: Callable[[Any], Any], element: Tree) -> Tree:
    """Apply `function` to the parts of an element: tuples and dicts are structure, lists are not."""
    if isinstance(element, tuple):
        parts = [map_parts(function, part) for part in element]
        return type(element)(*parts) if hasattr(element, "_fields") else tuple(parts)
    if isinstance(element, dict):
        return {key: map_parts(function, part) for key, part in element.items()}
    return function(element)


def flatten_parts(element: Tree) -> list[Any]:
    """Return the parts of an element from left to right."""
    if isinstance(element, tuple):
        return [part for item in element for part in flatten_parts(item)]
    if isinstance(element, dict):
        return [part for item in element.values() for part in flatten_parts(item)]
    return [element]


def zip_parts(function: Callable[[Sequence[Any]], Any], elements: Sequence[Any]) -> Tree:
    """Apply `function` to the corresponding parts of several elements of one structure.

    Raises ValueError if the structures differ.
    """
    first = elements[0]
    if isinstance(first, tuple):
        if any(not isinstance(e, tuple) or len(e) != len(first) for e in elements):
            raise ValueError(_structures_differ(elements))
        parts = [zip_parts(function, column) for column in zip(*elements, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, dict):
        if any(not isinstance(e, dict) or e.keys() != first.keys() for e in elements):
            raise ValueError(_structures_differ(elements))
        return {key: zip_parts(function, [e[key] for e in elements]) for key in first}
    return function(elements)


def _structures_differ(elements: Sequence[Any]) -> str:
    structures = [describe_structure(element) for element in elements]
    index = next(i for i, structure in enumerate(structures) if structure != structures[0])
    return (
        f"all elements must have one structure: element 0 has {structures[0]}, element {index} has "
        f"{structures[index]}"
    )


def describe_structure(element: Tree) -> str:
    """Return the structure of an element as text, e.g. "(array, {'a': array})"."""
    if isinstance(element, tuple):
        return f"({', '.join(describe_structure(part) for part in element)})"
    if isinstance(element, dict):
        return "{" + ", ".join(f"{key!r}: {describe_structure(part)}" for key, part in element.items()) + "}"
    return "array"


# -- from the user -----------------------------------------------------------------------------------------


def as_part(value: Tree) -> Tree:
    """Convert a value of a user or a function to a part of an element.

    Raises HornbeamTypeError for values other than numbers and strings, ShapeError for ragged lists.
    """
    if isinstance(value, Composite):
        return value
    if isinstance(value, (np.generic, str, bytes)) or value is None or is_pipeline(value):
        return value.item() if isinstance(value, np.generic) and value.dtype.kind in "USO" else value
    if isinstance(value, Tensor):
        if value.symbolic:
            raise HornbeamTypeError(f"an element cannot hold the symbolic {value!r}")
        return _number_or_array(value.numpy())
    if isinstance(value, (bool, int, float)):
        dtype = numpy_dtype(as_tensor(value).dtype)
        return dtype.type(value)
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
        return _object_array(array) if array.ndim else _object_array(array).item()
    dtype_name(array.dtype)
    return _number_or_array(array)


def _has_text(array: np.ndarray) -> bool:
    return array.dtype == object and array.ndim == 1 and array.size > 0 and isinstance(array[0], (str, bytes))


def _number_or_array(array: np.ndarray) -> np.ndarray | np.generic:
    return array if array.ndim else array[()]


def is_pipeline(value: object) -> bool:
    """Return True for a part that is a Dataset itself, as the elements of `window` are."""
    return hasattr(value, "_stage")


def _from_list(items: list[Any]) -> np.ndarray | None:
    flat = list(_leaves(items))
    if flat and isinstance(flat[0], (str, bytes)):
        return _object_array(items)
    if flat and any(hasattr(item, "__array__") for item in flat):
        return stack_parts([as_part(item) for item in items])
    return as_tensor(items).numpy() if items else np.zeros(0, "float32")


def _leaves(items: Iterable[Any]) -> Iterable[Any]:
    for item in items:
        if isinstance(item, (list, tuple)):
            yield from _leaves(item)
        else:
            yield item


def _object_array(value: Any) -> np.ndarray:
    """Convert strings to an array of Python objects. Raises HornbeamTypeError for other objects."""
    array = np.asarray(value)
    if array.dtype.kind in "US" and not isinstance(value, np.ndarray):
        # NumPy strips trailing zeros of bytes, and converts bytes to text where both are mixed.
        array = np.array(value, dtype=object)
    array = array.astype(object, copy=False)
    wrong = [item for item in array.reshape(-1) if not isinstance(item, (str, bytes))]
    if wrong and is_missing(wrong[0]):
        raise HornbeamTypeError(f"strings have missing values ({wrong[0]}): fill them, as in fillna('?')")
    if wrong:
        raise HornbeamTypeError(
            f"elements are numbers or strings, got an array of objects such as {str(wrong[0])[:40]!r} "
            f"({type(wrong[0]).__name__}): yield items of different shapes one by one with from_generator"
        )
    return array.view(np.ndarray)


def list_as_tuple(result: Tree) -> Tree:
    """Return the result of a function of elements: a list is a tuple of parts, as in tf.data."""
    return tuple(result) if isinstance(result, list) else result


def as_element(structure: Tree) -> Tree:
    """Convert a value of a user or a function to an element. Lazy tensors are evaluated together."""
    pending = [p.node for p in flatten_parts(structure) if isinstance(p, Tensor) and p.node.value is None]
    if pending:
        evaluate(pending)
    try:
        return map_parts(as_part, structure)
    except HornbeamTypeError:
        for column, values in _text_columns(structure):
            check_present(values, column)
        raise


def _text_columns(structure: Tree) -> Iterator[tuple[str, Any]]:
    """Yield the parts of dicts, by name, that hold text or other objects."""
    if isinstance(structure, tuple):
        for part in structure:
            yield from _text_columns(part)
    elif isinstance(structure, dict):
        for name, part in structure.items():
            if isinstance(part, (tuple, dict)):
                yield from _text_columns(part)
            elif hasattr(part, "dtype") and np.asarray(part).dtype == object:
                yield str(name), part


# -- to the user -------------------------------------------------------------------------------------------


def _part_for_user(value: Tree) -> Tree:
    if isinstance(value, Composite):
        return value.for_user()
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object:
        array = value.view() if isinstance(value, np.ndarray) else np.asarray(value)
        array.flags.writeable = False
        return Tensor(leaf((None, array), TensorType(array.shape, dtype_name(array.dtype))))
    return Strings.of(value) if is_text(value) else value


def for_user(element: Tree) -> Tree:
    """Convert the parts of an element to Tensors, text to Strings."""
    return map_parts(_part_for_user, element)


# -- several elements --------------------------------------------------------------------------------------


def stack_parts(values: Sequence[Any]) -> Tree:
    """Stack corresponding parts of several elements. Raises ShapeError if their shapes or dtypes differ."""
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Composite):
        return first.stack(values)
    if is_text(first):
        return _stack_text(values)
    if is_pipeline(first):
        raise HornbeamTypeError("windows cannot be batched: flat_map them first, each with its own batch()")
    batch = np.empty((len(values), *first.shape), first.dtype)
    for index, value in enumerate(values):
        if value.shape != first.shape or value.dtype != first.dtype:
            raise ShapeError(
                f"a batch needs elements of one shape and dtype: {first.dtype}{list(first.shape)} in element "
                f"0, {value.dtype}{list(value.shape)} in element {index}. padded_batch() pads shorter ones"
            )
        batch[index] = value
    return batch


def _stack_text(values: Sequence[Any]) -> np.ndarray:
    if isinstance(values[0], (str, bytes)):
        batch = np.empty(len(values), object)
        batch[:] = values
        return batch
    return np.stack(values)


def stack_elements(elements: Sequence[Any]) -> Tree:
    """Stack elements along a new first axis."""
    return zip_parts(stack_parts, elements)


def stack_padded(elements: Sequence[Any], shapes: Tree, values: Tree) -> Tree:
    """Stack elements along a new first axis, padded at their ends to the largest, or to `shapes`."""
    count = len(flatten_parts(elements[0]))
    sizes = iter(_settings_by_part(shapes, count, _is_shape))
    fills = iter(_settings_by_part(values, count, lambda value: not isinstance(value, (tuple, dict))))
    return zip_parts(lambda column: _pad_and_stack(column, next(sizes), next(fills)), elements)


def _is_shape(value: Tree) -> bool:
    size = (int, np.integer, type(None))
    return value is None or isinstance(value, list) or all(isinstance(s, size) for s in flatten_parts(value))


def _settings_by_part(settings: Tree, count: int, is_single: Callable[[Any], bool]) -> list[Any]:
    """Return a setting for each of `count` parts, from one for all parts or a structure of them."""
    if is_single(settings):
        return [settings] * count
    flat = _flatten_settings(settings, is_single)
    if len(flat) != count:
        raise ValueError(
            f"padded_shapes and padding_values must have one entry for each of the {count} parts of an "
            f"element, got {len(flat)}"
        )
    return flat


def _flatten_settings(settings: Tree, is_single: Callable[[Any], bool]) -> list[Any]:
    if is_single(settings):
        return [settings]
    parts = settings.values() if isinstance(settings, dict) else settings
    return [setting for part in parts for setting in _flatten_settings(part, is_single)]


def _pad_and_stack(column: Sequence[Any], shape: ShapeLike | None, value: Any) -> np.ndarray:
    text = is_text(column[0])
    arrays = [np.asarray(part, dtype=object if text else None) for part in column]
    largest = tuple(max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True))
    target = largest if shape is None else tuple(shape)
    if len(target) != len(largest):
        raise ShapeError(f"padded_shapes has {list(target)} for a part of shape {list(largest)}")
    sizes = tuple(
        size if expected in (None, -1) else int(expected)
        for size, expected in zip(largest, target, strict=True)
    )
    if any(size > limit for size, limit in zip(largest, sizes, strict=True)):
        raise ShapeError(f"an element of shape {list(largest)} does not fit into padded_shapes {list(sizes)}")
    batch = np.full((len(arrays), *sizes), ("" if text else 0) if value is None else value, arrays[0].dtype)
    for padded, array in zip(batch, arrays, strict=True) if largest else ():
        padded[tuple(map(slice, array.shape))] = array
    if not largest:
        batch[:] = arrays
    return batch


def take_row(arrays: Tree, index: int) -> Tree:
    """Return one row of every array, as an element."""
    return map_parts(lambda a: a.row(index) if isinstance(a, Composite) else a[index], arrays)


def take_rows(arrays: Tree, rows: np.ndarray) -> Tree:
    """Return some rows of every array, as a batch."""

    def take(part: Any) -> Any:
        if isinstance(part, Composite):
            return stack_parts([part.row(int(index)) for index in rows])
        return part[rows]

    return map_parts(take, arrays)


def count_rows(arrays: Tree, method: str) -> int:
    """Return the common number of rows. Raises ShapeError if numbers differ or an array is a scalar."""
    parts = flatten_parts(arrays)
    for part in parts:
        if not isinstance(part, Composite) and np.ndim(part) == 0:
            raise ShapeError(f"{method} slices along the first axis, but {part!r} is a scalar")
    lengths = [part.row_count() if isinstance(part, Composite) else len(part) for part in parts]
    if len(set(lengths)) != 1:
        raise ShapeError(f"{method} needs arrays of one length, got {', '.join(map(str, lengths))}")
    return lengths[0]


# -- specs -------------------------------------------------------------------------------------------------


def spec_of(element: Tree) -> Tree:
    """Return the structure of an element with a TensorSpec for every part."""

    def spec(value: Tree) -> Tree:
        if isinstance(value, Composite):
            return value.spec()
        if is_text(value):
            return TensorSpec(np.shape(value) if isinstance(value, np.ndarray) else (), "string")
        if isinstance(value, (np.ndarray, np.generic)):
            return TensorSpec(value.shape, dtype_name(value.dtype))
        return value.element_spec if is_pipeline(value) else None

    return map_parts(spec, element)


def map_specs(function: Callable[[TensorSpec], Any], spec: Tree) -> Tree:
    """Apply `function` to every TensorSpec of a structure; other parts stay."""
    return map_parts(lambda part: function(part) if isinstance(part, TensorSpec) else part, spec)


def row_specs(spec: Tree) -> Tree:
    """Return the specs of rows: without the first axis."""
    return map_parts(lambda part: part.row() if hasattr(part, "row") else part, spec)


def batch_specs(spec: Tree, size: int | None) -> Tree:
    """Return the specs of batches, with a new first axis."""
    return map_parts(lambda part: part.batch(size) if hasattr(part, "batch") else part, spec)


def cast_to_spec(element: Tree, spec: Tree) -> Tree:
    """Cast an element to the dtypes of `spec`. Raises ShapeError or HornbeamTypeError for a mismatch."""

    def cast(pair: Sequence[Any]) -> Tree:
        value, expected = pair
        if not isinstance(expected, TensorSpec):
            return value
        if is_text(value) != (expected.dtype == "string"):
            raise HornbeamTypeError(f"expected {expected.dtype} values, got {value!r:.60}")
        shape = np.shape(value)
        if expected.shape is not None and (
            len(shape) != len(expected.shape)
            or any(other not in (None, size) for size, other in zip(shape, expected.shape, strict=True))
        ):
            raise ShapeError(f"expected a value of shape {list(expected.shape)}, got one of {list(shape)}")
        return value if expected.dtype == "string" else value.astype(numpy_dtype(expected.dtype))

    return zip_parts(cast, [_as_spec(element, spec), spec])


def _as_spec(element: Tree, spec: Tree) -> Tree:
    """Convert tuples of numbers to arrays where the spec has an array: (1,) is a value of shape (1,)."""
    if isinstance(spec, TensorSpec) and isinstance(element, tuple) and spec.dtype != "string":
        return np.array(element)
    if isinstance(spec, tuple) and isinstance(element, tuple) and len(spec) == len(element):
        parts = [_as_spec(part, inner) for part, inner in zip(element, spec, strict=True)]
        return type(element)(*parts) if hasattr(element, "_fields") else tuple(parts)
    return element
