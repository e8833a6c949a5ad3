"""Models that begin with TextVectorization: the vocabulary, and the rest of the model, which is a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam.core.registry import exported_class
from hornbeam.layers import Input, TextVectorization
from hornbeam.layers.weights import flatten_layers
from hornbeam.models.host import host_layers

if TYPE_CHECKING:
    from hornbeam.models import Model

# Name of the input of word numbers.
TEXT = "text"


def split_text(model: Model) -> tuple[Model, dict[str, Any] | None]:
    """Return the part of a model after its TextVectorization, and a description of that layer.

    A model without one is returned as it is. The description has the `kind` "text", and what a page or a
    server needs to turn a text into word numbers.

    Args:
        model: A built model.

    Raises:
        ValueError: If the layer does more than to number words.
    """
    layers = host_layers(model)
    layer = next((each for each in model.layers if isinstance(each, TextVectorization)), None)
    # It has a lookup inside.
    if layer is None or not set(layers) <= set(flatten_layers(layer)):
        return model, None
    description = _description(layer)
    # Models export themselves by this package, so that it cannot import their classes.
    functional, sequential = (exported_class("keras.models", name) for name in ("Model", "Sequential"))
    if getattr(model, "_symbolic_inputs", None) is not None:
        if len(model.inputs) != 1:
            return model, None
        return functional(layer.output, model.outputs, name=model.name), description
    if not isinstance(model, sequential) or model.layers[0] is not layer:
        return model, None
    numbers = layer.output
    rest = sequential([Input(numbers.shape[1:], dtype=numbers.dtype), *model.layers[1:]], name=model.name)
    return rest, description


def _description(layer: TextVectorization) -> dict[str, Any]:
    plain = layer.output_mode == "int" and layer.ngrams is None and not layer.ragged
    if not plain or callable(layer.standardize) or callable(layer.split):
        raise ValueError(
            f"{layer.describe()} cannot be exported with the model: that needs output_mode='int', and no "
            "n-grams or functions of your own. Export the part of the model after it."
        )
    return {
        "kind": "text",
        "vocabulary": layer.get_vocabulary(),
        "standardize": layer.standardize,
        "split": layer.split,
        "output_sequence_length": layer.output_sequence_length,
    }
