"""Dispatch of operations: called on symbolic tensors they are recorded instead of run, on sparse tensors
computed by rules of their own, and on values that a host library traces they return such values."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn, TypeVar

from hornbeam._internal.call_errors import complete_message
from hornbeam.core.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def _no_symbolic_call(*args: object) -> NoReturn:
    raise RuntimeError("symbolic tensors exist only where hornbeam.core.symbolic is imported")


_symbolic_call: Callable[..., Any] = _no_symbolic_call


def set_symbolic_call(handler: Callable[..., Any]) -> None:
    """Let `handler(fn, args, kwargs)` record operations on symbolic tensors."""
    global _symbolic_call
    _symbolic_call = handler


def _no_mark(*args: object) -> None:
    raise RuntimeError("sparse tensors exist only where hornbeam.core.sparse is imported")


_mark_sparse: Callable[..., None] = _no_mark


def _dense_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)


_sparse_call: Callable[..., Any] = _dense_call


def set_sparse_call(handler: Callable[..., Any], mark: Callable[..., None]) -> None:
    """Let `handler(fn, args, kwargs)` compute operations on sparse tensors.

    `mark(fn, args, kwargs, result)` notes whether the symbolic result of an operation is sparse.
    """
    global _sparse_call, _mark_sparse
    _sparse_call, _mark_sparse = handler, mark


def _no_host(*args: object) -> NoReturn:
    raise RuntimeError("no host library traces operations: see hornbeam.interop.register_jax")


class HostTracing(NamedTuple):
    """A host library whose transformations trace our operations on its engine.

    Attributes:
        types: Classes of the values that it traces.
        arrays: Classes of its arrays, traced or not.
        to_tensor: Makes a Tensor of such a value.
        call: `call(fn, args, kwargs)` calls a function with tensors in place of these values, and returns its
            results as values of the library.
        value: Makes a value of the library of a Tensor.
        jit: Compiles a function of values of the library.
    """

    types: tuple[type, ...] = ()
    arrays: tuple[type, ...] = ()
    to_tensor: Callable[[Any], Tensor] = _no_host
    call: Callable[..., Any] = _no_host
    value: Callable[[Tensor], Any] = _no_host
    jit: Callable[[Callable[..., Any]], Callable[..., Any]] = _no_host


_host_tracing = HostTracing()


def set_host_tracing(tracing: HostTracing) -> None:
    """Let operations take values that a host library traces."""
    global _host_tracing
    _host_tracing = tracing


def host_tracing() -> HostTracing:
    """Return the host library whose transformations trace operations; one without types if there is none."""
    return _host_tracing


def has_host_traced(values: Iterable[object]) -> bool:
    """Return True if `values`, or lists, tuples or dicts among them, contain a value that a host traces."""
    for value in values:
        if isinstance(value, _host_tracing.types):
            return True
        if isinstance(value, (list, tuple)) and has_host_traced(value):
            return True
        if isinstance(value, dict) and has_host_traced(value.values()):
            return True
    return False


def operation(fn: F) -> F:
    """Make a function on Tensors an operation: with a symbolic argument its call is recorded."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if _has_special(args) or (kwargs and _has_special(kwargs.values())):
                if not (has_symbolic(args) or has_symbolic(kwargs.values())):
                    traced = has_host_traced(args) or has_host_traced(kwargs.values())
                    return (_host_tracing.call if traced else _sparse_call)(fn, args, kwargs)
                result = _symbolic_call(fn, args, kwargs)
                _mark_sparse(fn, args, kwargs, result)
                return result
            return fn(*args, **kwargs)
        except TypeError as error:
            complete_message(error, fn)
            raise

    return call  # type: ignore[return-value]


def _has_special(values: Iterable[object]) -> bool:
    """Return True if `values`, or lists, tuples or dicts among them, contain a tensor with rules of its own.

    These are symbolic and sparse tensors, and values that a host library traces.
    """
    # Hot: runs for every operation of eager code.
    for value in values:
        if isinstance(value, Tensor):
            if type(value) is not Tensor and (value.symbolic or value.sparse):
                return True
        elif isinstance(value, (list, tuple)):
            if _has_special(value):
                return True
        elif isinstance(value, dict):
            if _has_special(value.values()):
                return True
        elif isinstance(value, _host_tracing.types):
            return True
    return False


def has_symbolic(values: Iterable[object]) -> bool:
    """Return True if `values`, or lists, tuples or dicts among them, contain a KerasTensor."""
    for value in values:
        if isinstance(value, Tensor):
            if value.symbolic:
                return True
        elif isinstance(value, (list, tuple)):
            if has_symbolic(value):
                return True
        elif isinstance(value, dict) and has_symbolic(value.values()):
            return True
    return False
