"""Unusual programs that are right: they must run, and nothing may be said about them (warnings are
errors)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, losses, ops
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
LABELS = RNG.integers(0, 3, 24)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
YES = (LABELS > 0).astype("float32")


def net(loss: Any, units: int = 3, activation: Any = "softmax", **settings: Any) -> hb.Model:
    return compiled_model((4,), [layers.Dense(units, activation=activation)], "sgd", loss, **settings)


def fit(model: hb.Model, *args: Any, **kwargs: Any) -> hb.Model:
    history = model.fit(*args, verbose=0, **kwargs)
    assert all(math.isfinite(value) for values in history.history.values() for value in values)
    return model


def batches(count: int | None = None) -> Iterator[Any]:
    while count is None or count > 0:
        yield X[:8], LABELS[:8]
        count = None if count is None else count - 1


class Squares(hb.Model):
    """A subclass without a loss in compile: it adds its own."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        y = self.dense(x)
        self.add_loss(ops.mean(ops.square(y)))
        return y


class Dataset:
    """As a DataLoader: has a length, and gives lists."""

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[Any]:
        return (list(batch) for batch in batches(3))


def mixture() -> hb.Model:
    """Probabilities that are made without an activation at the end: a mixture of softmaxes."""
    x = hb.Input((4,))
    a = layers.Dense(3, activation="softmax")(x)
    b = layers.Dense(3, activation="softmax")(x)
    model = hb.Model(x, 0.5 * a + 0.5 * b)
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def normalized() -> hb.Model:
    """Positive scores divided by their sum."""
    x = hb.Input((4,))
    scores = ops.exp(layers.Dense(3)(x))
    model = hb.Model(x, scores / ops.sum(scores, axis=-1, keepdims=True))
    model.compile("sgd", "categorical_crossentropy")
    return model


def segmentation() -> hb.Model:
    return compiled_model(
        (None, None, 1),
        [layers.Conv2D(3, 1, activation="softmax")],
        "sgd",
        losses.SparseCategoricalCrossentropy(ignore_class=255),
    )


def masked_pixels() -> np.ndarray:
    y = RNG.integers(0, 3, (8, 5, 6))
    y[:, 0] = 255
    return y


def two_heads(**settings: Any) -> hb.Model:
    x = hb.Input((4,))
    kind, size = layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="size")(x)
    model = hb.Model(x, {"kind": kind, "size": size})
    model.compile("sgd", **settings)
    return model


