"""Distances of sequences: `tf.edit_distance`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import Tensor
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.sparse import SparseTensor

__all__ = ["edit_distance"]


def _rows(sequences: SparseTensor) -> dict[tuple[int, ...], list[Any]]:
    """Return the values of each sequence of a sparse tensor, by its leading indices."""
    rows: dict[tuple[int, ...], list[Any]] = {}
    for index, value in zip(np.asarray(sequences.indices), np.asarray(sequences.values), strict=True):
        rows.setdefault(tuple(int(i) for i in index[:-1]), []).append(value)
    return rows


def _levenshtein(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Return the least number of insertions, deletions and replacements from one sequence to another."""
    above = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
        above = row
    return above[-1]


def edit_distance(
    hypothesis: SparseTensor, truth: SparseTensor, normalize: bool = True, name: str | None = None
) -> Tensor:
    """Compute the Levenshtein distances of sequences, which are the rows along the last axis.

    Args:
        hypothesis: SparseTensor of sequences.
        truth: SparseTensor of the same leading sizes.
        normalize: Whether to divide by the lengths of `truth`: infinity where that is 0 and the distance not.
        name: Ignored.

    Returns:
        Tensor float32 of the leading sizes.

    Raises:
        ValueError: If the leading sizes differ.
    """
    shape = tuple(int(n) for n in truth.shape)[:-1]
    if tuple(int(n) for n in hypothesis.shape)[:-1] != shape:
        raise ValueError(
            f"edit_distance: leading sizes {hypothesis.shape[:-1]} and {truth.shape[:-1]} differ"
        )
    ours, theirs = _rows(hypothesis), _rows(truth)
    distances = np.zeros(shape, np.float32)
    for index in {*ours, *theirs}:
        target = theirs.get(index, [])
        distance = _levenshtein(ours.get(index, []), target)
        if normalize:
            distances[index] = distance / len(target) if target else np.inf
        else:
            distances[index] = distance
    return as_tensor(distances)
