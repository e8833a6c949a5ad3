"""Pools, means and enlarged images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.export.patterns.matching import MatchContext, Operator
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown

# -- pools ---------------------------------------------------------------------------------------------------


def window_of(node: Node) -> dict[str, Any]:
    """The window of a pool, its strides and its padding."""
    return {name: node.params[name] for name in ("window", "strides", "padding")}


def average_pool(context: MatchContext, node: Node) -> Operator | None:
    """A sum over windows, divided by the number of elements that each one meets.

    count_include_pad: whether all elements of a window count, or only those inside the input.
    """
    pooled, factor = _total_and_factor(node, "sum_pool")
    if pooled is None:
        return None
    includes_pad = _includes_pad(context, node.name, factor, pooled)
    if includes_pad is None:
        return None
    return Operator("average_pool", pooled.inputs, {**window_of(pooled), "count_include_pad": includes_pad})


def _total_and_factor(node: Node, name: str) -> tuple[Node | None, Node]:
    """The factor of that name (or the dividend), and the other one (or the divisor); None without such."""
    for total, other in (node.inputs, node.inputs[::-1]):
        if total.name == name and (node.name == "mul" or total is node.inputs[0]):
            return total, other
    return None, node


def _includes_pad(context: MatchContext, name: str, factor: Node, pooled: Node) -> bool | None:
    """True for an average that counts padding, False for one of the elements inside, None for no average."""
    size = math.prod(pooled.params["window"])
    if any(is_unknown(n) for pair in pooled.params["padding"] for n in pair):
        return None
    padded = any(n for pair in pooled.params["padding"] for n in pair)
    if context.is_number(factor, 1 / size if name == "mul" else size):
        return padded
    spatial = pooled.inputs[0].shape[1:-1]
    shares = None if any(map(is_unknown, spatial)) else _shares(context, factor)
    if shares is None:
        return None
    counts = _counts(spatial, **window_of(pooled))[None, ..., None]
    return False if np.allclose(counts * (shares if name == "mul" else 1 / shares), 1, rtol=1e-6) else None


def _shares(context: MatchContext, node: Node) -> np.ndarray | None:
    """A known node as an array that is 1 long where its elements repeat, None for others."""
    if node.name == "mul":
        first, second = (_shares(context, x) for x in node.inputs)
        return None if first is None or second is None else first * second
    small = node.inputs[0] if node.name == "broadcast" else node
    array = context.array(small)
    if array is None or node.name != "broadcast":
        return array
    shape = [1] * node.rank
    for axis, size in zip(node.params["dims"], small.shape, strict=True):
        shape[axis] = size
    return array.reshape(shape)


def _counts(spatial: Sequence[int], window: Any, strides: Any, padding: Any) -> np.ndarray:
    """Count the elements that each window meets."""
    counts = np.ones(())
    for n, size, step, (low, high) in zip(spatial, window, strides, padding, strict=True):
        starts = range(-low, n + high - size + 1, step)
        counts = np.multiply.outer(counts, [min(n, s + size) - max(s, 0) for s in starts])
    return counts


# -- means ---------------------------------------------------------------------------------------------------


def mean(context: MatchContext, node: Node) -> Operator | None:
    """A sum, divided by the number of its terms."""
    total, factor = _total_and_factor(node, "reduce_sum")
    if total is None:
        return None
    axes = total.params["axes"]
    count = math.prod(total.inputs[0].shape[a] for a in axes)
    if not axes or not _is_count(context, factor, count, node.name):
        return None
    return Operator("mean", total.inputs, {"axes": axes})


def _is_count(context: MatchContext, node: Node, count: Any, name: str) -> bool:
    if not is_unknown(count):
        return context.is_number(node, 1 / count if name == "mul" else count)
    while node.name in ("broadcast", "convert", "reshape"):
        node = node.inputs[0]
    return name == "div" and node.name == "size" and node.params["size"] == count


def reduction_with_kept_dims(context: MatchContext, node: Node) -> Operator | None:
    """A reduction whose axes come back with size 1."""
    inner = node.inputs[0]
    if inner.name not in ("reduce_max", "reduce_min", "reduce_sum"):
        return None
    (x,), axes = inner.inputs, inner.params["axes"]
    if node.shape != tuple(1 if a in axes else n for a, n in enumerate(x.shape)) or 0 in x.shape:
        return None
    return Operator(inner.name, (x,), {"axes": axes, "keepdims": True})


# -- larger images -------------------------------------------------------------------------------------------


def nearest_resize(context: MatchContext, node: Node) -> Operator | None:
    """Elements that are repeated along axes, each `repeats[axis]` times."""
    x, repeats = node, [1] * node.rank
    while (step := _repetition_of_axis(x)) is not None:
        x, axis, count = step
        repeats[axis] *= count
    if x is node or x in context.known:
        return None
    return Operator("repeat", (x,), {"repeats": tuple(repeats), "shape": node.shape})


def _repetition_of_axis(node: Node) -> tuple[Node, int, int] | None:
    """x, axis and count, if reshape(broadcast(...)) repeats each element of x along an axis."""
    if node.name != "reshape" or node.inputs[0].name != "broadcast":
        return None
    wide = node.inputs[0]
    apart = wide.inputs[0]
    if wide.rank != node.rank + 1 or wide.params["dims"] != tuple(range(wide.rank)):
        return None
    grown = [a for a in range(wide.rank) if wide.shape[a] != apart.shape[a]]
    if len(grown) != 1 or not grown[0]:
        return None
    (new,), axis = grown, grown[0] - 1
    count, shape = wide.shape[new], list(apart.shape)
    del shape[new]
    larger = tuple(n * count if a == axis else n for a, n in enumerate(shape))
    return (p.reshape(apart, tuple(shape)), axis, count) if node.shape == larger else None


def interpolated(context: MatchContext, node: Node) -> Operator | None:
    """Weighted sums along axes that are linear interpolation; `coordinates` has ONNX's names."""
    x, scales, modes = node, [1.0] * node.rank, set[str]()
    while x.name == "resample" and scales[x.params["axis"]] == 1:
        weights = context.array(x.inputs[1])
        mode = None if weights is None else _interpolation(weights)
        if weights is None or mode is None or modes - {mode}:
            break
        modes.add(mode)
        scales[x.params["axis"]] = weights.shape[0] / weights.shape[1]
        x = x.inputs[0]
    if x is node:
        return None
    params = {"scales": tuple(scales), "shape": node.shape, "coordinates": modes.pop()}
    return Operator("resize", (x,), params)


def _interpolation(weights: np.ndarray) -> str | None:
    """ONNX's name of the coordinates of linear interpolation by weights (out, n), None for other weights."""
    out, n = weights.shape
    if out < n or n < 2:
        return None
    at = np.arange(out)
    coordinates = {
        "half_pixel": (at + 0.5) * n / out - 0.5,
        "align_corners": at * (n - 1) / max(out - 1, 1),
        "asymmetric": at * n / out,
    }
    for mode, at_input in coordinates.items():
        near = np.clip(at_input, 0, n - 1)
        expected = np.maximum(1 - np.abs(near[:, None] - np.arange(n)), 0)
        if np.allclose(weights, expected, atol=1e-6):
            return mode
    return None
