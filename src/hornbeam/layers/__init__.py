"""Layers, with Keras's names. A module is imported when one of its names is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam._internal.lazy_imports import attach
from hornbeam.layers._missing import MISSING

# Module -> its public names.
_MODULES = {
    "activation": "Activation ELU LeakyReLU PReLU ReLU Softmax",
    "attention": "GroupedQueryAttention MultiHeadAttention",
    "attention_plain": "AdditiveAttention Attention",
    "augmentation": (
        "AugMix AutoContrast CenterCrop ContrastLimitedAdaptiveHistogramEqualization CutMix Equalization "
        "MaxNumBoundingBoxes MixUp Pipeline RandAugment RandomBrightness RandomColorDegeneration "
        "RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip "
        "RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization "
        "RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom "
        "Resizing Solarization"
    ),
    "batch_normalization": "BatchNormalization",
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
        "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate dot "
        "maximum minimum multiply subtract"
    ),
    "normalization": (
        "GroupNormalization LayerNormalization RMSNormalization SpectralNormalization UnitNormalization"
    ),
    "onnx_graph": "OnnxGraph",
    "pooling": "AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D",
    "pooling_adaptive": (
        "AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D AdaptiveMaxPooling1D "
        "AdaptiveMaxPooling2D AdaptiveMaxPooling3D"
    ),
    "pooling_global": (
        "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalMaxPooling1D "
        "GlobalMaxPooling2D GlobalMaxPooling3D"
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
        "Cropping1D Cropping2D Cropping3D Flatten Permute RepeatVector Reshape ZeroPadding1D "
        "ZeroPadding2D ZeroPadding3D"
    ),
    "rnn": "RNN",
    "rnn_cells": "GRUCell LSTMCell SimpleRNNCell",
    "rnn_conv": "ConvLSTM1D ConvLSTM2D ConvLSTM3D",
    "rnn_layers": "GRU LSTM SimpleRNN",
    "rnn_stacked_cells": "StackedRNNCells",
    "rnn_wrappers": "Bidirectional TimeDistributed",
    "spectrogram": "MelSpectrogram STFTSpectrogram",
    "torch_module": "TorchModuleWrapper",
    "upsampling": "UpSampling1D UpSampling2D UpSampling3D",
}
# Second names of Keras.
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
_NAMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__getattr__, __dir__, __all__ = attach(__name__, _NAMES, missing=MISSING, aliases=_ALIASES)
__all__ += ["deserialize", "serialize"]

if TYPE_CHECKING:
    from hornbeam._internal.typing import Config
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
    from hornbeam.layers.batch_normalization import BatchNormalization
    from hornbeam.layers.conv import Conv1D, Conv2D, Conv3D
    from hornbeam.layers.conv_separable import (
        DepthwiseConv1D,
        DepthwiseConv2D,
        SeparableConv1D,
        SeparableConv2D,
    )
    from hornbeam.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
    from hornbeam.layers.core import Dense, Identity, Input, InputLayer, Lambda, Masking, Wrapper
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
    from hornbeam.layers.pooling_global import (
        GlobalAveragePooling1D,
        GlobalAveragePooling2D,
        GlobalAveragePooling3D,
        GlobalMaxPooling1D,
        GlobalMaxPooling2D,
        GlobalMaxPooling3D,
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
        ZeroPadding1D,
        ZeroPadding2D,
        ZeroPadding3D,
    )
    from hornbeam.layers.rnn import RNN
    from hornbeam.layers.rnn_cells import GRUCell, LSTMCell, SimpleRNNCell
    from hornbeam.layers.rnn_conv import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
    from hornbeam.layers.rnn_layers import GRU, LSTM, SimpleRNN
    from hornbeam.layers.rnn_stacked_cells import StackedRNNCells
    from hornbeam.layers.rnn_wrappers import Bidirectional, TimeDistributed
    from hornbeam.layers.spectrogram import MelSpectrogram, STFTSpectrogram
    from hornbeam.layers.torch_module import TorchModuleWrapper
    from hornbeam.layers.upsampling import UpSampling1D, UpSampling2D, UpSampling3D

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


def serialize(layer: Layer) -> Config:
    """Describe a layer in Keras's config format.

    Args:
        layer: Layer.

    Returns:
        Dict of the class, its module and the result of `get_config()`.

    Raises:
        TypeError: If an argument of the layer has no config.
    """
    from hornbeam.core.registry import serialize

    return serialize(layer)


def deserialize(config: Config, custom_objects: dict[str, Any] | None = None) -> Layer:
    """Rebuild the layer that a config describes.

    Args:
        config: Result of `serialize`.
        custom_objects: Classes and functions by name, looked up before the registered ones.

    Returns:
        A new layer, with weights that are not built yet.

    Raises:
        UnknownObjectError: If a name is neither of this library nor registered.
        ValueError: If the config describes no layer.
    """
    from hornbeam.core.registry import deserialize
    from hornbeam.layers.layer import Layer

    layer = deserialize(config, custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(f"the config describes {layer!r}, which is not a layer")
    return layer
