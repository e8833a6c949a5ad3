"""Static check that the results of a function depend on its arguments alone.

Such functions can be traced once and replayed. All others are called for every element, so that nothing they
draw, count or read is frozen.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from hornbeam._internal.origin import is_own, is_own_module

# Built-in functions without side effects, whose results depend on their arguments.
_BUILTINS = frozenset({
    "Ellipsis", "False", "None", "True", "abs", "all", "any", "bool", "complex", "dict", "divmod",
    "enumerate", "float", "frozenset", "int", "isinstance", "len", "list", "max", "min", "pow", "range",
    "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple", "zip",
})  # fmt: skip
# Instructions that change state outside of the function, or use values that cannot be checked here.
_EFFECTS = frozenset({
    "DELETE_ATTR", "DELETE_GLOBAL", "IMPORT_FROM", "IMPORT_NAME", "STORE_ATTR", "STORE_DEREF", "STORE_GLOBAL",
    "YIELD_VALUE",
})  # fmt: skip
_CONSTANT_TYPES = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


def is_pure(function: Callable[..., Any]) -> bool:
    """Return True for plain functions that use nothing but pure values.

    Those are their arguments, constants, built-ins without side effects, Hornbeam's modules, functions and
    classes, and functions that are pure themselves.
    """
    return _is_pure(function, set())


def _is_pure(function: object, checked: set[Any]) -> bool:
    if function in checked:
        return True
    if type(function) is not FunctionType:
        return False
    checked.add(function)
    if not _has_pure_closure(function, checked):
        return False
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if not all(_is_constant(value) for value in defaults):
        return False
    codes = list(_code_objects(function.__code__))
    if any(step.opname in _EFFECTS for code in codes for step in dis.get_instructions(code)):
        return False
    names = {name for code in codes for name in code.co_names}
    return all(_is_pure_name(name, function.__globals__, checked) for name in names)


def _has_pure_closure(function: FunctionType, checked: set[Any]) -> bool:
    """Return True if all values captured from surrounding functions are pure."""
    try:
        return all(_is_pure_value(cell.cell_contents, checked) for cell in function.__closure__ or ())
    except ValueError:  # a name that is assigned later
        return False


def _code_objects(code: CodeType) -> Iterator[CodeType]:
    """Yield the code of a function and of the functions and comprehensions inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_objects(constant)


def _is_pure_name(name: str, namespace: dict[str, Any], checked: set[Any]) -> bool:
    """Return True if a name is pure. Attributes have names too: one that is not a global is harmless."""
    if name in namespace:
        return _is_pure_value(namespace[name], checked)
    return not hasattr(builtins, name) or name in _BUILTINS


def _is_constant(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_constant, value))
    return isinstance(value, _CONSTANT_TYPES)


def _is_pure_value(value: object, checked: set[Any]) -> bool:
    if _is_constant(value) or (isinstance(value, FunctionType) and value in checked):
        return True
    if isinstance(value, ModuleType):
        return is_own_module(value.__name__) or is_own(type(value))
    if isinstance(value, FunctionType):
        if not is_own(value):
            return _is_pure(value, checked)
        checked.add(value)
        return _has_pure_closure(value, checked)  # ours may wrap a function of the user
    return isinstance(value, (BuiltinFunctionType, type)) and is_own(value)
