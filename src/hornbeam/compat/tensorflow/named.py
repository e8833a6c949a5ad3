"""Hornbeam's operations under TensorFlow's conventions: a `name` that graphs once had is accepted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def unary(fn: Callable[[Any], Any]) -> Callable[..., Any]:
    """fn(x) as `f(x, name=None)`."""

    @functools.wraps(fn)
    def call(x: Any, name: str | None = None) -> Any:
        return fn(x)

    return call


def binary(fn: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """fn(x, y) as `f(x, y, name=None)`."""

    @functools.wraps(fn)
    def call(x: Any, y: Any, name: str | None = None) -> Any:
        return fn(x, y)

    return call


def reduction(fn: Callable[..., Any]) -> Callable[..., Any]:
    """fn(x, axis, keepdims) as `reduce_f(input_tensor, axis=None, keepdims=False, name=None)`."""

    @functools.wraps(fn)
    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        return fn(input_tensor, axis=axes_of(axis), keepdims=keepdims)

    return call


def axes_of(axis: Any) -> Any:
    """An axis or axes as ints: TensorFlow takes lists and tensors."""
    if axis is None or isinstance(axis, int):
        return axis
    if hasattr(axis, "numpy"):
        axis = axis.numpy()
    return tuple(int(a) for a in axis) if hasattr(axis, "__iter__") else int(axis)
