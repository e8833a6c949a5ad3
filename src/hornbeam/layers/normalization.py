"""Normalization layers: layer, group, unit, RMS and spectral."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam import constraints, initializers, ops, regularizers
from hornbeam import primitives as p
from hornbeam._internal.typing import PartialShape, Tree
from hornbeam._internal.validation import check_axes, check_int, check_number
from hornbeam._internal.warn import warn_user
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import ConstraintLike, InitializerLike, RegularizerLike, Unpack
from hornbeam.core.variable import Variable
from hornbeam.ir.types import ShapeError
from hornbeam.layers.core import Wrapper
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer, TensorLayer
from hornbeam.layers.options import RegularizedLayerOptions


def _axes_of(owner: str, axis: int | Sequence[int], rank: int) -> list[int]:
    """Return axes as sorted non-negative indices. Raises ValueError if one does not exist."""
    axes = [axis] if isinstance(axis, int) else list(axis)
    for index in axes:
        if not -rank <= index < rank:
            raise ValueError(f"{owner}: axis {index} does not exist in an input of rank {rank}")
    return sorted(index % rank for index in axes)


class _Scaled(TensorLayer):
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
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...; `rms_scaling`, deprecated: whether
            the mean is not subtracted.

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
        rms_scaling = bool(kwargs.pop("rms_scaling", False))
        if rms_scaling:
            warn_user(
                "rms_scaling=True divides by the standard deviation, not by the root mean square: use "
                "RMSNormalization instead",
                DeprecationWarning,
            )
        axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip

        self.rms_scaling = rms_scaling

    def build(self, input_shape: PartialShape) -> None:
        axes = _axes_of(self.describe(), self.axis, len(input_shape))
        shape = tuple(input_shape[axis] for axis in axes)
        self.gamma = self._scale_weight("gamma", shape) if self.scale or self.rms_scaling else None
        self.beta = self._scale_weight("beta", shape) if self.center and not self.rms_scaling else None

    def call(self, inputs: Tensor) -> Tensor:
        x = _upcast(inputs)
        axes = tuple(_axes_of(self.describe(), self.axis, x.ndim))
        if self.rms_scaling:
            shape = tuple(size if i in axes else 1 for i, size in enumerate(x.shape))
            factor = ops.rsqrt(ops.var(x, axis=axes, keepdims=True) + self.epsilon)
            normal = self._scale_and_shift(x * factor, shape)
        elif axes == (x.ndim - 1,) and self.gamma is not None and self.beta is not None:
            normal = ops.layer_normalization(x, self.gamma, self.beta, axis=-1, epsilon=self.epsilon)
        else:
            mean = ops.mean(x, axis=axes, keepdims=True)
            variance = ops.mean(ops.square(x - mean), axis=axes, keepdims=True)
            shape = tuple(size if i in axes else 1 for i, size in enumerate(x.shape))
            normal = self._scale_and_shift((x - mean) * ops.rsqrt(variance + self.epsilon), shape)
        return ops.cast(normal, inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


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
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        super().__init__(
            axis, epsilon, center, scale, beta_initializer, gamma_initializer,
            beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint, **kwargs,
        )  # fmt: skip
        self.autocast = False  # the inputs may be beyond the largest float16
        self.groups = (
            groups if groups == -1 else check_int("groups", groups, minimum=1, where="GroupNormalization")
        )

    def build(self, input_shape: PartialShape) -> None:
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
        gamma = ops.ones(channels, x.dtype) if self.gamma is None else ops.cast(self.gamma, x.dtype)
        beta = ops.zeros(channels, x.dtype) if self.beta is None else ops.cast(self.beta, x.dtype)
        operands = (x.node, gamma.node, beta.node)
        normal = p.group_norm(*operands, groups=groups, axis=axis, epsilon=self.epsilon)
        return ops.cast(Tensor(normal), self.compute_dtype)


@exported("keras.layers")
class UnitNormalization(TensorLayer):
    """Scale vectors to Euclidean length 1: `y = x / |x|`.

    Args:
        axis: Axis or axes over which the length is computed.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Example:
        >>> np.asarray(hornbeam.layers.UnitNormalization()(np.array([[3.0, 4.0]])))
        array([[0.6, 0.8]], dtype=float32)
    """

    _is_stateless = True

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(**kwargs)
        check_axes("axis", axis, where="UnitNormalization")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.supports_masking = True

    def call(self, inputs: Tensor) -> Tensor:
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        square = ops.sum(ops.square(inputs), axis=axis, keepdims=True)
        return inputs * ops.rsqrt(ops.maximum(square, 1e-12))


@exported("keras.layers")
class RMSNormalization(TensorLayer):
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

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, input_shape: PartialShape) -> None:
        axes = _axes_of(self.describe(), self.axis, len(input_shape))
        self.scale = self.add_weight(
            tuple(input_shape[axis] for axis in axes), "ones", autocast=False, name="scale"
        )

    def call(self, inputs: Tensor) -> Tensor:
        x = _upcast(inputs)
        axes = tuple(_axes_of(self.describe(), self.axis, x.ndim))
        if axes == (x.ndim - 1,):
            return ops.cast(ops.rms_normalization(x, self.scale, epsilon=self.epsilon), inputs.dtype)
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

    def __init__(
        self, layer: Layer, power_iterations: int = 1, **kwargs: Unpack[RegularizedLayerOptions]
    ) -> None:
        super().__init__(layer, **kwargs)
        self.power_iterations = check_int(
            "power_iterations", power_iterations, minimum=1, where="SpectralNormalization"
        )

    def build(self, input_shape: PartialShape) -> None:
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
