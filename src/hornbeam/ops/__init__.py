"""Operations on tensors, under Keras's names; they also take the symbolic tensors of functional models."""

# ruff: noqa: I001
from __future__ import annotations


from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.ops import image
from hornbeam.ops import linalg
from hornbeam.ops import math
from hornbeam.ops import nn
from hornbeam.ops import numpy
from hornbeam.ops._common import set_tensor_functions

# fmt: off
from hornbeam.ops.activation import (
    celu, elu, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_swish, hard_tanh, leaky_relu,
    log_sigmoid, log_softmax, relu, relu6, selu, silu, soft_shrink, softmax, softplus, softsign,
    sparse_plus, sparse_sigmoid, sparsemax, squareplus, swish, tanh_shrink, threshold,
)
from hornbeam.ops.attention import dot_product_attention
from hornbeam.ops.convolution import (
    adaptive_average_pool, adaptive_max_pool, average_pool, conv, conv_transpose, depthwise_conv, max_pool,
    separable_conv,
)
from hornbeam.ops.casting import convert_to_numpy, convert_to_tensor, dtype, is_tensor, saturate_cast, shape
from hornbeam.ops.control_flow import (
    associative_scan, cond, fori_loop, map, scan, switch, vectorized_map, while_loop,
)
from hornbeam.ops.distinct import unique
from hornbeam.ops.derivatives import custom_gradient, stop_gradient
from hornbeam.ops.indexing import scatter, scatter_update, slice, slice_update
from hornbeam.ops.creation import (
    arange, array, bartlett, blackman, copy, empty, empty_like, full, full_like, geomspace, hamming, hanning,
    kaiser, linspace, logspace, meshgrid, ones, ones_like, zeros, zeros_like,
)
from hornbeam.ops.matrices import diag, diagflat, eye, identity, tri, tril, triu, vander
from hornbeam.ops.crossentropy import (
    binary_crossentropy, categorical_crossentropy, multi_hot, one_hot, sparse_categorical_crossentropy,
)
from hornbeam.ops.ctc import (
    ctc_decode, ctc_loss,
)
from hornbeam.ops.complex_numbers import (
    angle, conj, conjugate, imag, isreal, polar, real, view_as_complex, view_as_real,
)
from hornbeam.ops.elementwise import (
    abs, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cbrt, ceil, clip, cos, cosh, deg2rad,
    divide, divide_no_nan, erf, erfc, erfinv, exp, exp2, expm1, fabs, floor, fmax, fmin, fmod, heaviside,
    hypot, i0, ldexp, log, log10, log1p, log2, logaddexp, logaddexp2, maximum, minimum, nextafter, rad2deg,
    reciprocal, round, rsqrt, sigmoid, sign, signbit, sin, sinc, sinh, sqrt, square, tan, tanh, trunc,
)
from hornbeam.ops.finiteness import isclose, isfinite, isinf, isnan, isneginf, isposinf, nan_to_num
from hornbeam.ops.image import psnr
from hornbeam.ops.linalg import (
    cholesky, cholesky_inverse, det, eig, eigh, inv, jvp, logdet, lstsq, lu_factor, matrix_rank, norm, pinv,
    qr, slogdet, solve, solve_triangular, svd,
)
from hornbeam.ops.logic import (
    bitwise_and, bitwise_invert, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift,
    bitwise_xor, gcd, lcm, left_shift, logical_and, logical_not, logical_or, logical_xor, right_shift, view,
)
from hornbeam.ops.math import (
    cdist, extract_sequences, fft, fft2, ifft2, in_top_k, irfft, istft, rfft, segment_max, segment_min,
    segment_prod, segment_sum, stft,
)
from hornbeam.ops.normalization import (
    batch_normalization, layer_normalization, moments, normalize, rms_normalization,
)
from hornbeam.ops.product import (
    correlate, cross, dot, einsum, inner, kron, matmul, outer, tensordot, trace, vdot,
)
from hornbeam.ops.rearranging import (
    depth_to_space, fold, rearrange, space_to_depth, unfold,
)
from hornbeam.ops.reduction import (
    all, allclose, amax, amin, any, argmax, argmin, average, count_nonzero, cumprod, cumsum, logsumexp, max,
    mean, min, prod, ptp, std, sum, var,
)
from hornbeam.ops.binning import (
    bincount, digitize, histogram, searchsorted,
)
from hornbeam.ops.selection import (
    argpartition, argsort, isin, nonzero, select, sort, take, take_along_axis, top_k, unravel_index,
    where,
)
from hornbeam.ops.joining import (
    append, array_split, concatenate, dsplit, dstack, hsplit, hstack, split, stack, unstack, vsplit, vstack,
)
from hornbeam.ops.repeating import (
    pad, repeat, tile,
)
from hornbeam.ops.shaping import (
    broadcast_to, diagonal, expand_dims, flip, fliplr, flipud, get_item, moveaxis, ndim, ravel, reshape,
    roll, rot90, size, squeeze, swapaxes, transpose,
)
from hornbeam.ops.statistics import (
    corrcoef, diff, median, nanargmax, nanargmin, nancumprod, nancumsum, nanmax, nanmean, nanmedian, nanmin,
    nanpercentile, nanprod, nanquantile, nanstd, nansum, nanvar, percentile, quantile, trapezoid,
)
from hornbeam.core.convert import cast
from hornbeam.core.operators import (
    absolute, add, equal, floor_divide, greater, greater_equal, less, less_equal, mod, multiply,
    negative, not_equal, power, subtract, true_divide,
)
from hornbeam.ops.vectorizing import (
    vectorize,
)
import hornbeam.ops.sparse  # noqa: F401 - rules of operations on sparse tensors
# fmt: on

