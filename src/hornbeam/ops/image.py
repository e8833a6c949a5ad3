"""Images: resizing, cropping, colours, filters, patches. Batches have four axes; a single image, three."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.config import standard_data_format
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.graph import Node, count_elements
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import ShapeError, is_float, numpy_dtype
from hornbeam.ops._common import float_node, image_batch, node_of
from hornbeam.ops.convolution import padding_of, sizes_of
from hornbeam.ops.rearranging import shifted_slices
from hornbeam.ops.warping import (
    affine_transform,
    in_float,
    map_coordinates,
    order_of,
    perspective_transform,
    sampled,
)

# fmt: off
__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d",
    "gaussian_blur", "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "psnr",
    "resize", "rgb_to_grayscale", "rgb_to_hsv", "scale_and_translate", "sobel_edges", "ssim",
]
# fmt: on


def _colours(images: Any, data_format: str | None, name: str) -> tuple[Node, Callable[[Node], Tensor]]:
    batch, restore = image_batch(images, data_format, name)
    if batch.shape[-1] != 3:
        raise ShapeError(
            f"{name} needs three channels, got {batch.shape[-1]} (shape {node_of(images).shape})"
        )
    return batch, restore


def _channel(node: Node, index: int) -> Node:
    return p.slice_(node, (0, 0, 0, index), (*node.shape[:3], index + 1))


# -- resizing ------------------------------------------------------------------------------------------------


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys, "Cubic convolution interpolation for digital image processing", 1981, a = -1/2."""
    x = np.abs(x)
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.where(np.abs(x) < radius, np.sinc(x) * np.sinc(x / radius), 0)


_KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bilinear": _triangle,
    "linear": _triangle,
    "bicubic": _cubic,
    "cubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def resize_weights(
    size: int, out: int, method: str, antialias: bool, scale: float, shift: float
) -> np.ndarray:
    """(out, size): how much each pixel of an axis counts for each pixel of the result. Pixels have their
    centres at i + 1/2; with `antialias` the kernel is stretched when the axis shrinks. Weights are made to
    sum to 1."""
    count_elements(out * size)
    inverse = 1.0 / scale
    width = max(inverse, 1.0) if antialias else 1.0
    centres = (np.arange(out) + 0.5 - shift) * inverse - 0.5
    weights = _KERNELS[method]((centres[:, None] - np.arange(size)) / width)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(
        weights, total, out=np.zeros_like(weights), where=np.abs(total) > 1000 * np.finfo(np.float32).eps
    )
    outside = (centres < -0.5) | (centres > size - 0.5)
    weights[outside] = 0
    return weights


def _along(node: Node, axis: int, weights: np.ndarray) -> Node:
    """One axis of images replaced by weighted sums of its pixels."""
    matrix = p.constant(weights.astype(numpy_dtype(node.dtype)), node.dtype)
    made = p.dot_general(node, matrix, contract=((axis,), (1,)))
    return p.transpose(made, (*range(axis), made.rank - 1, *range(axis, made.rank - 1)))


def _nearest(node: Node, axis: int, out: int) -> Node:
    from hornbeam.ops.selection import take

    size = node.shape[axis]
    count_elements(out)
    places = np.minimum(np.floor((np.arange(out) + 0.5) * size / out), size - 1).astype(np.int32)
    return take(Tensor(node), places, axis).node


def _resized(node: Node, size: Sequence[int], method: str, antialias: bool) -> Node:
    for axis, out in zip((1, 2), size, strict=True):
        length = node.shape[axis]
        if out == length:
            continue
        if method == "nearest":
            node = _nearest(node, axis, out)
        else:
            node = _along(node, axis, resize_weights(length, out, method, antialias, out / length, 0.0))
    return node


