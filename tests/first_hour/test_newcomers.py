"""Programs with the mistakes of newcomers, or the habits of other libraries, and their outcomes.

Each row has a program and its outcome: `Error` or `Warns` with words of the message, or `Works` where the
program is right although it looks odd. The mistakes are those of questions that are asked again and again.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
N = 64
X = RNG.normal(size=(N, 4)).astype("float32")
LABELS = RNG.integers(0, 3, N)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
YES = (LABELS > 0).astype("float32")
REAL = RNG.normal(size=N).astype("float32")
IMAGES = RNG.random((N, 8, 8, 1)).astype("float32")
SPARSE, CATEGORICAL, BINARY = (
    "sparse_categorical_crossentropy",
    "categorical_crossentropy",
    "binary_crossentropy",
)

Dense = layers.Dense


class Error(NamedTuple):
    text: str


class Warns(NamedTuple):
    text: str


class Works(NamedTuple):
    pass


def model(*stack: Any, shape: Any = (4,), optimizer: Any = "sgd", loss: Any = SPARSE, **more: Any) -> Any:
    return compiled_model(shape, list(stack or [Dense(3, "softmax")]), optimizer, loss, name="net", **more)


def fit(net: Any, *data: Any, **settings: Any) -> Any:
    net.fit(*data, **{"verbose": 0, **settings})
    return net


def images(*stack: Any, loss: Any = SPARSE) -> Any:
    return model(*stack, shape=(8, 8, 1), loss=loss)


class WithoutSuper(hb.Model):
    def __init__(self) -> None:
        self.n = 3

    def call(self, x: Any) -> Any:
        return x


def objects(*items: Any) -> np.ndarray:
    array = np.empty(len(items), object)
    for index, item in enumerate(items):
        array[index] = item
    return array


def unfrozen() -> None:
    net = hb.Sequential([hb.Input((4,)), Dense(8, trainable=False), Dense(3, "softmax")], name="net")
    net.compile("adam", SPARSE)
    fit(net, X, LABELS)
    net.trainable = True
    fit(net, X, LABELS)


def same_loss(y: np.ndarray) -> float:
    hb.utils.set_random_seed(0)
    return fit(model(Dense(1), loss="mse"), X, y).history.history["loss"][0]


def shapes_of_targets() -> None:
    assert same_loss(REAL) == pytest.approx(same_loss(REAL[:, None]))


def steps_beyond_a_pass() -> None:
    history = model().fit(X, LABELS, batch_size=32, steps_per_epoch=5, verbose=0)
    assert history.epoch == [0]


def two_generators() -> Any:
    for _ in range(2):
        yield X[:8], LABELS[:8]


def metric_by_name(name: str) -> Any:
    return fit(model(metrics=[name]), X, LABELS)


CALLBACKS = hb.callbacks

PROGRAMS: dict[str, tuple[Callable[[], Any], Error | Warns | Works]] = {
    # -- targets -------------------------------------------------------------------------------------
    "targets (n,) and (n, 1) against one unit": (shapes_of_targets, Works()),
    "labels 1 to 3 with 3 units": (
        lambda: fit(model(), X, LABELS + 1), Error("Labels that begin at 1 need y - 1"),
    ),
    "labels as floats": (lambda: fit(model(), X, LABELS.astype("float32")), Works()),
    "labels as strings": (
        lambda: fit(model(), X, np.array(["cat", "dog"] * (N // 2))), Error("for labels StringLookup"),
    ),
    "labels as booleans": (
        lambda: fit(model(Dense(1, "sigmoid"), loss=BINARY), X, YES > 0), Works(),
    ),
    "one-hot rows for sparse labels": (
        lambda: fit(model(), X, ONE_HOT), Error("Use 'categorical_crossentropy', or pass class indices"),
    ),
    "class indices for one-hot rows": (
        lambda: fit(model(loss=CATEGORICAL), X, LABELS), Error("Use 'sparse_categorical_crossentropy'"),
    ),
    "three classes for one unit": (
        lambda: fit(model(Dense(1, "sigmoid"), loss=BINARY), X, LABELS),
        Error("for 3 classes use sparse_categorical_crossentropy and 3 units with softmax"),
    ),
    "two outputs for one target": (
        lambda: fit(model(Dense(2), loss="mse"), X, REAL), Error("end the model with one unit (Dense(1))"),
    ),
    "a metric of one-hot rows for class indices": (
        lambda: fit(model(metrics=["precision"]), X, LABELS), Error("or one-hot rows (utils.to_categorical)"),
    ),
    "x and y swapped": (lambda: fit(model(), LABELS, X), Error("are x and y swapped?")),
    "x and y of different lengths": (
        lambda: fit(model(), X, LABELS[:-4]), Error("the same number of samples: x has 64, y has 60"),
    ),
    "no y": (lambda: fit(model(), X), Error("but y is missing")),
    "x and y in one tuple": (
        lambda: fit(model(), (X, LABELS)), Error("Inputs and targets are two arguments"),
    ),
    # -- inputs --------------------------------------------------------------------------------------
    "a list of rows of numbers": (
        lambda: fit(model(Dense(1), shape=(2,), loss="mse"), [[1, 2], [3, 4]], [0, 1]), Works(),
    ),
    "a list of rows as arrays": (
        lambda: fit(model(Dense(1), shape=(2,), loss="mse"), list(np.ones((3, 2))), [0, 1, 2]),
        Error("x is a list of 3 arrays of shape (2,), which means 3 inputs. For 3 samples make one array"),
    ),
    "a list of images": (
        lambda: fit(images(layers.Flatten(), Dense(3, "softmax")), list(IMAGES), LABELS),
        Error("For 64 samples make one array: np.stack(x)"),
    ),
    "a list of as many images as they have rows": (
        lambda: fit(images(layers.Flatten(), Dense(3, "softmax")), list(IMAGES[:8]), LABELS[:8]),
        Error("x holds 8 arrays. For 8 samples make one array: np.stack(x)"),
    ),
    "a list of images of two sizes": (
        lambda: fit(
            images(layers.Flatten(), Dense(3)), [np.zeros((60, 60, 1)), np.zeros((64, 64, 1))], [0, 1]
        ),
        Error("images of the sizes 60x60 and 64x64, but the images of a batch have one size: resize each"),
    ),
    "images of two sizes, to predict": (
        lambda: images(layers.Flatten(), Dense(3)).predict(
            [np.zeros((6, 8, 1)), np.zeros((8, 6, 1))], verbose=0
        ),
        Error("images of the sizes 6x8 and 8x6"),
    ),
    "images of two sizes, in an array of objects": (
        lambda: fit(images(Dense(3)), objects(np.zeros((6, 8, 1)), np.zeros((8, 6, 1))), [0, 1]),
        Error("images of the sizes 6x8 and 8x6"),
    ),
    "texts of several lengths as lists": (
        lambda: fit(model(), [[1, 2, 3], [4, 5]], [0, 1]), Error("pad them to one, as pad_sequences does"),
    ),
    "sequences of several lengths as arrays": (
        lambda: fit(model(), [np.zeros(3), np.zeros(5)], [0, 1]), Error("pad them (utils.pad_sequences)"),
    ),
    "doubles": (lambda: fit(model(), X.astype("float64"), LABELS), Works()),
    "one image without a batch axis": (
        lambda: images(layers.Flatten(), Dense(3)).predict(IMAGES[0], verbose=0),
        Error("add it with x[None]"),
    ),
    "one row without a batch axis": (
        lambda: model().predict(X[0], verbose=0), Error("add it with x[None]"),
    ),
    "numbers into an embedding": (
        lambda: fit(model(layers.Embedding(10, 2), layers.Flatten(), Dense(3, "softmax")), np.abs(X), LABELS),
        Error("the layer takes indices (integers)"),
    ),
    "missing values": (
        lambda: fit(model(), np.where(X > 2, np.nan, X), LABELS), Error("x contains NaN, first in sample"),
    ),
    # -- layers --------------------------------------------------------------------------------------
    "no Flatten before the last Dense": (
        lambda: fit(images(layers.Conv2D(2, 3), Dense(3, "softmax")), IMAGES, LABELS),
        Error("The output has 4 axes: put Flatten() or a global pooling layer before the last Dense"),
    ),
    "no Flatten, with one-hot rows": (
        lambda: fit(images(layers.Conv2D(2, 3), Dense(3, "softmax"), loss=CATEGORICAL), IMAGES, ONE_HOT),
        Error("put Flatten() or a global pooling layer before the last Dense"),
    ),
    "sequences from the last LSTM": (
        lambda: fit(
            model(layers.LSTM(2, return_sequences=True), Dense(3, "softmax"), shape=(5, 4)),
            np.zeros((N, 5, 4)), LABELS,
        ),
        Error("The output has 3 axes"),
    ),
    "dropout in percent": (lambda: layers.Dropout(50), Error("rate must be a number in [0, 1], got 50")),
    "no units": (lambda: Dense(0), Error("units must be an integer of at least 1, got 0")),
    "units as a float": (lambda: Dense(3.0), Error("write units=3")),  # type: ignore[arg-type]
    "units as an array's scalar": (lambda: Dense(np.int64(3)), Works()),  # type: ignore[arg-type]
    "a kernel larger than the image": (
        lambda: images(layers.Conv2D(2, 9)), Error('Use padding="same", a smaller window'),
    ),
    "too many poolings": (
        lambda: images(*(layers.MaxPooling2D() for _ in range(4))), Error("fewer pooling layers before"),
    ),
    "strides of 0": (lambda: layers.Conv2D(2, 3, strides=0), Error("strides must be an integer or 2 of")),
    "a class as activation": (
        lambda: Dense(3, activation=layers.ReLU), Error("activation=ReLU is the class: write ReLU()"),
    ),
    "softmax over one unit": (
        lambda: fit(model(Dense(1, "softmax"), loss=BINARY), X, YES), Error("a softmax over 1 unit"),
    ),
    "logits without from_logits": (
        lambda: fit(model(Dense(3)), X, LABELS), Error("add activation='softmax' to the last layer"),
    ),
    "no super().__init__()": (
        lambda: WithoutSuper()(X), Error("WithoutSuper.__init__() must call super().__init__()"),
    ),
    # -- compile -------------------------------------------------------------------------------------
    "no compile": (
        lambda: fit(hb.Sequential([Dense(3)], name="net"), X, LABELS), Error("call model.compile("),
    ),
    "a metric as loss": (
        lambda: model(loss="accuracy"), Error("loss='accuracy' is a metric: write metrics=['accuracy']"),
    ),
    "metrics by position": (
        lambda: hb.Sequential([Dense(3)]).compile("sgd", "mse", ["accuracy"]), Error("write metrics=[...]"),
    ),
    "one metric without a list": (lambda: fit(model(metrics="accuracy"), X, LABELS), Works()),
    "a class as optimizer": (lambda: fit(model(optimizer=hb.optimizers.Adam), X, LABELS), Works()),
    "lr": (lambda: hb.optimizers.Adam(lr=0.1), Error("'learning_rate'")),
    "a negative learning rate": (lambda: hb.optimizers.Adam(-0.1), Error("not negative, got -0.1")),
    "one optimizer for two models": (
        lambda: [fit(model(optimizer=o), X, LABELS) for o in [hb.optimizers.Adam()] * 2],
        Error("was not built on"),
    ),
    "unfrozen without compile": (unfrozen, Error("call model.compile() again with a new optimizer")),
    # -- fit -----------------------------------------------------------------------------------------
    "a class without a weight": (
        lambda: fit(model(), X, LABELS, class_weight={0: 1.0, 1: 5.0}), Works(),
    ),
    "weights of classes as a list": (
        lambda: fit(model(), X, LABELS, class_weight=[1.0, 1.0, 5.0]), Error("dict(enumerate(weights))"),
    ),
    "validation_data as a list": (
        lambda: fit(model(), X, LABELS, validation_data=[X + 1, LABELS]), Works(),
    ),
    "validation_data within a tuple": (
        lambda: fit(model(), X, LABELS, validation_data=((X + 1, LABELS),)), Error("fit(x, y)"),
    ),
    "empty validation data": (
        lambda: fit(model(), X, LABELS, validation_data=(X[:0], LABELS[:0])), Error("hold no samples"),
    ),
    "the training data as validation data": (
        lambda: fit(model(), X, LABELS, validation_data=(X, LABELS)),
        Warns("samples are in the training data"),
    ),
    "more steps than a pass has": (steps_beyond_a_pass, Warns("the data have 2 batches")),
    "a batch larger than the data": (lambda: fit(model(), X, LABELS, batch_size=1000), Works()),
    "epochs as a string": (lambda: fit(model(), X, LABELS, epochs="5"), Error("got '5'")),
    "percent to validate": (lambda: fit(model(), X, LABELS, validation_split=20), Error("write 0.2")),
    "a generator that ends": (
        lambda: fit(model(), two_generators(), epochs=3), Warns("A generator can be read once"),
    ),
    "val_loss without validation": (
        lambda: fit(model(), X, LABELS, callbacks=[CALLBACKS.EarlyStopping(monitor="val_loss")]),
        Warns("Nothing is validated: give fit() validation_data or validation_split"),
    ),
    "the wrong monitor": (
        lambda: fit(
            model(metrics=["accuracy"]), X, LABELS, validation_split=0.2,
            callbacks=[CALLBACKS.EarlyStopping(monitor="val_acc")],
        ),
        Warns("EarlyStopping watches 'val_acc', which is not among the metrics"),
    ),
    "a mode by a wrong name": (
        lambda: CALLBACKS.EarlyStopping(monitor="val_loss", mode="mni"),
        Error('must be "auto", "min" or "max"'),
    ),
    "a callback without parentheses": (
        lambda: fit(model(), X, LABELS, callbacks=[CALLBACKS.TerminateOnNaN]), Error("write TerminateOnNaN("),
    ),
    "evaluate without y": (lambda: model().evaluate(X, verbose=0), Error("but y is missing")),
    "a frozen model": (
        lambda: fit(model(Dense(3, "softmax", trainable=False)), X, LABELS), Warns("no trainable weights"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_outcome(name: str) -> None:
    program, outcome = PROGRAMS[name]
    hb.backend.clear_session()
    if isinstance(outcome, Works):
        program()
    elif isinstance(outcome, Error):
        with pytest.raises((TypeError, ValueError, RuntimeError), match=re.escape(outcome.text)):
            program()
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            program()
        messages = {str(w.message): w.filename for w in caught}
        assert any(outcome.text in text and file == __file__ for text, file in messages.items()), messages
