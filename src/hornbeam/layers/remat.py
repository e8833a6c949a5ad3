"""Layers created inside a `RematScope`: their calls recompute inner values in the backward pass."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam._internal.typing import Tree
from hornbeam.core.grad import checkpoint
from hornbeam.core.symbolic import infer_types
from hornbeam.layers.tracking import sublayers

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


def wants_remat(layer: Layer, bound: inspect.BoundArguments) -> bool:
    """True if a call of this layer recomputes its inner values. Layers of layers leave it to their parts."""
    scope = layer._hb_remat
    assert scope is not None
    if scope.mode in (None, "activations") or sublayers(layer):
        return False
    if scope.mode == "larger_than":
        losses = layer._losses
        outputs = infer_types(layer.call, bound.args, bound.kwargs)
        layer._losses = losses  # losses added while shapes are inferred do not count
        sizes = [math.prod(spec[0]) for spec in outputs.leaves if isinstance(spec, tuple)]
        return sum(sizes) > scope.output_size_threshold
    return scope.mode == "full" or layer.name in scope.layer_names


def rematerialized(layer: Layer, run: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `run`, the layer's `call`, in `checkpoint`; losses that it adds are outputs of the function."""

    def body(*args: Any, **kwargs: Any) -> Tree:
        count = len(layer._losses)
        return run(*args, **kwargs), list(layer._losses[count:])

    def call(*args: Any, **kwargs: Any) -> Tree:
        losses = layer._losses
        outputs, added = checkpoint(body)(*args, **kwargs)
        layer._losses = (*losses, *added)
        return outputs

    return call
