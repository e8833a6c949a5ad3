"""Compiled models of several kinds, each with data of 20 rows, for tests of exported training steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers
from hornbeam.optimizers import SGD, Adam, RMSprop
from hornbeam.optimizers.schedules import ExponentialDecay

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=(20, *shape)).astype("float32")


def classes(count: int) -> np.ndarray:
    return RNG.integers(0, count, 20)


def compiled(parts: list[Any], optimizer: Any, loss: str, metrics: Any = None) -> hb.Sequential:
    model = hb.Sequential(parts)
    model.compile(optimizer, loss, metrics=metrics)
    return model


def mlp() -> tuple[hb.Model, Any, Any]:
    parts = [hb.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")]
    model = compiled(parts, Adam(0.01), "sparse_categorical_crossentropy", ["accuracy"])
    return model, floats(6), classes(3)


def cnn() -> tuple[hb.Model, Any, Any]:
    hidden = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D()]
    parts = [hb.Input((8, 8, 2)), *hidden, layers.Flatten(), layers.Dense(3, "softmax")]
    model = compiled(parts, SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    return model, floats(8, 8, 2), classes(3)


def dropout() -> tuple[hb.Model, Any, Any]:
    parts = [hb.Input((6,)), layers.Dense(32, "relu"), layers.Dropout(0.5, seed=3), layers.Dense(1)]
    return compiled(parts, Adam(0.01), "mse", ["mae"]), floats(6), floats(1)


def lstm() -> tuple[hb.Model, Any, Any]:
    parts = [hb.Input((5, 3)), layers.LSTM(4, return_sequences=True), layers.LSTM(3), layers.Dense(1)]
    return compiled(parts, RMSprop(0.01), "mse"), floats(5, 3), floats(1)


def schedule() -> tuple[hb.Model, Any, Any]:
    parts = [hb.Input((6,)), layers.Dense(4, "tanh", kernel_regularizer="l2"), layers.Dense(2)]
    return compiled(parts, SGD(ExponentialDecay(0.2, 2, 0.5)), "mse"), floats(6), floats(2)


def several() -> tuple[hb.Model, Any, Any]:
    a, b = hb.Input((3,), name="a"), hb.Input((2,), name="b")
    y = layers.Dense(4, "gelu")(layers.Concatenate()([a, b]))
    outputs = [layers.Dense(3, "softmax", name="kind")(y), layers.Dense(1, name="size")(y)]
    model = hb.Model([a, b], outputs)
    losses = ["sparse_categorical_crossentropy", "mse"]
    model.compile(Adam(0.01, gradient_accumulation_steps=2, clipnorm=1.0), losses, loss_weights=[1.0, 0.5])
    return model, [floats(3), floats(2)], [classes(3), floats(1)]


CASES: dict[str, Callable[[], tuple[hb.Model, Any, Any]]] = {
    "mlp": mlp, "cnn": cnn, "dropout": dropout, "lstm": lstm, "schedule": schedule, "several": several,
}  # fmt: skip


def named(model: hb.Model, x: Any, y: Any) -> dict[str, np.ndarray]:
    if not isinstance(x, list):
        return {model.input_names[0]: x, "y": y}
    targets = {f"y_{name}": array for name, array in zip(model.output_names, y, strict=True)}
    return dict(zip(model.input_names, x, strict=True)) | targets
