"""Batches: samples, targets and sample weights, flattened once into a list of arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hornbeam import tree
from hornbeam._internal import warning_policy
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor, from_torch
from hornbeam.core.jit import _structure as structure_key
from hornbeam.core.registry import exported
from hornbeam.core.sparse import is_scipy_sparse
from hornbeam.core.tensor import Tensor
from hornbeam.data.frames import frame_to_array
from hornbeam.data.splits.split import class_ids
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name
from hornbeam.training.check_inputs import check_finite, check_sample_weight
from hornbeam.training.check_samples import check_no_list_of_samples, describe_samples
from hornbeam.training.sparse_rows import SparseRows

# -- (x, y, sample_weight) -------------------------------------------------------------------------


@exported("keras.utils")
def pack_x_y_sample_weight(x: Tree, y: Tree = None, sample_weight: Tree = None) -> Tree:
    """Pack inputs, targets and weights as a `train_step` receives them.

    Args:
        x: Inputs, in any structure.
        y: Targets, in any structure, or None.
        sample_weight: Weights of the samples, or None.

    Returns:
        `x` alone, `(x, y)`, or `(x, y, sample_weight)`. An `x` that is a list or tuple comes as `(x,)`.
    """
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, (list, tuple)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


@exported("keras.utils")
def unpack_x_y_sample_weight(data: Tree) -> tuple[Any, Any, Any]:
    """Unpack the data that a `train_step` receives.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Returns:
        The tuple `(x, y, sample_weight)`, with None for the parts that are absent.

    Raises:
        ValueError: If `data` is an empty tuple, or one of more than three parts.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3 or not data:
        raise ValueError(f"data must be x, (x,), (x, y) or (x, y, sample_weight), got a tuple of {len(data)}")
    return (*data, None, None)[:3]


# -- batches ---------------------------------------------------------------------------------------


class TreeDef:
    """Structure of packed data: x, y and sample_weight with the index of an array at each leaf.

    Hashable. parts: the three structures of indices, None for an absent part.
    """

    __slots__ = ("_hash", "_key", "indices", "is_leaf", "parts")

    def __init__(self, parts: tuple[Any, Any, Any]) -> None:
        self.parts = parts
        self.indices = pack_x_y_sample_weight(*parts)
        self.is_leaf = isinstance(self.indices, int)
        self._key = tuple(map(_key, parts))
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TreeDef) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def unflatten(self, leaves: Sequence[Any]) -> Tree:
        """Build the structure from new leaves."""
        return _select(self.indices, leaves)


def _key(part: Tree) -> Any:
    if part is None or isinstance(part, int):
        return part
    return structure_key(part), tuple(tree.flatten(part))


def _select(indices: Any, leaves: Sequence[Any]) -> Any:
    if isinstance(indices, int):
        return leaves[indices]
    if indices is None:
        return None
    if type(indices) is tuple:
        return tuple([_select(part, leaves) for part in indices])
    return tree.map_structure(lambda index: None if index is None else leaves[index], indices)


@dataclass(frozen=True)
class Signature:
    """Types of a batch: what a compiled step is looked up by."""

    treedef: TreeDef
    types: tuple[TensorType, ...]

    @property
    def packed(self) -> Tree:
        """The types in the structure that steps receive."""
        return self.treedef.unflatten(self.types)


