"""fit, evaluate, predict and the batch methods."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.errors import LikelyMistakeWarning, TestSetWarning
from hornbeam.random import set_random_seed
from hornbeam.training.step import Step
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype("float32")
Y = RNG.normal(size=(50, 1)).astype("float32")
LABELS = RNG.integers(0, 3, 50)


def linear(**settings: Any) -> hb.Model:
    set_random_seed(1)
    return compiled_model(
        (4,), [layers.Dense(1)], **{"optimizer": hb.optimizers.SGD(0.1), "loss": "mse"} | settings
    )


def classifier(**settings: Any) -> hb.Model:
    set_random_seed(1)
    return compiled_model(
        (4,),
        [layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax")],
        "adam",
        "sparse_categorical_crossentropy",
        **{"metrics": ["accuracy"]} | settings,
    )


def by_hand(
    w: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray, batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Steps of gradient descent on the mean squared error."""
    for start in range(0, len(x), batch):
        xs, ys = x[start : start + batch].astype("float64"), y[start : start + batch]
        error = 2 * (xs @ w + b - ys) / len(xs)
        w, b = w - 0.1 * xs.T @ error, b - 0.1 * error.sum(0)
    return w, b


def test_weights_are_those_of_gradient_descent(engine: str) -> None:
    model = linear()
    w, b = model.get_weights()
    model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    expected = by_hand(w, b, X, Y, 16)
    for ours, theirs in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_history() -> None:
    history = classifier().fit(X, LABELS, epochs=3, initial_epoch=1, validation_split=0.2, verbose=0)
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert history.epoch == [1, 2]
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert history.params == {"verbose": 0, "epochs": 3, "steps": 2}


