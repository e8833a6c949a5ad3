"""`Normalization`: zero mean and unit variance, found on data."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.layer import Layer
from hornbeam.layers.preprocessing.adapting import batches_of, remembered
from hornbeam.layers.preprocessing.host import no_strings


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
        batches = list(remembered(self, batches_of(data)))
        if not self.built:
            self.build((None, *batches[0].shape[1:]))
        others = tuple(axis for axis in range(batches[0].ndim) if axis not in self._keep)
        count, total, square = 0, 0.0, 0.0
        for batch in batches:
            no_strings(batch, self.describe())
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
