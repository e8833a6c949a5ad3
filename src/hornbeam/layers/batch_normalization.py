"""Batch normalization."""

from __future__ import annotations

import math
from typing import Any

from hornbeam import initializers, ops
from hornbeam._internal.typing import DTypeLike, PartialShape, Shape
from hornbeam._internal.validation import check_rate
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.core.variable import Variable
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.normalization import _axes_of, _Scaled, _upcast
from hornbeam.layers.options import RegularizedLayerOptions

_LIMITS = ("rmin", "rmax", "dmax")


def _check_limits(renorm_clipping: Any) -> dict[str, Any]:
    """Check the limits of the corrections of renormalization; a missing limit means none."""
    limits = dict(renorm_clipping or {})
    numbers = {name: value for name, value in limits.items() if value is not None}
    if set(limits) - set(_LIMITS) or any(
        isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0
        for value in numbers.values()
    ):
        raise ValueError(
            "BatchNormalization: renorm_clipping must be a dict with some of the keys rmin, rmax, "
            f"dmax and numbers of at least 0, got {renorm_clipping!r}"
        )
    if numbers.get("rmin", 0) > numbers.get("rmax", math.inf):
        raise ValueError(
            f"BatchNormalization: rmin of renorm_clipping must not exceed rmax, got {renorm_clipping!r}"
        )
    return limits


