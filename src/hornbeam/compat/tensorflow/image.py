"""tf.image: sizes, flips, colours. Images are (height, width, channels), or batches of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import random as hb_random
from hornbeam.compat.tensorflow.files import (
    decode_image,
    decode_jpeg,
    decode_png,
    encode_jpeg,
    encode_png,
)
from hornbeam.compat.tensorflow.random import _key, _source
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import is_float
from hornbeam.ops._common import shape_of

__all__ = [
    "ResizeMethod", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "central_crop", "convert_image_dtype", "crop_and_resize", "crop_to_bounding_box",
    "decode_image", "decode_jpeg", "decode_png", "encode_jpeg", "encode_png", "extract_patches",
    "flip_left_right",
    "flip_up_down", "grayscale_to_rgb", "hsv_to_rgb", "pad_to_bounding_box", "per_image_standardization",
    "psnr", "random_brightness", "random_contrast", "random_crop", "random_flip_left_right",
    "random_flip_up_down", "random_hue", "random_saturation", "resize", "resize_with_crop_or_pad",
    "resize_with_pad", "rgb_to_grayscale", "rgb_to_hsv", "rgb_to_yuv", "rot90", "sobel_edges", "ssim",
    "stateless_random_flip_left_right", "total_variation", "transpose", "yuv_to_rgb",
]  # fmt: skip


class ResizeMethod:
    """Names of the ways to resize."""

    AREA = "area"
    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    GAUSSIAN = "gaussian"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    MITCHELLCUBIC = "mitchellcubic"
    NEAREST_NEIGHBOR = "nearest"


def resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
    name: str | None = None,
) -> Tensor:
    """Another height and width; floats, but for the nearest neighbour."""
    given = as_tensor(images)
    height, width = shape_of(size)
    if preserve_aspect_ratio:
        scale = min(height / given.shape[-3], width / given.shape[-2])
        height, width = round(given.shape[-3] * scale), round(given.shape[-2] * scale)
    if method == "nearest":
        return ops.image.resize(given, (height, width), interpolation="nearest", data_format="channels_last")
    if method == "area":
        pixels = ops.cast(given, "float32")
        rows, columns = _shares(given.shape[-3], height), _shares(given.shape[-2], width)
        return ops.einsum("ih,...hwc,jw->...ijc", rows, pixels, columns)
    floats = given if is_float(given.dtype) else ops.cast(given, "float32")
    return ops.image.resize(
        floats, (height, width), interpolation=method, antialias=antialias, data_format="channels_last"
    )


def _shares(size: int, count: int) -> np.ndarray:
    """(count, size): how much of each of `count` equal parts each of `size` places is."""
    edges, place = np.linspace(0, size, count + 1), np.arange(size)
    low, high = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(high, place + 1) - np.maximum(low, place)
    return (np.maximum(overlap, 0) / (high - low)).astype("float32")


def resize_with_pad(
    image: Any, target_height: int, target_width: int, method: str = "bilinear", antialias: bool = False
) -> Tensor:
    """Resized without distortion, black around it."""
    made = resize(image, (target_height, target_width), method, True, antialias)
    return resize_with_crop_or_pad(made, target_height, target_width)


def resize_with_crop_or_pad(image: Any, target_height: int, target_width: int) -> Tensor:
    """The middle cut out, or zeros put around it."""
    given = as_tensor(image)
    height, width = given.shape[-3:-1]
    top, left = max((height - target_height) // 2, 0), max((width - target_width) // 2, 0)
    cut = given[..., top : top + min(target_height, height), left : left + min(target_width, width), :]
    before = max((target_height - height) // 2, 0), max((target_width - width) // 2, 0)
    return pad_to_bounding_box(cut, *before, target_height, target_width)


def crop_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """A part of the picture."""
    return as_tensor(image)[
        ..., offset_height : offset_height + target_height, offset_width : offset_width + target_width, :
    ]


def pad_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """Zeros around the picture."""
    given = as_tensor(image)
    height, width = given.shape[-3:-1]
    rows = (offset_height, target_height - offset_height - height)
    columns = (offset_width, target_width - offset_width - width)
    return ops.pad(given, [(0, 0)] * (len(given.shape) - 3) + [rows, columns, (0, 0)])


def central_crop(image: Any, central_fraction: float) -> Tensor:
    """The middle of the picture."""
    given = as_tensor(image)
    height, width = given.shape[-3:-1]
    top, left = int((height - height * central_fraction) / 2), int((width - width * central_fraction) / 2)
    return given[..., top : height - top, left : width - left, :]


def random_crop(value: Any, size: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """A part of the given size, anywhere."""
    given, sizes = as_tensor(value), shape_of(size)
    starts = [
        hb_random.randint((), 0, have - want + 1, seed=_source(seed)) if have > want else 0
        for have, want in zip(given.shape, sizes, strict=True)
    ]
    return ops.slice(given, starts, sizes)


def total_variation(images: Any, name: str | None = None) -> Tensor:
    """Of each picture the sum of differences between neighbouring pixels."""
    given = as_tensor(images)
    down = ops.absolute(given[..., 1:, :, :] - given[..., :-1, :, :])
    across = ops.absolute(given[..., :, 1:, :] - given[..., :, :-1, :])
    return ops.sum(down, axis=(-3, -2, -1)) + ops.sum(across, axis=(-3, -2, -1))


def extract_patches(
    images: Any, sizes: Any, strides: Any, rates: Any, padding: str, name: str | None = None
) -> Tensor:
    """Patches, flattened into channels."""
    return ops.image.extract_patches(
        images, tuple(sizes[1:3]), tuple(strides[1:3]), rates[1], padding.lower(), data_format="channels_last"
    )


# -- turning -------------------------------------------------------------------------------------------------


def flip_left_right(image: Any) -> Tensor:
    """Mirrored."""
    return ops.flip(image, axis=-2)


def flip_up_down(image: Any) -> Tensor:
    """Upside down."""
    return ops.flip(image, axis=-3)


def transpose(image: Any, name: str | None = None) -> Tensor:
    """Rows and columns exchanged."""
    return ops.swapaxes(image, -3, -2)


def rot90(image: Any, k: int = 1, name: str | None = None) -> Tensor:
    """Turned counter-clockwise, k times by a quarter."""
    return ops.rot90(image, k=k, axes=(-3, -2))


def _flipped_by_chance(image: Any, axis: int, seed: Any) -> Tensor:
    given = as_tensor(image)
    shape = (given.shape[0], 1, 1, 1) if len(given.shape) == 4 else ()
    return ops.where(hb_random.uniform(shape, seed=seed) < 0.5, ops.flip(given, axis=axis), given)


def random_flip_left_right(image: Any, seed: int | None = None) -> Tensor:
    """Mirrored, or not; each picture of a batch by itself."""
    return _flipped_by_chance(image, -2, _source(seed))


def random_flip_up_down(image: Any, seed: int | None = None) -> Tensor:
    """Upside down, or not."""
    return _flipped_by_chance(image, -3, _source(seed))


def stateless_random_flip_left_right(image: Any, seed: Any) -> Tensor:
    """Mirrored or not, the same for the same seed."""
    return _flipped_by_chance(image, -2, _key(seed))


# -- colours -------------------------------------------------------------------------------------------------


def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False, name: str | None = None) -> Tensor:
    """Whole numbers up to 255 as floats from 0 to 1, and back."""
    given = as_tensor(image)
    if given.dtype == dtype:
        return given
    if is_float(str(dtype)):
        return ops.cast(given, dtype) if is_float(given.dtype) else ops.cast(given, dtype) / _top(given.dtype)
    if is_float(given.dtype):
        return ops.saturate_cast(given * (_top(str(dtype)) + 0.5), dtype)
    raise NotImplementedError(f"tf.image.convert_image_dtype from {given.dtype} to {dtype}")


def _top(dtype: str) -> int:
    import numpy as np

    return int(np.iinfo(dtype).max)


def rgb_to_grayscale(images: Any, name: str | None = None) -> Tensor:
    """Brightness alone, one channel."""
    return _of_floats(lambda x: ops.image.rgb_to_grayscale(x, data_format="channels_last"), images)


def grayscale_to_rgb(images: Any, name: str | None = None) -> Tensor:
    """Three equal channels."""
    return ops.repeat(images, 3, axis=-1)


def rgb_to_hsv(images: Any, name: str | None = None) -> Tensor:
    """Hue, saturation, value."""
    return ops.image.rgb_to_hsv(images, data_format="channels_last")


def hsv_to_rgb(images: Any, name: str | None = None) -> Tensor:
    """Red, green, blue."""
    return ops.image.hsv_to_rgb(images, data_format="channels_last")


# Brightness, and how far blue and red are from it (ITU-R BT.601), a column each.
_YUV = np.array(
    [
        [0.299, -0.14714119, 0.61497538],
        [0.587, -0.28886916, -0.51496512],
        [0.114, 0.43601035, -0.10001026],
    ]
)


def rgb_to_yuv(images: Any) -> Tensor:
    """Brightness and two differences of colour."""
    return ops.matmul(images, as_tensor(_YUV, as_tensor(images).dtype))


def yuv_to_rgb(images: Any) -> Tensor:
    """Red, green, blue."""
    return ops.matmul(images, as_tensor(np.linalg.inv(_YUV), as_tensor(images).dtype))


def crop_and_resize(
    image: Any,
    boxes: Any,
    box_indices: Any,
    crop_size: Any,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
    name: str | None = None,
) -> Tensor:
    """(boxes, *crop_size, channels): of image `box_indices[i]` the box `boxes[i]`, made `crop_size` large.

    boxes: (n, 4), top, left, bottom, right, where 0 is the middle of the first pixel and 1 that of the last.
    `extrapolation_value` stands where a box reaches beyond its image.
    """
    if method not in ("bilinear", "nearest"):
        raise ValueError(f"crop_and_resize: method must be 'bilinear' or 'nearest', got {method!r}")
    pixels, boxes = ops.cast(image, "float32"), ops.cast(boxes, "float32")
    height, width = shape_of(crop_size)
    rows, above = _taken(boxes[:, 0], boxes[:, 2], pixels.shape[1], height, method)
    columns, beside = _taken(boxes[:, 1], boxes[:, 3], pixels.shape[2], width, method)
    found = ops.einsum("nih,nhwc->niwc", rows, ops.take(pixels, box_indices, axis=0))
    found = ops.einsum("njw,niwc->nijc", columns, found)
    inside = ops.logical_and(above[:, :, None], beside[:, None, :])[..., None]
    return ops.where(inside, found, float(extrapolation_value))


def _taken(first: Tensor, last: Tensor, size: int, count: int, method: str) -> tuple[Tensor, Tensor]:
    """How much of each of `size` places `count` places between first and last take, and which are inside."""
    between = np.linspace(0, 1, count, dtype="float32") if count > 1 else np.array([0.5], "float32")
    at = (first[:, None] + (last - first)[:, None] * between) * (size - 1)
    inside = ops.logical_and(at >= 0, at <= size - 1)
    at = ops.floor(at + 0.5) if method == "nearest" else at
    return ops.relu(1 - ops.abs(at[..., None] - np.arange(size, dtype="float32"))), inside


def _of_floats(fn: Any, image: Any) -> Tensor:
    """`fn` of a picture of floats; whole numbers are converted, and back."""
    given = as_tensor(image)
    if is_float(given.dtype):
        return fn(given)
    return convert_image_dtype(fn(convert_image_dtype(given, "float32")), given.dtype, saturate=True)


def adjust_brightness(image: Any, delta: Any) -> Tensor:
    """`delta` added to pictures from 0 to 1."""
    return _of_floats(lambda x: x + delta, image)


def adjust_contrast(images: Any, contrast_factor: Any) -> Tensor:
    """Differences from each channel's mean made larger."""

    def changed(x: Tensor) -> Tensor:
        mean = ops.mean(x, axis=(-3, -2), keepdims=True)
        return (x - mean) * contrast_factor + mean

    return _of_floats(changed, images)


