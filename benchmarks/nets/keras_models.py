"""Known nets in plain Keras code, for every library that runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

RNG = np.random.default_rng(0)


class Net(NamedTuple):
    """A model that is built but not compiled, and a batch for it."""

    model: Any
    x: Any
    y: np.ndarray
    loss: str
    metrics: tuple[str, ...] = ("accuracy",)


NETS: dict[str, Callable[[int], Net]] = {}


def net(builder: Callable[[int], Net]) -> Callable[[int], Net]:
    NETS[builder.__name__] = builder
    return builder


def images(count: int, size: int, channels: int = 3) -> np.ndarray:
    return RNG.standard_normal((count, size, size, channels)).astype("float32")


def labels(shape: tuple[int, ...] | int, classes: int) -> np.ndarray:
    return RNG.integers(0, classes, shape).astype("int32")


SPARSE = "sparse_categorical_crossentropy"


def application(name: str, count: int, size: int, **options: Any) -> Net:
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), classes=1000, **options)
    return Net(model, images(count, size), labels(count, 1000), SPARSE)


@net
def resnet50_96(count: int) -> Net:
    return application("ResNet50", count, 96)


@net
def resnet50_224(count: int) -> Net:
    return application("ResNet50", count, 224)


@net
def mobilenet_v2(count: int) -> Net:
    return application("MobileNetV2", count, 224)


@net
def efficientnet_b0(count: int) -> Net:
    return application("EfficientNetB0", count, 224)


@net
def convnext_tiny(count: int) -> Net:
    return application("ConvNeXtTiny", count, 224, include_preprocessing=False)


class Positions(layers.Layer):
    """Adds a learned vector for each position."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal", name="table")

    def call(self, x: Any) -> Any:
        return x + self.table


def block(x: Any, heads: int, *, first: bool, causal: bool = False, mask: Any = None) -> Any:
    """A Transformer block; normalization comes first, or after the sums as in BERT."""
    width = x.shape[-1]
    attention = layers.MultiHeadAttention(heads, width // heads)

    def attended(x: Any) -> Any:
        return attention(x, x, use_causal_mask=causal, attention_mask=mask)

    def inner(x: Any) -> Any:
        return layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(x))

    def norm(x: Any) -> Any:
        return layers.LayerNormalization(epsilon=1e-5)(x)

    if first:
        x = x + attended(norm(x))
        return x + inner(norm(x))
    x = norm(x + attended(x))
    return norm(x + inner(x))


@net
def vit_tiny(count: int) -> Net:
    inputs = layers.Input((224, 224, 3))
    x = layers.Reshape((196, 192))(layers.Conv2D(192, 16, 16)(inputs))
    x = Positions()(x)
    for _ in range(12):
        x = block(x, 3, first=True)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-5)(x))
    model = keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))
    return Net(model, images(count, 224), labels(count, 1000), SPARSE)