def test_fit_says_how_many_updates(capsys: pytest.CaptureFixture[str]) -> None:
    linear().fit(X, Y, batch_size=16, epochs=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "50 samples / 16 = 4 updates per epoch, 12 in total"
    assert lines[1].startswith("Epoch 1/3 - 4/4 - ")
    assert "loss: " in lines[1]
    assert len(lines) == 4


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    model = linear()
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("how", ["every batch", "line by line", "two at once", "a stream"])
def test_all_ways_through_the_loop_give_the_same_weights(how: str) -> None:
    plain = classifier()
    plain.fit(X, LABELS, batch_size=8, epochs=2, verbose=0, shuffle=False)
    settings: dict[str, Any] = {
        "line by line": {"run_eagerly": True},
        "two at once": {"steps_per_execution": 2},
    }
    other = classifier(**settings.get(how, {}))
    seen: list[int] = []
    hook = hb.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    if how == "a stream":
        batches = [(X[i : i + 8], LABELS[i : i + 8]) for i in range(0, 50, 8)]
        other.fit(_Batches(batches), epochs=2, verbose=0, callbacks=[hook])
    else:
        other.fit(X, LABELS, batch_size=8, epochs=2, verbose=0, shuffle=False, callbacks=[hook])
    assert seen == ([1, 3, 5, 7] if how == "two at once" else list(range(7))) * 2
    for a, b in zip(plain.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


class _Batches:
    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


def test_the_same_seed_gives_the_same_weights(engine: str) -> None:
    def run() -> list[np.ndarray]:
        model = classifier()
        model.fit(X, LABELS, epochs=3, batch_size=16, validation_split=0.2, verbose=0)
        return model.get_weights()

    for a, b in zip(run(), run(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_shuffling_visits_every_sample_once() -> None:
    seen: list[np.ndarray] = []

    class Watcher(hb.Model):
        def call(self, x: Any) -> Any:
            return x

        def train_step(self, data: Any) -> dict[str, Any]:
            return {"rows": data[:, 0]}

    model = Watcher()
    model.compile()
    hook = hb.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["rows"]))
    model.fit(np.arange(20.0)[:, None], batch_size=4, verbose=0, callbacks=[hook])
    rows = np.concatenate(seen)
    assert sorted(rows.tolist()) == list(range(20))
    assert rows.tolist() != sorted(rows.tolist())


# -- evaluate and predict --------------------------------------------------------------------------


def test_evaluate(engine: str) -> None:
    model = classifier()
    probabilities = model.predict(X, verbose=0)
    loss, accuracy = model.evaluate(X, LABELS, batch_size=16, verbose=0)
    assert loss == pytest.approx(-np.log(probabilities[np.arange(50), LABELS]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((probabilities.argmax(1) == LABELS).mean())
    assert model.evaluate(X, LABELS, verbose=0, return_dict=True) == pytest.approx(
        {"accuracy": accuracy, "loss": loss}
    )
    assert type(linear().evaluate(X, Y, verbose=0)) is float


def test_predict_puts_batches_together(engine: str) -> None:
    model = classifier()
    predictions = model.predict(X, batch_size=50, verbose=0)
    assert predictions.shape == (50, 3)
    assert predictions.flags.writeable
    np.testing.assert_allclose(model.predict(X, batch_size=7, verbose=0), predictions, rtol=1e-6)
    np.testing.assert_allclose(
        model.predict(X, batch_size=7, steps=2, verbose=0), predictions[:14], rtol=1e-6
    )
    np.testing.assert_allclose(model.predict_on_batch(X), predictions, rtol=1e-6)
    np.testing.assert_allclose(model.predict(iter([X[:3], X[3:]]), verbose=0), predictions, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(model(X)), predictions, rtol=1e-6)


def test_predict_sees_new_weights() -> None:
    model = linear()
    before = model.predict(X[:1], verbose=0)
    model.set_weights([np.zeros((4, 1)), np.ones(1)])
    assert model.predict(X[:1], verbose=0).tolist() == [[1.0]] != before.tolist()


def test_changing_shapes_do_not_fill_the_memory() -> None:
    model = hb.Sequential([hb.Input((None, 2)), layers.GlobalAveragePooling1D()])
    for length in range(1, 80):
        model.predict(np.ones((1, length, 2), "float32"), verbose=0)
    assert len(model._hb_trainer.predictors) == 64


@pytest.mark.parametrize("built", [True, False])
def test_predict_from_threads(engine: str, built: bool) -> None:
    set_random_seed(1)
    model = hb.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3)])
    if built:
        model.predict(X, verbose=0)
    actual: list[tuple[int, np.ndarray]] = []

    def work(row: int) -> None:
        actual.extend((row, model.predict(X[row : row + 1], verbose=0)) for _ in range(20))

    threads = [threading.Thread(target=work, args=(row,)) for row in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(actual) == 160
    expected = model.predict(X, verbose=0)
    for row, value in actual:
        np.testing.assert_allclose(value, expected[row : row + 1], rtol=1e-5)


def test_line_by_line_gives_the_same_values() -> None:
    compiled, eager = classifier(), classifier(run_eagerly=True)
    assert eager.evaluate(X, LABELS, verbose=0) == pytest.approx(compiled.evaluate(X, LABELS, verbose=0))
    np.testing.assert_allclose(eager.predict(X, verbose=0), compiled.predict(X, verbose=0), rtol=1e-6)
    eager.reset_metrics()
    assert eager.test_on_batch(X, LABELS) == pytest.approx(compiled.evaluate(X, LABELS, verbose=0))


def test_batch_methods() -> None:
    model = linear(metrics=["mae"])
    first = model.test_on_batch(X, Y)
    assert first == pytest.approx(model.evaluate(X, Y, verbose=0))
    model.reset_metrics()
    loss, _ = model.train_on_batch(X, Y)
    assert loss == pytest.approx(first[0])
    after = model.train_on_batch(X, Y, return_dict=True)
    assert list(after) == ["loss", "mae"]
    assert after["loss"] < loss  # the mean of both updates


# -- several outputs, weights ----------------------------------------------------------------------


def two_outputs(dict_outputs: bool = False, **settings: Any) -> hb.Model:
    set_random_seed(1)
    x = hb.Input((4,))
    a = layers.Dense(3, activation="softmax", name="a")(x)
    b = layers.Dense(1, name="b")(x)
    model = hb.Model(x, {"u": a, "v": b} if dict_outputs else [a, b])
    model.compile("sgd", **settings)
    return model


def test_logs_of_several_outputs() -> None:
    model = two_outputs(loss=["sparse_categorical_crossentropy", "mse"], metrics=[["accuracy"], ["mae"]])
    history = model.fit(X, [LABELS, Y], validation_split=0.2, verbose=0)
    names = ["a_accuracy", "a_loss", "b_loss", "b_mae", "loss"]
    assert list(history.history) == [*names, *(f"val_{name}" for name in names)]
    values = model.evaluate(X, [LABELS, Y], verbose=0)
    result = model.evaluate(X, [LABELS, Y], verbose=0, return_dict=True)
    assert values == [result[name] for name in ("loss", "a_loss", "b_loss", "a_accuracy", "b_mae")]
    assert result["loss"] == pytest.approx(result["a_loss"] + result["b_loss"], rel=1e-5)


def test_settings_by_output_name() -> None:
    model = two_outputs(
        dict_outputs=True,
        loss={"u": "sparse_categorical_crossentropy", "v": "mse"},
        loss_weights={"u": 2.0, "v": 0.5},
        metrics={"u": ["accuracy"], "v": "mae"},
        weighted_metrics={"u": "accuracy"},
    )
    result = model.evaluate(X, {"u": LABELS, "v": Y}, verbose=0, return_dict=True)
    assert list(result) == ["loss", "u_accuracy", "u_loss", "u_weighted_accuracy", "v_loss", "v_mae"]
    assert result["loss"] == pytest.approx(2 * result["u_loss"] + 0.5 * result["v_loss"], rel=1e-5)


def test_names_of_metrics() -> None:
    def mine(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(y_pred, axis=-1)

    model = classifier(
        metrics=["acc", hb.metrics.SparseTopKCategoricalAccuracy(2), mine],
        weighted_metrics=["accuracy", "acc"],
    )
    result = model.evaluate(X, LABELS, verbose=0, return_dict=True)
    assert list(result) == [
        "acc",
        "accuracy",
        "loss",
        "mine",
        "sparse_top_k_categorical_accuracy",
        "weighted_acc",
    ]


@pytest.mark.parametrize(
    ("units", "loss", "y", "expected"),
    [
        (1, "binary_crossentropy", (LABELS > 0) * 1.0, hb.metrics.BinaryAccuracy),
        (3, "sparse_categorical_crossentropy", LABELS, hb.metrics.SparseCategoricalAccuracy),
        (3, "sparse_categorical_crossentropy", LABELS[:, None], hb.metrics.SparseCategoricalAccuracy),
        (3, "categorical_crossentropy", np.eye(3)[LABELS], hb.metrics.CategoricalAccuracy),
    ],
)
def test_accuracy_is_settled_by_shapes(units: int, loss: str, y: np.ndarray, expected: type) -> None:
    model = hb.Sequential([layers.Dense(units, activation="sigmoid" if units == 1 else "softmax")])
    model.compile("sgd", loss, metrics=["accuracy"])
    model.fit(X, y, verbose=0)
    assert type(model.metrics[1].metrics[0]) is expected


def test_metrics_of_another_compiled_model() -> None:
    rmse = hb.metrics.RootMeanSquaredError()
    first = linear(metrics=["mae", rmse], weighted_metrics=["mse"])
    first.fit(X, Y, verbose=0)
    second = linear(metrics=["mape", *(metric for metric in first.metrics if metric.name != "loss")])
    logs = second.fit(X, Y, verbose=0).history
    assert list(logs) == ["loss", "mae", "mape", "mse", "root_mean_squared_error"]
    assert second.get_compile_config()["weighted_metrics"] == ["mse"]
    third = linear(metrics=[first.metrics[1]])
    assert third.get_compile_config()["metrics"][0] == "mae"
    assert third.evaluate(X, Y, verbose=0, return_dict=True).keys() == logs.keys() - {"mape"}


def test_class_weight_is_a_sample_weight() -> None:
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    a, b = classifier(), classifier()
    a.fit(X, LABELS, class_weight=weights, shuffle=False, verbose=0)
    b.fit(X, LABELS, sample_weight=np.array([weights[label] for label in LABELS]), shuffle=False, verbose=0)
    for left, right in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_sample_weights_weigh() -> None:
    weights = RNG.uniform(size=50)
    model = linear()
    errors = (model.predict(X, verbose=0) - Y)[:, 0] ** 2
    assert model.evaluate(X, Y, sample_weight=weights, verbose=0) == pytest.approx(
        (errors * weights).sum() / 50, rel=1e-4
    )


# -- validation ------------------------------------------------------------------------------------


def test_validation_split_keeps_proportions(capsys: pytest.CaptureFixture[str]) -> None:
    y = np.repeat([0, 1, 2], [60, 30, 10])  # sorted: the tail has one class
    x = np.arange(100.0, dtype="float32")[:, None] / 100
    seen: list[np.ndarray] = []

    class Watcher(hb.Model):
        def call(self, x: Any) -> Any:
            return x

        def train_step(self, data: Any) -> dict[str, Any]:
            return {"n": ops.mean(data[0])}

        def test_step(self, data: Any) -> dict[str, Any]:
            return {"rows": data[0][:, 0]}

    model = Watcher()
    model.compile()
    hook = hb.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(logs["rows"]))
    model.fit(x, y, validation_split=0.2, batch_size=100, callbacks=[hook])
    held = np.round(np.concatenate(seen) * 100).astype(int)
    assert np.bincount(y[held]).tolist() == [12, 6, 2]
    assert "20 of 100 samples are held out, shuffled, stratified" in capsys.readouterr().out
    seen.clear()
    model.fit(
        x, y, validation_split=0.2, batch_size=100, verbose=0, validation_split_mode="tail", callbacks=[hook]
    )
    assert np.round(np.concatenate(seen) * 100).astype(int).tolist() == list(range(80, 100))


def test_validation_freq() -> None:
    model = linear()
    history = model.fit(X, Y, epochs=4, validation_data=(X, Y), validation_freq=2, verbose=0).history
    assert (len(history["loss"]), len(history["val_loss"])) == (4, 2)
    history = model.fit(X, Y, epochs=4, validation_data=(X, Y), validation_freq=[1], verbose=0).history
    assert len(history["val_loss"]) == 1


def test_using_the_validation_set_as_the_test_is_said_once() -> None:
    model = linear()
    model.fit(X, Y, validation_data=(X[:20], Y[:20]), epochs=2, verbose=0)
    with pytest.warns(TestSetWarning, match="the data that fit.. was given as validation_data") as caught:
        value = model.evaluate(X[:20].copy(), Y[:20].copy(), verbose=0)
    assert value > 0
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.evaluate(X[:20], Y[:20], verbose=0)
        model.evaluate(X[20:], Y[20:], verbose=0)


# -- state -----------------------------------------------------------------------------------------


def test_referenced_values_do_not_change(engine: str) -> None:
    model = classifier()
    kernel = model.layers[0].kernel
    tensor, array, copy = kernel.value, kernel.numpy(), np.array(kernel.numpy())
    model.fit(X, LABELS, epochs=2, verbose=0)
    np.testing.assert_array_equal(array, copy)
    np.testing.assert_array_equal(np.asarray(tensor), copy)
    assert not np.array_equal(kernel.numpy(), copy)


def test_data_are_not_written_to(engine: str) -> None:
    x, y = X.copy(), LABELS.copy()
    classifier().fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, LABELS)


def test_training_goes_on() -> None:
    model = classifier()
    model.fit(X, LABELS, batch_size=25, verbose=0)
    model.fit(X, LABELS, batch_size=25, verbose=0)
    assert int(model.optimizer.iterations) == 4


def test_freezing_takes_effect_at_once() -> None:
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    with pytest.warns(LikelyMistakeWarning, match=r"was changed after compile\(\)"):
        model.fit(X, LABELS, verbose=0)
    after = model.get_weights()
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[2], after[2])


