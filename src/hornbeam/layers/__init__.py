"""Layers, with Keras's names: `hornbeam.layers`."""

from __future__ import annotations

from hornbeam.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from hornbeam.layers.conv import Conv1D, Conv2D, Conv3D
from hornbeam.layers.conv_separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from hornbeam.layers.conv_transpose import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from hornbeam.layers.core import Dense, EinsumDense, Embedding, Identity, Input, InputLayer, Lambda, Masking, Wrapper
from hornbeam.layers.input_spec import InputSpec
from hornbeam.layers.layer import Layer
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
