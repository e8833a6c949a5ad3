"""Comparison of inputs in use with those that a model was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.input_statistics import InputStatistics, difference
from hornbeam._internal.typing import Tree
from hornbeam._internal.warn import warn_user
from hornbeam.data.frames import is_frame
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.training.sparse_rows import SparseRows


class TrainingInputs:
    """Statistics of the inputs that a model was trained on last; they are saved with it.

    `statistics` has them by the path of each input in `x`, "" for a single array.
    """

    def __init__(self) -> None:
        self.statistics: dict[str, InputStatistics] = {}
        # Names of the columns of a frame, not saved.
        self.columns: list[str] | None = None
        self._warned = False

    def remember(self, x: Tree) -> None:
        """Take the inputs of a training, from a sample of their rows."""
        self.statistics = {
            path: about
            for path, array in _dense_arrays(x).items()
            if (about := InputStatistics.of(array)) is not None
        }
        self._warned = False

    def compare(self, x: Tree, where: str) -> None:
        """Warn, once after a training, if inputs differ in kind. where: what got them, as in "evaluate()"."""
        if self._warned or not self.statistics:
            return
        text = difference(self.statistics, _dense_arrays(x))
        if text is not None:
            self._warned = True
            warn_user(f"{where} got {text}", LikelyMistakeWarning)

    def compare_columns(self, x: Any, where: str) -> None:
        """Warn of a frame with the columns of the training in another order."""
        used = column_names(x)
        if used != self.columns and self.columns and used and sorted(used) == sorted(self.columns):
            warn_user(
                f"{where} got the columns in another order than fit(): write x[{self.columns}]",
                LikelyMistakeWarning,
            )


def column_names(x: Any) -> list[str] | None:
    """Return the names of the columns of a frame, None for anything else."""
    return list(map(str, x.columns)) if is_frame(x) else None


def _dense_arrays(x: Tree) -> dict[str, np.ndarray]:
    return {
        "/".join(map(str, path)): leaf
        for path, leaf in tree.flatten_with_path(x)
        if isinstance(leaf, np.ndarray) and not isinstance(leaf, SparseRows)
    }
