"""Small files that describe large models: refused before much memory or time is taken. NaN is said."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import LegacyFormatWarning, ModelFileError, NonFiniteWeightsWarning
from tests.helpers.builders import compiled_model
from tests.helpers.paths import HELPERS

MiB = 1 << 20


def entry(class_name: str, **config: Any) -> dict[str, Any]:
    module = "keras.layers" if class_name not in ("Sequential", "Functional") else "keras"
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def stack(shape: list[int], *entries: dict[str, Any], adam: bool = False) -> dict[str, Any]:
    first = entry("InputLayer", batch_shape=[None, *shape], dtype="float32", name="i")
    model = entry("Sequential", name="s", layers=[first, *entries])
    if adam:
        optimizer = {**entry("Adam"), "module": "keras.optimizers"}
        model["compile_config"] = {"optimizer": optimizer, "loss": "mse"}
    return model


def chain(count: int) -> dict[str, Any]:
    """A functional model of `count` layers."""
    first = entry("InputLayer", batch_shape=[None, 1], name="i")
    entries, before = [{**first, "name": "i", "inbound_nodes": []}], "i"
    for number in range(count):
        name = f"a{number}"
        tensor = {"shape": [None, 1], "dtype": "float32", "keras_history": [before, 0, 0]}
        node = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
        layer = entry("Activation", activation="relu", name=name)
        entries.append({**layer, "name": name, "inbound_nodes": [node]})
        before = name
    return entry(
        "Functional", name="f", layers=entries, input_layers=[["i", 0, 0]], output_layers=[[before, 0, 0]]
    )


def shared(count: int) -> dict[str, Any]:
    """A functional model that calls one layer `count` times."""
    model = chain(1)
    model["config"]["layers"][1]["inbound_nodes"] *= count
    return model


def activations(count: int) -> dict[str, Any]:
    return stack([1], *(entry("Activation", activation="relu", name=f"a{i}") for i in range(count)))


def nested(count: int) -> dict[str, Any]:
    inner = activations(30)["config"]["layers"]
    return stack([1], *(entry("Sequential", name=f"m{i}", layers=inner) for i in range(count)))


UNITS = 20_000_000
CASES = {
    "units": stack([1], entry("Dense", units=UNITS, name="d")),
    "units without bias": stack([1], entry("Dense", units=UNITS, use_bias=False, name="d")),
    "units and an optimizer": stack([1], entry("Dense", units=UNITS, use_bias=False, name="d"), adam=True),
    "as many as allowed": stack([1], entry("Dense", units=33_000_000, use_bias=False, name="d"), adam=True),
    "half precision": stack([1], entry("Dense", units=3 * UNITS, dtype="float16", name="d"), adam=True),
    "recurrent units": stack([3, 1], entry("SimpleRNN", units=5000, name="d"), adam=True),
    "an embedding": stack([1], entry("Embedding", input_dim=UNITS, output_dim=1, name="e"), adam=True),
    "statistics": stack([UNITS], entry("BatchNormalization", name="b")),
    "layers": activations(50_000),
    "layers of a functional model": chain(20_000),
    "calls of one layer": shared(50_000),
    "nested models": nested(900),
}  # fmt: skip


def write(path: Path, config: dict[str, Any]) -> None:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("vars")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getbuffer())


@pytest.mark.posix
@pytest.mark.parametrize("name", CASES)
def test_large_models_are_refused(name: str, tmp_path: Path) -> None:
    path, warm = tmp_path / "m.keras", tmp_path / "warm.keras"
    write(path, CASES[name])
    compiled_model((4,), [layers.Dense(1), layers.ReLU()], "adam", "mse").save(warm)
    done = subprocess.run(
        [sys.executable, str(HELPERS / "load_measured.py"), str(path), str(warm)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, grown, outcome = done.stdout.strip().split("\t")
    reasons = ("than the weights of the file allow", "10,000 layers", "missing in the file")
    assert any(reason in outcome for reason in reasons), outcome
    assert int(grown) * MiB < 4 * os.path.getsize(path) + 256 * MiB
    assert float(seconds) < 45


def test_the_limit_of_layers_is_raised(tmp_path: Path) -> None:
    write(tmp_path / "m.keras", activations(60))
    refused = pytest.raises(ModelFileError, match=r"50 layers and calls.*budget\(layers=")
    with hb.saving.budget(layers=50), refused:
        hb.saving.load_model(tmp_path / "m.keras")
    with hb.saving.budget(layers=70):
        assert len(hb.saving.load_model(tmp_path / "m.keras").layers) == 60


# -- NaN and infinity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["m.keras", "m.h5", "m.weights.h5", "m.npz", "w.h5"])
@pytest.mark.parametrize(("value", "kind"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_weights_that_are_not_finite(file: str, value: float, kind: str, tmp_path: Path) -> None:
    def new_model() -> hb.Model:
        parts = [layers.Dense(3, name="first"), layers.Dense(2, name="second")]
        return compiled_model((4,), parts, "adam", "mse", name="net")

    model = new_model()
    kernel = model.layers[1].kernel
    kernel.assign(np.where(np.arange(6).reshape(3, 2) == 4, value, 1.0))
    complete = file in ("m.keras", "m.h5")
    if file.endswith("h5") and "weights" not in file:
        with pytest.warns(LegacyFormatWarning):
            (model.save if complete else model.save_weights)(tmp_path / file)
    else:
        (model.save if complete else model.save_weights)(tmp_path / file)
    load = hb.saving.load_model if complete else new_model().load_weights
    with pytest.warns(NonFiniteWeightsWarning, match=rf"second/kernel' \(1 of 6 values, {kind}\)") as caught:
        load(tmp_path / file)
    assert [warning.filename for warning in caught] == [__file__]
