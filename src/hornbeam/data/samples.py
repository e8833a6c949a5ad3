"""Samples as users hold them: arrays, lists, frames, structures of those, indexed by row."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree
from hornbeam.data.frames import is_frame, take_frame_rows
from hornbeam.ir.types import HornbeamTypeError, ShapeError

_SCALARS = (bool, int, float, str, bytes, np.generic)


def as_samples(data: Tree, name: str) -> Tree:
    """Convert the leaves of `data` to NumPy arrays; frames and series stay, lists of scalars are one array.

    Raises HornbeamTypeError for leaves of other types, ShapeError for leaves of different lengths, ValueError
    if `data` is empty.
    """
    if isinstance(data, (list, tuple, dict)):
        data = tree.traverse(_list_to_array, data)
    data = tree.map_structure(lambda leaf: _as_leaf(leaf, name), data)
    lengths = {
        name + "".join(f"[{part!r}]" for part in path): len(leaf)
        for path, leaf in tree.flatten_with_path(data)
        if leaf is not None
    }
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{leaf} has {length:,}" for leaf, length in list(lengths.items())[:6])
        raise ShapeError(f"all parts of {name} must have the same number of samples: {shown}")
    if not any(lengths.values()):
        raise ValueError(f"{name} is empty: it has no samples")
    return data


def target_of(x: Tree, y: Tree) -> tuple[Tree, Tree]:
    """Return a frame or a dict without the column that `y` names, and that column; other data as they are.

    Raises HornbeamTypeError for a name and other data, ValueError for an unknown name.
    """
    if not isinstance(y, str):
        return x, y
    if not (isinstance(x, dict) or is_frame(x)):
        raise HornbeamTypeError(
            f"y={y!r} names a column, but x is {type(x).__name__}, not a frame: pass the targets themselves"
        )
    columns = list(x if isinstance(x, dict) else x.columns)
    if y not in columns:
        raise ValueError(
            f"x has no column {y!r}, only {', '.join(map(str, columns))}.{nearest(y, map(str, columns))}"
        )
    others = [column for column in columns if column != y]
    return {column: x[column] for column in others} if isinstance(x, dict) else x[others], x[y]


def _list_to_array(part: list[Any]) -> Any:
    """Convert a (nested) list of scalars to an array; None (continue) for other parts."""
    if not isinstance(part, (list, tuple)):
        return None
    leaves = tree.flatten(part)
    if not leaves or not all(isinstance(leaf, _SCALARS) for leaf in leaves):
        return None
    try:
        return np.array(part)
    except ValueError as error:
        raise ShapeError(
            f"a list whose items differ in length cannot become an array: pad them first ({error})"
        ) from None


def _as_leaf(leaf: Any, name: str) -> Any:
    if leaf is None or is_table(leaf):
        return leaf
    if hasattr(leaf, "detach"):  # torch, possibly with gradients
        leaf = leaf.detach().cpu()
    if isinstance(leaf, (str, bytes)) or not hasattr(leaf, "__array__"):
        raise HornbeamTypeError(
            f"{name} must hold arrays, frames or lists of numbers, got {type(leaf).__name__}"
        )
    array = np.asarray(leaf)
    if array.ndim == 0:
        raise ShapeError(f"{name} holds a single number: the first axis of data must be the samples")
    return array


def is_table(leaf: object) -> bool:
    """Return True for frames and series of pandas and polars."""
    return hasattr(leaf, "to_numpy")


def count_samples(data: Tree) -> int:
    """Return the number of samples in the result of `as_samples`."""
    return next(len(leaf) for leaf in tree.flatten(data) if leaf is not None)


def check_same_count(**parts: Any) -> int:
    """Return the common number of samples of `parts` (None for absent). Raises ShapeError if they differ."""
    counts = {name: count_samples(part) for name, part in parts.items() if part is not None}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} has {count:,}" for name, count in counts.items())
        raise ShapeError(f"all data must have the same number of samples: {shown}")
    return next(iter(counts.values()))


def take_samples(data: Tree, rows: np.ndarray) -> Tree:
    """Return the samples with these row numbers, in the same structure."""

    def take(leaf: Any) -> Tree:
        if leaf is None:
            return None
        return take_frame_rows(leaf, rows) if is_table(leaf) else leaf[rows]

    return tree.map_structure(take, data)


def named_arrays(data: Tree, name: str) -> dict[str, np.ndarray]:
    """Return every leaf as an array by its name; a frame as its columns."""
    arrays: dict[str, np.ndarray] = {}
    for path, leaf in tree.flatten_with_path(data):
        leaf_name = name + "".join(f"[{part!r}]" for part in path)
        if leaf is None:
            continue
        if is_frame(leaf):
            arrays |= {f"{leaf_name}[{str(column)!r}]": leaf[column].to_numpy() for column in leaf.columns}
        else:
            arrays[leaf_name] = leaf.to_numpy() if is_table(leaf) else leaf
    return arrays
