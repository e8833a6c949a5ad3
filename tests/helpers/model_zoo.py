"""Small models of all families, each with inputs of six rows: whatever runs a model must run these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import applications, layers, ops

Case = tuple[hb.Model, list[np.ndarray]]
RNG = np.random.default_rng(0)
ROWS = 6


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=(ROWS, *shape)).astype("float32")


def tokens(length: int, vocabulary: int) -> np.ndarray:
    return RNG.integers(0, vocabulary, (ROWS, length)).astype("int32")


def sequential(shape: tuple[int, ...], *parts: Any) -> Case:
    return hb.Sequential([hb.Input(shape), *parts]), [floats(*shape)]


def tutorial() -> Case:
    return sequential(
        (14, 14, 1), layers.Conv2D(8, 3, activation="relu"), layers.Conv2D(12, 3, activation="relu"),
        layers.MaxPooling2D(), layers.Dropout(0.25), layers.Flatten(), layers.Dense(16, "relu"),
        layers.Dropout(0.5), layers.Dense(10, "softmax"),
    )  # fmt: skip


def perceptron() -> Case:
    return sequential((13,), layers.Dense(32, "relu"), layers.Dense(32, "tanh"), layers.Dense(3, "softmax"))


def regression() -> Case:
    normalization = layers.Normalization(mean=[1.0] * 8, variance=[4.0] * 8)
    return sequential((8,), normalization, layers.Dense(16, "selu"), layers.Dense(1))


def autoencoder() -> Case:
    down = [
        layers.Conv2D(8, 3, 2, "same", activation="relu"),
        layers.Conv2D(4, 3, 2, "same", activation="relu"),
    ]
    up = [layers.Conv2DTranspose(n, 3, 2, "same", activation="relu") for n in (4, 8)]
    return sequential((16, 16, 1), *down, *up, layers.Conv2D(1, 3, padding="same", activation="sigmoid"))


def resnet() -> Case:
    y = x = hb.Input((16, 16, 3))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(y)
    for width, stride in ((8, 1), (16, 2)):
        skip = layers.Conv2D(width, 1, stride, use_bias=False)(y)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.Conv2D(width, 3, stride, "same", use_bias=False)(y)
        y = layers.Conv2D(width, 3, padding="same")(layers.ReLU()(layers.BatchNormalization()(y))) + skip
    y = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(y))
    return hb.Model(x, layers.Dense(5, "softmax")(y)), [floats(16, 16, 3)]


def unet() -> Case:
    x = hb.Input((16, 16, 2))
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    b = layers.Conv2D(8, 3, padding="same", activation="elu")(layers.MaxPooling2D()(a))
    c = layers.UpSampling2D(2, interpolation="bilinear")(b)
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(layers.Concatenate()([a, c]))
    return hb.Model(x, layers.Conv2D(3, 1, activation="softmax")(y)), [floats(16, 16, 2)]


def separable() -> Case:
    return sequential(
        (12, 12, 3), layers.SeparableConv2D(8, 3, activation="swish"),
        layers.DepthwiseConv2D(3, padding="same"), layers.GroupNormalization(2),
        layers.AveragePooling2D(2), layers.GlobalMaxPooling2D(), layers.Dense(4),
    )  # fmt: skip


def dilated() -> Case:
    parts = [layers.Conv1D(8, 3, padding="causal", dilation_rate=2**i, activation="relu") for i in range(3)]
    return sequential((20, 4), *parts, layers.GlobalAveragePooling1D(), layers.Dense(2))


def volumes() -> Case:
    return sequential(
        (6, 6, 6, 2),
        layers.Conv3D(4, 3, activation="relu"),
        layers.MaxPooling3D(2),
        layers.Flatten(),
        layers.Dense(3),
    )


def sentiment() -> Case:
    parts = [
        layers.Embedding(50, 8),
        layers.GlobalAveragePooling1D(),
        layers.Dense(8, "relu"),
        layers.Dense(1, "sigmoid"),
    ]
    return hb.Sequential([hb.Input((9,), dtype="int32"), *parts]), [tokens(9, 50)]


def recurrent(cell: str) -> Callable[[], Case]:
    def make() -> Case:
        cell_layer = getattr(layers, cell)
        return sequential((7, 5), cell_layer(6, return_sequences=True), cell_layer(4), layers.Dense(2))

    make.__name__ = cell.lower()
    return make


def bidirectional() -> Case:
    x = hb.Input((8,), dtype="int32")
    y = layers.Embedding(30, 6, mask_zero=True)(x)
    y = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(y)
    return hb.Model(x, layers.TimeDistributed(layers.Dense(4, "softmax"))(y)), [tokens(8, 30)]


def convolutional_lstm() -> Case:
    return sequential((4, 6, 6, 2), layers.ConvLSTM2D(3, 3), layers.Flatten(), layers.Dense(2))


def attention_block(y: Any, causal: bool) -> Any:
    z = layers.LayerNormalization()(y)
    y = y + layers.MultiHeadAttention(2, 6)(z, z, use_causal_mask=causal)
    z = layers.Dense(24, "gelu")(layers.LayerNormalization()(y))
    return y + layers.Dense(12)(z)


def encoder() -> Case:
    x = hb.Input((7, 12))
    y = attention_block(attention_block(x, False), False)
    return hb.Model(x, layers.Dense(3)(layers.GlobalAveragePooling1D()(y))), [floats(7, 12)]


def gpt() -> Case:
    x = hb.Input((10,), dtype="int32")
    y = layers.Embedding(40, 12)(x) + layers.Embedding(10, 12)(ops.arange(10))
    return hb.Model(x, layers.Dense(40)(attention_block(y, True))), [tokens(10, 40)]


def bert() -> Case:
    x, mask = hb.Input((9,), dtype="int32", name="ids"), hb.Input((9,), dtype="int32", name="mask")
    y = layers.Embedding(40, 12)(x)
    seen = ops.cast(ops.expand_dims(mask, 1), "bool")
    y = layers.LayerNormalization()(y + layers.MultiHeadAttention(3, 4)(y, y, attention_mask=seen))
    pooled = layers.Dense(12, "tanh")(y[:, 0])
    ones = np.ones((ROWS, 9), "int32")
    ones[:, 6:] = 0
    return hb.Model([x, mask], layers.Dense(2)(pooled)), [tokens(9, 40), ones]


def vision_transformer() -> Case:
    x = hb.Input((16, 16, 3))
    y = layers.Reshape((16, 12))(layers.Conv2D(12, 4, 4)(x))
    y = attention_block(y, False)
    return hb.Model(x, layers.Dense(5, "softmax")(y[:, 0])), [floats(16, 16, 3)]


def grouped_queries() -> Case:
    x = hb.Input((6, 8))
    return hb.Model(x, layers.GroupQueryAttention(4, 4, 2)(x, x)), [floats(6, 8)]


def mixer() -> Case:
    x = hb.Input((6, 8))
    y = x + layers.Permute((2, 1))(
        layers.Dense(6, "gelu")(layers.Permute((2, 1))(layers.LayerNormalization()(x)))
    )
    y = y + layers.EinsumDense("abc,cd->abd", (None, 8), bias_axes="d")(layers.RMSNormalization()(y))
    return hb.Model(x, y), [floats(6, 8)]


def siamese() -> Case:
    a, b = hb.Input((6,), name="a"), hb.Input((6,), name="b")
    shared = hb.Sequential([hb.Input((6,)), layers.Dense(8, "relu"), layers.UnitNormalization()])
    return hb.Model([a, b], layers.Dot(1)([shared(a), shared(b)])), [floats(6), floats(6)]


def wide_and_deep() -> Case:
    numbers, kind = hb.Input((5,), name="numbers"), hb.Input((1,), dtype="int32", name="kind")
    deep = layers.Concatenate()(
        [layers.Dense(8, "relu")(numbers), layers.Flatten()(layers.Embedding(7, 3)(kind))]
    )
    wide = layers.CategoryEncoding(7, "one_hot")(kind)
    return hb.Model([numbers, kind], layers.Dense(1, "sigmoid")(layers.Concatenate()([deep, wide]))), [
        floats(5), tokens(1, 7)
    ]  # fmt: skip


def several_outputs() -> Case:
    x = hb.Input((10,), name="x")
    h = layers.Dense(12, "leaky_relu")(x)
    ends = {
        "kind": layers.Dense(3, "softmax", name="kind")(h),
        "size": layers.Dense(1, "softplus", name="size")(h),
    }
    return hb.Model(x, ends), [floats(10)]


def bytes_of_images() -> Case:
    x = hb.Input((10, 10, 3), dtype="uint8")
    y = layers.Conv2D(4, 3, activation="relu6")(layers.Rescaling(1 / 127.5, -1)(layers.Resizing(8, 8)(x)))
    images = RNG.integers(0, 256, (ROWS, 10, 10, 3)).astype("uint8")
    return hb.Model(x, layers.Dense(4)(layers.Flatten()(y))), [images]


def maxout() -> Case:
    x = hb.Input((6,))
    parts = [layers.Dense(5)(x) for _ in range(3)]
    y = layers.Maximum()(parts) - layers.Minimum()(parts) + layers.Average()(parts) * layers.Multiply()(parts)
    y = (
        layers.PReLU()(y)
        + layers.Dense(5, "mish")(y)
        + layers.Dense(5, "hard_sigmoid")(y)
        + layers.Dense(5, "exponential")(x)
    )
    return hb.Model(x, y), [floats(6)]


def selection() -> Case:
    x = hb.Input((12,))
    values, indices = ops.top_k(x, 3)
    parts = [values, ops.cast(ops.argmax(x, 1), "float32"), ops.cumsum(x, 1), ops.sort(x, 1)]
    return hb.Model(x, [*parts, indices, ops.where(x > 0, x, ops.exp(x)), ops.logsumexp(x, 1)]), [floats(12)]


def spectra() -> Case:
    x = hb.Input((64,))
    real, imaginary = ops.stft(x, 16, 8, 16)
    y = layers.Dense(3)(layers.Flatten()(ops.sqrt(real**2 + imaginary**2)))
    return hb.Model(x, y), [floats(64)]


def doubles() -> Case:
    x = hb.Input((5,), dtype="float64")
    return hb.Model(x, layers.Dense(3, "tanh", dtype="float64")(x)), [floats(5).astype("float64")]


def half(policy: str) -> Callable[[], Case]:
    def make() -> Case:
        parts = [
            layers.Conv2D(4, 3, dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.Flatten(dtype=policy),
        ]
        return sequential(
            (8, 8, 2), *parts, layers.Dense(3, dtype=policy), layers.Activation("softmax", dtype="float32")
        )

    return make


def quantized() -> Case:
    model, inputs = perceptron()
    model.quantize("int8")
    return model, inputs


def application(name: str, **options: Any) -> Callable[[], Case]:
    def make() -> Case:
        model = getattr(applications, name)(weights=None, input_shape=(32, 32, 3), classes=10, **options)
        return model, [floats(32, 32, 3)[:2]]

    return make


ZOO: dict[str, Callable[[], Case]] = {
    **{
        make.__name__: make
        for make in (
            tutorial, perceptron, regression, autoencoder, resnet, unet, separable, dilated, volumes,
            sentiment, *map(recurrent, ("SimpleRNN", "LSTM", "GRU")), bidirectional, convolutional_lstm,
            encoder, gpt, bert, vision_transformer, grouped_queries, mixer, siamese, wide_and_deep,
            several_outputs, bytes_of_images, maxout, selection, spectra, doubles, quantized,
        )
    },
    "mixed_bfloat16": half("mixed_bfloat16"),
    "mixed_float16": half("mixed_float16"),
    "mobilenet_v2": application("MobileNetV2", alpha=0.35),
    "mobilenet_v3": application("MobileNetV3Small", alpha=0.75, include_preprocessing=False),
}  # fmt: skip


def random_weights(model: hb.Model) -> None:
    """Give every weight other values than those of a new model: biases are not 0, variances not 1."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if (
            weight.dtype in ("float32", "float64", "float16", "bfloat16")
            and weight.name != "quantization_scale"
        ):
            change = np.abs(rng.normal(scale=0.1, size=weight.shape))
            weight.assign(weight.numpy().astype("float32") + change)
