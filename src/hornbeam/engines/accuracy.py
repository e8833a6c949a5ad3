"""Runs of single primitives on an engine, and the errors of their results against the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from hornbeam.engines.base import Engine
from hornbeam.engines.samples import NAMES, types_of
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES, bind
from hornbeam.ir.types import dtype_name, is_float, numpy_dtype

ELEMENTWISE = [n for n in NAMES if PRIMITIVES[n].type_rule.__module__ == "hornbeam.primitives.elementwise"]
# Sums of products: their error is measured against the same sum of absolute values.
SUMS = {
    "conv", "conv_input_grad", "conv_kernel_grad", "cumsum", "dot_general", "max_pool_scatter", "reduce_sum",
    "sum_pool", "sum_pool_grad",
}  # fmt: skip
# Their zeros lie between representable numbers, and libraries are exact there in absolute terms only.
AROUND_ONE = {"digamma", "lgamma"}
# Results that are not unique: compared by what they are made for.
DECOMPOSITIONS = {"eigh", "qr", "svd"}
# Units of the last place; libraries differ, and none promises a bound. What moves or rounds once is exact.
ROUGH = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "cumprod", "digamma", "erf",
    "erf_inv", "exp", "expm1", "lgamma", "log", "log1p", "logistic", "pow", "reduce_prod", "rsqrt", "scatter",
    "sin", "sinh", "sqrt", "tan", "tanh", "div", "cholesky", "lu", "triangular_solve",
}  # fmt: skip
LIMITS = {**dict.fromkeys(ROUGH, 64.0), **dict.fromkeys(SUMS, 16.0), **dict.fromkeys(DECOMPOSITIONS, 64.0)}
EXACT = 0.5


def run_on(
    engine: Engine, name: str, arrays: Sequence[np.ndarray], params: dict[str, Any]
) -> list[np.ndarray]:
    """Return the outputs of one primitive on an engine."""
    inputs = [placeholder(type, 0) for type in types_of(arrays)]
    graph = Graph(inputs, outputs_of(bind(PRIMITIVES[name], *inputs, **params)))
    buffers = engine.executable(graph).run([engine.put(np.array(a)) for a in arrays])
    return [np.asarray(engine.get(buffer)) for buffer in buffers]


def wide(x: np.ndarray) -> np.ndarray:
    """Return floats as float64."""
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return x.astype(np.float64) if is_float(dtype_name(x.dtype)) else x


def _info(dtype: str) -> Any:
    finfo: Any = ml_dtypes.finfo
    return finfo(numpy_dtype(dtype))


def spacing(x: np.ndarray, dtype: str) -> np.ndarray:
    """Return the size of the last bit of a dtype at the values x, which are float64."""
    info = _info(dtype)
    smallest = float(info.smallest_subnormal)
    exponent = np.floor(np.log2(np.maximum(np.abs(x), float(info.tiny))))
    return np.maximum(np.exp2(exponent) * float(info.eps), smallest)


@dataclass
class Error:
    """The largest error of some results: in units of the last place, absolute, and results of another kind.

    `strays` counts elements where one side is NaN or infinite and the other is not, or where integers differ.
    """

    ulp: float = 0.0
    absolute: float = 0.0
    strays: int = 0

    def merge(self, other: Error) -> Error:
        return Error(max(self.ulp, other.ulp), max(self.absolute, other.absolute), self.strays + other.strays)


def measure(
    got: np.ndarray, exact: np.ndarray, scale: np.ndarray | None = None, flushes: bool = False
) -> Error:
    """Return the error of `got` against `exact` (float64 for floats), in last places of `scale`, else of it.

    With `flushes`, numbers below the smallest normal one count as 0: many libraries drop them.
    """
    dtype = dtype_name(got.dtype)
    if not is_float(dtype):
        return Error(strays=int(np.sum(got != exact)))
    with np.errstate(all="ignore"):
        expected = exact.astype(numpy_dtype(dtype)).astype(np.float64)  # infinite where the dtype overflows
        values = got.astype(np.float64)
        if flushes:
            tiny = 1.01 * float(_info(dtype).tiny)  # results around it round both ways
            values, exact = (np.where(np.abs(v) <= tiny, 0.0, v) for v in (values, exact))
        finite = np.isfinite(values) & np.isfinite(expected)
        same = (np.isnan(values) & np.isnan(expected)) | (values == expected)
        distance = np.where(finite, np.abs(values - exact), 0.0)
        unit = spacing(np.where(finite, exact if scale is None else scale, 1.0), dtype)
        ulp = distance / unit
    if not values.size:
        return Error()
    return Error(float(ulp.max()), float(distance.max()), int(np.sum(~finite & ~same)))


def compare(
    engine: Engine,
    name: str,
    arrays: Sequence[np.ndarray],
    params: dict[str, Any],
    flushes: bool = False,
) -> Error:
    """Return the error of one primitive on one set of operands, against the reference in float64."""
    primitive = PRIMITIVES[name]
    got = run_on(engine, name, arrays, params)
    rounded = primitive.reference(*arrays, **params)
    outputs = rounded if isinstance(rounded, tuple) else (rounded,)
    if types_of(got) != types_of(outputs):
        raise TypeError(f"{name}: expected {_listed(outputs)}, got {_listed(got)}")
    if name in DECOMPOSITIONS:
        return _decomposition_error(name, got, arrays[0])
    computed = name in SUMS or (name in ELEMENTWISE and name not in ("bitcast", "convert"))
    actual = primitive.reference(*map(wide, arrays), **params) if computed else rounded
    exact = [wide(out) for out in (actual if isinstance(actual, tuple) else (actual,))]
    scale = _scale(name, arrays, params, exact[0])
    error = Error()
    for mine, theirs in zip(got, exact, strict=True):
        error = error.merge(measure(mine, theirs, scale, flushes))
    return error


def _listed(arrays: Sequence[np.ndarray]) -> str:
    return ", ".join(map(str, types_of(arrays)))


def _scale(
    name: str, arrays: Sequence[np.ndarray], params: dict[str, Any], exact: np.ndarray
) -> np.ndarray | None:
    """Return the values whose last place is the unit of the error, or None for the result itself."""
    if name in AROUND_ONE:
        return np.maximum(np.abs(exact), 1)
    if name not in SUMS or not is_float(dtype_name(arrays[-1].dtype)):
        return None
    positive = [np.abs(wide(a)) for a in arrays]
    if name == "max_pool_scatter":  # what it chooses by stays as it is
        positive[0] = wide(arrays[0])
    return PRIMITIVES[name].reference(*positive, **params)


def _decomposition_error(name: str, got: list[np.ndarray], x: np.ndarray) -> Error:
    """Return the error of the product of the factors, and of the orthogonality of orthogonal factors.

    A triangle that is not zero and values out of order count as strays.
    """
    parts = [wide(part) for part in got]
    target = wide(x)
    if name == "qr":
        product, orthogonal = parts[0] @ parts[1], [parts[0]]
        unordered = np.tril(parts[1], -1) != 0
    elif name == "svd":
        product = (parts[0] * parts[1][..., None, :]) @ parts[2]
        orthogonal = [parts[0], parts[2].swapaxes(-1, -2)]
        unordered = np.diff(parts[1]) > 0
    else:
        product = (parts[1] * parts[0][..., None, :]) @ parts[1].swapaxes(-1, -2)
        orthogonal = [parts[1]]
        unordered = np.diff(parts[0]) < 0
    largest = np.full(target.shape, np.abs(target).max(initial=1.0))
    error = measure(product.astype(x.dtype), target, largest).merge(Error(strays=int(unordered.sum())))
    for q in orthogonal:
        gram = q.swapaxes(-1, -2) @ q
        eye = np.broadcast_to(np.eye(gram.shape[-1]), gram.shape)
        error = error.merge(measure(gram.astype(x.dtype), eye, np.ones_like(gram)))
    return error
