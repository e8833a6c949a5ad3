"""Layers that run another layer along time: Bidirectional both ways, TimeDistributed at every step."""

from __future__ import annotations

from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_choice
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import ShapeError
from hornbeam.layers.call import call_signature
from hornbeam.layers.core import Wrapper
from hornbeam.layers.layer import Layer


@exported("keras.layers")
class Bidirectional(Layer):
    """A recurrent layer run forwards and, with weights of its own, backwards, and the two outputs merged.

    layer: an RNN, or a layer with `go_backwards`, `return_sequences`, `return_state`. merge_mode: "concat",
    "sum", "mul", "ave" or None (a list of both). backward_layer: another layer for the way back; it must have
    the other `go_backwards` and the same `return_sequences`. With return_state the states of both follow the
    output. With return_sequences the output at masked steps is 0. (Schuster and Paliwal 1997)

    Raises ValueError for other layers, modes, or layers that do not go together.

    >>> hornbeam.layers.Bidirectional(hornbeam.layers.LSTM(4))(np.ones((2, 5, 3))).shape
    (2, 8)
    """

    _not_in_config = frozenset({"weights"})

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        needed = ("go_backwards", "return_sequences", "return_state")
        for one in (layer, backward_layer):
            if one is not None and not (
                isinstance(one, Layer) and all(hasattr(one, name) for name in needed)
            ):
                raise ValueError(
                    f"Bidirectional: {one!r} is no recurrent layer: it needs {', '.join(needed)}"
                )
        super().__init__(**kwargs)
        self.merge_mode = check_choice(
            "merge_mode", merge_mode, ("sum", "mul", "ave", "concat", None), where="Bidirectional"
        )
        config = serialize(layer)
        # A twin, so that the layer that was given stays as it is.
        self.forward_layer = _twin(config, f"forward_{layer.name.removeprefix('forward_')}")
        if backward_layer is None:
            self.backward_layer = _twin(
                config, f"backward_{layer.name.removeprefix('forward_')}", go_backwards=not layer.go_backwards
            )
        else:
            self.backward_layer = backward_layer
        for name in needed[1:]:
            if getattr(self.forward_layer, name) != getattr(self.backward_layer, name):
                raise ValueError(f"Bidirectional: layer and backward_layer differ in {name}")
        if self.forward_layer.go_backwards == self.backward_layer.go_backwards:
            raise ValueError("Bidirectional: layer and backward_layer must have opposite go_backwards")
        self.return_sequences = layer.return_sequences
        for one in (self.forward_layer, self.backward_layer):
            if hasattr(one, "zero_output_for_mask"):
                one.zero_output_for_mask = self.return_sequences
        self.return_state = layer.return_state
        self.stateful = getattr(layer, "stateful", False)
        self.supports_masking = True
        self.input_spec = layer.input_spec
        if weights is not None:
            half = len(weights) // 2
            self._initial = (list(weights[:half]), list(weights[half:]))

    @property
    def layer(self) -> Layer:
        """The forward layer."""
        return self.forward_layer

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        for index, layer in enumerate((self.forward_layer, self.backward_layer)):
            if not layer.built:
                layer.build(sequences_shape)
            if "_initial" in self.__dict__:
                layer.set_weights(self._initial[index])

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = None
    ) -> Any:
        half = None if initial_state is None else len(initial_state) // 2
        starts = (None, None) if half is None else (list(initial_state[:half]), list(initial_state[half:]))
        forward, backward = (
            layer(sequences, initial_state=start, mask=mask, training=training)
            for layer, start in zip((self.forward_layer, self.backward_layer), starts, strict=True)
        )
        states: tuple[Any, ...] = ()
        if self.return_state:
            states = (*forward[1:], *backward[1:])
            forward, backward = forward[0], backward[0]
        if self.return_sequences:
            backward = ops.flip(backward, 1)
        merged = self._merge(forward, backward)
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    def _merge(self, forward: Tensor, backward: Tensor) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        if self.merge_mode == "sum":
            return forward + backward
        if self.merge_mode == "ave":
            return (forward + backward) / 2
        if self.merge_mode == "mul":
            return forward * backward
        return (forward, backward)

    def reset_state(self) -> None:
        """Zeros into the states of stateful layers."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask if self.return_sequences and not isinstance(mask, (list, tuple)) else None
        outputs = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            return outputs + [None] * (2 * 3)
        return outputs if self.merge_mode is None else mask

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Bidirectional:
        config = dict(config)
        for name in ("layer", "backward_layer"):
            if isinstance(config.get(name), dict):
                config[name] = deserialize(config[name])
        return cls(**config)


def _twin(config: dict[str, Any], name: str, **changes: Any) -> Any:
    return deserialize(
        {**config, "build_config": None, "config": {**config["config"], "name": name, **changes}}
    )


@exported("keras.layers")
class TimeDistributed(Wrapper):
    """y[:, t] = layer(x[:, t]) at every step t, with the same weights: x (batch, steps, ...) -> y (batch,
    steps, ...).

    Steps and batch become one axis for the layer. A mask (batch, steps) is handed on.

    Raises ShapeError for an input of rank below 3, ValueError if `layer` is no Layer.

    >>> layer = hornbeam.layers.TimeDistributed(hornbeam.layers.Dense(4))
    >>> layer(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3:
            raise ShapeError(
                f"{self.describe()} expects an input (batch, steps, ...), it got shape {tuple(input_shape)}"
            )
        if not self.layer.built:
            self.layer.build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Any = None) -> Any:
        batch, steps = inputs.shape[:2]
        kwargs: dict[str, Any] = {}
        if mask is not None and "mask" in call_signature(type(self.layer).call).names and mask.ndim > 2:
            kwargs["mask"] = ops.reshape(mask, (batch * steps, *mask.shape[2:]))
        flat = ops.reshape(inputs, (batch * steps, *inputs.shape[2:]))
        outputs = self.layer(flat, training=training, **kwargs)
        return ops.reshape(outputs, (batch, steps, *outputs.shape[1:]))
