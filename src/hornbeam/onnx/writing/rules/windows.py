"""Rules that write pools, means, reductions and resized images as operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.export.patterns import MatchContext, windows
from hornbeam.export.patterns.arrays import for_float32
from hornbeam.export.patterns.products import padded_by
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import Shape
from hornbeam.onnx.emitter.values import Value, reduced, reshape, transpose
from hornbeam.onnx.emitter.windows import pool as write_pool
from hornbeam.onnx.writing.rules.matching import Match, rule_of

# -- pools ---------------------------------------------------------------------------------------------------


def _is_poolable(params: dict[str, Any]) -> bool:
    """Return True for a padding that ONNX's pools take: known, and smaller than the window."""
    pairs = zip(params["padding"], params["window"], strict=True)
    return all(not is_unknown(n) and n < size for pair, size in pairs for n in pair)


def max_pool(context: MatchContext, node: Node) -> Match | None:
    """MaxPool, with the zeros that were added around the output of a ReLU as its padding."""
    x, params = node.inputs[0], windows.window_of(node)
    unpadded, zeros = padded_by(context, x, 0)
    if unpadded.name == "relu":  # never negative: zeros around it do not change a maximum
        sides = zip(params["padding"], zeros, strict=True)
        merged = {**params, "padding": tuple((a + c, b + d) for (a, b), (c, d) in sides)}
        if _is_poolable(merged):
            x, params = unpadded, merged
    if not _is_poolable(params):
        return None
    return Match((x,), lambda value: write_pool("MaxPool", value, **params))


def average_pool(context: MatchContext, node: Node) -> Match | None:
    """AveragePool, whose `count_include_pad` is written if it is not the default, 0."""
    operator = windows.average_pool(context, node)
    if operator is None or not _is_poolable(operator.params):
        return None
    params = dict(operator.params)
    attributes = {"count_include_pad": 1} if params.pop("count_include_pad") else {}
    return Match(operator.inputs, lambda x: write_pool("AveragePool", x, attributes=attributes, **params))


# -- means ---------------------------------------------------------------------------------------------------


def _write_mean(x: Value, axes: tuple[int, ...]) -> Value:
    """GlobalAveragePool of all axes but batch and channels if x is stored channels first, else ReduceMean."""
    x = x.contiguous(x.order)
    if x.order is None or sorted(x.axes.index(a) for a in axes) != list(range(2, x.rank)):
        return reduced("ReduceMean", x, axes)
    shape = (*(x.shape[a] for a in x.axes[:2]), *(1 for _ in axes))
    pooled = x.emitter.node("GlobalAveragePool", [x], x.dtype, shape)
    in_order = transpose(pooled, [x.axes.index(a) for a in range(x.rank)])
    return reshape(in_order, tuple(n for a, n in enumerate(x.shape) if a not in axes))


mean = rule_of(windows.mean, _write_mean)
_REDUCTIONS = {"reduce_max": "ReduceMax", "reduce_min": "ReduceMin", "reduce_sum": "ReduceSum"}


def reduction_with_kept_dims(context: MatchContext, node: Node) -> Match | None:
    """A reduction whose axes remain with size 1, as `keepdims` of ONNX says."""
    operator = windows.reduction_with_kept_dims(context, node)
    if operator is None or node.dtype != "float32":
        return None
    return Match(operator.inputs, lambda x: reduced(_REDUCTIONS[operator.name], x, **operator.params))


# -- resized images ------------------------------------------------------------------------------------------


def _nearest(x: Value, repeats: Sequence[int], shape: Shape) -> Value:
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _resized(x, shape, repeats, options)


nearest_resize = rule_of(for_float32(windows.nearest_resize), _nearest)

# The first opset whose Resize has the attribute `axes`.
_RESIZE_AXES_OPSET = 18


def _resized(x: Value, shape: Shape, scales: Sequence[float], options: dict[str, Any]) -> Value:
    """Resize the axes whose scale is not 1, to their sizes if these are known, else by the scales."""
    x = x.contiguous(x.order)
    axes = [i for i, a in enumerate(x.axes) if scales[a] != 1]
    sizes = [shape[x.axes[i]] for i in axes]
    if x.emitter.opset < _RESIZE_AXES_OPSET:
        axes, sizes = list(range(x.rank)), []
    else:
        options = {**options, "axes": axes}
    if sizes and not any(map(is_unknown, sizes)):
        operands = [x, None, None, x.emitter.ints(sizes)]
    else:
        factors = np.array([scales[x.axes[i]] for i in axes], np.float32)
        operands = [x, None, x.emitter.vector(factors, "float32")]
    return x.emitter.node("Resize", operands, x.dtype, shape, order=x.order, **options)


def _linear(x: Value, scales: Sequence[float], shape: Shape, coordinates: str) -> Value:
    return _resized(x, shape, scales, {"mode": "linear", "coordinate_transformation_mode": coordinates})


interpolated = rule_of(windows.interpolated, _linear)
