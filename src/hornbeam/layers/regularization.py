"""Layers that act in training only (dropout and noise), and a penalty on activity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from hornbeam import ops, random, regularizers
from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int, check_rate
from hornbeam.config import standard_data_format
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.dtype_policies.policy import DTypePolicyLike
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer, TensorLayer
from hornbeam.layers.options import LayerOptions, RegularizedLayerOptions


class _Noise(TensorLayer):
    """Base of layers with a random state of their own, which do nothing in inference."""

    _is_stateless = True

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    @property
    def _amount(self) -> float:
        """Rate or deviation of the noise."""
        return self.rate  # type: ignore[attr-defined]

    def _seed_generators(self) -> list[random.SeedGenerator]:
        """Return the random state; none if the layer draws nothing, which has no variables in Keras."""
        return super()._seed_generators() if self._amount > 0 else []


def _checked_noise_shape(noise_shape: Any, where: str) -> tuple[int | None, ...]:
    sizes = tuple(noise_shape) if isinstance(noise_shape, Iterable) else ()
    for size in sizes:
        if size is not None:
            check_int("a size in noise_shape", size, minimum=1, where=where)
    if not sizes:
        raise ValueError(f"{where}: noise_shape must be a sequence of integers and None, got {noise_shape!r}")
    return sizes


@exported("keras.layers")
class Dropout(_Noise):
    """Drop random values in training.

    Formula: in training `y = x * m / (1 - rate)`, m = 0 with probability `rate` and 1 otherwise; in inference
    `y = x`.

    Args:
        rate: Fraction of the values that are dropped, in [0, 1].
        noise_shape: Shape of the mask, with None or 1 for axes along which it is the same; the input's shape
            by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `rate` is outside [0, 1].

    Example:
        >>> np.asarray(hornbeam.layers.Dropout(0.5)(np.ones(3)))  # not training
        array([1., 1., 1.], dtype=float32)

    Source: Srivastava et al. 2014.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate, closed=True, where="Dropout")
        self.noise_shape = None if noise_shape is None else _checked_noise_shape(noise_shape, "Dropout")

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
    """Dropout of whole channels: neighboring values are alike, so dropping single values hides nothing."""

    rank: int
    data_format = "channels_last"
    _not_in_config = frozenset({"noise_shape"})

    def __init__(
        self, rate: float, seed: int | None, name: str | None, dtype: DTypePolicyLike | None
    ) -> None:
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
    """Drop whole channels of sequences (batch, steps, channels) in training.

    Args:
        rate: Fraction of the channels that are dropped, in [0, 1].
        seed: Seed of the random state; drawn at random by default.
        name: Name of the layer, generated by default.
        dtype: Dtype or policy of the layer, the global policy by default.

    Raises:
        ValueError: If `rate` is outside [0, 1].

    Example:
        >>> hornbeam.layers.SpatialDropout1D(0.5)(np.ones((1, 3, 2)), training=True).shape
        (1, 3, 2)

    Source: Tompson et al. 2015.
    """

    rank = 1

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        name: str | None = None,
        dtype: DTypePolicyLike | None = None,
    ) -> None:
        super().__init__(rate, seed, name, dtype)


class _ImageDropout(_SpatialDropout):
    """Spatial dropout of images and volumes, whose channels can be first."""

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: DTypePolicyLike | None = None,
    ) -> None:
        super().__init__(rate, seed, name, dtype)
        self.data_format = standard_data_format(data_format)


@exported("keras.layers")
class SpatialDropout2D(_ImageDropout):
    """Drop whole channels of images in training.

    Args:
        rate: Fraction of the channels that are dropped, in [0, 1].
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        name: Name of the layer, generated by default.
        dtype: Dtype or policy of the layer, the global policy by default.

    Raises:
        ValueError: If `rate` is outside [0, 1].

    Example:
        >>> hornbeam.layers.SpatialDropout2D(0.5)(np.ones((1, 3, 3, 2)), training=True).shape
        (1, 3, 3, 2)

    Source: Tompson et al. 2015.
    """

    rank = 2


