"""Callbacks that every `fit` of a block gets, for those who follow trainings that they do not start."""

from __future__ import annotations

from contextvars import ContextVar

from hornbeam._internal.context import context_variable, override
from hornbeam.training.callbacks.base import Callback

_added: ContextVar[tuple[Callback, ...]] = context_variable("added_callbacks", ())


def added_callbacks(*callbacks: Callback) -> override[tuple[Callback, ...]]:
    """Add callbacks to those of each `fit` that begins in the block."""
    return override(_added, (*_added.get(), *callbacks))


def current_added_callbacks() -> tuple[Callback, ...]:
    """Return the callbacks that a `fit` which begins now has to add."""
    return _added.get()