def adjust_saturation(image: Any, saturation_factor: Any, name: str | None = None) -> Tensor:
    """Colours made stronger."""

    def changed(x: Tensor) -> Tensor:
        hsv = rgb_to_hsv(x)
        saturation = ops.clip(hsv[..., 1:2] * saturation_factor, 0.0, 1.0)
        return hsv_to_rgb(ops.concatenate([hsv[..., :1], saturation, hsv[..., 2:]], axis=-1))

    return _of_floats(changed, image)


def adjust_hue(image: Any, delta: Any, name: str | None = None) -> Tensor:
    """Colours turned round the circle, `delta` of a whole turn."""

    def changed(x: Tensor) -> Tensor:
        hsv = rgb_to_hsv(x)
        return hsv_to_rgb(ops.concatenate([(hsv[..., :1] + delta) % 1.0, hsv[..., 1:]], axis=-1))

    return _of_floats(changed, image)


def adjust_gamma(image: Any, gamma: Any = 1, gain: Any = 1) -> Tensor:
    """gain x to the power gamma."""
    return _of_floats(lambda x: gain * x**gamma, image)


def _drawn(low: float, high: float, seed: int | None) -> Tensor:
    return hb_random.uniform((), low, high, seed=_source(seed))


def random_brightness(image: Any, max_delta: float, seed: int | None = None) -> Tensor:
    """Brighter or darker by at most `max_delta`."""
    return adjust_brightness(image, _drawn(-max_delta, max_delta, seed))


