"""Attributes and arguments of layers that Keras 3 removed."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hornbeam import Layer, Tensor, ops, tree
from hornbeam.extensions.tracing import Running
from hornbeam.layers import RNN, BatchNormalization, Dropout
from hornbeam_compat.legacy_api.trainable import asks_for_keras2
from hornbeam_compat.messages import log_deprecated, log_once
from hornbeam_compat.patch import Patch

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import Tree


class _Shape:
    """`layer.output_shape` and `layer.input_shape`. An attribute that a subclass sets comes first.

    Args:
        end: "input" or "output".
    """

    def __init__(self, end: str) -> None:
        self._end = end

    def __get__(self, layer: Layer | None, owner: type | None = None) -> Tree:
        if layer is None:
            return self
        log_deprecated(f"layer.{self._end}_shape", f"layer.{self._end}.shape")
        return tree.map_structure(lambda x: tuple(x.shape), getattr(layer, self._end))


def get_output_at(self: Layer, node_index: int) -> Tree:
    """Return the output of one of the calls of a layer."""
    log_deprecated("layer.get_output_at(i)", "layer.output, or the tensor that the call returned")
    return self._hb_inbound[node_index].result


def get_input_at(self: Layer, node_index: int) -> Tree:
    """Return the input of one of the calls of a layer."""
    log_deprecated("layer.get_input_at(i)", "layer.input, or the tensor that the layer was called on")
    inputs = self._hb_inbound[node_index].inputs
    return inputs[0] if len(inputs) == 1 else list(inputs)


def patches() -> Iterator[Patch]:
    """Yield patches for layers."""
    yield Patch(Layer, "output_shape", _Shape("output"))
    yield Patch(Layer, "input_shape", _Shape("input"))
    yield Patch(Layer, "get_output_at", get_output_at)
    yield Patch(Layer, "get_input_at", get_input_at)
    yield Patch(RNN, "__init__", _accept_time_major(RNN.__init__))
    yield Patch(RNN, "call", _swap_axes(RNN.call))
    yield Patch(Layer, "_refuse_if_locked", _accept_late_sublayers(Layer._refuse_if_locked))
    for layer in (BatchNormalization, Dropout):
        yield Patch(layer, "call", _in_phase(layer.call))
    yield Patch(BatchNormalization, "_moments", _count_samples(BatchNormalization._moments))
    update = BatchNormalization._update_statistics
    yield Patch(BatchNormalization, "_update_statistics", _as_fused(update))


def _accept_time_major(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def wrapper(self: RNN, *args: object, time_major: bool = False, **kwargs: object) -> None:
        if time_major:
            log_deprecated("time_major=True", "ops.swapaxes(x, 0, 1) before and after the layer")
        init(self, *args, **kwargs)
        vars(self)["_time_major"] = time_major

    return wrapper


def _swap_axes(call: Callable[..., Tree]) -> Callable[..., Tree]:
    """Let layers with `time_major=True` take and return sequences of shape (time, batch, ...)."""

    @functools.wraps(call)
    def wrapper(self: RNN, sequences: Tensor, *args: object, **kwargs: Any) -> Tree:
        if not getattr(self, "_time_major", False):
            return call(self, sequences, *args, **kwargs)
        if kwargs.get("mask") is not None:
            kwargs["mask"] = ops.swapaxes(kwargs["mask"], 0, 1)
        result = call(self, ops.swapaxes(sequences, 0, 1), *args, **kwargs)
        if not self.return_sequences:
            return result
        if self.return_state:
            return [ops.swapaxes(result[0], 0, 1), *result[1:]]
        return ops.swapaxes(result, 0, 1)

    return wrapper


def _accept_late_sublayers(refuse: Callable[..., None]) -> Callable[..., None]:
    """Let the first `call` create sublayers, as Keras does; not another one in the place of a first."""

    @functools.wraps(refuse)
    def wrapper(self: Layer, name: str, value: object) -> None:
        if vars(self).get(name):
            refuse(self, name, value)
        elif self._hb_locked:
            log_once(f"{type(self).__name__}.{name} is set after {self.name!r} is built, not in __init__()")

    return wrapper


def _in_phase(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let `super().call(x)` of a subclass follow the mode of the model, as Keras 2 did; Keras 3 infers."""

    @functools.wraps(call)
    def wrapper(self: Layer, inputs: Tensor, training: bool | None = None, **kwargs: object) -> Tensor:
        context = Running.layer_call()
        if training is None and context is not None and asks_for_keras2():
            training = context.training
        return call(self, inputs, training=training, **kwargs)

    return wrapper


def _count_samples(moments: Callable[..., Tree]) -> Callable[..., Tree]:
    @functools.wraps(moments)
    def wrapper(self: BatchNormalization, x: Tensor, axis: int, mask: Tensor | None) -> Tree:
        vars(self)["_samples"] = math.prod(x.shape) // x.shape[axis] if x.ndim in (4, 5) else None
        return moments(self, x, axis, mask)

    return wrapper


def _as_fused(update: Callable[..., None]) -> Callable[..., None]:
    """Move the variance of n samples as the fused kernel of Keras 2 did: times n / (n - 1)."""

    @functools.wraps(update)
    def wrapper(self: BatchNormalization, mean: Tensor, variance: Tensor) -> None:
        n = vars(self).pop("_samples", None)
        is_fused = n is not None and not self.renorm and not self.synchronized and asks_for_keras2()
        update(self, mean, variance * (n / max(n - 1, 1)) if n is not None and is_fused else variance)

    return wrapper
