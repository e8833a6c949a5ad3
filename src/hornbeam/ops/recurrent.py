"""All steps of a recurrent layer as one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, cast_node
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ops._common import HALF


def lstm(
    projected: Tensor, others: Sequence[TensorLike], mask: TensorLike | None, reverse: bool
) -> list[Tensor]:
    """Run an LSTM over projected inputs (batch, steps, 4 * units); `others`: recurrent kernel, h, c.

    Half precision is computed in float32 and rounded at the end: states add up over the steps.

    Returns:
        All outputs, and the last h and c.
    """
    return _run(p.lstm, 3, projected, others, mask, reverse)


def gru(
    projected: Tensor, others: Sequence[TensorLike], mask: TensorLike | None, reverse: bool
) -> list[Tensor]:
    """Run a GRU over projected inputs (batch, steps, 3 * units); `others`: recurrent kernel, its bias, h.

    Half precision is computed in float32, as by `lstm`.

    Returns:
        All outputs, and the last h.
    """
    return _run(p.gru, 2, projected, others, mask, reverse)


def _run(
    primitive: Callable[..., Node],
    count: int,
    projected: Tensor,
    others: Sequence[TensorLike],
    mask: TensorLike | None,
    reverse: bool,
) -> list[Tensor]:
    dtype = projected.dtype
    wide = "float32" if dtype in HALF else dtype
    masks = [] if mask is None else [as_tensor(mask).node]
    operands = [cast_node(x, wide) for x in (projected, *others)]
    result = primitive(*operands, *masks, reverse=reverse, masked=mask is not None)
    return [Tensor(p.convert(y, dtype)) for y in outputs_of(result)[:count]]
