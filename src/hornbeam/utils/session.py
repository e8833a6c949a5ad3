"""Helpers for dtypes, symbolic tensors, configs and the session."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hornbeam._internal import warning_policy
from hornbeam._internal.naming import reset_names
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import dtype_name

if TYPE_CHECKING:
    from hornbeam._internal.typing import DTypeLike, Tree
    from hornbeam.core.symbolic import KerasTensor


serialize_keras_object = registry.serialize


def clear_session(free_memory: bool = True) -> None:
    """Reset the counters of automatic layer names. No other global state needs clearing.

    Args:
        free_memory: Accepted for compatibility with Keras: memory is freed with its last reference.

    Example:
        >>> clear_session()
    """
    reset_names()


def standardize_dtype(dtype: DTypeLike | None) -> str:
    """Return the canonical name of a dtype.

    Args:
        dtype: Dtype by name, as a NumPy dtype or scalar type; "string", which is that of text in layers that
            take it; None for `floatx()`.

    Raises:
        HornbeamTypeError: For an unknown dtype.

    Example:
        >>> standardize_dtype("half")
        'float16'
    """
    if isinstance(dtype, str) and dtype == "string":
        return dtype
    return floatx() if dtype is None else dtype_name(dtype)


def is_keras_tensor(x: object) -> bool:
    """Return True for the symbolic tensors of functional models.

    Args:
        x: Any object.

    Example:
        >>> is_keras_tensor(3)
        False
    """
    return isinstance(x, Tensor) and x.symbolic


def get_source_inputs(tensor: KerasTensor) -> list[KerasTensor]:
    """Return the `Input`s that a symbolic tensor is computed from.

    Args:
        tensor: Symbolic tensor.

    Example:
        >>> get_source_inputs(model.output)  # doctest: +SKIP
    """
    sources: dict[int, Any] = {}
    visited: set[int] = set()
    stack: list[Any] = [tensor]
    while stack:
        x = stack.pop()
        if id(x) in visited:
            continue
        visited.add(id(x))
        inputs = [] if x.history is None else x.history.inputs
        if inputs:
            stack.extend(reversed(inputs))
        else:
            sources[id(x)] = x
    return list(sources.values())


def deserialize_keras_object(
    config: object,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool = True,
    *,
    module_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
    **kwargs: Any,
) -> Tree:
    """Create an object from its config.

    Args:
        config: Result of `serialize_keras_object`.
        custom_objects: Classes and functions by name, in addition to the registered ones.
        safe_mode: Accepted for compatibility with Keras, must be True: code in a config is never run.
            `hornbeam run` says so and goes on.
        module_objects: Classes and functions by name that are searched last; a name alone is a config then.
        printable_module_name: Keras 2's word for the kind of object in messages, ignored.
        **kwargs: Ignored, as by Keras.

    Raises:
        ValueError: For safe_mode=False.
        UnknownObjectError: For names that are neither registered nor in `custom_objects`.

    Example:
        >>> deserialize_keras_object(serialize_keras_object(layer))  # doctest: +SKIP
    """
    if safe_mode is not True:
        warning_policy.on_warning(
            "safe_mode=False would run code from a config, which is never done: pass custom_objects"
        )
    if module_objects is None:
        return registry.deserialize(config, custom_objects)
    if isinstance(config, str):
        target = registry.get_registered_object(config, custom_objects, module_objects)
        return target() if inspect.isclass(target) else config if target is None else target
    last = {
        name: target
        for name, target in module_objects.items()
        if registry.get_registered_object(name, custom_objects) is None
    }
    return registry.deserialize(config, {**last, **(custom_objects or {})})
