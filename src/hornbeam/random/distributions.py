"""Random tensors: conversion of bits to numbers of a distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_rate
from hornbeam.config import floatx
from hornbeam.core.convert import broadcast_node, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, zeros_like
from hornbeam.ir.sizes import same_size
from hornbeam.ir.types import FLOATS, HornbeamTypeError, ShapeError, TensorType, dtype_name, is_integer
from hornbeam.ops._common import float_node, node_of, one_axis, shape_of, static_int
from hornbeam.random.keys import SeedLike, draw_seed, split_key

# Number of fraction bits of each dtype; the narrow ones are drawn so that rounding never gives 1.
_FRACTION = {"bfloat16": 8, "float16": 11, "float32": 24}


def _float_dtype(dtype: DTypeLike | None, name: str) -> str:
    name_of_dtype = dtype_name(dtype or floatx())
    if name_of_dtype not in FLOATS:
        raise HornbeamTypeError(
            f"random.{name} needs a float dtype, got dtype={name_of_dtype!r}; use randint for integers"
        )
    return name_of_dtype


def _high_bits(key: Node, shape: tuple[int, ...], count: int) -> Node:
    """Return integers below 2**count, as uint32."""
    bits = p.random_bits(key, shape)
    return p.shift_right(bits, full(32 - count, bits.type))


def _fraction(key: Node, shape: tuple[int, ...], dtype: str) -> Node:
    """Return multiples of 2**-n in [0, 1), where n is the number of fraction bits of the dtype."""
    if dtype == "float64":
        words = p.random_bits(key, (*shape, 2))
        parts = [_component(words, i) for i in range(2)]
        high, low = (p.shift_right(w, full(shift, w.type)) for w, shift in zip(parts, (5, 6), strict=True))
        total = p.convert(high, "float64") * 2.0**26 + p.convert(low, "float64")
        return total * 2.0**-53
    count = _FRACTION[dtype]
    return p.convert(_high_bits(key, shape, count), dtype) * 2.0**-count


def _component(words: Node, index: int) -> Node:
    rank = words.rank
    start = (*(0,) * (rank - 1), index)
    return p.reshape(p.slice_(words, start, (*words.shape[:-1], index + 1)), words.shape[:-1])


def _centered(key: Node, shape: tuple[int, ...], dtype: str) -> Node:
    """Return odd multiples of 2**-n in (-1, 1), symmetric around 0 and never 0, 1 or -1."""
    if dtype == "float64":
        words = p.random_bits(key, (*shape, 2))
        high = p.shift_right(_component(words, 0), full(6, TensorType(shape, "uint32")))
        low = p.shift_right(_component(words, 1), full(6, TensorType(shape, "uint32")))
        total = p.convert(high, "float64") * 2.0**26 + p.convert(low, "float64")
        return total * 2.0**-51 + (2.0**-52 - 1.0)
    return p.convert(_high_bits(key, shape, 23), "float32") * 2.0**-22 + (2.0**-23 - 1.0)


def _check_first(name: str, shape: object, bound: object) -> None:
    """Raise TypeError for the order of NumPy's arguments: `uniform(0, 1, (2, 3))`."""
    if isinstance(bound, (tuple, list)) and isinstance(shape, (int, float)):
        raise TypeError(f"{name}: the shape is the first argument: {name}({tuple(bound)}, ...)")


def _located(values: Node, location: TensorLike, scale: TensorLike, dtype: str) -> Tensor:
    """Compute location + scale * values."""
    if not _is_number(scale, 1):
        values = p.mul(values, broadcast_node(cast_node(scale, values.dtype), values.shape))
    if not _is_number(location, 0):
        values = p.add(values, broadcast_node(cast_node(location, values.dtype), values.shape))
    return Tensor(p.convert(values, dtype))


def _is_number(x: TensorLike, value: float) -> bool:
    return isinstance(x, (int, float)) and x == value


