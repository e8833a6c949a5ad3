"""What layers share during one call: the training flag, who watches, and where shapes alone matter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hornbeam.core.lazy import retain_graph

_local = threading.local()


class CallContext:
    """State of the outermost layer call and everything inside it."""

    def __init__(self, entry_layer: Any) -> None:
        self.entry_layer = entry_layer
        self.training: bool | None = None


def current_context() -> CallContext | None:
    """The context of the call that is running in this thread."""
    return getattr(_local, "context", None)


@contextmanager
def call_context(layer: Any) -> Iterator[CallContext]:
    """The running context, or a new one if `layer` is the outermost; the training flag is put back at the
    end.

    What a layer reads, or computes in order to assign it, keeps its history: gradients are taken through it.
    """
    outer = current_context()
    if outer is None:
        with retain_graph():
            _local.context = context = CallContext(layer)
            try:
                yield context
            finally:
                _local.context = None
        return
    training = outer.training
    try:
        yield outer
    finally:
        outer.training = training


# Called as `watcher(layer, run)` in place of `run()`, the layer's `call`; returns what it returns.
Watcher = Callable[[Any, Callable[[], Any]], Any]


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Inside, and in this thread, `watcher` sees every layer that is run."""
    outer = current_watcher()
    _local.watcher = watcher
    try:
        yield
    finally:
        _local.watcher = outer


def current_watcher() -> Watcher | None:
    return getattr(_local, "watcher", None)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Weights made inside are zeros: only their shapes will be looked at, and no random state may be used
    up.
    """
    outer = only_shapes()
    _local.shapes_only = True
    try:
        yield
    finally:
        _local.shapes_only = outer


def only_shapes() -> bool:
    return getattr(_local, "shapes_only", False)
