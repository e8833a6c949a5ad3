"""Pools, means and enlarged images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.engines.onnx.values import Value, reduced, reshape, transpose
from hornbeam.engines.onnx.windows import pool as write_pool
from hornbeam.export.onnx_rules.products import padded_by
from hornbeam.export.onnx_rules.site import Match, Site
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import Shape

# -- pools ---------------------------------------------------------------------------------------------------


def _is_poolable(params: dict[str, Any]) -> bool:
    """True if the padding is what ONNX's pools take: known, and smaller than the window."""
    pairs = zip(params["padding"], params["window"], strict=True)
    return all(not is_unknown(n) and n < size for pair, size in pairs for n in pair)


def max_pool(site: Site, node: Node) -> Match | None:
    x, params = node.inputs[0], _window(node)
    # Zeros around what is never negative do not change a maximum.
    inner, around = padded_by(site, x, 0)
    if inner.name == "relu":
        sides = zip(params["padding"], around, strict=True)
        joined = {**params, "padding": tuple((a + c, b + d) for (a, b), (c, d) in sides)}
        if _is_poolable(joined):
            x, params = inner, joined
    if not _is_poolable(params):
        return None
    return Match((x,), lambda value: write_pool("MaxPool", value, **params))


def _window(node: Node) -> dict[str, Any]:
    return {name: node.params[name] for name in ("window", "strides", "padding")}


def average_pool(site: Site, node: Node) -> Match | None:
    """A sum over windows, divided by the number of elements that each one meets."""
    pooled, factor = _total_and_factor(node, "sum_pool")
    if pooled is None or not _is_poolable(params := _window(pooled)):
        return None
    counted = _counted(site, node.name, factor, pooled)
    if counted is None:
        return None
    more = {"count_include_pad": 1} if counted == "all" else {}
    return Match(pooled.inputs, lambda value: write_pool("AveragePool", value, attributes=more, **params))


def _total_and_factor(node: Node, name: str) -> tuple[Node | None, Node]:
    """The factor of that name (or the dividend), and the other one (or the divisor); None without such."""
    for total, other in (node.inputs, node.inputs[::-1]):
        if total.name == name and (node.name == "mul" or total is node.inputs[0]):
            return total, other
    return None, node


def _counted(site: Site, name: str, factor: Node, pooled: Node) -> str | None:
    """The elements that an average counts, "all" of a window or only those "inside"; None for no average."""
    size = math.prod(pooled.params["window"])
    padded = any(n for pair in pooled.params["padding"] for n in pair)
    if site.is_number(factor, 1 / size if name == "mul" else size):
        return "all" if padded else "inside"
    spatial = pooled.inputs[0].shape[1:-1]
    shares = None if any(map(is_unknown, spatial)) else _shares(site, factor)
    if shares is None:
        return None
    counts = _counts(spatial, **_window(pooled))[None, ..., None]
    return "inside" if np.allclose(counts * (shares if name == "mul" else 1 / shares), 1, rtol=1e-6) else None


def _shares(site: Site, node: Node) -> np.ndarray | None:
    """A known node as an array that is 1 long where its elements repeat, None for others."""
    if node.name == "mul":
        first, second = (_shares(site, x) for x in node.inputs)
        return None if first is None or second is None else first * second
    small = node.inputs[0] if node.name == "broadcast" else node
    array = site.array(small)
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


def mean(site: Site, node: Node) -> Match | None:
    """A sum, divided by the number of its terms."""
    total, factor = _total_and_factor(node, "reduce_sum")
    if total is None:
        return None
    axes = total.params["axes"]
    count = math.prod(total.inputs[0].shape[a] for a in axes)
    if not axes or not _is_count(site, factor, count, node.name):
        return None
    return Match(total.inputs, lambda value: _write_mean(value, axes))


def _is_count(site: Site, node: Node, count: Any, name: str) -> bool:
    if not is_unknown(count):
        return site.is_number(node, 1 / count if name == "mul" else count)
    while node.name in ("broadcast", "convert", "reshape"):
        node = node.inputs[0]
    return name == "div" and node.name == "size" and node.params["size"] == count


def _write_mean(x: Value, axes: tuple[int, ...]) -> Value:
    x = x.plain(x.order)
    if x.order is None or sorted(x.axes.index(a) for a in axes) != list(range(2, x.rank)):
        return reduced("ReduceMean", x, axes)
    shape = (*(x.shape[a] for a in x.axes[:2]), *(1 for _ in axes))
    pooled = x.emitter.node("GlobalAveragePool", [x], x.dtype, shape)
    back = transpose(pooled, [x.axes.index(a) for a in range(x.rank)])
    return reshape(back, tuple(n for a, n in enumerate(x.shape) if a not in axes))


def kept_axes(site: Site, node: Node) -> Match | None:
    """A reduction whose axes come back with size 1."""
    inner = node.inputs[0]
    operators = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_sum": "ReduceSum"}
    if inner.name not in operators or node.dtype != "float32":
        return None
    (x,), axes = inner.inputs, inner.params["axes"]
    if node.shape != tuple(1 if a in axes else n for a, n in enumerate(x.shape)) or 0 in x.shape:
        return None
    return Match((x,), lambda value: reduced(operators[inner.name], value, axes, keepdims=True))


# -- larger images -------------------------------------------------------------------------------------------


def repeated(site: Site, node: Node) -> Match | None:
    """Elements repeated along axes: the nearest neighbours of a larger image."""
    x, scales = node, [1] * node.rank
    while (step := _repeated_axis(x)) is not None:
        x, axis, count = step
        scales[axis] *= count
    if x is node or x in site.known or node.dtype != "float32":
        return None
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return Match((x,), lambda value: _resized(value, node.shape, scales, options))


def _repeated_axis(node: Node) -> tuple[Node, int, int] | None:
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


# The first version whose Resize takes a part of the axes.
_RESIZE_AXES = 18


def _resized(x: Value, shape: Shape, scales: Sequence[float], options: dict[str, Any]) -> Value:
    """x, its axes enlarged by `scales`."""
    x = x.plain(x.order)
    axes = [i for i, a in enumerate(x.axes) if scales[a] != 1]
    sizes = [shape[x.axes[i]] for i in axes]
    if x.emitter.opset < _RESIZE_AXES:
        axes, sizes = list(range(x.rank)), []
    else:
        options = {**options, "axes": axes}
    if sizes and not any(map(is_unknown, sizes)):
        operands = [x, None, None, x.emitter.ints(sizes)]
    else:
        factors = np.array([scales[x.axes[i]] for i in axes], np.float32)
        operands = [x, None, x.emitter.vector(factors, "float32")]
    return x.emitter.node("Resize", operands, x.dtype, shape, order=x.order, **options)


def interpolated(site: Site, node: Node) -> Match | None:
    """Weighted sums along axes that are linear interpolation."""
    x, scales, modes = node, [1.0] * node.rank, set[str]()
    while x.name == "resample" and scales[x.params["axis"]] == 1:
        weights = site.array(x.inputs[1])
        mode = None if weights is None else _interpolation(weights)
        if weights is None or mode is None or modes - {mode}:
            break
        modes.add(mode)
        scales[x.params["axis"]] = weights.shape[0] / weights.shape[1]
        x = x.inputs[0]
    if x is node:
        return None
    options = {"mode": "linear", "coordinate_transformation_mode": modes.pop()}
    return Match((x,), lambda value: _resized(value, node.shape, scales, options))


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
