"""Image sizes: resizing, scaling, cropping and padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import cast
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import is_unknown, same_shape
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.ops import numpy as tensor_functions
from hornbeam.ops._common import array_functions, float_node, image_batch, size_constant, static_int
from hornbeam.ops.selection import take

# Kernels get the module to compute with: NumPy for known scales, `hornbeam.ops.numpy` for tensors.


def _triangle(x: Any, xp: ModuleType) -> Any:
    return xp.maximum(0, 1 - xp.abs(x))


def _cubic(x: Any, xp: ModuleType) -> Any:
    """Keys, "Cubic convolution interpolation for digital image processing", 1981, a = -1/2."""
    x = xp.abs(x)
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return xp.where(x < 1, near, xp.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Any, ModuleType], Any]:
    return lambda x, xp: xp.where(xp.abs(x) < radius, xp.sinc(x) * xp.sinc(x / radius), 0)


_KERNELS: dict[str, Callable[[Any, ModuleType], Any]] = {
    "bilinear": _triangle,
    "linear": _triangle,
    "bicubic": _cubic,
    "cubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def resize_weights(
    size: int, out: int, method: str, antialias: bool, scale: Any, shift: Any, xp: ModuleType = np
) -> Any:
    """Return the weights (out, size) of the pixels of an axis for the pixels of the result.

    Pixels have their centers at i + 1/2; with `antialias` the kernel is stretched when the axis shrinks.
    Weights sum to 1.
    """
    count_elements(out * size)
    inverse = 1.0 / scale
    width = xp.maximum(inverse, 1.0) if antialias else 1.0
    centers = ((xp.arange(out) + 0.5 - shift) * inverse - 0.5)[:, None]
    weights = _KERNELS[method]((centers - xp.arange(size)) / width, xp)
    total = xp.sum(weights, axis=1, keepdims=True)
    inside = (centers >= -0.5) & (centers <= size - 0.5)
    some = xp.abs(total) > 1000 * np.finfo(np.float32).eps
    return xp.where(inside & some, weights / xp.where(some, total, 1), 0)


def _along(node: Node, axis: int, weights: Tensor | np.ndarray) -> Node:
    """Replace an axis of images by weighted sums of its pixels."""
    return p.resample(node, size_constant(weights, node.dtype), axis=axis)


def _is_equal(a: Any, b: Any) -> bool:
    """Return whether two sizes are certainly equal; `!=` is false for sizes that are not known."""
    return bool(a == b)


def _nearest_places(size: int, out: int) -> Any:
    """Return the pixel of an axis that is nearest to each pixel of the result."""
    count_elements(out)
    xp = array_functions(size, out)
    return xp.minimum(xp.floor((xp.arange(out) + 0.5) * size / out), size - 1).astype("int32")


def _nearest(node: Node, size: Sequence[int]) -> Node:
    changed = [axis for axis in (1, 2) if not _is_equal(node.shape[axis], size[axis - 1])]
    places = [_nearest_places(node.shape[axis], size[axis - 1]) for axis in changed]
    if len(changed) < 2:
        return take(Tensor(node), places[0], changed[0]).node if changed else node
    # Both axes at once: no image of a size in between is written and read again.
    batch, height, width, *rest = node.shape
    pixels = p.reshape(node, (batch, height * width, *rest))
    rows, columns = (Tensor(size_constant(x, "int32")) for x in places)
    chosen = (rows[:, None] * width + columns).reshape(-1)
    return p.reshape(take(Tensor(pixels), chosen, 1).node, (batch, *size, *rest))


def _resized(node: Node, size: Sequence[int], method: str, antialias: bool) -> Node:
    if method == "nearest":
        return _nearest(node, size)
    for axis, out in zip((1, 2), size, strict=True):
        length = node.shape[axis]
        if not _is_equal(out, length):
            xp = array_functions(length, out)
            node = _along(node, axis, resize_weights(length, out, method, antialias, out / length, 0.0, xp))
    return node


def aspect_window(h: int, w: int, size: Sequence[int], larger: bool) -> tuple[int, int, int, int]:
    """Return top, left, height and width of the largest centered window with the proportions of `size`.

    With `larger` it is the smallest one around h x w, whose top and left are negative.
    """
    by_width, by_height = w * size[0] // size[1], h * size[1] // size[0]
    if larger:
        height, width = max(h, by_width), max(w, by_height)
        return -((height - h) // 2), -((width - w) // 2), height, width
    height, width = max(min(h, by_width), 1), max(min(w, by_height), 1)
    return (h - height) // 2, (w - width) // 2, height, width


@operation
def resize(
    images: TensorLike,
    size: Sequence[int],
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Resize images.

    Integer images are rounded and stay integers.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        size: Pair of integers (height, width).
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        antialias: Average over the area of a pixel when the image shrinks.
        crop_to_aspect_ratio: Crop the images to the proportions of `size` first; otherwise they are
            distorted.
        pad_to_aspect_ratio: Pad the images to the proportions of `size` first.
        fill_mode: "constant", the only mode of padding.
        fill_value: Number of the padding.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form, of the given height and width, in the dtype of `images`.

    Raises:
        ValueError: If an option is unknown or two exclude each other.

    Example:
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
    target = tuple([n if is_unknown(n) else int(n) for n in size])
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
    return restore(to_dtype(node, dtype))


def to_dtype(node: Node, dtype: str) -> Node:
    """Convert back to the dtype of the images: integers are rounded and limited to their range."""
    return node if node.dtype == dtype else p.convert(p.round_even(node), dtype)


@operation
def scale_and_translate(
    images: TensorLike,
    output_shape: Sequence[int],
    scale: TensorLike,
    translation: TensorLike,
    spatial_dims: Sequence[int],
    method: str,
    antialias: bool = True,
) -> Tensor:
    """Scale axes of a tensor, then move them; 0 where the result lies outside of the input.

    Args:
        images: Tensor of any number of axes.
        output_shape: Sequence of integers, the shape of the result; None keeps the size of an axis.
        scale: Vector of numbers, one for each of `spatial_dims`; differentiable if it is a tensor.
        translation: Vector of numbers of pixels, one for each of `spatial_dims`, as `scale`.
        spatial_dims: Sequence of integers, the axes.
        method: "linear" (or "bilinear"), "cubic" ("bicubic"), "lanczos3" or "lanczos5".
        antialias: Average over the area of a pixel when an axis shrinks.

    Returns:
        Tensor of `output_shape`, of floats.

    Raises:
        ShapeError: If numbers of axes, scales and translations do not fit each other.
    """
    if method not in _KERNELS:
        raise ValueError(f"scale_and_translate: method must be one of {', '.join(_KERNELS)}, got {method!r}")
    node = float_node(images)
    xp: ModuleType = np
    scales: Any
    shifts: Any
    if isinstance(scale, Tensor) or isinstance(translation, Tensor):
        xp = tensor_functions
        scales, shifts = (xp.reshape(cast(x, "float32"), (-1,)) for x in (scale, translation))
    else:
        scales, shifts = (np.asarray(x, np.float64).reshape(-1) for x in (scale, translation))
    shape = tuple(node.shape[i] if n is None else n for i, n in enumerate(output_shape[: node.rank]))
    if len(output_shape) != node.rank or not len(spatial_dims) == scales.shape[0] == shifts.shape[0]:
        raise ShapeError(
            "scale_and_translate: needs a size per axis, and a scale and translation per spatial axis"
        )
    for i, axis in enumerate(spatial_dims):
        at = axis % node.rank
        weights = resize_weights(node.shape[at], shape[at], method, antialias, scales[i], shifts[i], xp)
        node = _along(node, at, weights)
    if not same_shape(node.shape, shape):
        raise ShapeError(f"scale_and_translate: the other axes of {shape} differ from {node.shape}")
    return Tensor(p.reshape(node, shape))  # a size that is known from `output_shape` alone


def _margins(
    size: int, before: int | None, after: int | None, target: int | None, grow: bool, name: str
) -> tuple[int, int]:
    """Return the amounts before and after an axis; two of (before, after, target) are known."""
    known = [x is not None for x in (before, after, target)]
    if sum(known) != 2:
        raise ValueError(
            f"{name}: give exactly two of amount before, amount after and target size of each axis"
        )
    low, high = before or 0, after or 0
    if target is not None:
        rest = (target - size if grow else size - target) - low - high
        low, high = (rest, high) if before is None else (low, rest)
    unfit = low < 0 or high < 0 or (not grow and low + high > size)
    if unfit and not (is_unknown(low) or is_unknown(high)):
        raise ShapeError(f"{name}: amounts {low} and {high} do not fit an axis of size {size}")
    return (low if is_unknown(low) else static_int(low, name)), (
        high if is_unknown(high) else static_int(high, name)
    )


@operation
def pad_images(
    images: TensorLike,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Pad images with zeros; of before, after and target size of each axis two are given.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        top_padding, left_padding, bottom_padding, right_padding: Integers, rows and columns of zeros, or
            None.
        target_height, target_width: Integers, the size of the result, or None.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form.

    Raises:
        ValueError: If not exactly two amounts of an axis are given.

    Example:
        >>> hornbeam.ops.image.pad_images(hornbeam.ops.ones((1, 2, 2, 3)), 1, 1, 1, 1).shape
        (1, 4, 4, 3)
    """
    node, restore = image_batch(images, data_format, "pad_images")
    top, bottom = _margins(node.shape[1], top_padding, bottom_padding, target_height, True, "pad_images")
    left, right = _margins(node.shape[2], left_padding, right_padding, target_width, True, "pad_images")
    return restore(p.pad(node, 0, (0, top, left, 0), (0, bottom, right, 0)))


@operation
def crop_images(
    images: TensorLike,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Crop images; of before, after and target size of each axis two are given.

    Args:
        images: Tensor (n, height, width, channels), one image of three axes, or channels first.
        top_cropping, left_cropping, bottom_cropping, right_cropping: Integers, rows and columns to remove, or
            None.
        target_height, target_width: Integers, the size of the result, or None.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor of the images' form.

    Raises:
        ValueError: If not exactly two amounts of an axis are given.

    Example:
        >>> hornbeam.ops.image.crop_images(hornbeam.ops.ones((1, 4, 4, 3)), 1, 1, 1, 1).shape
        (1, 2, 2, 3)
    """
    node, restore = image_batch(images, data_format, "crop_images")
    n, h, w, c = node.shape
    top, bottom = _margins(h, top_cropping, bottom_cropping, target_height, False, "crop_images")
    left, right = _margins(w, left_cropping, right_cropping, target_width, False, "crop_images")
    return restore(p.slice_(node, (0, top, left, 0), (n, h - bottom, w - right, c)))
