"""Checks that what a `call` uses belongs to the layer: only then it is trained and saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hornbeam._internal.warn import warn_user
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.layers.context import CallContext, current_context, is_shapes_only
from hornbeam.layers.tracking import own_variables
from hornbeam.layers.weights import flatten_layers

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


def note_new_layer(layer: Layer) -> None:
    """Record a layer that is created while the `call` of another one runs."""
    context = current_context()
    if context is not None and context.callers and not is_shapes_only():
        context.layers.append(layer)


@contextmanager
def building() -> Iterator[None]:
    """Forget what is created inside: build() may create what it likes."""
    context = current_context()
    if context is None:
        yield
        return
    counts = len(context.layers), len(context.variables)
    yield
    del context.layers[counts[0] :], context.variables[counts[1] :]


def run_call(context: CallContext, layer: Layer, run: Callable[[], Any]) -> Any:
    """Run a layer's `call`. Raises ValueError if it creates weights that the layer does not own."""
    counts = len(context.layers), len(context.variables)
    context.callers.append(layer)
    try:
        outputs = run()
        if (len(context.layers), len(context.variables)) != counts:
            _check_created(context, layer, *counts)
    finally:
        context.callers.pop()
    return outputs


def _check_created(context: CallContext, caller: Layer, layers: int, variables: int) -> None:
    # Layers without weights, as Add()([x, y]), may be created in each call: most calls that create any.
    created = [x for x in context.layers[layers:] if _has_trainable_weights(x)]
    added = [v for v in context.variables[variables:] if v.trainable]
    if not created and not added:
        return
    owned = _owned_layers(context)
    weights = {v for layer in owned for v in own_variables(layer)}
    for layer in created:
        # A layer around one that is owned, as RNN(self.cell), has no weights of its own.
        if layer not in owned and any(v.trainable and v not in weights for v in layer.weights):
            raise ValueError(
                f"{caller.describe()}: its call() creates the layer {layer.name!r} "
                f"({type(layer).__name__}), with new weights in each call, which are neither trained nor "
                "saved: create it in __init__() or build(), and assign it to an attribute of self"
            )
    known = {v for layer in (*owned, *context.layers) for v in own_variables(layer)}
    for variable in added:
        if variable not in known:
            raise ValueError(
                f"{caller.describe()}: its call() creates the variable {variable.name!r}, anew in each call, "
                "which is neither trained nor saved: create it in __init__() or build() with "
                "self.add_weight(), or with trainable=False"
            )


def _has_trainable_weights(layer: Layer) -> bool:
    return any(v.trainable for v in layer.weights)


def _owned_layers(context: CallContext) -> dict[Layer, None]:
    """Return the layers whose call is running, and all that belong to them."""
    return dict.fromkeys(part for caller in context.callers for part in flatten_layers(caller))


def warn_if_unowned(layer: Layer) -> None:
    """Warn of a layer that gets its weights in the `call` of one that does not own it."""
    context = current_context()
    if context is None or not context.callers or id(layer) in context.owned or is_shapes_only():
        return
    if not _has_trainable_weights(layer):
        return
    context.owned = {id(part) for part in _owned_layers(context)}
    if id(layer) in context.owned or any(part is layer for part in context.layers):
        return
    weights = {v for part in _owned_layers(context) for v in own_variables(part)}
    if any(v.trainable and v not in weights for v in layer.weights):
        warn_user(
            f"{context.callers[-1].describe()} uses {layer.describe()}, which is not found in its attributes "
            "(nor in lists or dicts there), so that fit() does not train it and save() does not save it: "
            "assign it to an attribute of self in __init__()",
            LikelyMistakeWarning,
        )
