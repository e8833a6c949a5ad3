"""Cross-entropies: of classes (one-hot or indices), of binary labels, and their focal and robust variants.

t is a target, p a predicted probability. `from_logits=True` means that the predictions are logits, before
softmax or sigmoid. If the predictions are the result of a softmax or sigmoid, `ops` uses its argument, so
that both are equally accurate.
"""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_axes, check_number
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError
from hornbeam.losses.loss import MODULE, LossFunctionWrapper
from hornbeam.losses.shapes import label_pair, one_hot_pair, pair

_SUM = "sum_over_batch_size"


def _smooth(y_true: Tensor, label_smoothing: float, classes: int) -> Tensor:
    """Move a fraction of the probability to all classes equally (Szegedy et al. 2016, arXiv 1512.00567)."""
    check_number("label_smoothing", label_smoothing, minimum=0, maximum=1)
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y_true


@exported(MODULE)
def categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Compute -sum(t * log p) over the classes, for one-hot (or soft) targets.

    Args:
        y_true: Tensor (batch, ..., classes), one-hot or probabilities.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the classes.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without `axis`.

    Raises:
        ShapeError: If the targets are class indices; the message names the loss that takes them.

    Example:
        >>> np.round(categorical_crossentropy([[0.0, 1.0]], [[0.3, 0.7]]), 4).tolist()
        [0.35670000314712524]
    """
    y_true, y_pred = one_hot_pair(y_true, y_pred, "categorical_crossentropy", axis)
    y_true = _smooth(y_true, label_smoothing, y_true.shape[axis])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@exported(MODULE)
def sparse_categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Compute -log p of the true class, for class indices.

    Args:
        y_true: Tensor of integers 0 ... classes - 1, of the shape of `y_pred` without `axis`.
        y_pred: Tensor (batch, ..., classes).
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        ignore_class: Integer, the class whose samples (or pixels) have loss 0 and do not count in a mean, or
            None.
        axis: Integer, the axis of the classes.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without `axis`.

    Raises:
        ShapeError: If the targets are one-hot; the message names the loss that takes them.

    Example:
        >>> np.round(sparse_categorical_crossentropy([1], [[0.3, 0.7]]), 4).tolist()
        [0.35670000314712524]
    """
    y_true, y_pred = label_pair(y_true, y_pred, "sparse_categorical_crossentropy", axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = ops.not_equal(y_true, ops.cast(ignore_class, y_true.dtype))
    labels = ops.where(valid, y_true, ops.zeros_like(y_true))
    values = ops.sparse_categorical_crossentropy(labels, y_pred, from_logits=from_logits, axis=axis)
    values = ops.where(valid, values, 0.0)
    values._keras_mask = valid
    return values


@exported(MODULE, "bce", "BCE")
def binary_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Compute mean(-t * log p - (1 - t) * log(1 - p)) over an axis, for targets 0 and 1.

    Args:
        y_true: Tensor of any shape, of 0 and 1 (or probabilities).
        y_pred: Tensor of predictions, of the shape of `y_true`.
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the mean.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without `axis`.

    Example:
        >>> np.round(binary_crossentropy([[0.0, 1.0]], [[0.3, 0.7]]), 4).tolist()
        [0.35670000314712524]
    """
    y_true, y_pred = pair(y_true, y_pred, "binary_crossentropy", may_broadcast=False)
    y_true = _smooth(y_true, label_smoothing, 2)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


@exported(MODULE)
def categorical_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Compute -sum(alpha * (1 - p)**gamma * t * log p): classes that are predicted well count little.

    Args:
        y_true: Tensor (batch, ..., classes), one-hot or probabilities.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        alpha: Number, or one for each class, the weight of the classes.
        gamma: Number, the exponent of the focusing factor.
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the classes.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without `axis`.

    Example:
        >>> np.round(categorical_focal_crossentropy([[0.0, 1.0]], [[0.3, 0.7]]), 4).tolist()
        [0.00800000037997961]

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002.
    """
    y_true, y_pred = one_hot_pair(y_true, y_pred, "categorical_focal_crossentropy", axis)
    y_true = _smooth(y_true, label_smoothing, y_true.shape[axis])
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    p = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    p = ops.clip(p, epsilon(), 1.0 - epsilon())
    return ops.sum(-y_true * ops.log(p) * ops.power(1.0 - p, gamma) * alpha, axis=axis)


@exported(MODULE)
def binary_focal_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Compute the mean over an axis of binary cross-entropy times (1 - p of the true label)**gamma.

    Args:
        y_true: Tensor of any shape, of 0 and 1.
        y_pred: Tensor of predictions, of the shape of `y_true`.
        apply_class_balancing: Weight class 1 by `alpha` and class 0 by 1 - alpha.
        alpha: Number in [0, 1], the weight of class 1 if `apply_class_balancing`.
        gamma: Number, the exponent of the focusing factor.
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the mean.

    Returns:
        Tensor (batch, ...), the shape of `y_pred` without `axis`.

    Example:
        >>> np.round(binary_focal_crossentropy([[0.0, 1.0]], [[0.3, 0.7]]), 4).tolist()
        [0.032099999487400055]

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002.
    """
    y_true, y_pred = pair(y_true, y_pred, "binary_focal_crossentropy", may_broadcast=False)
    y_true = _smooth(y_true, label_smoothing, 2)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    right = y_true * y_pred + (1.0 - y_true) * (1.0 - y_pred)
    values = ops.power(1.0 - right, gamma) * ops.binary_crossentropy(y_true, y_pred)
    if apply_class_balancing:
        values = values * (y_true * alpha + (1.0 - y_true) * (1.0 - alpha))
    return ops.mean(values, axis=axis)


@exported(MODULE)
def categorical_generalized_cross_entropy(y_true: TensorLike, y_pred: TensorLike, q: float) -> Tensor:
    """Compute (1 - p**q) / q of the true class, which is robust against wrong labels.

    It lies between the cross-entropy (q -> 0) and 1 - p (q = 1).

    Args:
        y_true: Tensor (batch,) of class indices.
        y_pred: Tensor (batch, classes) of probabilities.
        q: Number in (0, 1).

    Returns:
        Tensor (batch,).

    Example:
        >>> np.round(categorical_generalized_cross_entropy([1], [[0.3, 0.7]], q=0.5), 4).tolist()
        [0.32670000195503235]

    Source: Zhang & Sabuncu 2018, https://arxiv.org/abs/1805.07836.
    """
    y_true, y_pred = label_pair(y_true, y_pred, "categorical_generalized_cross_entropy")
    one_hot_labels = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
    return (1.0 - ops.power(ops.sum(y_pred * one_hot_labels, axis=-1), q)) / q


@exported(MODULE)
def ctc(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Compute -log of the probability of a label sequence over all its alignments with the predictions.

    Args:
        y_true: Tensor (batch, length) of labels, padded with 0, which is also the blank.
        y_pred: Tensor (batch, steps, classes) of logits.

    Returns:
        Tensor (batch,).

    Raises:
        ShapeError: If the shapes differ from these.

    Example:
        >>> ctc([[1, 2, 0]], scores)  # doctest: +SKIP

    Source: Graves et al. 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf.
    """
    y_true, y_pred = ops.cast(y_true, "int32"), ops.convert_to_tensor(y_pred)
    if len(y_true.shape) != 2 or len(y_pred.shape) != 3 or y_true.shape[0] != y_pred.shape[0]:
        raise ShapeError(
            "ctc: needs labels (batch, length) and scores (batch, steps, classes), got shapes "
            f"{y_true.shape} and {y_pred.shape}"
        )
    batch, steps, _ = y_pred.shape
    lengths = ops.sum(ops.cast(ops.not_equal(y_true, 0), "int32"), axis=-1)
    return ops.ctc_loss(y_true, y_pred, lengths, ops.full((batch,), steps, dtype="int32"), mask_index=0)


# -- classes -----------------------------------------------------------------------------------------------


@exported(MODULE)
class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy -sum(t * log p) for one-hot targets; see `categorical_crossentropy`.

    Args:
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the classes.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.3, 0.7]])), 4)
        0.3567
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _SUM,
        name: str = "categorical_crossentropy",
        dtype: DTypeLike | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **options)
        self.from_logits = from_logits
        self.label_smoothing = check_number("label_smoothing", label_smoothing, minimum=0, maximum=1)
        self.axis = check_axes("axis", axis)


