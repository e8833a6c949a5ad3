# ruff: noqa: SIM905 - tables of names
"""tf.experimental.dispatch_for_*: what functions of `tf` do with values of the user's classes."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam_compat.tensorflow.extension_types import ExtensionType
from hornbeam_compat.tensorflow.typing import Tree

# Namespace -> its names.
NAMESPACES = {
    "experimental": (
        "dispatch_for_api dispatch_for_binary_elementwise_apis dispatch_for_unary_elementwise_apis "
        "unregister_dispatch_for"
    )
}

_UNARY = frozenset(
    "abs acos acosh angle asin asinh atan atanh bitcast cast ceil conj cos cosh digamma elu erf exp expm1 "
    "floor gelu identity imag is_finite is_inf is_nan is_non_decreasing leaky_relu lgamma log log1p "
    "log_sigmoid logical_not negative ones_like real reciprocal relu relu6 rint round rsqrt saturate_cast "
    "selu sigmoid sign silu sin sinh softplus softsign sqrt square stop_gradient swish tan tanh zeros_like "
    "as_string lower upper strip length".split()
)
_BINARY = frozenset(
    "add atan2 complex divide divide_no_nan equal floordiv floormod greater greater_equal less less_equal "
    "logical_and logical_or logical_xor maximum minimum mod multiply multiply_no_nan not_equal pow "
    "squared_difference subtract truediv xdivy xlogy zeta".split()
)

# Function of `tf` -> handlers with the types of their parameters.
_for_api: dict[Any, list[tuple[Callable[..., Any], dict[str, Any]]]] = {}
# Handlers of elementwise functions, with the types of their arguments.
_elementwise: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []


def dispatch_for_api(api: Callable[..., Any], *signatures: dict[Any, Any]) -> Callable[[Any], Any]:
    """Decorate a function that replaces `api` for the types in its annotations, or in `signatures`."""

    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        listed = list(signatures) or [typing.get_type_hints(handler)]
        for signature in listed:
            kinds = {name: kind for name, kind in signature.items() if name != "return"}
            if not kinds:
                raise ValueError("dispatch_for_api needs annotations of the handler, or a signature")
            _for_api.setdefault(inspect.unwrap(api), []).append((handler, kinds))
        return handler

    return decorate


def dispatch_for_unary_elementwise_apis(x_type: object) -> Callable[[Any], Any]:
    """Decorate `handler(api, x)` for all elementwise functions of one tensor."""
    return _register((x_type,))


def dispatch_for_binary_elementwise_apis(x_type: object, y_type: object) -> Callable[[Any], Any]:
    """Decorate `handler(api, x, y)` for all elementwise functions of two tensors."""
    return _register((x_type, y_type))


def _register(kinds: tuple[Any, ...]) -> Callable[[Any], Any]:
    def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
        _elementwise.append((handler, kinds))
        return handler

    return decorate


def unregister_dispatch_for(dispatch_target: Callable[..., Any]) -> None:
    """Remove a handler. Raise ValueError for a function that is none."""
    before = sum(map(len, _for_api.values())) + len(_elementwise)
    for handlers in _for_api.values():
        handlers[:] = [pair for pair in handlers if pair[0] is not dispatch_target]
    _elementwise[:] = [pair for pair in _elementwise if pair[0] is not dispatch_target]
    if before == sum(map(len, _for_api.values())) + len(_elementwise):
        raise ValueError(f"{dispatch_target!r} is not the handler of any function")


def _matches(value: object, kind: object) -> bool:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, argument) for argument in arguments)
    if origin in (list, tuple) or kind in (list, tuple):
        return isinstance(value, (list, tuple)) and all(_matches(v, k) for v in value for k in arguments[:1])
    return kind is Any or (isinstance(kind, type) and isinstance(value, kind))


def holds_extension(values: Sequence[Any]) -> bool:
    """Return True if an ExtensionType is among the arguments, or in a list among them."""
    return any(
        isinstance(x, ExtensionType)
        or (isinstance(x, (list, tuple)) and any(isinstance(part, ExtensionType) for part in x))
        for x in values
    )


def _with_options(fn: Callable[..., Any], more: Sequence[Any], rest: dict[str, Any]) -> Callable[..., Any]:
    return lambda *xs, **options: fn(*xs, *more, **{**rest, **options})


def dispatched(name: str, fn: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Tree:
    """Call the handler of a function of `tf` for these arguments.

    Raises:
        TypeError: If there is none.
    """
    for handler, kinds in reversed(_for_api.get(inspect.unwrap(fn), [])):
        try:
            bound = inspect.signature(handler).bind(*args, **kwargs)
        except TypeError:
            continue
        values = bound.arguments
        if all(_matches(values[key], kind) for key, kind in kinds.items() if key in values):
            return handler(*args, **kwargs)
    count = 1 if name in _UNARY else 2 if name in _BINARY else 0
    operands = [*args, *kwargs.values()][:count]
    keys = list(kwargs)[: max(count - len(args), 0)]
    for handler, kinds in reversed(_elementwise):
        if count == len(kinds) == len(operands) and all(map(_matches, operands, kinds)):
            rest = {key: value for key, value in kwargs.items() if key not in keys}
            return handler(_with_options(fn, args[count:], rest), *operands)
    kinds_here = sorted({type(x).__name__ for x in (*args, *kwargs.values()) if holds_extension([x])})
    raise TypeError(
        f"tf.{name} does not take {', '.join(kinds_here)}: pass its tensors, or say what the function does "
        "with it by tf.experimental.dispatch_for_api"
    )
