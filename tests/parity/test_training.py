"""compile, fit, evaluate and predict beside Keras's: the same models, weights and data, unshuffled.

Histories have the same keys in the same order and equal values over three epochs; the weights end up equal.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.parity.both import set_random_weights
from tests.helpers.parity.comparison import Comparison, fresh

pytestmark = pytest.mark.sampled

SIDES = (hornbeam, keras)
RNG = np.random.default_rng(21)
X = RNG.normal(size=(22, 4)).astype("float32")
Z = RNG.normal(size=(22, 3)).astype("float32")
Y = RNG.normal(size=(22, 2)).astype("float32")
LABELS = RNG.integers(0, 3, 22).astype("int32")
WEIGHTS = RNG.random(22).astype("float32")
STEPS = RNG.normal(size=(22, 5, 3)).astype("float32")
IDS = RNG.integers(0, 6, (22, 5)).astype("int32")


def one(k: ModuleType) -> Any:
    """One input, one output."""
    return k.Sequential([k.Input((4,)), k.layers.Dense(6, activation="tanh"), k.layers.Dense(2)])


def classes(k: ModuleType) -> Any:
    layers = k.layers
    return k.Sequential(
        [k.Input((4,)), layers.Dense(6, activation="tanh"), layers.Dense(3, activation="softmax")]
    )


def two(k: ModuleType) -> Any:
    """Two inputs, two named outputs."""
    a, b = k.Input((4,), name="a"), k.Input((3,), name="b")
    both = k.layers.Concatenate()([k.layers.Dense(4, activation="relu")(a), b])
    value = k.layers.Dense(2, name="value")(both)
    kind = k.layers.Dense(3, activation="softmax", name="kind")(both)
    return k.Model([a, b], [value, kind])


def dicts(k: ModuleType) -> Any:
    inputs = {"a": k.Input((4,), name="a"), "b": k.Input((3,), name="b")}
    both = k.layers.Concatenate()([inputs["a"], inputs["b"]])
    return k.Model(inputs, {"value": k.layers.Dense(2)(both), "kind": k.layers.Dense(3)(both)})


def nested(k: ModuleType) -> Any:
    """Outputs of outputs."""
    x = k.Input((4,))
    first, second, last = (k.layers.Dense(n, name=name)(x) for n, name in ((2, "u"), (2, "v"), (1, "w")))
    return k.Model(x, {"pair": (first, second), "last": last})


def _distance(k: ModuleType) -> Callable[[Any, Any], Any]:
    def distance(y_true: Any, y_pred: Any) -> Any:
        return k.ops.mean(k.ops.abs(y_true["pair"][0] - y_pred["pair"][1])) + k.ops.mean(y_pred["last"])

    return distance


def penalized(k: ModuleType) -> Any:
    """Penalties on weights and outputs, statistics, a frozen layer."""
    x = k.Input((4,))
    y = k.layers.Dense(6, kernel_regularizer="l2", activity_regularizer="l1")(x)
    y = k.layers.BatchNormalization(momentum=0.8)(y)
    y = k.layers.Dense(5, trainable=False)(y)
    return k.Model(x, k.layers.Dense(2)(y))


def adds_loss(k: ModuleType) -> Any:
    class Adds(k.layers.Layer):  # type: ignore[name-defined,misc]
        def call(self, inputs: Any) -> Any:
            self.add_loss(0.1 * k.ops.mean(k.ops.square(inputs)))
            return inputs

    return k.Sequential([k.Input((4,)), k.layers.Dense(4), Adds(), k.layers.Dense(2)])


def masked(k: ModuleType) -> Any:
    """A mask that reaches the loss."""
    layers = k.layers
    return k.Sequential(
        [
            k.Input((5,)),
            layers.Embedding(6, 4, mask_zero=True),
            layers.GRU(3, return_sequences=True),
            layers.Dense(1),
        ]
    )


def stateful(k: ModuleType) -> Any:
    return k.Sequential([k.Input(batch_shape=(11, 5, 3)), k.layers.LSTM(4, stateful=True), k.layers.Dense(2)])


def lambdas(k: ModuleType) -> Any:
    return k.Sequential(
        [k.Input((4,)), k.layers.Dense(4), k.layers.Lambda(lambda x: x * 2), k.layers.Dense(2)]
    )


Arguments = Callable[[ModuleType], dict[str, Any]]

# Name: model, arguments of compile, arguments of fit.
CASES: dict[str, tuple[Callable[[ModuleType], Any], Arguments, dict[str, Any]]] = {
    "plain": (one, lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]}, {"x": X, "y": Y}),
    "objects": (
        one,
        lambda k: {
            "optimizer": k.optimizers.Adam(0.05, clipnorm=1.0),
            "loss": k.losses.Huber(),
            "metrics": [k.metrics.RootMeanSquaredError(), k.metrics.MeanAbsoluteError(name="off")],
        },
        {"x": X, "y": Y, "validation_data": (X[:6], Y[:6])},
    ),
    "validation_split of the end": (
        one,
        lambda k: {"optimizer": "rmsprop", "loss": "mae"},
        {"x": X, "y": Y, "validation_data": (X[15:], Y[15:]), "validation_batch_size": 3},
    ),
    "class_weight": (
        classes,
        lambda k: {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
        {"x": X, "y": LABELS, "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
    ),
    "sample_weight": (
        one,
        lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mse"]},
        {"x": X, "y": Y, "sample_weight": WEIGHTS},
    ),
    "two outputs by position": (
        two,
        lambda k: {
            "optimizer": "sgd",
            "loss": ["mse", "sparse_categorical_crossentropy"],
            "loss_weights": [0.3, 2.0],
            "metrics": [["mae"], ["accuracy"]],
        },
        {"x": [X, Z], "y": [Y, LABELS]},
    ),
    "two outputs by name": (
        two,
        lambda k: {
            "optimizer": "sgd",
            "loss": {"value": "mse", "kind": "sparse_categorical_crossentropy"},
            "loss_weights": {"value": 0.3, "kind": 2.0},
            "metrics": {"kind": ["accuracy", "sparse_categorical_crossentropy"]},
            "weighted_metrics": {"value": ["mae"]},
        },
        {"x": {"a": X, "b": Z}, "y": {"value": Y, "kind": LABELS}},
    ),
    "dicts of outputs": (
        dicts,
        lambda k: {
            "optimizer": "sgd",
            "loss": {"value": "mse", "kind": k.losses.SparseCategoricalCrossentropy(from_logits=True)},
            "metrics": {"value": "mae"},
        },
        {"x": {"a": X, "b": Z}, "y": {"value": Y, "kind": LABELS}},
    ),
    "one loss for two outputs": (
        two,
        lambda k: {"optimizer": "sgd", "loss": "mse"},
        {"x": [X, Z], "y": [Y, np.eye(3, dtype="float32")[LABELS]]},
    ),
    "penalties and a frozen layer": (
        penalized, lambda k: {"optimizer": "sgd", "loss": "mse"}, {"x": X, "y": Y}
    ),
    "add_loss": (adds_loss, lambda k: {"optimizer": "sgd", "loss": "mse"}, {"x": X, "y": Y}),
    "a Lambda": (lambdas, lambda k: {"optimizer": "sgd", "loss": "mse"}, {"x": X, "y": Y}),
    "masks": (
        masked,
        lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mse"]},
        {"x": IDS, "y": STEPS[:, :, :1]},
    ),
    "stateful": (
        stateful, lambda k: {"optimizer": "sgd", "loss": "mse"}, {"x": STEPS, "y": Y, "batch_size": 11}
    ),
    "steps_per_execution": (
        one, lambda k: {"optimizer": "sgd", "loss": "mse", "steps_per_execution": 2}, {"x": X, "y": Y}
    ),
    "run_eagerly": (
        one,
        lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], "run_eagerly": True},
        {"x": X, "y": Y},
    ),
    "gradient accumulation": (
        one,
        lambda k: {"optimizer": k.optimizers.SGD(0.1, gradient_accumulation_steps=2), "loss": "mse"},
        {"x": X, "y": Y},
    ),
    "a moving average and weight decay": (
        one,
        lambda k: {"optimizer": k.optimizers.AdamW(0.05, use_ema=True, ema_momentum=0.7), "loss": "mse"},
        {"x": X, "y": Y},
    ),
    "a function as loss and as metric": (
        one,
        lambda k: {
            "optimizer": "sgd",
            "loss": lambda t, p: k.ops.mean(k.ops.abs(t - p), axis=-1),
            "metrics": [k.metrics.mean_squared_error],
        },
        {"x": X, "y": Y},
    ),
    "steps_per_epoch": (
        one, lambda k: {"optimizer": "sgd", "loss": "mse"}, {"x": X, "y": Y, "steps_per_epoch": 2}
    ),
    "a list of one loss for an output": (
        two,
        lambda k: {"optimizer": "sgd", "loss": ["mse", ["sparse_categorical_crossentropy"]]},
        {"x": [X, Z], "y": [Y, LABELS]},
    ),
    "a loss of all outputs, and one of each": (
        nested,
        lambda k: {
            "optimizer": "sgd",
            "loss": [_distance(k), {"pair": (None, "mse"), "last": "mae"}],
            "loss_weights": [0.5, {"pair": (0.0, 2.0), "last": 1.0}],
        },
        {"x": X, "y": {"pair": (Y, Y), "last": Y[:, :1]}, "sample_weight": None},
    ),
    "metrics of nested outputs": (
        nested,
        lambda k: {"optimizer": "sgd", "loss": "mse", "metrics": {"pair": ("mae", None), "last": ["mse"]}},
        {"x": X, "y": {"pair": (Y, Y), "last": Y[:, :1]}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_training(compare: Comparison, name: str) -> None:
    make, options, data = CASES[name]
    fresh()
    ours, theirs = make(hornbeam), make(keras)
    set_random_weights(theirs, np.random.default_rng(7))
    ours.set_weights(theirs.get_weights())
    rest = {key: value for key, value in data.items() if key not in ("x", "y")}
    inputs = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, **rest}
    batch = {"batch_size": inputs["batch_size"], "verbose": 0}
    logs: list[list[Any]] = []
    for model, side in zip((ours, theirs), SIDES, strict=True):
        model.compile(**options(side))
        history = model.fit(data["x"], data["y"], **inputs).history
        scores = model.evaluate(data["x"], data["y"], return_dict=True, **batch)
        logs.append([history, scores, model.predict(data["x"], **batch), model.metrics_names])
    mine, other = logs
    compare.same("keys of the history", list(mine[0]), list(other[0]))
    compare.close("history", floats(mine[0]), floats(other[0]))
    compare.same("keys of evaluate", sorted(mine[1]), sorted(other[1]))
    compare.close("evaluate", floats(mine[1]), floats(other[1]))
    compare.close("predict", mine[2], other[2])
    compare.same("metrics_names", mine[3], other[3])
    compare.close("weights", ours.get_weights(), theirs.get_weights())


def floats(logs: dict[str, Any]) -> dict[str, np.ndarray]:
    return {key: np.asarray(value, "float32") for key, value in logs.items()}


def recorder(side: ModuleType) -> Any:
    class Recorder(side.callbacks.Callback):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def _note(self, batch: int, logs: Any = None) -> None:
            self.seen.append(batch)

        on_epoch_begin = on_train_batch_begin = on_train_batch_end = _note
        on_test_batch_begin = on_test_batch_end = on_predict_batch_begin = on_predict_batch_end = _note

    return Recorder()


@pytest.mark.filterwarnings("ignore:.*ran out of data", "ignore:epoch .* ended with the data")
@pytest.mark.filterwarnings("ignore:steps.*but the data have")
@pytest.mark.parametrize("execution", [1, 2, 4])
@pytest.mark.parametrize("steps", [None, 1, 2, 3, 5])
@pytest.mark.parametrize("eagerly", [False, True])
def test_numbers_of_batches(compare: Comparison, steps: int | None, execution: int, eagerly: bool) -> None:
    seen = []
    for side in SIDES:
        model, record = one(side), recorder(side)
        model.compile("sgd", "mse", steps_per_execution=execution, run_eagerly=eagerly)
        settings = {"batch_size": 8, "verbose": 0, "callbacks": [record]}
        model.fit(X, Y, epochs=4, steps_per_epoch=steps, validation_data=(X, Y), **settings)
        model.evaluate(X, Y, steps=steps, **settings)
        model.predict(X, steps=steps, **settings)
        seen.append([*record.seen, int(model.optimizer.iterations)])
    compare.same(f"batches {steps} {execution} {eagerly}", *seen)


def test_batches(compare: Comparison) -> None:
    fresh()
    ours, theirs = two(hornbeam), two(keras)
    set_random_weights(theirs, np.random.default_rng(7))
    ours.set_weights(theirs.get_weights())
    actual = []
    for model in (ours, theirs):
        model.compile("sgd", ["mse", "sparse_categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
        steps = [
            model.train_on_batch([X[i : i + 5], Z[i : i + 5]], [Y[i : i + 5], LABELS[i : i + 5]])
            for i in (0, 5)
        ]
        logs = model.train_on_batch([X, Z], [Y, LABELS], return_dict=True)
        actual.append(
            [steps, floats(logs), model.test_on_batch([X, Z], [Y, LABELS]), model.predict_on_batch([X, Z])]
        )
    mine, other = actual
    compare.close(
        "train_on_batch",
        [np.float32(x) for s in mine[0] for x in s],
        [np.float32(x) for s in other[0] for x in s],
    )
    compare.close("train_on_batch as a dict", mine[1], other[1])
    compare.same("keys", sorted(mine[1]), sorted(other[1]))
    compare.close("test_on_batch", [np.float32(x) for x in mine[2]], [np.float32(x) for x in other[2]])
    compare.close("predict_on_batch", mine[3], other[3])
    compare.close("weights", ours.get_weights(), theirs.get_weights())


def test_trainable_switches(compare: Comparison) -> None:
    fresh()
    for make in (penalized, two):
        counts = []
        for side in SIDES:
            model = make(side)
            model.trainable = False
            frozen = [w.path for w in model.trainable_weights]
            model.layers[-1].trainable = True
            counts.append(
                [frozen, [w.path for w in model.trainable_weights], len(model.non_trainable_weights)]
            )
        compare.same(make.__name__, *counts)
