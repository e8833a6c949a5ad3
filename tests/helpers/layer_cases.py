"""Layers on fixed inputs and weights.

`layer_expected.json` holds what Keras 3.15 gives for them (see tools/expected_layers.py): names, shapes and
dtypes of the weights, keys of the config, and for each output its shape and two sums over its values. A layer
that Keras lacks is in `OURS`, and needs no Keras.
"""

from __future__ import annotations

import zlib
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """`make` is the layer, written as in Keras; `inputs` are shapes (nested in lists), `high` bounds whole
    numbers. A `seed` is that of results which no backend here can compute again (Keras on TensorFlow could).
    """

    make: str
    inputs: list[Any]
    call: dict[str, Any] = {}  # noqa: RUF012
    high: int = 0
    seed: int | None = None


MASK = np.array([[1, 1, 0, 1, 0], [0, 0, 1, 1, 1]], bool)
LEFT = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]], bool)
SEQUENCE = (2, 5, 3)

CASES = [
    Case("Dense(4, activation='relu')", [(2, 3)]),
    Case("Dense(4, use_bias=False)", [SEQUENCE]),
    Case("EinsumDense('abc,cd->abd', (None, 4), bias_axes='d')", [SEQUENCE]),
    Case("EinsumDense('...x,xy->...y', 4, bias_axes='y')", [SEQUENCE]),
    Case("EinsumDense('abc,cde->abde', (None, 4, 6), bias_axes='de')", [SEQUENCE]),
    Case("EinsumDense('abcd,cde->abe', (None, 7), bias_axes='e')", [(2, 5, 3, 4)]),
    Case("Embedding(7, 4)", [(2, 5)], high=7),
    Case("ReversibleEmbedding(7, 4)", [(2, 5)], high=7),
    Case("ReversibleEmbedding(7, 4, tie_weights=False)", [(2, 5, 4)], {"reverse": True}),
    Case("ReversibleEmbedding(7, 4, logit_soft_cap=2.0)", [(2, 5, 4)], {"reverse": True}),
    Case("Masking()", [(2, 3, 4)]),
    Case("Identity()", [(2, 3)]),
    # activations
    Case("Activation('gelu')", [(2, 3)]),
    Case("ReLU(1.5, 0.1, 0.2)", [(2, 3)]),
    Case("LeakyReLU()", [(2, 3)]),
    Case("PReLU(shared_axes=[1])", [(2, 3, 4)]),
    Case("ELU(0.7)", [(2, 3)]),
    Case("Softmax()", [(2, 3)]),
    Case("Softmax(axis=(1, 2))", [(2, 3, 4)]),
    # convolutions
    Case("Conv1D(4, 3, strides=2)", [(2, 9, 3)]),
    Case("Conv1D(4, 3, padding='causal', dilation_rate=2)", [(2, 9, 3)]),
    Case("Conv1D(4, 3, padding='same', strides=2)", [(2, 9, 4)]),
    Case("Conv2D(4, (3, 2), activation='tanh')", [(2, 8, 7, 3)]),
    Case("Conv2D(4, 3, padding='same', strides=2)", [(2, 8, 7, 3)]),
    Case("Conv2D(4, 3, groups=2)", [(2, 8, 7, 6)]),
    Case("Conv2D(4, 3, dilation_rate=2)", [(2, 8, 7, 3)]),
    Case("Conv3D(2, 2)", [(1, 4, 5, 6, 2)]),
    Case("Conv1DTranspose(4, 3, strides=2, padding='same')", [SEQUENCE]),
    Case("Conv1DTranspose(4, 3, strides=2)", [SEQUENCE]),
    Case("Conv2DTranspose(4, 3, strides=2, padding='same')", [(2, 5, 4, 3)]),
    Case("Conv2DTranspose(4, 3, strides=(2, 3), padding='valid')", [(2, 5, 4, 3)]),
    Case("Conv2DTranspose(4, 3, strides=2, padding='same', output_padding=1)", [(2, 5, 4, 3)]),
    Case("Conv2DTranspose(4, 2, strides=3, padding='same')", [(2, 5, 4, 3)]),
    Case("Conv3DTranspose(2, 2, strides=2)", [(1, 2, 3, 2, 2)]),
    Case("DepthwiseConv1D(3, depth_multiplier=2)", [(2, 8, 3)]),
    Case("DepthwiseConv2D(3, depth_multiplier=2, padding='same')", [(2, 8, 7, 3)]),
    Case("SeparableConv1D(4, 3, padding='same')", [(2, 8, 3)]),
    Case("SeparableConv2D(4, 3, depth_multiplier=2, strides=2)", [(2, 8, 7, 3)]),
    # pooling
    Case("MaxPooling1D(2)", [(2, 7, 3)]),
    Case("MaxPooling2D(3, 2, 'same')", [(2, 7, 6, 3)]),
    Case("MaxPooling3D(2)", [(1, 4, 5, 6, 2)]),
    Case("AveragePooling1D(3, padding='same', strides=1)", [(2, 7, 3)]),
    Case("AveragePooling2D(3, 2, 'same')", [(2, 7, 6, 3)]),
    Case("AveragePooling3D(2)", [(1, 4, 5, 6, 2)]),
    Case("GlobalMaxPooling1D()", [(2, 7, 3)]),
    Case("GlobalMaxPooling2D(keepdims=True)", [(2, 7, 6, 3)]),
    Case("GlobalMaxPooling3D()", [(1, 4, 5, 6, 2)]),
    Case("GlobalAveragePooling1D()", [(2, 7, 3)]),
    Case("GlobalAveragePooling2D(data_format='channels_first')", [(2, 3, 7, 6)]),
    Case("GlobalAveragePooling3D()", [(1, 4, 5, 6, 2)]),
    Case("AdaptiveAveragePooling1D(3)", [(2, 7, 3)]),
    Case("AdaptiveAveragePooling2D(2, data_format='channels_first')", [(2, 3, 7, 5)]),
    Case("AdaptiveAveragePooling3D(2)", [(1, 3, 4, 5, 2)]),
    Case("AdaptiveMaxPooling1D(3)", [(2, 7, 3)]),
    Case("AdaptiveMaxPooling2D((3, 2))", [(2, 7, 5, 3)]),
    Case("AdaptiveMaxPooling3D(2)", [(1, 3, 4, 5, 2)]),
    # shapes
    Case("Flatten()", [(2, 3, 4)]),
    Case("Flatten('channels_first')", [(2, 3, 4, 5)]),
    Case("Reshape((3, -1))", [(2, 12)]),
    Case("Permute((2, 1, 3))", [(2, 3, 4, 5)]),
    Case("RepeatVector(3)", [(2, 4)]),
    Case("ZeroPadding1D((1, 2))", [(2, 3, 4)]),
    Case("ZeroPadding1D(data_format='channels_first')", [(2, 3, 4)]),
    Case("ZeroPadding2D(((1, 2), (3, 0)))", [(2, 3, 4, 5)]),
    Case("ZeroPadding2D((1, 2), data_format='channels_first')", [(2, 3, 4, 5)]),
    Case("ZeroPadding3D()", [(1, 2, 3, 4, 2)]),
    Case("Cropping1D((1, 2))", [(2, 6, 4)]),
    Case("Cropping2D(((1, 2), (1, 0)))", [(2, 5, 4, 5)]),
    Case("Cropping2D(1, data_format='channels_first')", [(2, 3, 4, 5)]),
    Case("Cropping3D()", [(1, 4, 3, 4, 2)]),
    Case("UpSampling1D(3)", [(2, 3, 4)]),
    Case("UpSampling2D((2, 3))", [(2, 3, 4, 2)]),
    Case("UpSampling2D(2, interpolation='bilinear')", [(2, 3, 4, 2)]),
    Case("UpSampling2D(2, interpolation='bicubic')", [(2, 3, 4, 2)]),
    Case("UpSampling3D(2)", [(1, 2, 3, 4, 2)]),
    # merging
    Case("Add()", [[(2, 3), (2, 3)]]),
    Case("Subtract()", [[(2, 3), (2, 3)]]),
    Case("Multiply()", [[(2, 3), (2, 1), (2, 3)]]),
    Case("Average()", [[(2, 3), (2, 3), (2, 3)]]),
    Case("Maximum()", [[(2, 3), (2, 3)]]),
    Case("Minimum()", [[(2, 3), (2, 3)]]),
    Case("Concatenate(1)", [[(2, 3, 4), (2, 5, 4)]]),
    Case("Dot(axes=(2, 1))", [[(2, 3, 4), (2, 4, 5)]]),
    Case("Dot(axes=1, normalize=True)", [[(2, 3), (2, 3)]]),
    Case("Dot(axes=2)", [[(2, 3, 4), (2, 5, 4)]]),
    # normalization
    Case("BatchNormalization()", [(4, 3)]),
    Case("BatchNormalization(axis=1)", [(4, 3, 5, 2)], {"training": True}),
    Case("LayerNormalization()", [(4, 3)]),
    Case("LayerNormalization(axis=(1, 2))", [(4, 3, 5)]),
    Case("LayerNormalization(scale=False)", [(4, 3, 5)]),
    Case("GroupNormalization(2)", [(2, 3, 5, 4)]),
    Case("GroupNormalization(-1, axis=1)", [(2, 4, 5)]),
    Case("UnitNormalization()", [(2, 3)]),
    Case("UnitNormalization(axis=(1, 2))", [(2, 3, 4)]),
    Case("RMSNormalization()", [(2, 3)]),
    Case("SpectralNormalization(Dense(4))", [(2, 3)], {"training": True}),
    # regularization, outside of training
    Case("Dropout(0.3)", [(2, 3)]),
    Case("SpatialDropout1D(0.3)", [(2, 3, 4)]),
    Case("SpatialDropout2D(0.3)", [(2, 3, 4, 2)]),
    Case("SpatialDropout3D(0.3)", [(2, 3, 4, 2, 2)]),
    Case("AlphaDropout(0.3)", [(2, 3)]),
    Case("GaussianDropout(0.3)", [(2, 3)]),
    Case("GaussianNoise(0.3)", [(2, 3)]),
    Case("ActivityRegularization(0.1, 0.2)", [(2, 3)]),
    # recurrent
    Case("SimpleRNN(4)", [SEQUENCE]),
    Case("SimpleRNN(4, return_sequences=True, go_backwards=True)", [SEQUENCE]),
    Case("SimpleRNN(4, return_sequences=True, zero_output_for_mask=True)", [SEQUENCE], {"mask": MASK}),
    Case("LSTM(4)", [SEQUENCE]),
    Case("LSTM(4, return_sequences=True, return_state=True)", [SEQUENCE]),
    Case("LSTM(4, unit_forget_bias=False, recurrent_activation='hard_sigmoid')", [SEQUENCE]),
    Case("LSTM(4, return_sequences=True)", [SEQUENCE], {"mask": MASK}),
    Case("LSTM(4, return_sequences=True, go_backwards=True)", [SEQUENCE], {"mask": LEFT}),
    Case("GRU(4)", [SEQUENCE]),
    Case("GRU(4)", [SEQUENCE], {"mask": MASK}),
    Case("GRU(4, reset_after=False, return_state=True)", [SEQUENCE]),
    Case("GRU(4, use_bias=False, return_sequences=True)", [SEQUENCE]),
    Case("RNN([LSTMCell(4), GRUCell(3)], return_sequences=True)", [SEQUENCE]),
    Case("RNN(SimpleRNNCell(3), return_state=True)", [SEQUENCE]),
    Case("SimpleRNNCell(3)", [(2, 3), [(2, 3)]]),
    Case("LSTMCell(4)", [(2, 3), [(2, 4), (2, 4)]]),
    Case("GRUCell(4)", [(2, 3), [(2, 4)]]),
    Case("StackedRNNCells([GRUCell(4), GRUCell(3)])", [(2, 3), [[(2, 4)], [(2, 3)]]]),
    Case("Bidirectional(LSTM(4, return_sequences=True))", [SEQUENCE]),
    Case("Bidirectional(LSTM(4, return_sequences=True))", [SEQUENCE], {"mask": LEFT}),
    Case("Bidirectional(GRU(4, return_state=True), merge_mode='sum')", [SEQUENCE]),
    Case("Bidirectional(SimpleRNN(4), merge_mode=None)", [SEQUENCE]),
    Case("TimeDistributed(Dense(4))", [SEQUENCE]),
    Case("TimeDistributed(Conv2D(4, 2))", [(2, 3, 4, 5, 2)]),
    # attention
    Case("MultiHeadAttention(2, 4)", [(2, 5, 6), (2, 3, 6)]),
    Case("MultiHeadAttention(2, 4, value_dim=3, output_shape=7)", [(2, 5, 6), (2, 3, 8), (2, 3, 4)]),
    Case(
        "MultiHeadAttention(2, 4)",
        [(2, 5, 6), (2, 5, 6)],
        {"use_causal_mask": True, "return_attention_scores": True},
    ),
    Case("MultiHeadAttention(2, 4, attention_axes=(1, 2))", [(2, 3, 4, 6), (2, 5, 2, 6)]),
    Case(
        "MultiHeadAttention(2, 4, attention_axes=2)",
        [(2, 3, 4, 6), (2, 3, 2, 6)],
        {"return_attention_scores": True},
    ),
    Case(
        "MultiHeadAttention(2, 4)",
        [(2, 5, 6), (2, 3, 6)],
        {
            "attention_mask": np.array([[1, 0, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 1, 1]], bool)[None],
            "key_mask": np.array([[1, 1, 0], [1, 1, 1]], bool),
        },
    ),
    Case("GroupQueryAttention(4, 4, 2)", [(2, 5, 6), (2, 3, 6)]),
    Case(
        "GroupQueryAttention(4, 4, 2)",
        [(2, 5, 6), (2, 5, 6)],
        {"use_causal_mask": True, "return_attention_scores": True},
    ),
    Case("Attention(use_scale=True)", [[(2, 5, 6), (2, 3, 6)]]),
    Case(
        "Attention(score_mode='concat')",
        [[(2, 5, 6), (2, 3, 6), (2, 3, 6)]],
        {"return_attention_scores": True},
    ),
    Case("Attention()", [[(2, 5, 6), (2, 5, 6)]], {"use_causal_mask": True}),
    Case("Attention()", [[(2, 5, 6), (2, 5, 6)]], {"mask": [MASK, LEFT]}),
    Case("AdditiveAttention()", [[(2, 5, 6), (2, 3, 6)]]),
    # preprocessing
    Case("Rescaling(0.5, [1.0, 2.0, 3.0])", [(2, 3)]),
    Case("Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])", [(2, 3)]),
    Case("Normalization(axis=None, mean=1.0, variance=4.0, invert=True)", [(2, 3)]),
    Case("CenterCrop(2, 3)", [(2, 5, 5, 2)]),
    Case("CenterCrop(6, 6)", [(2, 5, 4, 2)]),
    Case("Resizing(3, 7)", [(2, 5, 5, 2)]),
    Case("Resizing(3, 7, crop_to_aspect_ratio=True)", [(2, 5, 5, 2)]),
    Case("Resizing(3, 7, pad_to_aspect_ratio=True, interpolation='nearest')", [(2, 5, 5, 2)]),
    Case("CategoryEncoding(5)", [(2, 3)], high=5),
    Case("CategoryEncoding(5, 'count')", [(2, 3)], high=5),
    Case("CategoryEncoding(5, 'one_hot')", [(2,)], high=5),
    Case("CategoryEncoding(5, 'one_hot')", [(2, 1)], high=5),
    Case("Discretization([-0.5, 0.5])", [(2, 3)]),
    Case("Discretization([-0.5, 0.5], output_mode='one_hot')", [(2, 1)]),
    # convolutional recurrence
    Case("ConvLSTM1D(3, 2)", [(2, 5, 6, 2)]),
    Case("ConvLSTM1D(3, 2, padding='same', return_sequences=True, return_state=True)", [(2, 5, 6, 2)]),
    Case("ConvLSTM1D(3, 3, dilation_rate=2, unit_forget_bias=False)", [(2, 5, 7, 2)]),
    Case("ConvLSTM1D(3, 2, return_sequences=True)", [(2, 5, 6, 2)], {"mask": MASK}, seed=158),
    Case(
        "ConvLSTM1D(3, 2, return_sequences=True, go_backwards=True)", [(2, 5, 6, 2)], {"mask": LEFT}, seed=159
    ),
    Case("ConvLSTM2D(3, (2, 3), strides=2, recurrent_activation='hard_sigmoid')", [(2, 3, 6, 7, 2)]),
    Case("ConvLSTM2D(3, 2, padding='same', use_bias=False, go_backwards=True)", [(2, 3, 4, 5, 2)]),
    Case("ConvLSTM3D(2, 2, return_state=True)", [(1, 3, 3, 4, 5, 2)]),
    # sound
    Case("STFTSpectrogram(frame_length=8)", [(2, 40, 2)]),
    Case("STFTSpectrogram('magnitude', 6, 2, 16, scaling='spectrum', padding='same')", [(2, 20, 1)]),
    Case("STFTSpectrogram('psd', 8, window='hamming', periodic=True, expand_dims=True)", [(2, 20, 2)]),
    Case("STFTSpectrogram('real', 8, scaling=None)", [(2, 20, 1)]),
    Case("STFTSpectrogram('imag', 8, window=None)", [(2, 20, 1)]),
    Case("STFTSpectrogram('angle', 8)", [(2, 20, 1)]),
    Case("STFTSpectrogram('stft', 8, expand_dims=True)", [(2, 20, 1)]),
    Case("MelSpectrogram(64, 16, num_mel_bins=10)", [(2, 200)]),
    Case("MelSpectrogram(64, 16, 50, 'hamming', 8000, 12, 100.0, 3000.0, mag_exp=1.0)", [(2, 200)]),
    Case("MelSpectrogram(64, 16, power_to_db=False, num_mel_bins=6)", [(2, 300)]),
]


