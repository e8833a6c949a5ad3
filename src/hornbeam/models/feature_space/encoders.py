"""Layers that encode the columns of a `FeatureSpace`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import layers, ops
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.layers import Layer
from hornbeam.models.feature_space.definitions import KERAS_MODULE


@exported(KERAS_MODULE)
class TFDIdentity(Layer):
    """Identity, y = x, under its name in Keras's files."""

    def call(self, x: Tensor) -> Tensor:
        return x


@exported(KERAS_MODULE)
class TFDConcat(Layer):
    """Concatenation along `axis`, under its name in Keras's files.

    Args:
        axis: Axis to concatenate along.
        **kwargs: Arguments of every layer, such as `name` and `dtype`.
    """

    def __init__(self, axis: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, xs: Sequence[Tensor]) -> Tensor:
        return ops.concatenate(xs, axis=self.axis)


def needs_adapt(layer: Layer) -> bool:
    """Return True for layers that learn a state from data and were created without it."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is not None
    if isinstance(layer, layers.TextVectorization):
        layer = layer._lookup_layer
    return hasattr(layer, "adapt") and not getattr(layer, "_fixed", False)


def one_hot_encoder(name: str, layer: Layer, dtype: str) -> Layer:
    """Create the one-hot encoder of a column for the outputs of its layer, of `dtype`.

    Raises ValueError for layers that do not return integers, or whose number of values is unknown.
    """
    if not dtype.startswith("int"):
        raise ValueError(
            f'FeatureSpace: {name!r} has output_mode="one_hot", so its layer must return integers, but it '
            f"returns {dtype}"
        )
    if isinstance(layer, (layers.IntegerLookup, layers.StringLookup)):
        count = layer.vocabulary_size()
    elif isinstance(layer, layers.CategoryEncoding):
        count = layer.num_tokens
    elif isinstance(layer, layers.Discretization):
        count = layer.num_bins or len(layer.bin_boundaries or ()) + 1
    elif isinstance(layer, (layers.Hashing, layers.HashedCrossing)):
        count = layer.num_bins
    else:
        raise ValueError(
            f'FeatureSpace: {name!r} has output_mode="one_hot", but the number of values of '
            f'{type(layer).__name__} is unknown: use output_mode="int"'
        )
    return layers.CategoryEncoding(count, output_mode="multi_hot")
