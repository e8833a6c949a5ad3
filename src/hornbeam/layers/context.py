"""State of the layer calls that are running: the training flag, hooks, shapes-only mode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from hornbeam._internal.context import context_variable, override
from hornbeam._internal.origin import is_own
from hornbeam.core.lazy import retain_graph
from hornbeam.core.variable import Variable, collect_variables
from hornbeam.ir.types import is_float

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


class CallContext:
    """State of the outermost layer call and everything inside it."""

    def __init__(self, entry_layer: Layer) -> None:
        self.entry_layer = entry_layer
        self.training: bool | None = None
        # Layers whose `call` is running, outer ones first.
        self.callers: list[Layer] = []
        # What these calls create, besides what is created for a build().
        self.layers: list[Layer] = []
        self.variables: list[Variable] = []
        # Ids of layers that are known to belong to the callers.
        self.owned: set[int] = set()

    def weights_dtype(self, layer: Layer) -> str | None:
        """Return the dtype to which the weights of a layer are cast in `call`.

        With `autocast=False` they keep theirs, but for the outermost layer of a mixed policy: there Keras
        casts them all the same, and layers of users add them to activations.
        """
        if layer.autocast or is_own(type(layer)) or any(map(_is_mixed, self.callers)):
            return layer._autocast_dtype
        return layer.compute_dtype if _is_mixed(layer) and is_float(layer.compute_dtype) else None


def _is_mixed(layer: Layer) -> bool:
    return layer.compute_dtype != layer.variable_dtype


_context: ContextVar[CallContext | None] = context_variable("call of layers", None)


def current_context() -> CallContext | None:
    """Return the context of the call that is running, or None."""
    return _context.get()


@contextmanager
def call_context(layer: Layer) -> Iterator[CallContext]:
    """Enter the running context, or a new one if `layer` is the outermost; restore `training` at the end.

    Values that a layer reads, or computes in order to assign them, keep their graph, so that gradients can
    be taken through them.
    """
    outer = current_context()
    if outer is None:
        context = CallContext(layer)
        with retain_graph(), override(_context, context), collect_variables(context.variables):
            yield context
        return
    training = outer.training
    try:
        yield outer
    finally:
        outer.training = training


# Called as `hook(layer, run)` in place of `run()`, the layer's `call`; returns the outputs of `run()`.
CallHook = Callable[[Any, Callable[[], Any]], Any]


_call_hook: ContextVar[CallHook | None] = context_variable("hook of layer calls", None)
_shapes_only = context_variable("weights of zeros", False)


def layer_call_hook(hook: CallHook) -> override[CallHook | None]:
    """Run the calls of all layers through `hook`."""
    return override(_call_hook, hook)


def current_call_hook() -> CallHook | None:
    return _call_hook.get()


def shapes_only() -> override[bool]:
    """Create weights as zeros: only their shapes are needed, and no random state may be consumed."""
    return override(_shapes_only, True)


def is_shapes_only() -> bool:
    return _shapes_only.get()
