"""ONNX Runtime's own operators (domain com.microsoft): what its optimizer makes of several standard ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.onnx.operators.elementwise import ACTIVATIONS, UNARY
from hornbeam.onnx.operators.products import gemm
from hornbeam.onnx.operators.sampling import sampled
from hornbeam.onnx.operators.selection import unique
from hornbeam.onnx.operators.shaping import range_
from hornbeam.onnx.operators.vocabulary import ANY, LAST, OPERATORS, Call, axis_of, filled, ints, microsoft
from hornbeam.onnx.operators.windows import conv, max_pool

# Operators that are as the standard ones, of a version in which their settings are inputs.
for _name in ["BitmaskDropout", "GatherND", "Gelu", "GridSample", "Pad", "Trilu"]:
    _standard = OPERATORS["Dropout" if "Dropout" in _name else _name]

    def _as_standard(call: Call, *inputs: Any, compute: Any = _standard.compute) -> Any:
        return compute(dataclasses.replace(call, opset=13), *inputs)

    OPERATORS[f"com.microsoft::{_name}"] = dataclasses.replace(_standard, compute=_as_standard)


# -- elementwise ---------------------------------------------------------------------------------------------


@microsoft("BiasGelu", ANY, weights=(1,))
def bias_gelu(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    """Add a bias, then apply GELU."""
    return ops.gelu(x + bias, approximate=False)


@microsoft("FastGelu", ANY, weights=(1,))
def fast_gelu(call: Call, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply the approximation of GELU by tanh, to the sum with a bias."""
    return ops.gelu(x if bias is None else x + bias, approximate=True)


@microsoft("QuickGelu", ANY)
def quick_gelu(call: Call, x: Tensor) -> Tensor:
    """Compute x sigmoid(alpha x)."""
    return x * ops.sigmoid(x * call.get("alpha", 1.702))