def aspect_window(h: int, w: int, size: Sequence[int], larger: bool) -> tuple[int, int, int, int]:
    """Top, left, height and width of the largest window in the middle of h x w that has the proportions of
    `size`, or of the smallest one around it (whose top and left are then negative)."""
    by_width, by_height = int(w * size[0] / size[1]), int(h * size[1] / size[0])
    if larger:
        height, width = max(h, by_width), max(w, by_height)
        return -((height - h) // 2), -((width - w) // 2), height, width
    height, width = max(min(h, by_width), 1), max(min(w, by_height), 1)
    return (h - height) // 2, (w - width) // 2, height, width


@operation
def resize(
    images: Any,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Images brought to the size (height, width).

    interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5". antialias: average over what a
    pixel covers when shrinking. Where the proportions differ the image is distorted, unless it is cropped or
    padded (with `fill_value`) to the new proportions first. Integer images are rounded and stay integers.

    >>> hornbeam.ops.image.resize(hornbeam.ops.ones((1, 8, 8, 3)), (4, 6)).shape
    (1, 4, 6, 3)
    """
    if interpolation != "nearest" and interpolation not in _KERNELS:
        raise ValueError(
            f"interpolation must be nearest, bilinear, bicubic, lanczos3 or lanczos5, got {interpolation!r}"
        )
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("resize: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")
    if fill_mode != "constant":
        raise ValueError(f'resize: fill_mode must be "constant", got {fill_mode!r}')
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"resize: size must be (height, width), got {size!r}")
    target = (int(size[0]), int(size[1]))
    batch, restore = image_batch(images, data_format, "resize")
    dtype = batch.dtype
    node = batch if is_float(dtype) or interpolation == "nearest" else p.convert(batch, "float32")
    h, w = node.shape[1:3]
    if crop_to_aspect_ratio:
        top, left, ch, cw = aspect_window(h, w, target, larger=False)
        node = p.slice_(node, (0, top, left, 0), (node.shape[0], top + ch, left + cw, node.shape[3]))
    if pad_to_aspect_ratio:
        up, back, ph, pw = aspect_window(h, w, target, larger=True)
        top, left = -up, -back
        value = full(fill_value, p.reduce_sum(node, (0, 1, 2, 3)).type)
        node = p.pad(node, value, (0, top, left, 0), (0, ph - h - top, pw - w - left, 0))
    node = _resized(node, target, interpolation, antialias)
    return restore(_to_dtype(node, dtype))


def _to_dtype(node: Node, dtype: str) -> Node:
    """Back to the images' dtype: integers are rounded and kept within their range."""
    return node if node.dtype == dtype else p.convert(p.round_even(node), dtype)


@operation
def scale_and_translate(
    images: Any,
    output_shape: Sequence[int],
    scale: Any,
    translation: Any,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Axes `spatial_dims` of a tensor scaled by `scale`, then moved by `translation` pixels; 0 where nothing
    was.

    scale, translation: known numbers, one per axis. method: "linear" (or "bilinear"), "cubic" ("bicubic"),
    "lanczos3", "lanczos5". output_shape: of the whole result.
    """
    if method not in _KERNELS:
        raise ValueError(f"scale_and_translate: method must be one of {', '.join(_KERNELS)}, got {method!r}")
    node = float_node(images)
    scales, shifts = (
        np.asarray(scale, np.float64).reshape(-1),
        np.asarray(translation, np.float64).reshape(-1),
    )
    if len(output_shape) != node.rank or not len(spatial_dims) == scales.size == shifts.size:
        raise ShapeError(
            "scale_and_translate: needs a size per axis, and a scale and translation per spatial axis"
        )
    for axis, factor, shift in zip(spatial_dims, scales, shifts, strict=True):
        at = axis % node.rank
        weights = resize_weights(
            node.shape[at], output_shape[at], method, antialias, float(factor), float(shift)
        )
        node = _along(node, at, weights)
    if node.shape != tuple(output_shape):
        raise ShapeError(
            f"scale_and_translate: the other axes of {tuple(output_shape)} differ from {node.shape}"
        )
    return Tensor(node)


# -- cropping and padding ------------------------------------------------------------------------------------


def _margins(size: int, before: Any, after: Any, target: Any, grow: bool, name: str) -> tuple[int, int]:
    """Amounts before and after an axis, of which two of (before, after, target) are given."""
    given = [x is not None for x in (before, after, target)]
    if sum(given) != 2:
        raise ValueError(
            f"{name}: give exactly two of the amounts before and after and the target size of each axis"
        )
    if target is not None:
        rest = (target - size if grow else size - target) - (before or 0) - (after or 0)
        before, after = (rest, after) if before is None else (before, rest)
    if before < 0 or after < 0 or (not grow and before + after > size):
        raise ShapeError(f"{name}: amounts {before} and {after} do not fit an axis of size {size}")
    return int(before), int(after)


@operation
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images with rows and columns of zeros around them; of (top, bottom, target height), and so on, give
    two.

    >>> hornbeam.ops.image.pad_images(hornbeam.ops.ones((1, 2, 2, 3)), 1, 1, 1, 1).shape
    (1, 4, 4, 3)
    """
    node, restore = image_batch(images, data_format, "pad_images")
    top, bottom = _margins(node.shape[1], top_padding, bottom_padding, target_height, True, "pad_images")
    left, right = _margins(node.shape[2], left_padding, right_padding, target_width, True, "pad_images")
    return restore(p.pad(node, 0, (0, top, left, 0), (0, bottom, right, 0)))


@operation
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Images without some rows and columns at their edges; of (top, bottom, target height), and so on, give
    two.

    >>> hornbeam.ops.image.crop_images(hornbeam.ops.ones((1, 4, 4, 3)), 1, 1, 1, 1).shape
    (1, 2, 2, 3)
    """
    node, restore = image_batch(images, data_format, "crop_images")
    n, h, w, c = node.shape
    top, bottom = _margins(h, top_cropping, bottom_cropping, target_height, False, "crop_images")
    left, right = _margins(w, left_cropping, right_cropping, target_width, False, "crop_images")
    return restore(p.slice_(node, (0, top, left, 0), (n, h - bottom, w - right, c)))


# -- colours -------------------------------------------------------------------------------------------------


@operation
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Tensor:
    """0.2989 red + 0.587 green + 0.114 blue (ITU-R BT.601), one channel, in the images' dtype (integers are
    cut off).

    >>> hornbeam.ops.image.rgb_to_grayscale(hornbeam.ops.ones((1, 2, 2, 3))).shape
    (1, 2, 2, 1)
    """
    node, restore = _colours(images, data_format, "rgb_to_grayscale")
    work = node if is_float(node.dtype) else p.convert(node, "float32")
    red, green, blue = (_channel(work, i) for i in range(3))
    return restore(p.convert(red * 0.2989 + green * 0.587 + blue * 0.114, node.dtype))


def _float_colours(images: Any, data_format: str | None, name: str) -> tuple[Node, Callable[[Node], Tensor]]:
    node, restore = _colours(images, data_format, name)
    if not is_float(node.dtype):
        raise TypeError(f"{name} needs floats from 0 to 1, got {node.dtype}: divide by 255 first")
    return node, restore


@operation
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Tensor:
    """Red, green, blue (floats from 0 to 1) as hue, saturation, value (0 to 1). Smith, 1978."""
    node, restore = _float_colours(images, data_format, "rgb_to_hsv")
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
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Tensor:
    """Hue, saturation, value (floats from 0 to 1) as red, green, blue (0 to 1). Smith, 1978."""
    node, restore = _float_colours(images, data_format, "hsv_to_rgb")
    hue, saturation, value = (_channel(node, i) for i in range(3))

    def part(offset: float) -> Node:
        turned = hue * 6.0 + offset
        place = turned - p.floor(turned / 6.0) * 6.0
        ramp = p.minimum(p.minimum(place, 4.0 - place), ones_like(place))
        return value - value * saturation * p.maximum(ramp, zeros_like(ramp))

    return restore(p.concatenate(part(5.0), part(3.0), part(1.0), axis=3))


# -- filters -------------------------------------------------------------------------------------------------


def _filtered(node: Node, kernel: np.ndarray | Node) -> Node:
    """Every channel under one (h, w) kernel, without padding."""
    channels = node.shape[-1]
    if not isinstance(kernel, Node):
        kernel = p.constant(kernel.astype(numpy_dtype(node.dtype)), node.dtype)
    w = p.broadcast(kernel, (*kernel.shape, 1, channels), (0, 1))
    return p.conv(node, w, (1, 1), ((0, 0), (0, 0)), (1, 1), channels)


def _mirrored(node: Node, rows: int, columns: int) -> Node:
    from hornbeam.ops.shaping import pad

    return pad(Tensor(node), ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="reflect").node


def gaussian_kernel(size: int, sigma: float) -> np.ndarray:
    """A normal density at the integers around 0, made to sum to 1."""
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def _gaussian_node(size: int, sigma: Node) -> Node:
    """`gaussian_kernel` for a computed sigma."""
    count_elements(size)
    x = p.constant((np.arange(size) - (size - 1) / 2).astype(numpy_dtype(sigma.dtype)), sigma.dtype)
    ratio = x / p.broadcast(p.reshape(sigma, ()), (size,), ())
    weights = p.exp(ratio * ratio * -0.5)
    return weights / p.broadcast(p.reduce_sum(weights, (0,)), (size,), ())


@operation
def gaussian_blur(
    images: Any, kernel_size: Any = (3, 3), sigma: Any = (1.0, 1.0), data_format: str | None = None
) -> Tensor:
    """Images averaged with the weights of a normal distribution; zeros beyond the edges.

    kernel_size, sigma: (across, down), as in Keras; sigma may be computed values.
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
    return restore(_to_dtype(_filtered(node, kernel), dtype))


@operation
def sobel_edges(images: Any, data_format: str | None = None) -> Tensor:
    """Slopes along rows and along columns by Sobel's kernels: a last axis of two, vertical then horizontal
    slope."""
    batch, restore = image_batch(images, data_format, "sobel_edges")
    node = _mirrored(batch if is_float(batch.dtype) else p.convert(batch, "float32"), 1, 1)
    down = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]], np.float64)
    parts = [restore(_filtered(node, k)).node for k in (down, down.T)]
    return Tensor(p.concatenate(*(p.reshape(n, (*n.shape, 1)) for n in parts), axis=parts[0].rank))


