"""Files of former versions, and of Keras 2, are read and compute what they did."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import ModelFileError
from hornbeam.saving import inspect_model, load_model, verify_model
from hornbeam.saving.checkpoint import newest_first, verify_checkpoint
from tests.helpers import malicious_formats as bad_others
from tools import golden_hornbeam

GOLDEN = Path(__file__).parents[1] / "golden"
VERSIONS = sorted(path.name for path in (GOLDEN / "hornbeam").iterdir())


@pytest.mark.parametrize("version", VERSIONS)
def test_our_own_files(version: str, tmp_path: Path) -> None:
    folder = GOLDEN / "hornbeam" / version
    expected = np.load(folder / "outputs.npz")["y"]
    x, y = golden_hornbeam.data()
    loaded = load_model(folder / "model.keras")
    np.testing.assert_allclose(loaded.predict(x), expected, rtol=1e-5, atol=1e-6)
    assert int(loaded.optimizer.iterations) == 4
    for ending in (".weights.h5", ".npz", ".safetensors"):
        if ending == ".safetensors":
            pytest.importorskip("safetensors")
        model = golden_hornbeam.build()
        model.load_weights(folder / f"model{ending}")
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)
    run = tmp_path / "run"
    shutil.copytree(folder / "run", run)
    assert verify_checkpoint(newest_first(run)[0]) == []
    model = golden_hornbeam.build()
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0, resume=run)
    assert history.epoch == [0, 1]
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)


CASES = ("convolutions", "shared", "recurrent", "older")


@pytest.mark.parametrize("case", CASES)
def test_models_of_keras_2(case: str) -> None:
    arrays = np.load(GOLDEN / "keras2" / f"{case}.npz")
    inputs, outputs = ([arrays[k] for k in sorted(arrays) if k[0] == kind] for kind in "xy")
    model = load_model(GOLDEN / "keras2" / f"{case}.h5")
    predictions = model.predict(inputs if len(inputs) > 1 else inputs[0])
    for ours, theirs in zip(
        predictions if isinstance(predictions, list) else [predictions], outputs, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    targets = [np.zeros_like(y) for y in outputs]
    model.fit(
        inputs if len(inputs) > 1 else inputs[0], targets if len(targets) > 1 else targets[0], verbose=0
    )
    assert inspect_model(GOLDEN / "keras2" / f"{case}.h5").kind == "model"
    assert verify_model(GOLDEN / "keras2" / f"{case}.h5") == []


def test_what_keras_2_compiled_with() -> None:
    model = load_model(GOLDEN / "keras2" / "shared.h5")
    assert type(model.optimizer).__name__ == "SGD"
    assert float(model.optimizer.momentum) == pytest.approx(0.9)
    assert load_model(GOLDEN / "keras2" / "shared.h5", compile=False).optimizer is None


@pytest.mark.parametrize("path", sorted((GOLDEN / "keras2").glob("training_*.h5")), ids=lambda p: p.stem[9:])
def test_trainings_of_keras_2_go_on(path: Path) -> None:
    """Five more epochs end where they ended in Keras 2, as they do not without the optimizer's state."""
    arrays = np.load(GOLDEN / "keras2" / "trainings.npz")
    name = path.stem.removeprefix("training_")
    expected = [arrays[f"{name}_{i}"] for i in range(8)]

    def distance(model: hb.Model) -> float:
        model.fit(arrays["x"], arrays["y"], epochs=5, verbose=0, shuffle=False)
        pairs = zip(model.get_weights(), expected, strict=True)
        return max(float(np.abs(a - b).max()) for a, b in pairs)

    model = load_model(path)
    assert int(model.optimizer.iterations) == 5
    afresh = load_model(path)
    for variable in afresh.optimizer.variables[2:]:
        variable.assign(np.zeros(variable.shape))
    afresh.optimizer.iterations.assign(0)
    assert distance(model) < 5e-6 < 1e-4 < distance(afresh)


