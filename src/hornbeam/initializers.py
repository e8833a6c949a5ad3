"""Weight initializers.

An initializer is called with a shape and dtype and returns values at once, also while a function is traced.
With an integer or None as its seed it returns the same values on every call; with a SeedGenerator, new ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from hornbeam import primitives as p
from hornbeam import random
from hornbeam._internal.validation import check_number
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError, dtype_name, is_float
from hornbeam.ops import creation, linalg

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from hornbeam._internal.typing import Config, DTypeLike, InitializerLike, SeedLike, TensorLike

# fmt: off
__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "STFTInitializer",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "stft",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
# fmt: on

_MODULE = "keras.initializers"
Shape = Sequence[int]


@exported(_MODULE)
class Initializer:
    """Base class of initializers: a function (shape, dtype) -> tensor.

    Subclasses define `__call__`, and `get_config` if they have arguments.
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        """Draw the initial values of a weight.

        Args:
            shape: Sequence of integers.
            dtype: Dtype; None for `hornbeam.config.floatx()`.

        Returns:
            Tensor of `shape`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal initializer is built."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the initializer that `get_config` described.

        Args:
            config: Dict of arguments.

        Returns:
            Initializer.
        """
        return cls(**config)

    def clone(self) -> Self:
        """Return an initializer with the same config."""
        return type(self).from_config(self.get_config())


# -- deterministic -------------------------------------------------------------------------------------------


@exported(_MODULE, "zeros")
class Zeros(Initializer):
    """Initializer of zeros.

    Example:
        >>> float(hornbeam.initializers.Zeros()(()))
        0.0
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return creation.zeros(shape, dtype)


@exported(_MODULE, "ones")
class Ones(Initializer):
    """Initializer of ones.

    Example:
        >>> float(hornbeam.initializers.Ones()(()))
        1.0
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return creation.ones(shape, dtype)


