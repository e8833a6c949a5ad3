"""Layers that prepare data: scaling, normalization fitted on data, crops, sizes, categories, bins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.config import epsilon, standard_data_format
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import ShapeError
from hornbeam.layers.arguments import no_support, one_of, positive
from hornbeam.layers.call import is_array
from hornbeam.layers.layer import Layer
from hornbeam.registry import exported
from hornbeam.tensor import Tensor
from hornbeam.variable import current_recorder

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


def batches_of(data: Any) -> list[np.ndarray]:
    """What `adapt` is given, as arrays: one array, or an iterable of batches (of pairs: their first part)."""
    if is_array(data):
        return [np.asarray(data)]
    if isinstance(data, (list, tuple)) and all(isinstance(x, (int, float, list)) for x in data):
        return [np.asarray(data)]
    if not isinstance(data, Iterable):
        raise ValueError(f"adapt takes an array or an iterable of batches, got {type(data).__name__}")
    arrays = [np.asarray(batch[0] if isinstance(batch, (list, tuple)) else batch) for batch in data]
    if not arrays:
        raise ValueError("adapt got no data")
    return arrays


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
class Normalization(Layer):
    """y = (x - mean) / sqrt(variance), with mean and variance of the training data, one for each index of
    `axis`.

    axis: axes that keep values of their own (-1: each feature; None: one mean for all). mean, variance:
    given, or found by `adapt(data)`; until then 0 and 1. invert: the way back, y = x * sqrt(variance) + mean.
    Weights (not trained): mean, variance of the kept axes' shape, and the count of samples.

    Raises ValueError if only one of mean and variance is given, ShapeError if a kept axis has an unknown
    size.

    >>> layer = hornbeam.layers.Normalization(); layer.adapt(np.array([[1.0], [3.0]]))
    >>> np.asarray(layer(np.array([[1.0], [3.0]]))).tolist()
    [[-1.0], [1.0]]
    """

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: give both mean and variance, or neither and call adapt(data)")
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(f"{self.describe()}: axis {self.axis} does not exist in an input of rank {rank}")
        keep = sorted(axis % rank for axis in self.axis)
        if any(input_shape[axis] is None for axis in keep):
            raise ShapeError(
                f"{self.describe()}: sizes of the kept axes {self.axis} must be known, got "
                f"{tuple(input_shape)}"
            )
        self._keep = tuple(keep)
        shape = tuple(input_shape[axis] for axis in keep)
        if self.input_mean is None:
            kept: dict[str, Any] = {"trainable": False, "autocast": False}
            self.adapt_mean = self.add_weight(shape, "zeros", name="mean", **kept)
            self.adapt_variance = self.add_weight(shape, "ones", name="variance", **kept)
            self.count = self.add_weight((), "zeros", dtype="int32", name="count", trainable=False)

    def adapt(self, data: Any) -> None:
        """Find mean and variance of `data`: an array, or an iterable of batches.

        Raises ValueError if mean and variance were given, or there is no data.
        """
        if self.input_mean is not None:
            raise ValueError(f"{self.describe()} was given mean and variance: there is nothing to adapt")
        batches = batches_of(data)
        if not self.built:
            self.build((None, *batches[0].shape[1:]))
        others = tuple(axis for axis in range(batches[0].ndim) if axis not in self._keep)
        count, total, square = 0, 0.0, 0.0
        for batch in batches:
            wide = np.asarray(batch, np.float64)
            here = int(np.prod([wide.shape[axis] for axis in others]))
            mean, variance = wide.mean(axis=others), wide.var(axis=others)
            # Chan et al. 1979: the sums of two sets from their means and variances.
            delta = mean - total
            square = square + variance * here + delta**2 * (count * here / (count + here))
            total = total + delta * (here / (count + here))
            count += here
        self.adapt_mean.assign(total)
        self.adapt_variance.assign(square / count)
        self.count.assign(min(count, 2**31 - 1))

    @property
    def mean(self) -> Any:
        """The means in use."""
        return self.adapt_mean if self.input_mean is None else np.asarray(self.input_mean)

    @property
    def variance(self) -> Any:
        """The variances in use."""
        return self.adapt_variance if self.input_mean is None else np.asarray(self.input_variance)

    def call(self, inputs: Tensor) -> Tensor:
        x = ops.cast(inputs, self.compute_dtype)
        shape = tuple(x.shape[axis] if axis in self._keep else 1 for axis in range(x.ndim))

        def wide(value: Any) -> Tensor:
            value = ops.cast(value, self.compute_dtype)
            return ops.reshape(ops.broadcast_to(value, tuple(x.shape[axis] for axis in self._keep)), shape)

        mean = wide(self.mean)
        deviation = ops.maximum(ops.sqrt(wide(self.variance)), epsilon())
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        given = {"mean": self.input_mean, "variance": self.input_variance}
        plain = {name: None if value is None else np.asarray(value).tolist() for name, value in given.items()}
        return {**self._base_config(), "axis": self.axis, "invert": self.invert, **plain}


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


def encode(indices: Tensor, count: int, mode: str, dtype: str, weights: Any = None) -> Tensor:
    """Whole numbers as vectors: "one_hot" one for each, "multi_hot" and "count" one for all of the last
    axis.
    """
    hot = ops.one_hot(ops.cast(indices, "int32"), count, dtype=dtype)
    if mode == "one_hot":
        return ops.squeeze(hot, -2) if indices.ndim > 1 and indices.shape[-1] == 1 else hot
    if mode == "multi_hot":
        return ops.max(hot, axis=-2)
    if weights is not None:
        hot = hot * ops.expand_dims(ops.cast(weights, dtype), -1)
    return ops.sum(hot, axis=-2)


@exported("keras.layers")
class CategoryEncoding(Layer):
    """Whole numbers in [0, num_tokens) as vectors (..., num_tokens).

    output_mode: "one_hot" (one vector for each number), "multi_hot" (1 for each number that occurs in a
    sample), "count" (how often it occurs; `count_weights` weighs them).

    Raises ValueError for an unknown mode, num_tokens below 1, or, where values are known, numbers out of
    range.

    >>> np.asarray(hornbeam.layers.CategoryEncoding(4)(np.array([[0, 2]])))
    array([[1., 0., 1., 0.]], dtype=float32)
    """

    _not_in_config = frozenset({"sparse"})

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        no_support("CategoryEncoding", "tensors are dense", sparse=sparse)
        super().__init__(**kwargs)
        self.num_tokens = positive("CategoryEncoding", "num_tokens", num_tokens)
        self.output_mode = one_of(
            "CategoryEncoding", "output_mode", output_mode, ("one_hot", "multi_hot", "count")
        )

    def call(self, inputs: Tensor, count_weights: Any = None) -> Tensor:
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f'{self.describe()}: count_weights belong to output_mode="count"')
        if not current_level() and current_recorder() is None:
            values = np.asarray(inputs)
            if values.size and (values.min() < 0 or values.max() >= self.num_tokens):
                raise ValueError(
                    f"{self.describe()}: values must lie in [0, {self.num_tokens}), got {values.min()} to "
                    f"{values.max()}"
                )
        return encode(inputs, self.num_tokens, self.output_mode, self.compute_dtype, count_weights)


@exported("keras.layers")
class Discretization(Layer):
    """Numbers as the index of the bin they lie in: y = how many of `bin_boundaries` are <= x.

    bin_boundaries: given, or `num_bins` bins of equal counts are found by `adapt(data)`. output_mode: "int",
    or the index encoded as in CategoryEncoding. epsilon: kept for Keras's signature; the quantiles are exact.

    Raises ValueError if neither or both of bin_boundaries and num_bins are given, or if it is not adapted.

    >>> np.asarray(hornbeam.layers.Discretization([0.0, 1.0])(np.array([-1.0, 0.5, 3.0]))).tolist()
    [0, 1, 2]
    """

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: Any = None,
        name: str | None = None,
    ) -> None:
        no_support("Discretization", "tensors are dense", sparse=sparse)
        super().__init__(name=name, dtype=dtype)
        if (bin_boundaries is None) == (num_bins is None):
            raise ValueError("Discretization: give bin_boundaries, or num_bins and call adapt(data)")
        self.num_bins = None if num_bins is None else positive("Discretization", "num_bins", num_bins)
        self.bin_boundaries = None if bin_boundaries is None else sorted(float(b) for b in bin_boundaries)
        self.epsilon = epsilon
        modes = ("int", "one_hot", "multi_hot", "count")
        self.output_mode = one_of("Discretization", "output_mode", output_mode, modes)
        self.sparse = sparse

    def adapt(self, data: Any) -> None:
        """Find `num_bins` bins that hold equally many values of `data`: an array, or an iterable of batches.

        Raises ValueError if the boundaries were given.
        """
        if self.num_bins is None:
            raise ValueError(f"{self.describe()} was given bin_boundaries: there is nothing to adapt")
        values = np.concatenate([batch.ravel() for batch in batches_of(data)]).astype(np.float64)
        self.bin_boundaries = np.quantile(values, np.linspace(0, 1, self.num_bins + 1)[1:-1]).tolist()

    def call(self, inputs: Tensor) -> Tensor:
        if self.bin_boundaries is None:
            raise ValueError(f"{self.describe()} has no boundaries yet: call adapt(data)")
        x = ops.cast(inputs, self.compute_dtype)
        found = ops.digitize(x, np.asarray(self.bin_boundaries, np.float32))
        if self.output_mode == "int":
            return found
        return encode(found, len(self.bin_boundaries) + 1, self.output_mode, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        config = dict(config)
        boundaries = config.get("bin_boundaries") if config.get("num_bins") is not None else None
        if boundaries is not None:  # found by adapt
            config["bin_boundaries"] = None
        layer = super().from_config(config)
        if boundaries is not None:
            layer.bin_boundaries = list(boundaries)
        return layer
