"""Sizes of windows: what convolution, pooling and spectrogram layers share."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam.ir.types import ShapeError


def window_output(size: int, window: int, stride: int, padding: str, dilation: int = 1) -> int:
    """Number of positions of a window along an axis of `size`."""
    if padding != "valid":
        return -(-size // stride)
    return (size - dilation * (window - 1) - 1) // stride + 1


def check_window(
    where: str,
    spatial: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str,
    dilation: Sequence[int] | None = None,
) -> None:
    """Raise ShapeError if a window does not fit into its input."""
    dilation = dilation or (1,) * len(window)
    out = tuple(map(window_output, spatial, window, strides, [padding] * len(window), dilation))
    if min(out) <= 0:
        dilated = "" if max(dilation) == 1 else f" (dilated by {tuple(dilation)})"
        raise ShapeError(
            f"{where}: a window of {tuple(window)}{dilated} is larger than its input of {tuple(spatial)}, "
            f"the output would have size {tuple(max(size, 0) for size in out)}. "
            'Use padding="same", a smaller window, or fewer pooling layers before this one'
        )


def spatial_sizes(shape: Sequence[int], data_format: str) -> tuple[int, ...]:
    """Return the sizes of all axes but batch and channels."""
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def channel_axis(data_format: str) -> int:
    """Return the index of the channel axis."""
    return -1 if data_format == "channels_last" else 1