@exported(_MODULE, "constant")
class Constant(Initializer):
    """A constant value.

    Args:
        value: Number, or array that broadcasts to the shape.

    Example:
        >>> float(hornbeam.initializers.Constant(3.0)(()))
        3.0
    """

    def __init__(self, value: TensorLike = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return creation.full(shape, as_tensor(self.value), dtype or floatx())

    def get_config(self) -> dict[str, Any]:
        value = self.value
        return {"value": np.asarray(value) if isinstance(value, (Tensor, np.ndarray)) else value}


@exported(_MODULE, "identity", "IdentityInitializer")
class Identity(Initializer):
    """A multiple of the identity matrix.

    Args:
        gain: Number, a factor of the values.

    Raises:
        ShapeError: If the shape is not that of a matrix, when it is called.

    Example:
        >>> np.asarray(hornbeam.initializers.Identity()((2, 2))).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        if len(shape) != 2:
            raise ShapeError(f"Identity needs the shape of a matrix, got {tuple(shape)}")
        return cast(self.gain * creation.eye(shape[0], shape[1], dtype=dtype or floatx()), dtype or floatx())

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


@exported(_MODULE, "stft", "STFTInitializer")
class STFT(Initializer):
    """Kernel (length, 1, terms) with which a 1D convolution is one part of a short-time Fourier transform.

    The number of terms must be the transform's length // 2 + 1; that length is the smallest power of two that
    holds the window.

    Args:
        side: "real" (cosines) or "imag" (negative sines).
        window: "hann", "hamming", another name that SciPy knows (extra `audio`), an array of `length`
            weights, or None.
        scaling: "density", "spectrum" or None: divide by the root of the sum of squares, or by the sum, of
            the window.
        periodic: Use a window that is one period of a periodic function.
    """

    def __init__(
        self,
        side: str = "real",
        window: str | Sequence[float] | np.ndarray | None = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        if side not in ("real", "imag"):
            raise ValueError(f'side must be "real" or "imag", got {side!r}')
        if isinstance(window, str) and window not in _WINDOWS:
            _scipy_window(window, 1, periodic)
        if scaling not in ("density", "spectrum", None):
            raise ValueError(f'scaling must be "density", "spectrum" or None, got {scaling!r}')
        self.side, self.window, self.scaling, self.periodic = side, window, scaling, periodic

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        length, _, terms = shape
        size = (terms - 1) * 2
        if terms != size // 2 + 1 or size < length:
            raise ShapeError(
                f"STFT: a kernel of shape {tuple(shape)} has too few terms for windows of {length}"
            )
        angles = -2.0 * np.pi * np.outer(np.arange(length), np.arange(terms)) / size
        values = np.cos(angles) if self.side == "real" else np.sin(angles)
        if self.window is not None:
            window = self._window(length)
            scale = {"density": math.sqrt((window**2).sum()), "spectrum": np.abs(window).sum(), None: 1.0}[
                self.scaling
            ]
            values = values * (window / scale)[:, None]
        return as_tensor(values[:, None, :], dtype or floatx())

    def _window(self, length: int) -> np.ndarray:
        if not isinstance(self.window, str):
            weights = np.asarray(self.window, np.float64)
            if weights.shape != (length,):
                raise ShapeError(f"STFT: window must be {length} weights, got shape {weights.shape}")
            return weights
        if self.window not in _WINDOWS:
            return _scipy_window(self.window, length, self.periodic)
        turns = 2 * np.pi * np.arange(length) / (length if self.periodic else max(length - 1, 1))
        return 0.5 - 0.5 * np.cos(turns) if self.window == "hann" else 0.54 - 0.46 * np.cos(turns)

    def get_config(self) -> dict[str, Any]:
        window = self.window if self.window is None or isinstance(self.window, str) else list(self.window)
        return {"side": self.side, "window": window, "scaling": self.scaling, "periodic": self.periodic}


_WINDOWS = ("hann", "hamming")


def _scipy_window(name: str, length: int, periodic: bool) -> np.ndarray:
    """Return a window that SciPy knows by name."""
    try:
        from scipy.signal import get_window
    except ImportError as error:
        raise ImportError(f"window {name!r} needs SciPy: pip install 'hornbeam[audio]'") from error
    try:
        return np.asarray(get_window(name, length, periodic))
    except ValueError as error:
        raise ValueError(
            f'window must be "hann", "hamming", a name that SciPy knows, or None: {error}'
        ) from None


# -- random --------------------------------------------------------------------------------------------------


class RandomInitializer(Initializer):
    """Base class of random initializers, which have a seed.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
    """

    def __init__(self, seed: SeedLike = None) -> None:
        if seed is not None and not isinstance(seed, (int, np.integer, random.SeedGenerator)):
            raise ValueError(f"seed must be an integer, a SeedGenerator or None, got {seed!r}")
        self._init_seed = seed
        self.seed = random.make_default_seed() if seed is None else seed

    def _key(self) -> int | tuple[int, ...] | Any:
        """Return the seed of this call, which is known even while a function is traced."""
        return self.seed.host_next() if isinstance(self.seed, random.SeedGenerator) else self.seed

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._init_seed}

    def clone(self) -> Self:
        """Return an initializer with the same config; without an explicit seed it draws other values."""
        return type(self).from_config(self.get_config())


def _random_dtype(dtype: DTypeLike | None) -> str:
    name = dtype_name(dtype or floatx())
    if not is_float(name):
        raise ValueError(f"random initializers need a float dtype, got dtype={name!r}")
    return name


@exported(_MODULE, "random_normal")
class RandomNormal(RandomInitializer):
    """Normal distribution.

    Args:
        mean: Number, the mean.
        stddev: Number, the standard deviation.
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.

    Example:
        >>> hornbeam.initializers.RandomNormal(seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: SeedLike = None) -> None:
        self.mean, self.stddev = check_number("mean", mean), check_number("stddev", stddev)
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return random.normal(shape, self.mean, self.stddev, _random_dtype(dtype), self._key())

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


@exported(_MODULE, "truncated_normal")
class TruncatedNormal(RandomInitializer):
    """Normal distribution truncated at two standard deviations from the mean.

    Args:
        mean: Number, the mean.
        stddev: Number, the standard deviation before the truncation.
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.

    Example:
        >>> hornbeam.initializers.TruncatedNormal(seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: SeedLike = None) -> None:
        self.mean, self.stddev = check_number("mean", mean), check_number("stddev", stddev)
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return random.truncated_normal(shape, self.mean, self.stddev, _random_dtype(dtype), self._key())

    def get_config(self) -> dict[str, Any]:
        return {"mean": self.mean, "stddev": self.stddev, **super().get_config()}


@exported(_MODULE, "random_uniform")
class RandomUniform(RandomInitializer):
    """Uniform distribution on [minval, maxval).

    Args:
        minval: Number, the lower bound.
        maxval: Number, the upper bound.
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.

    Example:
        >>> hornbeam.initializers.RandomUniform(seed=1)((2, 3)).shape
        (2, 3)
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: SeedLike = None) -> None:
        self.minval, self.maxval = minval, maxval
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        return random.uniform(shape, self.minval, self.maxval, _random_dtype(dtype), self._key())

    def get_config(self) -> dict[str, Any]:
        return {"minval": self.minval, "maxval": self.maxval, **super().get_config()}


