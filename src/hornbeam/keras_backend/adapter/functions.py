"""Functions of `hornbeam.ops` as those of a backend: they take variables of Keras."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from keras.src.backend.common import KerasVariable


def tensors(value: Any) -> Any:
    """Replace variables of Keras by their values, in lists, tuples and dicts too."""
    if isinstance(value, KerasVariable):
        return value.value
    if type(value) in (list, tuple):
        return type(value)(map(tensors, value))
    if type(value) is dict:
        return {name: tensors(part) for name, part in value.items()}
    return value


def backend_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of tensors take variables of Keras."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*tensors(args), **tensors(kwargs))

    return call


def backend_functions(module: Any, *others: Any) -> Callable[[str], Any]:
    """Return a `__getattr__` that makes backend functions of those of `module`."""

    @functools.cache
    def get(name: str) -> Any:
        for source in (module, *others):
            if hasattr(source, name):
                value = getattr(source, name)
                return backend_function(value) if callable(value) else value
        raise AttributeError(f"the hornbeam backend has no function {name!r}")

    return get
