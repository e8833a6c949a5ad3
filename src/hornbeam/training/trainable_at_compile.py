"""`trainable` as it was at `compile()`, for programs that rely on Keras 2's way to train GANs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hornbeam._internal import warning_policy
from hornbeam.layers.weights import flatten_layers, set_own_trainable
from hornbeam.training.steps import training_state


def changed_layers(model: Any) -> list[Any]:
    """Return the layers with weights whose `trainable` is another than at `compile()`."""
    before = training_state(model).trainable
    return [
        layer
        for layer in flatten_layers(model)
        if layer in before and before[layer] != layer.trainable and layer.weights
    ]


def keeps_compiled(model: Any) -> bool:
    """True if training ignores what was changed after `compile()`, which the warning policy decides."""
    return bool(changed_layers(model)) and warning_policy.keeps_trainable_of_compile(model)


@contextmanager
def trainable_as_compiled(model: Any) -> Iterator[None]:
    """Restore `trainable` of `compile()` for the duration of a block, if the warning policy says so."""
    if not keeps_compiled(model):
        yield
        return
    before = training_state(model).trainable
    changed = {layer: layer.trainable for layer in flatten_layers(model) if layer in before}
    for layer in changed:
        set_own_trainable(layer, before[layer])
    try:
        yield
    finally:
        for layer, value in changed.items():
            set_own_trainable(layer, value)


def accept_trainable(model: Any) -> None:
    """Make the present `trainable` of the layers those of `compile()`: a training itself changed them."""
    for layer in flatten_layers(model):
        training_state(model).trainable[layer] = layer.trainable