# Standard deviation of the normal distribution truncated at two of its standard deviations.
_TRUNCATED_STDDEV = 0.87962566103423978


def compute_fans(
    shape: Shape, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return the numbers of inputs and outputs of a weight.

    For a kernel (*window, channels, filters) they are the size of the window times channels and filters.

    Args:
        shape: Sequence of integers.
        input_axes: Axes that count as inputs; None for the second-to-last.
        output_axes: Axes that count as outputs; None for the last.

    Returns:
        Pair of numbers (inputs, outputs).
    """
    sizes = tuple(shape)
    if input_axes is not None and output_axes is not None:
        return math.prod(sizes[a] for a in input_axes), math.prod(sizes[a] for a in output_axes)
    if len(sizes) < 2:
        count = sizes[0] if sizes else 1
        return count, count
    window = math.prod(sizes[:-2])
    return sizes[-2] * window, sizes[-1] * window


@exported(_MODULE, "variance_scaling")
class VarianceScaling(RandomInitializer):
    """Distribution with variance scale / n, which keeps the size of signals through layers.

    Args:
        scale: Positive number.
        mode: Meaning of n: the number of inputs ("fan_in"), of outputs ("fan_out"), or their mean
            ("fan_avg").
        distribution: "truncated_normal" (truncated at two standard deviations and scaled to the variance),
            "untruncated_normal" or "uniform" (between -sqrt(3 scale / n) and sqrt(3 scale / n)).
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.VarianceScaling(2.0, seed=1)((2, 3)).shape
        (2, 3)

    Source: He et al., "Delving Deep into Rectifiers", 2015.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: SeedLike = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        if not scale > 0:
            raise ValueError(f"scale must be positive, got {scale!r}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f'mode must be "fan_in", "fan_out" or "fan_avg", got {mode!r}')
        kind = distribution.lower()
        kind = "truncated_normal" if kind == "normal" else kind
        if kind not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                f"distribution must be truncated_normal, untruncated_normal or uniform, got {distribution!r}"
            )
        if (input_axes is None) != (output_axes is None):
            raise ValueError("input_axes and output_axes must be given together")
        self.scale, self.mode, self.distribution = scale, mode, kind
        self.input_axes, self.output_axes = input_axes, output_axes
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, n)
        name, key = _random_dtype(dtype), self._key()
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return random.uniform(shape, -limit, limit, name, key)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), name, key)
        return random.truncated_normal(shape, 0.0, math.sqrt(variance) / _TRUNCATED_STDDEV, name, key)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Named(VarianceScaling):
    """VarianceScaling with a fixed scale, mode and distribution."""

    _kind: tuple[float, str, str]

    def __init__(
        self,
        seed: SeedLike = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self._kind, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self._init_seed, "input_axes": self.input_axes, "output_axes": self.output_axes}


@exported(_MODULE, "glorot_uniform")
class GlorotUniform(_Named):
    """Uniform distribution between -sqrt(6 / (inputs + outputs)) and its negative.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.GlorotUniform(seed=1)((2, 3)).shape
        (2, 3)

    Source: Glorot & Bengio, 2010.
    """

    _kind = (1.0, "fan_avg", "uniform")


@exported(_MODULE, "glorot_normal")
class GlorotNormal(_Named):
    """Truncated normal distribution with variance 2 / (inputs + outputs).

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.GlorotNormal(seed=1)((2, 3)).shape
        (2, 3)

    Source: Glorot & Bengio, 2010.
    """

    _kind = (1.0, "fan_avg", "truncated_normal")


@exported(_MODULE, "lecun_normal")
class LecunNormal(_Named):
    """Truncated normal distribution with variance 1 / inputs.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.LecunNormal(seed=1)((2, 3)).shape
        (2, 3)

    Source: LeCun et al., "Efficient BackProp", 1998.
    """

    _kind = (1.0, "fan_in", "truncated_normal")


@exported(_MODULE, "lecun_uniform")
class LecunUniform(_Named):
    """Uniform distribution between -sqrt(3 / inputs) and its negative.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.LecunUniform(seed=1)((2, 3)).shape
        (2, 3)

    Source: LeCun et al., "Efficient BackProp", 1998.
    """

    _kind = (1.0, "fan_in", "uniform")