@exported("keras.layers")
class BatchNormalization(_Scaled):
    """Normalize each channel by the mean and variance of the batch.

    Formula: `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    In training, mean and variance are those of the batch over all axes but `axis`, without masked steps, and
    `moving = momentum * moving + (1 - momentum) * batch`. In inference, and if the layer is not trainable,
    the moving statistics are used.

    With `renorm` (Ioffe 2017), values are corrected in training towards statistics that move with
    `renorm_momentum`: `y = gamma * (x_hat * r + d) + beta`, `r = deviation / renorm_stddev`, `d = (mean -
    renorm_mean) / renorm_stddev`. r and d are clipped to `renorm_clipping` and constants for the gradient.

    Shapes: gamma, beta, moving_mean and moving_variance (channels,).

    Args:
        axis: Axis of the channels.
        momentum: Momentum of the moving statistics, in [0, 1].
        epsilon: Number added to the variance before the square root is taken.
        center: Whether `beta` is added.
        scale: Whether the result is multiplied by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        moving_mean_initializer: Initializer of the moving mean.
        moving_variance_initializer: Initializer of the moving variance.
        beta_regularizer: Penalty on `beta` that is added to the loss.
        gamma_regularizer: Penalty on `gamma` that is added to the loss.
        beta_constraint: Function applied to `beta` after each update.
        gamma_constraint: Function applied to `gamma` after each update.
        renorm: Whether batch renormalization is used.
        renorm_clipping: Limits of the corrections, a dict with some of the keys "rmin", "rmax", "dmax".
        renorm_momentum: Momentum of the statistics of renormalization, in [0, 1].
        synchronized: Whether statistics are computed over all processes that train together. They always are,
            so it changes nothing.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a momentum is outside [0, 1], or limits of `renorm_clipping` exclude each other.

    Example:
        >>> layer = hornbeam.layers.BatchNormalization()
        >>> layer(np.ones((8, 4)), training=True).shape
        (8, 4)

    Source: Ioffe and Szegedy 2015.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        moving_mean_initializer: InitializerLike = "zeros",
        moving_variance_initializer: InitializerLike = "ones",
        beta_regularizer: RegularizerLike = None,
        gamma_regularizer: RegularizerLike = None,
        beta_constraint: ConstraintLike = None,
        gamma_constraint: ConstraintLike = None,
        renorm: bool = False,
        renorm_clipping: dict[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.momentum = check_rate("momentum", momentum, closed=True, where="BatchNormalization")
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer: Any = initializers.get(moving_variance_initializer)
        self.renorm = renorm
        self.renorm_clipping: Any = _check_limits(renorm_clipping) if renorm else renorm_clipping
        self.renorm_momentum = check_rate(
            "renorm_momentum", renorm_momentum, closed=True, where="BatchNormalization"
        )
        self.synchronized = synchronized

    def build(self, input_shape: PartialShape) -> None:
        (axis,) = _axes_of(self.describe(), self.axis, len(input_shape))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis]})
        shape = (input_shape[axis],)
        self._add_scale(shape)
        options: dict[str, Any] = {"trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", **options)
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", **options
        )
        if self.renorm:
            self.moving_stddev = self.add_weight(shape, self._deviation, name="moving_stddev", **options)
            self.renorm_mean = self.add_weight(
                shape, self.moving_mean_initializer, name="renorm_mean", **options
            )
            self.renorm_stddev = self.add_weight(shape, self._deviation, name="renorm_stddev", **options)

    def _deviation(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        x = _upcast(inputs)
        axis = self.axis % x.ndim
        shape = tuple(size if i == axis else 1 for i, size in enumerate(x.shape))
        gamma: Any = self.gamma
        beta: Any = self.beta
        in_training = training and self.trainable
        if in_training:
            mean, variance = self._moments(x, axis, mask)
            if self.renorm:
                gamma, beta = self._renormalize(mean, variance)
            self._update_statistics(mean, variance)
        else:
            mean, variance = self.moving_mean.value, self.moving_variance.value
        factor = ops.rsqrt(variance + self.epsilon)
        if gamma is not None:
            factor = factor * gamma
        if in_training:
            # Centered first: with a mean far from 0, the gradient sums of the backward pass would cancel.
            y = (x - ops.reshape(mean, shape)) * ops.reshape(factor, shape)
            return ops.cast(y if beta is None else y + ops.reshape(beta, shape), inputs.dtype)
        shift = -mean * factor
        if beta is not None:
            shift = shift + beta
        return ops.cast(x * ops.reshape(factor, shape) + ops.reshape(shift, shape), inputs.dtype)

    def _renormalize(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma * r and gamma * d + beta, the scale and offset of renormalization."""
        moving_stddev = ops.maximum(self.renorm_stddev, math.sqrt(self.epsilon))
        r = ops.sqrt(variance + self.epsilon) / moving_stddev
        d = (mean - self.renorm_mean) / moving_stddev
        rmin, rmax, dmax = (self.renorm_clipping.get(name) for name in _LIMITS)
        r = r if rmin is None else ops.maximum(r, rmin)
        r = r if rmax is None else ops.minimum(r, rmax)
        d = d if dmax is None else ops.clip(d, -dmax, dmax)
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        if self.gamma is not None:
            r, d = r * self.gamma, d * self.gamma
        return r, d if self.beta is None else d + self.beta

    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        self._update_average(self.moving_mean, mean, self.momentum)
        if not self.renorm:
            self._update_average(self.moving_variance, variance, self.momentum)
            return
        deviation = ops.sqrt(variance + self.epsilon)
        self._update_average(self.renorm_mean, mean, self.renorm_momentum)
        self._update_average(self.renorm_stddev, deviation, self.renorm_momentum)
        self._update_average(self.moving_stddev, deviation, self.momentum)
        self.moving_variance.assign(ops.relu(ops.square(self.moving_stddev) - self.epsilon))

    def _update_average(self, moving: Variable, batch: Tensor, momentum: float) -> None:
        moving.assign(moving * momentum + batch * (1 - momentum))

    def _moments(self, x: Tensor, axis: int, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        other_axes = tuple(i for i in range(x.ndim) if i != axis)
        if mask is None:
            return ops.moments(x, other_axes)
        weights = ops.cast(ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim))), x.dtype)
        # The mask may depend on the channel, if the channels are not the last axis.
        varies = axis < mask.ndim
        sizes = tuple(1 if i == axis and not varies else size for i, size in enumerate(x.shape))
        weights = ops.broadcast_to(weights, sizes)
        count = ops.maximum(ops.sum(weights, axis=other_axes, keepdims=True), 1e-7)
        mean = ops.sum(x * weights, axis=other_axes, keepdims=True) / count
        variance = ops.sum(ops.square(x - mean) * weights, axis=other_axes, keepdims=True) / count
        return ops.squeeze(mean, other_axes), ops.squeeze(variance, other_axes)
