"""Operations of `hornbeam.ops` as Keras names them, and the arguments that they are called with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from hornbeam._internal.naming import to_snake_case
from hornbeam.core.registry import operations

# Module -> class names, each a function's name in camel case. Arguments named in _CALL are passed to the call
# of the operation, all others belong to its config.
_MODULES = {
    "keras.src.ops.numpy": """
        Absolute Abs Add All Any Amax Amin Append Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh
        Argmax Argmin Argsort Average BitwiseAnd BitwiseInvert BitwiseNot BitwiseOr BitwiseXor BroadcastTo
        Ceil Clip Concatenate Copy Cos Cosh CountNonzero Cross Cumprod Cumsum Diag Diagonal Diff Digitize
        Dot Einsum Equal Exp Exp2 ExpandDims Expm1 Flip Floor FloorDivide FullLike GetItem Greater
        GreaterEqual Hstack Isclose Isfinite Isinf Isnan Less LessEqual Log Log10 Log1p Log2 Logaddexp
        LogicalAnd LogicalNot LogicalOr LogicalXor Matmul Max Maximum Mean Median Min Minimum Mod Moveaxis
        NanToNum Negative NotEqual OnesLike Outer Pad Power Prod Quantile Ravel Reciprocal Repeat Reshape
        Roll Round Sign Sin Sinh Sort Split Sqrt Square Squeeze Stack Std Subtract Multiply Divide
        DivideNoNan TrueDivide Sum Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose
        Tril Triu Trunc Var Vdot Vstack Where ZerosLike Angle Argpartition BitwiseLeftShift
        BitwiseRightShift Cbrt Conjugate Corrcoef Correlate Deg2rad Diagflat Dstack Fabs Fliplr Flipud Fmax
        Fmin Fmod Gcd Heaviside Hypot Imag Inner Isneginf Isposinf Isreal Kron Lcm Ldexp LeftShift
        Logaddexp2 Nanargmax Nanargmin Nancumprod Nancumsum Nanmax Nanmean Nanmedian Nanmin Nanpercentile
        Nanprod Nanquantile Nanstd Nansum Nanvar Nextafter Percentile Ptp Rad2deg Real RightShift Rot90
        Signbit Sinc Vander""",
    "keras.src.ops.nn": """
        Relu Relu6 Sigmoid SparseSigmoid Softplus Softsign SoftShrink SparsePlus Silu Squareplus
        LogSigmoid LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu Glu TanhShrink HardTanh HardShrink
        Threshold Softmax LogSoftmax Sparsemax MaxPool AveragePool Conv DepthwiseConv SeparableConv
        ConvTranspose OneHot MultiHot Moments BinaryCrossentropy CategoricalCrossentropy
        SparseCategoricalCrossentropy Normalize DotProductAttention AdaptiveAveragePool AdaptiveMaxPool
        DepthToSpace Fold SpaceToDepth Unfold""",
    "keras.src.ops.math": """
        SegmentSum SegmentMax TopK InTopK Logsumexp Rsqrt Erf Erfinv Erfc Logdet ExtractSequences RFFT""",
    "keras.src.ops.linalg": """
        Cholesky CholeskyInverse Det Eigh Inv MatrixRank Norm Pinv Qr Solve SolveTriangular SVD""",
    "keras.src.ops.image": """
        AffineTransform CropImages ExtractPatches HsvToRgb MapCoordinates PadImages Resize RgbToGrayscale
        RgbToHsv""",
    "keras.src.ops.core": """
        Cast ConvertToTensor StopGradient Unstack SliceUpdate ScatterUpdate AssociativeScan ForiLoop Map
        Scan VectorizedMap WhileLoop""",
}
for _module, _names in _MODULES.items():
    operations(_module, _names.split())
_CALL = {
    "x", "x1", "x2", "xs", "y", "a", "key", "indices", "inputs", "kernel", "condition", "target", "output",
    "targets", "predictions", "weights", "bins", "q", "array", "fill_value", "constant_values", "operands",
    "variable", "updates", "start_indices", "depthwise_kernel", "pointwise_kernel", "query", "value", "bias",
    "mask", "scale", "data", "segment_ids", "elements", "elems", "f", "init", "init_val", "loop_vars",
    "images", "transform", "coordinates", "b",
}  # fmt: skip
# Our functions -> Keras's names for them.
_SAME_AS = {"getitem": "get_item", "invert": "bitwise_not"}


@functools.cache
def _classes() -> dict[str, tuple[str, str]]:
    return {
        to_snake_case(name): (module, name) for module, names in _MODULES.items() for name in names.split()
    }


def class_name(function: Callable[..., Any]) -> tuple[str, str] | None:
    """Return module and name of Keras's class for a function of `hornbeam.ops`, None for any other."""
    name = getattr(function, "__name__", "")
    return _classes().get(_SAME_AS.get(name, name))


def function_name(class_name: str) -> str | None:
    """Return the name of our function for a class of Keras's sources, None if it has no such class."""
    name = to_snake_case(class_name)
    ours = {theirs: mine for mine, theirs in _SAME_AS.items()}.get(name, name)
    return ours if name in _classes() else None


def is_call_argument(function: Callable[..., Any], name: str) -> bool:
    """Return True for arguments of the call, which are tensors mostly, False for those of the constructor."""
    return name in _CALL and (name != "fill_value" or function.__name__ == "full_like")


class Split:
    """Arguments of a function, as Keras divides them.

    Attributes:
        args: Arguments of the operation's call.
        kwargs: Keyword arguments of the call.
        config: Arguments of the constructor by name, defaults included.
    """

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> None:
        self.args: list[Any] = []
        self.kwargs: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        for key, value in bound.arguments.items():
            kind = bound.signature.parameters[key].kind
            if kind is inspect.Parameter.VAR_POSITIONAL:
                self.args.extend(value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                self.config.update(value)
            elif not is_call_argument(function, key):
                self.config[key] = value
            elif self.kwargs:
                self.kwargs[key] = value
            else:
                self.args.append(value)