@exported("keras.layers")
class SpatialDropout3D(_ImageDropout):
    """Drop whole channels of volumes in training.

    Args:
        rate: Fraction of the channels that are dropped, in [0, 1].
        data_format: "channels_last" (batch, ..., channels) or "channels_first" (batch, channels, ...);
            `keras.config.image_data_format()` by default.
        seed: Seed of the random state; drawn at random by default.
        name: Name of the layer, generated by default.
        dtype: Dtype or policy of the layer, the global policy by default.

    Raises:
        ValueError: If `rate` is outside [0, 1].

    Example:
        >>> hornbeam.layers.SpatialDropout3D(0.5)(np.ones((1, 3, 3, 3, 2)), training=True).shape
        (1, 3, 3, 3, 2)

    Source: Tompson et al. 2015.
    """

    rank = 3


@exported("keras.layers")
class GaussianDropout(_Noise):
    """Multiply by normal noise in training: `y = x * n`, n of mean 1 and variance rate / (1 - rate).

    Args:
        rate: Dropout rate with the same variance, in [0, 1).
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `rate` is outside [0, 1).

    Example:
        >>> hornbeam.layers.GaussianDropout(0.5)(np.ones(3), training=True).shape
        (3,)

    Source: Srivastava et al. 2014.
    """

    def __init__(
        self, rate: float, seed: int | None = None, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate, where="GaussianDropout")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        stddev = math.sqrt(self.rate / (1 - self.rate))
        return inputs * random.normal(inputs.shape, 1.0, stddev, dtype=inputs.dtype, seed=self.seed_generator)


@exported("keras.layers")
class GaussianNoise(_Noise):
    """Add normal noise of mean 0 in training.

    Args:
        stddev: Standard deviation of the noise.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `stddev` is negative.

    Example:
        >>> hornbeam.layers.GaussianNoise(0.1)(np.ones(3), training=True).shape
        (3,)
    """

    def __init__(
        self, stddev: float, seed: int | None = None, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(seed, **kwargs)
        if isinstance(stddev, bool) or not isinstance(stddev, (int, float)) or stddev < 0:
            raise ValueError(f"GaussianNoise: stddev must be a number that is not negative, got {stddev!r}")
        self.stddev = stddev

    @property
    def _amount(self) -> float:
        return self.stddev

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if not training or self.stddev == 0:
            return inputs
        return inputs + random.normal(
            inputs.shape, 0.0, self.stddev, dtype=inputs.dtype, seed=self.seed_generator
        )


# Limit of SELU towards minus infinity: -scale * alpha.
_SELU_FLOOR = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


@exported("keras.layers")
class AlphaDropout(_Noise):
    """Dropout that keeps mean 0 and variance 1 of SELU's outputs: dropped values become its lower limit.

    Formula: `y = a * (m * x + (1 - m) * limit) + b`, m = 1 with probability 1 - rate.

    Args:
        rate: Fraction of the values that are dropped, in [0, 1).
        noise_shape: Shape of the mask, with None or 1 for axes along which it is the same; the input's shape
            by default.
        seed: Seed of the random state; drawn at random by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `rate` is outside [0, 1).

    Example:
            >>> hornbeam.layers.AlphaDropout(0.5)(np.ones(3), training=True).shape
            (3,)

    Source: Klambauer et al. 2017.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(seed, **kwargs)
        self.rate = check_rate("rate", rate, where="AlphaDropout")
        self.noise_shape = None if noise_shape is None else _checked_noise_shape(noise_shape, "AlphaDropout")

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
    """Return the input and add a penalty on it to the loss.

    Formula: the penalty is `(l1 * sum|x| + l2 * sum x^2) / batch size`.

    Args:
        l1: Weight of the sum of absolute values.
        l2: Weight of the sum of squares.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> layer = hornbeam.layers.ActivityRegularization(l2=0.1)
        >>> layer(np.ones(3)).shape
        (3,)
    """

    _is_stateless = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2
        self.supports_masking = True

    def call(self, inputs: Tree) -> Tree:
        return inputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["activity_regularizer"]
        return config
