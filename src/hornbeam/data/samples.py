"""Samples as people hold them: arrays, lists, frames, structures of those, taken by row numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.data.frames import is_frame, take_frame_rows
from hornbeam.ir.types import HornbeamTypeError, ShapeError

_PLAIN = (bool, int, float, str, bytes, np.generic)


def as_samples(data: Any, what: str) -> Any:
    """`data` with NumPy arrays for its leaves; frames and series stay, lists of plain values are one array.

    Raises HornbeamTypeError for what is no data, ShapeError for leaves of different lengths, ValueError for
    no samples.
    """
    if isinstance(data, (list, tuple, dict)):
        data = tree.traverse(_listed, data)
    data = tree.map_structure(lambda leaf: _leaf(leaf, what), data)
    lengths = {
        what + "".join(f"[{part!r}]" for part in path): len(leaf)
        for path, leaf in tree.flatten_with_path(data)
        if leaf is not None
    }
    if len(set(lengths.values())) > 1:
        raise ShapeError(
            f"all parts of {what} must have the same number of samples: "
            + ", ".join(f"{name} has {length:,}" for name, length in list(lengths.items())[:6])
        )
    if not any(lengths.values()):
        raise ValueError(f"there are no samples: {what} is empty")
    return data


def _listed(part: Any) -> Any:
    """A list of plain values, or nested ones, as an array; None (go on) for other parts."""
    if not isinstance(part, (list, tuple)):
        return None
    leaves = tree.flatten(part)
    if not leaves or not all(isinstance(leaf, _PLAIN) for leaf in leaves):
        return None
    try:
        return np.array(part)
    except ValueError as error:
        raise ShapeError(
            f"a list whose items differ in length is no array: pad them first ({error})"
        ) from None


def _leaf(leaf: Any, what: str) -> Any:
    if leaf is None or is_table(leaf):
        return leaf
    if hasattr(leaf, "detach"):  # torch, perhaps with gradients
        leaf = leaf.detach().cpu()
    if isinstance(leaf, (str, bytes)) or not hasattr(leaf, "__array__"):
        raise HornbeamTypeError(
            f"{what} must hold arrays, frames or lists of numbers, got {type(leaf).__name__}"
        )
    array = np.asarray(leaf)
    if array.ndim == 0:
        raise ShapeError(f"{what} holds a single number: data need a first axis of samples")
    return array


def is_table(leaf: Any) -> bool:
    """True for frames and series of pandas and polars."""
    return hasattr(leaf, "to_numpy")


def count_of(data: Any) -> int:
    """The number of samples in what `as_samples` gave."""
    return next(len(leaf) for leaf in tree.flatten(data) if leaf is not None)


def check_same_count(**parts: Any) -> int:
    """The number of samples that all `parts` (None for absent) have. Raises ShapeError that shows them."""
    counts = {name: count_of(part) for name, part in parts.items() if part is not None}
    if len(set(counts.values())) > 1:
        shown = ", ".join(f"{name} has {count:,}" for name, count in counts.items())
        raise ShapeError(f"all data must have the same number of samples: {shown}")
    return next(iter(counts.values()))


def rows_of(data: Any, rows: np.ndarray) -> Any:
    """The samples with these row numbers, in the same structure."""

    def taken(leaf: Any) -> Any:
        if leaf is None:
            return None
        return take_frame_rows(leaf, rows) if is_table(leaf) else leaf[rows]

    return tree.map_structure(taken, data)


def named_arrays(data: Any, what: str) -> dict[str, np.ndarray]:
    """Every leaf as an array by its name; a frame as its columns."""
    found: dict[str, np.ndarray] = {}
    for path, leaf in tree.flatten_with_path(data):
        name = what + "".join(f"[{part!r}]" for part in path)
        if leaf is None:
            continue
        if is_frame(leaf):
            found |= {f"{name}[{str(column)!r}]": leaf[column].to_numpy() for column in leaf.columns}
        else:
            found[name] = leaf.to_numpy() if is_table(leaf) else leaf
    return found
