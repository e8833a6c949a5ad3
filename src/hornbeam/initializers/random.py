"""Initializers that draw random values."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam import random
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_number
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.convert import cast
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self
from hornbeam.initializers.initializer import MODULE, Initializer, Shape
from hornbeam.ir.types import ShapeError, dtype_name, is_float
from hornbeam.ops import linalg, matrices
from hornbeam.random.keys import SeedLike


class RandomInitializer(Initializer):
    """Base class of random initializers, which have a seed.

    Args:
        seed: Integer, `SeedGenerator`, or None. With an integer or None every call returns the same values; a
            generator gives new values each time.
    """

    def __init__(self, seed: SeedLike = None) -> None:
        if isinstance(seed, dict):
            seed = registry.deserialize(seed)
        if seed is not None and not isinstance(seed, (int, np.integer, random.SeedGenerator)):
            raise ValueError(f"seed must be an integer, a SeedGenerator or None, got {seed!r}")
        self._init_seed = seed
        self.seed = random.make_default_seed() if seed is None else seed

    def _key(self) -> int | tuple[int, ...] | Any:
        """Return the seed of this call, which is known even while a function is traced."""
        return self.seed.host_next() if isinstance(self.seed, random.SeedGenerator) else self.seed

    def clone(self) -> Self:
        """Return an initializer with the same config; without an explicit seed it draws other values."""
        return type(self).from_config({**self.get_config(), "seed": self._init_seed})

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": registry.serialize(self._init_seed)}


def _random_dtype(dtype: DTypeLike | None) -> str:
    name = dtype_name(dtype or floatx())
    if not is_float(name):
        raise ValueError(f"random initializers need a float dtype, got dtype={name!r}")
    return name


@exported(MODULE, "random_normal")
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


@exported(MODULE, "truncated_normal")
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


@exported(MODULE, "random_uniform")
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


@exported(MODULE, "variance_scaling")
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

    def with_axes(self, input_axes: Sequence[int], output_axes: Sequence[int]) -> Self:
        """Return the initializer for a weight with these axes, or itself if it was given its own.

        Args:
            input_axes: Axes of the weight that count as inputs.
            output_axes: Axes of the weight that count as outputs.

        Returns:
            Initializer with the same seed.
        """
        if self.input_axes is not None:
            return self
        fitted = copy.copy(self)
        fitted.input_axes, fitted.output_axes = input_axes, output_axes
        return fitted

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
        return {"seed": None, **super().get_config()}  # the seed first, as Keras writes it


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


@exported(MODULE, "glorot_uniform")
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


@exported(MODULE, "glorot_normal")
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


@exported(MODULE, "lecun_normal")
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


@exported(MODULE, "lecun_uniform")
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


@exported(MODULE, "he_normal")
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


@exported(MODULE, "he_uniform")
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


@exported(MODULE, "orthogonal", "OrthogonalInitializer")
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
        return {"seed": None, **super().get_config()}  # the seed first, as Keras writes it


def _diagonal_signs(r: Tensor) -> Tensor:
    """Return the signs of the diagonal of a square matrix, 1 for 0."""
    diagonal = matrices.diag(r)
    return Tensor(p.select((diagonal < 0).node, (diagonal * 0 - 1).node, (diagonal * 0 + 1).node))
