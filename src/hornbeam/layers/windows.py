"""Sizes of windows: what convolution, pooling and spectrogram layers share."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import FunctionType
from typing import Any

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


def show_axis_defaults(cls: type, **defaults: int) -> None:
    """Give a layer of some `rank` the shared constructor of its family with a default for each axis.

    The layers of one, two and three dimensions share a constructor, in which one integer stands for all
    axes. As in Keras, their signatures have (1, 1) for images and (1, 1, 1) for volumes.
    """
    rank = vars(cls).get("rank")
    if rank is None:
        return
    init: Any = cls.__init__  # type: ignore[misc]
    own = FunctionType(init.__code__, init.__globals__, init.__name__, None, init.__closure__)
    own.__annotations__, own.__qualname__ = init.__annotations__, f"{cls.__qualname__}.__init__"
    own.__defaults__ = tuple(
        (defaults[p.name],) * rank if rank > 1 and p.name in defaults else p.default
        for p in inspect.signature(init).parameters.values()
        if p.default is not p.empty
    )
    cls.__init__ = own  # type: ignore[misc]
