"""Layers made inside a `RematScope`: their calls compute inner values again in the derivative."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam.core.grad import checkpoint
from hornbeam.core.symbolic import infer_types

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


def wants_remat(layer: Layer, bound: inspect.BoundArguments) -> bool:
    """Whether a call of this layer is to compute its inner values again. Layers of layers leave it to
    those."""
    scope = layer._remat
    assert scope is not None
    if scope.mode in (None, "activations") or layer._sublayers():
        return False
    if scope.mode == "larger_than":
        before = layer._losses
        found = infer_types(layer.call, bound.args, bound.kwargs)
        layer._losses = before  # a trial run's losses are nobody's
        return (
            sum(math.prod(x[0]) for x in found.leaves if isinstance(x, tuple)) > scope.output_size_threshold
        )
    return scope.mode == "full" or layer.name in scope.layer_names


def rematerialized(layer: Layer) -> Callable[..., Any]:
    """The layer's `call`, wrapped; losses that it adds come out with its outputs."""

    def body(*args: Any, **kwargs: Any) -> Any:
        before = len(layer._losses)
        return layer.call(*args, **kwargs), list(layer._losses[before:])

    def call(*args: Any, **kwargs: Any) -> Any:
        before = layer._losses
        outputs, added = checkpoint(body)(*args, **kwargs)
        layer._losses = (*before, *added)
        return outputs

    return call
