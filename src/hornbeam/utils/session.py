"""Small helpers on dtypes, data and the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hornbeam._internal.naming import reset_names
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import dtype_name


def clear_session(free_memory: bool = True) -> None:
    """Start numbering layer names again. There is nothing else to clear: no global graph grows.

    free_memory: kept for Keras's signature; memory goes as soon as nothing refers to it.

    >>> clear_session()
    """
    reset_names()


def standardize_dtype(dtype: Any) -> str:
    """Canonical name of a dtype; `floatx` for None. Raises HornbeamTypeError for an unknown one.

    >>> standardize_dtype("half")
    'float16'
    """
    return floatx() if dtype is None else dtype_name(dtype)


def is_keras_tensor(x: Any) -> bool:
    """True for the symbolic tensors of functional models.

    >>> is_keras_tensor(3)
    False
    """
    return isinstance(x, Tensor) and x.symbolic


def get_source_inputs(tensor: Any) -> list[Any]:
    """The `Input`s that a symbolic tensor was made from.

    >>> get_source_inputs(model.output)  # doctest: +SKIP
    """
    found: dict[int, Any] = {}
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        inputs = [] if x.history is None else x.history.inputs
        if inputs:
            stack.extend(reversed(inputs))
        else:
            found[id(x)] = x
    return list(found.values())


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True
) -> Any:
    """The object that a config describes.

    safe_mode: kept for Keras's signature. Code in a config is never run, so False is refused with ValueError.
    Raises UnknownObjectError for names that are neither ours nor given.

    >>> deserialize_keras_object(serialize_keras_object(layer))  # doctest: +SKIP
    """
    if safe_mode is not True:
        raise ValueError(
            "safe_mode=False would run code from a config, which is never done: pass custom_objects"
        )
    return registry.deserialize(config, custom_objects)
