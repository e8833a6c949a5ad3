"""Cross-entropies of labels with probabilities or logits, and labels as vectors."""

from __future__ import annotations

from typing import Any

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import epsilon, floatx
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.sparse import as_sparse
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError, dtype_name, is_float, is_integer
from hornbeam.ops._common import float_dtype, float_node, node_of, one_axis, static_int
from hornbeam.ops.activation import softplus_node
from hornbeam.ops.elementwise import clip

# fmt: off
__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "multi_hot", "one_hot",
    "sparse_categorical_crossentropy",
]
# fmt: on


def _before(node: Node, name: str) -> Node | None:
    """Return the logits from which the activation `name` computed `node`, if its graph is known.

    Cross-entropy of logits is exact where that of rounded probabilities is not (1 - 1e-9 is 1 in float32).
    """
    dtype = node.dtype
    while node.primitive is not None and node.name == "convert":
        node = node.inputs[0]
    if node.primitive is None or node.name != name:
        return None
    return p.convert(node.inputs[0], dtype)


def score_behind(output: Tensor) -> Tensor:
    """Return the argument of the softmax or sigmoid of `output`, if its graph is known, else `output`."""
    for name in ("softmax", "logistic"):
        logits = _before(output.node, name)
        if logits is not None:
            return Tensor(logits)
    return output


def _clipped(node: Node) -> Node:
    return clip(Tensor(node), epsilon(), 1 - epsilon()).node


def _same_shape(target: Node, output: Node, name: str) -> None:
    if not same_shape(target.shape, output.shape):
        raise ShapeError(
            f"{name}: target has shape {target.shape}, output {output.shape}; both must have the same shape"
        )


@operation
def binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False) -> Tensor:
    """Compute -(t log(o) + (1 - t) log(1 - o)) elementwise.

    If `output` is the result of a sigmoid, its argument is used instead, which is exact.

    Args:
        target: Tensor t of any shape, labels in [0, 1].
        output: Tensor of probabilities of the shape of `target`, which are limited to [epsilon, 1 -
            epsilon]; or with `from_logits` the arguments of a sigmoid.
        from_logits: Whether `output` holds logits.

    Returns:
        Tensor of the shape of `output`.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> round(float(hornbeam.ops.binary_crossentropy(1.0, 0.5)), 4)
        0.6931
    """
    dtype = float_dtype(output)
    o, t = cast_node(output, dtype), cast_node(target, dtype)
    _same_shape(t, o, "binary_crossentropy")
    logits = o if from_logits else _before(o, "logistic")
    if logits is not None:
        return Tensor(softplus_node(logits) - logits * t)
    o = _clipped(o)
    return Tensor(-(t * p.log(o) + (1.0 - t) * p.log(1.0 - o)))


def _classes_last(node: Node, axis: int) -> Node:
    """Move the axis of the classes to the end."""
    rest = tuple(i for i in range(node.rank) if i != axis)
    return p.transpose(node, (*rest, axis))


def _logits(output: Node, from_logits: bool, axis: int) -> Node | None:
    if from_logits:
        return output
    return _before(output, "softmax") if axis == output.rank - 1 else None


@operation
def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Compute -sum(t log(o)) along the axis of the classes.

    If `output` is the result of a softmax, its argument is used instead, which is exact.

    Args:
        target: Tensor t of probabilities or one-hot vectors, of the shape of `output`.
        output: Tensor of probabilities of the shape of `target`, which are limited to [epsilon, 1 - epsilon]
            after they are scaled to sum to 1; or logits.
        from_logits: Whether `output` holds logits.
        axis: Integer, the axis of the classes.

    Returns:
        Tensor of the shape of `output` without `axis`.

    Raises:
        ShapeError: If the tensors are scalars.

    Example:
        >>> round(float(hornbeam.ops.categorical_crossentropy([0.0, 1.0], [0.5, 0.5])), 4)
        0.6931
    """
    dtype = float_dtype(output)
    o, t = cast_node(output, dtype), cast_node(target, dtype)
    _same_shape(t, o, "categorical_crossentropy")
    if not o.rank:
        raise ShapeError("categorical_crossentropy needs an axis of classes, got a scalar")
    at = one_axis(axis, o.rank, "categorical_crossentropy")
    logits = _logits(o, from_logits, at)
    if logits is not None:
        return Tensor(p.softmax_cross_entropy(_classes_last(logits, at), _classes_last(t, at)))
    total = p.reduce_sum(o, (at,))
    o = _clipped(o / p.keep(total, o, (at,)))
    return Tensor(-p.reduce_sum(t * p.log(o), (at,)))


@operation
def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Compute -log(o[target]) along the axis of the classes.

    If `output` is the result of a softmax, its argument is used instead, which is exact.

    Args:
        target: Tensor of integers 0 ... classes - 1, of the shape of `output` without `axis`, or with size 1
            there; other labels have no loss.
        output: Tensor of probabilities with an axis of classes, which are limited to [epsilon, 1 - epsilon]
            and then scaled to sum to 1; or logits.
        from_logits: Whether `output` holds logits.
        axis: Integer, the axis of the classes.

    Returns:
        Tensor of the shape of `output` without `axis`.

    Raises:
        ShapeError: If there is not one label for each vector of classes.

    Example:
        >>> round(float(hornbeam.ops.sparse_categorical_crossentropy(1, [0.5, 0.5])), 4)
        0.6931
    """
    o, labels = float_node(output), node_of(target)
    if not o.rank:
        raise ShapeError("sparse_categorical_crossentropy needs an axis of classes, got a scalar")
    at = one_axis(axis, o.rank, "sparse_categorical_crossentropy")
    if labels.rank == o.rank and labels.shape[at] == 1:
        labels = p.reshape(labels, labels.shape[:at] + labels.shape[at + 1 :])
    if not same_shape(labels.shape, o.shape[:at] + o.shape[at + 1 :]):
        raise ShapeError(
            f"sparse_categorical_crossentropy: target has shape {labels.shape}, output {o.shape}: the target "
            f"needs one label for each vector of {o.shape[at]} classes. One-hot targets go with "
            "categorical_crossentropy"
        )
    if not is_integer(labels.dtype):
        labels = p.convert(labels, "int32")
    logits = _logits(o, from_logits, at)
    if logits is None:
        logits = p.log(_clipped(o))
    return Tensor(p.sparse_softmax_cross_entropy(_classes_last(logits, at), labels))


