"""Color spaces: grayscale and HSV."""

from __future__ import annotations

from collections.abc import Callable

from hornbeam import primitives as p
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import ones_like, zeros_like
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.ops._common import image_batch, node_of


def _rgb_channels(
    images: TensorLike, data_format: str | None, name: str
) -> tuple[Node, Callable[[Node], Tensor]]:
    batch, restore = image_batch(images, data_format, name)
    if batch.shape[-1] != 3:
        raise ShapeError(
            f"{name} needs three channels, got {batch.shape[-1]} (shape {node_of(images).shape})"
        )
    return batch, restore


def _channel(node: Node, index: int) -> Node:
    return p.slice_(node, (0, 0, 0, index), (*node.shape[:3], index + 1))


@operation
def rgb_to_grayscale(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Convert RGB to grayscale: 0.2989 red + 0.587 green + 0.114 blue (ITU-R BT.601).

    Args:
        images: Tensor (n, height, width, 3), one image of three axes, or channels first. Images of one
            channel are returned as they are.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form with one channel, in the dtype of `images`; integers are truncated.

    Raises:
        ShapeError: If the images have neither three channels nor one.

    Example:
        >>> hornbeam.ops.image.rgb_to_grayscale(hornbeam.ops.ones((1, 2, 2, 3))).shape
        (1, 2, 2, 1)
    """
    node, restore = image_batch(images, data_format, "rgb_to_grayscale")
    if node.shape[-1] == 1:
        return restore(node)
    if node.shape[-1] != 3:
        raise ShapeError(
            "rgb_to_grayscale: Invalid channel size: expected 3 (RGB) or 1 (Grayscale). "
            f"Got {node.shape[-1]} (shape {node_of(images).shape})"
        )
    work = node if is_float(node.dtype) else p.convert(node, "float32")
    red, green, blue = (_channel(work, i) for i in range(3))
    return restore(p.convert(red * 0.2989 + green * 0.587 + blue * 0.114, node.dtype))


def _float_channels(
    images: TensorLike, data_format: str | None, name: str
) -> tuple[Node, Callable[[Node], Tensor]]:
    node, restore = _rgb_channels(images, data_format, name)
    if not is_float(node.dtype):
        raise ValueError(
            f"{name}: Invalid images dtype: expected float dtype. The values are in [0, 1], and these are "
            f"{node.dtype}: divide by 255 first"
        )
    return node, restore


@operation
def rgb_to_hsv(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Convert red, green, blue to hue, saturation, value.

    Args:
        images: Tensor (n, height, width, 3) of floats in [0, 1], one image of three axes, or channels first.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, in [0, 1].

    Raises:
        ShapeError: If the images do not have three channels.
        TypeError: If the images hold integers.

    Source: Smith, 1978.
    """
    node, restore = _float_channels(images, data_format, "rgb_to_hsv")
    red, green, blue = (_channel(node, i) for i in range(3))
    value = p.maximum(p.maximum(red, green), blue)
    span = value - p.minimum(p.minimum(red, green), blue)
    grey = p.eq(span, zeros_like(span))
    safe = p.select(grey, ones_like(span), span)
    sixth = p.select(
        p.eq(value, red),
        (green - blue) / safe,
        p.select(p.eq(value, green), (blue - red) / safe + 2.0, (red - green) / safe + 4.0),
    )
    hue = p.select(grey, zeros_like(span), sixth / 6.0)
    hue = p.select(p.lt(hue, zeros_like(hue)), hue + 1.0, hue)
    black = p.gt(value, zeros_like(value))
    saturation = p.select(black, span / p.select(black, value, ones_like(value)), zeros_like(span))
    return restore(p.concatenate(hue, saturation, value, axis=3))


@operation
def hsv_to_rgb(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Convert hue, saturation, value to red, green, blue.

    Args:
        images: Tensor (n, height, width, 3) of floats in [0, 1], one image of three axes, or channels first.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, in [0, 1].

    Raises:
        ShapeError: If the images do not have three channels.
        TypeError: If the images hold integers.

    Source: Smith, 1978.
    """
    node, restore = _float_channels(images, data_format, "hsv_to_rgb")
    hue, saturation, value = (_channel(node, i) for i in range(3))

    def part(offset: float) -> Node:
        sextant = hue * 6.0 + offset
        position = sextant - p.floor(sextant / 6.0) * 6.0
        ramp = p.minimum(p.minimum(position, 4.0 - position), ones_like(position))
        return value - value * saturation * p.maximum(ramp, zeros_like(ramp))

    return restore(p.concatenate(part(5.0), part(3.0), part(1.0), axis=3))
