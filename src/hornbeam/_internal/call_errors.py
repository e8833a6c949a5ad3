"""Messages for wrong calls: an argument that does not exist names the one that was meant.

One mechanism for all public callables, none of which gets slower by it:

- `ArgumentChecks` compares the keywords of constructors with their signature, once an object.
- Operations are called through `core/dispatch.py`, which completes the error by `complete_message`.
- `explain_arguments` wraps methods that run for long, as `fit`.
- All other functions raise Python's own TypeError, which `improve_message` completes when it is displayed
  (see `tracebacks.py`), as Python itself does for misspelled attributes.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from hornbeam._internal.origin import is_own, is_own_module, module_of
from hornbeam.errors import ArgumentTypeError

if TYPE_CHECKING:
    from typing_extensions import Self

F = TypeVar("F", bound=Callable[..., Any])

_UNEXPECTED = re.compile(r"(?P<callee>[\w.<>]+)\(\) got an unexpected keyword argument '(?P<name>\w+)'$")
_BINDING = re.compile(
    r"(?P<callee>[\w.<>]+)\(\) "
    r"(?:missing \d+ required|takes .* positional arguments? but|got multiple values)"
)
_CANNOT_IMPORT = re.compile(r"cannot import name '(?P<name>\w+)' from '(?P<module>hornbeam[\w.]*)'")
_NO_MODULE = re.compile(r"No module named '(?P<module>hornbeam[\w.]*)\.(?P<name>\w+)'$")
_LONGEST_SIGNATURE = 200
# First arguments that are tuples of sizes.
_SIZES = ("dims", "newshape", "shape", "target_shape")
_SIGNATURE = "Its arguments are"
_MOST_LISTED = 8


def argument_hint(name: str, accepted: Iterable[str]) -> str:
    """Return a sentence on an argument that a callable lacks, which begins with a space, or ""."""
    from hornbeam._internal.naming import nearest
    from hornbeam._internal.other_libraries import ARGUMENTS, NO_ARGUMENTS

    accepted = list(accepted)
    for meaning, others in ARGUMENTS.items():
        if meaning in accepted and name in others.split():
            return f" Here it is called {meaning!r}."
    if name in NO_ARGUMENTS:
        return f" It is not needed: {NO_ARGUMENTS[name]}."
    return nearest(name, accepted)


def unknown_arguments(callee: str, unknown: Iterable[str], accepted: Iterable[str]) -> str:
    """Return the message for arguments that a callable lacks, with those that were probably meant."""
    accepted = [name for name in accepted if name not in ("self", "args", "kwargs")]
    hints = {name: argument_hint(name, accepted) for name in unknown}
    sentences = [f"{callee} has no argument {name!r}.{hint}" for name, hint in hints.items()]
    if not all(hints.values()) and len(accepted) <= _MOST_LISTED:
        sentences.append(f"It takes {', '.join(accepted)}." if accepted else "It takes no arguments.")
    return " ".join(sentences)


# -- constructors --------------------------------------------------------------------------------------------


class ArgumentChecks:
    """Base class of those whose constructors explain arguments that they lack."""

    # What objects of the class are called with afterwards, if arrays in the constructor are a mistake.
    _called_with = ""

    if not TYPE_CHECKING:  # type checkers read `__init__`

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            arrays = [isinstance(getattr(arg, "shape", None), tuple) for arg in args[:2]]
            if cls._called_with and arrays == [True, True]:
                name = cls.__name__
                raise TypeError(
                    f"{name}(...) makes an object, which is called afterwards: {name}()({cls._called_with})"
                )
            if kwargs:
                check_keywords(cls, args, kwargs)
            elif args and cls.__init__ is object.__init__:
                raise TypeError(f"{cls.__name__}() takes no arguments")
            return object.__new__(cls)

        # Of classes without `__init__`; of others it is that of `__init__`.
        __new__.__signature__ = inspect.Signature(
            [inspect.Parameter("cls", inspect.Parameter.POSITIONAL_ONLY)]
        )


def check_not_called(cls: type, args: tuple[Any, ...]) -> None:
    """Raise TypeError for a layer of this package that is made of a symbolic tensor: `Flatten(x)`."""
    symbolic = any(getattr(type(arg), "symbolic", False) is True for arg in args)
    if symbolic and module_of(cls).startswith("hornbeam.layers."):
        name = cls.__name__
        raise TypeError(
            f"{name} takes no tensors: make the layer first, and call it afterwards, as in {name}(...)(x)"
        )


def check_keywords(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise ArgumentTypeError for keywords that the constructor of a class of this package cannot take.

    Constructors with `**kwargs` judge for themselves, unless required arguments are missing: Python would
    name these alone.
    """
    if not is_own(cls):
        return
    accepted, required, open_ended = _constructor(cls, cls.__init__)  # type: ignore[misc]
    unknown = kwargs.keys() - accepted
    if unknown and not (open_ended and all(name in kwargs for name in required[len(args) :])):
        raise ArgumentTypeError(
            unknown_arguments(cls.__name__, [n for n in kwargs if n in unknown], accepted)
        )


