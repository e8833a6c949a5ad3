"""`Normalization`: zero mean and unit variance, by statistics of the training data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike, PartialShape
from hornbeam.config import epsilon
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike, Unpack
from hornbeam.errors import ArgumentTypeError
from hornbeam.ir.types import ShapeError
from hornbeam.layers.layer import TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions
from hornbeam.layers.preprocessing.adapting import batches_of, sketch_rows
from hornbeam.layers.preprocessing.host import refuse_strings


@exported("keras.layers")
class Normalization(TensorLayer):
    """Normalize features by mean and variance of the training data: `y = (x - mean) / sqrt(variance)`.

    Weights (not trained): mean and variance, of the sizes of `axis`, and the count of samples.

    Args:
        axis: Axes with statistics for each index (-1: each feature); None for one mean of all values.
        mean: Mean; computed by `adapt(data)` by default, and 0 until then.
        variance: Variance; computed by `adapt(data)` by default, and 1 until then.
        invert: Whether the inverse is applied: `y = x * sqrt(variance) + mean`.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If only one of `mean` and `variance` is given.
        ShapeError: If the size of a kept axis is unknown.

    Example:
        >>> layer = hornbeam.layers.Normalization(); layer.adapt(np.array([[1.0], [3.0]]))
        >>> np.asarray(layer(np.array([[1.0], [3.0]]))).tolist()
        [[-1.0], [1.0]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: ArrayLike | None = None,
        variance: ArrayLike | None = None,
        invert: bool = False,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError("Normalization: give both mean and variance, or neither and call adapt(data)")
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True

    def build(self, input_shape: PartialShape) -> None:
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(f"{self.describe()}: axis {self.axis} does not exist in an input of rank {rank}")
        axes = sorted(axis % rank for axis in self.axis)
        if any(input_shape[axis] is None for axis in axes):
            raise ShapeError(
                f"{self.describe()}: sizes of the kept axes {self.axis} must be known, "
                f"got {tuple(input_shape)}"
            )
        self._kept_axes: tuple[int, ...] = tuple(axes)
        self._sizes = tuple(input_shape[axis] if axis in axes else 1 for axis in range(rank))
        if self.input_mean is None:
            shape = tuple(self._sizes[axis] for axis in axes)
            options: dict[str, Any] = {"trainable": False, "autocast": False}
            self.adapt_mean = self.add_weight(shape, "zeros", name="mean", **options)
            self.adapt_variance = self.add_weight(shape, "ones", name="variance", **options)
            self.count = self.add_weight((), "zeros", dtype="int32", name="count", trainable=False)

    def adapt(self, data: ArrayLike | Iterable[ArrayLike]) -> None:
        """Compute mean and variance of data.

        Args:
            data: Array, or iterable of batches.

        Raises:
            ValueError: If mean and variance are fixed, or there are no data.
        """
        if self.input_mean is not None:
            raise ValueError(
                f"{self.describe()} has a fixed mean and variance: adapt() has nothing to compute"
            )
        batches = list(sketch_rows(self, batches_of(data)))
        if not batches[0].ndim:
            raise ArgumentTypeError(
                f"{self.describe()}: adapt() takes arrays, or batches of them, got {data!r}"
            )
        if not self.built:
            input_shape: Any = (None, *batches[0].shape[1:])
            self.build(input_shape)
        reduced_axes = tuple(axis for axis in range(batches[0].ndim) if axis not in self._kept_axes)
        count, running_mean, squares = 0, 0.0, 0.0
        for batch in batches:
            refuse_strings(batch, self.describe())
            values = np.asarray(batch, np.float64)
            size = int(np.prod([values.shape[axis] for axis in reduced_axes]))
            mean, variance = values.mean(axis=reduced_axes), values.var(axis=reduced_axes)
            # Chan et al. 1979: combine the moments of two sets.
            delta = mean - running_mean
            squares = squares + variance * size + delta**2 * (count * size / (count + size))
            running_mean = running_mean + delta * (size / (count + size))
            count += size
        self.adapt_mean.assign(running_mean)
        self.adapt_variance.assign(squares / count)
        self.count.assign(min(count, 2**31 - 1))

    @property
    def mean(self) -> Tensor | None:
        """Mean in use, of the input's rank, with size 1 for axes without statistics; None before `build`."""
        if not self.built:
            return None
        return self._aligned(self.adapt_mean if self.input_mean is None else self.input_mean)

    @property
    def variance(self) -> Tensor | None:
        """Variance in use, of the shape of `mean`; None before `build`."""
        if not self.built:
            return None
        return self._aligned(self.adapt_variance if self.input_variance is None else self.input_variance)

    def _aligned(self, value: TensorLike) -> Tensor:
        """Give a statistic the input's rank. Its axes are the last ones of the kept axes."""
        value = ops.cast(value, self.compute_dtype)
        shape = [1] * len(self._sizes)
        for axis, size in zip(reversed(self._kept_axes), reversed(value.shape), strict=False):
            shape[axis] = size
        return ops.broadcast_to(ops.reshape(value, shape), self._sizes)

    def call(self, inputs: Tensor) -> Tensor:
        x, mean, variance = ops.cast(inputs, self.compute_dtype), self.mean, self.variance
        assert mean is not None
        assert variance is not None
        deviation = ops.maximum(ops.sqrt(variance), epsilon())
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        arrays = {"mean": self.input_mean, "variance": self.input_variance}
        lists = {
            name: None if value is None else np.asarray(value).tolist() for name, value in arrays.items()
        }
        return {**self._base_config(), "axis": self.axis, "invert": self.invert, **lists}
