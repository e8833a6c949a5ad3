"""Pooling to an output of given size: window i of n goes from floor(i * size / n) to ceil((i + 1) * size /
n).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.limits import count_elements
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer


class _AdaptivePooling(Layer):
    """Reduce one axis after the other, which maxima and means of equal windows allow."""

    rank: int
    largest: bool

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = check_sizes("output_size", output_size, self.rank, where=type(self).__name__)
        self.data_format = standard_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Tensor) -> Tensor:
        first = 1 if self.data_format == "channels_last" else 2
        reduce: Callable[..., Tensor] = ops.max if self.largest else ops.mean
        for axis, count in enumerate(self.output_size, first):
            size = inputs.shape[axis]
            count_elements(count)
            windows = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
            lead = (slice(None),) * axis
            places = [(*lead, slice(*window)) for window in windows]
            inputs = ops.stack([reduce(inputs[place], axis=axis) for place in places], axis=axis)
        return inputs


@exported("keras.layers")
class AdaptiveMaxPooling1D(_AdaptivePooling):
    """The largest values of `output_size` windows that cover the steps: (batch, steps, c) -> (batch,
    output_size, c).

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.AdaptiveMaxPooling1D(3)(np.ones((1, 7, 2))).shape
    (1, 3, 2)
    """

    rank = 1
    largest = True


@exported("keras.layers")
class AdaptiveMaxPooling2D(_AdaptivePooling):
    """The largest values of windows that cover an image: (batch, h, w, c) -> (batch, *output_size, c).

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.AdaptiveMaxPooling2D(3)(np.ones((1, 7, 8, 2))).shape
    (1, 3, 3, 2)
    """

    rank = 2
    largest = True


@exported("keras.layers")
class AdaptiveMaxPooling3D(_AdaptivePooling):
    """The largest values of windows that cover a volume: (batch, d, h, w, c) -> (batch, *output_size, c).

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.AdaptiveMaxPooling3D(2)(np.ones((1, 3, 4, 5, 2))).shape
    (1, 2, 2, 2, 2)
    """

    rank = 3
    largest = True


@exported("keras.layers")
class AdaptiveAveragePooling1D(_AdaptivePooling):
    """The means of `output_size` windows that cover the steps: (batch, steps, c) -> (batch, output_size, c).

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.AdaptiveAveragePooling1D(3)(np.ones((1, 7, 2))).shape
    (1, 3, 2)
    """

    rank = 1
    largest = False


@exported("keras.layers")
class AdaptiveAveragePooling2D(_AdaptivePooling):
    """The means of windows that cover an image: (batch, h, w, c) -> (batch, *output_size, c).

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.AdaptiveAveragePooling2D(3)(np.ones((1, 7, 8, 2))).shape
    (1, 3, 3, 2)
    """

    rank = 2
    largest = False


@exported("keras.layers")
class AdaptiveAveragePooling3D(_AdaptivePooling):
    """The means of windows that cover a volume: (batch, d, h, w, c) -> (batch, *output_size, c).

    Raises ValueError for sizes below 1.

    >>> hornbeam.layers.AdaptiveAveragePooling3D(2)(np.ones((1, 3, 4, 5, 2))).shape
    (1, 2, 2, 2, 2)
    """

    rank = 3
    largest = False
