"""Signals: windows of samples, Fourier transforms of pairs (real, imaginary), short-time transforms."""

from __future__ import annotations

import math

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.formatting import brief
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import is_unknown, minimum
from hornbeam.ir.types import ShapeError, TensorType, numpy_dtype, same_types
from hornbeam.ops._common import (
    array_functions,
    check_ordered,
    float_node,
    node_of,
    size_constant,
    static_int,
)
from hornbeam.ops.repeating import pad
from hornbeam.ops.selection import take

# fmt: off
__all__ = ["extract_sequences", "fft", "fft2", "ifft2", "irfft", "istft", "rfft", "stft"]
# fmt: on


@operation
def extract_sequences(x: TensorLike, sequence_length: int, sequence_stride: int) -> Tensor:
    """Extract windows along the last axis.

    Args:
        x: Tensor (..., time).
        sequence_length: Integer, the length of the windows.
        sequence_stride: Integer, the distance of windows.

    Returns:
        Tensor (..., windows, sequence_length).

    Raises:
        ValueError: If `sequence_length` or `sequence_stride` is not positive.

    Example:
        >>> np.asarray(hornbeam.ops.extract_sequences([1, 2, 3, 4], 2, 2)).tolist()
        [[1, 2], [3, 4]]
    """
    node = node_of(x)
    length, stride = (
        static_int(sequence_length, "sequence_length"),
        static_int(sequence_stride, "sequence_stride"),
    )
    if length < 1 or stride < 1 or not node.rank:
        raise ValueError(f"extract_sequences: length and stride must be positive, got {length} and {stride}")
    count = max((node.shape[-1] - length) // stride + 1, 0)
    steps = array_functions(count).arange(count, dtype="int32")
    places = steps[:, None] * stride + np.arange(length, dtype=np.int32)
    return take(Tensor(node), places, -1)


def _table(values: np.ndarray, dtype: str) -> Node:
    """Make a small matrix of known numbers a node."""
    return p.constant(values.astype(numpy_dtype(dtype)), dtype)


def _turns(angles: np.ndarray, dtype: str) -> tuple[Node, Node]:
    return _table(np.cos(angles), dtype), _table(np.sin(angles), dtype)


# Length up to which a transform is one product with its matrix: a product of so few columns takes less time
# than to move the data once more.
_DIRECT = 64


def _factor(n: int) -> int:
    """Return the factor of the length at which a transform is split, n itself if it is not."""
    if n <= _DIRECT:
        return n
    factors = [f for f in range(2, math.isqrt(n) + 1) if n % f == 0]
    small = [f for f in factors if f <= _DIRECT]
    return max(small) if small else min(factors, default=n)


def _dft(real: Node, imag: Node, sign: float) -> tuple[Node, Node]:
    """Compute sum over n of (real + i imag)[n] exp(sign 2 pi i k n / N) along the last axis.

    Cooley & Tukey's algorithm, 1965, for any factors: N = a b is `a` transforms of b, twisted, then b
    transforms of a. A short or prime length is one product with the matrix of the transform.
    """
    size = real.shape[-1]
    if is_unknown(size):
        steps = p.iota("int64", (size, size), 0)
        turns = p.convert(p.rem(steps * p.iota("int64", (size, size), 1), size), real.dtype)
        phases = turns * (sign * 2 * math.pi) / size
        return _rotate_sum(real, imag, p.cos(phases), p.sin(phases))
    factor = _factor(size)
    if factor == size:
        angles = sign * 2 * math.pi * (np.outer(np.arange(size), np.arange(size)) % size) / size
        return _rotate_sum(real, imag, *_turns(angles, real.dtype))
    rest, lead = size // factor, real.shape[:-1]
    rank = real.rank

    def columns(n: Node) -> Node:
        split = p.reshape(n, (*lead, rest, factor))
        return p.transpose(split, (*range(rank - 1), rank, rank - 1))

    # inner[.., j, k]: the transform of the elements j, j + factor, j + 2 factor, ...
    inner_real, inner_imag = _dft(columns(real), columns(imag), sign)
    angles = sign * 2 * math.pi * np.outer(np.arange(factor), np.arange(rest)) / size
    shape = inner_real.shape
    cos, sin = (p.broadcast(t, shape, (rank - 1, rank)) for t in _turns(angles, real.dtype))
    turned = (inner_real * cos - inner_imag * sin, inner_real * sin + inner_imag * cos)
    back = (*range(rank - 1), rank, rank - 1)
    turned = (p.transpose(turned[0], back), p.transpose(turned[1], back))
    outer = sign * 2 * math.pi * (np.outer(np.arange(factor), np.arange(factor)) % factor) / factor
    out = _rotate_sum(*turned, *_turns(outer, real.dtype))
    return (
        p.reshape(p.transpose(out[0], back), (*lead, size)),
        p.reshape(p.transpose(out[1], back), (*lead, size)),
    )


def _rotate_sum(real: Node, imag: Node, cos: Node, sin: Node) -> tuple[Node, Node]:
    """Multiply (real + i imag) by the matrix cos + i sin, along the last axis."""

    def times(x: Node, table: Node) -> Node:
        return p.dot_general(x, table, contract=((x.rank - 1,), (0,)))

    return times(real, cos) - times(imag, sin), times(real, sin) + times(imag, cos)


def _complex(x: tuple[TensorLike, TensorLike], name: str) -> tuple[Node, Node]:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        got = f"{len(x)} of them" if isinstance(x, (tuple, list)) else brief(x)
        raise ShapeError(f"{name} takes a pair (real, imaginary) of real tensors, got {got}")
    real, imag = (float_node(part) for part in x)
    if not same_types([real.type], [imag.type]) or not real.rank:
        raise ShapeError(
            f"{name}: real and imaginary part must have one shape and dtype, got {real.type}, {imag.type}"
        )
    return real, imag


def _pair(parts: tuple[Node, Node]) -> tuple[Tensor, Tensor]:
    return Tensor(parts[0]), Tensor(parts[1])


def _last_but_one(parts: tuple[Node, Node]) -> tuple[Node, Node]:
    rank = parts[0].rank
    perm = (*range(rank - 2), rank - 1, rank - 2)
    return p.transpose(parts[0], perm), p.transpose(parts[1], perm)


@operation
def fft(x: tuple[TensorLike, TensorLike]) -> tuple[Tensor, Tensor]:
    """Compute the discrete Fourier transform along the last axis.

    out[k] = sum over n of x[n] exp(-2 pi i k n / N).

    Args:
        x: Pair of tensors (real, imaginary) of one shape.

    Returns:
        Pair of tensors (real, imaginary).

    Example:
        >>> np.asarray(hornbeam.ops.fft(([1.0, 1.0], [0.0, 0.0]))[0]).tolist()
        [2.0, 0.0]
    """
    return _pair(_dft(*_complex(x, "fft"), -1.0))


@operation
def fft2(x: tuple[TensorLike, TensorLike]) -> tuple[Tensor, Tensor]:
    """Compute the discrete Fourier transform along the last two axes.

    Args:
        x: Pair of tensors (real, imaginary) of one shape.

    Returns:
        Pair of tensors (real, imaginary).
    """
    rows = _dft(*_complex(x, "fft2"), -1.0)
    return _pair(_last_but_one(_dft(*_last_but_one(rows), -1.0)))


@operation
def ifft2(x: tuple[TensorLike, TensorLike]) -> tuple[Tensor, Tensor]:
    """Compute the inverse of `fft2`, divided by the number of elements.

    Args:
        x: Pair of tensors (real, imaginary) of one shape.

    Returns:
        Pair of tensors (real, imaginary).
    """
    parts = _complex(x, "ifft2")
    count = math.prod(parts[0].shape[-2:])
    rows = _dft(*parts, 1.0)
    real, imag = _last_but_one(_dft(*_last_but_one(rows), 1.0))
    return Tensor(_divided(real, count)), Tensor(_divided(imag, count))


def _divided(node: Node, count: int) -> Node:
    return node / count if is_unknown(count) else node * (1.0 / count)


def _resized(node: Node, size: int) -> Node:
    """Cut the last axis, or fill it with zeros, to `size`."""
    none = (0,) * (node.rank - 1)
    return p.pad(node, 0, (*none, 0), (*none, size - node.shape[-1]))


def _leading(node: Node, count: int) -> Node:
    return p.slice_(node, (0,) * node.rank, (*node.shape[:-1], count))


@operation
def rfft(x: TensorLike, fft_length: int | None = None) -> tuple[Tensor, Tensor]:
    """Compute the first N // 2 + 1 terms of the Fourier transform of a real tensor along the last axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        fft_length: Integer N, the length to which `x` is cut or filled with zeros; None for the size of the
            axis.

    Returns:
        Pair of tensors (real, imaginary).

    Raises:
        HornbeamTypeError: If `x` is complex.
    """
    node = check_ordered(float_node(x), "rfft")
    size = node.shape[-1] if fft_length is None else static_int(fft_length, "fft_length")
    node = _resized(node, size)
    real, imag = _dft(node, full(0, node.type), -1.0)
    return Tensor(_leading(real, size // 2 + 1)), Tensor(_leading(imag, size // 2 + 1))


@operation
def irfft(x: tuple[TensorLike, TensorLike], fft_length: int | None = None) -> Tensor:
    """Compute the inverse of `rfft`, a real tensor.

    Args:
        x: Pair of tensors (real, imaginary) of one shape.
        fft_length: Integer, the length of the result; None for 2 (terms - 1).

    Returns:
        Tensor (..., fft_length).
    """
    real, imag = _complex(x, "irfft")
    size = 2 * (real.shape[-1] - 1) if fft_length is None else static_int(fft_length, "fft_length")
    real, imag = _resized(real, size // 2 + 1), _resized(imag, size // 2 + 1)
    last = real.rank - 1
    # The other terms are the conjugates in reverse order.
    inner = (size + 1) // 2 - 1

    def tail(n: Node) -> Node:
        start = (*(0,) * last, 1)
        return p.reverse(p.slice_(n, start, (*n.shape[:-1], 1 + inner)), (last,))

    full_real = p.concatenate(real, tail(real), axis=last)
    full_imag = p.concatenate(_imaginary_part(imag, size), -tail(imag), axis=last)
    return Tensor(_divided(_dft(full_real, full_imag, 1.0)[0], size))


def _imaginary_part(imag: Node, size: int) -> Node:
    """Zero the terms without an imaginary part: the first, and for even sizes the last."""
    index = p.iota("int32", imag.shape, imag.rank - 1)
    zero = p.eq(index, full(0, index.type))
    if size % 2 == 0:
        zero = p.bit_or(zero, p.eq(index, full(size // 2, index.type)))
    return p.select(zero, full(0, imag.type), imag)


def _window(window: str | TensorLike | None, length: int, fft_length: int, dtype: str) -> Node:
    """Return the window, centered in `fft_length`. Named windows are periodic, as in spectral analysis."""
    if window is None:
        values = np.ones(length)
    elif isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                f'stft: If a string is passed to `window`, it is "hann" or "hamming", got {window!r}'
            )
        turns = 2 * np.pi * np.arange(length) / length
        values = 0.5 - 0.5 * np.cos(turns) if window == "hann" else 0.54 - 0.46 * np.cos(turns)
    else:
        node = cast_node(window, dtype)
        if node.shape != (length,):
            raise ShapeError(f"stft: The shape of `window` must be equal to ({length},), got {node.shape}")
        left = (fft_length - length) // 2
        return p.pad(node, 0, (left,), (fft_length - length - left,))
    left = (fft_length - length) // 2
    return _table(np.pad(values, (left, fft_length - length - left)), dtype)


def _stft_sizes(sequence_length: int, sequence_stride: int, fft_length: int) -> tuple[int, int, int]:
    passed = {
        "sequence_length": sequence_length,
        "sequence_stride": sequence_stride,
        "fft_length": fft_length,
    }
    for name, value in passed.items():
        if isinstance(value, float) or static_int(value, name) < 1:
            raise ValueError(f"stft: {name} must be a positive integer, got {value}")
    sizes = [static_int(n, name) for name, n in passed.items()]
    if sizes[2] < sizes[0]:
        raise ValueError(
            f"stft: `fft_length` must equal or exceed `sequence_length`, got {sizes[2]} and {sizes[0]}"
        )
    return sizes[0], sizes[1], sizes[2]


@operation
def stft(
    x: TensorLike,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: str | TensorLike | None = "hann",
    center: bool = True,
) -> tuple[Tensor, Tensor]:
    """Compute the short-time Fourier transform of a signal along the last axis.

    Args:
        x: Tensor (..., time).
        sequence_length: Integer, the length of the windows.
        sequence_stride: Integer, the distance of windows.
        fft_length: Integer, the length of the transform.
        window: "hann", "hamming", None, or a tensor (sequence_length,), the weights of the window.
        center: Extend the signal at both ends by fft_length / 2 reflected samples.

    Returns:
        Pair of tensors (real, imaginary) of shape (..., windows, fft_length / 2 + 1).
    """
    length, stride, size = _stft_sizes(sequence_length, sequence_stride, fft_length)
    node = float_node(x)
    if center:
        margin = [(0, 0)] * (node.rank - 1) + [(size // 2, size // 2)]
        node = pad(Tensor(node), margin, mode="reflect").node
    frames = extract_sequences(Tensor(node), size, stride).node
    weights = p.broadcast(_window(window, length, size, node.dtype), frames.shape, (frames.rank - 1,))
    return rfft(Tensor(frames * weights), size)


@operation
def istft(
    x: tuple[TensorLike, TensorLike],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: str | TensorLike | None = "hann",
    center: bool = True,
) -> Tensor:
    """Compute the inverse of `stft`.

    Overlapping windows are added and divided by the sum of their squared weights.

    Args:
        x: Pair of tensors (real, imaginary) of shape (..., windows, fft_length / 2 + 1).
        sequence_length: Integer, the length of the windows.
        sequence_stride: Integer, the distance of windows.
        fft_length: Integer, the length of the transform.
        length: Integer, the length of the signal, or None for all samples.
        window: "hann", "hamming", None, or a tensor (sequence_length,), the weights of the window.
        center: Undo the extension of the signal at both ends.

    Returns:
        Tensor (..., time).
    """
    span, stride, size = _stft_sizes(sequence_length, sequence_stride, fft_length)
    frames = irfft(x, size).node
    weights = _window(window, span, size, frames.dtype)
    window_weights = p.broadcast(weights, frames.shape, (frames.rank - 1,))
    signal = _overlap_add(frames * window_weights, stride)
    total = _overlap_add(window_weights * window_weights, stride)
    small = p.lt(total, full(1e-8, total.type))
    signal = signal / p.select(small, full(1, total.type), total)
    start = size // 2 if center else 0
    stop = (
        signal.shape[-1] - (size // 2 if center else 0)
        if length is None
        else start + static_int(length, "length")
    )
    stop_here = minimum(stop, signal.shape[-1])
    cut = p.slice_(signal, (*(0,) * (signal.rank - 1), start), (*signal.shape[:-1], stop_here))
    return Tensor(_resized(cut, stop - start))


def _overlap_add(frames: Node, stride: int) -> Node:
    count, size = frames.shape[-2:]
    lead = frames.shape[:-2]
    xp = array_functions(count, size)
    starts = xp.arange(count, dtype="int32")[:, None] * stride
    index = size_constant(xp.reshape(starts + xp.arange(size, dtype="int32"), (count * size, 1)), "int32")
    rows = p.transpose(p.reshape(frames, (math.prod(lead), count * size)), (1, 0))
    empty = full(0, TensorType(((count - 1) * stride + size, rows.shape[1]), frames.dtype))
    return p.reshape(p.transpose(p.scatter(empty, index, rows, "add"), (1, 0)), (*lead, empty.shape[0]))
