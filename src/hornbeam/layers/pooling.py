"""Pooling: the largest or the mean value of windows, or of everything."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_choice, check_sizes
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer
from hornbeam.layers.windows import check_window, spatial_sizes


class _Pooling(Layer):
    """Common to pooling over windows; `reduce` is the operation."""

    rank: int
    reduce: Any

    def __init__(
        self,
        pool_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        name: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        owner = type(self).__name__
        self.pool_size = check_sizes("pool_size", pool_size, self.rank, where=owner)
        self.strides = (
            self.pool_size if strides is None else check_sizes("strides", strides, self.rank, where=owner)
        )
        self.padding = check_choice("padding", str(padding).lower(), ("valid", "same"), where=owner)
        self.data_format = standard_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Tensor) -> Tensor:
        spatial = spatial_sizes(inputs.shape, self.data_format)
        check_window(self.describe(), spatial, self.pool_size, self.strides, self.padding)
        pool = type(self).reduce
        return pool(inputs, self.pool_size, self.strides, padding=self.padding, data_format=self.data_format)


def _max_pool(*args: Any, **kwargs: Any) -> Tensor:
    return ops.max_pool(*args, **kwargs)


def _average_pool(*args: Any, **kwargs: Any) -> Tensor:
    return ops.average_pool(*args, **kwargs)


class _MaxPooling(_Pooling):
    reduce = staticmethod(_max_pool)


class _AveragePooling(_Pooling):
    reduce = staticmethod(_average_pool)


@exported("keras.layers", "MaxPool1D")
class MaxPooling1D(_MaxPooling):
    """y[t] = max of x[t * stride : t * stride + pool_size]: x (batch, steps, channels) -> (batch, steps',
    channels).

    strides: pool_size by default. padding: "valid" (whole windows only) or "same" (steps' = ceil(steps /
    stride)).

    Raises ValueError for bad arguments, ShapeError if the window is larger than the input.

    >>> hornbeam.layers.MaxPooling1D(2)(np.ones((1, 6, 3))).shape
    (1, 3, 3)
    """

    rank = 1

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@exported("keras.layers", "MaxPool2D")
class MaxPooling2D(_MaxPooling):
    """The largest value of each window of an image: (batch, height, width, channels) -> (batch, h', w',
    channels).

    h' = floor((height - pool) / stride) + 1 with padding="valid", ceil(height / stride) with "same".

    Raises ValueError for bad arguments, ShapeError if the window is larger than the input.

    >>> hornbeam.layers.MaxPooling2D((2, 2))(np.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 3)
    """

    rank = 2

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@exported("keras.layers", "MaxPool3D")
class MaxPooling3D(_MaxPooling):
    """The largest value of each window of a volume (batch, depth, height, width, channels).

    Raises ValueError for bad arguments, ShapeError if the window is larger than the input.

    >>> hornbeam.layers.MaxPooling3D(2)(np.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    rank = 3

    def __init__(
        self,
        pool_size: Any = (2, 2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@exported("keras.layers", "AvgPool1D")
class AveragePooling1D(_AveragePooling):
    """The mean of each window of a sequence (batch, steps, channels); padding is not counted.

    Raises ValueError for bad arguments, ShapeError if the window is larger than the input.

    >>> hornbeam.layers.AveragePooling1D(2)(np.ones((1, 6, 3))).shape
    (1, 3, 3)
    """

    rank = 1

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@exported("keras.layers", "AvgPool2D")
class AveragePooling2D(_AveragePooling):
    """The mean of each window of an image (batch, height, width, channels); padding is not counted.

    Raises ValueError for bad arguments, ShapeError if the window is larger than the input.

    >>> hornbeam.layers.AveragePooling2D(2)(np.ones((1, 4, 4, 3))).shape
    (1, 2, 2, 3)
    """

    rank = 2

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@exported("keras.layers", "AvgPool3D")
class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume (batch, depth, height, width, channels); padding is not counted.

    Raises ValueError for bad arguments, ShapeError if the window is larger than the input.

    >>> hornbeam.layers.AveragePooling3D(2)(np.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    rank = 3

    def __init__(
        self,
        pool_size: Any,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


class _GlobalPooling(Layer):
    """Common to pooling over all positions; `keepdims` leaves the axes with size 1."""

    rank: int

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
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
    """The largest value over all steps: x (batch, steps, channels) -> y (batch, channels).

    >>> hornbeam.layers.GlobalMaxPooling1D()(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    rank = 1


@exported("keras.layers", "GlobalMaxPool2D")
class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest value over an image: x (batch, height, width, channels) -> y (batch, channels).

    >>> hornbeam.layers.GlobalMaxPooling2D()(np.ones((2, 5, 5, 3))).shape
    (2, 3)
    """

    rank = 2


@exported("keras.layers", "GlobalMaxPool3D")
class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The largest value over a volume: x (batch, depth, height, width, channels) -> y (batch, channels).

    >>> hornbeam.layers.GlobalMaxPooling3D()(np.ones((2, 5, 5, 5, 3))).shape
    (2, 3)
    """

    rank = 3


@exported("keras.layers", "GlobalAvgPool1D")
class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean over all steps, masked ones left out: x (batch, steps, channels) -> y (batch, channels).

    A sample whose steps are all masked gives 0.

    >>> hornbeam.layers.GlobalAveragePooling1D()(np.ones((2, 5, 3))).shape
    (2, 3)
    """

    rank = 1

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Any = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        (axis,) = self._axes
        weights = ops.expand_dims(ops.cast(mask, inputs.dtype), 2 if axis == 1 else 1)
        count = ops.maximum(ops.sum(weights, axis=axis, keepdims=self.keepdims), 1)
        return ops.sum(inputs * weights, axis=axis, keepdims=self.keepdims) / count

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


@exported("keras.layers", "GlobalAvgPool2D")
class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean over an image: x (batch, height, width, channels) -> y (batch, channels) (Lin et al. 2013).

    >>> hornbeam.layers.GlobalAveragePooling2D()(np.ones((2, 5, 5, 3))).shape
    (2, 3)
    """

    rank = 2


@exported("keras.layers", "GlobalAvgPool3D")
class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean over a volume: x (batch, depth, height, width, channels) -> y (batch, channels).

    >>> hornbeam.layers.GlobalAveragePooling3D()(np.ones((2, 5, 5, 5, 3))).shape
    (2, 3)
    """

    rank = 3
