"""Normalization layers: batch, layer, group, unit, RMS and spectral."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_axes, check_int, check_number, check_rate
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.core import Wrapper
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer

if TYPE_CHECKING:
    from hornbeam._internal.typing import (
        ConstraintLike,
        DTypePolicyLike,
        InitializerLike,
        RegularizerLike,
        Shape,
        Tree,
    )


def _axes_of(owner: str, axis: int | Sequence[int], rank: int) -> list[int]:
    """Return axes as sorted non-negative indices. Raises ValueError if one does not exist."""
    axes = [axis] if isinstance(axis, int) else list(axis)
    for index in axes:
        if not -rank <= index < rank:
            raise ValueError(f"{owner}: axis {index} does not exist in an input of rank {rank}")
    return sorted(index % rank for index in axes)


class _Scaled(Layer):
    """Base of layers that end with y * gamma + beta."""

    def __init__(
        self,
        axis: int | Sequence[int],
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: InitializerLike,
        gamma_initializer: InitializerLike,
        beta_regularizer: RegularizerLike,
        gamma_regularizer: RegularizerLike,
        beta_constraint: ConstraintLike,
        gamma_constraint: ConstraintLike,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = check_axes("axis", axis, where=type(self).__name__)
        self.epsilon = check_number("epsilon", epsilon, minimum=0, where=type(self).__name__)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True

    def _add_scale(self, shape: tuple[int, ...]) -> None:
        self.gamma = self._scale_weight("gamma", shape) if self.scale else None
        self.beta = self._scale_weight("beta", shape) if self.center else None

    def _scale_weight(self, name: str, shape: tuple[int, ...]) -> Variable:
        return self.add_weight(
            shape,
            getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            autocast=False,
            name=name,
        )

    def _scale_and_shift(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        if self.gamma is not None:
            x = x * ops.reshape(self.gamma, shape)
        if self.beta is not None:
            x = x + ops.reshape(self.beta, shape)
        return x


def _upcast(x: Tensor) -> Tensor:
    """Cast 16-bit floats to float32, in which means and variances are computed."""
    return ops.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x


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
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.momentum = check_rate("momentum", momentum, closed=True, where="BatchNormalization")
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm = renorm
        self.renorm_clipping: Any = _check_limits(renorm_clipping) if renorm else renorm_clipping
        self.renorm_momentum = check_rate(
            "renorm_momentum", renorm_momentum, closed=True, where="BatchNormalization"
        )
        self.synchronized = synchronized

    def build(self, input_shape: Shape) -> None:
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

    def _deviation(self, shape: tuple[int, ...], dtype: DTypePolicyLike | None = None) -> Tensor:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tree = None) -> Tensor:
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

    def _moments(self, x: Tensor, axis: int, mask: Any) -> tuple[Tensor, Tensor]:
        other_axes = tuple(i for i in range(x.ndim) if i != axis)
        if mask is None:
            return ops.moments(x, other_axes)
        weights = ops.cast(ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim))), x.dtype)
        weights = ops.broadcast_to(weights, tuple(1 if i == axis else size for i, size in enumerate(x.shape)))
        count = ops.maximum(ops.sum(weights), 1e-7)
        mean = ops.sum(x * weights, axis=other_axes, keepdims=True) / count
        variance = ops.sum(ops.square(x - mean) * weights, axis=other_axes) / count
        return ops.squeeze(mean, other_axes), variance


@exported("keras.layers")
class LayerNormalization(_Scaled):
    """Normalize each sample by its mean and variance over an axis or several.

    Formula: `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Shapes: gamma and beta have the sizes of `axis`.

    Args:
        axis: Axis or axes to normalize over.
        epsilon: Number added to the variance before the square root is taken.
        center: Whether `beta` is added.
        scale: Whether the result is multiplied by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        beta_regularizer: Penalty on `beta` that is added to the loss.
        gamma_regularizer: Penalty on `gamma` that is added to the loss.
        beta_constraint: Function applied to `beta` after each update.
        gamma_constraint: Function applied to `gamma` after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If an axis does not exist.
        ShapeError: If the size of an axis is unknown.

    Example:
        >>> hornbeam.layers.LayerNormalization()(np.ones((2, 5))).shape
        (2, 5)

    Source: Ba et al. 2016.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        beta_regularizer: RegularizerLike = None,
        gamma_regularizer: RegularizerLike = None,
        beta_constraint: ConstraintLike = None,
        gamma_constraint: ConstraintLike = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("rms_scaling", False):
            raise NotImplementedError("LayerNormalization: rms_scaling is RMSNormalization; use that layer")
        axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip

    def build(self, input_shape: Shape) -> None:
        axes = _axes_of(self.describe(), self.axis, len(input_shape))
        self._add_scale(tuple(input_shape[axis] for axis in axes))

    def call(self, inputs: Tensor) -> Tensor:
        x = _upcast(inputs)
        axes = tuple(_axes_of(self.describe(), self.axis, x.ndim))
        if axes == (x.ndim - 1,) and self.gamma is not None and self.beta is not None:
            normal = ops.layer_normalization(x, self.gamma, self.beta, axis=-1, epsilon=self.epsilon)
        else:
            mean = ops.mean(x, axis=axes, keepdims=True)
            variance = ops.mean(ops.square(x - mean), axis=axes, keepdims=True)
            shape = tuple(size if i in axes else 1 for i, size in enumerate(x.shape))
            normal = self._scale_and_shift((x - mean) * ops.rsqrt(variance + self.epsilon), shape)
        return ops.cast(normal, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": False}


@exported("keras.layers")
class GroupNormalization(_Scaled):
    """Normalize groups of channels of each sample by their mean and variance over all positions.

    Formula: `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`.

    Shapes: gamma and beta (channels,).

    Args:
        groups: Number of groups that the channels are divided into; -1 for one channel each.
        axis: Axis of the channels.
        epsilon: Number added to the variance before the square root is taken.
        center: Whether `beta` is added.
        scale: Whether the result is multiplied by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        beta_regularizer: Penalty on `beta` that is added to the loss.
        gamma_regularizer: Penalty on `gamma` that is added to the loss.
        beta_constraint: Function applied to `beta` after each update.
        gamma_constraint: Function applied to `gamma` after each update.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the channels do not divide into the groups.

    Example:
        >>> hornbeam.layers.GroupNormalization(groups=2)(np.ones((2, 5, 5, 4))).shape
        (2, 5, 5, 4)

    Source: Wu and He 2018.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: InitializerLike = "zeros",
        gamma_initializer: InitializerLike = "ones",
        beta_regularizer: RegularizerLike = None,
        gamma_regularizer: RegularizerLike = None,
        beta_constraint: ConstraintLike = None,
        gamma_constraint: ConstraintLike = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.groups = (
            groups if groups == -1 else check_int("groups", groups, minimum=1, where="GroupNormalization")
        )

    def build(self, input_shape: Shape) -> None:
        (axis,) = _axes_of(self.describe(), self.axis, len(input_shape))
        channels = input_shape[axis]
        groups = channels if self.groups == -1 else self.groups
        if channels is None or channels % groups:
            raise ShapeError(
                f"{self.describe()}: {channels} channels (axis {self.axis}) do not divide into {groups} "
                "groups"
            )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: channels})
        self._add_scale((channels,))

    def call(self, inputs: Tensor) -> Tensor:
        x = _upcast(inputs)
        axis = self.axis % x.ndim
        channels = x.shape[axis]
        groups = channels if self.groups == -1 else self.groups
        cut = ops.reshape(x, (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :]))
        other_axes = tuple(i for i in range(1, cut.ndim) if i != axis)
        mean = ops.mean(cut, axis=other_axes, keepdims=True)
        variance = ops.mean(ops.square(cut - mean), axis=other_axes, keepdims=True)
        normal = ops.reshape((cut - mean) * ops.rsqrt(variance + self.epsilon), x.shape)
        shape = tuple(size if i == axis else 1 for i, size in enumerate(x.shape))
        return ops.cast(self._scale_and_shift(normal, shape), inputs.dtype)


@exported("keras.layers")
class UnitNormalization(Layer):
    """Scale vectors to Euclidean length 1: `y = x / |x|`.

    Args:
        axis: Axis or axes over which the length is computed.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> np.asarray(hornbeam.layers.UnitNormalization()(np.array([[3.0, 4.0]])))
        array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) and not all(isinstance(index, int) for index in axis):
            raise ValueError(f"UnitNormalization: axis must be an integer or several, got {axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        square = ops.sum(ops.square(inputs), axis=axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(square, 1e-12))


@exported("keras.layers")
class RMSNormalization(Layer):
    """Normalize by the root mean square: `y = scale * x / sqrt(mean(x^2) + epsilon)`.

    Shapes: the weight `scale` has the sizes of `axis`.

    Args:
        axis: Axis or axes over which the mean is computed.
        epsilon: Number added to the mean square before the root is taken.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> hornbeam.layers.RMSNormalization()(np.ones((2, 5))).shape
        (2, 5)

    Source: Zhang and Sennrich 2019.
    """

    def __init__(self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        axes = _axes_of(self.describe(), self.axis, len(input_shape))
        self.scale = self.add_weight(
            tuple(input_shape[axis] for axis in axes), "ones", autocast=False, name="scale"
        )

    def call(self, inputs: Tensor) -> Tensor:
        x = _upcast(inputs)
        axes = tuple(_axes_of(self.describe(), self.axis, x.ndim))
        shape = tuple(size if i in axes else 1 for i, size in enumerate(x.shape))
        factor = ops.rsqrt(ops.mean(ops.square(x), axis=axes, keepdims=True) + self.epsilon)
        return ops.cast(x * factor * ops.reshape(self.scale, shape), inputs.dtype)


@exported("keras.layers")
class SpectralNormalization(Wrapper):
    """Divide the kernel of a layer by its largest singular value, estimated by power iteration.

    In training, the kernel of `layer` (`kernel` or `embeddings`) is replaced by kernel / sigma, and the
    vector of the iteration is updated. In inference the layer uses its kernel as it is.

    Args:
        layer: Layer to wrap.
        power_iterations: Number of power iterations in each training step.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If `power_iterations` is below 1 or the layer has no kernel.

    Example:
        >>> layer = hornbeam.layers.SpectralNormalization(hornbeam.layers.Dense(3))
        >>> layer(np.ones((2, 4)), training=True).shape
        (2, 3)

    Source: Miyato et al. 2018.
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = check_int(
            "power_iterations", power_iterations, minimum=1, where="SpectralNormalization"
        )

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        kernel = getattr(self.layer, "kernel", getattr(self.layer, "embeddings", None))
        if kernel is None:
            raise ValueError(
                f"{self.describe()}: {self.layer.describe()} has neither a kernel nor embeddings"
            )
        self.kernel = kernel
        self.vector_u = self.add_weight(
            (1, kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), trainable=False, name="vector_u"
        )

    def call(self, inputs: Tree, training: bool = False) -> Tree:
        if training:
            u, kernel = self._normalize_kernel()
            self.vector_u.assign(u)
            self.kernel.assign(kernel)
        return self.layer(inputs)

    def _normalize_kernel(self) -> tuple[Tensor, Tensor]:
        kernel = self.kernel.value
        matrix = ops.reshape(kernel, (math.prod(kernel.shape[:-1]), kernel.shape[-1]))
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, ops.transpose(matrix)), axis=-1)
            u = ops.normalize(ops.matmul(v, matrix), axis=-1)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.matmul(ops.matmul(v, matrix), ops.transpose(u))
        return u, kernel / ops.reshape(sigma, ())
