"""Trainings and models in MLflow, in a store of files: no server and no network."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.callbacks import Checkpoint, MlflowTracker, RunRecorder

mlflow: Any = pytest.importorskip("mlflow")
pytest.importorskip("pandas")

# MLflow infers types of its own when it is imported, and advises databases.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*type hint"),
    pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X.sum(1) > 0).astype("int32")


@pytest.fixture(autouse=True)
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    mlflow.set_experiment("trainings")
    return mlflow.MlflowClient()


def build() -> hb.Model:
    model = hb.Sequential(
        [hb.Input((3,)), layers.Dense(4), layers.Dense(2, activation="softmax")], name="net"
    )
    model.compile(hb.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model: hb.Model, *callbacks: Any, **options: Any) -> dict[str, list[float]]:
    settings = {"epochs": 2, "batch_size": 8, "validation_split": 0.2, "verbose": 0, **options}
    return model.fit(X, Y, callbacks=list(callbacks), **settings).history


def runs(client: Any) -> list[Any]:
    experiment = client.get_experiment_by_name("trainings")
    return list(client.search_runs([experiment.experiment_id], order_by=["start_time ASC"]))


def test_a_training_is_a_run(client: Any) -> None:
    tracker = MlflowTracker("mine", "first")
    history = fit(build(), tracker)
    run = client.get_run(tracker.run_id)
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert client.get_experiment(run.info.experiment_id).name == "mine"
    expected = {"epochs": "2", "batch_size": "8", "optimizer.learning_rate": "0.05", "model.params": "26"}
    assert {name: run.data.params[name] for name in expected} == expected
    assert run.data.tags["engine"] == "native"
    measured = client.get_metric_history(tracker.run_id, "val_loss")
    assert [(m.step, m.value) for m in measured] == list(enumerate(history["val_loss"]))
    assert mlflow.active_run() is None
    summary = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/model_summary.txt")
    assert "Dense" in summary


def test_scores_are_added_to_the_run(client: Any) -> None:
    tracker = MlflowTracker()
    fit(build(), tracker)
    result = tracker.evaluate(X, Y)
    run = client.get_run(tracker.run_id)
    assert run.data.metrics["test_accuracy"] == result.metrics["accuracy"].value
    assert run.data.metrics["test_accuracy_low"] < run.data.metrics["test_accuracy_high"]
    part = json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/evaluation.json"))
    assert part["n"] == 40


def test_the_active_run_is_used(client: Any) -> None:
    with mlflow.start_run() as run:
        fit(build(), MlflowTracker())
        assert client.get_run(run.info.run_id).info.status == "RUNNING"
    assert set(runs(client)[0].data.metrics) >= {"loss", "val_accuracy"}
    assert len(runs(client)) == 1


def test_autolog(client: Any) -> None:
    hb.mlflow.autolog()
    model = build()
    fit(model)
    tracker = MlflowTracker(name="given")
    fit(build(), tracker)  # one run, not two
    hb.mlflow.autolog(disable=True)
    fit(build())
    first, second = runs(client)
    assert {first.info.run_id, second.info.run_id} > {tracker.run_id}
    logged = next(run for run in (first, second) if run.info.run_id != tracker.run_id)
    (logged_model,) = mlflow.search_logged_models(
        experiment_ids=[logged.info.experiment_id], output_format="list"
    )
    assert logged_model.source_run_id == logged.info.run_id
    restored = hb.mlflow.load_model(logged_model.model_uri)
    np.testing.assert_array_equal(restored.predict(X, verbose=0), model.predict(X, verbose=0))


def test_models_are_loaded_by_pyfunc(tmp_path: Path) -> None:
    import pandas as pd

    model = build()
    hb.mlflow.save_model(model, tmp_path / "model")
    expected = model.predict(X, verbose=0)
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(X), expected)
    np.testing.assert_array_equal(loaded.predict(pd.DataFrame(X)), expected)
    (spec,) = loaded.metadata.signature.inputs.inputs
    assert (spec.shape, spec.type) == ((-1, 3), np.dtype("float32"))
    with pytest.raises(mlflow.exceptions.MlflowException, match="Shape of input"):
        loaded.predict(np.ones((2, 5), "float32"))
    assert (tmp_path / "model" / "requirements.txt").read_text().split()[-1].startswith("hornbeam==")


def test_a_model_with_named_inputs(tmp_path: Path) -> None:
    first, second = hb.Input((2,), name="first"), hb.Input((3,), name="second")
    joined = layers.Concatenate()([first, second])
    model = hb.Model([first, second], [layers.Dense(1, name="a")(joined), layers.Dense(2, name="b")(joined)])
    hb.mlflow.save_model(model, tmp_path / "model")
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    data = {"first": np.ones((4, 2), "float32"), "second": np.ones((4, 3), "float32")}
    results = loaded.predict(data)
    expected = model.predict(data, verbose=0)
    for result, other in zip(results.values(), expected, strict=True):
        np.testing.assert_array_equal(result, other)
    assert list(results) == model.output_names


def test_a_model_for_strings(tmp_path: Path) -> None:
    vectorize = layers.TextVectorization(max_tokens=10, output_sequence_length=3)
    vectorize.adapt(["a b c", "b c d"])
    parts = [hb.Input((1,), dtype="string"), vectorize, layers.Embedding(10, 2), layers.Flatten()]
    model = hb.Sequential(parts)
    hb.mlflow.save_model(model, tmp_path / "model")
    texts = np.array([["a b"], ["c d"]])
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    np.testing.assert_array_equal(loaded.predict(texts), model.predict(texts, verbose=0))


def test_a_model_of_another_flavor(tmp_path: Path) -> None:
    mlflow.models.Model().save(str(tmp_path / "MLmodel"))
    with pytest.raises(ValueError, match="has no flavor hornbeam, but none"):
        hb.mlflow.load_model(tmp_path)


def test_a_registered_model() -> None:
    tracker = MlflowTracker(save_model=True, registered_model_name="digits")
    model = build()
    fit(model, tracker)
    restored = hb.mlflow.load_model("models:/digits/1")
    np.testing.assert_array_equal(restored.predict(X, verbose=0), model.predict(X, verbose=0))
    fit(restored)  # it is compiled


def test_a_resumed_training_continues_its_run(client: Any, tmp_path: Path) -> None:
    for epochs in (1, 3):
        tracker = MlflowTracker()
        saving = Checkpoint(tmp_path / "checkpoints")
        fit(build(), saving, tracker, epochs=epochs, resume=tmp_path / "checkpoints")
    (run,) = runs(client)
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == [0, 1, 2]


def test_a_training_that_an_error_ended_is_marked(client: Any) -> None:
    class Fail(hb.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise OSError("the disk is full")

    tracker = MlflowTracker()
    with pytest.raises(OSError, match="disk is full"):
        fit(build(), tracker, Fail())
    stopped = tracker.run_id
    assert client.get_run(stopped).info.status == "RUNNING"
    fit(build(), tracker)
    assert client.get_run(stopped).info.status == "KILLED"
    assert client.get_run(tracker.run_id).info.status == "FINISHED"


def test_a_training_that_ends_with_its_process_is_marked(client: Any, tmp_path: Path) -> None:
    program = """
