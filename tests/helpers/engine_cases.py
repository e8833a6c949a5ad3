"""Runs of single primitives on an engine, and the errors of their results against the reference."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from hornbeam.engines import Engine
from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES, bind
from hornbeam.ir.types import dtype_name, is_float, numpy_dtype
from tests.helpers.primitive_cases import NAMES, dtypes_of, operands, types_of

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


def run_on(
    engine: Engine, name: str, arrays: Sequence[np.ndarray], params: dict[str, Any]
) -> list[np.ndarray]:
    """The outputs of one primitive on `engine`."""
    inputs = [placeholder(type, 0) for type in types_of(list(arrays))]
    graph = Graph(inputs, outputs_of(bind(PRIMITIVES[name], *inputs, **params)))
    buffers = engine.executable(graph).run([engine.put(np.array(a)) for a in arrays])
    return [np.asarray(engine.get(buffer)) for buffer in buffers]


def wide(x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # signalling NaNs
        return x.astype(np.float64) if is_float(dtype_name(x.dtype)) else x


def spacing(x: np.ndarray, dtype: str) -> np.ndarray:
    """Size of the last bit of `dtype` at the values x, which are float64."""
    info = ml_dtypes.finfo(numpy_dtype(dtype))
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
    """Error of `got` against `exact` (float64 for floats), in last places of `scale`, else of it.

    With `flushes`, numbers below the smallest normal one count as 0: many libraries drop them.
    """
    dtype = dtype_name(got.dtype)
    if not is_float(dtype):
        return Error(strays=int(np.sum(got != exact)))
    with np.errstate(all="ignore"):
        expected = exact.astype(numpy_dtype(dtype)).astype(np.float64)  # infinite where the dtype overflows
        values = got.astype(np.float64)
        if flushes:
            tiny = 1.01 * float(ml_dtypes.finfo(numpy_dtype(dtype)).tiny)  # results around it round both ways
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
    """Error of one primitive on one set of operands, against the reference in float64."""
    primitive = PRIMITIVES[name]
    got = run_on(engine, name, arrays, params)
    rounded = primitive.reference(*arrays, **params)
    outputs = rounded if isinstance(rounded, tuple) else (rounded,)
    for mine, theirs in zip(got, outputs, strict=True):
        assert mine.shape == theirs.shape, f"{name}: shape {mine.shape}, expected {theirs.shape}"
        assert mine.dtype == theirs.dtype, f"{name}: dtype {mine.dtype}, expected {theirs.dtype}"
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
    """Return the error of the product of the factors, and of the orthogonality of orthogonal factors."""
    parts = [wide(part) for part in got]
    target = wide(x)
    if name == "qr":
        product, orthogonal = parts[0] @ parts[1], [parts[0]]
        assert not np.tril(parts[1], -1).any()
    elif name == "svd":
        product = (parts[0] * parts[1][..., None, :]) @ parts[2]
        orthogonal = [parts[0], parts[2].swapaxes(-1, -2)]
        assert (np.diff(parts[1]) <= 0).all()
    else:
        product = (parts[1] * parts[0][..., None, :]) @ parts[1].swapaxes(-1, -2)
        orthogonal = [parts[1]]
        assert (np.diff(parts[0]) >= 0).all()
    largest = np.full(target.shape, np.abs(target).max(initial=1.0))
    error = measure(product.astype(x.dtype), target, largest)
    for q in orthogonal:
        gram = q.swapaxes(-1, -2) @ q
        eye = np.broadcast_to(np.eye(gram.shape[-1]), gram.shape)
        error = error.merge(measure(gram.astype(x.dtype), eye, np.ones_like(gram)))
    return error


def sample_errors(engine: Engine, name: str, index: int) -> dict[str, Error]:
    """Error of one sample by dtype."""
    primitive = PRIMITIVES[name]
    sample = primitive.samples[index]
    return {
        dtype: compare(engine, name, operands(primitive, index, dtype), sample.params)
        for dtype in dtypes_of(primitive, sample)
    }


def sweep_operands(name: str, dtype: str, size: int = 100_000) -> list[np.ndarray]:
    """Operands from all of a float dtype: every value of two bytes, or random bits and common ranges."""
    primitive = PRIMITIVES[name]
    arity = len(primitive.samples[0].shapes)
    kind = numpy_dtype(dtype)
    rng = np.random.default_rng(zlib.crc32(f"sweep {name} {dtype}".encode()))
    if arity == 1 and kind.itemsize == 2:
        return [np.arange(2**16, dtype=np.uint16).view(kind)]
    unsigned = np.dtype(f"uint{8 * kind.itemsize}")

    def operand() -> np.ndarray:
        bits = rng.integers(0, np.iinfo(unsigned).max, size, dtype=unsigned, endpoint=True).view(kind)
        near = [rng.uniform(-reach, reach, size).astype(kind) for reach in (1, 20)]
        return np.concatenate([bits, *near])

    return [operand() for _ in range(arity)]


def sweepable(name: str) -> bool:
    """Elementwise on floats, all operands of the dtype, and no parameters."""
    sample = PRIMITIVES[name].samples[0]
    plain = name in ELEMENTWISE and sample.dtypes is None and not sample.params
    return plain and "float32" in PRIMITIVES[name].dtypes
