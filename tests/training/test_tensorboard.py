"""Event files, read back record by record."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from tests.helpers.builders import compiled_model

pytest.importorskip("tensorboardX")

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def events(folder: Path) -> dict[str, dict[int, Any]]:
    """Tag -> step -> value of every summary in a folder."""
    from tensorboardX.proto.event_pb2 import Event

    results: dict[str, dict[int, Any]] = {}
    for path in sorted(folder.rglob("events*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (length,) = struct.unpack("<Q", data[at : at + 8])
            event = Event.FromString(data[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                results.setdefault(value.tag, {})[event.step] = value
    return results


def build_model() -> hb.Model:
    return compiled_model(
        (3,), [layers.Dense(4, name="first"), layers.Dense(1, name="last")], "sgd", "mse", metrics=["mae"]
    )


def fit(board: callbacks.TensorBoard, **settings: Any) -> hb.callbacks.History:
    arguments = {"epochs": 2, "batch_size": 5, "verbose": 0, "validation_data": (X[:5], Y[:5]), **settings}
    return build_model().fit(X, Y, callbacks=[board], **arguments)


def test_scalars_and_the_graph(tmp_path: Path) -> None:
    history = fit(callbacks.TensorBoard(tmp_path, write_steps_per_second=True))
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    losses = [train["epoch_loss"][epoch].simple_value for epoch in range(2)]
    assert losses == pytest.approx(history.history["loss"])
    assert train["epoch_learning_rate"][1].simple_value == pytest.approx(0.01)
    assert train["epoch_steps_per_second"][1].simple_value > 0
    assert validation["epoch_mae"][1].simple_value == pytest.approx(history.history["val_mae"][1])
    assert sorted(validation["evaluation_loss_vs_iterations"]) == [4, 8]
    graph = train["keras"][0]
    assert graph.metadata.plugin_data.plugin_name == "graph_keras_model"
    assert json.loads(graph.tensor.string_val[0])["class_name"] == "Sequential"
    assert not any(tag.startswith("batch_") for tag in train)


def test_steps_histograms_and_images(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    fit(callbacks.TensorBoard(tmp_path, histogram_freq=1, write_images=True, update_freq=2))
    train = events(tmp_path / "train")
    assert sorted(train["batch_loss"]) == [2, 4, 6, 8]
    histogram = [value for tag, value in train.items() if tag.endswith("first/kernel/histogram")]
    assert histogram[0][1].histo.num == 12
    assert any(tag.endswith("first/kernel/image") or "first/kernel/image" in tag for tag in train)


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