def as_feature_extractor() -> hb.Model:
    base = net("mse")
    base.trainable = False
    model = hb.Sequential([base, layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


BOTH = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
PROGRAMS: dict[str, Callable[[], Any]] = {
    "labels as a column": lambda: fit(net("sparse_categorical_crossentropy"), X, LABELS[:, None]),
    "labels as floats": lambda: fit(net("sparse_categorical_crossentropy"), X, LABELS.astype("float64")),
    "labels as uint8": lambda: fit(net("sparse_categorical_crossentropy"), X, LABELS.astype("uint8")),
    "fewer labels than units": lambda: fit(net("sparse_categorical_crossentropy", 10), X, LABELS),
    "soft targets": lambda: fit(net("categorical_crossentropy"), X, ONE_HOT * 0.8 + 0.2 / 3),
    "one-hot weighted by an advantage": lambda: fit(net("categorical_crossentropy"), X, ONE_HOT * X[:, :1]),
    "rows of zeros for padding": lambda: fit(
        net("categorical_crossentropy"), X, np.where(LABELS[:, None] == 0, 0, ONE_HOT)
    ),
    "one-hot as booleans": lambda: fit(net("categorical_crossentropy"), X, ONE_HOT.astype(bool)),
    "several classes at once": lambda: fit(net("binary_crossentropy", 3, "sigmoid"), X, np.ones((24, 3))),
    "softmax with mean squared error": lambda: fit(net("mse"), X, ONE_HOT),
    "probabilities as yes-no targets": lambda: fit(net("binary_crossentropy", 1, "sigmoid"), X, YES * 0.9),
    "a vector for one unit": lambda: fit(net("mse", 1, None), X, YES),
    "logits, said so": lambda: fit(
        net(losses.SparseCategoricalCrossentropy(from_logits=True), 3, None), X, LABELS
    ),
    "a mixture of softmaxes": lambda: fit(mixture(), X, LABELS),
    "normalized by hand": lambda: fit(normalized(), X, ONE_HOT),
    "hinge with minus one and one": lambda: fit(net("hinge", 1, "tanh"), X, YES * 2 - 1),
    "images of any size with ignored pixels": lambda: fit(
        segmentation(), np.zeros((8, 5, 6, 1), "float32"), masked_pixels()
    ),
    "a loss of one's own with dummy targets": lambda: fit(
        net(lambda y_true, y_pred: ops.mean(y_pred * y_pred, axis=-1)), X, np.zeros(24)
    ),
    "a loss out of add_loss alone": lambda: fit(_compiled(Squares()), X),
    "x with a missing channel axis": lambda: fit(
        _compiled(hb.Sequential([hb.Input((4, 1)), layers.Flatten(), layers.Dense(1)])), X, YES
    ),
    "uint8 images": lambda: fit(net("sparse_categorical_crossentropy"), (X > 0).astype("uint8"), LABELS),
    "float64 and Fortran order": lambda: fit(
        net("sparse_categorical_crossentropy"), np.asfortranarray(X.astype("float64")), LABELS
    ),
    "huge but finite numbers": lambda: net("mse", 1, None).evaluate(
        np.full((64, 4), 3e38, "float32") * 0 + 1e19, np.ones(64), verbose=0
    ),
    "int64 tokens": lambda: fit(
        _compiled(hb.Sequential([layers.Embedding(5, 3), layers.GlobalAveragePooling1D(), layers.Dense(1)])),
        RNG.integers(0, 5, (24, 6)),
        YES,
    ),
    "a batch larger than the data": lambda: fit(net("mse"), X, ONE_HOT, batch_size=1000),
    "no epochs": lambda: fit(net("mse"), X, ONE_HOT, epochs=0),
    "one sample": lambda: fit(net("mse"), X[:1], ONE_HOT[:1]),
    "class weights for one class only": lambda: fit(
        net("sparse_categorical_crossentropy"), X, LABELS, class_weight={2: 5.0}
    ),
    "weights of zero for half of the samples": lambda: fit(
        net("mse"), X, ONE_HOT, sample_weight=np.arange(24) % 2
    ),
    "weights as a column": lambda: fit(net("mse"), X, ONE_HOT, sample_weight=np.ones((24, 1))),
    "weights per output": lambda: fit(
        two_heads(loss=BOTH), X, {"kind": LABELS, "size": YES}, sample_weight={"kind": np.ones(24)}
    ),
    "a loss for one output only": lambda: fit(
        two_heads(loss={"kind": "sparse_categorical_crossentropy"}, metrics={"size": ["mae"]}),
        X,
        {"kind": LABELS, "size": YES},
    ),
    "an endless generator": lambda: fit(
        net("sparse_categorical_crossentropy"), batches(), steps_per_epoch=2, epochs=2
    ),
    "a generator read once": lambda: fit(net("sparse_categorical_crossentropy"), batches(3)),
    "a loader of lists": lambda: fit(net("sparse_categorical_crossentropy"), Dataset(), epochs=2),
    "epochs of parts of a pass": lambda: fit(
        net("mse"), X, ONE_HOT, batch_size=4, steps_per_epoch=3, epochs=4
    ),
    "a frozen base": lambda: fit(as_feature_extractor(), X, YES),
    "validation on the tail": lambda: fit(
        net("mse"), X, ONE_HOT, validation_split=0.25, validation_split_mode="tail"
    ),
    "a class too rare to be split": lambda: fit(
        net("sparse_categorical_crossentropy"), X, np.array([2] + [0] * 12 + [1] * 11), validation_split=0.2
    ),
    "validation data, and another test set": lambda: fit(
        net("mse"), X, ONE_HOT, validation_data=(X[:8], ONE_HOT[:8])
    ).evaluate(X[8:], ONE_HOT[8:], verbose=0),
    "evaluate on the training set": lambda: fit(net("mse"), X, ONE_HOT, validation_split=0.2).evaluate(
        X, ONE_HOT, verbose=0
    ),
    "inputs by name, more than needed": lambda: hb.Model(
        i := hb.Input((4,), name="a"), layers.Dense(1)(i)
    ).predict({"a": X, "unused": X}, verbose=0),
    "debugging line by line": lambda: fit(net("mse", run_eagerly=True), X, ONE_HOT),
    "early stopping on the training loss": lambda: fit(
        net("mse"), X, ONE_HOT, callbacks=[hb.callbacks.EarlyStopping("loss", patience=1)], epochs=3
    ),
    "predict before compile": lambda: hb.Sequential([layers.Dense(2)]).predict(X, verbose=0),
}


def _compiled(model: hb.Model) -> hb.Model:
    model.compile("sgd", None if isinstance(model, Squares) else "mse")
    return model


@pytest.mark.parametrize("name", PROGRAMS)
def test_is_left_in_peace(name: str) -> None:
    PROGRAMS[name]()