def test_an_optimizer_s_state_that_does_not_fit_is_said(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "keras2" / "training_adam.h5", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as store:
        del store["optimizer_weights/Adam/v/dense/kernel:0"]
    with pytest.warns(UserWarning, match="starts from its initial state"):
        model = load_model(tmp_path / "m.h5")
    assert int(model.optimizer.iterations) == 0


def changed(path: Path, **attributes: Any) -> Path:
    """A copy of a file of Keras 2 with other configs."""
    shutil.copy(GOLDEN / "keras2" / "convolutions.h5", path)
    with h5py.File(path, "r+") as store:
        for name, change in attributes.items():
            store.attrs[name] = json.dumps(change(json.loads(store.attrs[name])))
    return path


def test_configs_of_earlier_versions(tmp_path: Path) -> None:
    def model(config: Any) -> Any:
        entries = config["config"]["layers"][1:]  # only the first layer had the shape
        entries[0]["config"]["input_dtype"] = "float32"
        for entry in entries:
            entry["config"]["dtype"] = {"class_name": "Policy", "config": {"name": "float32"}}
        return {"class_name": "Sequential", "config": entries}

    def training(config: Any) -> Any:
        adam = {"lr": 0.01, "decay": 0.5, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "amsgrad": False}
        loss = {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "mse"}}
        return {**config, "loss": loss, "optimizer_config": {"class_name": "Adam", "config": adam}}

    path = changed(tmp_path / "old.h5", model_config=model, training_config=training)
    loaded = load_model(path)
    arrays = np.load(GOLDEN / "keras2" / "convolutions.npz")
    np.testing.assert_allclose(loaded.predict(arrays["x0"]), arrays["y0"], rtol=2e-5, atol=2e-6)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01)
    loaded.fit(arrays["x0"], arrays["y0"], verbose=0)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01 / 1.5)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    def with_setting(config: Any) -> Any:
        config["config"]["layers"][1]["config"]["wheels"] = 4
        return config

    def with_code(config: Any) -> Any:
        code = ["4wEAAAAAAAAAAAAA", None, None]
        entry = {"class_name": "Lambda", "config": {"name": "l", "function": code, "function_type": "lambda"}}
        config["config"]["layers"].append(entry)
        return config

    def with_class(config: Any) -> Any:
        config["config"]["layers"].append({"class_name": "Mine", "config": {"name": "m"}})
        return config

    def with_switch(config: Any) -> Any:
        config["config"]["layers"][1]["config"]["wheels"] = True
        return config

    with pytest.raises(ModelFileError, match="wheels=True"):
        load_model(changed(tmp_path / "s.h5", model_config=with_switch))
    with pytest.raises(ModelFileError, match="wheels=4"):
        load_model(changed(tmp_path / "a.h5", model_config=with_setting))
    with pytest.raises(ModelFileError, match="code of a lambda"):
        load_model(changed(tmp_path / "b.h5", model_config=with_code))
    with pytest.raises(ValueError, match="'Mine'"):
        load_model(changed(tmp_path / "c.h5", model_config=with_class))
    assert load_model(tmp_path / "c.h5", weights_only=True)
    model = hb.Sequential([hb.Input((2,)), layers.Dense(1)])
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModelFileError, match="no model"):
        load_model(tmp_path / "w.weights.h5")
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(ModelFileError, match="not a readable HDF5"):
        load_model(tmp_path / "x.h5")


def test_texts_that_hdf5_would_allocate_hang_or_crash_for(tmp_path: Path) -> None:
    for _, content in bad_others.lying_texts((GOLDEN / "keras2" / "shared.h5").read_bytes()):
        (tmp_path / "x.h5").write_bytes(content)
        with pytest.raises(ModelFileError, match=r"longer than what is stored|heap of texts|not a text"):
            load_model(tmp_path / "x.h5")