class Batch:
    """Samples with targets and weights, as a flat list of arrays and the structure that they belong to.

    leaves: arrays of x, then of y, then of sample_weight, each with the samples along its first axis.
    """

    __slots__ = ("leaves", "treedef")

    def __init__(self, leaves: list[np.ndarray], treedef: TreeDef) -> None:
        self.leaves = leaves
        self.treedef = treedef

    @classmethod
    def of(cls, packed: Tree) -> Batch:
        """Flatten packed data whose leaves are arrays or None."""
        leaves: list[np.ndarray] = []
        x, y, weights = (_flatten(part, leaves) for part in unpack_x_y_sample_weight(packed))
        return cls(leaves, TreeDef((x, y, weights)))

    def __len__(self) -> int:
        return len(self.leaves[0])

    @property
    def packed(self) -> Tree:
        """`x`, `(x, y)` or `(x, y, sample_weight)`, as steps receive it."""
        return self.treedef.unflatten(self.leaves)

    def unpacked(self) -> tuple[Any, Any, Any]:
        """Return (x, y, sample_weight) in their structures."""
        return tuple([_select(part, self.leaves) for part in self.treedef.parts])

    @property
    def x(self) -> Tree:
        """Inputs in their structure."""
        return _select(self.treedef.parts[0], self.leaves)

    @property
    def y(self) -> Tree:
        """Targets in their structure, or None."""
        return _select(self.treedef.parts[1], self.leaves)

    @property
    def sample_weight(self) -> Tree:
        """Sample weights in their structure, or None."""
        return _select(self.treedef.parts[2], self.leaves)

    @property
    def x_leaves(self) -> list[np.ndarray]:
        """Arrays of the inputs."""
        return self._part(0)

    @property
    def y_leaves(self) -> list[np.ndarray]:
        """Arrays of the targets."""
        return self._part(1)

    def _part(self, part: int) -> list[np.ndarray]:
        indices = tree.flatten(self.treedef.parts[part])
        return [self.leaves[index] for index in indices if index is not None]

    def inputs_only(self) -> Batch:
        """Return the inputs as a batch of their own."""
        return Batch.of(pack_x_y_sample_weight(self.x))

    def take(self, rows: np.ndarray | slice) -> Batch:
        """Return the samples at `rows`, a slice or an index array."""
        return Batch([leaf[rows] for leaf in self.leaves], self.treedef)

    def signature(self, size: int | None = None) -> Signature:
        """Return the types, for batches of `size` samples if it is given."""
        shapes = [leaf.shape if size is None else (size, *leaf.shape[1:]) for leaf in self.leaves]
        types = [
            TensorType(shape, dtype_name(leaf.dtype)) for shape, leaf in zip(shapes, self.leaves, strict=True)
        ]
        return Signature(self.treedef, tuple(types))


def make_batch(
    x: Tree,
    y: Tree = None,
    sample_weight: Tree = None,
    class_weight: Mapping[int, float] | None = None,
    finite: bool = False,
) -> Batch:
    """Convert the user's data to arrays and flatten them. All of fit, evaluate and predict begin here.

    class_weight: weights by class, multiplied into the sample weights. finite: also search for NaN and
    infinite values. Raises for data that no model can take.
    """
    leaves, parts = _converted(x, y, sample_weight)
    inputs, targets, weights = parts
    check_no_list_of_samples(x, inputs.named, targets.named)
    count = check_lengths([*inputs.named, *targets.named])
    check_sample_weight(weights.named, count)
    if finite:
        check_finite([*inputs.named, *targets.named])
    return _batch(leaves, parts, class_weight)


def convert_batch(
    item: Tree,
    class_weight: Mapping[int, float] | None,
    convert_x: Callable[[Any], Any] | None = None,
    equal_lengths: bool = True,
) -> Batch:
    """Convert one item of a stream: `x`, `(x, y)` or `(x, y, sample_weight)` with a batch axis.

    equal_lengths: check that all parts have one number of samples.
    """
    x, y, sample_weight = unpack_x_y_sample_weight(item)
    leaves, parts = _converted(x if convert_x is None else convert_x(x), y, sample_weight)
    try:
        if equal_lengths:
            check_lengths([entry for part in parts for entry in part.named])
    except ShapeError as error:
        raise ShapeError(f"{error}. Data must come in batches: is .batch(32) missing?") from None
    return _batch(leaves, parts, class_weight)


def _converted(x: Tree, y: Tree, sample_weight: Tree) -> tuple[list[np.ndarray], list[Arrays]]:
    """Convert all leaves to arrays. Returns the arrays, and the three structures of them."""
    leaves: list[np.ndarray] = []
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    return leaves, [as_arrays(part, name, leaves) for name, part in named.items()]


