"""`trainable` as it was at `compile()`, for programs that rely on Keras 2's way to train GANs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hornbeam._internal import warning_policy


def changed_layers(model: Any) -> list[Any]:
    """Return the layers with weights whose `trainable` is another than at `compile()`."""
    before = model._hb_trainer.trainable
    return [
        layer
        for layer in model._flatten_layers()
        if layer in before and before[layer] != layer._trainable and layer.weights
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
    before = model._hb_trainer.trainable
    changed = {layer: layer._trainable for layer in model._flatten_layers() if layer in before}
    for layer in changed:
        layer._set_own_trainable(before[layer])
    try:
        yield
    finally:
        for layer, value in changed.items():
            layer._set_own_trainable(value)


def accept_trainable(model: Any) -> None:
    """Make the present `trainable` of the layers those of `compile()`: a training itself changed them."""
    for layer in model._flatten_layers():
        model._hb_trainer.trainable[layer] = layer._trainable
