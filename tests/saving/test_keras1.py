"""Files of Keras 1, from each of its backends: the models compute what they did, trainings go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam.errors import ModelFileError
from hornbeam.saving import inspect_model, load_model, verify_model
from hornbeam.saving.legacy.keras1_config import keras2_config

FOLDER = Path(__file__).parents[1] / "golden" / "keras1"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz") if path.stem != "trainings")
Entry = dict[str, Any]


def recorded(case: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    arrays = np.load(FOLDER / f"{case}.npz")
    inputs, outputs = ([arrays[k] for k in sorted(arrays) if k[0] == kind] for kind in "xy")
    return inputs, outputs


def check_outputs(model: hb.Model, case: str) -> None:
    inputs, outputs = recorded(case)
    predictions = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    for ours, theirs in zip(
        predictions if isinstance(predictions, list) else [predictions], outputs, strict=True
    ):
        assert ours.shape == theirs.shape
        assert theirs.std() > 1e-3
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)


def test_both_backends_have_files() -> None:
    assert {case.rpartition("_")[2] for case in CASES} == {"tensorflow", "theano"}


@pytest.mark.parametrize("case", CASES)
def test_models_compute_what_they_did(case: str, tmp_path: Path) -> None:
    path = FOLDER / f"{case}.h5"
    model = load_model(path)
    check_outputs(model, case)
    about = inspect_model(path)
    assert about.version == "1.2.2"
    assert about.layers
    assert about.missing == about.refused == []
    assert verify_model(path) == []
    model.save(tmp_path / "m.keras")
    check_outputs(load_model(tmp_path / "m.keras"), case)
    inputs, outputs = recorded(case)
    targets = [np.zeros_like(y) for y in outputs]
    model.fit(*([x[0] if len(x) == 1 else x for x in (inputs, targets)]), verbose=0)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*_weights.h5")), ids=lambda path: path.stem)
def test_weights_alone(path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """Such a file says neither version nor backend. Its names do, and where that counts a warning says so."""
    case = path.stem.removesuffix("_weights")
    model = load_model(path.with_name(f"{case}.h5"))
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))
    recwarn.clear()
    model.load_weights(path)
    said = [str(warning.message) for warning in recwarn]
    assert [("are flipped" in text) for text in said] == [True] * case.startswith("convolutions_th_theano")
    check_outputs(model, case)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("training_*.h5")), ids=lambda path: path.stem[9:-7])
def test_trainings_go_on(path: Path) -> None:
    """Five more epochs end where they ended in Keras 1, as they do not without the optimizer's state."""
    arrays = np.load(FOLDER / "trainings.npz")
    name = path.stem.removeprefix("training_").removesuffix("_theano")

    def gates(layer: str) -> list[np.ndarray]:
        parts = [arrays[key] for key in sorted(arrays) if key.startswith(f"{name}_{layer}_")]
        if layer != "recurrent":
            return parts
        return [np.concatenate([parts[3 * gate + i] for gate in (0, 2, 1, 3)], -1) for i in range(3)]

    expected = [w for layer in ("recurrent", "normal", "dense_10", "dense_9") for w in gates(layer)]

    def distance(model: hb.Model) -> float:
        model.fit(arrays["x"], arrays["y"], epochs=5, verbose=0, shuffle=False)
        pairs = zip(model.get_weights(), expected, strict=True)
        return max(float(np.abs(a - b).max()) for a, b in pairs)

    assert distance(load_model(path)) < 2e-5
    if name != "plain":  # which has no state
        afresh = load_model(path)
        for variable in afresh.optimizer.variables[2:]:
            variable.assign(np.zeros(variable.shape))
        afresh.optimizer.iterations.assign(0)
        assert distance(afresh) > 1e-4


