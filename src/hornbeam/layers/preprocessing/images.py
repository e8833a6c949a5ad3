"""Layers that prepare images: scaling, crops, sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.config import standard_data_format
from hornbeam.layers.arguments import one_of, positive
from hornbeam.layers.layer import Layer
from hornbeam.registry import exported
from hornbeam.tensor import Tensor

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@exported("keras.layers")
class Rescaling(Layer):
    """y = x * scale + offset, in float: e.g. scale=1/255 brings pixels into [0, 1].

    scale, offset: numbers, or one for each channel.

    >>> np.asarray(hornbeam.layers.Rescaling(1 / 255)(np.array([0, 255])))
    array([0., 1.], dtype=float32)
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        return x * self._wide(self.scale) + self._wide(self.offset)

    def _wide(self, value: Any) -> Any:
        return value if isinstance(value, (int, float)) else ops.cast(np.asarray(value), self.compute_dtype)


@exported("keras.layers")
class CenterCrop(Layer):
    """The middle of images: (..., height, width, channels) -> the same with the given height and width.

    An image that is too small is enlarged first, its sides in proportion, until the crop fits.

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.CenterCrop(2, 2)(np.ones((1, 4, 5, 3))).shape
    (1, 2, 2, 3)
    """

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = positive("CenterCrop", "height", height)
        self.width = positive("CenterCrop", "width", width)
        self.data_format = standard_data_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        first = x.ndim - (3 if self.data_format == "channels_last" else 2)
        height, width = x.shape[first : first + 2]
        if height < self.height or width < self.width:
            size = (self.height, self.width)
            return ops.image.resize(x, size, crop_to_aspect_ratio=True, data_format=self.data_format)
        top, left = (height - self.height) // 2, (width - self.width) // 2
        cut = (slice(top, top + self.height), slice(left, left + self.width))
        return x[(slice(None),) * first + cut]


@exported("keras.layers")
class Resizing(Layer):
    """Images in another size: (..., height, width, channels) -> the same with the given height and width.

    interpolation: "bilinear", "nearest", "bicubic", "lanczos3", "lanczos5". By default the image is
    stretched; crop_to_aspect_ratio cuts its longer side first, pad_to_aspect_ratio fills its shorter side
    with `fill_value`.

    Raises ValueError for sizes below 1, unknown interpolations, or cropping and padding at once.

    >>> hornbeam.layers.Resizing(2, 3)(np.ones((1, 4, 5, 3))).shape
    (1, 2, 3, 3)
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.height = positive("Resizing", "height", height)
        self.width = positive("Resizing", "width", width)
        self.interpolation = one_of("Resizing", "interpolation", interpolation, INTERPOLATIONS)
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be set")
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self.pad_to_aspect_ratio = pad_to_aspect_ratio
        self.fill_mode = one_of("Resizing", "fill_mode", fill_mode, ("constant",))
        self.fill_value = fill_value
        self.antialias = antialias
        self.data_format = standard_data_format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.image.resize(
            ops.cast(inputs, self.compute_dtype),
            (self.height, self.width),
            interpolation=self.interpolation,
            antialias=self.antialias,
            crop_to_aspect_ratio=self.crop_to_aspect_ratio,
            pad_to_aspect_ratio=self.pad_to_aspect_ratio,
            fill_mode=self.fill_mode,
            fill_value=self.fill_value,
            data_format=self.data_format,
        )
