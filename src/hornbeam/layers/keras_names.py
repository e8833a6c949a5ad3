"""Attributes of layers that are private in Keras and that packages use all the same."""

from __future__ import annotations

import inspect
from typing import Any

from hornbeam.core.keras_names import Computed
from hornbeam.layers.tracking import own_variables, sublayers


class _Tracker:
    """Parts of Keras's tracker that packages use: to add state to a layer, also after it is built."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    @property
    def locked(self) -> bool:
        """True if the layer takes no further state."""
        return self._layer._hb_locked

    def unlock(self) -> None:
        """Let a built layer take further state."""
        self._layer._hb_locked = False

    def lock(self) -> None:
        """Let the layer refuse further state."""
        self._layer._hb_locked = True

    def track(self, value: Any) -> Any:
        """Count a variable, layer or metric, or a container of some, as state of the layer, and return it."""
        self._layer._hb_attributes[f"tracked_{id(value)}"] = value
        return value


def _takes(layer: Any, argument: str) -> bool:
    return argument in inspect.signature(type(layer).call).parameters


class KerasNames:
    """Base of `Layer` for names of Keras's own; a subclass may use each for something else."""

    # False in layers whose `call` takes its arguments as they are, such as lists of strings.
    _convert_input_args = True
    # Set by such layers. Here all layers take other values than tensors by position.
    _allow_non_tensor_positional_args = False

    _layers = Computed(lambda layer: sublayers(layer))
    _metrics = Computed(lambda layer: layer._own_metrics())
    _trainable_variables = Computed(
        lambda layer: [v for v, trainable in own_variables(layer).items() if trainable]
    )
    _non_trainable_variables = Computed(
        lambda layer: [v for v, trainable in own_variables(layer).items() if not trainable]
    )
    _tracker = Computed(_Tracker)
    _build_shapes_dict = Computed(
        lambda layer: None if layer._build_shapes is None else dict(layer._build_shapes.shapes)
    )
    _call_has_training_arg = Computed(lambda layer: _takes(layer, "training"))
    _call_has_mask_arg = Computed(lambda layer: _takes(layer, "mask"))
    _call_has_context_arg = Computed(lambda layer: {"training": _takes(layer, "training")})

    def _post_build(self) -> None:
        """Called when the layer is built, before it refuses further state; subclasses may define it."""