def _batch(
    leaves: list[np.ndarray], parts: Sequence[Arrays], class_weight: Mapping[int, float] | None
) -> Batch:
    x, y, weights = (part.indices for part in parts)
    if class_weight is not None:
        targets, sample_weight = _select(y, leaves), None if weights is None else _select(weights, leaves)
        leaves = leaves[: len(parts[0].named) + len(parts[1].named)]
        leaves.append(apply_class_weight(class_weight, targets, sample_weight))
        weights = len(leaves) - 1
    return Batch(leaves, TreeDef((x, y, weights)))


# -- arrays ----------------------------------------------------------------------------------------


ENCODE = (
    "models compute with numbers, encode them first (layers.TextVectorization, StringLookup or Hashing, in "
    "dataset.map or at the front of a functional or Sequential model; for labels StringLookup)"
)


class Arrays(NamedTuple):
    """x, y or sample_weight as arrays.

    indices: structure with the index of an array, or None, at each leaf. named: the arrays with the names
    that errors give them, such as "y['a']".
    """

    indices: Any
    named: list[tuple[str, np.ndarray]]


def as_arrays(structure: Tree, name: str, leaves: list[np.ndarray]) -> Arrays:
    """Convert every leaf to an array, and append it to `leaves`. A list of Python numbers is one array."""
    if structure is None:
        return Arrays(None, [])
    if not isinstance(structure, (list, tuple, dict)):
        leaves.append(as_array(structure, name))
        return Arrays(len(leaves) - 1, [(name, leaves[-1])])
    structure = tree.traverse(lambda part: _from_numbers(part, name), structure)
    flat: list[Any] = []
    named = []
    for path, leaf in tree.flatten_with_path(structure):
        if leaf is not None:
            label = name + "".join(f"[{part!r}]" for part in path)
            named.append((label, as_array(leaf, label)))
        flat.append(leaf)
    indices = _number(flat, len(leaves))
    leaves.extend(array for _, array in named)
    return Arrays(tree.pack_sequence_as(structure, indices), named)


def _flatten(part: Tree, leaves: list[np.ndarray]) -> Any:
    """Append the arrays of a structure to `leaves`. Returns the structure with their indices."""
    flat = tree.flatten(part)
    indices = _number(flat, len(leaves))
    leaves.extend(leaf for leaf in flat if leaf is not None)
    return tree.pack_sequence_as(part, indices)


def _number(flat: Sequence[Any], first: int) -> list[int | None]:
    """Number the leaves that are not None."""
    numbers = itertools.count(first)
    return [None if leaf is None else next(numbers) for leaf in flat]


def as_array(value: Tree, name: str) -> np.ndarray:
    """Convert to an array, without a copy where it is one. Errors call it by `name`: "x", "y['a']".

    A sparse matrix of SciPy becomes `SparseRows`, if it is an input.

    Raises HornbeamTypeError for strings, ragged lists and objects that are not arrays.
    """
    if isinstance(value, Tensor):
        if value.symbolic:
            raise HornbeamTypeError(f"{name} is the symbolic {value!r}: data must be arrays with values")
        return value.numpy()
    if hasattr(value, "detach"):  # torch, possibly on a device or with gradients
        value = from_torch(value)
    elif not isinstance(value, np.ndarray) and hasattr(value, "to_numpy"):  # pandas, polars
        value = frame_to_array(value, name)
    if is_scipy_sparse(value):
        # Targets and weights are small; only rows of inputs are made dense as they are needed.
        return SparseRows(value) if name.startswith("x") else value.toarray()  # type: ignore[return-value]
    if isinstance(value, (str, bytes)) or not hasattr(value, "__array__"):
        call = ": call it, to pass what it yields" if callable(value) else ""
        raise HornbeamTypeError(f"{name} must be an array, got {type(value).__name__}{call}")
    array = np.asarray(value)
    if array.dtype.kind in "SU":
        raise HornbeamTypeError(f"{name} holds strings ({_example(array)}): {ENCODE}")
    if array.dtype == object:
        items = [item for item in array.reshape(-1)[:1000] if isinstance(item, np.ndarray) and item.ndim]
        if len(items) > 1 and len({item.shape for item in items}) > 1:
            raise ShapeError(describe_samples(name, items, "an array"))
        raise HornbeamTypeError(
            f"{name} has dtype object ({_example(array)}): its items differ in shape or are not numbers. Pad "
            f"or resize them to one shape, then np.stack them; as for strings, {ENCODE}"
        )
    if array.dtype.kind in "Mm":
        raise HornbeamTypeError(
            f"{name} has dtype {array.dtype}, which models do not take: convert it to numbers first"
        )
    dtype_name(array.dtype)
    return array