def test_batch_statistics_and_dropout(engine: str) -> None:
    set_random_seed(0)
    model = compiled_model(
        (4,), [layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(1)], "sgd", "mse"
    )
    model.fit(X + 3, Y, epochs=2, verbose=0)
    assert np.all(model.layers[0].moving_mean.numpy() > 0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), model.predict(X, verbose=0))


def test_averaged_weights_at_the_end() -> None:
    model = linear(optimizer=hb.optimizers.SGD(0.1, use_ema=True))
    model.fit(X, Y, epochs=2, verbose=0)
    average = model.optimizer.slot(model.layers[0].kernel, "average")
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), average.numpy())


def test_mixed_precision() -> None:
    set_random_seed(0)
    model = compiled_model(
        (4,),
        [layers.Dense(8, activation="relu", dtype="mixed_bfloat16"), layers.Dense(1, dtype="float32")],
        "adam",
        "mse",
    )
    first, *_, last = model.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert last < first
    assert model.layers[0].kernel.dtype == "float32"


# -- your own steps --------------------------------------------------------------------------------


class Own(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(1)
        self.tracker = hb.metrics.Mean(name="error")

    @property
    def metrics(self) -> list[Any]:
        return [self.tracker]

    def call(self, x: Any, training: bool = False) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        error = ops.mean(ops.abs(self(x, training=True) - y))
        gradients = hb.gradients(error, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.tracker.update_state(error)
        return {"error": self.tracker.result()}


def test_own_train_step(engine: str) -> None:
    set_random_seed(0)
    model = Own()
    model.compile(optimizer="sgd")
    errors = model.fit(X, Y, epochs=4, verbose=0).history["error"]
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("eager", [False, True])
def test_logs_of_a_metric_that_is_several(eager: bool) -> None:
    """Own steps of Keras's guides log `metric.result()` under `metric.name`, and one of those is a dict."""

    class Listed(hb.Sequential):
        def train_step(self, data: Any) -> dict[str, Any]:
            super().train_step(data)
            logs = {metric.name: metric.result() for metric in self.metrics}
            return logs | {"more": {"size": ops.sum(data[1])}}

    model = Listed([hb.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"], run_eagerly=eager)
    assert set(model.fit(X, Y, verbose=0).history) == {"loss", "mae", "size"}
    assert set(model.train_on_batch(X[:8], Y[:8], return_dict=True)) == {"loss", "mae", "size"}


def test_own_compute_loss() -> None:
    class Doubled(hb.Sequential):
        def compute_loss(self, **kwargs: Any) -> Any:
            return 2 * super().compute_loss(**kwargs)

    model = Doubled([hb.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    doubled = model.evaluate(X, Y, verbose=0)
    plain = hb.Sequential(model.layers)
    plain.compile("sgd", "mse")
    assert doubled == pytest.approx(2 * plain.evaluate(X, Y, verbose=0))


def test_scaled_loss_in_half_precision() -> None:
    previous = hb.dtype_policies.dtype_policy()
    hb.dtype_policies.set_dtype_policy("mixed_float16")
    try:
        set_random_seed(0)
        model = compiled_model(
            (4,), [layers.Dense(8, activation="relu"), layers.Dense(1, dtype="float32")], "sgd", "mse"
        )
    finally:
        hb.dtype_policies.set_dtype_policy(previous)
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    first, *_, last = model.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert last < first


def test_penalties_count() -> None:
    model = compiled_model((4,), [layers.Dense(1, kernel_regularizer="l2")], "sgd", "mse")
    errors = (model.predict(X, verbose=0) - Y) ** 2
    penalty = 0.01 * (model.get_weights()[0] ** 2).sum()
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(errors.mean() + penalty, rel=1e-5)


def test_adversarial_pair() -> None:
    """Two networks with two optimizers, trained in one step."""

    class Pair(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.maker, self.judge = layers.Dense(4), layers.Dense(1, activation="sigmoid")

        def compile(self, maker_optimizer: Any, judge_optimizer: Any) -> None:  # type: ignore[override]
            super().compile()
            self.maker_optimizer, self.judge_optimizer = maker_optimizer, judge_optimizer

        def train_step(self, real: Any) -> dict[str, Any]:
            noise = hb.random.normal(ops.shape(real), seed=3)
            judged = self.judge(ops.concatenate([self.maker(noise), real]))
            truth = ops.concatenate([ops.zeros((real.shape[0], 1)), ops.ones((real.shape[0], 1))])
            loss = ops.mean(ops.binary_crossentropy(truth, judged))
            own = self.judge.trainable_variables
            self.judge_optimizer.apply(hb.gradients(loss, own), own)
            fooled = ops.mean(
                ops.binary_crossentropy(ops.ones((real.shape[0], 1)), self.judge(self.maker(noise)))
            )
            own = self.maker.trainable_variables
            self.maker_optimizer.apply(hb.gradients(fooled, own), own)
            return {"judge": loss, "maker": fooled}

    model = Pair()
    model.compile(hb.optimizers.Adam(), hb.optimizers.Adam())
    history = model.fit(X, batch_size=10, epochs=2, verbose=0).history
    assert sorted(history) == ["judge", "maker"]
    assert int(model.maker_optimizer.iterations) == 10


# -- when things go wrong --------------------------------------------------------------------------


def test_nan_is_reported_once_with_its_step() -> None:
    model = linear(optimizer=hb.optimizers.SGD(1e30))
    with pytest.warns(RuntimeWarning, match="from epoch 1, step [0-9]+ on") as caught:
        model.fit(X, Y, batch_size=5, epochs=3, verbose=0)
    assert len([w for w in caught if "the loss is" in str(w.message)]) == 1


def test_interrupt_between_steps() -> None:
    model = linear()
    w, b = model.get_weights()

    def stop(batch: int, logs: Any) -> None:
        if batch == 1:
            raise KeyboardInterrupt

    hook = hb.callbacks.LambdaCallback(on_train_batch_end=stop)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=10, shuffle=False, verbose=0, callbacks=[hook])
    np.testing.assert_allclose(model.get_weights()[0], by_hand(w, b, X[:20], Y[:20], 10)[0], rtol=1e-5)


def test_a_generator_that_ends_too_early() -> None:
    batches = iter([(X[:10], Y[:10])] * 3)
    with pytest.warns(UserWarning, match="the data ran out in epoch 2 after 1 steps"):
        linear().fit(batches, steps_per_epoch=2, epochs=3, verbose=0)


def test_chunks_grow_until_the_bar_moves_smoothly() -> None:
    assert Step.next_chunk(1, 0.001) == 2
    assert Step.next_chunk(8, 0.04) == 12
    assert Step.next_chunk(8, 0.1) == 8
    assert Step.next_chunk(8, 1.0) == 4
    assert Step.next_chunk(1, 9.0) == 1
