"""The closed table of what a config may name, and Keras's config format for it.

A file can only ask for what stands in this table or for what the caller registered or passed as
`custom_objects`. Nothing is imported by a name out of a config, and no code is ever stored in one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from hornbeam.naming import nearest, to_snake_case

C = TypeVar("C")

# (Keras module, name) -> class or function: what the library itself offers to configs.
_TABLE: dict[tuple[str, str], Any] = {}
# registered name ("package>name") -> class or function, by `register_keras_serializable`.
_REGISTERED: dict[str, Any] = {}
_REGISTERED_NAMES: dict[Any, str] = {}
_SCOPES: list[dict[str, Any]] = []


class UnknownObjectError(ValueError):
    """A config or an argument names something that is neither ours nor registered."""


def exported(module: str, *aliases: str) -> Callable[[C], C]:
    """Put a class or function into the table under a Keras module, e.g. `@exported("keras.layers")`."""

    def add(target: C) -> C:
        for name in (target.__name__, *aliases):  # type: ignore[attr-defined]
            if (module, name) in _TABLE:
                raise ValueError(f"{module}.{name} is exported twice")
            _TABLE[module, name] = target
        if inspect.isclass(target):
            target._keras_module = module  # type: ignore[attr-defined]
        return target

    return add


def names_in(module: str) -> list[str]:
    """Names that the table holds for a Keras module."""
    return [name for m, name in _TABLE if m == module]


# -- user objects --------------------------------------------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[C], C]:
    """Let configs name a class or function of yours as `package>name`.

    A class needs `get_config`. Raises ValueError otherwise.
    """

    def add(target: C) -> C:
        label = f"{package}>{name or target.__name__}"  # type: ignore[attr-defined]
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise ValueError(f"{target.__name__} needs a get_config() method to be serializable")
        _REGISTERED[label] = target
        _REGISTERED_NAMES[target] = label
        return target

    return add


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any]) -> Iterator[None]:
    """Inside, configs may also name the given classes and functions."""
    _SCOPES.append(dict(custom_objects))
    try:
        yield
    finally:
        _SCOPES.pop()


def get_custom_objects() -> dict[str, Any]:
    """All registered objects by their registered names."""
    return _REGISTERED


def get_registered_name(obj: Any) -> str:
    """`package>name` if registered, else the object's own name."""
    return _REGISTERED_NAMES.get(obj, obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Any:
    """The object that `name` stands for, or None."""
    for place in (custom_objects or {}, *reversed(_SCOPES), _REGISTERED, module_objects or {}):
        if name in place:
            return place[name]
    return None


# -- configs -------------------------------------------------------------------------------------------------


def serialize(obj: Any) -> Any:
    """`obj` in Keras 3's config format: plain JSON values.

    Raises TypeError for what has no config.
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, (np.integer, np.floating, np.bool_)):
        return obj.item()
    if isinstance(obj, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, tuple):
        return tuple(serialize(x) for x in obj)  # a list in JSON, as Keras writes it
    if isinstance(obj, list):
        return [serialize(x) for x in obj]
    if isinstance(obj, dict):
        return {key: serialize(value) for key, value in obj.items()}
    if isinstance(obj, np.dtype):
        return obj.name
    if hasattr(obj, "get_config") and not inspect.isclass(obj):
        return _serialize_instance(obj)
    if callable(obj) and hasattr(obj, "__name__"):
        return _serialize_function(obj)
    raise TypeError(f"cannot put {obj!r} into a config: it has no get_config()")


def _serialize_instance(obj: Any) -> dict[str, Any]:
    # Model(inputs, outputs) of a subclass makes a class of its own, which files know by the subclass's name.
    cls = type(obj).__dict__.get("_plain_class", type(obj))
    ours = getattr(cls, "_keras_module", None) if "_keras_module" in cls.__dict__ else None
    config = {
        "module": ours,
        "class_name": cls.__name__,
        "config": {key: serialize(value) for key, value in obj.get_config().items()},
        "registered_name": None if ours else get_registered_name(cls),
    }
    build = getattr(obj, "get_build_config", lambda: None)()
    if build is not None:
        config["build_config"] = serialize_plain(build)
    compiled = getattr(obj, "get_compile_config", lambda: None)()
    if compiled is not None:
        config["compile_config"] = compiled
    return config


def serialize_plain(value: Any) -> Any:
    """JSON values with tuples as lists, as Keras writes shapes."""
    if isinstance(value, (list, tuple)):
        return [serialize_plain(x) for x in value]
    if isinstance(value, dict):
        return {key: serialize_plain(x) for key, x in value.items()}
    return serialize(value)


def _serialize_function(fn: Callable[..., Any]) -> Any:
    name = fn.__name__
    if name == "<lambda>":
        raise TypeError(
            "a lambda has no config: code is never stored in a file. Use a named, registered function"
        )
    if fn in _REGISTERED_NAMES:
        return {
            "module": "builtins",
            "class_name": "function",
            "config": name,
            "registered_name": _REGISTERED_NAMES[fn],
        }
    ours = any(value is fn for value in _TABLE.values())
    return (
        name if ours else {"module": None, "class_name": "function", "config": name, "registered_name": name}
    )


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The object that a config describes.

    Raises UnknownObjectError for a name that is neither in the table nor given by the caller.
    """
    if isinstance(config, (list, tuple)):
        return type(config)(deserialize(x, custom_objects) for x in config)
    if not isinstance(config, dict):
        return config
    if "class_name" not in config:
        return {key: deserialize(value, custom_objects) for key, value in config.items()}
    name = config["class_name"]
    if name == "__tuple__":
        return tuple(deserialize(x, custom_objects) for x in config["items"])
    if name == "__numpy__":
        return np.array(config["config"]["value"], dtype=config["config"]["dtype"])
    if name == "function":
        return _find(config, config["config"], custom_objects)
    if "config" not in config:
        return {key: deserialize(value, custom_objects) for key, value in config.items()}
    cls = _find(config, name, custom_objects)
    inner = config["config"] or {}
    if not inspect.isclass(cls) or not hasattr(cls, "from_config"):
        raise UnknownObjectError(f"{name!r} is not something that a config can build")
    with custom_object_scope(custom_objects or {}):
        obj = cls.from_config(inner)
        if config.get("build_config") and hasattr(obj, "build_from_config"):
            obj.build_from_config(config["build_config"])
        if config.get("compile_config") and hasattr(obj, "compile_from_config"):
            obj.compile_from_config(config["compile_config"])
    return obj


def _find(config: Mapping[str, Any], name: str, custom_objects: Mapping[str, Any] | None) -> Any:
    registered = config.get("registered_name")
    for label in (registered, name):
        if label:
            found = get_registered_object(label, custom_objects)
            if found is not None:
                return found
    module = config.get("module")
    for key in ((module, name), *((m, n) for m, n in _TABLE if n == name and _related(m, module))):
        if key in _TABLE:
            return _TABLE[key]
    raise UnknownObjectError(
        f"the config names {name!r} (module {module!r}), which Hornbeam does not know. If it is yours, "
        "decorate it with "
        "@register_keras_serializable() or pass custom_objects={'" + name + "': ...} to the call"
    )


def _related(ours: str, asked: Any) -> bool:
    """Keras writes both public modules and where its sources put a class (`keras.src.models.functional`)."""
    return asked is None or (
        isinstance(asked, str) and asked.split(".")[0] in ("keras", "hornbeam", "builtins")
    )


def missing_names(config: Any, custom_objects: Mapping[str, Any] | None = None) -> list[str]:
    """All names in a config that cannot be resolved, without building anything."""
    missing: list[str] = []
    if isinstance(config, list):
        parts: list[Any] = config
    elif isinstance(config, dict):
        parts = list(config.values())
        name = config.get("class_name")
        if isinstance(name, str) and "config" in config and not name.startswith("__"):
            try:
                _find(config, config["config"] if name == "function" else name, custom_objects)
            except UnknownObjectError:
                missing.append(str(config.get("registered_name") or name))
    else:
        return []
    for part in parts:
        missing.extend(missing_names(part, custom_objects))
    return list(dict.fromkeys(missing))


def resolve(identifier: Any, module: str, what: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """What `get(identifier)` of a module returns: a string, config, class or object made into an object.

    A string may be the class name, its snake case or a function's name. Raises UnknownObjectError with the
    nearest known name.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return deserialize(identifier, custom_objects)
    if isinstance(identifier, str):
        found = get_registered_object(identifier, custom_objects) or _by_name(identifier, module)
        if found is None:
            known = sorted(names_in(module))
            raise UnknownObjectError(
                f"unknown {what} {identifier!r}.{nearest(identifier, known)} Known: {', '.join(known)}"
            )
        identifier = found
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier) or hasattr(identifier, "get_config"):
        return identifier
    raise ValueError(f"cannot understand {identifier!r} as {what}")


def _by_name(name: str, module: str) -> Any:
    if (module, name) in _TABLE:
        return _TABLE[module, name]
    for known in names_in(module):
        if to_snake_case(known) == name or known.lower() == name:
            return _TABLE[module, known]
    return None
