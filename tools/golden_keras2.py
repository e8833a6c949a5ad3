"""Write tests/golden/keras2: models as Keras 2 saves them, and their outputs. Needs tf_keras:

python tools/golden_keras2.py
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tf_keras as keras
from tf_keras import layers

FOLDER = Path(__file__).resolve().parents[1] / "tests/golden/keras2"


def convolutions() -> Any:
    return keras.Sequential(
        [
            layers.Conv2D(3, 3, activation="relu", input_shape=(8, 8, 1), kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3),
            layers.SeparableConv2D(4, 2),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ]
    )


def shared() -> Any:
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    both = layers.Dense(4, activation="tanh")
    inner = keras.Sequential([layers.Dense(4, input_shape=(4,)), layers.LeakyReLU(0.2)], name="inner")
    middle = keras.Input((4,))
    functional = keras.Model(middle, layers.Dense(4)(middle), name="functional")
    x = inner(layers.Dense(4)(layers.Concatenate()([both(a), both(b)])))
    y = layers.Add()([x, inner(both(a)), functional(x)])
    return keras.Model([a, b], [layers.Dense(2, name="z")(y), inner(y), functional(y)])


def recurrent() -> Any:
    words = keras.Input((6,), dtype="int32")
    x = layers.Embedding(10, 4, mask_zero=True)(words)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    x = layers.GRU(3)(x)
    return keras.Model(words, layers.TimeDistributed(layers.Dense(2))(layers.RepeatVector(2)(x)))


def older() -> Any:
    """Layers that Keras 3 computes differently, or has under other names."""
    x = keras.Input((6, 4))
    y = layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True)(x)
    y = layers.GRU(5, activation="hard_sigmoid", reset_after=False)(y)
    return keras.Model(x, layers.ThresholdedReLU(0.4)(layers.Activation("hard_sigmoid")(y)))


def main() -> None:
    keras.utils.set_random_seed(0)
    draw = np.random.default_rng(0)
    five = [draw.normal(size=(4, 5)).astype("float32") for _ in range(2)]
    cases = {
        "convolutions": (convolutions(), "adam", [draw.normal(size=(4, 8, 8, 1)).astype("float32")]),
        "shared": (shared(), keras.optimizers.SGD(0.1, momentum=0.9), five),
        "recurrent": (recurrent(), "rmsprop", [draw.integers(0, 10, (4, 6)).astype("int32")]),
        "older": (older(), "sgd", [draw.normal(size=(4, 6, 4)).astype("float32")]),
    }
    for name, (model, optimizer, inputs) in cases.items():
        model.compile(optimizer, "mse", metrics=["mae"] if name == "convolutions" else None)
        for weight in model.weights:  # not as they began
            weight.assign(weight + 0.01)
        outputs = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        model.save(FOLDER / f"{name}.h5")
        arrays = {f"x{i}": x for i, x in enumerate(inputs)} | {f"y{i}": y for i, y in enumerate(outputs)}
        np.savez(FOLDER / f"{name}.npz", **arrays)


OPTIMIZERS = {
    "adam": keras.optimizers.Adam(0.01),
    "amsgrad": keras.optimizers.Adam(0.01, amsgrad=True),
    "sgd": keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "rmsprop": keras.optimizers.RMSprop(0.001, momentum=0.5, centered=True),
    "adagrad": keras.optimizers.Adagrad(0.1),
    "adadelta": keras.optimizers.Adadelta(1.0),
    "adamax": keras.optimizers.Adamax(0.01),
    "ftrl": keras.optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "older_adam": keras.optimizers.legacy.Adam(0.01),
    "older_sgd": keras.optimizers.legacy.SGD(0.01, momentum=0.9),
    "older_rmsprop": keras.optimizers.legacy.RMSprop(0.001, centered=True),
    "older_adadelta": keras.optimizers.legacy.Adadelta(1.0),
    "older_adamax": keras.optimizers.legacy.Adamax(0.01),
    "older_ftrl": keras.optimizers.legacy.Ftrl(0.1, beta=0.1),
}


def trainings() -> None:
    """Models in the middle of a training, and the weights at its end."""
    x = np.random.default_rng(1).normal(size=(16, 4)).astype("float32")
    y = (x[:, :1] - x[:, 1:2] ** 2).astype("float32")
    arrays = {"x": x, "y": y}
    for name, optimizer in OPTIMIZERS.items():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [layers.Dense(6, "tanh", input_shape=(4,)), layers.BatchNormalization(), layers.Dense(1)]
        )
        model.compile(optimizer, "mse")
        model.fit(x, y, epochs=5, verbose=0, shuffle=False)
        model.save(FOLDER / f"training_{name}.h5")
        model.fit(x, y, epochs=5, verbose=0, shuffle=False)
        arrays |= {f"{name}_{i}": w for i, w in enumerate(model.get_weights())}
    np.savez(FOLDER / "trainings.npz", **arrays)


if __name__ == "__main__":
    main()
    trainings()
