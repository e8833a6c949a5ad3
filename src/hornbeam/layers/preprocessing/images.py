"""Pixels brought to another scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.layer import Layer


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