@exported(_MODULE, "he_normal")
class HeNormal(_Named):
    """Truncated normal distribution with variance 2 / inputs, for relu networks.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.HeNormal(seed=1)((2, 3)).shape
        (2, 3)

    Source: He et al., 2015.
    """

    _kind = (2.0, "fan_in", "truncated_normal")


@exported(_MODULE, "he_uniform")
class HeUniform(_Named):
    """Uniform distribution between -sqrt(6 / inputs) and its negative, for relu networks.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
        input_axes: Axes of the weight that count as inputs; None for the second-to-last.
        output_axes: Axes of the weight that count as outputs; None for the last.

    Example:
        >>> hornbeam.initializers.HeUniform(seed=1)((2, 3)).shape
        (2, 3)

    Source: He et al., 2015.
    """

    _kind = (2.0, "fan_in", "uniform")


@exported(_MODULE, "orthogonal", "OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """A multiple of a random matrix with orthonormal rows or columns, whichever are fewer.

    All axes but the last are the rows.

    Args:
        gain: Number, a factor of the values.
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.

    Raises:
        ShapeError: If the shape has fewer than two axes, when it is called.

    Example:
        >>> hornbeam.initializers.Orthogonal(seed=1)((3, 2)).shape
        (3, 2)

    Source: Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2013.
    """

    def __init__(self, gain: float = 1.0, seed: SeedLike = None) -> None:
        self.gain = gain
        super().__init__(seed)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal needs at least two axes, got shape {tuple(shape)}")
        name = _random_dtype(dtype)
        rows, columns = math.prod(shape[:-1]), shape[-1]
        work = "float64" if name == "float64" else "float32"
        gaussian = random.normal((max(rows, columns), min(rows, columns)), dtype=work, seed=self._key())
        q, r = linalg.qr(gaussian)
        # The signs of R's diagonal make every orthogonal matrix equally likely (Mezzadri, 2007).
        q = q * _diagonal_signs(r)
        q = Tensor(p.transpose(q.node, (1, 0))) if rows < columns else q
        return cast(self.gain * q.reshape(tuple(shape)), name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gain": self.gain}


def _diagonal_signs(r: Tensor) -> Tensor:
    """Return the signs of the diagonal of a square matrix, 1 for 0."""
    diagonal = creation.diag(r)
    return Tensor(p.select((diagonal < 0).node, (diagonal * 0 - 1).node, (diagonal * 0 + 1).node))


# fmt: off
zeros, ones, constant, identity, stft, orthogonal = Zeros, Ones, Constant, Identity, STFT, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT
# fmt: on

# Short names that Keras accepts, and uses as a default (Embedding).
_OLDER_NAMES = {"uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones"}


def serialize(initializer: InitializerLike) -> str | Config:
    """Convert an initializer to a config.

    Args:
        initializer: Initializer.

    Returns:
        Dict.
    """
    return registry.serialize(initializer)


def deserialize(config: str | Config, custom_objects: dict[str, Any] | None = None) -> Initializer:
    """Build the initializer that a name or config describes.

    Args:
        config: Config or name.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Returns:
        Initializer.

    Raises:
        UnknownObjectError: If a name is unknown.
    """
    return registry.resolve(config, _MODULE, "initializer", custom_objects)


@overload
def get(identifier: None) -> None: ...
@overload
def get(identifier: str | Config | Initializer | Tensor | np.ndarray | type[Initializer]) -> Initializer: ...
@overload
def get(identifier: Callable[..., Any]) -> Callable[..., Tensor]: ...
def get(identifier: InitializerLike | type[Initializer]) -> Initializer | Callable[..., Tensor] | None:
    """Return the initializer for an identifier.

    Args:
        identifier: Name such as "he_normal", config, class, array, callable, or None.

    Returns:
        Initializer, or None for None.

    Raises:
        UnknownObjectError: If the name is unknown; the message suggests the nearest one.

    Example:
        >>> hornbeam.initializers.get("zeros")((2,)).shape
        (2,)
    """
    if isinstance(identifier, (np.ndarray, Tensor)):
        return Constant(identifier)
    if isinstance(identifier, type):
        return identifier()
    if isinstance(identifier, str):
        identifier = _OLDER_NAMES.get(identifier, identifier)
    return registry.resolve(identifier, _MODULE, "initializer")
