"""Layers that enlarge sequences, images and volumes."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import ops
from hornbeam._internal.validation import check_choice, check_int, check_sizes
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.reshaping import _Spatial
from hornbeam.layers.windows import spatial_sizes


def _repeat(x: Tensor, times: int, axis: int) -> Tensor:
    """Repeat every slice along an axis: a broadcast, so that the gradient is a plain sum."""
    if times == 1:
        return x
    shape = x.shape
    repeated = ops.broadcast_to(ops.expand_dims(x, axis + 1), (*shape[: axis + 1], times, *shape[axis + 1 :]))
    return ops.reshape(repeated, (*shape[:axis], shape[axis] * times, *shape[axis + 1 :]))


@exported("keras.layers")
class UpSampling1D(TensorLayer):
    """Repeat every step: x (batch, steps, channels) -> y (batch, size * steps, channels).

    Args:
        size: Number of repetitions.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.UpSampling1D(2)(np.ones((1, 3, 4))).shape
        (1, 6, 4)
    """

    def __init__(self, size: int = 2, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.size = check_int("size", size, minimum=1, where="UpSampling1D")
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Tensor) -> Tensor:
        return _repeat(inputs, self.size, 1)


@exported("keras.layers")
class UpSampling2D(_Spatial):
    """Enlarge images by integer factors.

    Args:
        size: Factors of rows and columns; one integer for both.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        interpolation: "nearest" (repeat pixels), "bilinear", "bicubic", "lanczos3" or "lanczos5".
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1 or the interpolation is unknown.

    Example:
        >>> hornbeam.layers.UpSampling2D((2, 3))(np.ones((1, 4, 4, 1))).shape
        (1, 8, 12, 1)
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.size = check_sizes("size", size, 2, where="UpSampling2D")
        interpolations = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        self.interpolation = check_choice(
            "interpolation", interpolation, interpolations, where="UpSampling2D"
        )

    def call(self, inputs: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            axis = self._first_axis
            return _repeat(_repeat(inputs, self.size[0], axis), self.size[1], axis + 1)
        height, width = spatial_sizes(inputs.shape, self.data_format)
        target = (height * self.size[0], width * self.size[1])
        return ops.image.resize(
            inputs, target, interpolation=self.interpolation, data_format=self.data_format
        )


@exported("keras.layers")
class UpSampling3D(_Spatial):
    """Enlarge volumes by repeating voxels.

    Args:
        size: Factors of the three axes; one integer for all.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a size is below 1.

    Example:
        >>> hornbeam.layers.UpSampling3D(2)(np.ones((1, 2, 2, 2, 1))).shape
        (1, 4, 4, 4, 1)
    """

    rank = 3

    def __init__(
        self,
        size: int | Sequence[int] = (2, 2, 2),
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.size = check_sizes("size", size, 3, where="UpSampling3D")

    def call(self, inputs: Tensor) -> Tensor:
        for offset, times in enumerate(self.size):
            inputs = _repeat(inputs, times, self._first_axis + offset)
        return inputs