@exported(MODULE)
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross-entropy -log p of the true class, for class indices; see `sparse_categorical_crossentropy`.

    Args:
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        ignore_class: Integer, the class whose samples (or pixels) have loss 0 and do not count in a mean, or
            None.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        axis: Integer, the axis of the classes.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(SparseCategoricalCrossentropy()([1], [[0.3, 0.7]])), 4)
        0.3567
    """

    integer_labels = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _SUM,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: DTypeLike | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = check_axes("axis", axis)


@exported(MODULE)
class BinaryCrossentropy(LossFunctionWrapper):
    """Cross-entropy mean(-t * log p - (1 - t) * log(1 - p)); see `binary_crossentropy`.

    Args:
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the mean.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(BinaryCrossentropy()([[0.0, 1.0]], [[0.3, 0.7]])), 4)
        0.3567
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _SUM,
        name: str = "binary_crossentropy",
        dtype: DTypeLike | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **options)
        self.from_logits = from_logits
        self.label_smoothing = check_number("label_smoothing", label_smoothing, minimum=0, maximum=1)
        self.axis = check_axes("axis", axis)


@exported(MODULE)
class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Cross-entropy in which easy classes count little; see `categorical_focal_crossentropy`.

    Args:
        alpha: Number, or one for each class, the weight of the classes.
        gamma: Number, the exponent of the focusing factor.
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the classes.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.3, 0.7]])), 4)
        0.008
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _SUM,
        name: str = "categorical_focal_crossentropy",
        dtype: DTypeLike | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(
            categorical_focal_crossentropy, reduction, name, dtype, **options, alpha=alpha, gamma=gamma
        )
        self.from_logits = from_logits
        self.label_smoothing = check_number("label_smoothing", label_smoothing, minimum=0, maximum=1)
        self.axis = check_axes("axis", axis)
        self.alpha = alpha
        self.gamma = gamma


