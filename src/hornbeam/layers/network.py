"""`Network`: a layer that consists of layers, as files and training see a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam._internal.call_errors import explain_arguments
from hornbeam._internal.naming import abbreviate, nearest
from hornbeam.layers.layer import Layer

if TYPE_CHECKING:
    from hornbeam.optimizers import Optimizer


class Network(Layer):
    """A layer that consists of layers. `Model`, its subclass, is what users train and save."""

    layers_in_file = "sorted"

    takes_strings = True  # for the layers inside

    if TYPE_CHECKING:  # of `TrainingMethods`

        @property
        def optimizer(self) -> Optimizer: ...

        @optimizer.setter
        def optimizer(self, value: Optimizer | None) -> None: ...

    @property
    def layers(self) -> list[Layer]:
        """Layers directly in this model."""
        return [layer for layer in self._hb_sublayers() if isinstance(layer, Layer)]

    @layers.setter
    def layers(self, value: object) -> None:
        raise AttributeError("`layers` of a model lists its layers and cannot be set: choose another name")

    @explain_arguments
    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Find a layer of this model.

        Args:
            name: Name of the layer.
            index: Index in `layers`, instead of a name.

        Returns:
            The layer.

        Raises:
            ValueError: If no layer matches, or not exactly one of the arguments is given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer() takes either a name or an index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(
                    f"model {self.name!r} has {len(layers)} layers, index {index} is out of range"
                )
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        names = [layer.name for layer in layers]
        raise ValueError(
            f"model {self.name!r} has no layer {name!r}.{nearest(str(name), names)} It has: "
            f"{abbreviate(str(name), names)}"
        )

    def get_quantization_layer_structure(self, mode: str | None = None) -> dict[str, Any] | None:
        """Return the blocks that GPTQ and AWQ quantize one after another. Subclasses may override it.

        Args:
            mode: Mode of quantization.

        Returns:
            Dict with "pre_block_layers", the layers that the tokens pass before, and "sequential_blocks", the
            blocks in their order; None if it is unknown.
        """
        return None

    def _compiled_inputs(self) -> Any:
        """Return the symbolic tensors at which the compiled part begins, None if they are unknown."""
        return getattr(self, "_symbolic_inputs", None)
