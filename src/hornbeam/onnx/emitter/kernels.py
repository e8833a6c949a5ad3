"""Dtypes of the operators that ONNX Runtime computes on the CPU, and dtypes that hold the others."""

from __future__ import annotations

from collections.abc import Mapping

from hornbeam.engines.table import missing_package, require_version

try:
    import onnx as onnx
    from onnx import GraphProto as GraphProto
    from onnx import ModelProto as ModelProto
    from onnx import NodeProto as NodeProto
    from onnx import TensorProto as TensorProto
    from onnx import helper as helper
except ImportError as error:
    raise missing_package("onnxruntime", "ONNX", error, extra="onnx") from error
require_version("onnxruntime", "ONNX", onnx.__version__, "1.23", extra="onnx")

HALVES = ("float16", "bfloat16")
_TYPES = {"float32": "FLOAT", "float64": "DOUBLE"}

_WIDE = "float32 float64"
_SIGNED = "int8 int16 int32 int64"
_INTEGERS = f"{_SIGNED} uint8 uint16 uint32 uint64"
_SUMS = f"{_WIDE} int32 int64"
_EXTREMES = f"bool {_WIDE} int32 int64 int8 uint8"
# The dtypes that ONNX Runtime's CPU kernels of an operator take; operators not named here take all.
KERNELS: Mapping[str, frozenset[str]] = {
    name: frozenset(dtypes.split())
    for names, dtypes in (
        ("Abs Add Sub Mul Div", f"{_WIDE} {_INTEGERS}"),
        ("Less LessOrEqual Greater GreaterOrEqual", f"{_WIDE} {_INTEGERS}"),
        ("Equal", f"bool {_WIDE} {_INTEGERS}"),
        ("Neg", f"{_WIDE} {_SIGNED}"),
        ("Mod", f"{_WIDE} {_INTEGERS}"),
        ("Max Min", f"{_WIDE} int32 int64 int8 uint8 uint32 uint64"),
        ("Expand", f"bool float16 {_WIDE} {_INTEGERS}"),
        ("Pad", f"bool bfloat16 {_WIDE} int32 int64 int8 uint8 uint32 uint64"),
        ("Floor Ceil Exp Log Sqrt Reciprocal Sigmoid Sin Cos Tanh Round Softmax LogSoftmax", _WIDE),
        ("Erf Conv ConvTranspose Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh", "float32"),
        ("Pow Gemm", _WIDE),
        ("MatMul", f"{_WIDE} int32 int64 uint32 uint64"),
        ("ReduceSum ReduceProd CumSum", _SUMS),
        ("CumProd", f"{_SUMS} uint32 uint64"),
        ("ReduceMax ReduceMin", _EXTREMES),
        ("ArgMax ArgMin", f"{_WIDE} int32 int64 int8 uint8"),
        ("TopK", f"{_WIDE} int16 int32 int64 int8 uint8"),
        ("ScatterElements", f"{_WIDE} {_INTEGERS}"),
    )
    for name in names.split()
}
# What holds a dtype exactly, narrowest first; uint64 in int64 has the same bits and sums, not the same order.
_WIDER = {
    "bool": ("uint8",),
    "float16": ("float32",),
    "bfloat16": ("float32",),
    "int8": ("int16", "int32"),
    "int16": ("int32",),
    "uint8": ("uint16", "uint32", "int32"),
    "uint16": ("uint32", "int32"),
    "uint32": ("uint64", "int64"),
    "uint64": ("int64",),
}


def compute_dtype(operator: str, dtype: str) -> str:
    """The dtype that `operator` computes in for operands of `dtype`. Raises NoKernelError if none."""
    kernels = KERNELS.get(operator)
    if kernels is None or dtype in kernels:
        return dtype
    for wider in _WIDER.get(dtype, ()):
        if wider in kernels:
            return wider
    raise NoKernelError(f"ONNX Runtime has no {operator} of {dtype}")


def onnx_type(dtype: str) -> int:
    """ONNX's number of a dtype."""
    return TensorProto.DataType.Value(_TYPES.get(dtype, dtype.upper()))


class NoKernelError(NotImplementedError):
    """ONNX Runtime does not compute an operator on a dtype."""
