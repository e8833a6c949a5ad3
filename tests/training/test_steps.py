"""Numbers of steps: epochs of parts of a pass, executions of several steps, and their end by a callback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from tests.helpers.builders import compiled_model

X = np.arange(80, dtype="float32").reshape(40, 2) / 80
Y = X.sum(axis=1, keepdims=True)


def model(**options: Any) -> hb.Model:
    return compiled_model((2,), [layers.Dense(1)], "sgd", "mse", **options)


def batches() -> Iterator[Any]:
    for start in range(0, 40, 4):
        yield X[start : start + 4], Y[start : start + 4]


class Numbered(hb.utils.PyDataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Any:
        return X[index * 4 : index * 4 + 4], Y[index * 4 : index * 4 + 4]


class Endless:
    def __iter__(self) -> Iterator[Any]:
        while True:
            yield X[:4], Y[:4]


class Recorder(callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.begun: list[int] = []
        self.ended: list[int] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.begun.append(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.ended.append(batch)


@pytest.mark.parametrize(
    ("steps", "updates", "words"),
    [
        (5, [5, 5, 5, 5], None),
        (9, [9, 1, 9, 1], "epoch 2 ended with the data, after 1 of 9 steps"),
        (11, [10, 10, 10, 10], "steps_per_epoch=11, but the data have 10 batches"),
    ],
)
@pytest.mark.parametrize("source", ["arrays", "a PyDataset", "a Dataset", "a list"])
def test_an_epoch_ends_with_the_pass(steps: int, updates: list[int], words: str | None, source: str) -> None:
    rows = hb.data.Dataset.from_tensor_slices((X, Y))
    passed: dict[str, Any] = {
        "arrays": {"x": X, "y": Y, "batch_size": 4},
        "a PyDataset": {"x": Numbered()},
        "a Dataset": {"x": rows.map(lambda x, y: (x, y)).batch(4)},
        "a list": {"x": _Again()},
    }[source]
    net = model()
    counts: list[int] = []
    count = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: counts.append(int(net.optimizer.iterations))
    )
    if words is None:
        net.fit(**passed, epochs=4, steps_per_epoch=steps, verbose=0, callbacks=[count])
    else:
        if source == "a list" and steps == 11:  # its length is unknown until its end
            words = "epoch 1 ended with the data, after 10 of 11 steps"
        with pytest.warns(UserWarning, match=words):
            net.fit(**passed, epochs=4, steps_per_epoch=steps, verbose=0, callbacks=[count])
    assert np.diff([0, *counts]).tolist() == updates


class _Again:
    def __iter__(self) -> Iterator[Any]:
        return batches()


def test_repeated_data_fill_every_epoch() -> None:
    for source in (
        hb.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat(),
        hb.data.Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x, y)).batch(4).repeat(),
        Endless(),
    ):
        net = model()
        net.fit(source, epochs=3, steps_per_epoch=9, verbose=0)
        assert int(net.optimizer.iterations) == 27


def test_the_schedule_counts_short_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="ended with the data"):
        history = model().fit(X, Y, batch_size=4, epochs=5, steps_per_epoch=9, verbose=1)
    schedule = history.schedule
    assert schedule is not None
    assert schedule.updates == 29
    assert "up to 9 updates per epoch, 29 in total" in capsys.readouterr().out
    assert schedule.all().startswith("5 epochs of up to 9 = 29 updates")


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("source", ["arrays", "batches"])
def test_executions_of_several_steps(eagerly: bool, source: str) -> None:
    net, plain, record = model(steps_per_execution=3, run_eagerly=eagerly), model(), Recorder()
    plain.set_weights(net.get_weights())
    settings = {"epochs": 2, "verbose": 0}
    if source == "arrays":  # eleven batches, the last one smaller
        data: dict[str, Any] = {"x": X[:38], "y": Y[:38], "batch_size": 4, "shuffle": False}
        net.fit(**data, **settings, callbacks=[record])
        plain.fit(**data, **settings)
    else:
        net.fit(_Again(), **settings, callbacks=[record])
        plain.fit(_Again(), **settings)
    assert record.begun == [0, 3, 6, 9] * 2
    assert record.ended == [2, 5, 8, 11] * 2
    for a, b in zip(net.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_outputs_of_an_execution() -> None:
    shapes: list[Any] = []
    watch = callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: shapes.append((batch, logs["outputs"].shape))
    )
    net = model(steps_per_execution=3)
    outputs = net.predict(X[:38], batch_size=8, verbose=0, callbacks=[watch])
    assert shapes == [(2, (24, 1)), (5, (14, 1))]
    np.testing.assert_array_equal(outputs, model_outputs(net, X[:38]))


def model_outputs(net: hb.Model, x: np.ndarray) -> np.ndarray:
    return np.concatenate([net.predict(x[i : i + 8], verbose=0) for i in range(0, len(x), 8)])


@pytest.mark.parametrize(
    ("method", "attribute", "hook"),
    [
        ("fit", "stop_training", "on_train_batch_end"),
        ("evaluate", "stop_evaluating", "on_test_batch_end"),
        ("predict", "stop_predicting", "on_predict_batch_end"),
    ],
)
def test_a_callback_stops_endless_data(method: str, attribute: str, hook: str) -> None:
    net, seen = model(), []

    class Stop(callbacks.Callback):
        pass

    def stop(self: Any, batch: int, logs: Any = None) -> None:
        seen.append(batch)
        setattr(self.model, attribute, batch == 4)

    setattr(Stop, hook, stop)
    getattr(net, method)(Endless(), verbose=0, callbacks=[Stop()])
    assert seen == [0, 1, 2, 3, 4]
    assert getattr(net, attribute) is True


def test_compute_loss_without_training() -> None:
    class Net(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def compute_loss(
            self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
        ) -> Any:  # type: ignore[override]
            return 2 * super().compute_loss(x, y, y_pred, sample_weight)

    net = Net()
    net.compile("sgd", "mse")
    history = net.fit(X, Y, verbose=0, shuffle=False, batch_size=40)
    fresh = Net()
    fresh.compile("sgd", "mse")
    fresh(X)
    expected = 2 * float(np.mean((np.asarray(fresh(X)) - Y) ** 2))
    assert fresh.evaluate(X, Y, batch_size=40, verbose=0) == pytest.approx(expected, rel=1e-5)
    assert len(history.history["loss"]) == 1


def test_settings_of_compile_can_be_assigned() -> None:
    net, record = model(), Recorder()
    net.jit_compile = False
    net.steps_per_execution = 5
    net.fit(X, Y, batch_size=4, verbose=0, callbacks=[record])
    assert record.ended == [4, 9]
    with pytest.raises(ValueError, match="steps_per_execution must be an integer of at least 1, got 0"):
        net.steps_per_execution = 0
