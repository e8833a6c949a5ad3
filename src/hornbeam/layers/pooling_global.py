"""Pooling over all positions: the maximum or the mean."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions


class _GlobalPooling(TensorLayer):
    """Base of pooling over all positions."""

    _is_stateless = True
    rank: int

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = standard_data_format(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _axes(self) -> tuple[int, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        return ops.max(inputs, axis=self._axes, keepdims=self.keepdims)


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, inputs: Tensor) -> Tensor:
        return ops.mean(inputs, axis=self._axes, keepdims=self.keepdims)


@exported("keras.layers", "GlobalMaxPool1D")
class GlobalMaxPooling1D(_GlobalMaxPooling):
    """Maximum over all steps of sequences.

    Shapes: x (batch, steps, channels) -> y (batch, channels), or with `keepdims` the reduced axes of size 1.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        keepdims: Whether the reduced axes are kept with size 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.GlobalMaxPooling1D()(np.ones((2, 5, 3))).shape
        (2, 3)
    """

    rank = 1


@exported("keras.layers", "GlobalMaxPool2D")
class GlobalMaxPooling2D(_GlobalMaxPooling):
    """Maximum over all pixels of images.

    Shapes: x (batch, height, width, channels) -> y (batch, channels), or with `keepdims` the reduced axes of
    size 1.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        keepdims: Whether the reduced axes are kept with size 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.GlobalMaxPooling2D()(np.ones((2, 5, 5, 3))).shape
        (2, 3)
    """

    rank = 2


@exported("keras.layers", "GlobalMaxPool3D")
class GlobalMaxPooling3D(_GlobalMaxPooling):
    """Maximum over all voxels of volumes.

    Shapes: x (batch, depth, height, width, channels) -> y (batch, channels), or with `keepdims` the reduced
    axes of size 1.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        keepdims: Whether the reduced axes are kept with size 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.GlobalMaxPooling3D()(np.ones((2, 5, 5, 5, 3))).shape
        (2, 3)
    """

    rank = 3


@exported("keras.layers", "GlobalAvgPool1D")
class GlobalAveragePooling1D(_GlobalAveragePooling):
    """Mean over all steps of sequences.

    Shapes: x (batch, steps, channels) -> y (batch, channels), or with `keepdims` the reduced axes of size 1.

    Masked steps are not counted. A sample whose steps are all masked has the mean 0.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        keepdims: Whether the reduced axes are kept with size 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.GlobalAveragePooling1D()(np.ones((2, 5, 3))).shape
        (2, 3)
    """

    rank = 1

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        (axis,) = self._axes
        weights = ops.expand_dims(ops.cast(mask, inputs.dtype), 2 if axis == 1 else 1)
        count = ops.maximum(ops.sum(weights, axis=axis, keepdims=self.keepdims), 1)
        return ops.sum(inputs * weights, axis=axis, keepdims=self.keepdims) / count

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        return None


@exported("keras.layers", "GlobalAvgPool2D")
class GlobalAveragePooling2D(_GlobalAveragePooling):
    """Mean over all pixels of images.

    Shapes: x (batch, height, width, channels) -> y (batch, channels), or with `keepdims` the reduced axes of
    size 1.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        keepdims: Whether the reduced axes are kept with size 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.GlobalAveragePooling2D()(np.ones((2, 5, 5, 3))).shape
        (2, 3)

    Source: Lin et al. 2013, Network in Network.
    """

    rank = 2


@exported("keras.layers", "GlobalAvgPool3D")
class GlobalAveragePooling3D(_GlobalAveragePooling):
    """Mean over all voxels of volumes.

    Shapes: x (batch, depth, height, width, channels) -> y (batch, channels), or with `keepdims` the reduced
    axes of size 1.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        keepdims: Whether the reduced axes are kept with size 1.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.GlobalAveragePooling3D()(np.ones((2, 5, 5, 5, 3))).shape
        (2, 3)
    """

    rank = 3
