"""Layers that move values without changing them: Flatten, Reshape, Permute, padding, cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_int, check_padding
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.ir.types import ShapeError
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.windows import spatial_sizes


@exported("keras.layers")
class Flatten(TensorLayer):
    """Flatten all axes but the batch: x (batch, ...) -> y (batch, n).

    With data_format="channels_first" the channels are moved to the end first, so that both formats give the
    same order.

    Args:
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.Flatten()(np.ones((2, 28, 28, 1))).shape
        (2, 784)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.data_format = standard_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Tensor) -> Tensor:
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = ops.transpose(inputs, (0, *range(2, inputs.ndim), 1))
        return ops.reshape(inputs, (inputs.shape[0], inputs.size // max(inputs.shape[0], 1)))


def _check_integers(owner: str, name: str, value: Sequence[int]) -> tuple[int, ...]:
    if not hasattr(value, "__iter__"):
        raise ValueError(f"{owner}: {name} must be a tuple of integers such as (2, 3), got {value!r}")
    return tuple(value)


@exported("keras.layers")
class Reshape(TensorLayer):
    """Reshape each sample: x (batch, ...) -> y (batch, *target_shape).

    Args:
        target_shape: Sizes without the batch; one of them may be -1 and is inferred.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the number of values differs.

    Example:
        >>> hornbeam.layers.Reshape((4, -1))(np.ones((2, 12))).shape
        (2, 4, 3)
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.target_shape = _check_integers("Reshape", "target_shape", target_shape)
        if self.target_shape.count(-1) > 1 or any(
            not isinstance(size, int) or size < -1 for size in self.target_shape
        ):
            raise ValueError(
                f"Reshape: target_shape must be sizes, at most one of them -1, got {target_shape!r}"
            )

    def call(self, inputs: Tensor) -> Tensor:
        product = 1
        for size in self.target_shape:
            product *= 1 if size == -1 else size
        values = inputs.size // max(inputs.shape[0], 1)
        if (-1 not in self.target_shape and product != values) or (product and values % product):
            relation = "holds" if -1 not in self.target_shape else "needs a multiple of"
            raise ShapeError(
                f"{self.describe()}: a sample of shape {inputs.shape[1:]} has {values} values, "
                f"target_shape {self.target_shape} {relation} {product}"
            )
        return ops.reshape(
            inputs,
            (inputs.shape[0], *(values // product if size == -1 else size for size in self.target_shape)),
        )


@exported("keras.layers")
class Permute(TensorLayer):
    """Transpose the axes of each sample: axis i of y is axis dims[i] of x, counted from 1 after the batch.

    Args:
        dims: Permutation of 1..n.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `dims` is not a permutation of 1..n.

    Example:
        >>> hornbeam.layers.Permute((2, 1))(np.ones((2, 3, 5))).shape
        (2, 5, 3)
    """

    def __init__(self, dims: Sequence[int], **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.dims = _check_integers("Permute", "dims", dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: dims must be a permutation of 1..{len(self.dims)} (0 is the batch), got {dims!r}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Tensor) -> Tensor:
        return ops.transpose(inputs, (0, *self.dims))


@exported("keras.layers")
class RepeatVector(TensorLayer):
    """Repeat a vector at every step: x (batch, features) -> y (batch, n, features).

    Args:
        n: Number of steps.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `n` is below 1.

    Example:
        >>> hornbeam.layers.RepeatVector(3)(np.ones((2, 5))).shape
        (2, 3, 5)
    """

    def __init__(self, n: int, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        self.n = check_int("n", n, minimum=1, where="RepeatVector")
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Tensor) -> Tensor:
        batch, features = inputs.shape
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))


class _Spatial(TensorLayer):
    """Base of layers over `rank` axes between batch and channels."""

    rank: int

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = standard_data_format(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    @property
    def _first_axis(self) -> int:
        return 1 if self.data_format == "channels_last" else 2


class _ZeroPadding(_Spatial):
    padding: Sequence[Any]

    def call(self, inputs: Tensor) -> Tensor:
        pairs = check_padding(
            "padding",
            (self.padding,) if self.rank == 1 else self.padding,
            self.rank,
            where=type(self).__name__,
        )
        inner = [(0, 0)] if self.data_format == "channels_last" else []
        return ops.pad(inputs, [(0, 0)] * self._first_axis + list(pairs) + inner)


@exported("keras.layers")
class ZeroPadding1D(_ZeroPadding):
    """Pad sequences with zeros: x (batch, steps, channels) -> y (batch, steps + before + after, channels).

    Args:
        padding: Number of steps before and after: an integer, or a pair (before, after).
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `padding` has another form.

    Example:
        >>> hornbeam.layers.ZeroPadding1D(2)(np.ones((1, 3, 4))).shape
        (1, 7, 4)
    """

    rank = 1

    def __init__(
        self,
        padding: int | Sequence[int | Sequence[int]] = 1,
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        (self.padding,) = check_padding(
            "padding", padding if isinstance(padding, int) else (padding,), 1, where="ZeroPadding1D"
        )


@exported("keras.layers")
class ZeroPadding2D(_ZeroPadding):
    """Pad images with zeros.

    Args:
        padding: ((top, bottom), (left, right)), or (height, width) for both sides, or an integer for all
            sides.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `padding` has another form.

    Example:
        >>> hornbeam.layers.ZeroPadding2D(1)(np.ones((1, 3, 4, 2))).shape
        (1, 5, 6, 2)
    """

    rank = 2

    def __init__(
        self,
        padding: int | Sequence[int | Sequence[int]] = (1, 1),
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = check_padding("padding", padding, 2, where="ZeroPadding2D")


@exported("keras.layers")
class ZeroPadding3D(_ZeroPadding):
    """Pad volumes with zeros.

    Args:
        padding: A pair (before, after) or an integer for each of the three axes, or an integer for all sides.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `padding` has another form.

    Example:
        >>> hornbeam.layers.ZeroPadding3D(1)(np.ones((1, 2, 3, 4, 2))).shape
        (1, 4, 5, 6, 2)
    """

    rank = 3

    def __init__(
        self,
        padding: int | Sequence[int | Sequence[int]] = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.padding = check_padding("padding", padding, 3, where="ZeroPadding3D")


class _Cropping(_Spatial):
    cropping: Sequence[Any]

    def call(self, inputs: Tensor) -> Tensor:
        pairs = (self.cropping,) if self.rank == 1 else self.cropping
        spatial = spatial_sizes(inputs.shape, self.data_format)
        if any(low + high >= size for (low, high), size in zip(pairs, spatial, strict=True)):
            raise ShapeError(
                f"{self.describe()}: cropping {self.cropping} leaves no values of an input of {spatial}"
            )
        cuts = tuple(slice(low, size - high) for (low, high), size in zip(pairs, spatial, strict=True))
        return inputs[(slice(None),) * self._first_axis + cuts]


@exported("keras.layers")
class Cropping1D(_Cropping):
    """Crop sequences: x (batch, steps, channels) -> y (batch, steps - before - after, channels).

    Args:
        cropping: Number of steps cut off: an integer, or a pair (before, after).
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `cropping` has another form.
        ShapeError: If no steps would be left.

    Example:
        >>> hornbeam.layers.Cropping1D((1, 0))(np.ones((1, 3, 4))).shape
        (1, 2, 4)
    """

    rank = 1

    def __init__(
        self,
        cropping: int | Sequence[int | Sequence[int]] = (1, 1),
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__("channels_last", **kwargs)
        (self.cropping,) = check_padding(
            "cropping", cropping if isinstance(cropping, int) else (cropping,), 1, where="Cropping1D"
        )


@exported("keras.layers")
class Cropping2D(_Cropping):
    """Crop images.

    Args:
        cropping: ((top, bottom), (left, right)), or (height, width) for both sides, or an integer for all
            sides.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `cropping` has another form.
        ShapeError: If no pixels would be left.

    Example:
        >>> hornbeam.layers.Cropping2D(1)(np.ones((1, 4, 5, 2))).shape
        (1, 2, 3, 2)
    """

    rank = 2

    def __init__(
        self,
        cropping: int | Sequence[int | Sequence[int]] = ((0, 0), (0, 0)),
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.cropping = check_padding("cropping", cropping, 2, where="Cropping2D")


@exported("keras.layers")
class Cropping3D(_Cropping):
    """Crop volumes.

    Args:
        cropping: A pair (before, after) or an integer for each of the three axes, or an integer for all
            sides.
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `cropping` has another form.
        ShapeError: If no voxels would be left.

    Example:
        >>> hornbeam.layers.Cropping3D(1)(np.ones((1, 4, 5, 6, 2))).shape
        (1, 2, 3, 4, 2)
    """

    rank = 3

    def __init__(
        self,
        cropping: int | Sequence[int | Sequence[int]] = ((1, 1), (1, 1), (1, 1)),
        data_format: str | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.cropping = check_padding("cropping", cropping, 3, where="Cropping3D")