@operation
def psnr(x1: Any, x2: Any, max_val: Any) -> Tensor:
    """Peak signal-to-noise ratio in decibels: 20 log10(max_val) - 10 log10(mean((x1 - x2)^2)), over
    everything.

    >>> float(hornbeam.ops.psnr([1.0], [0.0], 1.0))
    0.0
    """
    from hornbeam.core.operators import subtract
    from hornbeam.ops.elementwise import log10, square
    from hornbeam.ops.reduction import mean

    if node_of(x1).shape != node_of(x2).shape:
        raise ShapeError(
            f"psnr compares images of one shape, got {node_of(x1).shape} and {node_of(x2).shape}"
        )
    error = mean(square(subtract(Tensor(float_node(x1)), Tensor(float_node(x2)))))
    return 20.0 * log10(Tensor(cast_node(max_val, error.dtype))) - 10.0 * log10(error)


@operation
def ssim(
    image1: Any,
    image2: Any,
    max_val: float = 1.0,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
    data_format: str | None = None,
) -> Tensor:
    """Structural similarity of images, one number each: 1 for equal ones.

    Means, variances and covariance under a Gaussian window of `filter_size`. Wang et al., "Image quality
    assessment: from error visibility to structural similarity", 2004.
    """
    a, _ = image_batch(image1, data_format, "ssim")
    b, _ = image_batch(image2, data_format, "ssim")
    if a.shape != b.shape:
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
    made = luminance * structure
    means = p.reduce_sum(made, (1, 2, 3)) / float(math.prod(made.shape[1:]))
    return Tensor(means if node_of(image1).rank == 4 else p.reshape(means, ()))


