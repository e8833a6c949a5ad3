"""Compatibility of the shapes of targets, predictions and weights, and error messages."""

from __future__ import annotations

from hornbeam import ops
from hornbeam._internal import warning_policy
from hornbeam.core.convert import broadcast_shapes
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError, is_float

Shape = tuple[int, ...]


def pair(
    y_true: TensorLike, y_pred: TensorLike, name: str, may_broadcast: bool = True
) -> tuple[Tensor, Tensor]:
    """Convert targets and predictions to tensors of one float dtype and one shape.

    (N,) with (N, 1) is unambiguous and becomes (N, 1); in higher ranks a last axis of size 1 that the other
    lacks is dropped. The warning policy decides about anything else that would only broadcast, unless it may
    not do that in Keras either.
    """
    y_pred = ops.convert_to_tensor(y_pred)
    if not is_float(y_pred.dtype):
        y_pred = ops.cast(y_pred, "float32")
    y_true, y_pred = same_rank(ops.cast(y_true, y_pred.dtype), y_pred)
    if not same_shape(y_true.shape, y_pred.shape):
        error = ShapeError(_mismatch(name, y_true.shape, y_pred.shape))
        try:
            shape = broadcast_shapes(y_true.shape, y_pred.shape)
        except ShapeError:
            raise error from None
        if not may_broadcast:
            raise error
        warning_policy.on_warning(error)
        return ops.broadcast_to(y_true, shape), ops.broadcast_to(y_pred, shape)
    return y_true, y_pred


def same_rank(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Give two tensors one rank if one has an additional last axis of size 1: (N, 1) for vectors."""
    for first, second, swapped in ((a, b, False), (b, a, True)):
        if len(first.shape) == len(second.shape) + 1 and first.shape[-1] == 1:
            if len(second.shape) == 1:
                second = ops.expand_dims(second, -1)
            else:
                first = ops.squeeze(first, -1)
            return (second, first) if swapped else (first, second)
    return a, b


def _mismatch(name: str, true: Shape, pred: Shape) -> str:
    head = f"{name}: y_true has shape {true}, y_pred has shape {pred}"
    one_target = true[:1] == pred[:1] and pred[-1:] != (1,) and (true == pred[:-1] or true == (*pred[:-1], 1))
    if one_target:
        fix = (
            f"one target per sample against {pred[-1]} outputs only broadcasts. For one number per sample "
            "end the model with one unit (Dense(1)). Class labels take 'sparse_categorical_crossentropy' as "
            "loss, and as metric 'sparse_categorical_accuracy', or one-hot rows (utils.to_categorical)"
        )
    elif pred[-1:] == (1,) and true[:-1] == pred[:-1]:
        fix = (
            f"{true[-1]} targets per sample against one output would only broadcast. End the model with "
            f"{true[-1]} units (Dense({true[-1]}))"
        )
    elif true[:1] != pred[:1]:
        fix = "the number of samples differs"
    else:
        fix = "they must be equal: compare the model's last layer with the shape of the targets"
    return f"{head}; {fix}"


def one_hot_pair(y_true: TensorLike, y_pred: TensorLike, name: str, axis: int = -1) -> tuple[Tensor, Tensor]:
    """Convert one-hot (or soft) targets and predictions to one shape. Class indices are refused."""
    _check_axis(axis)
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.cast(y_true, y_pred.dtype)
    true, pred = y_true.shape, y_pred.shape
    if not pred or pred[axis] == 1:
        raise ShapeError(
            f"{name}: y_pred has shape {pred}, which is one class: its probability is always 1, so nothing "
            "can be learned. For binary targets end with Dense(1, activation='sigmoid') and use "
            "'binary_crossentropy'"
        )
    if true == pred:
        return y_true, y_pred
    rest = _without(pred, axis)
    if true in (rest, (*rest, 1)):
        one_hot = f"make the labels one-hot: utils.to_categorical(y, {pred[axis]})"
        fix = f"Use 'sparse_{name}', or {one_hot}" if f"sparse_{name}" in _SPARSE else one_hot.capitalize()
        raise ShapeError(
            f"{name}: y_true has shape {true}, which looks like class indices, y_pred has shape {pred}. {fix}"
        )
    raise ShapeError(_classes(name, true, pred, axis))


_SPARSE = (
    "sparse_categorical_crossentropy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
)


def label_pair(y_true: TensorLike, y_pred: TensorLike, name: str, axis: int = -1) -> tuple[Tensor, Tensor]:
    """Convert class indices and predictions to tensors of matching shapes. One-hot targets are refused."""
    _check_axis(axis)
    y_pred = ops.convert_to_tensor(y_pred)
    y_true = ops.convert_to_tensor(y_true)
    true, pred = y_true.shape, y_pred.shape
    if not pred:
        raise ShapeError(f"{name}: y_pred is a scalar, but needs an axis of classes")
    rest = _without(pred, axis)
    if true == rest:
        return y_true, y_pred
    if len(true) == len(pred) and true[axis] == 1 and _without(true, axis) == rest:
        return ops.squeeze(y_true, axis), y_pred
    if true == pred:
        raise ShapeError(
            f"{name}: y_true has shape {true}, the shape of y_pred, so it looks one-hot. Use "
            f"'{name.removeprefix('sparse_')}', or pass class indices: np.argmax(y, axis={axis})"
        )
    raise ShapeError(_classes(name, true, rest, None))


def _classes(name: str, true: Shape, pred: Shape, axis: int | None) -> str:
    if axis is None:
        return f"{name}: y_true has shape {true}, the predictions need class indices of shape {pred}"
    hint = ""
    if _without(true, axis) == _without(pred, axis):
        hint = f": the targets have {true[axis]} classes, the model's last layer {pred[axis]} units"
    return f"{name}: y_true has shape {true}, y_pred has shape {pred}; they must be equal{hint}"


def _without(shape: Shape, axis: int) -> Shape:
    axis %= max(len(shape), 1)
    return (*shape[:axis], *shape[axis + 1 :])


def _check_axis(axis: object) -> None:
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(f"axis must be an integer, got {axis!r}")


def as_weights(weights: TensorLike, shape: Shape, label: str, name: str) -> Tensor:
    """Convert weights to a shape that multiplies values of `shape` without enlarging them.

    Weights of a leading part of the shape (one per sample) get trailing axes of size 1; an additional last
    axis of size 1 is dropped. Raises ShapeError for anything else.
    """
    weights = ops.convert_to_tensor(weights)
    original = weights.shape
    if len(original) == len(shape) + 1 and original[-1] == 1:
        weights = ops.squeeze(weights, -1)
    size = weights.shape
    fits = len(size) <= len(shape) and all(w in (1, s) for w, s in zip(size, shape, strict=False))
    if not fits:
        raise ShapeError(
            f"{name}: {label} has shape {original}, which does not fit values of shape {shape}; pass one per "
            f"sample, of shape {shape[:1]}"
        )
    return ops.reshape(weights, (*size, *(1,) * (len(shape) - len(size)))) if size != () else weights
