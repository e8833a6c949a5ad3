"""Pooling to a given output size: window i of n covers floor(i * size / n) to ceil((i + 1) * size / n)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.limits import count_elements
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer


class _AdaptivePooling(TensorLayer):
    """Reduce one axis after the other, which maxima and means over boxes allow."""

    rank: int
    largest: bool

    def __init__(
        self,
        output_size: int | Sequence[int],
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
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
            leading = (slice(None),) * axis
            slices = [(*leading, slice(*window)) for window in windows]
            inputs = ops.stack([reduce(inputs[index], axis=axis) for index in slices], axis=axis)
        return inputs


@exported("keras.layers")
class AdaptiveMaxPooling1D(_AdaptivePooling):
    """Maximum of `output_size` windows that cover sequences.

    Shapes: x (batch, steps, channels) -> y (batch, output_size, channels), or with the channels first.

    Args:
        output_size: Number of windows along each axis; one integer for all axes.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.AdaptiveMaxPooling1D(3)(np.ones((1, 7, 2))).shape
        (1, 3, 2)
    """

    rank = 1
    largest = True


@exported("keras.layers")
class AdaptiveMaxPooling2D(_AdaptivePooling):
    """Maximum of `output_size` windows that cover images.

    Shapes: x (batch, height, width, channels) -> y (batch, *output_size, channels), or with the channels
    first.

    Args:
        output_size: Number of windows along each axis; one integer for all axes.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.AdaptiveMaxPooling2D(3)(np.ones((1, 7, 8, 2))).shape
        (1, 3, 3, 2)
    """

    rank = 2
    largest = True


@exported("keras.layers")
class AdaptiveMaxPooling3D(_AdaptivePooling):
    """Maximum of `output_size` windows that cover volumes.

    Shapes: x (batch, depth, height, width, channels) -> y (batch, *output_size, channels), or with the
    channels first.

    Args:
        output_size: Number of windows along each axis; one integer for all axes.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.AdaptiveMaxPooling3D(2)(np.ones((1, 3, 4, 5, 2))).shape
        (1, 2, 2, 2, 2)
    """

    rank = 3
    largest = True


@exported("keras.layers")
class AdaptiveAveragePooling1D(_AdaptivePooling):
    """Mean of `output_size` windows that cover sequences.

    Shapes: x (batch, steps, channels) -> y (batch, output_size, channels), or with the channels first.

    Args:
        output_size: Number of windows along each axis; one integer for all axes.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.AdaptiveAveragePooling1D(3)(np.ones((1, 7, 2))).shape
        (1, 3, 2)
    """

    rank = 1
    largest = False


@exported("keras.layers")
class AdaptiveAveragePooling2D(_AdaptivePooling):
    """Mean of `output_size` windows that cover images.

    Shapes: x (batch, height, width, channels) -> y (batch, *output_size, channels), or with the channels
    first.

    Args:
        output_size: Number of windows along each axis; one integer for all axes.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.AdaptiveAveragePooling2D(3)(np.ones((1, 7, 8, 2))).shape
        (1, 3, 3, 2)
    """

    rank = 2
    largest = False


@exported("keras.layers")
class AdaptiveAveragePooling3D(_AdaptivePooling):
    """Mean of `output_size` windows that cover volumes.

    Shapes: x (batch, depth, height, width, channels) -> y (batch, *output_size, channels), or with the
    channels first.

    Args:
        output_size: Number of windows along each axis; one integer for all axes.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.AdaptiveAveragePooling3D(2)(np.ones((1, 3, 4, 5, 2))).shape
        (1, 2, 2, 2, 2)
    """

    rank = 3
    largest = False