@operation
def elastic_transform(
    images: Any,
    alpha: float = 20.0,
    sigma: float = 5.0,
    interpolation: str = "bilinear",
    fill_mode: str = "reflect",
    fill_value: Any = 0.0,
    seed: Any = None,
    data_format: str | None = None,
) -> Tensor:
    """Images deformed by smooth random shifts, in pixels: normal noise of deviation `sigma`, blurred with
    `sigma` pixels, times `alpha`.

    Simard, Steinkraus & Platt, "Best practices for convolutional neural networks", 2003.
    """
    node, restore = image_batch(images, data_format, "elastic_transform")
    order = order_of(interpolation)
    size = int(6 * sigma) | 1
    return restore(deformed(node, alpha, sigma, size, order, fill_mode, fill_value, seed))


def deformed(
    node: Node, alpha: Any, sigma: Any, size: int, order: int, fill_mode: str, fill_value: Any, seed: Any
) -> Node:
    """Images (n, h, w, c) read at places that lie `alpha` times blurred noise beside their own.

    alpha, sigma: may be computed values. size: of the blur's window, an odd number.
    """
    from hornbeam import random

    grid = node.shape[:3]
    noise = random.normal((*grid, 2), seed=seed, dtype="float32")
    width = cast_node(sigma, "float32")
    blurred = gaussian_blur(noise, size, Tensor(p.broadcast(width, (2,), ())), "channels_last").node
    shifts = blurred * p.broadcast(cast_node(alpha, "float32") * width, blurred.shape, ())
    places = [
        p.iota("float32", grid, axis + 1)
        + p.reshape(p.slice_(shifts, (0, 0, 0, axis), (*grid, axis + 1)), grid)
        for axis in range(2)
    ]
    return in_float(node, lambda n: sampled(n, places, order, fill_mode, fill_value, batch_dims=1))


