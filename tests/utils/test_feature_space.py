"""FeatureSpace against real Keras, on what it takes, in models and in files."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.utils import FeatureSpace
from tests.helpers import feature_cases

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "feature_expected.json").read_text())
KERAS_PYTHON = os.environ.get("HORNBEAM_KERAS_PYTHON")


def same(ours: Any, theirs: Any) -> None:
    if "dtype" not in theirs or not isinstance(theirs["dtype"], str):
        assert set(ours) == set(theirs)
        for name in theirs:
            same(ours[name], theirs[name])
        return
    assert np.shape(ours["values"]) == np.shape(theirs["values"])
    np.testing.assert_allclose(ours["values"], theirs["values"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", feature_cases.SPACES)
def test_gives_what_keras_gives(name: str) -> None:
    same(feature_cases.encoded(hornbeam, name), EXPECTED[name])


def test_missing_values_are_named_by_their_column() -> None:
    table = {"age": np.array([20.0, np.nan, 40.0]), "town": np.array(["Ulm", None, np.nan], object)}
    full = {"age": np.array([20.0, 30.0, 40.0]), "town": np.array(["Ulm", "?", "?"], object)}
    kinds = {"age": "float_normalized", "town": "string_categorical"}
    for name, wanted in (
        ("age", r"column 'age' has 1 missing value: fill them first, with the median of the training part"),
        ("town", r"column 'town' has 2 missing values: fill them first, as in fillna\('\?'\)"),
    ):
        with pytest.raises(ValueError, match=wanted):
            FeatureSpace({name: kinds[name]}).adapt(table)
    space = FeatureSpace(kinds)
    space.adapt(full)
    with pytest.raises(ValueError, match="column 'town' has 2 missing values"):
        space(full | {"town": table["town"]})


def test_a_file_of_keras() -> None:
    space = hornbeam.models.load_model(HERE / "feature_space.keras")
    assert isinstance(space, FeatureSpace)
    same(feature_cases.facts(space), EXPECTED["short"])


def adapted(name: str = "short") -> Any:
    space = feature_cases.SPACES[name](hornbeam)
    space.adapt(feature_cases.columns(space, feature_cases.DATA))
    return space


@pytest.mark.parametrize("name", feature_cases.SPACES)
def test_round_trip(tmp_path: Path, name: str) -> None:
    space = adapted(name)
    space.save(tmp_path / "space.keras")
    again = hornbeam.models.load_model(tmp_path / "space.keras")
    same(feature_cases.facts(again), EXPECTED[name])


@pytest.mark.skipif(not KERAS_PYTHON, reason="set HORNBEAM_KERAS_PYTHON to a Python with Keras 3")
def test_keras_loads_our_file(tmp_path: Path) -> None:
    adapted().save(tmp_path / "space.keras")
    program = HERE.parents[1] / "tools" / "expected_features.py"
    command = [str(KERAS_PYTHON), str(program), "check", str(tmp_path / "space.keras")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    same(json.loads(done.stdout.splitlines()[-1]), EXPECTED["short"])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str) -> None:
    frames = pytest.importorskip(library)
    space = feature_cases.short(hornbeam)
    space.adapt(frames.DataFrame(feature_cases.DATA))
    array = np.asarray(space(frames.DataFrame(feature_cases.OTHERS)))
    np.testing.assert_allclose(array, EXPECTED["short"]["others"]["values"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", [None, 32])
def test_datasets(batch: int | None) -> None:
    rows = hornbeam.data.Dataset.from_tensor_slices(feature_cases.DATA)
    space = feature_cases.short(hornbeam)
    space.adapt(rows if batch is None else rows.batch(batch))
    others = hornbeam.data.Dataset.from_tensor_slices(feature_cases.OTHERS)
    array = np.concatenate([np.asarray(part) for part in others.batch(4).map(space)])
    np.testing.assert_allclose(array, EXPECTED["short"]["others"]["values"], rtol=1e-5, atol=1e-6)
    single = np.stack([np.asarray(row) for row in others.map(space)])
    np.testing.assert_allclose(single, array, rtol=1e-6)


def test_in_models(tmp_path: Path) -> None:
    """Training on prepared data, and one model from raw columns to predictions."""
    space = adapted()
    encoded = space.get_encoded_features()
    outputs = layers.Dense(1)(layers.Dense(8, activation="relu")(encoded))
    training = hornbeam.Model(encoded, outputs)
    model = hornbeam.Model(space.get_inputs(), outputs)
    training.compile("adam", "mse")
    targets = np.asarray(feature_cases.DATA["normal"], "float32")[:, None]
    rows = hornbeam.data.Dataset.from_tensor_slices((feature_cases.DATA, targets)).batch(25)
    history = training.fit(rows.map(lambda x, y: (space(x), y)), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    data = {name: np.asarray(values) for name, values in feature_cases.OTHERS.items()}
    expected = training.predict(np.asarray(space(feature_cases.OTHERS)), verbose=0)
    np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.compile("adam", "mse")
    assert np.isfinite(model.fit(rows, verbose=0).history["loss"]).all()
    model.save(tmp_path / "whole.keras")
    again = hornbeam.models.load_model(tmp_path / "whole.keras")
    np.testing.assert_allclose(again.predict(data, verbose=0), model.predict(data, verbose=0), rtol=1e-6)


def test_without_adapting() -> None:
    space = FeatureSpace({"a": "float", "b": FeatureSpace.string_hashed(3)})
    assert np.asarray(space({"a": [1.0], "b": ["x"]})).shape == (1, 4)
    bins = FeatureSpace({"a": FeatureSpace.float_discretized(None, [0.0, 1.0])})
    assert np.asarray(bins({"a": [0.5, 2.0]})).tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]


def test_crosses_of_three() -> None:
    space = FeatureSpace(
        {"a": "string_hashed", "b": "integer_hashed", "c": "string_hashed"}, crosses=[("a", "b", "c")]
    )
    array = np.asarray(space({"a": ["x", "y"], "b": [1, 2], "c": ["u", "v"]}))
    assert array.shape == (2, 4 * 32)
    assert (array.sum(axis=1) == 4).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FeatureSpace({}), "at least one column"),
        (lambda: FeatureSpace({"a": "floats"}), "unknown kind 'floats'.* Did you mean 'float'"),
        (lambda: FeatureSpace({"ab": "float"}, crosses=[("ab", "abc")]), "'abc', which is not a feature"),
        (lambda: FeatureSpace({"a": "float"}, output_mode="list"), "output_mode must be one of"),
        (lambda: FeatureSpace({"a": "float_normalized"})({"a": [1.0]}), r"call adapt\(data\) before"),
        (lambda: FeatureSpace({"a": "float_normalized"}).get_inputs(), r"call adapt\(data\) before"),
        (lambda: FeatureSpace({"age": "float_normalized"}).adapt({"ages": [1.0]}), "no column 'age'.*'ages'"),
        (lambda: FeatureSpace({"age": "float"})({"ages": [1.0]}), "no column 'age'"),
        (lambda: FeatureSpace({"a": "float"})([1.0]), "dict of columns or a frame, got list"),
        (lambda: FeatureSpace({"a": "float_normalized"}).adapt(np.ones((3, 1))), "takes a dict of columns"),
        (lambda: FeatureSpace({"a": "float_normalized"}).adapt([[1.0]]), "must yield dicts"),
        (lambda: FeatureSpace({"a": "float_normalized"}).adapt([]), "got no data"),
        (
            lambda: FeatureSpace({"a": FeatureSpace.string_hashed(3, output_mode="int")}).get_inputs(),
            'is int64, not encoded.*output_mode="dict"',
        ),
        (
            lambda: FeatureSpace(
                {"a": FeatureSpace.feature("float32", layers.Rescaling(2), "one_hot")}
            ).get_inputs(),
            "must return integers, but it returns float32",
        ),
        (lambda: FeatureSpace.feature("float32", None, "hot"), "output_mode must be one of"),
    ],
)
def test_refuses(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
