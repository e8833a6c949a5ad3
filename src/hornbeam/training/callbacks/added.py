"""Callbacks that every `fit` of a block or thread gets, to follow trainings that others start."""

from __future__ import annotations

from contextvars import ContextVar

from hornbeam._internal.context import ThreadSetting, context_variable, override
from hornbeam.training.callbacks.base import Callback

_added: ContextVar[tuple[Callback, ...]] = context_variable("added_callbacks", ())
_lasting: ThreadSetting[tuple[Callback, ...]] = ThreadSetting("callbacks_of_every_fit", ())


def added_callbacks(*callbacks: Callback) -> override[tuple[Callback, ...]]:
    """Add callbacks to those of each `fit` that begins in the block."""
    return override(_added, (*_added.get(), *callbacks))


def add_to_every_fit(callback: Callback) -> None:
    """Add a callback to those of each `fit` that this thread begins."""
    _lasting.set((*_lasting.get(), callback))


def remove_from_every_fit(kind: type[Callback]) -> None:
    """Undo `add_to_every_fit` for the callbacks of a class."""
    _lasting.set(tuple(callback for callback in _lasting.get() if not isinstance(callback, kind)))


def current_added_callbacks() -> tuple[Callback, ...]:
    """Return the callbacks that a `fit` which begins now has to add."""
    return (*_lasting.get(), *_added.get())