# -- patches -------------------------------------------------------------------------------------------------


def _patches(node: Node, size: Any, strides: Any, dilation: Any, padding: str, rank: int) -> Node:
    window = sizes_of(size, rank, "size")
    steps = window if strides is None else sizes_of(strides, rank, "strides")
    rate = sizes_of(dilation, rank, "dilation_rate")
    pads = padding_of(padding, node.shape[1:-1], window, steps, rate)
    node = p.pad(node, 0, (0, *(a for a, _ in pads), 0), (0, *(b for _, b in pads), 0))
    counts = tuple(
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(node.shape[1:-1], window, steps, rate, strict=True)
    )
    if min(counts) < 1:
        raise ShapeError(f"patches of {window} do not fit into images of {node.shape[1:-1]}")
    return p.concatenate(*shifted_slices(node, window, steps, rate, counts), axis=node.rank - 1)


@operation
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Windows of images as channels: (n, rows, columns, height * width * channels). strides: `size` unless
    given.

    >>> hornbeam.ops.image.extract_patches(hornbeam.ops.ones((1, 4, 4, 3)), 2).shape
    (1, 2, 2, 12)
    """
    node, restore = image_batch(images, data_format, "extract_patches")
    return restore(_patches(node, size, strides, dilation_rate, padding, 2))


@operation
def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Windows of volumes (n, d, h, w, c) as channels, as `extract_patches` does for images."""
    node = node_of(volumes)
    if node.rank not in (4, 5):
        raise ShapeError(
            f"extract_patches_3d needs a volume (four axes) or a batch (five), got shape {node.shape}"
        )
    single, first = node.rank == 4, standard_data_format(data_format) == "channels_first"
    batch = p.reshape(node, (1, *node.shape)) if single else node
    batch = p.transpose(batch, (0, 2, 3, 4, 1)) if first else batch
    made = _patches(batch, size, strides, dilation_rate, padding, 3)
    made = p.transpose(made, (0, 4, 1, 2, 3)) if first else made
    return Tensor(p.reshape(made, made.shape[1:]) if single else made)
