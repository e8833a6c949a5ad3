"""State of the code that is running: values of `with` blocks, and settings of threads.

Every such value of the library is declared here, so that no state is hidden and tests can reset all of it.

- `context_variable` declares a value that a `with override(variable, value)` block changes. An asyncio task
  inherits the values at its creation, and its own changes stay in it. A thread begins with the defaults.
- `ThreadSetting` declares a value that holds until the thread sets another. A context variable would not do:
  a notebook may run each cell in a context of its own, in which the values set by earlier cells are lost.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_defaults: dict[ContextVar[Any], Any] = {}
_settings: list[ThreadSetting[Any]] = []
_UNSET: Any = object()


def context_variable(name: str, default: T) -> ContextVar[T]:
    """Declare a context variable. Its default is shared by all contexts and must not be modified."""
    variable = ContextVar(name, default=default)
    _defaults[variable] = default
    return variable


class override(Generic[T]):
    """Set a context variable inside a `with` block; the outer value is restored at its end.

    It takes half the time of a generator with `contextmanager`, which matters in the call of a layer.
    """

    __slots__ = ("_outer", "_value", "_variable")

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> T:
        self._outer = self._variable.get()
        self._variable.set(self._value)
        return self._value

    def __exit__(self, *exc: object) -> None:
        # No token: it could not be used where a generator is closed in another context than it was started.
        self._variable.set(self._outer)


class _PerThread(threading.local):
    """A value of each thread; `__init__` runs once in each of them."""

    def __init__(self, value: Any) -> None:
        self.value = value


class ThreadSetting(Generic[T]):
    """A value of each thread that holds until it is set again.

    Args:
        name: Name for messages.
        default: Value of threads that have not set another. All threads share it: it must not be modified.
    """

    def __init__(self, name: str, default: T) -> None:
        self._default = default
        self._thread = _PerThread(default)
        self._block: ContextVar[T] = context_variable(name, _UNSET)
        # Most settings never change; those that every call of a function reads take no time until then.
        self.changed = False
        _settings.append(self)

    def get(self) -> T:
        """Return the value of the innermost `scope`, else that of this thread."""
        if not self.changed:
            return self._default
        value = self._block.get()
        return self._thread.value if value is _UNSET else value

    def set(self, value: T) -> None:
        """Set the value of the innermost `scope`, until its end, else that of this thread."""
        self.changed = True
        if self._block.get() is _UNSET:
            self._thread.value = value
        else:
            self._block.set(value)

    def scope(self, value: T) -> override[T]:
        """Set the value inside a `with` block, as `override` does for a context variable."""
        self.changed = True
        return override(self._block, value)

    def reset(self) -> None:
        """Return to the default in this thread."""
        self._thread.value = self._default


def open_overrides() -> list[str]:
    """Return the names of the context variables that differ from their defaults."""
    return [variable.name for variable, default in _defaults.items() if variable.get() is not default]


def reset_state() -> None:
    """Return to the defaults of all context variables and settings, in this context and thread."""
    for variable, default in _defaults.items():
        if variable.get() is not default:
            variable.set(default)
    for setting in _settings:
        setting.reset()
