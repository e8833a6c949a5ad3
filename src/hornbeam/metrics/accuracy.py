"""Accuracies: fractions of correct predictions.

All functions return one value per sample (or per element of a sample), 1.0 if correct and 0.0 if not.
"""

from __future__ import annotations

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike, ShapeLike
from hornbeam._internal.validation import check_int
from hornbeam.config import floatx
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.losses.shapes import label_pair, one_hot_pair, pair
from hornbeam.metrics.metric import MODULE
from hornbeam.metrics.reduction import MeanMetricWrapper


def accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Test if predictions equal targets.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor, one value per sample: 1 if correct, 0 if not.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    if not is_float(y_pred.dtype):
        y_pred = ops.cast(y_pred, "float64")  # float32 has no odd integers beyond 2**24
    return ops.cast(ops.equal(*pair(y_true, y_pred, "accuracy")), floatx())


@exported(MODULE)
def binary_accuracy(y_true: TensorLike, y_pred: TensorLike, threshold: float = 0.5) -> Tensor:
    """Test if (prediction > threshold) equals the target 0 or 1.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        threshold: Number, the decision threshold.

    Returns:
        Tensor, one value per sample: 1 if correct, 0 if not.

    Example:
        >>> np.round(binary_accuracy([[0.0], [1.0]], [[0.3], [0.4]]), 4).tolist()
        [[1.0], [0.0]]
    """
    y_true, y_pred = pair(y_true, y_pred, "binary_accuracy")
    return ops.cast(ops.equal(y_true, ops.cast(y_pred > threshold, y_true.dtype)), floatx())


@exported(MODULE)
def categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Test if the highest prediction is at the class of the one-hot target.

    Args:
        y_true: Tensor (batch, classes), one-hot.
        y_pred: Tensor of predictions, of the shape of `y_true`.

    Returns:
        Tensor, one value per sample: 1 if correct, 0 if not.

    Example:
        >>> np.round(categorical_accuracy([[0.0, 1.0]], [[0.3, 0.7]]), 4).tolist()
        [1.0]
    """
    y_true, y_pred = one_hot_pair(y_true, y_pred, "categorical_accuracy")
    return ops.cast(ops.equal(ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)), floatx())


@exported(MODULE)
def sparse_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Test if the highest prediction is at the class index.

    Args:
        y_true: Tensor (batch,) or (batch, 1) of class indices.
        y_pred: Tensor (batch, classes).

    Returns:
        Tensor, one value per sample: 1 if correct, 0 if not.

    Example:
        >>> np.round(sparse_categorical_accuracy([1], [[0.3, 0.7]]), 4).tolist()
        [1.0]
    """
    y_true, y_pred = label_pair(y_true, y_pred, "sparse_categorical_accuracy")
    return ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.argmax(y_pred, axis=-1)), floatx())


