"""Where samples lie: embeddings in two dimensions, and the table of confusions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.ir.types import ShapeError
from hornbeam.visualization.figure import Figure, ImagePanel, PointPanel, saved


def principal_components(values: Any, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (n, count) along the directions of the largest variance, and each one's share of it.

    values: (n, d). The sign of a direction is such that its largest entry is positive, so that figures do
    not flip. Raises ShapeError for other shapes. Pearson 1901.

    >>> principal_components([[0.0, 0.0], [2.0, 0.0]], 1)[0].round(3).ravel().tolist()
    [-1.0, 1.0]
    """
    array = np.asarray(values, "float32")
    if array.ndim != 2 or not array.size:
        raise ShapeError(f"values must be (samples, features), got shape {array.shape}")
    count = min(count, array.shape[1])
    centred = array - array.mean(0)
    variances, vectors = (np.asarray(part) for part in ops.linalg.eigh(centred.T @ centred))
    order = np.argsort(-variances, kind="stable")[:count]
    chosen = vectors[:, order]
    signs = np.sign(chosen[np.abs(chosen).argmax(0), np.arange(count)])
    total = float(variances.sum())
    return centred @ (chosen * signs), variances[order] / (total if total > 0 else 1.0)


def plot_embeddings(
    values: Any, labels: Any = None, *, names: Sequence[str] = (), path: str | Path | None = None
) -> Figure:
    """Samples as points along the two directions in which they differ most (principal components).

    values: (n, ...), such as `activations(model, x, "dense")` or the weights of an Embedding; further axes
    are laid out. labels: a whole number a sample, for colours and shapes. names: of the labels. path: write
    the figure there. `data`: {"places": (n, 2), "shares": (2,)}. Raises ShapeError where labels do not fit.

    >>> plot_embeddings(activations(model, x, "dense"), y, path="embeddings.png")  # doctest: +SKIP
    """
    array = np.asarray(values, "float32")
    array = array.reshape(len(array), -1)
    places, shares = principal_components(array)
    if places.shape[1] < 2:
        places, shares = np.pad(places, ((0, 0), (0, 1))), np.pad(shares, (0, 1))
    groups = np.zeros(len(array), int) if labels is None else np.asarray(labels).astype(int).ravel()
    if len(groups) != len(array):
        raise ShapeError(f"there are {len(array)} samples and {len(groups)} labels")
    axes = (f"first, {shares[0]:.0%} of the variance", f"second, {shares[1]:.0%}")
    count = len(np.unique(groups))
    alt = (
        f"{len(array)} samples of {array.shape[1]} numbers in two dimensions, which hold {shares.sum():.0%} "
        f"of their variance{f'; {count} groups' if count > 1 else ''}."
    )
    panel = PointPanel(places, groups, list(names), "", axes)
    data = {"places": places, "shares": shares}
    return saved(Figure("Embeddings", alt, [panel], 1, data), path)


def plot_confusion(
    y_true: Any, y_pred: Any, *, names: Sequence[str] = (), path: str | Path | None = None
) -> Figure:
    """How often each class (row) was taken for each class (column).

    y_true: class indices (n,) or one-hot (n, classes). y_pred: class indices, or probabilities or scores (n,
    classes) of which the largest counts. names: of the classes. path: write the figure there. `data`: the
    counts (classes, classes). Raises ShapeError where the two do not fit.

    >>> plot_confusion(y_test, model.predict(x_test), path="confusion.svg")  # doctest: +SKIP
    """
    true, taken = _classes(y_true), _classes(y_pred)
    if true.shape != taken.shape or not len(true):
        raise ShapeError(f"there are {len(true)} true classes and {len(taken)} predictions")
    count = max(int(true.max()), int(taken.max())) + 1
    count = max(count, len(names), *(np.shape(part)[-1] for part in (y_true, y_pred) if np.ndim(part) == 2))
    table = np.zeros((count, count), int)
    np.add.at(table, (true, taken), 1)
    wrong = table - np.diag(np.diag(table))
    i, j = np.unravel_index(int(wrong.argmax()), wrong.shape)
    sides = list(names) or [str(k) for k in range(count)]
    right = int(np.trace(table))
    alt = f"Confusions of {len(true)} samples in {count} classes: {right} right ({right / len(true):.1%})"
    if wrong.any():
        alt += f"; most often {sides[i]} taken for {sides[j]}, {wrong[i, j]} times"
    panel = ImagePanel(
        table, "rows are true, columns predicted", "heat", low=0.0, rows=sides, columns=sides,
        numbers=count <= 20, axes=("predicted", "true"),
    )  # fmt: skip
    return saved(Figure("Confusions", alt + ".", [panel], 1, table), path)


def _classes(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(-1)
    array = array.reshape(-1)
    if array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
        return (array > 0.5).astype(int)
    return array.astype(int)
