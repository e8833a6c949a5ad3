"""Batches: samples, targets and sample weights, flattened once into a list of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hornbeam import tree
from hornbeam.core.convert import as_tensor, from_torch
from hornbeam.core.jit import _structure as structure_key
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.data.frames import frame_to_array
from hornbeam.data.splits.split import class_ids
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, dtype_name
from hornbeam.training.check_inputs import check_finite, check_sample_weight

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree

# -- (x, y, sample_weight) -------------------------------------------------------------------------


@exported("keras.utils")
def pack_x_y_sample_weight(x: Tree, y: Tree = None, sample_weight: Tree = None) -> Any:
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
    """Structure of packed data: its nesting, with the index of an array (or None) at each leaf. Hashable."""

    __slots__ = ("_hash", "_key", "indices", "is_leaf")

    def __init__(self, packed: Tree, leaves: Sequence[Any]) -> None:
        count = iter(range(len(leaves)))
        flat = [None if leaf is None else next(count) for leaf in leaves]
        self.is_leaf = not tree.is_nested(packed)
        self.indices = flat[0] if self.is_leaf else tree.pack_sequence_as(packed, flat)
        self._key = (structure_key(packed), tuple(flat))
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, TreeDef) and self._key == other._key)

    def __hash__(self) -> int:
        return self._hash

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """Build the structure from new leaves."""
        return leaves[0] if self.is_leaf else _select(self.indices, leaves)

    def parts(self) -> tuple[Any, Any, Any]:
        """Return the indices of x, y and sample_weight in their structures, None for an absent part."""
        return unpack_x_y_sample_weight(self.indices)


def _select(indices: Any, leaves: Sequence[Any]) -> Any:
    return tree.map_structure(lambda index: None if index is None else leaves[index], indices)


@dataclass(frozen=True)
class Signature:
    """Types of a batch: what a compiled step is looked up by."""

    treedef: TreeDef
    types: tuple[TensorType, ...]

    @property
    def packed(self) -> Any:
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
        flat = tree.flatten(packed)
        return cls([leaf for leaf in flat if leaf is not None], TreeDef(packed, flat))

    def __len__(self) -> int:
        return len(self.leaves[0])

    @property
    def packed(self) -> Any:
        """`x`, `(x, y)` or `(x, y, sample_weight)`, as steps receive it."""
        return self.treedef.unflatten(self.leaves)

    @property
    def x(self) -> Any:
        """Inputs in their structure."""
        return _select(self.treedef.parts()[0], self.leaves)

    @property
    def y(self) -> Any:
        """Targets in their structure, or None."""
        return _select(self.treedef.parts()[1], self.leaves)

    @property
    def sample_weight(self) -> Any:
        """Sample weights in their structure, or None."""
        return _select(self.treedef.parts()[2], self.leaves)

    @property
    def x_leaves(self) -> list[np.ndarray]:
        """Arrays of the inputs."""
        return self._part(0)

    @property
    def y_leaves(self) -> list[np.ndarray]:
        """Arrays of the targets."""
        return self._part(1)

    def _part(self, part: int) -> list[np.ndarray]:
        indices = tree.flatten(self.treedef.parts()[part])
        return [self.leaves[index] for index in indices if index is not None]

    def inputs_only(self) -> Batch:
        """Return the inputs as a batch of their own."""
        return Batch.of(pack_x_y_sample_weight(self.x))

    def take(self, rows: Any) -> Batch:
        """Return the samples at `rows`, a slice or an index array."""
        return Batch([leaf[rows] for leaf in self.leaves], self.treedef)

    def signature(self, size: int | None = None) -> Signature:
        """Return the types, for batches of `size` samples if it is given."""
        if size is None:
            types = [TensorType(tuple(leaf.shape), dtype_name(leaf.dtype)) for leaf in self.leaves]
        else:
            types = [TensorType((size, *leaf.shape[1:]), dtype_name(leaf.dtype)) for leaf in self.leaves]
        return Signature(self.treedef, tuple(types))


def make_batch(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    finite: bool = False,
) -> Batch:
    """Convert the user's data to arrays and flatten them. All of fit, evaluate and predict begin here.

    class_weight: weights by class, multiplied into the sample weights. finite: also search for NaN and
    infinite values. Raises for data that no model can take.
    """
    inputs, targets = as_arrays(x, "x"), as_arrays(y, "y")
    weights = as_arrays(sample_weight, "sample_weight")
    count = check_lengths([*inputs.named, *targets.named])
    check_sample_weight(weights.named, count)
    if finite:
        check_finite(inputs.named)
        check_finite(targets.named)
    return _packed(inputs, targets, weights, class_weight)


def convert_batch(item: Any, class_weight: Mapping[int, float] | None, convert_x: Any = None) -> Batch:
    """Convert one item of a stream: `x`, `(x, y)` or `(x, y, sample_weight)` with a batch axis."""
    x, y, sample_weight = unpack_x_y_sample_weight(item)
    inputs = as_arrays(x if convert_x is None else convert_x(x), "x")
    targets, weights = as_arrays(y, "y"), as_arrays(sample_weight, "sample_weight")
    try:
        check_lengths([*inputs.named, *targets.named, *weights.named])
    except ShapeError as error:
        raise ShapeError(f"{error}. Data must come in batches: is .batch(32) missing?") from None
    return _packed(inputs, targets, weights, class_weight)


def _packed(x: Arrays, y: Arrays, weights: Arrays, class_weight: Mapping[int, float] | None) -> Batch:
    sample_weight = weights.structure
    if class_weight is not None:
        sample_weight = apply_class_weight(class_weight, y.structure, sample_weight)
    return Batch.of(pack_x_y_sample_weight(x.structure, y.structure, sample_weight))


# -- arrays ----------------------------------------------------------------------------------------


ENCODE = (
    "models compute with numbers, encode them first (layers.TextVectorization, StringLookup or Hashing, in "
    "dataset.map or at the front of a functional or Sequential model; for labels StringLookup)"
)


class Arrays(NamedTuple):
    """x, y or sample_weight as arrays.

    structure: with an array or None at each leaf. named: the arrays with the names that errors give them,
    such as "y['a']".
    """

    structure: Any
    named: list[tuple[str, np.ndarray]]


def as_arrays(structure: Tree, name: str) -> Arrays:
    """Convert every leaf to an array; a nested list of Python numbers is one array."""
    if structure is None:
        return Arrays(None, [])
    if isinstance(structure, (list, tuple, dict)):
        structure = tree.traverse(lambda part: _from_numbers(part, name), structure)
    flat, named = [], []
    for path, leaf in tree.flatten_with_path(structure):
        if leaf is not None:
            label = name + "".join(f"[{part!r}]" for part in path)
            leaf = as_array(leaf, label)
            named.append((label, leaf))
        flat.append(leaf)
    return Arrays(tree.pack_sequence_as(structure, flat), named)


def as_array(value: Any, name: str) -> np.ndarray:
    """Convert to an array, without a copy where it is one. Errors call it by `name`: "x", "y['a']".

    Raises HornbeamTypeError for strings, ragged lists, complex numbers and objects that are not arrays.
    """
    if isinstance(value, Tensor):
        if value.symbolic:
            raise HornbeamTypeError(f"{name} is the symbolic {value!r}: data must be arrays with values")
        return value.numpy()
    if hasattr(value, "detach"):  # torch, possibly on a device or with gradients
        value = from_torch(value)
    elif not isinstance(value, np.ndarray) and hasattr(value, "to_numpy"):  # pandas, polars
        value = frame_to_array(value, name)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__array__"):
        raise HornbeamTypeError(f"{name} must be an array, got {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype.kind in "SU":
        raise HornbeamTypeError(f"{name} holds strings ({_example(array)}): {ENCODE}")
    if array.dtype == object:
        raise HornbeamTypeError(
            f"{name} has dtype object ({_example(array)}): its items differ in shape or are not numbers. Pad "
            f"or resize them to one shape, then np.stack them; as for strings, {ENCODE}"
        )
    if array.dtype.kind in "Mmc":
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


def apply_class_weight(class_weight: Mapping[int, float], y: Any, sample_weight: Any) -> np.ndarray:
    """Compute sample weights: the weight of each sample's class (1 if absent), times `sample_weight`.

    Raises ValueError for several outputs and for targets that are not labels.
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
        raise ValueError(
            f"class_weight needs y of class indices or one-hot rows, got {y.dtype} of shape {y.shape}"
        )
    weights = np.ones(len(classes), dtype=np.float32)
    for number, weight in class_weight.items():
        weights[classes == number] = weight
    return weights if sample_weight is None else weights * np.asarray(sample_weight).reshape(-1)
