"""Whether a function's results depend on its arguments alone, as far as its code shows.

Such functions can be traced once and replayed; all others are called for every element, so that nothing they
draw, count or read is frozen.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

# Built-in functions without effects; what they return depends on their arguments.
_BUILTINS = frozenset({
    "Ellipsis", "False", "None", "True", "abs", "all", "any", "bool", "complex", "dict", "divmod",
    "enumerate", "float", "frozenset", "int", "isinstance", "len", "list", "max", "min", "pow", "range",
    "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "zip",
})  # fmt: skip
# Instructions that change what stands outside of the function, or bring in what cannot be seen here.
_EFFECTS = frozenset({
    "DELETE_ATTR", "DELETE_GLOBAL", "IMPORT_FROM", "IMPORT_NAME", "STORE_ATTR", "STORE_DEREF", "STORE_GLOBAL",
    "YIELD_VALUE",
})  # fmt: skip
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


def is_pure(function: Callable[..., Any]) -> bool:
    """True for plain functions that use nothing but their arguments, constants, built-ins without effects,
    Hornbeam's modules, functions and classes, and functions that do the same."""
    return _pure(function, set())


def _pure(function: Any, seen: set[Any]) -> bool:
    if function in seen:
        return True
    if type(function) is not FunctionType:
        return False
    seen.add(function)
    if not _closed_over_pure(function, seen):
        return False
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if not all(_constant(value) for value in defaults):
        return False
    codes = list(_codes(function.__code__))
    if any(step.opname in _EFFECTS for code in codes for step in dis.get_instructions(code)):
        return False
    names = {name for code in codes for name in code.co_names}
    return all(_known(name, function.__globals__, seen) for name in names)


def _closed_over_pure(function: FunctionType, seen: set[Any]) -> bool:
    """Whether what a function took from the functions around it may be used."""
    try:
        return all(_allowed(cell.cell_contents, seen) for cell in function.__closure__ or ())
    except ValueError:  # a name that is assigned later
        return False


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of the functions and comprehensions inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _known(name: str, around: dict[str, Any], seen: set[Any]) -> bool:
    """Whether a name may be used. Attributes have names too: one that is no global is harmless."""
    if name in around:
        return _allowed(around[name], seen)
    return not hasattr(builtins, name) or name in _BUILTINS


def _constant(value: Any) -> bool:
    return all(map(_constant, value)) if isinstance(value, tuple) else isinstance(value, _PLAIN)


def _allowed(value: Any, seen: set[Any]) -> bool:
    if _constant(value) or (isinstance(value, FunctionType) and value in seen):
        return True
    if isinstance(value, ModuleType):
        return _ours(value.__name__) or _ours(type(value).__module__)
    if isinstance(value, FunctionType):
        if not _ours(value.__module__):
            return _pure(value, seen)
        seen.add(value)
        return _closed_over_pure(value, seen)  # ours may wrap a function of the user's
    return isinstance(value, (BuiltinFunctionType, type)) and _ours(value.__module__)


def _ours(module: Any) -> bool:
    return isinstance(module, str) and module.split(".")[0] == "hornbeam"