def gpt(count: int, depth: int, width: int, length: int, words: int) -> Net:
    inputs = layers.Input((length,), dtype="int32")
    x = Positions()(layers.Embedding(words, width)(inputs))
    for _ in range(depth):
        x = block(x, width // 64, first=True, causal=True)
    x = layers.Dense(words, activation="softmax")(layers.LayerNormalization(epsilon=1e-5)(x))
    model = keras.Model(inputs, x)
    return Net(model, labels((count, length), words), labels((count, length), words), SPARSE)


@net
def gpt_4(count: int) -> Net:
    return gpt(count, 4, 256, 128, 8000)


@net
def gpt_12(count: int) -> Net:
    return gpt(count, 12, 384, 256, 8000)


@net
def bert_small(count: int) -> Net:
    words, length, width = 30_000, 128, 512
    inputs = layers.Input((length,), dtype="int32")
    mask = layers.Lambda(lambda ids: ops.not_equal(ids, 0)[:, None, :])(inputs)
    x = Positions()(layers.Embedding(words, width)(inputs))
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    for _ in range(4):
        x = block(x, 8, first=False, mask=mask)
    x = layers.Dense(width, activation="tanh")(x[:, 0])
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
    ids = labels((count, length), words)
    ids[np.arange(length) >= RNG.integers(length // 2, length + 1, (count, 1))] = 0
    return Net(model, ids, labels(count, 2), SPARSE)


def unet(count: int, size: int, width: int) -> Net:
    def twice(x: Any, width: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    inputs = x = layers.Input((size, size, 3))
    skips = []
    for level in range(4):
        x = twice(x, width << level)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = twice(x, width << 4)
    for level in reversed(range(4)):
        x = layers.Conv2DTranspose(width << level, 2, 2)(x)
        x = twice(layers.Concatenate()([skips[level], x]), width << level)
    model = keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(x))
    return Net(model, images(count, size), labels((count, size, size), 3), SPARSE)


@net
def unet_64(count: int) -> Net:
    return unet(count, 64, 32)


@net
def unet_256(count: int) -> Net:
    return unet(count, 256, 16)


class Gan(keras.Model):
    """DCGAN of 64x64 images: a step trains the discriminator, then the generator through it."""

    def __init__(self, generator: Any, discriminator: Any) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        discriminator.compile(keras.optimizers.Adam(2e-4, 0.5), "binary_crossentropy")
        noise = layers.Input((100,))
        self.joined = keras.Model(noise, discriminator(generator(noise)))
        self.joined.compile(keras.optimizers.Adam(2e-4, 0.5), "binary_crossentropy")

    def train_both(self, real: np.ndarray) -> None:
        count = len(real)
        noise = RNG.standard_normal((count, 100)).astype("float32")
        fake = self.generator.predict_on_batch(noise)
        both = np.concatenate([real, np.asarray(fake)])
        target = np.repeat(np.float32([[1], [0]]), count, axis=0)
        self.discriminator.train_on_batch(both, target)
        self.discriminator.trainable = False
        self.joined.train_on_batch(noise, target[:count])
        self.discriminator.trainable = True


@net
def dcgan(count: int) -> Net:
    generator = keras.Sequential([layers.Input((100,)), layers.Dense(4 * 4 * 256, use_bias=False)])
    generator.add(layers.Reshape((4, 4, 256)))
    for width in (128, 64, 32):
        generator.add(layers.BatchNormalization())
        generator.add(layers.ReLU())
        generator.add(layers.Conv2DTranspose(width, 4, 2, padding="same", use_bias=False))
    generator.add(layers.BatchNormalization())
    generator.add(layers.ReLU())
    generator.add(layers.Conv2DTranspose(3, 4, 2, padding="same", activation="tanh"))
    discriminator = keras.Sequential([layers.Input((64, 64, 3))])
    for width in (32, 64, 128, 256):
        discriminator.add(layers.Conv2D(width, 4, 2, padding="same", use_bias=False))
        discriminator.add(layers.BatchNormalization())
        discriminator.add(layers.LeakyReLU(negative_slope=0.2))
    discriminator.add(layers.Flatten())
    discriminator.add(layers.Dense(1, activation="sigmoid"))
    return Net(Gan(generator, discriminator), np.tanh(images(count, 64)), labels(count, 2), "")


@net
def wavenet(count: int) -> Net:
    length, width, values = 2048, 64, 256
    inputs = layers.Input((length, 1))
    x = layers.Conv1D(width, 2, padding="causal")(inputs)
    skips = 0
    for dilation in [2**i for i in range(10)] * 2:
        signal = layers.Conv1D(width, 2, padding="causal", dilation_rate=dilation, activation="tanh")(x)
        gate = layers.Conv1D(width, 2, padding="causal", dilation_rate=dilation, activation="sigmoid")(x)
        gated = signal * gate
        skips = skips + layers.Conv1D(width, 1)(gated)
        x = x + layers.Conv1D(width, 1)(gated)
    x = layers.Conv1D(width, 1, activation="relu")(layers.ReLU()(skips))
    model = keras.Model(inputs, layers.Conv1D(values, 1, activation="softmax")(x))
    x = RNG.standard_normal((count, length, 1)).astype("float32")
    return Net(model, x, labels((count, length), values), SPARSE)


@net
def lstm_2(count: int) -> Net:
    model = keras.Sequential(
        [
            layers.Input((100,), dtype="int32"),
            layers.Embedding(10_000, 128),
            layers.LSTM(256, return_sequences=True),
            layers.LSTM(256),
            layers.Dense(2, activation="softmax"),
        ]
    )
    return Net(model, labels((count, 100), 10_000), labels(count, 2), SPARSE)


@net
def tabular(count: int) -> Net:
    """A net as DLRM: 13 numbers, 26 columns of 1,000 categories, products of all pairs; AUC."""
    numbers, categories = layers.Input((13,)), layers.Input((26,), dtype="int32")
    x = layers.BatchNormalization()(numbers)
    for width in (256, 64, 16):
        x = layers.Dense(width, activation="relu")(x)
    columns = [layers.Embedding(1000, 16)(categories[:, i]) for i in range(26)]
    vectors = layers.Lambda(lambda parts: ops.stack(parts, axis=1))([x, *columns])
    rows, others = np.tril_indices(27, -1)

    def pairs(v: Any) -> Any:
        products = ops.matmul(v, ops.transpose(v, (0, 2, 1)))
        return ops.take(ops.reshape(products, (-1, 27 * 27)), rows * 27 + others, axis=1)

    x = layers.Concatenate()([x, layers.Lambda(pairs)(vectors)])
    for width in (256, 128):
        x = layers.BatchNormalization()(layers.Dense(width, activation="relu")(x))
    model = keras.Model([numbers, categories], layers.Dense(1, activation="sigmoid")(x))
    x = [RNG.standard_normal((count, 13)).astype("float32"), labels((count, 26), 1000)]
    y = labels((count, 1), 2).astype("float32")
    return Net(model, x, y, "binary_crossentropy", ("AUC",))


@net
def lenet5(count: int) -> Net:
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return Net(model, images(count, 28, 1), labels(count, 10), SPARSE)


@net
def mnist(count: int) -> Net:
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    return Net(model, images(count, 28, 1), labels(count, 10), SPARSE)


@net
def bert_base(count: int) -> Net:
    """The shape of BERT-base without its classifier, for predictions."""
    inputs = layers.Input((128,), dtype="int32")
    x = Positions()(layers.Embedding(30_000, 768)(inputs))
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    for _ in range(12):
        x = block(x, 12, first=False)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x[:, 0]))
    return Net(model, labels((count, 128), 30_000), labels(count, 2), SPARSE)
