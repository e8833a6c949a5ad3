"""tf.image, for images (height, width, channels) and batches of them. Arguments are TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from hornbeam import Tensor, ops
from hornbeam import random as hb_random
from hornbeam.backend import is_float_dtype
from hornbeam.extensions.tensors import as_tensor
from hornbeam.random import SeedGenerator
from hornbeam_compat.tensorflow.files import (
    decode_image,
    decode_jpeg,
    decode_png,
    encode_jpeg,
    encode_png,
)
from hornbeam_compat.tensorflow.random import seeded_generator, stateless_key
from hornbeam_compat.tensorflow.tensors import sizes_of
from hornbeam_compat.tensorflow.typing import DTypeLike, ShapeLike, TensorLike

__all__ = [
    "ResizeMethod", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "central_crop", "convert_image_dtype", "crop_and_resize", "crop_to_bounding_box",
    "decode_image", "decode_jpeg", "decode_png", "encode_jpeg", "encode_png", "extract_patches",
    "flip_left_right", "flip_up_down", "grayscale_to_rgb", "hsv_to_rgb", "non_max_suppression",
    "non_max_suppression_with_scores", "pad_to_bounding_box",
    "per_image_standardization", "psnr", "random_brightness", "random_contrast", "random_crop",
    "random_flip_left_right", "random_flip_up_down", "random_hue", "random_saturation", "resize",
    "resize_with_crop_or_pad", "resize_with_pad", "rgb_to_grayscale", "rgb_to_hsv", "rgb_to_yuv", "rot90",
    "sobel_edges", "ssim", "stateless_random_brightness", "stateless_random_contrast",
    "stateless_random_flip_left_right", "stateless_random_hue", "stateless_random_saturation",
    "total_variation", "transpose", "yuv_to_rgb",
]  # fmt: skip


class ResizeMethod:
    """Names of the interpolation methods."""

    AREA = "area"
    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    GAUSSIAN = "gaussian"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    MITCHELLCUBIC = "mitchellcubic"
    NEAREST_NEIGHBOR = "nearest"


def resize(
    images: TensorLike, size: ShapeLike, method: str = "bilinear", preserve_aspect_ratio: bool = False,
    antialias: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Resize to (height, width). The result is of floats, except for "nearest"."""
    pixels = as_tensor(images)
    height, width = sizes_of(size)
    if preserve_aspect_ratio:
        scale = min(height / pixels.shape[-3], width / pixels.shape[-2])
        height, width = round(pixels.shape[-3] * scale), round(pixels.shape[-2] * scale)
    if method == "nearest":
        return ops.image.resize(pixels, (height, width), interpolation="nearest", data_format="channels_last")
    if method == "area":
        rows, columns = _area_weights(pixels.shape[-3], height), _area_weights(pixels.shape[-2], width)
        return ops.einsum("ih,...hwc,jw->...ijc", rows, ops.cast(pixels, "float32"), columns)
    floats = pixels if is_float_dtype(pixels.dtype) else ops.cast(pixels, "float32")
    return ops.image.resize(
        floats, (height, width), interpolation=method, antialias=antialias, data_format="channels_last"
    )


def _area_weights(size: int, count: int) -> np.ndarray:
    """Compute the fraction of each of `count` output pixels that each of `size` input pixels covers."""
    edges, index = np.linspace(0, size, count + 1), np.arange(size)
    low, high = edges[:-1, None], edges[1:, None]
    overlap = np.minimum(high, index + 1) - np.maximum(low, index)
    return (np.maximum(overlap, 0) / (high - low)).astype("float32")


