"""Intersection over union per class, from one confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import ops
from hornbeam._internal import warning_policy
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_int
from hornbeam.config import floatx
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.losses.shapes import as_weights
from hornbeam.metrics.metric import MODULE, Metric


@exported(MODULE)
class IoU(Metric):
    """Intersection over union, TP / (TP + FP + FN) per class, averaged over the classes that occur.

    Args:
        num_classes: Integer, number of classes.
        target_class_ids: Sequence of integers, the classes to average over.
        name: Key in the logs.
        dtype: Dtype of the counts; None for int64. Fractional sample weights need a float dtype.
        ignore_class: Integer, the class whose samples do not count, or None.
        sparse_y_true: Whether targets are class indices; otherwise they are one-hot along `axis`.
        sparse_y_pred: Whether predictions are class indices; otherwise they are probabilities along `axis`.
        axis: Integer, the axis of the classes.

    Example:
        >>> m = IoU(num_classes=2, target_class_ids=[0]); m.update_state([0, 0, 1], [0, 1, 1])
        >>> float(m.result())
        0.5
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype or "int64", name)
        check_int("num_classes", num_classes, 1)
        wrong = [c for c in target_class_ids if not 0 <= c < num_classes]
        if wrong:
            raise ValueError(f"target_class_ids {wrong} are out of range for {num_classes} classes")
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def _labels(self, y: TensorLike, sparse: bool) -> Tensor:
        return ops.cast(y if sparse else ops.argmax(y, axis=self.axis), "int32")

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch to the confusion matrix; class indices out of range do not count.

        Args:
            y_true: Tensor of targets, of any shape.
            y_pred: Tensor of predictions, of the shape of `y_true`.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.

        Raises:
            ShapeError: If targets and predictions differ in size.
        """
        true, pred = self._labels(y_true, self.sparse_y_true), self._labels(y_pred, self.sparse_y_pred)
        if true.size != pred.size:
            raise ShapeError(f"{self.name}: targets {true.shape} and predictions {pred.shape} differ in size")
        dtype = "float32" if self.dtype in ("float16", "bfloat16") else self.dtype
        weights = ops.ones_like(true)
        if sample_weight is not None:
            sample_weights = ops.convert_to_tensor(sample_weight)
            if is_float(sample_weights.dtype) and not is_float(dtype):
                warning_policy.on_warning(
                    f"{self.name} counts in {dtype}; for fractional weights use dtype='float32'"
                )
            weights = ops.broadcast_to(
                as_weights(sample_weights, true.shape, "sample_weight", self.name), true.shape
            )
        weights = ops.reshape(ops.cast(weights, dtype), (-1,))
        true, pred = ops.reshape(true, (-1,)), ops.reshape(pred, (-1,))
        valid = self._valid_mask(true, pred)
        cells = ops.where(valid, true * self.num_classes + pred, 0)
        weights = ops.where(valid, weights, ops.zeros_like(weights))
        flat = ops.scatter(ops.expand_dims(cells, -1), weights, (self.num_classes**2,))
        self.total_cm.assign_add(ops.reshape(flat, (self.num_classes, self.num_classes)))

    def _valid_mask(self, true: Tensor, pred: Tensor) -> Tensor:
        valid = ops.logical_and(true >= 0, true < self.num_classes)
        valid = ops.logical_and(valid, ops.logical_and(pred >= 0, pred < self.num_classes))
        if self.ignore_class is not None:
            valid = ops.logical_and(valid, ops.not_equal(true, self.ignore_class))
        return valid

    def result(self) -> Tensor:
        matrix = ops.cast(self.total_cm, floatx() if not is_float(self.dtype) else self.dtype)
        hits = ops.diagonal(matrix)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - hits
        class_ids = ops.convert_to_tensor(self.target_class_ids, dtype="int32")
        hits, union = ops.take(hits, class_ids), ops.take(union, class_ids)
        present = ops.sum(ops.cast(union > 0.0, union.dtype))
        return ops.divide_no_nan(ops.sum(ops.divide_no_nan(hits, union)), present)


@exported(MODULE)
class BinaryIoU(IoU):
    """Intersection over union of two classes, for predictions that are probabilities.

    Args:
        target_class_ids: Sequence of 0 and 1, the classes to average over.
        threshold: Number; predictions of at least this are class 1. None if predictions are class indices.
        name: Key in the logs.
        dtype: Dtype of the counts; None for int64. Fractional sample weights need a float dtype.

    Example:
        >>> m = BinaryIoU(target_class_ids=[1]); m.update_state([0, 1], [0.9, 0.9]); float(m.result())
        0.5
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float | None = 0.5,
        name: str | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Add a batch of targets 0 and 1.

        Args:
            y_true: Tensor of any shape, of 0 and 1.
            y_pred: Tensor of predictions, of the shape of `y_true`.
            sample_weight: Tensor (batch,), or of any leading part of the shape of the values, or None.
        """
        if self.threshold is not None:
            y_pred = ops.cast(ops.convert_to_tensor(y_pred) >= self.threshold, "int32")
        super().update_state(y_true, y_pred, sample_weight)


@exported(MODULE)
class MeanIoU(IoU):
    """Intersection over union averaged over all classes that occur.

    Args:
        num_classes: Integer, number of classes.
        name: Key in the logs.
        dtype: Dtype of the counts; None for int64. Fractional sample weights need a float dtype.
        ignore_class: Integer, the class whose samples do not count, or None.
        sparse_y_true: Whether targets are class indices; otherwise they are one-hot along `axis`.
        sparse_y_pred: Whether predictions are class indices; otherwise they are probabilities along `axis`.
        axis: Integer, the axis of the classes.

    Example:
        >>> m = MeanIoU(num_classes=2); m.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(float(m.result()), 4)
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        count_elements(num_classes)
        ids = list(range(check_int("num_classes", num_classes, 1)))
        super().__init__(num_classes, ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


@exported(MODULE)
class OneHotIoU(IoU):
    """Intersection over union for one-hot targets.

    Args:
        num_classes: Integer, number of classes.
        target_class_ids: Sequence of integers, the classes to average over.
        name: Key in the logs.
        dtype: Dtype of the counts; None for int64. Fractional sample weights need a float dtype.
        ignore_class: Integer, the class whose samples do not count, or None.
        sparse_y_pred: Whether predictions are class indices; otherwise they are probabilities along `axis`.
        axis: Integer, the axis of the classes.

    Example:
        >>> OneHotIoU(num_classes=3, target_class_ids=[0, 2])
        <OneHotIoU name=one_hot_io_u>
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


@exported(MODULE)
class OneHotMeanIoU(MeanIoU):
    """Intersection over union for one-hot targets, averaged over all classes that occur.

    Args:
        num_classes: Integer, number of classes.
        name: Key in the logs.
        dtype: Dtype of the counts; None for int64. Fractional sample weights need a float dtype.
        ignore_class: Integer, the class whose samples do not count, or None.
        sparse_y_pred: Whether predictions are class indices; otherwise they are probabilities along `axis`.
        axis: Integer, the axis of the classes.

    Example:
        >>> OneHotMeanIoU(num_classes=3)
        <OneHotMeanIoU name=one_hot_mean_io_u>
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
