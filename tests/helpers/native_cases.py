"""Cases of the native engine's kernels beyond the samples, and limits of their errors."""

from __future__ import annotations

from typing import Any

from hornbeam.ir.types import Shape
from tests.helpers.engine_cases import DECOMPOSITIONS, SUMS

# Largest error in units of the last place. What moves, compares or rounds once is exact: half a unit at most.
TRANSCENDENTAL = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "erf", "exp", "expm1", "log",
    "log1p", "logistic", "pow", "rsqrt", "sin", "sinh", "tan", "tanh",
}  # fmt: skip
RARE = {"digamma", "erf_inv", "lgamma"}
EXACT = 0.5
LIMITS: dict[str, float] = {
    **dict.fromkeys(TRANSCENDENTAL, 4.0),
    **dict.fromkeys(RARE, 64.0),
    **dict.fromkeys(SUMS, 8.0),
    **dict.fromkeys(DECOMPOSITIONS, 64.0),
    **dict.fromkeys(("cholesky", "lu", "triangular_solve"), 64.0),
    **dict.fromkeys(("cumprod", "scatter"), 8.0),
    # Half a unit for each of up to 133 factors on both sides, in another order: a random walk of roundings.
    "reduce_prod": 40.0,
}


# Winograd's transforms: the kernels' own tests bound them at 1e-5 of the result's rms, which is 84 units.
WINOGRAD = 16.0


def convolution_limit(dtype: str, kernel: Shape, window: dict[str, Any]) -> float:
    """The limit of a large convolution: wider where float32 goes by Winograd's algorithm."""
    *taps, inputs, outputs = kernel
    plain = window["strides"] == window["dilation"] == (1, 1) and window["groups"] == 1
    wide = dtype == "float32" and taps == [3, 3] and plain and min(inputs, outputs) >= 16
    return WINOGRAD if wide else LIMITS["conv"]


def _contract(x: int, y: int) -> dict[str, Any]:
    return {"contract": ((x,), (y,)), "batch": ((), ())}


def _window(strides: Shape, padding: Any, dilation: Shape = (1, 1), groups: int = 1) -> dict[str, Any]:
    return {"strides": strides, "padding": padding, "dilation": dilation, "groups": groups}


_SAME = ((1, 1), (1, 1))
CONVOLUTIONS = [
    ((2, 28, 28, 16), (3, 3, 16, 32), _window((1, 1), _SAME)),
    ((4, 14, 15, 3), (5, 4, 3, 20), _window((1, 1), ((0, 0), (0, 0)))),
    ((2, 17, 17, 8), (3, 3, 8, 24), _window((2, 2), ((0, 1), (0, 1)))),
    ((2, 12, 12, 64), (1, 1, 64, 40), _window((1, 1), ((0, 0), (0, 0)))),
    ((1, 16, 16, 33), (3, 3, 1, 33), _window((1, 1), _SAME, groups=33)),
    ((1, 16, 16, 12), (3, 3, 4, 18), _window((1, 1), ((2, 2), (2, 2)), (2, 2), 3)),
]
POOLS = [
    ((4, 32, 32, 24), {"window": (2, 2), "strides": (2, 2), "padding": ((0, 0), (0, 0))}),
    ((2, 15, 16, 7), {"window": (3, 3), "strides": (2, 1), "padding": _SAME}),
]
# (primitive, shapes, parameters): past every tile, vector and chunk size.
LARGE: list[tuple[str, tuple[Shape, ...], dict[str, Any]]] = [
    ("dot_general", ((130, 257), (257, 65)), _contract(1, 0)),
    ("dot_general", ((257, 130), (65, 257)), _contract(0, 1)),
    ("dot_general", ((1, 300), (300, 301)), _contract(1, 0)),
    ("dot_general", ((301, 300), (300,)), _contract(1, 0)),
    ("dot_general", ((3, 64, 96), (3, 96, 70)), {"contract": ((2,), (1,)), "batch": ((0,), (0,))}),
    *(("conv", (x, w), window) for x, w, window in CONVOLUTIONS),
    *(("max_pool", (x,), window) for x, window in POOLS),
    *(("sum_pool", (x,), window) for x, window in POOLS),
    *(("max_pool_gather", (x, x), window) for x, window in POOLS),
    *(
        (name, ((1001, 333),), {"axes": axes})
        for name in ("reduce_sum", "reduce_max", "reduce_min")
        for axes in ((0,), (1,), (0, 1))
    ),
    ("reduce_sum", ((20, 31, 50, 3),), {"axes": (0, 1, 2)}),
    ("reduce_sum", ((20, 31, 50, 3),), {"axes": (1, 3)}),
    ("argmax", ((100, 1001),), {"axis": 1}),
    ("argmax", ((1001, 100),), {"axis": 0}),
    ("cumsum", ((3, 5000),), {"axis": 1, "reverse": False}),
    ("cummax", ((5000, 3),), {"axis": 0, "reverse": True}),
    ("argsort", ((20, 1001),), {"axis": 1}),
    ("transpose", ((64, 96, 33),), {"perm": (2, 0, 1)}),
    ("transpose", ((7, 1000, 9),), {"perm": (1, 0, 2)}),
    ("broadcast", ((33, 1),), {"shape": (50, 33, 70), "dims": (1, 2)}),
    ("pad", ((40, 50, 20), ()), {"low": (1, -2, 3), "high": (0, 4, -1), "interior": (0, 1, 0)}),
    ("slice", ((90, 80, 70),), {"start": (1, 2, 3), "stop": (88, 80, 69), "step": (1, 3, 2)}),
    ("concatenate", ((50, 70, 9), (50, 31, 9)), {"axis": 1}),
    ("add", ((50_001,), (50_001,)), {}),
    ("exp", ((50_001,),), {}),
]
