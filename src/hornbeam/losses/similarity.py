"""Losses of sets and of embeddings: overlap (Dice, Tversky) and metric learning (circle)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_axes, check_number
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError
from hornbeam.losses.loss import MODULE, LossFunctionWrapper
from hornbeam.losses.shapes import pair

_SUM = "sum_over_batch_size"
Axes = int | Sequence[int] | None


@exported(MODULE)
def dice(y_true: TensorLike, y_pred: TensorLike, axis: Axes = None) -> Tensor:
    """Compute the Dice loss 1 - 2 * sum(t * p) / (sum(t) + sum(p)).

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        axis: Integer or sequence of integers, the axes of the sums; None for all.

    Returns:
        Tensor without `axis`.

    Example:
        >>> round(float(dice([[0.0, 1.0]], [[0.3, 0.7]])), 4)
        0.3

    Source: Milletari et al. 2016.
    """
    y_true, y_pred = pair(y_true, y_pred, "dice")
    overlap = ops.sum(y_true * y_pred, axis=axis)
    return 1.0 - 2.0 * overlap / (ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis) + epsilon())


@exported(MODULE)
def tversky(
    y_true: TensorLike, y_pred: TensorLike, alpha: float = 0.5, beta: float = 0.5, axis: Axes = None
) -> Tensor:
    """Compute the Tversky loss 1 - TP / (TP + alpha * A + beta * B).

    TP = sum(t * p), A = sum((1 - p) * t), B = sum(p * (1 - t)). alpha = beta = 0.5 is the Dice loss.

    Args:
        y_true: Tensor of targets, of any shape.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        alpha: Number, as in Keras the weight of what the prediction misses.
        beta: Number, the weight of what the prediction adds.
        axis: Integer or sequence of integers, the axes of the sums; None for all.

    Returns:
        Tensor without `axis`.

    Example:
        >>> round(float(tversky([[0.0, 1.0]], [[0.3, 0.7]])), 4)
        0.3

    Source: Salehi et al. 2017, https://arxiv.org/abs/1706.05721.
    """
    y_true, y_pred = pair(y_true, y_pred, "tversky")
    overlap = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum((1.0 - y_pred) * y_true, axis=axis)
    added = ops.sum(y_pred * (1.0 - y_true), axis=axis)
    return 1.0 - overlap / (overlap + missed * alpha + added * beta + epsilon())


@exported(MODULE)
def circle(
    y_true: TensorLike,
    y_pred: TensorLike,
    ref_labels: TensorLike | None = None,
    ref_embeddings: TensorLike | None = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Tensor:
    """Pull embeddings of one class together and push those of others apart, the worse the pair the harder.

        softplus(log(sum over other classes(exp(gamma * (1 + margin - d)+ * (1 - margin - d)))) +
                 log(sum over the same class(exp(-gamma * (margin + d) * (margin - d)))))

    for the cosine distances d of a row.

    Args:
        y_true: Tensor (batch,) of class indices.
        y_pred: Tensor (batch, d) of embeddings of length 1.
        ref_labels: Tensor (n,) of class indices of `ref_embeddings`, or None for `y_true`.
        ref_embeddings: Tensor (n, d) of embeddings to compare with, or None for `y_pred`.
        remove_diagonal: Do not compare an embedding with itself.
        gamma: Number, the scale.
        margin: Number, the relaxation of the decision boundary.

    Returns:
        Tensor (batch,); rows of loss 0 are masked out of a mean.

    Raises:
        ShapeError: If the targets are not (N,) or the embeddings not (N, d).

    Example:
        >>> circle([0, 0, 1], embeddings)  # doctest: +SKIP

    Source: Sun et al. 2020, https://arxiv.org/abs/2002.10857.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    labels = ops.cast(y_true, "int32")
    if len(y_pred.shape) != 2 or labels.shape not in ((y_pred.shape[0],), (y_pred.shape[0], 1)):
        raise ShapeError(
            f"circle: needs class indices (N,) and embeddings (N, d), got shapes {labels.shape} and "
            f"{y_pred.shape}"
        )
    others = y_pred if ref_embeddings is None else ops.convert_to_tensor(ref_embeddings)
    other_labels = labels if ref_labels is None else ops.cast(ref_labels, "int32")
    same = ops.equal(ops.reshape(labels, (-1, 1)), ops.reshape(other_labels, (1, -1)))
    different = ops.logical_not(same)
    if remove_diagonal:
        rows, columns = same.shape
        itself = ops.convert_to_tensor(np.eye(rows, columns, dtype=bool))
        same = ops.logical_and(same, ops.logical_not(itself))
    distance = ops.maximum(1.0 - ops.matmul(y_pred, ops.transpose(others)), 0.0)
    pull = -gamma * (distance + margin) * (margin - distance)
    push = gamma * ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance)
    values = ops.softplus(_sum_of(pull, same) + _sum_of(push, different))
    values._keras_mask = values > 0.0
    return values


def _sum_of(scores: Tensor, chosen: Tensor) -> Tensor:
    """Compute log(sum(exp(scores))) of the chosen in each row; very small, with gradient 0, if none is."""
    wide = "float32" if scores.dtype == "bfloat16" else scores.dtype  # the same range of exponents
    lowest = float(np.finfo(wide).min) / 4
    return ops.logsumexp(ops.where(chosen, scores, lowest), axis=1)


@exported(MODULE)
class Dice(LossFunctionWrapper):
    """Dice loss, 1 - overlap of targets and predictions; see `dice`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        axis: Integer or sequence of integers, the axes of the sums; None for all.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> Dice(axis=(1, 2, 3))
        <Dice name=dice reduction=sum_over_batch_size>
    """

    def __init__(
        self,
        reduction: str | None = _SUM,
        name: str = "dice",
        axis: Axes = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)
        self.axis = check_axes("axis", axis)


@exported(MODULE)
class Tversky(LossFunctionWrapper):
    """Dice loss that weights missed and added elements; see `tversky`.

    Args:
        alpha: Number, as in Keras the weight of what the prediction misses.
        beta: Number, the weight of what the prediction adds.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        axis: Integer or sequence of integers, the axes of the sums; None for all.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> Tversky(alpha=0.3, beta=0.7)
        <Tversky name=tversky reduction=sum_over_batch_size>
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = _SUM,
        name: str = "tversky",
        axis: Axes = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
        self.alpha = check_number("alpha", alpha)
        self.beta = check_number("beta", beta)
        self.axis = check_axes("axis", axis)


@exported(MODULE)
class Circle(LossFunctionWrapper):
    """Metric learning on embeddings of length 1; see `circle`.

    Args:
        gamma: Number, the scale.
        margin: Number, the relaxation of the decision boundary.
        remove_diagonal: Do not compare an embedding with itself.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> Circle(gamma=64, margin=0.25)
        <Circle name=circle reduction=sum_over_batch_size>
    """

    integer_labels = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = _SUM,
        name: str = "circle",
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(
            circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal
        )
        self.gamma = gamma
        self.margin = margin
        self.remove_diagonal = remove_diagonal

    def call(
        self,
        y_true: TensorLike,
        y_pred: TensorLike,
        ref_labels: TensorLike | None = None,
        ref_embeddings: TensorLike | None = None,
    ) -> Tensor:
        return circle(y_true, y_pred, ref_labels, ref_embeddings, **self.options)
