"""NumPy's functions under Keras's names, re-exported from the modules that define them."""

# ruff: noqa: I001
from __future__ import annotations


from hornbeam._internal.lazy_imports import explain_missing

# fmt: off
from hornbeam.ops.creation import (
    arange, array, bartlett, blackman, copy, empty, empty_like, full, full_like, geomspace, hamming, hanning,
    kaiser, linspace, logspace, meshgrid, ones, ones_like, zeros, zeros_like,
)
from hornbeam.ops.matrices import diag, diagflat, eye, identity, tri, tril, triu, vander
from hornbeam.ops.distinct import unique
from hornbeam.ops.complex_numbers import (
    angle, conj, conjugate, imag, isreal, real,
)
from hornbeam.ops.elementwise import (
    abs, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cbrt, ceil, clip, cos, cosh, deg2rad,
    divide, divide_no_nan, exp, exp2, expm1, fabs, floor, fmax, fmin, fmod, heaviside, hypot, i0, ldexp, log,
    log10, log1p, log2, logaddexp, logaddexp2, maximum, minimum, nextafter, rad2deg, reciprocal, round, sign,
    signbit, sin, sinc, sinh, sqrt, square, tan, tanh, trunc,
)
from hornbeam.ops.finiteness import isclose, isfinite, isinf, isnan, isneginf, isposinf, nan_to_num
from hornbeam.ops.linalg import (
    slogdet,
)
from hornbeam.ops.logic import (
    bitwise_and, bitwise_invert, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift,
    bitwise_xor, gcd, lcm, left_shift, logical_and, logical_not, logical_or, logical_xor, right_shift, view,
)
from hornbeam.ops.product import (
    correlate, cross, dot, einsum, inner, kron, matmul, outer, tensordot, trace, vdot,
)
from hornbeam.ops.reduction import (
    all, allclose, amax, amin, any, argmax, argmin, average, count_nonzero, cumprod, cumsum, max, mean, min,
    prod, ptp, std, sum, var,
)
from hornbeam.ops.binning import (
    bincount, digitize, histogram, searchsorted,
)
from hornbeam.ops.selection import (
    argpartition, argsort, isin, nonzero, select, sort, take, take_along_axis, unravel_index, where,
)
from hornbeam.ops.joining import (
    append, array_split, concatenate, dsplit, dstack, hsplit, hstack, split, stack, vsplit, vstack,
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
from hornbeam.ops.vectorizing import (
    vectorize,
)
from hornbeam.core.operators import (
    absolute, add, equal, floor_divide, greater, greater_equal, less, less_equal, mod, multiply,
    negative, not_equal, power, subtract, true_divide,
)
# fmt: on

# fmt: off
__all__ = [
    "abs", "absolute", "add", "all", "allclose", "amax", "amin", "angle", "any", "append", "arange",
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin",
    "argpartition", "argsort", "array", "array_split", "average", "bartlett", "bincount", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "blackman", "broadcast_to", "cbrt", "ceil", "clip", "concatenate", "conj", "conjugate",
    "copy", "corrcoef", "correlate", "cos", "cosh", "count_nonzero", "cross", "cumprod", "cumsum",
    "deg2rad", "diag", "diagflat", "diagonal", "diff", "digitize", "divide", "divide_no_nan", "dot",
    "dsplit", "dstack", "einsum", "empty", "empty_like", "equal", "exp", "exp2", "expand_dims", "expm1",
    "eye", "fabs", "flip", "fliplr", "flipud", "floor", "floor_divide", "fmax", "fmin", "fmod", "full",
    "full_like", "gcd", "geomspace", "get_item", "greater", "greater_equal", "hamming", "hanning",
    "heaviside", "histogram", "hsplit", "hstack", "hypot", "i0", "identity", "imag", "inner", "isclose",
    "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal", "kaiser", "kron", "lcm",
    "ldexp", "left_shift", "less", "less_equal", "linspace", "log", "log1p", "log2", "log10", "logaddexp",
    "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "logspace", "matmul", "max",
    "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod", "moveaxis", "multiply", "nan_to_num",
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin",
    "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar", "ndim", "negative",
    "nextafter", "nonzero", "not_equal", "ones", "ones_like", "outer", "pad", "percentile", "power", "prod",
    "ptp", "quantile", "rad2deg", "ravel", "real", "reciprocal", "repeat", "reshape", "right_shift", "roll",
    "rot90", "round", "searchsorted", "select", "sign", "signbit", "sin", "sinc", "sinh", "size", "slogdet",
    "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "subtract", "sum", "swapaxes", "take",
    "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace", "transpose", "trapezoid", "tri", "tril",
    "triu", "true_divide", "trunc", "unique", "unravel_index", "vander", "var", "vdot", "vectorize", "view",
    "vsplit", "vstack", "where", "zeros", "zeros_like",
]
# fmt: on


explain_missing(__name__)