def test_a_state_that_does_not_fit_is_said(tmp_path: Path) -> None:
    shutil.copy(FOLDER / "training_adam_theano.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as store:
        group = store["optimizer_weights"]
        group.attrs["weight_names"] = group.attrs["weight_names"][:-1]
    with pytest.warns(UserWarning, match="starts from its initial state"):
        model = load_model(tmp_path / "m.h5")
    assert int(model.optimizer.iterations) == 0


def changed(path: Path, case: str, change: Callable[[Any], Any]) -> Path:
    """A copy of a file with another config."""
    shutil.copy(FOLDER / f"{case}.h5", path)
    with h5py.File(path, "r+") as store:
        config = json.loads(store.attrs["model_config"])
        change(config)
        store.attrs["model_config"] = json.dumps(config)
    return path


def layer_of(config: Any, kind: str) -> Entry:
    """The first layer of a class."""
    parts = [config]
    while parts:
        part = parts.pop(0)
        if isinstance(part, dict) and part.get("class_name") == kind:
            return part
        parts.extend(part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
    raise LookupError(kind)


REFUSED = [
    ("convolutions_tf", "BatchNormalization", {"mode": 2}, "mode=2"),
    (
        "convolutions_tf",
        "Convolution2D",
        {"W_regularizer": {"name": "EigenvalueRegularizer", "k": 1}},
        "Eigenvalue",
    ),
    ("convolutions_tf", "Convolution2D", {"W_constraint": {"name": "Mine"}}, "constraint 'Mine'"),
    ("convolutions_tf", "Convolution2D", {"wheels": 4}, "wheels=4"),
    ("shared", "Merge", {"mode": ["4wEAAAAA", None, None], "mode_type": "lambda"}, "has code as its mode"),
    ("shared", "Merge", {"mode": "mine", "mode_type": "function"}, "function 'mine'"),
    ("shared", "Merge", {"mode": "twist"}, "'twist'"),
    (
        "transposed",
        "Deconvolution2D",
        {"output_shape": [None, 7, 9, 3]},
        r"shape \[None, 7, 9, 3\] in the file",
    ),
    ("transposed", "Deconvolution2D", {"output_shape": 7}, "shape 7 in the file"),
    ("sequences", "Convolution1D", {"nb_filter": 5}, "do not fit"),
]


@pytest.mark.parametrize(("case", "kind", "settings", "words"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_cannot_be_read_says_why(
    case: str, kind: str, settings: Entry, words: str, tmp_path: Path
) -> None:
    def change(config: Any) -> None:
        layer_of(config, kind)["config"].update(settings)

    with pytest.raises(ModelFileError, match=words):
        load_model(changed(tmp_path / "m.h5", f"{case}_tensorflow", change))


PADDED = [
    ("convolutions_th", "MaxPooling2D", {"border_mode": "same"}, r"MaxPooling2D .*pool_size=\(2, 2\)"),
    ("convolutions_th", "Convolution2D", {"border_mode": "same"}, r"Conv2D .*kernel_size=\(2, 3\)"),
    ("moving", "ConvLSTM2D", {"nb_row": 2}, r"ConvLSTM2D .*kernel_size=\(2, 3\)"),
]


@pytest.mark.parametrize(("case", "kind", "settings", "words"), PADDED, ids=lambda value: str(value)[:30])
def test_what_theano_padded_otherwise(
    case: str, kind: str, settings: Entry, words: str, tmp_path: Path
) -> None:
    def change(config: Any) -> None:
        layer_of(config, kind)["config"].update(settings)

    with pytest.raises(ModelFileError, match=words):
        load_model(changed(tmp_path / "m.h5", f"{case}_theano", change))


def test_layers_and_models_that_are_gone(tmp_path: Path) -> None:
    def highway(config: Any) -> None:
        config["config"].append({"class_name": "Highway", "config": {"name": "h", "bias": True}})

    with pytest.raises(ValueError, match="'Highway'"):
        load_model(changed(tmp_path / "h.h5", "recurrent_tensorflow", highway))

    def graph(config: Any) -> None:
        config["class_name"] = "Graph"

    with pytest.raises(ModelFileError, match="holds a Graph"):
        load_model(changed(tmp_path / "g.h5", "recurrent_tensorflow", graph))
    assert "Graph" in inspect_model(tmp_path / "g.h5").refused[0]

    def nonsense(config: Any) -> None:
        config["config"] = 3

    with pytest.raises(ModelFileError, match=r"not as Keras 1\.2\.2 writes it"):
        load_model(changed(tmp_path / "n.h5", "recurrent_tensorflow", nonsense))


def test_dropped_words_are_said(tmp_path: Path) -> None:
    def change(config: Any) -> None:
        layer_of(config, "Embedding")["config"]["dropout"] = 0.5

    with pytest.warns(UserWarning, match="predicts is the same"):
        model = load_model(changed(tmp_path / "m.h5", "recurrent_tensorflow", change))
    check_outputs(model, "recurrent_tensorflow")


def converted(kind: str, **settings: Any) -> Entry:
    """A layer's config in the words of Keras 2."""
    return keras2_config({"class_name": kind, "config": {"name": "l", **settings}})[0]["config"]


def test_settings() -> None:
    axes = {"name": "MaxNorm", "m": 2, "axis": [1, 2, 3]}
    th = converted("Convolution2D", nb_filter=1, nb_row=2, nb_col=3, dim_ordering="th", W_constraint=axes)
    assert th["kernel_constraint"]["config"] == {"max_value": 2, "axis": [2, 0, 1]}
    assert (th["kernel_size"], th["data_format"]) == ([2, 3], "channels_first")
    flat = converted(
        "Convolution1D", nb_filter=1, filter_length=2, W_constraint={"name": "UnitNorm", "axis": 2}
    )
    assert flat["kernel_constraint"]["config"] == {"axis": 1}
    norm = {"name": "MinMaxNorm", "low": 0, "high": 1, "rate": 0.5, "axis": 0}
    assert converted("Dense", output_dim=2, W_constraint=norm)["kernel_constraint"]["config"] == {
        "min_value": 0, "max_value": 1, "rate": 0.5, "axis": 0,
    }  # fmt: skip
    assert converted("ZeroPadding2D", padding=[1, 2, 3, 4])["padding"] == [[1, 2], [3, 4]]
    assert converted("ZeroPadding2D", padding={"top_pad": 1, "right_pad": 2})["padding"] == [[1, 0], [0, 2]]
    assert converted("ZeroPadding1D", padding={"left_pad": 1})["padding"] == [1, 0]
    assert converted("LSTM", output_dim=2, forget_bias_init="zero", consume_less="cpu") == {
        "name": "l", "units": 2, "unit_forget_bias": False,
    }  # fmt: skip
    assert converted("Dense", output_dim=1, init="normal", input_dim=3, bias=False) == {
        "name": "l", "units": 1, "kernel_initializer": "random_normal", "use_bias": False,
    }  # fmt: skip