def _in_top_k(labels: Tensor, y_pred: Tensor, k: int) -> Tensor:
    """Return 1 where fewer than k classes have a higher prediction than the label."""
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k!r}")
    one_hot_labels = ops.one_hot(ops.cast(labels, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
    label_scores = ops.sum(ops.where(one_hot_labels > 0, y_pred, 0.0), axis=-1, keepdims=True)
    above = ops.sum(ops.cast(y_pred > label_scores, "int32"), axis=-1)
    return ops.cast(ops.logical_and(above < k, ops.isfinite(ops.squeeze(label_scores, -1))), floatx())


@exported(MODULE)
def top_k_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike, k: int = 5) -> Tensor:
    """Test if the class of the one-hot target is among the k highest predictions; ties count as in.

    Args:
        y_true: Tensor (batch, classes), one-hot.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        k: Integer, how many of the highest predictions count.

    Returns:
        Tensor, one value per sample: 1 if correct, 0 if not.

    Example:
        >>> np.round(top_k_categorical_accuracy([[0.0, 1.0, 0.0]], [[0.5, 0.3, 0.2]], k=2), 4).tolist()
        [1.0]
    """
    y_true, y_pred = one_hot_pair(y_true, y_pred, "top_k_categorical_accuracy")
    return _in_top_k(ops.argmax(y_true, axis=-1), y_pred, k)


@exported(MODULE)
def sparse_top_k_categorical_accuracy(
    y_true: TensorLike, y_pred: TensorLike, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """Test if the class index is among the k highest predictions; ties count as in.

    Args:
        y_true: Tensor (batch,) of class indices.
        y_pred: Tensor (batch, classes), or with `from_sorted_ids` (batch, n) of class indices.
        k: Integer, how many of the highest predictions count.
        from_sorted_ids: Whether predictions are class indices, the best first.

    Returns:
        Tensor, one value per sample: 1 if correct, 0 if not.

    Example:
        >>> np.round(sparse_top_k_categorical_accuracy([1], [[0.5, 0.3, 0.2]], k=2), 4).tolist()
        [1.0]
    """
    y_true, y_pred = label_pair(y_true, y_pred, "sparse_top_k_categorical_accuracy")
    if from_sorted_ids:
        same = ops.equal(ops.expand_dims(ops.cast(y_true, y_pred.dtype), -1), y_pred[..., :k])
        return ops.cast(ops.any(same, axis=-1), floatx())
    return _in_top_k(y_true, y_pred, k)


# -- classes -----------------------------------------------------------------------------------------------


@exported(MODULE)
class Accuracy(MeanMetricWrapper):
    """Fraction of predictions that equal their targets.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = Accuracy(); m.update_state([1, 2], [1, 3]); float(m.result())
        0.5
    """

    def __init__(self, name: str = "accuracy", dtype: DTypeLike | None = None) -> None:
        super().__init__(accuracy, name, dtype)


@exported(MODULE)
class BinaryAccuracy(MeanMetricWrapper):
    """Fraction of samples for which (prediction > threshold) equals the target 0 or 1.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        threshold: Number in [0, 1), the decision threshold; 0 for logits.

    Raises:
        ValueError: If `threshold` is not in [0, 1).

    Example:
        >>> m = BinaryAccuracy(); m.update_state([[1], [0]], [[0.9], [0.8]]); float(m.result())
        0.5
    """

    def __init__(
        self, name: str = "binary_accuracy", dtype: DTypeLike | None = None, threshold: float = 0.5
    ) -> None:
        if threshold is not None and not 0 <= threshold < 1:
            raise ValueError(f"threshold must be a number in [0, 1), got {threshold!r}")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


@exported(MODULE)
class CategoricalAccuracy(MeanMetricWrapper):
    """Fraction of samples whose highest prediction is at the class of the one-hot target.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = CategoricalAccuracy(); m.update_state([[0, 1]], [[0.3, 0.7]]); float(m.result())
        1.0
    """

    def __init__(self, name: str = "categorical_accuracy", dtype: DTypeLike | None = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


@exported(MODULE)
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """Fraction of samples whose highest prediction is at the class index.

    Args:
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = SparseCategoricalAccuracy(); m.update_state([1], [[0.3, 0.7]]); float(m.result())
        1.0
    """

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: DTypeLike | None = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


@exported(MODULE)
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """Fraction of samples whose one-hot target's class is among the k highest predictions.

    Args:
        k: Integer, how many of the highest predictions count.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> m = TopKCategoricalAccuracy(k=1); m.update_state([[0, 1]], [[0.3, 0.7]]); float(m.result())
        1.0
    """

    def __init__(
        self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)
        self.k = check_int("k", k, 1)


@exported(MODULE)
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """Fraction of samples whose class index is among the k highest predictions.

    Args:
        k: Integer, how many of the highest predictions count.
        name: Key in the logs.
        dtype: Dtype of the variables and of the result; None for `hornbeam.config.floatx()`.
        from_sorted_ids: Whether predictions are class indices, the best first.

    Example:
        >>> m = SparseTopKCategoricalAccuracy(k=1); m.update_state([1], [[0.3, 0.7]]); float(m.result())
        1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: DTypeLike | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
        self.k = check_int("k", k, 1)
        self.from_sorted_ids = from_sorted_ids


def kind_of_labels(y_true_shape: ShapeLike, y_pred_shape: ShapeLike) -> str:
    """Return "binary", "categorical" or "sparse_categorical" for the shapes of targets and predictions.

    One output per sample is binary; targets of the shape of the predictions are one-hot; fewer axes, or a
    last axis of 1, are class indices.

    Args:
        y_true_shape: Shape of the targets.
        y_pred_shape: Shape of the predictions.

    Returns:
        Name of the kind.

    Raises:
        ShapeError: If no kind fits.
    """
    true, pred = tuple(y_true_shape), tuple(y_pred_shape)
    if not pred:
        raise ShapeError(f"predictions of shape {pred} have no batch axis, so no accuracy is defined")
    if len(pred) == 1 or pred[-1] == 1:
        return "binary"
    if len(true) == len(pred) and true[-1] == pred[-1]:
        return "categorical"
    if len(true) == len(pred) - 1 or (len(true) == len(pred) and true[-1] == 1):
        return "sparse_categorical"
    raise ShapeError(
        f"targets of shape {true} are ambiguous for predictions of shape {pred}: class indices would have "
        f"shape {pred[:-1]}, one-hot targets {pred}"
    )