def random_contrast(image: Any, lower: float, upper: float, seed: int | None = None) -> Tensor:
    """A contrast between two factors."""
    return adjust_contrast(image, _drawn(lower, upper, seed))


def random_saturation(image: Any, lower: float, upper: float, seed: int | None = None) -> Tensor:
    """A saturation between two factors."""
    return adjust_saturation(image, _drawn(lower, upper, seed))


def random_hue(image: Any, max_delta: float, seed: int | None = None) -> Tensor:
    """Colours turned by at most `max_delta`."""
    return adjust_hue(image, _drawn(-max_delta, max_delta, seed))


def per_image_standardization(image: Any) -> Tensor:
    """Each picture with mean 0 and deviation 1 (at least 1 / sqrt(size))."""
    given = ops.cast(image, "float32")
    axes = (-3, -2, -1)
    size = given.shape[-1] * given.shape[-2] * given.shape[-3]
    deviation = ops.maximum(ops.std(given, axis=axes, keepdims=True), size**-0.5)
    return (given - ops.mean(given, axis=axes, keepdims=True)) / deviation


# -- comparing -----------------------------------------------------------------------------------------------


def psnr(a: Any, b: Any, max_val: float, name: str | None = None) -> Tensor:
    """Peak signal-to-noise ratio of each pair of pictures, in decibels."""
    error = ops.mean(ops.square(ops.subtract(a, b)), axis=(-3, -2, -1))
    return 10 * ops.log10(max_val**2 / error)


def ssim(
    img1: Any,
    img2: Any,
    max_val: float,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """Structural similarity of each pair of pictures."""
    return ops.image.ssim(img1, img2, max_val, filter_size, filter_sigma, k1, k2)


def sobel_edges(image: Any) -> Tensor:
    """Changes down and to the right, as a new last axis."""
    return ops.image.sobel_edges(image, data_format="channels_last")
