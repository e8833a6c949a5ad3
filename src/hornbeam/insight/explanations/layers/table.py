"""Which family is whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam import layers
from hornbeam.insight.arithmetic import volume
from hornbeam.insight.explanations.layers import elementwise, products, structure, windows
from hornbeam.insight.explanations.layers.context import LayerContext, LayerDescription, plural
from hornbeam.layers.augmentation.base import RandomImageLayer


def describe(place: LayerContext) -> LayerDescription:
    """What is to be said of a layer. Layers of no known family get a line that says so."""
    if hasattr(place.layer, "summary"):  # a model: they stand above this package
        return nested(place)
    found = next((words for types, words in _TABLE if isinstance(place.layer, types)), unknown)
    return found(place)


def nested(place: LayerContext) -> LayerDescription:
    inner = place.layer
    return LayerDescription(
        f"a model of its own with {plural(len(inner.layers), 'layer')}; expand_nested=True explains them",
        f"{' and '.join(volume(s) for s in place.given)} becomes {volume(place.out)}",
        "a part that has a name, and that can be used twice, trained apart or frozen",
        "all of its layers go",
    )


def unknown(place: LayerContext) -> LayerDescription:
    kind = type(place.layer).__name__
    own = (type(place.layer).__doc__ or "").strip().splitlines()
    first = (
        own[0].rstrip(".")
        if own and not type(place.layer).__module__.startswith("hornbeam.layers.layer")
        else ""
    )
    return LayerDescription(
        f"{first} ({kind})" if first else f"a layer of the kind {kind}; there is no description of it here",
        f"{' and '.join(volume(s) for s in place.given) or '?'} becomes "
        f"{volume(place.out) if place.out else '?'}",
        "its author knows",
        "not known: explain(ablate=True) measures it where shapes allow",
    )


# The first row that fits counts, so what is special stands before what is general.
_TABLE: tuple[tuple[Any, Callable[[LayerContext], LayerDescription]], ...] = (
    (layers.InputLayer, structure.input),
    ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), windows.depthwise),
    ((layers.SeparableConv1D, layers.SeparableConv2D), windows.separable),
    ((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), windows.transposed),
    ((layers.Conv1D, layers.Conv2D, layers.Conv3D), windows.convolution),
    (
        (
            layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
            layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
        ),
        windows.pooling,
    ),
    (
        (
            layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
            layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D,
        ),
        windows.global_pooling,
    ),
    (
        (
            layers.AdaptiveAveragePooling1D, layers.AdaptiveAveragePooling2D, layers.AdaptiveAveragePooling3D,
            layers.AdaptiveMaxPooling1D, layers.AdaptiveMaxPooling2D, layers.AdaptiveMaxPooling3D,
        ),
        windows.adaptive,
    ),
    (layers.Dense, products.dense),
    (layers.EinsumDense, products.einsum),
    (layers.Embedding, products.embedding),
    ((layers.MultiHeadAttention, layers.GroupedQueryAttention), products.attention_heads),
    ((layers.Attention, layers.AdditiveAttention), products.attention_plain),
    ((layers.ConvLSTM1D, layers.ConvLSTM2D, layers.ConvLSTM3D), products.convolutional_recurrence),
    (layers.RNN, products.recurrent),
    (layers.Bidirectional, products.both_ways),
    (layers.TimeDistributed, products.each_step),
    (layers.BatchNormalization, elementwise.batch_norm),
    (layers.SpectralNormalization, elementwise.spectral),
    (
        (
            layers.LayerNormalization, layers.GroupNormalization, layers.RMSNormalization,
            layers.UnitNormalization,
        ),
        elementwise.other_norm,
    ),
    (
        (layers.GaussianNoise, layers.GaussianDropout, layers.AlphaDropout, layers.ActivityRegularization),
        elementwise.noise,
    ),
    (
        (layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
        elementwise.dropout,
    ),
    (
        (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU, layers.Softmax),
        elementwise.activation,
    ),
    (layers.Flatten, structure.flatten),
    ((layers.Reshape, layers.Permute), structure.reshape),
    (layers.RepeatVector, structure.repeat),
    (
        (
            layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
            layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
        ),
        windows.padding,
    ),
    ((layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D), windows.upsampling),
    (
        (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum),
        structure.merge,
    ),
    (layers.Concatenate, structure.concatenate),
    (layers.Dot, structure.dot),
    (layers.Normalization, structure.normalization),
    (layers.Rescaling, structure.rescaling),
    (RandomImageLayer, structure.augmentation),
    (
        (
            layers.TextVectorization, layers.StringLookup, layers.IntegerLookup, layers.Hashing,
            layers.HashedCrossing,
        ),
        structure.lookup,
    ),
    ((layers.CategoryEncoding, layers.Discretization), structure.encoding),
    (layers.Masking, structure.masking),
    (layers.Identity, structure.identity),
)  # fmt: skip
