"""Samples in two dimensions, and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike
from hornbeam.ir.types import ShapeError
from hornbeam.visualization.figure import Figure, save_if
from hornbeam.visualization.panels import ImagePanel, PointPanel

# Up to this number of classes counts are written into the cells.
_MOST_ANNOTATED = 20


def principal_components(values: ArrayLike, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Project samples onto the directions of largest variance.

    The largest entry of each direction is positive, so that its sign is defined.

    Args:
        values: Array (n, d).
        count: Number of directions.

    Returns:
        Coordinates (n, count), and the proportion of the variance along each direction (count,).

    Raises:
        ShapeError: If `values` is not (samples, features).

    Example:
        >>> principal_components([[0.0, 0.0], [2.0, 0.0]], 1)[0].round(3).ravel().tolist()
        [-1.0, 1.0]

    Source: Pearson 1901.
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
    values: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    names: Sequence[str] = (),
    path: str | Path | None = None,
) -> Figure:
    """Draw samples as points along their first two principal components.

    Args:
        values: Array (n, ...), such as `activations(model, x, "dense")` or the weights of an Embedding;
            further axes are flattened.
        labels: Integers (n,), which choose colors and markers.
        names: Names of the labels.
        path: File that is written.

    Returns:
        Figure whose `data` is a dict of "points" (n, 2) and "proportions" (2,) of the variance.

    Raises:
        ShapeError: If `labels` does not have one integer a sample.

    Example:
        >>> plot_embeddings(activations(model, x, "dense"), y, path="embeddings.png")  # doctest: +SKIP
    """
    array = np.asarray(values, "float32")
    array = array.reshape(len(array), -1)
    points, proportions = principal_components(array)
    if points.shape[1] < 2:
        points, proportions = np.pad(points, ((0, 0), (0, 1))), np.pad(proportions, (0, 1))
    groups = np.zeros(len(array), int) if labels is None else np.asarray(labels).astype(int).ravel()
    if len(groups) != len(array):
        raise ShapeError(f"labels must have one integer a sample, got {len(groups)} for {len(array)} samples")
    count = len(np.unique(groups))
    alt = (
        f"{len(array)} samples of {array.shape[1]} numbers in two dimensions, which hold "
        f"{proportions.sum():.0%} of their variance{f'; {count} groups' if count > 1 else ''}."
    )
    labels_of_axes = (f"first, {proportions[0]:.0%} of the variance", f"second, {proportions[1]:.0%}")
    panel = PointPanel(points, groups, list(names), axis_labels=labels_of_axes)
    data = {"points": points, "proportions": proportions}
    return save_if(Figure("Embeddings", alt, [panel], 1, data), path)


def plot_confusion(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    names: Sequence[str] = (),
    path: str | Path | None = None,
) -> Figure:
    """Draw the confusion matrix: rows are true classes, columns predicted ones.

    Args:
        y_true: Integers (n,) or one-hot rows (n, classes).
        y_pred: Integers (n,), or probabilities or scores (n, classes), of which the largest counts.
        names: Names of the classes.
        path: File that is written.

    Returns:
        Figure whose `data` are the counts (classes, classes).

    Raises:
        ShapeError: If the numbers of samples differ.

    Example:
        >>> plot_confusion(y_test, model.predict(x_test), path="confusion.svg")  # doctest: +SKIP
    """
    true, predicted = _class_indices(y_true), _class_indices(y_pred)
    if true.shape != predicted.shape or not len(true):
        raise ShapeError(
            f"y_true and y_pred must have one class a sample, got {len(true)} and {len(predicted)}"
        )
    count = max(int(true.max()), int(predicted.max())) + 1
    count = max(count, len(names), *(np.shape(part)[-1] for part in (y_true, y_pred) if np.ndim(part) == 2))
    matrix = np.zeros((count, count), int)
    np.add.at(matrix, (true, predicted), 1)
    class_names = list(names) or [str(k) for k in range(count)]
    panel = ImagePanel(
        matrix,
        "rows are true, columns predicted",
        "heat",
        low=0.0,
        row_names=class_names,
        column_names=class_names,
        annotations=matrix if count <= _MOST_ANNOTATED else None,
        axis_labels=("predicted", "true"),
    )
    return save_if(Figure("Confusions", _confusion_text(matrix, class_names), [panel], 1, matrix), path)


def _confusion_text(matrix: np.ndarray, names: Sequence[str]) -> str:
    total, right = int(matrix.sum()), int(np.trace(matrix))
    text = f"Confusions of {total} samples in {len(matrix)} classes: {right} right ({right / total:.1%})"
    errors = matrix - np.diag(np.diag(matrix))
    if errors.any():
        i, j = map(int, np.unravel_index(int(errors.argmax()), errors.shape))
        text += f"; most often {names[i]} taken for {names[j]}, {errors[i, j]} times"
    return f"{text}."


def _class_indices(values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(-1)
    array = array.reshape(-1)
    if array.dtype.kind == "f" and not np.array_equal(array, np.round(array)):
        return (array > 0.5).astype(int)
    return array.astype(int)