@functools.cache
def _constructor(cls: type, init: Callable[..., None]) -> tuple[dict[str, None], list[str], bool]:
    """Return the arguments of a constructor, those without a default, and True if it passes others on.

    `init` is the constructor: `hornbeam_compat` wraps some, to translate arguments of older versions.
    """
    parameters = list(inspect.signature(init, follow_wrapped=False).parameters.values())[1:]
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters)
    required = [p.name for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return dict.fromkeys(accepted_arguments(cls)), required, open_ended


def accepted_arguments(cls: type) -> list[str]:
    """Return the names of a constructor's arguments, those of bases that get its `**kwargs` included."""
    names: dict[str, None] = {}
    for base in cls.__mro__:
        init = vars(base).get("__init__")
        if init is None or base is object:
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        names |= {p.name: None for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(names)


# -- methods -------------------------------------------------------------------------------------------------


def explain_arguments(function: F) -> F:
    """Complete the error for arguments that a function lacks. For those that take long: it costs a call."""

    @functools.wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            complete_message(error, function)
            raise

    return explained  # type: ignore[return-value]


def takes(function: Callable[..., Any], argument: str) -> bool:
    """Return whether a function takes an argument of this name."""
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == argument or p.kind is p.VAR_KEYWORD for p in parameters)


def check_accepts(function: Callable[..., Any], arguments: str, role: str) -> None:
    """Raise TypeError unless a user's function can be called with positional `arguments`, such as "x, y"."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin
        return
    try:
        signature.bind(*arguments.split(", "))
    except TypeError:
        name = getattr(function, "__qualname__", type(function).__name__)
        raise TypeError(f"{role} is called with ({arguments}), but {name} takes {signature}") from None


def complete_message(error: TypeError, function: Callable[..., Any]) -> None:
    """Add a hint to an error if it says that a call does not fit `function`."""
    message = _message(error)
    match = _match(message)
    if match and match["callee"] == function.__qualname__:
        error.args = (_completed(message, function),)


def _message(error: BaseException) -> str:
    """Return the message of a plain TypeError, "" of other errors."""
    is_plain = type(error) is TypeError and len(error.args) == 1 and isinstance(error.args[0], str)
    return error.args[0] if is_plain else ""


def _match(message: str) -> re.Match[str] | None:
    """Return the parts of a message of Python for a wrong call, None for others and complete ones."""
    return None if _SIGNATURE in message else _UNEXPECTED.match(message) or _BINDING.match(message)


def _completed(message: str, function: Callable[..., Any], accepted: Iterable[str] | None = None) -> str:
    """Return the message of Python for a call that does not fit a function, with a hint."""
    parameters = inspect.signature(function).parameters
    match = _UNEXPECTED.search(message)
    if match:
        names = [name for name in (accepted or parameters) if name not in ("self", "cls", "args", "kwargs")]
        return message + (f".{hint}" if (hint := argument_hint(match["name"], names)) else "")
    if _BINDING.match(message):
        texts = [
            p.name if p.default is p.empty else f"{p.name}={p.default!r}"
            for p in parameters.values()
            if p.name not in ("self", "cls") and p.kind is not p.VAR_KEYWORD
        ]
        text = ", ".join(texts)
        if len(text) > _LONGEST_SIGNATURE:
            text = text[:_LONGEST_SIGNATURE].rsplit(", ", 1)[0] + ", ..."
        first = next((name for name in parameters if name not in ("self", "cls")), "")
        tuples = first in _SIZES and "positional arguments but" in message
        return f"{message}. {_SIGNATURE} ({text})" + (f": write {first} as one tuple" if tuples else "")
    return message


# -- functions, when their error is displayed ----------------------------------------------------------------


def improve_message(error: BaseException, trace: TracebackType | None) -> None:
    """Add what was meant to the error that Python raised for a wrong call or import of this package."""
    if isinstance(error, ImportError):
        _improve_import(error)
        return
    message = _message(error)
    match = _match(message)
    if not match:
        return
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    function = _callee(match["callee"], trace)
    if function is None:
        return
    accepted = None
    if trace is not None and trace.tb_frame.f_code.co_name == "__init__" and "__init__" in match["callee"]:
        # A constructor passed its `**kwargs` on: those of its class are wanted, not the base's alone.
        accepted = accepted_arguments(type(trace.tb_frame.f_locals.get("self")))
    error.args = (_completed(message, function, accepted),)


def _callee(qualified_name: str, trace: TracebackType | None) -> FunctionType | None:
    """Return the function that a call did not fit, None if several of this package have the name."""
    functions = {function.__code__: function for function in _functions(qualified_name)}
    if len(functions) > 1 and trace is not None:
        code = trace.tb_frame.f_code
        line = linecache.getline(code.co_filename, trace.tb_lineno, trace.tb_frame.f_globals)
        scope = {**trace.tb_frame.f_globals, **trace.tb_frame.f_locals}
        called = [_resolve(path, scope) for path in re.findall(r"[A-Za-z_][\w.]*(?=\()", line)]
        functions = {f.__code__: f for f in called if isinstance(f, FunctionType) and f.__code__ in functions}
    return next(iter(functions.values())) if len(functions) == 1 else None


def _resolve(path: str, scope: dict[str, Any]) -> Any:
    """Return what a dotted name means in a scope, without its wrappers, or None."""
    first, *rest = path.split(".")
    value = scope.get(first)
    for part in rest:
        value = getattr(value, part, None)
    return inspect.unwrap(value) if callable(value) else None


def _improve_import(error: ImportError) -> None:
    """Add what was meant to the error for a wrong name in `from hornbeam.layers import Linear`."""
    message = str(error)
    match = _CANNOT_IMPORT.match(message) or _NO_MODULE.match(message)
    module = match and sys.modules.get(match["module"])
    if match is None or module is None:
        return
    try:
        getattr(module, match["name"])
    except AttributeError as absent:
        hint = str(absent).partition(f"has no {match['name']!r}.")[2]
        python_suggests = sys.version_info >= (3, 12) and match.re is _CANNOT_IMPORT
        if hint and not (python_suggests and "Did you mean" in hint):
            error.msg = f"{message.removesuffix('.')}.{hint}"


def _functions(qualified_name: str) -> Iterator[FunctionType]:
    """Yield the functions of this package with a qualified name."""
    for name, module in list(sys.modules.items()):
        if not is_own_module(name):
            continue
        value: Any = module
        for part in qualified_name.split("."):
            value = vars(value).get(part) if hasattr(value, "__dict__") else None
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        value = inspect.unwrap(value) if callable(value) else None
        if isinstance(value, FunctionType) and value.__qualname__ == qualified_name:
            yield value
