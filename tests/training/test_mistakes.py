"""Mistakes that people make, each with the text that they must be shown before the first step is run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, losses
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
LABELS = RNG.integers(0, 3, 40)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
YES = (LABELS > 0).astype("float32")


def classifier(
    loss: Any = "sparse_categorical_crossentropy",
    units: int = 3,
    activation: Any = "softmax",
    **settings: Any,
) -> hb.Model:
    model = hb.Sequential(
        [hb.Input((4,), name="features"), layers.Dense(units, activation=activation, name="scores")],
        name="net",
    )
    model.compile("sgd", loss, **settings)
    return model


def images() -> hb.Model:
    return compiled_model(
        (8, 8, 1),
        [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax")],
        "sgd",
        "sparse_categorical_crossentropy",
    )


def two_outputs(**settings: Any) -> hb.Model:
    x = hb.Input((4,), name="x")
    a = layers.Dense(3, activation="softmax", name="kind")(x)
    b = layers.Dense(1, name="size")(x)
    model = hb.Model(x, [a, b], name="pair")
    model.compile("sgd", **({"loss": ["sparse_categorical_crossentropy", "mse"]} | settings))
    return model


def two_inputs() -> hb.Model:
    a, b = hb.Input((4,), name="left"), hb.Input((2,), name="right")
    model = hb.Model([a, b], layers.Dense(1)(layers.Concatenate()([a, b])), name="join")
    model.compile("sgd", "mse")
    return model


def with_nan() -> np.ndarray:
    x = X.copy()
    x[17, 2] = np.nan
    return x


def fit(model: hb.Model, *args: Any, **kwargs: Any) -> None:
    model.fit(*args, verbose=0, **kwargs)


def embedding() -> hb.Model:
    model = hb.Sequential([layers.Embedding(10, 4), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def uncompiled() -> hb.Model:
    return hb.Sequential([hb.Input((4,)), layers.Dense(1)], name="net")


def compiled_without_optimizer() -> hb.Model:
    model = uncompiled()
    model.compile(optimizer=None, loss="mse")
    return model


def batches() -> Iterator[Any]:
    while True:
        yield X[:8], LABELS[:8]


Mistake = Callable[[], Any]
MISTAKES: dict[str, tuple[Mistake, str]] = {
    # -- data --------------------------------------------------------------------------------------
    "wrong number of features": (
        lambda: fit(classifier(), X[:, :3], LABELS),
        "model 'net': input 'features' expects shape (None, 4), got (40, 3)",
    ),
    "channel axis missing altogether": (
        lambda: fit(images(), np.zeros((40, 64), "float32"), LABELS),
        "expects shape (None, 8, 8, 1), got (40, 64). Reshape the data: x.reshape((-1, 8, 8, 1))",
    ),
    "channels first": (
        lambda: fit(images(), np.zeros((40, 1, 8, 8), "float32"), LABELS),
        "The axes seem to be in another order: transpose them with np.transpose",
    ),
    "one sample without a batch": (
        lambda: images().predict(np.zeros((8, 8, 1), "float32"), verbose=0),
        "one sample without a batch axis: add it with x[None]",
    ),
    "lengths differ": (
        lambda: fit(classifier(), X, LABELS[:-1]),
        "all data must have the same number of samples: x has 40, y has 39",
    ),
    "no samples": (lambda: fit(classifier(), X[:0], LABELS[:0]), "the data hold no samples"),
    "no data at all": (lambda: fit(classifier()), "fit() got no data: x is None"),
    "forgot y": (
        lambda: fit(classifier(), X),
        "the loss of model 'net' compares predictions with targets, but y is missing",
    ),
    "NaN in x": (lambda: fit(classifier(), with_nan(), LABELS), "x contains NaN, first in sample 17"),
    "infinity in x": (
        lambda: fit(classifier(), np.where(X > 2.0, np.inf, X), LABELS),
        "x contains an infinite value, first in sample",
    ),
    "NaN in y": (
        lambda: fit(classifier("mse", 1, None), X, np.where(LABELS == 2, np.nan, 1.0)),
        "y contains NaN, first in sample",
    ),
    "strings": (
        lambda: fit(classifier(), np.array([["a"] * 4] * 40), LABELS),
        "x holds strings (such as np.str_('a'))",
    ),
    "string labels": (
        lambda: fit(classifier(), X, np.array(["cat"] * 40)),
        "y holds strings",
    ),
    "ragged objects": (
        lambda: fit(classifier(), np.array([np.zeros(3), np.zeros(4)], dtype=object), LABELS[:2]),
        "x is an array of 2 arrays of the shapes (3,) and (4,), but the samples of a batch have one shape",
    ),
    "a ragged list": (
        lambda: fit(classifier(), [[0.0] * 4] * 39 + [[0.0]], LABELS),
        "x has a list whose items differ in length: pad them to one, as pad_sequences does",
    ),
    "complex numbers": (lambda: fit(classifier(), X.astype("complex64"), LABELS), "x has dtype complex64"),
    "a scalar": (lambda: fit(classifier(), np.float32(1.0), LABELS), "x is a single number"),
    "one array for two inputs": (
        lambda: fit(two_inputs(), X, YES),
        "model 'join' has 2 input(s) (left, right), x holds one array",
    ),
    "wrong input name": (
        lambda: fit(two_inputs(), {"left": X, "rigth": X[:, :2]}, YES),
        "x has no entry for the input 'right'. Did you mean 'rigth'?",
    ),
    "y beside a generator": (
        lambda: fit(classifier(), batches(), LABELS, steps_per_epoch=1),
        "x is a generator, which gives batches (x, y) itself: omit y",
    ),
    "empty generator": (lambda: fit(classifier(), iter(())), "the data hold no batch"),
    "an index without a vector": (
        lambda: fit(embedding(), LABELS[:, None] + 9, LABELS),
        "x contains the index 11, the layer has vectors for 0 to 9. Write Embedding(12, ...)",
    ),
    "a negative index": (
        lambda: embedding().evaluate(LABELS[:, None] - 1, LABELS, verbose=0),
        "x contains the index -1, the layer has vectors for 0 to 9. Indices start at 0",
    ),
    # -- labels ------------------------------------------------------------------------------------
    "label too large": (
        lambda: fit(classifier(), X, LABELS + 1),
        "y contains the label 3, the output has 3 units for the classes 0 to 2. Labels that begin at 1 need "
        "y - 1",
    ),
    "label far too large": (lambda: fit(classifier(), X, LABELS * 4), "Use 9 units, or check the labels"),
    "negative label": (lambda: fit(classifier(), X, LABELS - 1), "y contains the label -1"),
    "labels that are no classes": (
        lambda: fit(classifier(), X, LABELS + 0.5),
        "expects class indices (integers)",
    ),
    "one-hot for sparse": (
        lambda: fit(classifier(), X, ONE_HOT),
        "so it looks one-hot. Use 'categorical_crossentropy'",
    ),
    "numbers for one-hot": (
        lambda: fit(classifier("categorical_crossentropy"), X, LABELS),
        "looks like class indices, y_pred has shape (32, 3). Use 'sparse_categorical_crossentropy'",
    ),
    "several ones in a row": (
        lambda: fit(classifier("categorical_crossentropy"), X, np.ones((40, 3), "float32")),
        "y is not one-hot: sample 0 has 3 ones",
    ),
    "one-hot with the wrong number of classes": (
        lambda: fit(classifier("categorical_crossentropy"), X, np.eye(4)[LABELS]),
        "the targets have 4 classes, the model's last layer 3 units",
    ),
    "minus one and one": (
        lambda: fit(classifier("binary_crossentropy", 1, "sigmoid"), X, YES * 2 - 1),
        "turn -1 and 1 into 0 and 1 with (y + 1) / 2",
    ),
    "classes for a yes-no model": (
        lambda: fit(classifier("binary_crossentropy", 1, "sigmoid"), X, LABELS),
        "for 3 classes use sparse_categorical_crossentropy and 3 units with softmax",
    ),
    "targets that only broadcast": (
        lambda: fit(classifier("mse", 3, None), X, YES),
        "only broadcasts",
    ),
    "one column against three units": (
        lambda: fit(classifier("mae", 3, None), X, YES[:, None]),
        "model 'net', output 'scores'",
    ),
    # -- losses against activations ----------------------------------------------------------------
    "softmax and from_logits": (
        lambda: fit(classifier(losses.SparseCategoricalCrossentropy(from_logits=True)), X, LABELS),
        "(layer 'net/scores') ends in a softmax, but the loss sparse_categorical_crossentropy has "
        "from_logits=True",
    ),
    "sigmoid and from_logits": (
        lambda: fit(classifier(losses.BinaryCrossentropy(from_logits=True), 1, "sigmoid"), X, YES),
        "ends in a sigmoid, but the loss binary_crossentropy has from_logits=True",
    ),
    "logits without from_logits": (
        lambda: fit(classifier(activation=None), X, LABELS),
        "add activation='softmax' to the last layer, or write "
        "SparseCategoricalCrossentropy(from_logits=True)",
    ),
    "binary logits without from_logits": (
        lambda: fit(classifier("binary_crossentropy", 1, None), X, YES),
        "add activation='sigmoid' to the last layer, or write BinaryCrossentropy(from_logits=True)",
    ),
    "tanh for probabilities": (
        lambda: fit(classifier("binary_crossentropy", 1, "tanh"), X, YES),
        "gives negative values too",
    ),
    "softmax over one unit": (
        lambda: fit(classifier("binary_crossentropy", 1, "softmax"), X, YES),
        "ends in a softmax over 1 unit, which is always 1",
    ),
    "one unit for classes": (
        lambda: fit(classifier("sparse_categorical_crossentropy", 1, "sigmoid"), X, LABELS),
        "has 1 unit, but sparse_categorical_crossentropy compares classes",
    ),
    # -- names -------------------------------------------------------------------------------------
    "unknown loss": (
        lambda: classifier("sparse_crossentropy"),
        "unknown loss 'sparse_crossentropy'. Did you mean",
    ),
    "unknown optimizer": (
        lambda: uncompiled().compile("adaam", "mse"),
        "unknown optimizer 'adaam'. Did you mean 'adam'?",
    ),
    "unknown metric": (lambda: classifier(metrics=["acuracy"]), "unknown metric 'acuracy'. Did you mean"),
    "unknown activation": (lambda: layers.Dense(3, activation="rleu"), "Did you mean 'relu'?"),
    "the class of a loss": (
        lambda: classifier(losses.MeanSquaredError),
        "loss=MeanSquaredError is the class: write MeanSquaredError()",
    ),
    "metrics in the place of loss_weights": (
        lambda: uncompiled().compile("sgd", "mse", ["mae"]),
        "loss_weights must be numbers, got 'mae'. The third argument of compile() is loss_weights",
    ),
    # -- settings ----------------------------------------------------------------------------------
    "not compiled": (lambda: fit(uncompiled(), X, YES), "model 'net' is not compiled: call model.compile("),
    "evaluate before compile": (lambda: uncompiled().evaluate(X, YES), "before model.evaluate()"),
    "no optimizer": (
        lambda: fit(compiled_without_optimizer(), X, YES),
        "model 'net' is compiled without an optimizer, so fit() cannot update its weights",
    ),
    "no loss": (
        lambda: fit(classifier(loss=None), X, LABELS),
        "model 'net' has no loss: give one to compile(loss=...)",
    ),
    "batch size zero": (
        lambda: fit(classifier(), X, LABELS, batch_size=0),
        "batch_size must be an integer of at least 1, got 0",
    ),
    "batch size a fraction": (
        lambda: fit(classifier(), X, LABELS, batch_size=32.0),
        "batch_size must be an integer of at least 1, got 32.0: write batch_size=32",
    ),
    "negative epochs": (
        lambda: fit(classifier(), X, LABELS, epochs=-1),
        "epochs must be an integer of at least 0, got -1",
    ),
    "split in percent": (
        lambda: fit(classifier(), X, LABELS, validation_split=20),
        "validation_split must lie between 0 and 1, got 20: for 20 percent write 0.2",
    ),
    "split that leaves nothing": (
        lambda: fit(classifier(), X[:3], LABELS[:3], validation_split=0.1),
        "validation_split=0.1 of 3 samples leaves nothing to validate on",
    ),
    "split of a generator": (
        lambda: fit(classifier(), batches(), steps_per_epoch=1, validation_split=0.2),
        "validation_split needs arrays in memory",
    ),
    "steps of zero": (
        lambda: fit(classifier(), X, LABELS, steps_per_epoch=0),
        "steps_per_epoch must be an integer of at least 1, got 0",
    ),
    "validation data of another shape": (
        lambda: fit(classifier(), X, LABELS, validation_data=(X[:, :2], LABELS)),
        "expects shape (None, 4), got (40, 2)",
    ),
    "validation data that is one array": (
        lambda: fit(classifier(), X, LABELS, validation_data=X),
        "validation_data must be (x, y), got one array",
    ),
    "validation labels out of range": (
        lambda: fit(classifier(), X, LABELS, validation_data=(X, LABELS + 5)),
        "y contains the label 7",
    ),
    "sample_weight of another length": (
        lambda: fit(classifier(), X, LABELS, sample_weight=np.ones(39)),
        "sample_weight has shape (39,), the data have 40 samples",
    ),
    "class_weight as a list": (
        lambda: fit(classifier(), X, LABELS, class_weight=[1.0, 2.0, 3.0]),
        "class_weight must be a dict {class index: weight}",
    ),
    "class_weight for a class that is not there": (
        lambda: fit(classifier(), X, LABELS, class_weight={0: 1.0, 3: 2.0}),
        "class_weight has the class 3, the output has the classes 0 to 2",
    ),
    "class_weight by name": (
        lambda: fit(classifier(), X, LABELS, class_weight={"cat": 1.0}),
        "the keys of class_weight must be class indices, got 'cat'",
    ),
    "verbose": (lambda: classifier().fit(X, LABELS, verbose="loud"), 'verbose must be "auto", 0'),
    "a callback's class": (
        lambda: fit(classifier(), X, LABELS, callbacks=[hb.callbacks.EarlyStopping]),
        "callbacks=[EarlyStopping] is the class: write EarlyStopping(...)",
    ),
    "no callback": (lambda: fit(classifier(), X, LABELS, callbacks=[print]), "a callback must be"),
    "monitor without a direction": (
        lambda: fit(classifier(), X, LABELS, callbacks=[hb.callbacks.EarlyStopping(monitor="val_thing")]),
        'give mode="min" or mode="max"',
    ),
    # -- several outputs ---------------------------------------------------------------------------
    "one loss too few": (
        lambda: fit(two_outputs(loss=["mse"]), X, [LABELS, YES]),
        "loss has 1 entries, the model has 2 output(s): kind, size",
    ),
    "loss for an unknown output": (
        lambda: fit(two_outputs(loss={"kind": "mse", "sise": "mse"}), X, [LABELS, YES]),
        "loss names 'sise', which is not an output of the model. Did you mean 'size'?",
    ),
    "metrics for an unknown output": (
        lambda: fit(two_outputs(metrics={"kinds": ["accuracy"]}), X, [LABELS, YES]),
        "metrics names 'kinds', which is not an output of the model. Did you mean 'kind'?",
    ),
    "flat metrics for two outputs": (
        lambda: fit(two_outputs(metrics=["mae"]), X, [LABELS, YES]),
        "metrics has 1 entries, the model has 2 outputs: write them by output",
    ),
    "one target for two outputs": (
        lambda: fit(two_outputs(), X, LABELS),
        "the model has 2 outputs (kind, size), y is one array",
    ),
    "a target by the wrong name": (
        lambda: fit(two_outputs(), X, {"kind": LABELS, "sizes": YES}),
        "y names 'sizes', which is not an output of the model",
    ),
    # -- building ----------------------------------------------------------------------------------
    "symbolic data": (lambda: fit(classifier(), hb.Input((4,)), LABELS), "data must be arrays with values"),
    "layer class in Sequential": (
        lambda: hb.Sequential([layers.Flatten]),
        "Flatten is the class: write Flatten(...)",
    ),
    "the same layer twice": (
        lambda: hb.Sequential([layer := layers.Dense(4), layer]),
        "names must differ, and a layer can be in a Sequential only once",
    ),
    "no layers": (lambda: fit(_compiled(hb.Sequential(name="net")), X, YES), "model 'net' has no layers"),
    "summary of weights before building": (
        lambda: hb.Sequential([layers.Dense(3)]).count_params(),
        "is not built",
    ),
    "get_weights sizes": (
        lambda: classifier().set_weights([np.zeros((4, 3))]),
        "has 2 weights, set_weights got 1 arrays",
    ),
    "graph that is not connected": (
        lambda: hb.Model(hb.Input((3,), name="a"), layers.Dense(1)(hb.Input((2,), name="b"))),
        "which is not among the inputs (a)",
    ),
    "outputs that are no tensors": (
        lambda: hb.Model(hb.Input((3,)), np.zeros(3)),
        "must be symbolic tensors",
    ),
    "unknown layer name": (
        lambda: classifier().get_layer("score"),
        "model 'net' has no layer 'score'. Did you mean 'scores'?",
    ),
    "dense on images": (
        lambda: hb.Sequential([hb.Input((8, 8)), layers.Conv2D(3, 3, name="first")]),
        "layer 'sequential",
    ),
    "train_step of Keras on JAX": (
        lambda: fit(_Stateless(), X, YES),
        "train_step(state, data) is the signature of Keras on JAX",
    ),
    "train_step that returns no dict": (
        lambda: fit(_Silent(), X, YES),
        "train_step must return a dict of logs",
    ),
}


class _Silent(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)
        self.compile("sgd", "mse")

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        return hb.ops.sum(self(data[0]))


class _Stateless(_Silent):
    def train_step(self, state: Any, data: Any) -> Any:  # type: ignore[override]
        return {}, state


def _compiled(model: hb.Model) -> hb.Model:
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("name", MISTAKES)
def test_is_told_what_is_wrong(name: str) -> None:
    make, text = MISTAKES[name]
    hb.backend.clear_session()
    with pytest.raises((ValueError, TypeError, RuntimeError), match=re.escape(text)):
        make()


def test_nothing_is_changed_by_a_mistake() -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises(ValueError, match="label 3"):
        fit(model, X, LABELS + 1)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
