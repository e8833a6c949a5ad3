"""Dispatch of operations by their arguments.

`operation` makes a function on Tensors an operation. Its call is

- recorded, with a symbolic tensor among the arguments (by `core/symbolic.py`),
- computed by rules for sparse tensors (by `core/sparse.py`),
- run by a host library that traces values among them, as `jax.grad` does (by `interop`),
- and else the function's own.

These modules need operations themselves, and so register their handlers here when they are imported.
"""

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
    """Register the handler that records operations on symbolic tensors: `handler(fn, args, kwargs)`."""
    global _symbolic_call
    _symbolic_call = handler


def _no_mark_sparse(*args: object) -> None:
    raise RuntimeError("sparse tensors exist only where hornbeam.core.sparse is imported")


_mark_sparse: Callable[..., None] = _no_mark_sparse


def _call_dense(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*args, **kwargs)


_sparse_call: Callable[..., Any] = _call_dense


def set_sparse_call(handler: Callable[..., Any], mark: Callable[..., None]) -> None:
    """Register the handlers of operations on sparse tensors.

    Args:
        handler: `handler(fn, args, kwargs)` returns the result of an operation.
        mark: `mark(fn, args, kwargs, result)` notes whether a symbolic result is sparse.
    """
    global _sparse_call, _mark_sparse
    _sparse_call, _mark_sparse = handler, mark


def _no_host_call(*args: object) -> NoReturn:
    raise RuntimeError("no host library traces operations: see hornbeam.interop.register_jax")


class HostTracing(NamedTuple):
    """A host library, such as JAX, whose transformations trace our operations on its engine.

    Attributes:
        types: Classes of the values that it traces, such as `jax.core.Tracer`.
        arrays: Classes of its arrays, traced or not.
        to_tensor: Convert an array, traced or not, to a Tensor.
        call: `call(fn, args, kwargs)` converts these values to tensors, calls the function, and converts its
            results back.
        value: Convert a Tensor to an array.
        jit: Compile a function of arrays.
    """

    types: tuple[type, ...] = ()
    arrays: tuple[type, ...] = ()
    to_tensor: Callable[[Any], Tensor] = _no_host_call
    call: Callable[..., Any] = _no_host_call
    value: Callable[[Tensor], Any] = _no_host_call
    jit: Callable[[Callable[..., Any]], Callable[..., Any]] = _no_host_call


_host_tracing = HostTracing()


def set_host_tracing(tracing: HostTracing) -> None:
    """Register the host library whose traced values operations take."""
    global _host_tracing
    _host_tracing = tracing


def host_tracing() -> HostTracing:
    """Return the registered host library; one without types if there is none."""
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
    """Decorate a function on Tensors as an operation, whose calls are dispatched by their arguments.

    The TypeError of a call with wrong arguments is completed by what was probably meant.
    """

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            if _needs_dispatch(args) or (kwargs and _needs_dispatch(kwargs.values())):
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


def _needs_dispatch(values: Iterable[object]) -> bool:
    """Return True if `values`, or lists, tuples or dicts among them, contain one that a handler is for.

    These are symbolic and sparse tensors, and values that a host library traces.
    """
    # Hot: runs for every operation of eager code, so one search for all kinds precedes those for each.
    for value in values:
        if isinstance(value, Tensor):
            if type(value) is not Tensor and (value.symbolic or value.sparse):
                return True
        elif isinstance(value, (list, tuple)):
            if _needs_dispatch(value):
                return True
        elif isinstance(value, dict):
            if _needs_dispatch(value.values()):
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
