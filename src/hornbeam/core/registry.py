"""The closed table of names that a config may use, and Keras's config format.

A file can only name entries of this table, and classes and functions that the caller registered or passed as
`custom_objects`. Nothing is imported by a name from a config, and no code is ever stored in one.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from hornbeam._internal.context import context_variable, override
from hornbeam._internal.formatting import brief
from hornbeam._internal.naming import suggest, to_snake_case
from hornbeam._internal.origin import is_own, module_of
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor
from hornbeam.errors import ArgumentTypeError, UnknownObjectError
from hornbeam.ir.types import dtype_name, numpy_dtype

C = TypeVar("C")

# (Keras module, name) -> class or function of the library.
_TABLE: dict[tuple[str, str], Any] = {}
# name -> Keras modules with that name.
_MODULES_OF: dict[str, list[str]] = {}
# What `__module__` of an exported class says.
_name_module: Callable[[type], str] = module_of
# registered name ("package>name") -> class or function, by `register_keras_serializable`.
_REGISTERED: dict[str, Any] = {}
_REGISTERED_NAMES: dict[Any, str] = {}
# Operations that functional models may name, as (Keras module, class name): they are not classes here.
_OPERATIONS: set[tuple[str, str]] = set()
# Objects of the open scopes of `custom_object_scope`, the innermost first.
_scopes: ContextVar[tuple[dict[str, Any], ...]] = context_variable("custom objects", ())

# Modules whose functions a config may name. Others have functions, too, some of which read and write files.
_FUNCTION_MODULES = ("keras.activations", "keras.losses", "keras.metrics")

# Modules that fill the table when they are imported.
_FAMILIES = (
    "activations", "constraints", "initializers", "layers", "losses", "metrics", "models", "optimizers",
    "models.functional_config", "regularizers", "distillation", "quantizers", "quantization.layers",
    "applications.convnext", "applications.inception_resnet_v2", "auto.table_layers", "models.feature_space",
)  # fmt: skip

# Class names of plain values in Keras's format.
_PLAIN = ("__numpy__", "__tensor__", "__tuple__", "__slice__", "__ellipsis__", "__bytes__")


def exported(module: str, *aliases: str) -> Callable[[C], C]:
    """Add a class or function to the table under a Keras module, e.g. `@exported("keras.layers")`."""

    def add(target: C) -> C:
        for name in (target.__name__, *aliases):  # type: ignore[attr-defined]
            if (module, name) in _TABLE:
                raise ValueError(f"{module}.{name} is exported twice")
            _TABLE[module, name] = target
            _MODULES_OF.setdefault(name, []).append(module)
        if inspect.isclass(target):
            describe_export(target, module)
        return target

    return add


def describe_export(cls: type, module: str) -> None:
    """Note the Keras module of a class, which decides what `__module__` says."""
    if "_hb_module" not in vars(cls):
        cls._hb_module = cls.__module__  # type: ignore[attr-defined]
    cls._keras_module = module  # type: ignore[attr-defined]
    cls.__module__ = _name_module(cls)


def set_module_names(name_module: Callable[[type], str] = module_of) -> None:
    """Set what `__module__` of exported classes says, also of those to come.

    Args:
        name_module: Function of the class; by default the module that defines it.
    """
    global _name_module
    _name_module = name_module
    for target in _TABLE.values():
        if inspect.isclass(target):
            target.__module__ = name_module(target)


def operations(module: str, names: Iterable[str]) -> None:
    """Let functional models name operations of a Keras module, such as ("keras.src.ops.numpy", "Add")."""
    _OPERATIONS.update((module, name) for name in names)


def operation_module(name: str) -> str | None:
    """Return the Keras module of an operation that functional models may name, or None."""
    return next((module for module, operation in sorted(_OPERATIONS) if operation == name), None)


def names_in(module: str) -> list[str]:
    """Return the names of a Keras module in the table."""
    return [name for m, name in _TABLE if m == module]


# -- user objects --------------------------------------------------------------------------------------------


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[C], C]:
    """Register a class or function under `package>name`, so that configs can name it.

    Args:
        package: Prefix of the name.
        name: Name; None for that of the class or function.

    Returns:
        Decorator.

    Raises:
        ValueError: If a class has no `get_config`.
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
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Let configs name further classes and functions inside a `with` block.

    Args:
        custom_objects: Classes and functions by name; None for no further ones.
    """
    with override(_scopes, (dict(custom_objects or {}), *_scopes.get())):
        yield


def get_custom_objects() -> dict[str, Any]:
    """Return all registered objects by their registered names."""
    return _REGISTERED


def get_registered_name(obj: Callable[..., Any] | type) -> str:
    """Return `package>name` of a registered object, else its own name.

    Args:
        obj: Class or function.
    """
    return _REGISTERED_NAMES.get(obj, obj.__name__)


def get_registered_object(
    name: str,
    custom_objects: Mapping[str, Any] | None = None,
    module_objects: Mapping[str, Any] | None = None,
) -> Tree:
    """Return the object with a name, or None.

    Args:
        name: Name.
        custom_objects: Classes and functions by name that take precedence.
        module_objects: Classes and functions by name that are searched last.
    """
    for objects in (custom_objects or {}, *_scopes.get(), _REGISTERED, module_objects or {}):
        if name in objects:
            return objects[name]
    return None


# -- configs -------------------------------------------------------------------------------------------------


def serialize(obj: object) -> Tree:
    """Convert an object to Keras 3's config format: plain JSON values.

    Args:
        obj: Object with `get_config`, function, array, number, or nested structure of these.

    Raises:
        TypeError: If the object has no config.
    """
    if obj is None or isinstance(obj, (bool, int, float, str)):
        return obj
    if isinstance(obj, (np.integer, np.floating, np.bool_)):
        return obj.item()
    if isinstance(obj, np.ndarray):
        return {
            "class_name": "__numpy__",
            "config": {"value": obj.tolist(), "dtype": dtype_name(obj.dtype)},
        }
    if obj is Ellipsis or isinstance(obj, (bytes, slice)):
        return _serialize_plain_object(obj)
    if hasattr(obj, "__array__") and hasattr(obj, "dtype"):  # a tensor or a variable
        return {
            "class_name": "__tensor__",
            "config": {"value": np.asarray(obj).tolist(), "dtype": dtype_name(obj.dtype)},
        }
    if isinstance(obj, tuple):
        return tuple(serialize(x) for x in obj)  # a list in JSON, as Keras writes it
    if isinstance(obj, list):
        return [serialize(x) for x in obj]
    if isinstance(obj, dict):
        return {key: serialize(value) for key, value in obj.items()}
    if isinstance(obj, np.dtype):
        return dtype_name(obj)
    if hasattr(obj, "get_config") and not inspect.isclass(obj):
        return _serialize_instance(obj)
    if callable(obj) and hasattr(obj, "__name__"):
        return _serialize_function(obj)
    raise TypeError(f"cannot serialize {obj!r}: it has no get_config()")


def _serialize_plain_object(obj: Any) -> dict[str, Any]:
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode()}}
    parts = {key: serialize(getattr(obj, key)) for key in ("start", "stop", "step")}
    return {"class_name": "__slice__", "config": parts}


def _serialize_instance(obj: Any) -> dict[str, Any]:
    # The class of a functional model of a subclass is generated; it refers to the subclass.
    cls = type(obj).__dict__.get("_plain_class", type(obj))
    module = cls.__dict__.get("_keras_module")
    config = {
        # The module of a class that is not registered distinguishes it from one of the library.
        "module": module or (None if cls in _REGISTERED_NAMES else cls.__module__),
        "class_name": cls.__dict__.get("_exported_name", cls.__name__),
        "config": {key: serialize(value) for key, value in obj.get_config().items()},
        "registered_name": None if module else get_registered_name(cls),
    }
    build = getattr(obj, "get_build_config", lambda: None)()
    if build is not None:
        config["build_config"] = serialize_plain(build)
    compiled = getattr(obj, "get_compile_config", lambda: None)()
    if compiled is not None:
        config["compile_config"] = compiled
    return config


def serialize_plain(value: object) -> Tree:
    """Convert to JSON values with tuples as lists, as Keras writes shapes."""
    if isinstance(value, (list, tuple)):
        return [serialize_plain(x) for x in value]
    if isinstance(value, dict):
        return {key: serialize_plain(x) for key, x in value.items()}
    return serialize(value)


def _serialize_function(fn: Callable[..., Any]) -> str | dict[str, Any]:
    name = fn.__name__
    if name == "<lambda>":
        raise TypeError(
            "a lambda has no config: code is never stored in a file. Use a named, registered function"
        )
    if fn not in _REGISTERED_NAMES and _is_exported_function(fn):
        return name
    return {
        "module": "builtins" if fn in _REGISTERED_NAMES else fn.__module__,
        "class_name": "function",
        "config": get_registered_name(fn),
        "registered_name": "function",
    }


def _is_exported_function(fn: Callable[..., Any]) -> bool:
    """Return True for a function that the table has under its name (some of them are in hornbeam.ops)."""
    modules = [module for module in _MODULES_OF.get(fn.__name__, ()) if module in _FUNCTION_MODULES]
    return bool(modules) and is_own(fn)


def deserialize(config: object, custom_objects: Mapping[str, Any] | None = None) -> Tree:
    """Build the object that a config describes.

    Args:
        config: Config in Keras's format.
        custom_objects: Classes and functions by name, in addition to the registered ones.

    Raises:
        UnknownObjectError: If a name is neither in the table nor in `custom_objects`.
    """
    if isinstance(config, (list, tuple)):
        return type(config)(deserialize(x, custom_objects) for x in config)
    if not isinstance(config, dict):
        return config
    name = config.get("class_name")
    if name in _PLAIN:
        return _plain_value(name, config, custom_objects)
    if name is None or "config" not in config:
        return {key: deserialize(value, custom_objects) for key, value in config.items()}
    target = _resolve_name(config, custom_objects)
    if name == "function":
        return target
    if not isinstance(config["config"] or {}, Mapping):
        raise ArgumentTypeError(
            f"the config of {name} must be a dict of arguments, got {config['config']!r:.80}"
        )
    with custom_object_scope(custom_objects or {}):
        obj = target.from_config(config["config"] or {})
        if config.get("build_config") and hasattr(obj, "build_from_config"):
            obj.build_from_config(config["build_config"])
        if config.get("compile_config") and hasattr(obj, "compile_from_config"):
            obj.compile_from_config(config["compile_config"])
    return obj


def _plain_value(name: str, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> Tree:
    if name == "__tuple__":
        return tuple(deserialize(x, custom_objects) for x in config["items"])
    inner = config["config"]
    if name == "__ellipsis__":
        return Ellipsis
    if name == "__slice__":
        return slice(*(deserialize(inner[key], custom_objects) for key in ("start", "stop", "step")))
    if name == "__bytes__":
        return str(inner["value"]).encode()
    array = np.array(inner["value"], dtype=numpy_dtype(dtype_name(inner["dtype"])))
    if name == "__numpy__":
        return array
    return as_tensor(array)


def _resolve_name(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None) -> Any:
    """Return the class or function that a config names, a registered one or one of the table."""
    kind, module, registered = (config.get(key) for key in ("class_name", "module", "registered_name"))
    name = config["config"] if kind == "function" else kind
    if kind == "__lambda__":
        raise UnknownObjectError(
            "the config holds the code of a lambda, which is never run. Use a named function with the "
            "decorator @register_keras_serializable()"
        )
    for label in (registered, name):
        if label and isinstance(label, str):
            target = get_registered_object(label, custom_objects)
            if target is not None:
                return _checked_target(target, str(name), kind == "function")
    if kind == "function" and module == "builtins":
        # Keras up to 3.6 wrote a registered function without its package.
        labels = [label for label in _REGISTERED if label.endswith(f">{name}")]
        if len(labels) > 1:
            raise UnknownObjectError(
                f"the config names the function {name!r} without its package, and several are registered: "
                f"{', '.join(labels)}. Pass the one that is meant: custom_objects={{'{name}': ...}}"
            )
        if labels:
            return _REGISTERED[labels[0]]
    # Keras writes no module for classes of its users, but then a registered name.
    if isinstance(name, str) and _is_library(module) and (module is not None or not registered):
        target = _in_table(name, module, kind == "function")
        if target is not None and registered and registered not in (name, kind):
            raise UnknownObjectError(
                f"the config gives {name!r}, which is Keras's own, the registered name {registered!r}, which "
                "nothing is registered under: omit registered_name"
            )
        if target is not None:
            return target
    raise UnknownObjectError(
        f"the config names {name!r} (module {module!r}), which Hornbeam does not know. If it is yours, "
        f"decorate it with @register_keras_serializable() or pass custom_objects={{'{name}': ...}}"
    )


def _in_table(name: str, module: object, function: bool) -> Any:
    """Return the entry of the table for `name`, preferably of `module`, or None."""
    _complete_table()
    candidates = sorted(_MODULES_OF.get(name, ()), key=lambda candidate: candidate != module)
    for candidate in candidates:
        target = _TABLE[candidate, name]
        if candidate in _FUNCTION_MODULES if function else _is_buildable(target):
            return target
    return None


@functools.cache
def _complete_table() -> None:
    for family in _FAMILIES:
        module = importlib.import_module(f"hornbeam.{family}")
        for name in getattr(module, "__all__", ()):
            getattr(module, name)  # some are imported when they are first used


def _checked_target(target: object, name: str, function: bool) -> Any:
    if not function and not _is_buildable(target):
        raise UnknownObjectError(f"{name!r} is not a class with from_config(), so a config cannot build it")
    return target


def _is_buildable(target: object) -> bool:
    return inspect.isclass(target) and hasattr(target, "from_config")


def _is_library(module: object) -> bool:
    """Return True for modules of Keras, public ones and those of its sources, and of this library."""
    return module is None or (
        isinstance(module, str) and module.split(".")[0] in ("keras", "hornbeam", "builtins")
    )


def exported_class(module: str, name: str) -> Any:
    """Return a class of the table. Code below the module that defines it builds its objects so."""
    if (module, name) not in _TABLE:
        _complete_table()
    return _TABLE[module, name]


def find_exported(module: str, name: str) -> Any:
    """Return an entry of the table, or None."""
    if (module, name) not in _TABLE:
        _complete_table()
    return _TABLE.get((module, name))


def missing_names(config: object, custom_objects: Mapping[str, Any] | None = None) -> list[str]:
    """Return all names in a config that cannot be resolved, without building anything."""
    _complete_table()
    missing: dict[str, None] = {}
    parts: list[Any] = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if _needs_a_class(part):
                try:
                    _resolve_name(part, custom_objects)
                except UnknownObjectError:
                    missing[_label(part)] = None
            part = list(part.values())
        if isinstance(part, list):
            parts.extend(reversed(part))
    return list(missing)


def _needs_a_class(config: dict[str, Any]) -> bool:
    name, module = config.get("class_name"), config.get("module")
    if name is None or "config" not in config or name in (*_PLAIN, "__keras_tensor__"):
        return False
    return not (isinstance(name, str) and isinstance(module, str) and (module, name) in _OPERATIONS)


def _label(config: dict[str, Any]) -> str:
    """Return the name of a config for messages."""
    if config["class_name"] == "function":
        return str(config["config"])
    return str(config.get("registered_name") or config["class_name"])


def resolve(
    identifier: object, module: str, kind: str, custom_objects: Mapping[str, Any] | None = None
) -> Tree:
    """Resolve an identifier of a module: a name, config, class or object.

    A name may be that of a class, its snake case, or that of a function. Raises UnknownObjectError with the
    nearest name.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        if not identifier.get("module") and not identifier.get("registered_name"):
            identifier = {**identifier, "module": module}
            known = _by_name(str(identifier.get("class_name")), module)
            if (
                inspect.isclass(known)
                and get_registered_object(identifier["class_name"], custom_objects) is None
            ):
                identifier["class_name"] = known.__name__  # written like an identifier: "adam"
        return deserialize(identifier, custom_objects)
    if isinstance(identifier, str):
        target = get_registered_object(identifier, custom_objects) or _by_name(identifier, module)
        if target is None:
            known = sorted(names_in(module))
            where = module.replace("keras", "hornbeam", 1)
            hint = suggest(identifier, known, kind, where)
            if kind == "optimizer" and _by_name(identifier, "keras.losses") is not None:
                hint = " It is a loss: write compile(optimizer, loss)."
            if kind == "loss" and _by_name(identifier, "keras.optimizers") is not None:
                hint = " It is an optimizer: write compile(optimizer, loss)."
            raise UnknownObjectError(f"unknown {kind} {identifier!r}.{hint}")
        identifier = target
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier) or hasattr(identifier, "get_config"):
        return identifier
    article = "an" if kind[0] in "aeio" else "a"
    rate = f": write {kind}s.Adam({identifier!r})" if kind == "optimizer" and _is_number(identifier) else ""
    raise ValueError(f"cannot interpret {brief(identifier)} as {article} {kind}{rate}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _by_name(name: str, module: str) -> Any:
    if (module, name) in _TABLE:
        return _TABLE[module, name]
    for known in names_in(module):
        if to_snake_case(known) == name or known.lower() == name:
            return _TABLE[module, known]
    return None


def get(family: str, identifier: object) -> Tree:
    """Call `get` of a module that fills the table, such as "initializers", which is above this one."""
    return importlib.import_module(f"hornbeam.{family}").get(identifier)
