"""Wrappers along time: Bidirectional (both directions) and TimeDistributed (every step)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.typing import ArrayLike, PartialShape, ShapeTree, Tree
from hornbeam._internal.validation import check_choice
from hornbeam.core.registry import deserialize, exported, serialize
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Unpack
from hornbeam.ir.types import ShapeError
from hornbeam.layers.call import call_signature
from hornbeam.layers.core import Wrapper
from hornbeam.layers.layer import Layer, TensorsLayer
from hornbeam.layers.options import RegularizedLayerOptions


@exported("keras.layers")
class Bidirectional(TensorsLayer):
    """Run a recurrent layer forwards and, with other weights, backwards, and merge the outputs.

    With `return_state` the states of both directions follow the output. With `return_sequences` the output at
    masked steps is 0.

    Args:
        layer: An RNN, or another layer with `go_backwards`, `return_sequences` and `return_state`. It is
            copied.
        merge_mode: "concat", "sum", "mul", "ave", or None for a list of both outputs.
        weights: Initial weights of both layers, the forward ones first.
        backward_layer: Layer for the backward direction, with the opposite `go_backwards` and the same
            `return_sequences`; a copy of `layer` by default.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ValueError: If a layer is not recurrent, the mode is unknown, or the layers do not match.

    Example:
        >>> hornbeam.layers.Bidirectional(hornbeam.layers.LSTM(4))(np.ones((2, 5, 3))).shape
        (2, 8)

    Source: Schuster and Paliwal 1997.
    """

    _not_in_config = frozenset({"weights"})

    def __init__(
        self,
        layer: Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[ArrayLike] | None = None,
        backward_layer: Layer | None = None,
        **kwargs: Unpack[RegularizedLayerOptions],
    ) -> None:
        attributes = ("go_backwards", "return_sequences", "return_state")
        for candidate in (layer, backward_layer):
            if candidate is not None and not (
                isinstance(candidate, Layer) and all(hasattr(candidate, name) for name in attributes)
            ):
                if isinstance(candidate, type):
                    name = candidate.__name__
                    raise ValueError(f"Bidirectional: {name} is the class: write {name}(...)")
                raise ValueError(
                    f"Bidirectional: {candidate!r} is not a recurrent layer: it needs {', '.join(attributes)}"
                )
        super().__init__(**kwargs)
        self.merge_mode = check_choice(
            "merge_mode", merge_mode, ("sum", "mul", "ave", "concat", None), where="Bidirectional"
        )
        recurrent: Any = layer
        config = serialize(layer)
        # Copies, so that the argument itself does not change.
        self.forward_layer = _copy_of(config, f"forward_{recurrent.name.removeprefix('forward_')}")
        if backward_layer is None:
            self.backward_layer = _copy_of(
                config,
                f"backward_{recurrent.name.removeprefix('forward_')}",
                go_backwards=not recurrent.go_backwards,
            )
        else:
            self.backward_layer = backward_layer
        for name in attributes[1:]:
            if getattr(self.forward_layer, name) != getattr(self.backward_layer, name):
                raise ValueError(f"Bidirectional: layer and backward_layer differ in {name}")
        if self.forward_layer.go_backwards == self.backward_layer.go_backwards:
            raise ValueError("Bidirectional: layer and backward_layer must have opposite go_backwards")
        self.return_sequences = recurrent.return_sequences
        for direction in (self.forward_layer, self.backward_layer):
            if hasattr(direction, "zero_output_for_mask"):
                direction.zero_output_for_mask = self.return_sequences
        if hasattr(layer, "use_cudnn"):  # not part of its config
            self.forward_layer.use_cudnn = self.backward_layer.use_cudnn = layer.use_cudnn
        self.return_state = recurrent.return_state
        self.stateful = getattr(recurrent, "stateful", False)
        self.supports_masking = True
        self.input_spec = recurrent.input_spec
        if weights is not None:
            half = len(weights) // 2
            self._initial_weights = (list(weights[:half]), list(weights[half:]))

    @property
    def layer(self) -> Layer:
        """The forward layer."""
        return self.forward_layer

    def build(self, sequences_shape: PartialShape, initial_state_shape: ShapeTree = None) -> None:
        for index, layer in enumerate((self.forward_layer, self.backward_layer)):
            if not layer.built:
                layer.build(sequences_shape)
            if "_initial_weights" in self.__dict__:
                layer.set_weights(self._initial_weights[index])

    def call(
        self,
        sequences: Tensor,
        initial_state: Tree = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tree:
        half = None if initial_state is None else len(initial_state) // 2
        initial_states = (
            (None, None) if half is None else (list(initial_state[:half]), list(initial_state[half:]))
        )
        forward, backward = (
            layer(sequences, initial_state=state, mask=mask, training=training)
            for layer, state in zip((self.forward_layer, self.backward_layer), initial_states, strict=True)
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

    def _merge(self, forward: Tensor, backward: Tensor) -> Tensor | tuple[Tensor, Tensor]:
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
        """Set the states of stateful layers to zero."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs: Tree, mask: Tree = None) -> Tree:
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


def _copy_of(config: dict[str, Any], name: str, **changes: Any) -> Any:
    return deserialize(
        {**config, "build_config": None, "config": {**config["config"], "name": name, **changes}}
    )


@exported("keras.layers")
class TimeDistributed(Wrapper):
    """Apply a layer at every step, with the same weights: `y[:, t] = layer(x[:, t])`.

    Batch and steps are one axis for the layer. A mask (batch, steps, ...) is passed on, and to the layer if
    it takes one.

    Shapes: x (batch, steps, ...) -> y (batch, steps, ...).

    Args:
        layer: Layer to apply.
        **kwargs: Arguments of `Layer`: `name`, `dtype`, `trainable`, ...

    Raises:
        ShapeError: If the rank of the input is below 3.
        ValueError: If `layer` is not a Layer.

    Example:
        >>> layer = hornbeam.layers.TimeDistributed(hornbeam.layers.Dense(4))
        >>> layer(np.ones((2, 5, 3))).shape
        (2, 5, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Unpack[RegularizedLayerOptions]) -> None:
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: PartialShape) -> None:
        if len(input_shape) < 3:
            raise ShapeError(
                f"{self.describe()} expects an input (batch, steps, ...), got shape {tuple(input_shape)}"
            )
        if not self.layer.built:
            self.layer.build((input_shape[0], *input_shape[2:]))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tree:
        batch, steps = inputs.shape[:2]
        if mask is not None and mask.shape[:2] != (batch, steps):
            raise ShapeError(
                f"{self.describe()}: the mask has shape {mask.shape}, it must begin with batch and steps of "
                f"the inputs {inputs.shape}"
            )
        kwargs: dict[str, Any] = {}
        if mask is not None and "mask" in call_signature(type(self.layer).call).names:
            kwargs["mask"] = ops.reshape(mask, (batch * steps, *mask.shape[2:]))
        flat = ops.reshape(inputs, (batch * steps, *inputs.shape[2:]))
        outputs = self.layer(flat, training=training, **kwargs)
        return ops.reshape(outputs, (batch, steps, *outputs.shape[1:]))
