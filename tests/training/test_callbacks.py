"""Callbacks, most of them driven without a model."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from hornbeam.random import set_random_seed
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Stub:
    """As much of a model as callbacks look at."""

    def __init__(self) -> None:
        self.stop_training = False
        self.weights = 0
        self.metrics: list[Any] = []
        self.optimizer = type("Optimizer", (), {"learning_rate": 1.0})()

    def get_weights(self) -> list[np.ndarray]:
        return [np.array(self.weights)]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = int(weights[0])


def drive(callback: callbacks.Callback, values: list[float], name: str = "val_loss") -> tuple[Stub, int]:
    """Epochs with the given values of a metric; returns the model and the number of epochs that were run."""
    model = Stub()
    callback.set_model(model)
    callback.on_train_begin()
    epoch = 0
    for epoch, value in enumerate(values, 1):
        model.weights = epoch
        callback.on_epoch_begin(epoch - 1)
        callback.on_epoch_end(epoch - 1, {name: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return model, epoch


def trained(*more: callbacks.Callback, epochs: int = 3, **settings: Any) -> hb.Model:
    set_random_seed(0)
    model = compiled_model((3,), [layers.Dense(1)], "sgd", "mse")
    model.fit(X, Y, epochs=epochs, batch_size=5, verbose=0, callbacks=list(more), **settings)
    return model


# -- the frame -------------------------------------------------------------------------------------


def test_order_of_hooks() -> None:
    calls: list[str] = []

    class Spy(callbacks.Callback):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_") and "batch_begin" not in name and name != "on_batch_end":
                return lambda *args: calls.append(name)
            return super().__getattribute__(name)

        def overrides(self, hooks: Any) -> bool:
            return True

    trained(Spy(), epochs=1, validation_data=(X[:5], Y[:5]))
    assert calls == [
        "on_train_begin", "on_epoch_begin", *["on_train_batch_end"] * 4, "on_test_begin", "on_test_batch_end",
        "on_test_end", "on_epoch_end", "on_train_end",
    ]  # fmt: skip


def test_old_names_of_batch_hooks() -> None:
    seen: list[int] = []

    class Old(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    trained(Old(), epochs=1)
    assert seen == [0, 1, 2, 3]


def test_list_adds_what_is_missing() -> None:
    model = Stub()
    callback = callbacks.CallbackList(
        [callbacks.TerminateOnNaN()], add_history=True, add_progbar=True, model=model, epochs=2
    )
    kinds = [type(c).__name__ for c in callback.callbacks]
    assert kinds == ["ProgbarLogger", "TerminateOnNaN", "History"]
    assert model.history is callback.history
    assert callback.callbacks[1].params == {"epochs": 2}
    assert not callback.wants_batches("train")


def test_stop_from_a_batch() -> None:
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    model = trained(Stop())
    assert int(model.optimizer.iterations) == 2
    assert model.history.epoch == [0]


def test_predict_hooks() -> None:
    shapes: list[tuple[int, ...]] = []

    class Spy(callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            shapes.append(logs["outputs"].shape)

    trained(epochs=1).predict(X, batch_size=8, verbose=0, callbacks=[Spy()])
    assert shapes == [(8, 1), (8, 1), (4, 1)]


# -- early stopping --------------------------------------------------------------------------------


def test_early_stopping() -> None:
    model, epochs = drive(
        callbacks.EarlyStopping(patience=2, restore_best_weights=True), [3, 2, 1, 1.5, 2, 0]
    )
    assert (epochs, model.weights) == (5, 3)


def test_early_stopping_upwards() -> None:
    stop = callbacks.EarlyStopping("accuracy", patience=1)
    assert drive(stop, [0.1, 0.5, 0.4, 0.9], "accuracy")[1] == 3
    assert stop.best == 0.5


def test_early_stopping_ignores_small_changes_and_early_epochs() -> None:
    assert drive(callbacks.EarlyStopping(min_delta=0.5, patience=2), [3, 2.9, 2.8, 2.7])[1] == 3
    assert drive(callbacks.EarlyStopping(patience=1, start_from_epoch=3), [1, 2, 3, 4, 5, 6])[1] == 5


def test_early_stopping_with_a_baseline() -> None:
    assert drive(callbacks.EarlyStopping(baseline=0.5, patience=2), [3, 2, 1, 2])[1] == 4
    assert drive(callbacks.EarlyStopping(baseline=0.5, patience=2), [3, 3, 3])[1] == 2
    assert drive(callbacks.EarlyStopping(baseline=0.5, patience=2), [3, 0.4, 0.3])[1] == 3


def test_early_stopping_on_nan() -> None:
    model, epochs = drive(
        callbacks.EarlyStopping(patience=2, restore_best_weights=True), [1, math.nan, math.nan]
    )
    assert (epochs, model.weights) == (3, 1)


def test_a_metric_that_is_not_there_is_said_once() -> None:
    with pytest.warns(UserWarning, match="Nothing is validated") as caught:
        drive(callbacks.EarlyStopping(), [1, 1], "loss")
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="Did you mean 'val_loss'"):
        drive(callbacks.EarlyStopping("val_los", mode="min"), [1])


def test_early_stopping_of_a_model_restores() -> None:
    class Spoil(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["val_loss"] = float(epoch)  # the first is the best
            best.append([np.array(w) for w in self.model.get_weights()])

    best: list[Any] = []
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True)
    model = trained(Spoil(), stop, epochs=9)
    assert len(best) == 3
    np.testing.assert_array_equal(model.get_weights()[0], best[0][0])


# -- learning rates --------------------------------------------------------------------------------


def test_reduce_on_plateau() -> None:
    reduce = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.2)
    assert drive(reduce, [1.0] * 4)[0].optimizer.learning_rate == 0.5
    assert drive(reduce, [1.0] * 20)[0].optimizer.learning_rate == 0.2
    assert (
        drive(callbacks.ReduceLROnPlateau(factor=0.5, patience=1, cooldown=3), [1.0] * 4)[
            0
        ].optimizer.learning_rate
        == 0.5
    )
    with pytest.raises(ValueError, match="factor must lie between 0 and 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


def test_schedule() -> None:
    model = trained(callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2), epochs=2)
    assert model.history.history["learning_rate"] == pytest.approx([0.005, 0.0025])
    trained(callbacks.LearningRateScheduler(lambda epoch: 0.1), epochs=1)
    with pytest.raises(TypeError, match="must return a number"):
        trained(callbacks.LearningRateScheduler(lambda epoch: None))


def test_several_optimizers() -> None:
    slow, fast = hb.optimizers.SGD(0.1, name="slow"), hb.optimizers.SGD(0.4, name="fast")
    both = hb.optimizers.MultiOptimizer(hb.optimizers.OptimizerMap(slow, {".*bias": fast}))
    model = compiled_model((3,), [layers.Dense(1)], both, "mse")
    watch = [
        callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100.0),
    ]
    logs = model.fit(X, Y, epochs=3, verbose=0, callbacks=watch).history
    assert logs["learning_rate_slow"] == pytest.approx([0.05, 0.025, 0.00625])
    assert logs["learning_rate_fast"] == pytest.approx([0.2, 0.1, 0.025])
    assert "learning_rate" not in logs


# -- files -----------------------------------------------------------------------------------------


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    trained(callbacks.CSVLogger(path), epochs=2)
    trained(callbacks.CSVLogger(path, append=True), epochs=1)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["0", "1", "0"]
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[2]["loss"]))


def test_checkpoint_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "{epoch:02d}-{loss:.1f}.weights.h5"
    model = trained(callbacks.ModelCheckpoint(path, save_weights_only=True), epochs=2)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert [name[:3] for name in files] == ["01-", "02-"]
    other = trained(epochs=1)
    other.load_weights(tmp_path / files[1])
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])


def test_checkpoint_of_the_best(tmp_path: Path) -> None:
    saved: list[str] = []

    class Saver(Stub):
        def save(self, path: str, overwrite: bool) -> None:
            saved.append(Path(path).name)

    check = callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras", save_best_only=True)
    check.set_model(Saver())
    check.on_train_begin()
    for epoch, value in enumerate([2.0, 3.0, 1.0]):
        check.on_epoch_end(epoch, {"val_loss": value})
    assert saved == ["1.keras", "3.keras"]


def test_checkpoint_every_few_steps(tmp_path: Path) -> None:
    check = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=3
    )
    trained(check, epochs=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["1-3.weights.h5", "2-2.weights.h5"]


def test_checkpoint_mistakes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a file that ends in \.keras or \.h5"):
        callbacks.ModelCheckpoint("model.txt")
    with pytest.raises(ValueError, match="save_freq must be"):
        callbacks.ModelCheckpoint("model.keras", save_freq="batch")
    check = callbacks.ModelCheckpoint(tmp_path / "{accuracy}.weights.h5", save_weights_only=True)
    with pytest.raises(KeyError, match="asks for 'accuracy'"):
        trained(check, epochs=1)


# -- others ----------------------------------------------------------------------------------------


def test_lambda() -> None:
    seen: list[Any] = []
    trained(
        callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs)))),
        epochs=2,
    )
    assert seen == [(0, ["loss"]), (1, ["loss"])]
    with pytest.raises(TypeError, match="does not know the hook 'on_epoch_finished'"):
        callbacks.LambdaCallback(on_epoch_finished=print)


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    model = compiled_model((3,), [layers.Dense(1)], hb.optimizers.SGD(1e30), "mse")
    with pytest.warns(RuntimeWarning, match="TerminateOnNaN stops training here"):
        model.fit(X, Y, epochs=50, batch_size=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert len(model.history.epoch) < 5
    assert "invalid loss" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="invalid loss"), pytest.warns(RuntimeWarning):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=True)])


def test_columns_of_a_validation_that_comes_later(tmp_path: Path) -> None:
    model = compiled_model((3,), [layers.Dense(1)], "sgd", "mse", metrics=["mae"])
    log = callbacks.CSVLogger(tmp_path / "log.csv")
    settings = {"epochs": 3, "verbose": 0, "callbacks": [log]}
    model.fit(X, Y, validation_data=(X, Y), validation_freq=2, **settings)
    rows = list(csv.DictReader((tmp_path / "log.csv").read_text().splitlines()))
    assert list(rows[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert [row["val_loss"] == "NA" for row in rows] == [True, False, True]
    model.fit(X, Y, **settings)
    assert (tmp_path / "log.csv").read_text().splitlines()[0] == "epoch,loss,mae"


def test_the_direction_of_a_monitor() -> None:
    for name, op in (("val_loss", hb.ops.less), ("acc", hb.ops.greater)):
        assert callbacks.EarlyStopping(name).monitor_op is op
    assert callbacks.EarlyStopping("val_profit", mode="max").monitor_op is hb.ops.greater


def test_a_metric_that_is_not_one_number() -> None:
    stop = callbacks.EarlyStopping("f1", mode="max")
    stop.set_model(Stub())  # type: ignore[arg-type]
    stop.on_train_begin()
    stop.on_epoch_end(0, {"f1": np.array([0.5])})
    assert stop.best == 0.5
    with pytest.warns(UserWarning, match="'f1', which has 2 values"):
        stop.on_epoch_end(1, {"f1": np.array([0.5, 0.6])})


def test_attributes_of_a_lambda_callback() -> None:
    callback = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None, limit=3)
    assert callback.limit == 3  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"hook 'on_epoch_ends'. Did you mean 'on_epoch_end'"):
        callbacks.LambdaCallback(on_epoch_ends=print)


@pytest.mark.parametrize(("execution", "expected"), [(1, [4, 8, 12, 16, 20]), (3, [6, 12, 18])])
def test_checkpoints_after_steps_of_executions(execution: int, expected: list[int], tmp_path: Path) -> None:
    model = compiled_model((3,), [layers.Dense(1)], "sgd", "mse", steps_per_execution=execution)
    save = callbacks.ModelCheckpoint(
        tmp_path / "{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=4
    )
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=4, delete_checkpoint=False)
    model.fit(X, Y, batch_size=1, verbose=0, callbacks=[save, backup])
    assert sorted(int(path.name.split("-")[1].split(".")[0]) for path in tmp_path.glob("1-*")) == expected
    assert (tmp_path / "backup" / "latest.weights.h5").exists()


def test_a_checkpoint_without_its_metric_is_saved(tmp_path: Path) -> None:
    model = compiled_model((3,), [layers.Dense(1)], "sgd", "mse")
    save = callbacks.ModelCheckpoint(tmp_path / "m.keras", monitor="val_loss", save_best_only=True)
    with pytest.warns(UserWarning, match="watches 'val_loss', which is not among the metrics"):
        model.fit(X, Y, verbose=0, callbacks=[save])
    assert (tmp_path / "m.keras").exists()


@pytest.mark.parametrize(
    ("units", "labels", "loss"),
    [(1, "yes", "binary"), (3, "classes", "sparse_categorical"), (3, "one-hot", "categorical")],
)
@pytest.mark.parametrize("name", ["ce", "crossentropy"])
def test_the_crossentropy_for_the_shapes(units: int, labels: str, loss: str, name: str) -> None:
    activation = "sigmoid" if units == 1 else "softmax"
    classes = np.arange(20) % 3
    y = {"yes": classes > 1, "classes": classes, "one-hot": np.eye(3)[classes]}[labels]
    nets = [
        compiled_model((3,), [layers.Dense(units, activation)], "sgd", x)
        for x in (name, f"{loss}_crossentropy")
    ]
    nets[1].set_weights(nets[0].get_weights())
    losses = [net.fit(X, y, shuffle=False, verbose=0).history["loss"] for net in nets]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert nets[0].get_compile_config()["loss"] == name


FULL_DISK = """
import resource, signal, numpy as np, hornbeam as hb
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
class Full(hb.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        most = 40 if epoch in (2, 3) else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
def fit(callback):
    model = hb.Sequential([hb.Input((4,)), hb.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(np.ones((8, 4)), np.ones((8, 1)), epochs=6, verbose=0, callbacks=[Full(), callback])
print(len(fit(hb.callbacks.CSVLogger("log.csv")).epoch))
try:
    fit(hb.callbacks.ModelCheckpoint("best.keras"))
except OSError as error:
    print(error)
    print(error.__cause__)
"""


@pytest.mark.posix
def test_a_full_disk_cuts_a_log_and_is_named_by_checkpoints(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("CSVLogger: log.csv could not be written") == 1
    assert done.stderr.count("The training continues") == 1
    epochs, checkpoint, cause = done.stdout.splitlines()
    assert epochs == "6"
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [row["epoch"] for row in csv.DictReader(lines)] == ["0", "1", "4", "5"]
    assert "best.keras could not be written after epoch 3" in checkpoint
    assert "make room, or model.save(...) elsewhere. On the disk: best.keras has the weights" in checkpoint
    assert cause.endswith(f"{str(tmp_path.resolve() / 'best.keras')!r}")
    assert hb.saving.load_model(tmp_path / "best.keras").built
