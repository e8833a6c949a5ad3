"""Random sharpness, blur, and parts painted over. Labels, boxes and masks stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops, random
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.augmentation.base import (
    RandomImageLayer,
    Size,
    Transformation,
    chosen,
    factor_range,
    is_number,
    per_image,
    value_range_of,
)


@exported("keras.layers")
class RandomSharpness(RandomImageLayer):
    """In training, y = x + (1 - 2 f) (s - x), with s the image smoothed and one f for each image.

    s is the mean of 3 x 3 pixels in which the middle counts five times. factor: f is drawn between 0 and
    factor, or between two given bounds in [0, 1]; 1/2 leaves the image as it is, less is softer, more is
    sharper.

    Raises ValueError for other values.

    >>> x = np.arange(9.0).reshape(1, 3, 3, 1)
    >>> bool((np.asarray(hornbeam.layers.RandomSharpness((0.5, 0.5))(x)) == x).all())
    True
    """

    def __init__(
        self,
        factor: Any,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomSharpness", "factor", factor, 0.0)
        self.value_range = sorted(value_range_of("RandomSharpness", value_range))

    def _draw(self, size: Size, seed: Any) -> Transformation:
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
    """In training, blurs some of the images by a normal distribution, see `ops.image.gaussian_blur`.

    factor: the probability, itself drawn for each image between 0 and factor, or between two given bounds in
    [0, 1]. kernel_size: odd, or two odd numbers (across, down). sigma: the two deviations in pixels, drawn
    for the batch between 0 and sigma, or between two given bounds in [0, 1].

    Raises ValueError for other values.

    >>> hornbeam.layers.RandomGaussianBlur(kernel_size=5)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = (0, 255),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
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

    def _draw(self, size: Size, seed: Any) -> Transformation:
        return {
            "should_apply_blur": chosen(self.factor, size.batch, seed),
            "blur_factor": random.uniform((2,), *self.sigma, seed=seed) + 1e-6,
        }

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        blurred = ops.image.gaussian_blur(
            images, self.kernel_size, transformation["blur_factor"], data_format="channels_last"
        )
        images = ops.where(per_image(transformation["should_apply_blur"], "bool"), blurred, images)
        return ops.clip(images, *self.value_range)


def random_span(length: int, part: Tensor, seed: Any) -> tuple[Tensor, Tensor]:
    """Begin and end (n,) of a span that is `part` (n,) of an axis, at a random place of it."""
    span = part * length
    start = random.uniform(part.shape, seed=seed) * (length - span)
    return start, start + span


def inside(size: Size, x0: Tensor, x1: Tensor, y0: Tensor, y1: Tensor) -> Tensor:
    """bool (n, h, w, 1): which pixels lie in the box of their image; bounds are (n,)."""
    x = ops.reshape(ops.arange(size.width, dtype="float32"), (1, 1, -1, 1))
    y = ops.reshape(ops.arange(size.height, dtype="float32"), (1, -1, 1, 1))
    left, right, top, bottom = (per_image(bound, "float32") for bound in (x0, x1, y0, y1))
    across = ops.logical_and(x >= left, x < right)
    return ops.logical_and(across, ops.logical_and(y >= top, y < bottom))


@exported("keras.layers")
class RandomErasing(RandomImageLayer):
    """In training, paints over a box in some of the images.

    factor: the probability, itself drawn for each image between 0 and factor, or between two given bounds in
    [0, 1]. scale: the sides of the box are parts of the image's whose squares are drawn between two bounds in
    [0, 1]. fill_value: a number, one for each of three channels, or None for noise (normal, times the end of
    value_range). Zhong et al., "Random erasing data augmentation", 2020.

    Raises ValueError for other values.

    >>> hornbeam.layers.RandomErasing(fill_value=0.0)(np.ones((2, 8, 8, 3))).shape
    (2, 8, 8, 3)
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = (0, 255),
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, data_format=data_format, **kwargs)
        self.factor = factor_range("RandomErasing", "factor", factor, 0.0)
        self.scale = factor_range("RandomErasing", "scale", scale, 0.0)
        listed = isinstance(fill_value, (tuple, list)) and len(fill_value) == 3
        if not (fill_value is None or is_number(fill_value) or (listed and all(map(is_number, fill_value)))):
            raise ValueError(
                f"RandomErasing: fill_value must be a number, three numbers or None, got {fill_value!r}"
            )
        self.fill_value = fill_value
        self.value_range = value_range_of("RandomErasing", value_range)

    def _draw(self, size: Size, seed: Any) -> Transformation:
        parts = ops.sqrt(random.uniform((size.batch, 2), *self.scale, seed=seed))
        x = random_span(size.width, parts[:, 0], seed)
        y = random_span(size.height, parts[:, 1], seed)
        return {
            "apply_erasing": chosen(self.factor, size.batch, seed),
            "batch_masks": self._from_last(inside(size, *x, *y)),
            "fill_value": self._from_last(self._paint(size, seed)),
        }

    def _paint(self, size: Size, seed: Any) -> Tensor:
        """What boxes are painted with, of a shape that broadcasts to the images'."""
        if self.fill_value is None:
            paint = random.normal(tuple(size), seed=seed) * self.value_range[1]
        else:
            paint = ops.reshape(ops.cast(self.fill_value, "float32"), (1, 1, 1, -1))
        return ops.clip(paint, *self.value_range)

    def _apply(self, images: Tensor, transformation: Transformation) -> Tensor:
        masks, paint = (self._to_last(transformation[key]) for key in ("batch_masks", "fill_value"))
        erased = ops.logical_and(masks, per_image(transformation["apply_erasing"], "bool"))
        return ops.where(erased, ops.cast(paint, images.dtype), images)
