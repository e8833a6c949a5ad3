"""Random sharpness, blur and erasing. Labels, boxes and masks do not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops, random
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.layers.augmentation.base import (
    RandomImageLayer,
    Size,
    Transformation,
    draw_subset,
    factor_range,
    is_number,
    per_image,
    value_range_of,
)
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.random.keys import SeedLike


@exported("keras.layers")
class RandomSharpness(RandomImageLayer):
    """Sharpen or soften each image in training: `y = x + (1 - 2 f) (s - x)`.

    s is the mean of 3 x 3 pixels with weight 5 for the middle one.

    Args:
        factor: Bounds of f in [0, 1]: a pair, or one number for (0, factor). 1/2 does not change the image,
            less softens, more sharpens.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
        >>> bool((np.asarray(hornbeam.layers.RandomSharpness((0.5, 0.5))(x)) == x).all())
        True
    """

    def __init__(
        self,
        factor: float | tuple[float, float],
        value_range: tuple[float, float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomSharpness", "factor", factor, 0.0)
        self.value_range = sorted(value_range_of("RandomSharpness", value_range))

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {"factor": random.uniform((size.batch,), *self.factor, seed=seed)}

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        kernel = np.full((3, 3), 1 / 13, np.float32)
        kernel[1, 1] = 5 / 13
        weights = ops.cast(np.tile(kernel[:, :, None, None], (1, 1, images.shape[-1], 1)), images.dtype)
        smooth = ops.depthwise_conv(images, weights, padding="same", data_format="channels_last")
        factor = per_image(transformation["factor"], images.dtype)
        return ops.clip(images + (1 - 2 * factor) * (smooth - images), *self.value_range)


@exported("keras.layers")
class RandomGaussianBlur(RandomImageLayer):
    """Blur random images with a Gaussian kernel in training, see `ops.image.gaussian_blur`.

    Args:
        factor: Bounds of the probability, drawn for each image, in [0, 1]: a pair, or one number for (0,
            factor).
        kernel_size: Odd size of the kernel in pixels, one or a pair (horizontal, vertical).
        sigma: Bounds of the two standard deviations in pixels, drawn for the batch, in [0, 1]: a pair, or one
            number for (0, sigma).
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.RandomGaussianBlur(kernel_size=5)(np.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: float | tuple[float, float] = 1.0,
        kernel_size: int | tuple[int, int] = 3,
        sigma: float | tuple[float, float] = 1.0,
        value_range: tuple[float, float] = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomGaussianBlur", "factor", factor, 0.0)
        pair = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
        if len(pair) != 2 or not all(is_number(n) and n > 0 and n % 2 == 1 for n in pair):
            raise ValueError(
                f"RandomGaussianBlur: kernel_size must be an odd number or two, got {kernel_size!r}"
            )
        self.kernel_size = tuple(int(n) for n in pair)
        self.sigma = factor_range("RandomGaussianBlur", "sigma", sigma, 0.0)
        self.value_range = value_range_of("RandomGaussianBlur", value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        return {
            "should_apply_blur": draw_subset(self.factor, size.batch, seed),
            "blur_factor": random.uniform((2,), *self.sigma, seed=seed) + 1e-6,
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        blurred = ops.image.gaussian_blur(
            images, self.kernel_size, transformation["blur_factor"], data_format="channels_last"
        )
        images = ops.where(per_image(transformation["should_apply_blur"], "bool"), blurred, images)
        return ops.clip(images, *self.value_range)


def random_span(length: int, part: Tensor, seed: SeedLike) -> tuple[Tensor, Tensor]:
    """Draw start and end (n,) of a span that covers the fraction `part` (n,) of an axis."""
    span = part * length
    start = random.uniform(part.shape, seed=seed) * (length - span)
    return start, start + span


def box_mask(size: Size, x0: Tensor, x1: Tensor, y0: Tensor, y1: Tensor) -> Tensor:
    """Return booleans (n, h, w, 1) that mark the pixels in the box of each image; bounds are (n,)."""
    x = ops.reshape(ops.arange(size.width, dtype="float32"), (1, 1, -1, 1))
    y = ops.reshape(ops.arange(size.height, dtype="float32"), (1, -1, 1, 1))
    left, right, top, bottom = (per_image(bound, "float32") for bound in (x0, x1, y0, y1))
    in_columns = ops.logical_and(x >= left, x < right)
    return ops.logical_and(in_columns, ops.logical_and(y >= top, y < bottom))


@exported("keras.layers")
class RandomErasing(RandomImageLayer):
    """Erase a box in random images in training.

    Args:
        factor: Bounds of the probability, drawn for each image, in [0, 1]: a pair, or one number for (0,
            factor).
        scale: Bounds of the square of the sides, as fractions of the image's sides, in [0, 1].
        fill_value: Number, three numbers for three channels, or None for normal noise times the end of
            `value_range`.
        value_range: Smallest and largest value of the images, such as (0, 255) or (0, 1).
        seed: Seed of the random state; drawn at random by default.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: `bounding_box_format`, the format of boxes such as "xyxy"; arguments of `Layer`.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> hornbeam.layers.RandomErasing(fill_value=0.0)(np.ones((2, 8, 8, 3))).shape
        (2, 8, 8, 3)

    Source: Zhong et al. 2020, Random erasing data augmentation.
    """

    def __init__(
        self,
        factor: float | tuple[float, float] = 1.0,
        scale: float | tuple[float, float] = (0.02, 0.33),
        fill_value: float | Sequence[float] | None = None,
        value_range: tuple[float, float] = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomErasing", "factor", factor, 0.0)
        self.scale = factor_range("RandomErasing", "scale", scale, 0.0)
        values: Any = fill_value if isinstance(fill_value, (tuple, list)) else ()
        is_triple = len(values) == 3 and all(map(is_number, values))
        if not (fill_value is None or is_number(fill_value) or is_triple):
            raise ValueError(
                f"RandomErasing: fill_value must be a number, three numbers or None, got {fill_value!r}"
            )
        self.fill_value = fill_value
        self.value_range = value_range_of("RandomErasing", value_range)

    def _draw(self, size: Size, seed: SeedLike) -> Transformation:
        parts = ops.sqrt(random.uniform((size.batch, 2), *self.scale, seed=seed))
        x = random_span(size.width, parts[:, 0], seed)
        y = random_span(size.height, parts[:, 1], seed)
        return {
            "apply_erasing": draw_subset(self.factor, size.batch, seed),
            "batch_masks": self._from_last(box_mask(size, *x, *y)),
            "fill_value": self._from_last(self._fill(size, seed)),
        }

    def _fill(self, size: Size, seed: SeedLike) -> Tensor:
        """Return the values of erased pixels, of a shape that broadcasts to the images'."""
        if self.fill_value is None:
            fill = random.normal(tuple(size), seed=seed) * self.value_range[1]
        else:
            fill = ops.reshape(ops.cast(self.fill_value, "float32"), (1, 1, 1, -1))
        return ops.clip(fill, *self.value_range)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        masks, fill = (self._to_last(transformation[key]) for key in ("batch_masks", "fill_value"))
        erased = ops.logical_and(masks, per_image(transformation["apply_erasing"], "bool"))
        return ops.where(erased, ops.cast(fill, images.dtype), images)
