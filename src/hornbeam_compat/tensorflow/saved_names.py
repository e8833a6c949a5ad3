"""Names of classes and functions in folders of tf.saved_model, which have no code."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from hornbeam.errors import MissingNameError

T = TypeVar("T")

# Modules whose functions a file may name, besides the script: nothing in them reads or writes files.
_FUNCTIONS = ("tensorflow.nn", "tensorflow.math", "tensorflow", "keras.activations")


def function_name(value: object) -> str | None:
    """Return the module and name of a function of the script, or of TensorFlow, else None."""
    name = getattr(value, "__name__", "")
    for module in ("__main__", *_FUNCTIONS):
        if name.isidentifier() and callable(value) and not isinstance(value, type):
            known = getattr(importlib.import_module(module), name, None)
            if module == "__main__" and getattr(known, "__module__", "") != module:
                continue
            if known is not None and inspect.unwrap(known) is inspect.unwrap(value):
                return f"{module}:{name}"
    return None


def find_function(text: str) -> Callable[..., Any]:
    """Return a function by its name in a file. Raise MissingNameError if the script does not define it."""
    module, _, name = text.partition(":")
    function = None
    if module in ("__main__", *_FUNCTIONS):
        function = getattr(importlib.import_module(module), name, None)
    of_script = (
        module == "__main__" and getattr(function, "__module__", "") == module
    )  # and not imported by it
    if not callable(function) or not (of_script or module in _FUNCTIONS):
        raise MissingNameError(
            f"the saved folder names the function {name!r} of {module}, which this program does not define: "
            "files have no code, define it before loading"
        )
    return function


def class_name(cls: type) -> str:
    """Return the module and the qualified name of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: str, base: type[T]) -> type[T]:
    """Return a class by the name in a file: one of Hornbeam's, or one that the program has defined."""
    module, _, qualname = name.partition(":")
    if module.startswith("hornbeam."):
        importlib.import_module(module)
    owner: Any = sys.modules.get(module)
    for part in qualname.split("."):
        owner = getattr(owner, part, None)
    if isinstance(owner, type) and issubclass(owner, base):
        return owner
    latest = [cls for cls in _subclasses(base) if class_name(cls) == name]
    if latest:
        return latest[-1]
    raise MissingNameError(
        f"the saved folder has an object of the class {qualname} of {module}, which this program does not "
        "define: folders of tf.saved_model.save under `hornbeam run` have values and no code. Define or "
        "import the class before loading."
    )


def _subclasses(base: type) -> list[type]:
    """Return all subclasses that exist, in the order of their definition."""
    direct: list[type] = type.__subclasses__(base)
    return [cls for part in direct for cls in (part, *_subclasses(part))]
