"""ONNX operators on sequences of tensors: lists, whose lengths and positions have to be known."""

from __future__ import annotations

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.vocabulary import Call, axis_of, ints, known, number, operator

Sequence = list[TensorLike]


def _position(at: TensorLike | None, length: int, default: int) -> int:
    index = default if at is None else int(number(at, "position"))
    if not -length <= index <= length:
        raise GraphError(f"position {index} of a sequence of {length} tensors")
    return index % length if index < 0 else index


@operator("SequenceConstruct", tensors=0)
def construct(call: Call, *tensors: TensorLike) -> tuple[Sequence]:
    """Make a sequence."""
    return (list(tensors),)


@operator("SequenceEmpty", tensors=0)
def empty(call: Call) -> tuple[Sequence]:
    """Make a sequence without tensors."""
    call.get("dtype")
    return ([],)


@operator("SequenceInsert", tensors=0)
def insert(call: Call, xs: Sequence, x: TensorLike, at: TensorLike | None = None) -> tuple[Sequence]:
    """Insert a tensor, at the end by default."""
    index = _position(at, len(xs), len(xs))
    return ([*xs[:index], x, *xs[index:]],)


@operator("SequenceErase", tensors=0)
def erase(call: Call, xs: Sequence, at: TensorLike | None = None) -> tuple[Sequence]:
    """Remove a tensor, the last one by default."""
    index = _position(at, len(xs), len(xs) - 1)
    return ([*xs[:index], *xs[index + 1 :]],)


@operator("SequenceAt", tensors=0)
def at(call: Call, xs: Sequence, position: TensorLike) -> TensorLike:
    """Return the tensor at a position."""
    index = _position(position, len(xs), 0)
    if index == len(xs):
        raise GraphError(f"position {index} of a sequence of {len(xs)} tensors")
    return xs[index]


@operator("SequenceLength", tensors=0)
def length(call: Call, xs: Sequence) -> np.ndarray:
    """Return the number of tensors."""
    return np.array(len(xs), "int64")


@operator("ConcatFromSequence", tensors=0)
def concat(call: Call, xs: Sequence) -> Tensor:
    """Concatenate all tensors along an axis, or stack them along a new one."""
    tensors, axis = [as_tensor(x) for x in xs], call.get("axis", 0)
    return ops.stack(tensors, axis=axis) if call.get("new_axis", 0) else ops.concatenate(tensors, axis=axis)


@operator("SplitToSequence", tensors=1)
def split(call: Call, x: Tensor, sizes: TensorLike | None = None) -> tuple[Sequence]:
    """Split along an axis into parts of one size, or of given sizes."""
    axis, keep = axis_of(call.get("axis", 0), len(x.shape)), call.get("keepdims", 1)
    size = x.shape[axis]
    if sizes is not None and known(sizes, "sizes").ndim:
        cuts = np.cumsum(ints(sizes, "sizes"))[:-1].tolist()
    else:
        step = 1 if sizes is None else int(number(sizes, "size"))
        cuts = list(range(step, size, step))
    parts = ops.split(x, cuts, axis=axis)
    return ([part if keep or sizes is not None else ops.squeeze(part, axis) for part in parts],)