import sys, mlflow, numpy as np, hornbeam as hb

class Leave(hb.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        sys.exit(3)

mlflow.set_tracking_uri(sys.argv[1])
model = hb.Sequential([hb.layers.Dense(1)])
model.compile("sgd", "mse")
tracker = hb.callbacks.MlflowTracker("trainings")
model.fit(np.ones((4, 2), "float32"), np.ones((4, 1), "float32"), verbose=0, callbacks=[tracker, Leave()])
"""
    command = [sys.executable, "-W", "ignore", "-c", program, (tmp_path / "store").as_uri()]
    assert subprocess.run(command, check=False, timeout=120).returncode == 3
    (run,) = runs(client)
    assert run.info.status == "KILLED"


def test_a_server_that_is_gone_does_not_stop_the_training() -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    began = time.perf_counter()
    with (
        pytest.warns(UserWarning, match="MlflowTracker could not send: .*The training goes on"),
        pytest.warns(UserWarning, match="could not send 9 records of the run"),
    ):
        history = fit(build(), MlflowTracker())
    assert len(history["loss"]) == 2
    assert time.perf_counter() - began < 60


def test_a_recorded_run_is_sent(client: Any, tmp_path: Path) -> None:
    recorder = RunRecorder("past", tmp_path / "runs")
    history = fit(build(), recorder)
    assert recorder.path is not None
    run = client.get_run(MlflowTracker().send(hb.insight.read_run(recorder.path)))
    assert (run.info.run_name, run.info.status) == ("past", "FINISHED")
    assert run.data.metrics["val_loss"] == history["val_loss"][-1]
