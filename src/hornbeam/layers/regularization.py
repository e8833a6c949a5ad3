"""Layers that act in training only: dropout and noise; and a penalty on activity."""

from __future__ import annotations

import math
from typing import Any

from hornbeam import ops, random, regularizers
from hornbeam._internal.validation import check_rate
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer


class _Noise(Layer):
    """A layer with a random state of its own, which does nothing outside of training."""

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True


@exported("keras.layers")
class Dropout(_Noise):
    """In training, y = x * m / (1 - rate) with m = 0 with probability `rate`, else 1; otherwise y = x.

    noise_shape: shape of m, with None or 1 where it is shared along an axis, e.g. (None, 1, None).
    seed: for the same masks again. (Srivastava et al. 2014)

    Raises ValueError for a rate outside [0, 1].

    >>> np.asarray(hornbeam.layers.Dropout(0.5)(np.ones(3)))  # not training
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate, closed=True, where="Dropout")
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def _noise_shape(self, inputs: Tensor) -> tuple[int, ...] | None:
        if self.noise_shape is None:
            return None
        if len(self.noise_shape) != inputs.ndim:
            raise ValueError(
                f"{self.describe()}: noise_shape {self.noise_shape} must have a size for each axis of "
                f"{inputs.shape}"
            )
        return tuple(
            have if want is None else want for want, have in zip(self.noise_shape, inputs.shape, strict=True)
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        return random.dropout(
            inputs, self.rate, noise_shape=self._noise_shape(inputs), seed=self.seed_generator
        )


class _SpatialDropout(Dropout):
    """Dropout of whole channels: neighbouring values are alike, so dropping single ones would hide
    nothing.
    """

    rank: int
    data_format = "channels_last"
    _not_in_config = frozenset({"noise_shape"})

    def __init__(self, rate: float, seed: int | None, name: str | None, dtype: Any) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _noise_shape(self, inputs: Tensor) -> tuple[int, ...]:
        batch, *_ = inputs.shape
        if self.data_format == "channels_first":
            return (batch, inputs.shape[1], *(1,) * self.rank)
        return (batch, *(1,) * self.rank, inputs.shape[-1])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]
        return config


@exported("keras.layers")
class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of x (batch, steps, channels) (Tompson et al. 2015).

    Raises ValueError for a rate outside [0, 1].

    >>> hornbeam.layers.SpatialDropout1D(0.5)(np.ones((1, 3, 2)), training=True).shape
    (1, 3, 2)
    """

    rank = 1

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, seed, name, dtype)


@exported("keras.layers")
class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of images (Tompson et al. 2015). data_format: where the channels are.

    Raises ValueError for a rate outside [0, 1].

    >>> hornbeam.layers.SpatialDropout2D(0.5)(np.ones((1, 3, 3, 2)), training=True).shape
    (1, 3, 3, 2)
    """

    rank = 2

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed, name, dtype)
        self.data_format = standard_data_format(data_format)


@exported("keras.layers")
class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of volumes (Tompson et al. 2015). data_format: where the channels are.

    Raises ValueError for a rate outside [0, 1].

    >>> hornbeam.layers.SpatialDropout3D(0.5)(np.ones((1, 3, 3, 3, 2)), training=True).shape
    (1, 3, 3, 3, 2)
    """

    rank = 3

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed, name, dtype)
        self.data_format = standard_data_format(data_format)


@exported("keras.layers")
class GaussianDropout(_Noise):
    """In training, y = x * n with n normal of mean 1 and variance rate / (1 - rate) (Srivastava et al. 2014).

    Raises ValueError for a rate outside [0, 1).

    >>> hornbeam.layers.GaussianDropout(0.5)(np.ones(3), training=True).shape
    (3,)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate, where="GaussianDropout")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return inputs * random.normal(inputs.shape, 1.0, stddev, dtype=inputs.dtype, seed=self.seed_generator)


@exported("keras.layers")
class GaussianNoise(_Noise):
    """In training, y = x + n with n normal of mean 0 and standard deviation `stddev`.

    Raises ValueError for a negative stddev.

    >>> hornbeam.layers.GaussianNoise(0.1)(np.ones(3), training=True).shape
    (3,)
    """

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if isinstance(stddev, bool) or not isinstance(stddev, (int, float)) or stddev < 0:
            raise ValueError(f"GaussianNoise: stddev must be a number that is not negative, got {stddev!r}")
        self.stddev = stddev

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return inputs + random.normal(
            inputs.shape, 0.0, self.stddev, dtype=inputs.dtype, seed=self.seed_generator
        )


# Where SELU saturates: -scale * alpha.
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


@exported("keras.layers")
class AlphaDropout(_Noise):
    """Dropout that keeps mean 0 and variance 1 of what SELU gives: dropped values become SELU's floor.

    y = a * (m * x + (1 - m) * floor) + b with m = 1 with probability 1 - rate (Klambauer et al. 2017).

    Raises ValueError for a rate outside [0, 1).

    >>> hornbeam.layers.AlphaDropout(0.5)(np.ones(3), training=True).shape
    (3,)
    """

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate, where="AlphaDropout")
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        shape = inputs.shape
        if self.noise_shape is not None:
            shape = tuple(
                have if want is None else want for want, have in zip(self.noise_shape, shape, strict=True)
            )
        keep = ops.cast(random.uniform(shape, seed=self.seed_generator) >= self.rate, inputs.dtype)
        a = ((1 - self.rate) * (1 + self.rate * _SELU_FLOOR**2)) ** -0.5
        b = -a * self.rate * _SELU_FLOOR
        return a * (inputs * keep + _SELU_FLOOR * (1 - keep)) + b


@exported("keras.layers")
class ActivityRegularization(Layer):
    """y = x, and (l1 * sum|x| + l2 * sum x^2) / batch size is added to the loss.

    >>> layer = hornbeam.layers.ActivityRegularization(l2=0.1)
    >>> layer(np.ones(3)).shape
    (3,)
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return config