@microsoft("BiasSplitGelu", weights=(1,))
def bias_split_gelu(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    """Add a bias, and multiply one half of the features by the GELU of the other."""
    first, second = ops.split(x + bias, 2, axis=-1)
    return first * ops.gelu(second, approximate=False)


@microsoft("BiasAdd", weights=(1,))
def bias_add(call: Call, x: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    """Add a bias and another tensor."""
    return x + bias + skip


@microsoft("BiasSoftmax")
def bias_softmax(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    """Compute the softmax of x + bias over all axes from one on."""
    call.get("is_inner_broadcast")  # follows from the shape of the bias
    axis = axis_of(call.get("axis", 1), len(x.shape))
    rows = ops.reshape(x + bias, (*x.shape[:axis], math.prod(x.shape[axis:])))
    return ops.reshape(ops.softmax(rows), x.shape)


# -- products and convolutions -------------------------------------------------------------------------------


def _activated(call: Call, y: Tensor, parameters: Sequence[float]) -> Tensor:
    """Apply the function that the attribute `activation` names."""
    name = call.get("activation", "")
    if name == "Clip":
        return ops.clip(y, *parameters)
    if name in UNARY:
        return UNARY[name](y)
    if name not in ACTIVATIONS:
        raise GraphError(f"activation={name!r} is not supported")
    function, defaults = ACTIVATIONS[name]
    return function(y, *parameters, *list(defaults.values())[len(parameters) :])


@microsoft("FusedConv", LAST, weights=(1, 2))
def fused_conv(call: Call, x: Tensor, w: Tensor, b: Tensor | None = None, z: Tensor | None = None) -> Tensor:
    """Convolve, add z, and apply an activation."""
    y = conv(call, x, w, b)
    y = y if z is None else y + ops.moveaxis(z, 1, -1)
    parameters = call.get("activation_params", [])
    return _activated(call, y, parameters) if "activation" in call.attributes else y


@microsoft("NhwcConv NhwcFusedConv", weights=(1, 2))
def nhwc_conv(call: Call, x: Tensor, w: Tensor, b: Tensor | None = None, z: Tensor | None = None) -> Tensor:
    """Convolve tensors with channels last."""
    return fused_conv(call, x, w, b, None if z is None else ops.moveaxis(z, -1, 1))


# Tensors are laid out with channels last.
microsoft("NhwcMaxPool")(max_pool)


@microsoft("FusedGemm", weights=(1, 2))
def fused_gemm(call: Call, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Compute alpha A B + beta C, and apply an activation."""
    parameters = [call.attributes.get(f"activation_{name}") for name in ("alpha", "beta", "gamma")]
    return _activated(call, gemm(call, a, b, c), [x for x in parameters if x is not None])


@microsoft("FusedMatMul TransposeMatMul", weights=(0, 1))
def fused_matmul(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """Compute alpha X Y, with the axes of either exchanged."""
    operands = []
    for name, v in (("A", x), ("B", y)):
        if call.get(f"transBatch{name}", 0):
            v = ops.moveaxis(v, 0, -2)
        operands.append(ops.swapaxes(v, -1, -2) if call.get(f"trans{name}", 0) and len(v.shape) > 1 else v)
    product, alpha = ops.matmul(*operands), call.get("alpha", 1.0)
    return product if alpha == 1 else product * ops.cast(as_tensor(alpha), product.dtype)


@microsoft("CDist")
def cdist(call: Call, a: Tensor, b: Tensor) -> Tensor:
    """Compute the Euclidean distances, or their squares, of all rows of one matrix from those of another."""
    norms = ops.sum(a * a, -1)[:, None] + ops.sum(b * b, -1)
    squares = ops.relu(norms - 2 * ops.matmul(a, ops.transpose(b)))
    metric = call.get("metric", "sqeuclidean")
    if metric not in ("euclidean", "sqeuclidean"):
        raise GraphError(f"metric={metric!r} is not supported, only euclidean and sqeuclidean")
    return squares if metric == "sqeuclidean" else ops.sqrt(squares)


@microsoft("Inverse")
def inverse(call: Call, x: Tensor) -> Tensor:
    """Invert square matrices."""
    return ops.inv(x)


# -- normalizations ------------------------------------------------------------------------------------------


@microsoft("SkipLayerNormalization SkipSimplifiedLayerNormalization", weights=(2, 3, 4))
def skip_layer_normalization(call: Call, x: Tensor, skip: Tensor, gamma: Tensor, *rest: Any) -> Any:
    """Normalize x + skip + bias over the last axis; the fourth output is the sum."""
    is_simple = "Simplified" in call.op
    beta, bias = filled((None, *rest) if is_simple else rest, 2)
    total = x + skip if bias is None else x + skip + bias
    epsilon = call.get("epsilon", 1e-5 if is_simple else 1e-12)
    if is_simple:
        y = ops.rms_normalization(total, gamma, -1, epsilon)
    else:
        y = ops.layer_normalization(total, gamma, beta, -1, epsilon)
    return y, None, None, total


@microsoft("EmbedLayerNormalization", weights=range(2, 7))
def embed_layer_normalization(call: Call, ids: Tensor, segments: Any, *rest: Any) -> tuple[Tensor, ...]:
    """Add the vectors of words, positions and segments, and normalize; count the words under a mask."""
    words, places, kinds, gamma, beta, mask, positions = filled(rest, 7)
    call.get("mask_index_type")
    at = ops.arange(ids.shape[1]) if positions is None else positions
    total = ops.take(words, ids, axis=0) + ops.take(places, at, axis=0)
    total = total if kinds is None else total + ops.take(kinds, segments, axis=0)
    count = ops.sum(ops.zeros_like(ids) if mask is None else mask, axis=1)
    y = ops.layer_normalization(total, gamma, beta, -1, call.get("epsilon", 1e-12))
    return y, ops.cast(count, "int32"), total


# -- others --------------------------------------------------------------------------------------------------


@microsoft("Range", tensors=0)
def range_by_one(call: Call, start: TensorLike, limit: TensorLike, delta: TensorLike | None = None) -> Tensor:
    """Create numbers from `start` up to `limit`, excluded, in steps, of 1 by default."""
    step = np.ones((), as_tensor(start).dtype) if delta is None else delta
    return range_(call, start, limit, step)


@microsoft("Unique", tensors=0)
def unique_in_order(call: Call, x: TensorLike) -> tuple[np.ndarray, ...]:
    """Return different elements in the order in which they come, which of them each is, and counts."""
    call.attributes.update({"sorted": 0})
    values, _, inverse, counts = unique(call, x)
    return values, inverse, counts


@microsoft("CropAndResize", tensors=3)
def crop_and_resize(call: Call, x: Tensor, boxes: Tensor, indices: Tensor, size: TensorLike) -> Tensor:
    """Resize the parts of images (batch, channels, rows, columns) in boxes, from 0 to 1, to one size."""
    mode, shape = call.get("mode", "bilinear"), ints(size, "crop_size")
    count_elements(math.prod(shape))
    places, is_inside = [], []
    for i, count in enumerate(shape):
        low, high, last = boxes[:, i, None], boxes[:, i + 2, None], x.shape[2 + i] - 1
        part = np.linspace(0, 1, count, dtype="float32") if count > 1 else np.full(1, 0.5, "float32")
        at = ops.expand_dims((low + (high - low) * as_tensor(part)) * last, 2 - i)
        places.append(ops.broadcast_to(at, (boxes.shape[0], *shape)))
        is_inside.append(ops.logical_and(places[i] >= 0, places[i] <= last))
    images = ops.take(ops.moveaxis(x, 1, -1), indices, axis=0)
    y = sampled(images, places, {"bilinear": "linear"}.get(mode, mode), "border", is_aligned=True)
    outside = ops.cast(as_tensor(call.get("extrapolation_value", 0.0)), x.dtype)
    return ops.moveaxis(ops.where(ops.expand_dims(ops.logical_and(*is_inside), -1), y, outside), -1, 1)
