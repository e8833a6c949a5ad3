"""ONNX's discrete Fourier transforms, of whole axes and of windows along them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.onnx.operators.vocabulary import Call, axis_of, number, operator


def _transformed(call: Call, x: Tensor, axis: int, size: int) -> Tensor:
    """Transform an axis, cut or padded to a size, of x (..., 1 or 2): real and imaginary parts."""
    inverse, is_half = call.get("inverse", 0), call.get("onesided", 0)
    if inverse and is_half:
        raise GraphError("inverse=1 with onesided=1 is not supported")
    rows = ops.moveaxis(x, axis, -1)[..., : min(size, x.shape[axis])]
    rows = ops.pad(rows, [(0, 0)] * (len(x.shape) - 1) + [(0, size - rows.shape[-1])])
    real = rows[..., 0, :]
    imaginary = rows[..., 1, :] if x.shape[-1] == 2 else ops.zeros_like(real)
    # The inverse is the conjugate of the transform of the conjugate.
    real, imaginary = ops.fft((real, -imaginary if inverse else imaginary))
    if inverse:
        real, imaginary = real / size, -imaginary / size
    parts = [v[..., : size // 2 + 1] if is_half else v for v in (real, imaginary)]
    return ops.moveaxis(ops.stack(parts, axis=-2), -1, axis)


@operator("DFT", tensors=1)
def dft(call: Call, x: Tensor, length: TensorLike | None = None, axis: TensorLike | None = None) -> Tensor:
    """Compute the discrete Fourier transform along an axis, or its inverse."""
    if call.opset < 20:
        at = call.get("axis", 1)
    else:
        at = -2 if axis is None else number(axis, "axis")
    at = axis_of(at, len(x.shape))
    return _transformed(call, x, at, x.shape[at] if length is None else number(length, "dft_length"))


@operator("STFT", tensors=1)
def stft(call: Call, x: Tensor, step: TensorLike, window: Any = None, length: Any = None) -> Tensor:
    """Compute the transforms of windows along the second axis of x (batch, steps, 1 or 2)."""
    call.attributes.setdefault("onesided", 1)
    hop = int(number(step, "frame_step"))
    size = int(number(length, "frame_length")) if length is not None else window.shape[0]
    count_elements(size)
    starts = Tensor(p.iota("int64", ((x.shape[1] - size) // hop + 1,), 0)) * hop
    frames = ops.take(x, starts[:, None] + np.arange(size), axis=1)
    frames = frames if window is None else frames * ops.reshape(as_tensor(window), (-1, 1))
    return _transformed(call, frames, 2, size)
