"""Filters and measures of similarity: blur, edges, PSNR, SSIM."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.operators import subtract
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import ShapeError, is_float, numpy_dtype
from hornbeam.ops._common import float_node, image_batch, node_of
from hornbeam.ops.convolution import padding_of, sizes_of
from hornbeam.ops.elementwise import log10, square
from hornbeam.ops.image.resizing import to_dtype
from hornbeam.ops.reduction import mean
from hornbeam.ops.repeating import pad


def _filtered(node: Node, kernel: np.ndarray | Node) -> Node:
    """Convolve every channel with one (h, w) kernel, without padding."""
    channels = node.shape[-1]
    if not isinstance(kernel, Node):
        kernel = p.constant(kernel.astype(numpy_dtype(node.dtype)), node.dtype)
    w = p.broadcast(kernel, (*kernel.shape, 1, channels), (0, 1))
    return p.conv(node, w, (1, 1), ((0, 0), (0, 0)), (1, 1), channels)


def _mirrored(node: Node, rows: int, columns: int) -> Node:

    return pad(Tensor(node), ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect").node


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """Return a normal density at the integers around 0, scaled to sum to 1."""
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def _gaussian_node(size: int, sigma: Node) -> Node:
    """Compute `gaussian_kernel` of a traced sigma."""
    count_elements(size)
    x = p.constant((np.arange(size) - (size - 1) / 2).astype(numpy_dtype(sigma.dtype)), sigma.dtype)
    ratio = x / p.broadcast(p.reshape(sigma, ()), (size,), ())
    weights = p.exp(ratio * ratio * -0.5)
    return weights / p.broadcast(p.reduce_sum(weights, (0,)), (size,), ())


@operation
def gaussian_blur(
    images: TensorLike,
    kernel_size: int | Sequence[int] = (3, 3),
    sigma: TensorLike = (1.0, 1.0),
    data_format: str | None = None,
) -> Tensor:
    """Blur images by a Gaussian kernel; zeros beyond the edges.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        kernel_size: Integer or pair of integers (horizontal, vertical), as in Keras.
        sigma: Number or pair of numbers (horizontal, vertical), the standard deviation in pixels; may be a
            tensor.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, in the dtype of `images`.
    """
    node, restore = image_batch(images, data_format, "gaussian_blur")
    dtype = node.dtype
    node = node if is_float(dtype) else p.convert(node, "float32")
    columns, rows = sizes_of(kernel_size, 2, "kernel_size")
    widths = cast_node((sigma, sigma) if isinstance(sigma, (int, float)) else sigma, node.dtype)
    if widths.shape != (2,):
        raise ShapeError(f"gaussian_blur: sigma must be one number or two, got shape {widths.shape}")
    across, down = (
        _gaussian_node(size, p.slice_(widths, (i,), (i + 1,))) for i, size in enumerate((columns, rows))
    )
    kernel = p.broadcast(down, (rows, columns), (0,)) * p.broadcast(across, (rows, columns), (1,))
    pads = padding_of("same", node.shape[1:3], (rows, columns), (1, 1), (1, 1))
    node = p.pad(node, 0, (0, pads[0][0], pads[1][0], 0), (0, pads[0][1], pads[1][1], 0))
    return restore(to_dtype(_filtered(node, kernel), dtype))


@operation
def sobel_edges(images: TensorLike, data_format: str | None = None) -> Tensor:
    """Compute the image gradients along rows and columns by Sobel's kernels.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form with a last axis of two: the vertical, then the horizontal gradient.
    """
    batch, restore = image_batch(images, data_format, "sobel_edges")
    node = _mirrored(batch if is_float(batch.dtype) else p.convert(batch, "float32"), 1, 1)
    down = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float64)
    parts = [restore(_filtered(node, k)).node for k in (down, down.T)]
    return Tensor(p.concatenate(*(p.reshape(n, (*n.shape, 1)) for n in parts), axis=parts[0].rank))


@operation
def psnr(x1: TensorLike, x2: TensorLike, max_val: TensorLike) -> Tensor:
    """Compute the peak signal-to-noise ratio in decibels over all elements.

    20 log10(max_val) - 10 log10(mean((x1 - x2)^2)).

    Args:
        x1: Tensor of any shape, the first images.
        x2: Tensor of the shape of `x1`.
        max_val: Scalar, the largest possible value.

    Returns:
        Scalar tensor.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> float(hornbeam.ops.psnr([1.0], [0.0], 1.0))
        0.0
    """

    if not same_shape(node_of(x1).shape, node_of(x2).shape):
        raise ShapeError(
            f"psnr compares images of one shape, got {node_of(x1).shape} and {node_of(x2).shape}"
        )
    error = mean(square(subtract(Tensor(float_node(x1)), Tensor(float_node(x2)))))
    return 20.0 * log10(Tensor(cast_node(max_val, error.dtype))) - 10.0 * log10(error)


@operation
def ssim(
    image1: TensorLike,
    image2: TensorLike,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """Compute the structural similarity of images: 1 for equal images.

    Means, variances and covariance are taken under a Gaussian window.

    Args:
        image1: Tensor (n, height, width, channels), one image of three axes, or channels first.
        image2: Tensor of the shape of `image1`.
        max_val: Number, the largest possible value.
        filter_size: Integer, the size of the window.
        filter_sigma: Number, the standard deviation of the window in pixels.
        k1, k2: Numbers that stabilize the quotients of means and of variances.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (n,), or a scalar for one image.

    Raises:
        ShapeError: If the shapes differ or the images are smaller than the window.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004.
    """
    a, _ = image_batch(image1, data_format, "ssim")
    b, _ = image_batch(image2, data_format, "ssim")
    if not same_shape(a.shape, b.shape):
        raise ShapeError(f"ssim compares images of one shape, got {a.shape} and {b.shape}")
    if min(a.shape[1:3]) < filter_size:
        raise ShapeError(f"ssim: images of {a.shape[1:3]} are smaller than the filter of {filter_size}")
    a, b = (n if is_float(n.dtype) else p.convert(n, "float32") for n in (a, b))
    line = gaussian_kernel(filter_size, filter_sigma)
    kernel = np.outer(line, line)
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mean_a, mean_b = _filtered(a, kernel), _filtered(b, kernel)
    products = mean_a * mean_b
    squares = mean_a * mean_a + mean_b * mean_b
    covariance = _filtered(a * b, kernel) - products
    variances = _filtered(a * a + b * b, kernel) - squares
    luminance = (products * 2.0 + c1) / (squares + c1)
    structure = (covariance * 2.0 + c2) / (variances + c2)
    similarity = luminance * structure
    means = p.reduce_sum(similarity, (1, 2, 3)) / math.prod(similarity.shape[1:])
    return Tensor(means if node_of(image1).rank == 4 else p.reshape(means, ()))