@exported(MODULE)
class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary cross-entropy in which easy samples count little; see `binary_focal_crossentropy`.

    Args:
        apply_class_balancing: Weight class 1 by `alpha` and class 0 by 1 - alpha.
        alpha: Number in [0, 1], the weight of class 1 if `apply_class_balancing`.
        gamma: Number, the exponent of the focusing factor.
        from_logits: Whether predictions are logits (scores before the softmax or sigmoid) instead of
            probabilities.
        label_smoothing: Number in [0, 1]; targets are moved by this fraction toward the uniform distribution.
        axis: Integer, the axis of the mean.
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> round(float(BinaryFocalCrossentropy()([[0.0, 1.0]], [[0.3, 0.7]])), 4)
        0.0321
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _SUM,
        name: str = "binary_focal_crossentropy",
        dtype: DTypeLike | None = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        focal = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **options, **focal)
        self.from_logits = from_logits
        self.label_smoothing = check_number("label_smoothing", label_smoothing, minimum=0, maximum=1)
        self.axis = check_axes("axis", axis)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma


@exported(MODULE)
class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """Loss (1 - p**q) / q for noisy class indices; see `categorical_generalized_cross_entropy`.

    Args:
        q: Number in (0, 1).
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Raises:
        ValueError: If `q` is not in (0, 1).

    Example:
        >>> round(float(CategoricalGeneralizedCrossEntropy(q=0.7)([1], [[0.3, 0.7]])), 4)
        0.3156
    """

    integer_labels = True

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = _SUM,
        name: str = "categorical_generalized_cross_entropy",
        dtype: DTypeLike | None = None,
    ) -> None:
        if not 0 < q < 1:
            raise ValueError(f"q must be a number in (0, 1), got {q!r}")
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
        self.q = q


@exported(MODULE)
class CTC(LossFunctionWrapper):
    """Loss of label sequences that are not aligned with the predictions; see `ctc`.

    Args:
        reduction: "sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none" or None; see
            `Loss`.
        name: Name of the loss.
        dtype: Dtype of the arithmetic and of the result; None for `hornbeam.config.floatx()`.

    Example:
        >>> CTC()([[1, 2, 0]], scores)  # doctest: +SKIP
    """

    integer_labels = True

    def __init__(
        self, reduction: str | None = _SUM, name: str = "ctc", dtype: DTypeLike | None = None
    ) -> None:
        super().__init__(ctc, reduction, name, dtype)
