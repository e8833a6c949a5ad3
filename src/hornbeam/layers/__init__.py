"""Layers, with Keras's names: `hornbeam.layers`. A family is imported when one of its names is first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hornbeam._internal.naming import nearest
from hornbeam.layers._missing import MISSING

# Family -> its names.
_FAMILIES = {
    "activation": "ELU Activation LeakyReLU PReLU ReLU Softmax",
    "attention": "GroupedQueryAttention MultiHeadAttention",
    "attention_plain": "AdditiveAttention Attention",
    "augmentation": (
        "AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization "
        "MaxNumBoundingBoxes MixUp Pipeline RandAugment RandomBrightness RandomColorDegeneration "
        "RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip "
        "RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization "
        "RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom Resizing "
        "Solarization"
    ),
    "conv": "Conv1D Conv2D Conv3D",
    "conv_separable": "DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D",
    "conv_transpose": "Conv1DTranspose Conv2DTranspose Conv3DTranspose",
    "core": "Dense Identity Input InputLayer Lambda Masking Wrapper",
    "einsum_dense": "EinsumDense",
    "embedding": "Embedding ReversibleEmbedding",
    "input_spec": "InputSpec",
    "jax_layer": "FlaxLayer JaxLayer",
    "layer": "Layer",
    "merging": (
        "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate dot maximum "
        "minimum multiply subtract"
    ),
    "normalization": (
        "BatchNormalization GroupNormalization LayerNormalization RMSNormalization SpectralNormalization "
        "UnitNormalization"
    ),
    "onnx_graph": "OnnxGraph",
    "pooling": (
        "AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D "
        "GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D "
        "MaxPooling2D MaxPooling3D"
    ),
    "pooling_adaptive": (
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D"
    ),
    "preprocessing": (
        "CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup Normalization Rescaling "
        "StringLookup TextVectorization"
    ),
    "regularization": (
        "ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D "
        "SpatialDropout2D SpatialDropout3D"
    ),
    "reshaping": (
        "Cropping1D Cropping2D Cropping3D Flatten Permute RepeatVector Reshape UpSampling1D UpSampling2D "
        "UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D"
    ),
    "rnn": "GRU LSTM RNN SimpleRNN",
    "rnn_cells": "GRUCell LSTMCell SimpleRNNCell StackedRNNCells",
    "rnn_conv": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "rnn_wrappers": "Bidirectional TimeDistributed",
    "spectrogram": "MelSpectrogram STFTSpectrogram",
    "torch_module": "TorchModuleWrapper",
}
# Keras's second names.
_ALIASES = {
    "GroupQueryAttention": "GroupedQueryAttention",
    "AvgPool1D": "AveragePooling1D",
    "AvgPool2D": "AveragePooling2D",
    "AvgPool3D": "AveragePooling3D",
    "MaxPool1D": "MaxPooling1D",
    "MaxPool2D": "MaxPooling2D",
    "MaxPool3D": "MaxPooling3D",
    "GlobalAvgPool1D": "GlobalAveragePooling1D",
    "GlobalAvgPool2D": "GlobalAveragePooling2D",
    "GlobalAvgPool3D": "GlobalAveragePooling3D",
    "GlobalMaxPool1D": "GlobalMaxPooling1D",
    "GlobalMaxPool2D": "GlobalMaxPooling2D",
    "GlobalMaxPool3D": "GlobalMaxPooling3D",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "Convolution1DTranspose": "Conv1DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
}
_PLACES = {name: family for family, names in _FAMILIES.items() for name in names.split()}

__all__ = [*_PLACES, *_ALIASES, "deserialize", "serialize"]

if TYPE_CHECKING:
    from hornbeam.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
    from hornbeam.layers.attention import GroupedQueryAttention, MultiHeadAttention
    from hornbeam.layers.attention_plain import AdditiveAttention, Attention
    from hornbeam.layers.augmentation import (
        AugMix,
        AutoContrast,
        CenterCrop,
        ContrastLimitedAdaptiveHistogramEqualization,
        CutMix,
        Equalization,
        MaxNumBoundingBoxes,
        MixUp,
        Pipeline,
        RandAugment,
        RandomBrightness,
        RandomColorDegeneration,
        RandomColorJitter,
        RandomContrast,
        RandomCrop,
        RandomElasticTransform,
        RandomErasing,
        RandomFlip,
        RandomGaussianBlur,
        RandomGrayscale,
        RandomHue,
        RandomInvert,
        RandomPerspective,
        RandomPosterization,
        RandomRotation,
        RandomSaturation,
        RandomSharpness,
        RandomShear,
        RandomTranslation,
        RandomZoom,
        Resizing,
        Solarization,
    )
    from hornbeam.layers.conv import Conv1D, Conv2D, Conv3D
    from hornbeam.layers.conv_separable import (
        DepthwiseConv1D,
        DepthwiseConv2D,
        SeparableConv1D,
        SeparableConv2D,
    )
    from hornbeam.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
    from hornbeam.layers.core import (
        Dense,
        Identity,
        Input,
        InputLayer,
        Lambda,
        Masking,
        Wrapper,
    )
    from hornbeam.layers.einsum_dense import EinsumDense
    from hornbeam.layers.embedding import Embedding, ReversibleEmbedding
    from hornbeam.layers.input_spec import InputSpec
    from hornbeam.layers.jax_layer import FlaxLayer, JaxLayer
    from hornbeam.layers.layer import Layer
    from hornbeam.layers.merging import (
        Add,
        Average,
        Concatenate,
        Dot,
        Maximum,
        Minimum,
        Multiply,
        Subtract,
        add,
        average,
        concatenate,
        dot,
        maximum,
        minimum,
        multiply,
        subtract,
    )
    from hornbeam.layers.normalization import (
        BatchNormalization,
        GroupNormalization,
        LayerNormalization,
        RMSNormalization,
        SpectralNormalization,
        UnitNormalization,
    )
    from hornbeam.layers.onnx_graph import OnnxGraph
    from hornbeam.layers.pooling import (
        AveragePooling1D,
        AveragePooling2D,
        AveragePooling3D,
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAveragePooling3D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GlobalMaxPooling3D,
        MaxPooling1D,
        MaxPooling2D,
        MaxPooling3D,
    )
    from hornbeam.layers.pooling_adaptive import (
        AdaptiveAveragePooling1D,
        AdaptiveAveragePooling2D,
        AdaptiveAveragePooling3D,
        AdaptiveMaxPooling1D,
        AdaptiveMaxPooling2D,
        AdaptiveMaxPooling3D,
    )
    from hornbeam.layers.preprocessing import (
        CategoryEncoding,
        Discretization,
        HashedCrossing,
        Hashing,
        IntegerLookup,
        Normalization,
        Rescaling,
        StringLookup,
        TextVectorization,
    )
    from hornbeam.layers.regularization import (
        ActivityRegularization,
        AlphaDropout,
        Dropout,
        GaussianDropout,
        GaussianNoise,
        SpatialDropout1D,
        SpatialDropout2D,
        SpatialDropout3D,
    )
    from hornbeam.layers.reshaping import (
        Cropping1D,
        Cropping2D,
        Cropping3D,
        Flatten,
        Permute,
        RepeatVector,
        Reshape,
        UpSampling1D,
        UpSampling2D,
        UpSampling3D,
        ZeroPadding1D,
        ZeroPadding2D,
        ZeroPadding3D,
    )
    from hornbeam.layers.rnn import GRU, LSTM, RNN, SimpleRNN
    from hornbeam.layers.rnn_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
    from hornbeam.layers.rnn_conv import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
    from hornbeam.layers.rnn_wrappers import Bidirectional, TimeDistributed
    from hornbeam.layers.spectrogram import MelSpectrogram, STFTSpectrogram
    from hornbeam.layers.torch_module import TorchModuleWrapper

    GroupQueryAttention = GroupedQueryAttention
    AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
    MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
    GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAveragePooling3D,
    )
    GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = (
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GlobalMaxPooling3D,
    )
    Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
    Convolution1DTranspose, Convolution2DTranspose, Convolution3DTranspose = (
        Conv1DTranspose,
        Conv2DTranspose,
        Conv3DTranspose,
    )
    SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D


def serialize(layer: Layer) -> dict[str, Any]:
    """The layer in Keras's config format. Raises TypeError for an argument that has no config."""
    from hornbeam.core.registry import serialize

    return serialize(layer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """The layer that a config describes.

    Raises UnknownObjectError for a name that is neither ours nor registered, ValueError if it is no layer.
    """
    from hornbeam.core.registry import deserialize
    from hornbeam.layers.layer import Layer

    made = deserialize(config, custom_objects)
    if not isinstance(made, Layer):
        raise ValueError(f"the config describes {made!r}, which is no layer")
    return made


def __getattr__(name: str) -> Any:
    found = _ALIASES.get(name, name)
    if found in _PLACES:
        value = getattr(importlib.import_module(f"hornbeam.layers.{_PLACES[found]}"), found)
        globals()[name] = value
        return value
    if name in MISSING:
        raise AttributeError(f"layers.{name} is not in this version of Hornbeam: {MISSING[name]}")
    raise AttributeError(f"hornbeam.layers has no {name!r}.{nearest(name, __all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
