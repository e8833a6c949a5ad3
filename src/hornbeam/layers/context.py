"""State of layer calls that are running in this thread: the training flag, hooks, shapes-only mode."""

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
    """Return the context of the call that is running in this thread, or None."""
    return getattr(_local, "context", None)


@contextmanager
def call_context(layer: Any) -> Iterator[CallContext]:
    """Enter the running context, or a new one if `layer` is the outermost; restore `training` at the end.

    Values that a layer reads, or computes in order to assign them, keep their graph, so that gradients can
    be taken through them.
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


# Called as `hook(layer, run)` in place of `run()`, the layer's `call`; returns the outputs of `run()`.
CallHook = Callable[[Any, Callable[[], Any]], Any]


@contextmanager
def layer_call_hook(hook: CallHook) -> Iterator[None]:
    """Run the calls of all layers in this thread through `hook`."""
    outer = current_call_hook()
    _local.call_hook = hook
    try:
        yield
    finally:
        _local.call_hook = outer


def current_call_hook() -> CallHook | None:
    return getattr(_local, "call_hook", None)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Create weights as zeros: only their shapes are needed, and no random state may be consumed."""
    outer = is_shapes_only()
    _local.shapes_only = True
    try:
        yield
    finally:
        _local.shapes_only = outer


def is_shapes_only() -> bool:
    return getattr(_local, "shapes_only", False)