def resize_with_pad(
    image: TensorLike, target_height: int, target_width: int, method: str = "bilinear",
    antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Resize without distortion, and pad with zeros."""
    resized = resize(image, (target_height, target_width), method, True, antialias)
    return resize_with_crop_or_pad(resized, target_height, target_width)


def resize_with_crop_or_pad(image: TensorLike, target_height: int, target_width: int) -> Tensor:
    """Crop to the center, or pad with zeros around it."""
    pixels = as_tensor(image)
    height, width = pixels.shape[-3:-1]
    top, left = max((height - target_height) // 2, 0), max((width - target_width) // 2, 0)
    cropped = pixels[..., top : top + min(target_height, height), left : left + min(target_width, width), :]
    offsets = max((target_height - height) // 2, 0), max((target_width - width) // 2, 0)
    return pad_to_bounding_box(cropped, *offsets, target_height, target_width)


def crop_to_bounding_box(
    image: TensorLike, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """Crop to a box."""
    return as_tensor(image)[
        ..., offset_height : offset_height + target_height, offset_width : offset_width + target_width, :
    ]


def pad_to_bounding_box(
    image: TensorLike, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """Pad with zeros, so that the image is at an offset."""
    pixels = as_tensor(image)
    height, width = pixels.shape[-3:-1]
    rows = (offset_height, target_height - offset_height - height)
    columns = (offset_width, target_width - offset_width - width)
    return ops.pad(pixels, [(0, 0)] * (pixels.ndim - 3) + [rows, columns, (0, 0)])


def central_crop(image: TensorLike, central_fraction: float) -> Tensor:
    """Crop to the central fraction of height and width."""
    pixels = as_tensor(image)
    height, width = pixels.shape[-3:-1]
    top, left = int((height - height * central_fraction) / 2), int((width - width * central_fraction) / 2)
    return pixels[..., top : height - top, left : width - left, :]


def random_crop(
    value: TensorLike, size: ShapeLike, seed: int | None = None, name: str | None = None
) -> Tensor:
    """Crop to the given size at a random position."""
    pixels, crop_shape = as_tensor(value), sizes_of(size)
    starts = [
        hb_random.randint((), 0, full - cropped + 1, seed=seeded_generator(seed)) if full > cropped else 0
        for full, cropped in zip(pixels.shape, crop_shape, strict=True)
    ]
    return ops.slice(pixels, starts, crop_shape)


def total_variation(images: TensorLike, name: str | None = None) -> Tensor:
    """Sum the absolute differences of neighboring pixels, for each image."""
    pixels = as_tensor(images)
    down = ops.absolute(pixels[..., 1:, :, :] - pixels[..., :-1, :, :])
    across = ops.absolute(pixels[..., :, 1:, :] - pixels[..., :, :-1, :])
    return ops.sum(down, axis=(-3, -2, -1)) + ops.sum(across, axis=(-3, -2, -1))


def extract_patches(
    images: TensorLike, sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int], padding: str,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Extract patches, flattened into channels."""
    return ops.image.extract_patches(
        images, tuple(sizes[1:3]), tuple(strides[1:3]), rates[1], padding.lower(), data_format="channels_last"
    )


# -- flips and rotations -------------------------------------------------------------------------------------


def flip_left_right(image: TensorLike) -> Tensor:
    """Flip horizontally."""
    return ops.flip(image, axis=-2)


def flip_up_down(image: TensorLike) -> Tensor:
    """Flip vertically."""
    return ops.flip(image, axis=-3)


def transpose(image: TensorLike, name: str | None = None) -> Tensor:
    """Swap rows and columns."""
    return ops.swapaxes(image, -3, -2)


def rot90(image: TensorLike, k: int = 1, name: str | None = None) -> Tensor:
    """Rotate counter-clockwise by k times 90 degrees."""
    return ops.rot90(image, k=k, axes=(-3, -2))


def _random_flip(image: TensorLike, axis: int, seed: SeedGenerator | Tensor | None) -> Tensor:
    pixels = as_tensor(image)
    shape = (pixels.shape[0], 1, 1, 1) if pixels.ndim == 4 else ()
    return ops.where(hb_random.uniform(shape, seed=seed) < 0.5, ops.flip(pixels, axis=axis), pixels)


def random_flip_left_right(image: TensorLike, seed: int | None = None) -> Tensor:
    """Flip each image horizontally with probability 0.5."""
    return _random_flip(image, -2, seeded_generator(seed))


def random_flip_up_down(image: TensorLike, seed: int | None = None) -> Tensor:
    """Flip each image vertically with probability 0.5."""
    return _random_flip(image, -3, seeded_generator(seed))


def stateless_random_flip_left_right(image: TensorLike, seed: TensorLike) -> Tensor:
    """Flip each image horizontally with probability 0.5, by the seed alone."""
    return _random_flip(image, -2, stateless_key(seed))


# -- colors --------------------------------------------------------------------------------------------------


def convert_image_dtype(
    image: TensorLike, dtype: DTypeLike, saturate: bool = False, name: str | None = None
) -> Tensor:
    """Convert between integers from 0 to the largest of the dtype, and floats from 0 to 1."""
    pixels = as_tensor(image)
    if pixels.dtype == dtype:
        return pixels
    if is_float_dtype(dtype):
        floats = ops.cast(pixels, dtype)
        return floats if is_float_dtype(pixels.dtype) else floats / _largest(pixels.dtype)
    if is_float_dtype(pixels.dtype):
        return ops.saturate_cast(pixels * (_largest(str(dtype)) + 0.5), dtype)
    raise NotImplementedError(f"tf.image.convert_image_dtype from {pixels.dtype} to {dtype} is not supported")


def _largest(dtype: str) -> int:
    return int(np.iinfo(dtype).max)


def rgb_to_grayscale(images: TensorLike, name: str | None = None) -> Tensor:
    """Convert to luminance, one channel."""
    return _apply_to_floats(lambda x: ops.image.rgb_to_grayscale(x, data_format="channels_last"), images)


def grayscale_to_rgb(images: TensorLike, name: str | None = None) -> Tensor:
    """Repeat the channel three times."""
    return ops.repeat(images, 3, axis=-1)


def rgb_to_hsv(images: TensorLike, name: str | None = None) -> Tensor:
    """Convert RGB to hue, saturation and value."""
    return ops.image.rgb_to_hsv(images, data_format="channels_last")


def hsv_to_rgb(images: TensorLike, name: str | None = None) -> Tensor:
    """Convert hue, saturation and value to RGB."""
    return ops.image.hsv_to_rgb(images, data_format="channels_last")


# Columns: luminance, and the differences of blue and red from it (ITU-R BT.601).
_YUV = np.array(
    [
        [0.299, -0.14714119, 0.61497538],
        [0.587, -0.28886916, -0.51496512],
        [0.114, 0.43601035, -0.10001026],
    ]
)


def rgb_to_yuv(images: TensorLike) -> Tensor:
    """Convert RGB to luminance and two color differences."""
    return ops.matmul(images, as_tensor(_YUV, as_tensor(images).dtype))


def yuv_to_rgb(images: TensorLike) -> Tensor:
    """Convert luminance and two color differences to RGB."""
    return ops.matmul(images, as_tensor(np.linalg.inv(_YUV), as_tensor(images).dtype))


def crop_and_resize(
    image: TensorLike, boxes: TensorLike, box_indices: TensorLike, crop_size: ShapeLike,
    method: str = "bilinear", extrapolation_value: float = 0.0, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Crop boxes from images, and resize them to one size.

    Args:
        image: Tensor of shape (batch, height, width, channels).
        boxes: Tensor of shape (boxes, 4): top, left, bottom, right, where 0 is the center of the first
            pixel and 1 that of the last.
        box_indices: Tensor of shape (boxes,), the index of the image of each box.
        crop_size: Height and width of the results.
        method: "bilinear" or "nearest".
        extrapolation_value: Value of pixels outside of an image.
        name: Ignored.

    Returns:
        Tensor of shape (boxes, *crop_size, channels).

    Raises:
        ValueError: If `method` is unknown.
    """
    if method not in ("bilinear", "nearest"):
        raise ValueError(f"crop_and_resize: method must be 'bilinear' or 'nearest', got {method!r}")
    pixels, boxes = ops.cast(image, "float32"), ops.cast(boxes, "float32")
    height, width = sizes_of(crop_size)
    rows, row_mask = _sample_weights(boxes[:, 0], boxes[:, 2], pixels.shape[1], height, method)
    columns, column_mask = _sample_weights(boxes[:, 1], boxes[:, 3], pixels.shape[2], width, method)
    crops = ops.einsum("nih,nhwc->niwc", rows, ops.take(pixels, box_indices, axis=0))
    crops = ops.einsum("njw,niwc->nijc", columns, crops)
    inside = ops.logical_and(row_mask[:, :, None], column_mask[:, None, :])[..., None]
    return ops.where(inside, crops, float(extrapolation_value))


def _sample_weights(first: Tensor, last: Tensor, size: int, count: int, method: str) -> tuple[Tensor, Tensor]:
    """Compute the weights of `size` pixels at `count` positions, and a mask of those inside."""
    fractions = np.linspace(0, 1, count, dtype="float32") if count > 1 else np.array([0.5], "float32")
    positions = (first[:, None] + (last - first)[:, None] * fractions) * (size - 1)
    inside = ops.logical_and(positions >= 0, positions <= size - 1)
    positions = ops.floor(positions + 0.5) if method == "nearest" else positions
    return ops.relu(1 - ops.abs(positions[..., None] - np.arange(size, dtype="float32"))), inside


def non_max_suppression_with_scores(
    boxes: TensorLike, scores: TensorLike, max_output_size: int, iou_threshold: float = 0.5,
    score_threshold: float = -np.inf, soft_nms_sigma: float = 0.0, name: str | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the indices of boxes that overlap with no better one, and their scores, by values.

    With `soft_nms_sigma` overlaps lower the scores of the others instead (Bodla et al. 2017).
    """
    corners, rest = np.asarray(boxes, "float32"), np.array(scores, "float32")
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    areas, alive = (high - low).prod(1), rest > score_threshold
    chosen: list[int] = []
    while len(chosen) < int(max_output_size) and alive.any():
        best = int(np.where(alive, rest, -np.inf).argmax())
        chosen.append(best)
        common = np.maximum(np.minimum(high, high[best]) - np.maximum(low, low[best]), 0).prod(1)
        overlap = common / np.maximum(areas + areas[best] - common, 1e-12)
        alive[best] = False
        if not soft_nms_sigma:
            alive &= overlap <= iou_threshold
        else:
            rest[alive] *= np.exp(-0.5 / soft_nms_sigma * overlap[alive] ** 2)
            alive &= rest > score_threshold
    return as_tensor(np.array(chosen, "int32")), as_tensor(rest[chosen])


def non_max_suppression(
    boxes: TensorLike, scores: TensorLike, max_output_size: int, iou_threshold: float = 0.5,
    score_threshold: float = -np.inf, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the indices of boxes that overlap with no better one, by values."""
    return non_max_suppression_with_scores(
        boxes, scores, max_output_size, iou_threshold, score_threshold
    )[0]  # fmt: skip


def _apply_to_floats(fn: Callable[..., Any], image: TensorLike) -> Tensor:
    """Apply `fn` to an image as floats from 0 to 1, and convert the result back."""
    pixels = as_tensor(image)
    if is_float_dtype(pixels.dtype):
        return fn(pixels)
    return convert_image_dtype(fn(convert_image_dtype(pixels, "float32")), pixels.dtype, saturate=True)


def adjust_brightness(image: TensorLike, delta: TensorLike) -> Tensor:
    """Add `delta` to an image with values from 0 to 1."""
    return _apply_to_floats(lambda x: x + delta, image)


def adjust_contrast(images: TensorLike, contrast_factor: TensorLike) -> Tensor:
    """Multiply differences from the mean of each channel."""

    def adjust(x: Tensor) -> Tensor:
        mean = ops.mean(x, axis=(-3, -2), keepdims=True)
        return (x - mean) * contrast_factor + mean

    return _apply_to_floats(adjust, images)


def adjust_saturation(image: TensorLike, saturation_factor: TensorLike, name: str | None = None) -> Tensor:
    """Multiply the saturation."""

    def adjust(x: Tensor) -> Tensor:
        hsv = rgb_to_hsv(x)
        saturation = ops.clip(hsv[..., 1:2] * saturation_factor, 0.0, 1.0)
        return hsv_to_rgb(ops.concatenate([hsv[..., :1], saturation, hsv[..., 2:]], axis=-1))

    return _apply_to_floats(adjust, image)


def adjust_hue(image: TensorLike, delta: TensorLike, name: str | None = None) -> Tensor:
    """Rotate the hue by `delta` of a full turn."""

    def adjust(x: Tensor) -> Tensor:
        hsv = rgb_to_hsv(x)
        return hsv_to_rgb(ops.concatenate([(hsv[..., :1] + delta) % 1.0, hsv[..., 1:]], axis=-1))

    return _apply_to_floats(adjust, image)


def adjust_gamma(image: TensorLike, gamma: TensorLike = 1, gain: TensorLike = 1) -> Tensor:
    """Compute gain x^gamma."""
    return _apply_to_floats(lambda x: gain * x**gamma, image)


# Function of a seed, or of a key of two integers alone -> generator of `hornbeam.random`.
Key: TypeAlias = Callable[[Any], SeedGenerator | Tensor | None]


def _by_delta(adjust: Callable[..., Tensor], key: Key) -> Callable[..., Tensor]:
    def adjust_randomly(image: TensorLike, max_delta: float, seed: TensorLike | None = None) -> Tensor:
        """Adjust by a random number between -max_delta and max_delta."""
        return adjust(image, hb_random.uniform((), -max_delta, max_delta, seed=key(seed)))

    return adjust_randomly


def _by_factor(adjust: Callable[..., Tensor], key: Key) -> Callable[..., Tensor]:
    def adjust_randomly(
        image: TensorLike, lower: float, upper: float, seed: TensorLike | None = None
    ) -> Tensor:
        """Adjust by a random factor from lower to upper."""
        return adjust(image, hb_random.uniform((), lower, upper, seed=key(seed)))

    return adjust_randomly


random_brightness = _by_delta(adjust_brightness, seeded_generator)
random_contrast = _by_factor(adjust_contrast, seeded_generator)
random_saturation = _by_factor(adjust_saturation, seeded_generator)
random_hue = _by_delta(adjust_hue, seeded_generator)
stateless_random_brightness = _by_delta(adjust_brightness, stateless_key)
stateless_random_contrast = _by_factor(adjust_contrast, stateless_key)
stateless_random_saturation = _by_factor(adjust_saturation, stateless_key)
stateless_random_hue = _by_delta(adjust_hue, stateless_key)


def per_image_standardization(image: TensorLike) -> Tensor:
    """Standardize each image: mean 0 and standard deviation 1, with a lower bound of 1 / sqrt(size)."""
    pixels = ops.cast(image, "float32")
    axes = (-3, -2, -1)
    size = pixels.shape[-1] * pixels.shape[-2] * pixels.shape[-3]
    deviation = ops.maximum(ops.std(pixels, axis=axes, keepdims=True), size**-0.5)
    return (pixels - ops.mean(pixels, axis=axes, keepdims=True)) / deviation


# -- comparison ----------------------------------------------------------------------------------------------


def psnr(a: TensorLike, b: TensorLike, max_val: float, name: str | None = None) -> Tensor:
    """Compute the peak signal-to-noise ratio of each pair of images, in decibels."""
    error = ops.mean(ops.square(ops.subtract(a, b)), axis=(-3, -2, -1))
    return 10 * ops.log10(max_val**2 / error)


def ssim(
    img1: TensorLike, img2: TensorLike, max_val: float, filter_size: int = 11, filter_sigma: float = 1.5,
    k1: float = 0.01, k2: float = 0.03,
) -> Tensor:  # fmt: skip
    """Compute the structural similarity of each pair of images."""
    return ops.image.ssim(img1, img2, max_val, filter_size, filter_sigma, k1, k2)


def sobel_edges(image: TensorLike) -> Tensor:
    """Compute the derivatives down and to the right, as a new last axis."""
    return ops.image.sobel_edges(image, data_format="channels_last")
