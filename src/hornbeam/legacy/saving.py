"""Configs as Keras 2 wrote them: a class name and arguments, without modules."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.core import registry

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


def serialize_keras_object(instance: Any) -> Tree:
    """`{"class_name": ..., "config": ...}` of an object, or the name of a function. None stays None.

    Raises ValueError for what has neither a config nor a name.

    >>> serialize_keras_object(hornbeam.initializers.Zeros())
    {'class_name': 'Zeros', 'config': {}}
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        config = {
            key: serialize_keras_object(value) if hasattr(value, "get_config") else value
            for key, value in instance.get_config().items()
        }
        return {"class_name": registry.get_registered_name(type(instance)), "config": config}
    if hasattr(instance, "__name__"):
        return registry.get_registered_name(instance)
    raise ValueError(f"{instance!r} has neither get_config() nor a name, so it cannot be serialized")


def deserialize_keras_object(
    identifier: Any,
    module_objects: Mapping[str, Any] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Tree:
    """The object that a config of `serialize_keras_object`, or the name of a function, stands for.

    module_objects: names that may come up, besides registered ones and `custom_objects`.
    printable_module_name: what is looked for, for the error. Raises ValueError for an unknown name.
    """
    if identifier is None or (callable(identifier) and not isinstance(identifier, (str, dict))):
        return identifier
    name = identifier["class_name"] if isinstance(identifier, dict) else identifier
    registered = registry.get_registered_object(name, custom_objects, module_objects)
    if registered is None:
        raise ValueError(
            f"unknown {printable_module_name} {name!r}: give it in custom_objects, or register it with "
            "@register_keras_serializable()"
        )
    if isinstance(identifier, dict):
        with registry.custom_object_scope({**(module_objects or {}), **(custom_objects or {})}):
            return registered.from_config(identifier["config"])
    return registered() if inspect.isclass(registered) else registered


explain_missing(__name__)
