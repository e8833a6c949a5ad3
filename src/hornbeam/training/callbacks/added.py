"""Callbacks that every `fit` of a block gets, for those who follow trainings that they do not start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from hornbeam.training.callbacks.base import Callback

_added: ContextVar[tuple[Callback, ...]] = ContextVar("added_callbacks", default=())


@contextmanager
def added_callbacks(*callbacks: Callback) -> Iterator[None]:
    """Add callbacks to those of each `fit` that begins in the block."""
    token = _added.set((*_added.get(), *callbacks))
    try:
        yield
    finally:
        _added.reset(token)


def current_added_callbacks() -> tuple[Callback, ...]:
    """Return the callbacks that a `fit` which begins now has to add."""
    return _added.get()