# Layers that Keras lacks. A test of their family has their numbers; the rest is tested as that of all layers.
OURS: list[Case] = []


def label(case: Case) -> str:
    """Return the name of a case in test reports and in the expected results."""
    options = "".join(f" {name}" for name in case.call)
    return f"{case.make}{options} {case.inputs}".replace("[", "(").replace("]", ")")


def seed_of(case: Case) -> int:
    """Return the seed of the inputs, which stays when cases come or go."""
    return zlib.crc32(label(case).encode()) if case.seed is None else case.seed


def make(case: Case, layers: ModuleType) -> Any:
    """The layer of a case, out of our layers or Keras's."""
    return eval(case.make, names_of(layers))


def names_of(module: ModuleType) -> dict[str, Any]:
    """Return the names of a module, imported or not: ours imports a family when one of its names is used."""
    return {name: getattr(module, name) for name in getattr(module, "__all__", dir(module))}


def inputs(case: Case, seed: int) -> list[Any]:
    """Values for the case's inputs, in their structure."""
    rng = np.random.default_rng(seed)

    def values(part: Any) -> Any:
        if isinstance(part, list):
            return [values(inner) for inner in part]
        if case.high:
            return rng.integers(0, case.high, part).astype("int32")
        return rng.normal(size=part).astype("float32")

    return [values(part) for part in case.inputs]


def weights(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Values above zero, since some weights are variances."""
    rng = np.random.default_rng(1000)
    return [(np.abs(rng.normal(size=shape)) + 0.1).astype("float32") for shape in shapes]


def flatten(structure: Any) -> list[np.ndarray]:
    """The arrays in nested lists and tuples."""
    if isinstance(structure, (list, tuple)):
        return [array for part in structure for array in flatten(part)]
    return [np.asarray(structure)]


def digest(array: np.ndarray) -> list[float]:
    """Two sums in which every value counts differently."""
    flat = np.asarray(array, "float64").ravel()
    angles = np.arange(flat.size)
    return [float(flat @ np.cos(angles)), float(flat @ np.sin(angles))]
