"""Normalization layers: batch, layer, group, unit, RMS and spectral."""

from __future__ import annotations

import math
from typing import Any

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam._internal.validation import check_axes, check_int, check_rate
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.core import Wrapper
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer


def _axes_of(owner: str, axis: Any, rank: int) -> list[int]:
    """Axes counted from the front, in order. Raises ValueError if one does not exist."""
    given = [axis] if isinstance(axis, int) else list(axis)
    for one in given:
        if not -rank <= one < rank:
            raise ValueError(f"{owner}: axis {one} does not exist in an input of rank {rank}")
    return sorted(one % rank for one in given)


class _Scaled(Layer):
    """Common to layers that end with y * gamma + beta."""

    def __init__(
        self,
        axis: Any,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)) or epsilon < 0:
            raise ValueError(
                f"{type(self).__name__}: epsilon must be a number that is not negative, got {epsilon!r}"
            )
        self.axis = check_axes("axis", axis, where=type(self).__name__)
        self.epsilon = epsilon
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

    def _scaled(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        if self.gamma is not None:
            x = x * ops.reshape(self.gamma, shape)
        if self.beta is not None:
            x = x + ops.reshape(self.beta, shape)
        return x


def _wide(x: Tensor) -> Tensor:
    """16-bit floats as float32, in which means and variances are taken."""
    return ops.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x


_LIMITS = ("rmin", "rmax", "dmax")


def _limits(given: Any) -> dict[str, Any]:
    """Checked limits of the corrections of renormalization; those that are missing do not limit."""
    limits = dict(given or {})
    numbers = {name: value for name, value in limits.items() if value is not None}
    if set(limits) - set(_LIMITS) or any(
        isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0
        for value in numbers.values()
    ):
        raise ValueError(
            "BatchNormalization: renorm_clipping must be a dict with some of the keys rmin, rmax, dmax and "
            f"numbers that are not negative, got {given!r}"
        )
    if numbers.get("rmin", 0) > numbers.get("rmax", math.inf):
        raise ValueError(f"BatchNormalization: rmin of renorm_clipping must not exceed rmax, got {given!r}")
    return limits


@exported("keras.layers")
class BatchNormalization(_Scaled):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, per channel (`axis`).

    In training, mean and variance are those of the batch (over all other axes, masked steps left out), and
    moving = momentum * moving + (1 - momentum) * batch; otherwise, and if the layer is not trainable, the
    moving ones are used. gamma, beta, moving_mean, moving_variance (channels,). (Ioffe and Szegedy 2015)

    renorm: what training normalizes is corrected towards statistics that move with `renorm_momentum`,
    y = gamma * (normal * r + d) + beta, r = deviation / renorm_stddev,
    d = (mean - renorm_mean) / renorm_stddev, held within renorm_clipping {"rmin", "rmax", "dmax"} and taken
    as constants by the gradient (Ioffe 2017).
    synchronized: statistics over all processes that train together; that is one, so it changes nothing.

    Raises ValueError for a momentum outside [0, 1] and for limits of renorm_clipping that exclude each other.

    >>> layer = hornbeam.layers.BatchNormalization()
    >>> layer(np.ones((8, 4)), training=True).shape
    (8, 4)
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
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
        self.renorm_clipping = _limits(renorm_clipping) if renorm else renorm_clipping
        self.renorm_momentum = check_rate(
            "renorm_momentum", renorm_momentum, closed=True, where="BatchNormalization"
        )
        self.synchronized = synchronized

    def build(self, input_shape: Any) -> None:
        (axis,) = _axes_of(self.describe(), self.axis, len(input_shape))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis]})
        shape = (input_shape[axis],)
        self._add_scale(shape)
        kept: dict[str, Any] = {"trainable": False, "autocast": False}
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, name="moving_mean", **kept)
        self.moving_variance = self.add_weight(
            shape, self.moving_variance_initializer, name="moving_variance", **kept
        )
        if self.renorm:
            self.moving_stddev = self.add_weight(shape, self._deviation, name="moving_stddev", **kept)
            self.renorm_mean = self.add_weight(
                shape, self.moving_mean_initializer, name="renorm_mean", **kept
            )
            self.renorm_stddev = self.add_weight(shape, self._deviation, name="renorm_stddev", **kept)

    def _deviation(self, shape: tuple[int, ...], dtype: Any = None) -> Tensor:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Tensor:
        x = _wide(inputs)
        axis = self.axis % x.ndim
        shape = tuple(size if i == axis else 1 for i, size in enumerate(x.shape))
        gamma: Any = self.gamma
        beta: Any = self.beta
        learning = training and self.trainable
        if learning:
            mean, variance = self._moments(x, axis, mask)
            if self.renorm:
                gamma, beta = self._corrected(mean, variance)
            self._remember(mean, variance)
        else:
            mean, variance = self.moving_mean.value, self.moving_variance.value
        factor = ops.rsqrt(variance + self.epsilon)
        if gamma is not None:
            factor = factor * gamma
        if learning:
            # Centred first: with a mean far from 0 the sums of the way back would cancel.
            y = (x - ops.reshape(mean, shape)) * ops.reshape(factor, shape)
            return ops.cast(y if beta is None else y + ops.reshape(beta, shape), inputs.dtype)
        shift = -mean * factor
        if beta is not None:
            shift = shift + beta
        return ops.cast(x * ops.reshape(factor, shape) + ops.reshape(shift, shape), inputs.dtype)

    def _corrected(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """gamma * r and gamma * d + beta of the class's formula."""
        known = ops.maximum(self.renorm_stddev, math.sqrt(self.epsilon))
        r = ops.sqrt(variance + self.epsilon) / known
        d = (mean - self.renorm_mean) / known
        low, high, far = (self.renorm_clipping.get(name) for name in _LIMITS)
        r = r if low is None else ops.maximum(r, low)
        r = r if high is None else ops.minimum(r, high)
        d = d if far is None else ops.clip(d, -far, far)
        r, d = ops.stop_gradient(r), ops.stop_gradient(d)
        if self.gamma is not None:
            r, d = r * self.gamma, d * self.gamma
        return r, d if self.beta is None else d + self.beta

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self._move(self.moving_mean, mean, self.momentum)
        if not self.renorm:
            self._move(self.moving_variance, variance, self.momentum)
            return
        deviation = ops.sqrt(variance + self.epsilon)
        self._move(self.renorm_mean, mean, self.renorm_momentum)
        self._move(self.renorm_stddev, deviation, self.renorm_momentum)
        self._move(self.moving_stddev, deviation, self.momentum)
        self.moving_variance.assign(ops.relu(ops.square(self.moving_stddev) - self.epsilon))

    def _move(self, moving: Variable, batch: Tensor, momentum: float) -> None:
        moving.assign(moving * momentum + batch * (1 - momentum))

    def _moments(self, x: Tensor, axis: int, mask: Any) -> tuple[Tensor, Tensor]:
        others = tuple(i for i in range(x.ndim) if i != axis)
        if mask is None:
            return ops.moments(x, others)
        weights = ops.cast(ops.reshape(mask, (*mask.shape, *(1,) * (x.ndim - mask.ndim))), x.dtype)
        weights = ops.broadcast_to(weights, tuple(1 if i == axis else size for i, size in enumerate(x.shape)))
        count = ops.maximum(ops.sum(weights), 1e-7)
        mean = ops.sum(x * weights, axis=others, keepdims=True) / count
        variance = ops.sum(ops.square(x - mean) * weights, axis=others) / count
        return ops.squeeze(mean, others), variance


@exported("keras.layers")
class LayerNormalization(_Scaled):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, over `axis` (one or several) of each sample.

    gamma and beta have the shape of those axes. (Ba et al. 2016)

    Raises ValueError for an axis that does not exist, ShapeError if its size is unknown.

    >>> hornbeam.layers.LayerNormalization()(np.ones((2, 5))).shape
    (2, 5)
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("rms_scaling", False):
            raise NotImplementedError("LayerNormalization: rms_scaling is RMSNormalization; use that layer")
        axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        axes = _axes_of(self.describe(), self.axis, len(input_shape))
        self._add_scale(tuple(input_shape[axis] for axis in axes))

    def call(self, inputs: Tensor) -> Tensor:
        x = _wide(inputs)
        axes = tuple(_axes_of(self.describe(), self.axis, x.ndim))
        if axes == (x.ndim - 1,) and self.gamma is not None and self.beta is not None:
            normal = ops.layer_normalization(x, self.gamma, self.beta, axis=-1, epsilon=self.epsilon)
        else:
            mean = ops.mean(x, axis=axes, keepdims=True)
            variance = ops.mean(ops.square(x - mean), axis=axes, keepdims=True)
            shape = tuple(size if i in axes else 1 for i, size in enumerate(x.shape))
            normal = self._scaled((x - mean) * ops.rsqrt(variance + self.epsilon), shape)
        return ops.cast(normal, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": False}


@exported("keras.layers")
class GroupNormalization(_Scaled):
    """y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, over all positions and a group of channels at
    a time.

    groups: number of groups that the channels (`axis`) are cut into; -1 for one channel each. gamma, beta
    (channels,). (Wu and He 2018)

    Raises ShapeError if the channels do not divide into the groups.

    >>> hornbeam.layers.GroupNormalization(groups=2)(np.ones((2, 5, 5, 4))).shape
    (2, 5, 5, 4)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.groups = (
            groups if groups == -1 else check_int("groups", groups, minimum=1, where="GroupNormalization")
        )

    def build(self, input_shape: Any) -> None:
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
        x = _wide(inputs)
        axis = self.axis % x.ndim
        channels = x.shape[axis]
        groups = channels if self.groups == -1 else self.groups
        cut = ops.reshape(x, (*x.shape[:axis], groups, channels // groups, *x.shape[axis + 1 :]))
        others = tuple(i for i in range(1, cut.ndim) if i != axis)
        mean = ops.mean(cut, axis=others, keepdims=True)
        variance = ops.mean(ops.square(cut - mean), axis=others, keepdims=True)
        normal = ops.reshape((cut - mean) * ops.rsqrt(variance + self.epsilon), x.shape)
        shape = tuple(size if i == axis else 1 for i, size in enumerate(x.shape))
        return ops.cast(self._scaled(normal, shape), inputs.dtype)


@exported("keras.layers")
class UnitNormalization(Layer):
    """y = x / |x|, the Euclidean length taken over `axis` (one or several).

    >>> np.asarray(hornbeam.layers.UnitNormalization()(np.array([[3.0, 4.0]])))
    array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int) and not all(isinstance(one, int) for one in axis):
            raise ValueError(f"UnitNormalization: axis must be a whole number or several, got {axis!r}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        square = ops.sum(ops.square(inputs), axis=axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(square, 1e-12))


@exported("keras.layers")
class RMSNormalization(Layer):
    """y = scale * x / sqrt(mean(x^2) + epsilon), over `axis` (one or several); scale has the shape of those
    axes.

    (Zhang and Sennrich 2019)

    >>> hornbeam.layers.RMSNormalization()(np.ones((2, 5))).shape
    (2, 5)
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        axes = _axes_of(self.describe(), self.axis, len(input_shape))
        self.scale = self.add_weight(
            tuple(input_shape[axis] for axis in axes), "ones", autocast=False, name="scale"
        )

    def call(self, inputs: Tensor) -> Tensor:
        x = _wide(inputs)
        axes = tuple(_axes_of(self.describe(), self.axis, x.ndim))
        shape = tuple(size if i in axes else 1 for i, size in enumerate(x.shape))
        factor = ops.rsqrt(ops.mean(ops.square(x), axis=axes, keepdims=True) + self.epsilon)
        return ops.cast(x * factor * ops.reshape(self.scale, shape), inputs.dtype)


@exported("keras.layers")
class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value, found by power iteration (Miyato et al.
    2018).

    In training the kernel of `layer` (`kernel` or `embeddings`) is replaced by kernel / sigma and the vector
    of the iteration moves on; otherwise the layer works with the kernel that it has.

    Raises ValueError for power_iterations below 1 or a layer without kernel.

    >>> layer = hornbeam.layers.SpectralNormalization(hornbeam.layers.Dense(3))
    >>> layer(np.ones((2, 4)), training=True).shape
    (2, 3)
    """

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = check_int(
            "power_iterations", power_iterations, minimum=1, where="SpectralNormalization"
        )

    def build(self, input_shape: Any) -> None:
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

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            u, kernel = self._normalized()
            self.vector_u.assign(u)
            self.kernel.assign(kernel)
        return self.layer(inputs)

    def _normalized(self) -> tuple[Tensor, Tensor]:
        kernel = self.kernel.value
        matrix = ops.reshape(kernel, (math.prod(kernel.shape[:-1]), kernel.shape[-1]))
        u = self.vector_u.value
        for _ in range(self.power_iterations):
            v = ops.normalize(ops.matmul(u, ops.transpose(matrix)), axis=-1)
            u = ops.normalize(ops.matmul(v, matrix), axis=-1)
        u, v = ops.stop_gradient(u), ops.stop_gradient(v)
        sigma = ops.matmul(ops.matmul(v, matrix), ops.transpose(u))
        return u, kernel / ops.reshape(sigma, ())