# -- labels as vectors ---------------------------------------------------------------------------------


@operation
def one_hot(
    x: TensorLike, num_classes: int, axis: int = -1, dtype: DTypeLike | None = None, sparse: bool = False
) -> Tensor:
    """Encode integers as vectors with 1 at their index and 0 elsewhere.

    Integers out of range, and floats that are not integers, give zeros.

    Args:
        x: Tensor of integers.
        num_classes: Integer, the size of the new axis.
        axis: Integer, position of the new axis in the result.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.
        sparse: Return a sparse tensor of the elements that are not 0; dense inside compiled functions.

    Returns:
        Tensor with one more axis.

    Raises:
        ShapeError: If `num_classes` is negative.

    Example:
        >>> np.asarray(hornbeam.ops.one_hot([2, 0], 3)).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if sparse:
        return as_sparse(one_hot(x, num_classes, axis, dtype))
    node = node_of(x)
    if node.dtype not in ("int32", "int64", "uint32", "uint64", "float32", "float64"):
        node = p.convert(node, "float32" if is_float(node.dtype) else "int32")
    count = static_int(num_classes, "num_classes")
    if count < 0:
        raise ShapeError(f"one_hot: num_classes must not be negative, got {count}")
    at = one_axis(axis, node.rank + 1, "one_hot")
    shape = (*node.shape[:at], count, *node.shape[at:])
    classes_of = p.broadcast(node, shape, tuple(i for i in range(len(shape)) if i != at))
    return Tensor(p.convert(p.eq(classes_of, p.iota(node.dtype, shape, at)), dtype_name(dtype or floatx())))


@operation
def multi_hot(
    inputs: TensorLike,
    num_classes: int | None = None,
    axis: int = -1,
    dtype: DTypeLike | None = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Tensor:
    """Encode rows of integers as vectors with 1 at every index that occurs in the row.

    Args:
        inputs: Tensor (batch, n) of integers.
        num_classes: Integer, the size of the vectors.
        axis: Integer, position of the classes in the result.
        dtype: Dtype of the result; None for `hornbeam.config.floatx()`.
        sparse: Return a sparse tensor of the elements that are not 0; dense inside compiled functions.
        **kwargs: `num_tokens`, the older name of `num_classes`.

    Returns:
        Tensor (batch, num_classes).

    Raises:
        ValueError: If `num_classes` is not given.
        TypeError: If an argument is unknown.

    Example:
        >>> np.asarray(hornbeam.ops.multi_hot([[0, 2]], 3)).tolist()
        [[1.0, 0.0, 1.0]]
    """
    if num_classes is None and "num_tokens" in kwargs:
        num_classes = kwargs.pop("num_tokens")
    if kwargs:
        raise TypeError(f"multi_hot: unknown arguments {sorted(kwargs)}")
    if num_classes is None:
        raise ValueError("multi_hot needs num_classes")
    if sparse:
        return as_sparse(multi_hot(inputs, num_classes, axis, dtype))
    node = node_of(inputs)
    hot = one_hot(Tensor(p.convert(node, "int32")), num_classes, axis, dtype).node
    if not hot.rank > 1:
        return Tensor(hot)
    over = 1 if node.rank > 1 else 0
    any_hot = p.reduce_or(p.convert(hot, "bool"), (over,))
    return Tensor(p.convert(any_hot, hot.dtype))