# fmt: off
__all__ = [
    "abs", "absolute", "adaptive_average_pool", "adaptive_max_pool", "add", "all", "allclose", "amax",
    "amin", "angle", "any", "append", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan",
    "arctan2", "arctanh", "argmax", "argmin", "argpartition", "argsort", "array", "array_split",
    "associative_scan", "average", "average_pool", "bartlett", "batch_normalization", "binary_crossentropy",
    "bincount", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "blackman", "broadcast_to", "cast", "categorical_crossentropy",
    "cbrt", "cdist", "ceil", "celu", "cholesky", "cholesky_inverse", "clip", "concatenate", "cond", "conj",
    "conjugate", "conv", "conv_transpose", "convert_to_numpy", "convert_to_tensor", "copy", "corrcoef",
    "correlate", "cos", "cosh", "count_nonzero", "cross", "ctc_decode", "ctc_loss", "cumprod", "cumsum",
    "custom_gradient", "deg2rad", "depth_to_space", "depthwise_conv", "det", "diag", "diagflat", "diagonal",
    "diff", "digitize", "divide", "divide_no_nan", "dot", "dot_product_attention", "dsplit", "dstack",
    "dtype", "eig", "eigh", "einsum", "elu", "empty", "empty_like", "equal", "erf", "erfc", "erfinv", "exp",
    "exp2", "expand_dims", "expm1", "extract_sequences", "eye", "fabs", "fft", "fft2", "flip", "fliplr",
    "flipud", "floor", "floor_divide", "fmax", "fmin", "fmod", "fold", "fori_loop", "full", "full_like",
    "gcd", "gelu", "geomspace", "get_item", "glu", "greater", "greater_equal", "hamming", "hanning",
    "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "heaviside", "histogram",
    "hsplit", "hstack", "hypot", "i0", "identity", "ifft2", "imag", "image", "in_top_k", "inner", "inv",
    "irfft", "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal",
    "istft", "jvp", "kaiser", "kron", "layer_normalization", "lcm", "ldexp", "leaky_relu", "left_shift",
    "less", "less_equal", "linalg", "linspace", "log", "log1p", "log2", "log10", "log_sigmoid",
    "log_softmax", "logaddexp", "logaddexp2", "logdet", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logspace", "logsumexp", "lstsq", "lu_factor", "map", "math", "matmul", "matrix_rank",
    "max", "max_pool", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod", "moments",
    "moveaxis", "multi_hot", "multiply", "nan_to_num", "nanargmax", "nanargmin", "nancumprod", "nancumsum",
    "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd",
    "nansum", "nanvar", "ndim", "negative", "nextafter", "nn", "nonzero", "norm", "normalize", "not_equal",
    "numpy", "one_hot", "ones", "ones_like", "outer", "pad", "percentile", "pinv", "polar", "power", "prod",
    "psnr", "ptp", "qr", "quantile", "rad2deg", "ravel", "real", "rearrange", "reciprocal", "relu", "relu6",
    "repeat", "reshape", "rfft", "right_shift", "rms_normalization", "roll", "rot90", "round", "rsqrt",
    "saturate_cast", "scan", "scatter", "scatter_update", "searchsorted", "segment_max", "segment_min",
    "segment_prod", "segment_sum", "select", "selu", "separable_conv", "shape", "sigmoid", "sign",
    "signbit", "silu", "sin", "sinc", "sinh", "size", "slice", "slice_update", "slogdet", "soft_shrink",
    "softmax", "softplus", "softsign", "solve", "solve_triangular", "sort", "space_to_depth",
    "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax", "split", "sqrt",
    "square", "squareplus", "squeeze", "stack", "std", "stft", "stop_gradient", "subtract", "sum", "svd",
    "swapaxes", "swish", "switch", "take", "take_along_axis", "tan", "tanh", "tanh_shrink", "tensordot",
    "threshold", "tile", "top_k", "trace", "transpose", "trapezoid", "tri", "tril", "triu", "true_divide",
    "trunc", "unfold", "unique", "unravel_index", "unstack", "vander", "var", "vdot", "vectorize",
    "vectorized_map", "view", "view_as_complex", "view_as_real", "vsplit", "vstack", "where", "while_loop",
    "zeros", "zeros_like",
]
# fmt: on


set_tensor_functions(numpy)

explain_missing(__name__)
