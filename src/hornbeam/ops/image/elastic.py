"""Elastic deformation of images."""

from __future__ import annotations

from hornbeam import primitives as p
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ops._common import image_batch
from hornbeam.ops.image.filters import gaussian_blur
from hornbeam.ops.image.warping import (
    in_float,
    order_of,
    sampled,
)
from hornbeam.random.keys import SeedLike


@operation
def elastic_transform(
    images: TensorLike,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: float = 0.0,
    seed: SeedLike = None,
    data_format: str | None = None,
) -> Tensor:
    """Deform images by smooth random displacements.

    The displacements, in pixels, are normal noise of standard deviation `sigma`, blurred with `sigma` pixels,
    times `alpha`.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        alpha: Number, the strength of the deformation.
        sigma: Number, the smoothness of the deformation in pixels.
        interpolation: "nearest" or "bilinear".
        fill_mode: Values beyond the edges: "constant" (`fill_value`), "nearest", "wrap", "mirror" (about the
            edge elements) or "reflect" (about the edges).
        fill_value: Number beyond the edges in "constant" mode.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, in the dtype of `images`.

    Source: Simard, Steinkraus & Platt, "Best practices for convolutional neural networks", 2003.
    """
    node, restore = image_batch(images, data_format, "elastic_transform")
    order = order_of(interpolation)
    size = int(6 * sigma) | 1
    return restore(deformed(node, alpha, sigma, size, order, fill_mode, fill_value, seed))


def deformed(
    node: Node,
    alpha: TensorLike,
    sigma: TensorLike,
    size: int,
    order: int,
    fill_mode: str,
    fill_value: TensorLike,
    seed: SeedLike,
) -> Node:
    """Sample images (n, h, w, c) at positions displaced by `alpha` times blurred noise.

    alpha and sigma may be traced; `size`, of the window of the blur, is odd.
    """
    from hornbeam import random

    grid = node.shape[:3]
    noise = random.normal((*grid, 2), seed=seed, dtype="float32")
    width = cast_node(sigma, "float32")
    blurred = gaussian_blur(noise, size, Tensor(p.broadcast(width, (2,), ())), "channels_last").node
    shifts = blurred * p.broadcast(cast_node(alpha, "float32") * width, blurred.shape, ())
    positions = [
        p.iota("float32", grid, axis + 1)
        + p.reshape(p.slice_(shifts, (0, 0, 0, axis), (*grid, axis + 1)), grid)
        for axis in range(2)
    ]
    return in_float(node, lambda n: sampled(n, positions, order, fill_mode, fill_value, batch_dims=1))
