"""Models that are trained on an engine and compared with the native one."""

from __future__ import annotations

from typing import Any

import numpy as np

import hornbeam
from hornbeam import layers


def convnet() -> hornbeam.Model:
    return hornbeam.Sequential(
        [
            layers.Input((12, 12, 1)),
            layers.Conv2D(8, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def reader() -> hornbeam.Model:
    tokens = layers.Input((9,), dtype="int32")
    x = layers.Embedding(20, 8, mask_zero=True)(tokens)
    x = layers.LSTM(8, return_sequences=True)(x)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.LayerNormalization()(x)
    x = layers.GRU(6)(x)
    return hornbeam.Model(tokens, layers.Dense(4, activation="softmax")(x))


def residual() -> hornbeam.Model:
    images = layers.Input((12, 12, 1))
    x = layers.Conv2D(6, 3, padding="same", strides=2, kernel_initializer="orthogonal")(images)
    y = layers.BatchNormalization()(layers.SeparableConv2D(6, 3, padding="same")(x))
    x = layers.add([x, layers.Activation("gelu")(y)])
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.GlobalAveragePooling2D()(layers.GroupNormalization(2)(x))
    return hornbeam.Model(images, layers.Dense(4, activation="softmax")(x))


def transformer() -> hornbeam.Model:
    tokens = layers.Input((9,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    x = layers.LayerNormalization()(layers.add([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    y = layers.Dense(8)(layers.Dropout(0.1)(layers.Dense(16, activation="gelu")(x)))
    x = layers.LayerNormalization()(layers.add([x, y]))
    return hornbeam.Model(tokens, layers.Dense(4, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def data(build: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y = rng.integers(0, 4, 96)
    if build in (reader, transformer):
        return rng.integers(0, 20, (96, 9)), y
    return rng.normal(size=(96, 12, 12, 1)).astype("float32"), y


def trained(build: Any, optimizer: str, epochs: int = 2) -> tuple[list[float], list[np.ndarray]]:
    hornbeam.utils.set_random_seed(3)
    model = build()
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = data(build, np.random.default_rng(0))
    history = model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return history.history["loss"], model.get_weights()