def uniform(
    shape: int | Sequence[int],
    minval: TensorLike = 0.0,
    maxval: TensorLike = 1.0,
    dtype: DTypeLike | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw from the uniform distribution on [minval, maxval).

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        minval: Number, or tensor that broadcasts to `shape`, the lower bound.
        maxval: Number, or tensor that broadcasts to `shape`, the upper bound, which is excluded.
        dtype: Float dtype of the result; None for `hornbeam.config.floatx()`.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Example:
        >>> hornbeam.random.uniform((2, 3), seed=1).shape
        (2, 3)
    """
    _check_first("uniform", shape, maxval)
    name, sizes = _float_dtype(dtype, "uniform"), shape_of(shape)
    values = _fraction(draw_seed(seed).node, sizes, name)
    if _is_number(minval, 0) and _is_number(maxval, 1):
        return Tensor(values)
    low, high = (broadcast_node(cast_node(bound, name), sizes) for bound in (minval, maxval))
    values = values * (high - low) + low
    # Rounding can reach the upper bound, which is excluded.
    return Tensor(p.select(p.lt(values, high), values, low))


def normal(
    shape: int | Sequence[int],
    mean: TensorLike = 0.0,
    stddev: TensorLike = 1.0,
    dtype: DTypeLike | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw from the normal distribution.

    Computed by its inverse: mean + stddev sqrt(2) erfinv(u), u uniform in (-1, 1).

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        mean: Number, or tensor that broadcasts to `shape`.
        stddev: Number, or tensor that broadcasts to `shape`, the standard deviation.
        dtype: Float dtype of the result; None for `hornbeam.config.floatx()`.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Example:
        >>> hornbeam.random.normal((2, 3), seed=1).shape
        (2, 3)
    """
    _check_first("normal", shape, stddev)
    name, sizes = _float_dtype(dtype, "normal"), shape_of(shape)
    u = _centered(draw_seed(seed).node, sizes, name)
    return _located(p.erf_inv(u) * math.sqrt(2), mean, stddev, name)


def truncated_normal(
    shape: int | Sequence[int],
    mean: TensorLike = 0.0,
    stddev: TensorLike = 1.0,
    dtype: DTypeLike | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw from the normal distribution truncated at two standard deviations from the mean.

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        mean: Number, or tensor that broadcasts to `shape`.
        stddev: Number, or tensor that broadcasts to `shape`, the standard deviation before the truncation.
        dtype: Float dtype of the result; None for `hornbeam.config.floatx()`.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Example:
        >>> hornbeam.random.truncated_normal((2, 3), seed=1).shape
        (2, 3)
    """
    name, sizes = _float_dtype(dtype, "truncated_normal"), shape_of(shape)
    u = _centered(draw_seed(seed).node, sizes, name) * math.erf(math.sqrt(2))
    values = p.erf_inv(u) * math.sqrt(2)
    limit = full(2.0, values.type)
    return _located(p.minimum(p.maximum(values, -limit), limit), mean, stddev, name)


def randint(
    shape: int | Sequence[int],
    minval: TensorLike,
    maxval: TensorLike,
    dtype: DTypeLike = "int32",
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw integers uniformly from minval ... maxval - 1 (up to 2**-31).

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        minval: Integer, or tensor that broadcasts to `shape`, the lower bound.
        maxval: Integer, or tensor that broadcasts to `shape`, the upper bound, which is excluded.
        dtype: Integer dtype of the result.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Raises:
        ValueError: If the range between known bounds is empty.

    Example:
        >>> hornbeam.random.randint((2, 3), 0, 10, seed=1).dtype
        'int32'
    """
    name, sizes = dtype_name(dtype), shape_of(shape)
    if not is_integer(name):
        raise HornbeamTypeError(
            f"random.randint needs an integer dtype, got dtype={name!r}; use uniform for floats"
        )
    if isinstance(minval, (int, float)) and isinstance(maxval, (int, float)) and not minval < maxval:
        raise ValueError(f"randint: the range from {minval} to {maxval} (excluded) is empty")
    if isinstance(minval, int) and isinstance(maxval, int) and max(abs(minval), abs(maxval)) < 1 << 62:
        # A constant: engines find the remainder by one number sooner than by an array of numbers.
        low, span = (full(x, TensorType(sizes, "int64")) for x in (minval, maxval - minval))
    else:
        low, high = (broadcast_node(cast_node(bound, "int64"), sizes) for bound in (minval, maxval))
        span = high - low
    words = p.random_bits(draw_seed(seed).node, (*sizes, 2))
    # 63 bits, so that the remainder is uniform up to 2**-31.
    top = p.convert(p.shift_right(_component(words, 0), full(1, TensorType(sizes, "uint32"))), "int64")
    wide = p.bit_or(p.shift_left(top, full(32, span.type)), p.convert(_component(words, 1), "int64"))
    return Tensor(p.convert(low + p.rem(wide, span), name))


@operation
def dropout(
    inputs: TensorLike,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Set each element to 0 with probability `rate`, and divide the others by 1 - rate.

    Args:
        inputs: Tensor.
        rate: Number in [0, 1]; with 1 the result is 0.
        noise_shape: Shape of the mask, which is broadcast; None in it means the size of `inputs`. None for
            the full shape.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: If `rate` is not in [0, 1].

    Example:
        >>> hornbeam.random.dropout(hornbeam.ops.ones((2, 3)), 0.5, seed=1).shape
        (2, 3)

    Source: Srivastava et al., "Dropout", 2014.
    """
    check_rate("rate", rate, closed=True, where="dropout")
    node = float_node(inputs)
    if not rate:
        return Tensor(node)
    if rate == 1:
        return Tensor(zeros_like(node))
    sizes = node.shape if noise_shape is None else _noise_shape(noise_shape, node.shape)
    kept = broadcast_node(p.bernoulli(draw_seed(seed).node, 1.0 - rate, sizes), node.shape)
    return Tensor(p.select(kept, node * (1.0 / (1.0 - rate)), zeros_like(node)))


def _noise_shape(noise_shape: Sequence[int | None], shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(noise_shape) != len(shape):
        raise ShapeError(
            f"dropout: noise_shape {tuple(noise_shape)} needs as many axes as the inputs {shape}"
        )
    sizes = tuple(
        n if size is None else static_int(size, "a size") for size, n in zip(noise_shape, shape, strict=True)
    )
    if not all(size == 1 or same_size(size, n) for size, n in zip(sizes, shape, strict=True)):
        raise ShapeError(f"dropout: noise_shape {sizes} does not broadcast to {shape}")
    return sizes


@operation
def categorical(
    logits: TensorLike, num_samples: int, dtype: DTypeLike = "int32", seed: SeedLike | TensorLike = None
) -> Tensor:
    """Draw class indices from softmax(logits), by the maximum of logits plus noise (the Gumbel-max trick).

    Args:
        logits: Tensor (batch, classes).
        num_samples: Integer, number of draws per row.
        dtype: Integer dtype of the result.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor (batch, num_samples).

    Raises:
        ShapeError: If `logits` has not two axes.

    Example:
        >>> hornbeam.random.categorical([[0.0, 0.0]], 5, seed=1).shape
        (1, 5)

    Source: Maddison, Tarlow & Minka, "A* Sampling", 2014.
    """
    node = float_node(logits)
    if node.rank != 2:
        raise ShapeError(f"categorical needs logits (batch, classes), got shape {node.shape}")
    work = "float64" if node.dtype == "float64" else "float32"
    shape = (node.shape[0], static_int(num_samples, "num_samples"), node.shape[1])
    u = (_centered(draw_seed(seed).node, shape, work) + 1.0) * 0.5
    noise = -p.log(-p.log(u))
    scores = p.broadcast(p.convert(node, work), shape, (0, 2)) + noise
    return Tensor(p.convert(p.argmax(scores, 2), dtype_name(dtype)))


@operation
def shuffle(x: TensorLike, axis: int = 0, seed: SeedLike | TensorLike = None) -> Tensor:
    """Shuffle the slices along an axis.

    Args:
        x: Tensor or anything that converts to one.
        axis: Integer, the axis.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> hornbeam.random.shuffle(hornbeam.ops.arange(5), seed=1).shape
        (5,)
    """
    from hornbeam.ops.selection import take

    node = node_of(x)
    at = one_axis(axis, node.rank, "shuffle")
    return take(Tensor(node), Tensor(_permutation(draw_seed(seed).node, node.shape[at])), at)


def _permutation(key: Node, count: int) -> Node:
    """Return 0 ... count - 1 (int32) in random order: sorted by 63 random bits each."""
    words = p.random_bits(key, (count, 2))
    top = p.convert(p.shift_right(_component(words, 0), full(1, TensorType((count,), "uint32"))), "int64")
    keys = p.bit_or(p.shift_left(top, full(32, top.type)), p.convert(_component(words, 1), "int64"))
    return p.argsort(keys, 0)


def _gamma(key: Node, alpha: Node) -> Node:
    """Draw from Gamma(alpha) in the dtype of alpha.

    Source: Marsaglia & Tsang, "A simple method for generating gamma variables", 2000.
    """
    chain, last = split_key(key, 2)
    small = p.lt(alpha, full(1, alpha.type))
    raised = p.select(small, alpha + 1.0, alpha)
    d = raised - 1.0 / 3.0
    c = p.rsqrt(d * 9.0)

    def more(_: Node, done: Node, __: Node) -> Node:
        return p.logical_not(p.reduce_and(done, tuple(range(done.rank))))

    def step(state: Node, done: Node, value: Node) -> list[Node]:
        state, for_normal, for_uniform = split_key(state, 3)
        x = p.erf_inv(_centered(for_normal, alpha.shape, alpha.dtype)) * math.sqrt(2)
        u = (_centered(for_uniform, alpha.shape, alpha.dtype) + 1.0) * 0.5
        root = c * x + 1.0
        positive = p.gt(root, zeros_like(root))
        v = p.select(positive, root * root * root, full(1, root.type))
        accepted = p.lt(p.log(u), x * x * 0.5 + d - d * v + d * p.log(v))
        now = p.bit_and(p.bit_and(positive, accepted), p.logical_not(done))
        return [state, p.bit_or(done, now), p.select(now, d * v, value)]

    none = full(False, TensorType(alpha.shape, "bool"))
    value = p.while_loop(more, step, chain, none, zeros_like(alpha))[2]
    u = (_centered(last, alpha.shape, alpha.dtype) + 1.0) * 0.5
    # Gamma(a) = Gamma(a + 1) u**(1 / a) for shapes below 1.
    boost = p.exp(p.log(u) / p.select(small, alpha, full(1, alpha.type)))
    return p.select(small, value * boost, value)


def _parameter(x: TensorLike, shape: tuple[int, ...], dtype: str) -> Node:
    work = "float64" if dtype == "float64" else "float32"
    return broadcast_node(cast_node(x, work), shape)


def gamma(
    shape: int | Sequence[int],
    alpha: TensorLike,
    dtype: DTypeLike | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw from the gamma distribution of scale 1: mean alpha, variance alpha.

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        alpha: Number, or tensor that broadcasts to `shape`, the shape parameter.
        dtype: Float dtype of the result; None for `hornbeam.config.floatx()`.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Example:
        >>> hornbeam.random.gamma((2,), 3.0, seed=1).shape
        (2,)
    """
    name, sizes = _float_dtype(dtype, "gamma"), shape_of(shape)
    return Tensor(p.convert(_gamma(draw_seed(seed).node, _parameter(alpha, sizes, name)), name))


def beta(
    shape: int | Sequence[int],
    alpha: TensorLike,
    beta: TensorLike,
    dtype: DTypeLike | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw from the beta distribution on [0, 1]: x / (x + y) for x of gamma(alpha) and y of gamma(beta).

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        alpha: Number, or tensor that broadcasts to `shape`.
        beta: Number, or tensor that broadcasts to `shape`.
        dtype: Float dtype of the result; None for `hornbeam.config.floatx()`.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Example:
        >>> hornbeam.random.beta((2,), 2.0, 3.0, seed=1).shape
        (2,)
    """
    name, sizes = _float_dtype(dtype, "beta"), shape_of(shape)
    first, second = split_key(draw_seed(seed).node, 2)
    x = _gamma(first, _parameter(alpha, sizes, name))
    y = _gamma(second, _parameter(beta, sizes, name))
    return Tensor(p.convert(x / (x + y), name))


def binomial(
    shape: int | Sequence[int],
    counts: TensorLike,
    probabilities: TensorLike,
    dtype: DTypeLike | None = None,
    seed: SeedLike | TensorLike = None,
) -> Tensor:
    """Draw numbers of successes in independent trials, as floats.

    Counts how many geometric waiting times fit into the trials, so the time grows with counts * min(p, 1 -
    p).

    Args:
        shape: Integer or sequence of integers, the shape of the result.
        counts: Number, or tensor that broadcasts to `shape`, the number of trials.
        probabilities: Number, or tensor that broadcasts to `shape`, the probability of success.
        dtype: Float dtype of the result; None for `hornbeam.config.floatx()`.
        seed: Integer, `SeedGenerator`, key of two uint32 words, or None for the global generator.

    Returns:
        Tensor of `shape`.

    Example:
        >>> hornbeam.random.binomial((2,), 10, 0.5, seed=1).shape
        (2,)

    Source: Devroye, "Non-Uniform Random Variate Generation", 1986, X.4.
    """
    name, sizes = _float_dtype(dtype, "binomial"), shape_of(shape)
    trials, chance = _parameter(counts, sizes, name), _parameter(probabilities, sizes, name)
    mirrored = p.gt(chance, full(0.5, chance.type))
    rare = p.select(mirrored, 1.0 - chance, chance)
    never = p.le(rare, zeros_like(rare))
    log_miss = p.log1p(-p.select(never, full(0.5, rare.type), rare))

    def more(_: Node, waited: Node, __: Node) -> Node:
        return p.reduce_or(p.le(waited, trials), tuple(range(trials.rank)))

    def step(key: Node, waited: Node, successes: Node) -> list[Node]:
        key, draw = split_key(key, 2)
        u = (_centered(draw, sizes, trials.dtype) + 1.0) * 0.5
        waited = waited + p.floor(p.log(u) / log_miss) + 1.0
        return [key, waited, successes + p.convert(p.le(waited, trials), trials.dtype)]

    start = p.select(never, full(math.inf, trials.type), zeros_like(trials))
    successes = p.while_loop(more, step, draw_seed(seed).node, start, zeros_like(trials))[2]
    return Tensor(p.convert(p.select(mirrored, trials - successes, successes), name))
