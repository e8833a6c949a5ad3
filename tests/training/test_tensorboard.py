"""Event files, read back record by record, and with TensorBoard's own reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from hornbeam.visualization.event_files import EventFile
from tests.helpers.builders import compiled_model
from tests.helpers.event_files import events, number

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
# Tags that Keras 3.15.1 writes for `build_model` with the arguments of `test_tags_are_those_of_keras`.
KERAS_TRAIN = """
batch_loss batch_mae batch_steps_per_second
epoch_learning_rate epoch_loss epoch_mae epoch_steps_per_second keras
net/first/bias/histogram net/first/bias/image net/first/kernel/histogram net/first/kernel/image
net/last/bias/histogram net/last/kernel/histogram net/last/kernel/image
"""
KERAS_VALIDATION = "epoch_loss epoch_mae evaluation_loss_vs_iterations evaluation_mae_vs_iterations"


@pytest.fixture(params=["tensorboard", "tensorboardX"], autouse=True)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write with each of the libraries that are installed."""
    name: str = request.param
    pytest.importorskip(name)
    if name == "tensorboardX":
        monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    return name


def build_model() -> hb.Model:
    parts = [hb.Input((3,)), layers.Dense(4, name="first"), layers.Dense(1, name="last")]
    model = hb.Sequential(parts, name="net")
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def fit(board: callbacks.TensorBoard, **settings: Any) -> hb.callbacks.History:
    arguments = {"epochs": 2, "batch_size": 5, "verbose": 0, "validation_data": (X[:5], Y[:5]), **settings}
    return build_model().fit(X, Y, callbacks=[board], **arguments)


def test_tags_are_those_of_keras(tmp_path: Path) -> None:
    board = callbacks.TensorBoard(
        tmp_path, histogram_freq=1, write_images=True, write_steps_per_second=True, update_freq=2
    )
    fit(board)
    assert sorted(events(tmp_path / "train")) == sorted(KERAS_TRAIN.split())
    assert sorted(events(tmp_path / "validation")) == sorted(KERAS_VALIDATION.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train", "validation"]


def test_scalars_and_the_graph(tmp_path: Path) -> None:
    history = fit(callbacks.TensorBoard(tmp_path, write_steps_per_second=True))
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    losses = [number(train["epoch_loss"][epoch]) for epoch in range(2)]
    assert losses == pytest.approx(history.history["loss"])
    assert number(train["epoch_learning_rate"][1]) == pytest.approx(0.01)
    assert number(train["epoch_steps_per_second"][1]) > 0
    assert number(validation["epoch_mae"][1]) == pytest.approx(history.history["val_mae"][1])
    assert sorted(validation["evaluation_loss_vs_iterations"]) == [4, 8]
    graph = train["keras"][0]
    assert graph.metadata.plugin_data.plugin_name == "graph_keras_model"
    assert json.loads(graph.tensor.string_val[0])["class_name"] == "Sequential"
    assert not any(tag.startswith("batch_") for tag in train)


def test_steps_histograms_and_images(tmp_path: Path) -> None:
    fit(callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True, update_freq=2))
    train = events(tmp_path / "train")
    assert sorted(train["batch_loss"]) == [2, 4, 6, 8]
    histogram = train["net/first/kernel/histogram"][1].tensor
    buckets = np.frombuffer(histogram.tensor_content).reshape(30, 3)
    assert buckets[:, 2].sum() == 12
    assert (buckets[:, 0] < buckets[:, 1]).all()
    width, height, png = train["net/first/kernel/image"][0].tensor.string_val
    assert (width, height, png[:4]) == (b"4", b"3", b"\x89PNG")


def test_histograms_of_odd_values(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    for tag, values in {"same": [2.0, 2.0], "none": [], "nan": [np.nan, 1.0, 3.0, np.inf]}.items():
        file.histogram(tag, np.array(values), 0)
    file.close()
    tensors = {tag: steps[0].tensor for tag, steps in events(tmp_path).items()}
    buckets = {tag: np.frombuffer(tensor.tensor_content).reshape(30, 3) for tag, tensor in tensors.items()}
    assert buckets["same"][-1].tolist() == [2.0, 2.0, 2.0]
    assert buckets["same"][:-1, 2].sum() == buckets["none"].sum() == 0
    assert (buckets["nan"][0, 0], buckets["nan"][-1, 1], buckets["nan"][:, 2].sum()) == (1.0, 3.0, 2.0)


def test_tensorboard_reads_the_files(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    util = pytest.importorskip("tensorboard.util.tensor_util")
    history = fit(callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True))
    reader = accumulator.EventAccumulator(str(tmp_path / "train")).Reload()
    values = [float(util.make_ndarray(event.tensor_proto)) for event in reader.Tensors("epoch_loss")]
    assert values == pytest.approx(history.history["loss"])
    assert util.make_ndarray(reader.Tensors("net/first/kernel/histogram")[0].tensor_proto).shape == (30, 3)
    assert reader.SummaryMetadata("net/first/kernel/image").plugin_data.plugin_name == "images"


def test_hparams(tmp_path: Path) -> None:
    hparams = {"units": 4, "rate": 0.1, "activation": "relu", "bias": True}
    file = EventFile(tmp_path)
    file.hparams(hparams)
    file.end_hparams()
    file.close()
    written = events(tmp_path)
    protos = pytest.importorskip("tensorboardX.proto.plugin_hparams_pb2")
    start, end = (
        protos.HParamsPluginData.FromString(value[0].metadata.plugin_data.content)
        for _, value in sorted(written.items(), reverse=True)
    )
    session = start.session_start_info.hparams
    assert (session["units"].number_value, session["activation"].string_value) == (4, "relu")
    assert session["bias"].bool_value is True
    assert end.session_end_info.status == 1


def test_without_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboard.compat.proto.event_pb2", "tensorboardX.proto.event_pb2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="callback needs tensorboard or tensorboardX: pip install"):
        callbacks.TensorBoard(tmp_path)


def test_a_profile_of_some_steps(tmp_path: Path) -> None:
    fit(callbacks.TensorBoard(tmp_path, profile_batch=(3, 5)))
    trace = json.loads((tmp_path / "train" / "steps_3_to_5.trace.json").read_text())
    assert any("first" in str(event) for event in trace["traceEvents"])


def test_embeddings(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("a\nb\nc\n")
    model = compiled_model(
        (2,), [layers.Embedding(3, 2, name="words"), layers.Flatten(), layers.Dense(1)], "sgd", "mse"
    )
    board = callbacks.TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"words": labels})
    model.fit(np.array([[0, 1], [1, 2]]), np.ones((2, 1)), verbose=0, callbacks=[board])
    (table,) = (tmp_path / "train").rglob("tensors.tsv")
    assert len(table.read_text().splitlines()) == 3
    config = (tmp_path / "train" / "projector_config.pbtxt").read_text()
    assert 'tensor_path: "00000/words/tensors.tsv"' in config
    assert 'metadata_path: "00000/words/metadata.tsv"' in config
    with pytest.raises(ValueError, match="no Embedding of the model"):
        callbacks.TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"word": labels}).set_model(
            model
        )


def test_mistakes(tmp_path: Path) -> None:
    for wrong in (-1, (5, 3), "three", (1, 2, 3), (0, 4)):
        with pytest.raises(ValueError, match="profile_batch must be"):
            callbacks.TensorBoard(tmp_path, profile_batch=wrong)
    with pytest.raises(ValueError, match="update_freq must be"):
        callbacks.TensorBoard(tmp_path, update_freq="step")
    assert callbacks.TensorBoard(tmp_path, profile_batch="2,4").profile_batch == (2, 4)
