"""Small data and nets for the programs."""

import numpy as np


def table(rows=320, columns=4, classes=3):
    """Return standardized columns and the class, an integer, that they decide."""
    generator = np.random.default_rng(1)
    x = generator.normal(size=(rows, columns)).astype("float32")
    return x, (x @ generator.normal(size=(columns, classes))).argmax(1)


def houses(rows=320):
    """Return standardized columns and a number near 0 that they decide but for some noise."""
    generator = np.random.default_rng(2)
    x = generator.normal(size=(rows, 4)).astype("float32")
    y = x @ [0.5, -1, 0.3, 0.8] + generator.normal(scale=0.3, size=rows)
    return x, y.astype("float32")


def images(rows=300, channels=1, classes=3):
    """Return 8x8 images between 0 and 1 of a bright bar on a dark ground; its place is the class."""
    generator = np.random.default_rng(3)
    y = np.arange(rows) % classes
    x = generator.uniform(0, 0.2, (rows, 8, 8, channels))
    for image, label in zip(x, y, strict=True):
        image[:, 2 * label + 1] += 0.8
    return x.astype("float32"), y


def photos(rows=300, channels=1, classes=3):
    """Return the same images as files give them: bytes between 0 and 255."""
    x, y = images(rows, channels, classes)
    return (x * 255).astype("uint8"), y


def sentences(rows=320, words=10, length=6):
    """Return words as numbers from 1, filled with 0 on the right, and whether word 1 or 2 is among them."""
    generator = np.random.default_rng(4)
    x = generator.integers(1, words, (rows, length))
    for sentence in x:
        sentence[generator.integers(3, length + 1) :] = 0
    return x, ((x == 1) | (x == 2)).any(1).astype("int64")


def net(keras, x, *layers):
    """Return a Sequential for the rows of x."""
    return keras.Sequential([keras.Input(x.shape[1:]), *layers])


def classifier(keras, x, units=3, activation="softmax", loss="sparse_categorical_crossentropy", **settings):
    """Return a compiled net of one hidden layer that flattens its input."""
    layers = keras.layers
    model = net(
        keras, x, layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(units, activation=activation)
    )
    model.compile(**{"optimizer": "adam", "loss": loss, "metrics": ["accuracy"], **settings})
    return model


def regressor(keras, x, **settings):
    """Return a compiled net of one hidden layer that predicts a number."""
    return classifier(keras, x, 1, None, **{"loss": "mse", "metrics": ["mae"], **settings})
