"""Rescaling of pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike
from hornbeam.config import image_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions


@exported("keras.layers")
class Rescaling(TensorLayer):
    """Rescale values: `y = x * scale + offset`, in the compute dtype. scale=1/255 maps pixels to [0, 1].

    Args:
        scale: Factor: a number, or one for each channel, whose axis is that of
            `hornbeam.config.image_data_format()`.
        offset: Summand: a number, or one for each channel.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> np.asarray(hornbeam.layers.Rescaling(1 / 255)(np.array([0, 255])))
        array([0., 1.], dtype=float32)
    """

    def __init__(
        self,
        scale: float | ArrayLike,
        offset: float | ArrayLike = 0.0,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        for name, value in (("scale", scale), ("offset", offset)):
            if isinstance(value, str):
                raise ValueError(f"Rescaling: {name} must be a number or an array, got {value!r}")
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        return x * self._as_factor(self.scale) + self._as_factor(self.offset)

    def _as_factor(self, value: TensorLike) -> Any:
        """Return a number, or the numbers of the channels so that they multiply images."""
        if isinstance(value, (int, float)):
            return value
        factor = ops.cast(np.asarray(value), self.compute_dtype)
        channels_first = factor.ndim == 1 and image_data_format() == "channels_first"
        return ops.reshape(factor, (-1, 1, 1)) if channels_first else factor