def _example(array: np.ndarray) -> str:
    flat = array.reshape(-1)
    return f"such as {flat[0]!r}"[:60] if flat.size else "empty"


def _from_numbers(part: Any, name: str) -> np.ndarray | None:
    """Return a (nested) list of Python numbers as an array, None for any other part."""
    if not isinstance(part, (list, tuple)):
        return None
    leaves = tree.flatten(part)
    if leaves and all(isinstance(leaf, str) for leaf in leaves):
        raise HornbeamTypeError(f"{name} is a list of strings: {ENCODE}")
    if not leaves or not all(isinstance(leaf, (bool, int, float, np.number)) for leaf in leaves):
        return None
    try:
        return as_tensor(part).numpy()
    except ShapeError as error:
        raise ShapeError(
            f"{name} has a list whose items differ in length: pad them to one, as pad_sequences does"
        ) from error


def check_lengths(named: Iterable[tuple[str, np.ndarray]]) -> int:
    """Return the common number of samples.

    Raises ShapeError that lists the lengths if they differ, ValueError if all arrays are empty.
    """
    lengths: dict[str, int] = {}
    for label, array in named:
        if array.ndim == 0:
            raise ShapeError(
                f"{label} is a single number: data need a first axis of samples, as in np.array([...])"
            )
        lengths[label] = array.shape[0]
    if len(set(lengths.values())) > 1:
        shown = [f"{label} has {length:,}" for label, length in lengths.items()]
        more = ", ... A list of arrays is several inputs: np.stack makes one" if len(shown) > 6 else ""
        raise ShapeError(f"all data must have the same number of samples: {', '.join(shown[:6])}{more}")
    count = next(iter(lengths.values()), 0)
    if count == 0:
        raise ValueError(f"the data hold no samples: {', '.join(lengths) or 'x'} is empty")
    return count


# -- class weights ---------------------------------------------------------------------------------


def apply_class_weight(class_weight: Mapping[int, float], y: Tree, sample_weight: Tree) -> np.ndarray:
    """Compute sample weights: the weight of each sample's class (1 if absent), times `sample_weight`.

    Raises ValueError for several outputs. The warning policy decides about targets that are not labels: those
    of several values then belong to the class of the largest one.
    """
    if not isinstance(y, np.ndarray):
        raise ValueError(
            "class_weight works for models with one output; for several give sample_weight for each"
        )
    for key in class_weight:
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            raise ValueError(f"the keys of class_weight must be class indices, got {key!r}")
    classes = class_ids(y)
    if classes is None:
        warning_policy.on_warning(
            f"class_weight needs y of class indices or one-hot rows, got {y.dtype} of shape {y.shape}"
        )
        rows = y.reshape(len(y), -1)
        classes = rows.argmax(axis=1) if rows.shape[1] > 1 else rows[:, 0]
    weights = np.ones(len(classes), dtype=np.float32)
    for number, weight in class_weight.items():
        weights[classes == number] = weight
    return weights if sample_weight is None else weights * np.asarray(sample_weight).reshape(-1)
