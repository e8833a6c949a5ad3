"""`save`, `load_model`, `fit(initial_epoch=n)`: the same bits as a training that was never interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import data, layers
from hornbeam.errors import ModelFileError
from hornbeam.saving import inspect_model, load_model
from hornbeam.saving.resume_point import DATASET

RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 6)).astype("float32")
Y = RNG.integers(0, 3, 70)
OTHER = RNG.normal(size=(30, 6)).astype("float32"), RNG.integers(0, 3, 30)


class Batches(hb.utils.PyDataset):
    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> Any:
        return X[index * 10 : index * 10 + 10], Y[index * 10 : index * 10 + 10]


# Data of a training: made anew where it continues.
DATA: dict[str, Callable[[], tuple[Any, dict[str, Any]]]] = {
    "arrays": lambda: ((X, Y), {"batch_size": 16}),
    "arrays and a split": lambda: ((X, Y), {"batch_size": 16, "validation_split": 0.2}),
    "arrays and validation": lambda: ((X, Y), {"batch_size": 16, "validation_data": OTHER}),
    "complete batches": lambda: ((X, Y), {"batch_size": 16, "shuffle": "batch"}),
    "parts of a pass": lambda: ((X, Y), {"batch_size": 12, "steps_per_epoch": 3}),
    "a Dataset": lambda: ((data.Dataset.from_tensor_slices((X, Y)).shuffle(70).batch(16),), {}),
    "a Dataset that is a stream": lambda: (
        (data.Dataset.from_tensor_slices((X, Y)).shuffle(20).map(lambda x, y: (x * 2, y)).batch(16),), {}
    ),
    "a repeated Dataset": lambda: (
        (data.Dataset.from_tensor_slices((X, Y)).shuffle(70).repeat().batch(16),), {"steps_per_epoch": 3}
    ),
    "a PyDataset": lambda: ((Batches(),), {}),
}  # fmt: skip


def new_model(seed: int = 3) -> hb.Model:
    hb.utils.set_random_seed(seed)
    model = hb.Sequential([hb.Input((6,)), layers.Dense(8, "relu"), layers.Dropout(0.4), layers.Dense(3)])
    loss = hb.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def fit(model: hb.Model, name: str, **kwargs: Any) -> hb.callbacks.History:
    args, settings = DATA[name]()
    return model.fit(*args, verbose=0, **settings, **kwargs)


def same(one: hb.Model, other: hb.Model) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("file", ["m.keras", "m.weights.h5", "folder"])
def test_the_same_bits(name: str, file: str, tmp_path: Path) -> None:
    complete = new_model()
    history = fit(complete, name, epochs=4)

    part = new_model()
    fit(part, name, epochs=2)
    weights_only = file.endswith(".weights.h5")
    if weights_only:
        part.save_weights(tmp_path / file)
    else:
        part.save(tmp_path / file, zipped=None if file.endswith(".keras") else False)

    # Another process has other random states.
    loaded = new_model(seed=99)
    hb.random.normal((3,))
    if weights_only:
        loaded.load_weights(tmp_path / file)
    else:
        loaded = load_model(tmp_path / file)
    rest = fit(loaded, name, initial_epoch=2, epochs=4)
    same(complete, loaded)
    assert rest.history["loss"] == history.history["loss"][2:]

    # In the same process, whatever was drawn in between.
    hb.random.normal((3,))
    fit(part, name, initial_epoch=2, epochs=4)
    same(complete, part)


def test_files_of_model_checkpoint(tmp_path: Path) -> None:
    complete = new_model()
    fit(complete, "arrays and a split", epochs=4)
    part = new_model()
    callbacks = [
        hb.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        hb.callbacks.ModelCheckpoint(tmp_path / "step-{batch}.keras", save_freq=3),
    ]
    fit(part, "arrays and a split", epochs=4, callbacks=callbacks)
    same(complete, part)
    for epoch in (1, 3):
        loaded = load_model(tmp_path / f"{epoch}.keras")
        fit(loaded, "arrays and a split", initial_epoch=epoch, epochs=4)
        same(complete, loaded)
    assert "trained to epoch 3: fit(initial_epoch=3) continues" in str(inspect_model(tmp_path / "3.keras"))
    assert inspect_model(tmp_path / "step-3.keras").epoch is None  # in the middle of an epoch


def test_twice_interrupted_and_as_a_backup_resumes(tmp_path: Path) -> None:
    complete = new_model()
    fit(complete, "arrays and a split", epochs=6)
    model = new_model()
    for begin in (0, 2, 4):
        hb.utils.set_random_seed(begin + 50)
        if begin:
            model = load_model(tmp_path / "m.keras")
        else:
            model = new_model()
        fit(model, "arrays and a split", initial_epoch=begin, epochs=begin + 2)
        model.save(tmp_path / "m.keras")
    same(complete, model)

    backup = new_model()
    fit(backup, "arrays and a split", epochs=2, resume=tmp_path / "run")
    backup = new_model(seed=8)
    fit(backup, "arrays and a split", epochs=6, resume=tmp_path / "run")
    same(complete, backup)


def test_other_epochs_and_other_data_begin_anew(tmp_path: Path) -> None:
    """The global seed then decides, as before."""
    part = new_model()
    fit(part, "arrays", epochs=2)
    part.save(tmp_path / "m.keras")
    for settings in ({"initial_epoch": 1, "epochs": 2}, {"epochs": 1}, {"initial_epoch": 2, "epochs": 3}):
        batch_size = 8 if settings.get("initial_epoch") == 2 else 16
        models = []
        for _ in range(2):
            loaded = load_model(tmp_path / "m.keras")
            hb.utils.set_random_seed(5)
            loaded.fit(X, Y, batch_size=batch_size, verbose=0, **settings)
            expected = hb.random.normal((2,)).numpy()
            models.append((loaded, expected))
        same(models[0][0], models[1][0])
        np.testing.assert_array_equal(models[0][1], models[1][1])
        hb.utils.set_random_seed(5)
        other = load_model(tmp_path / "m.keras")
        hb.utils.set_random_seed(6)
        other.fit(X, Y, batch_size=batch_size, verbose=0, **settings)
        with pytest.raises(AssertionError):
            same(models[0][0], other)


def test_an_untrained_model_has_no_point_and_old_files_load(tmp_path: Path) -> None:
    new_model().save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as file:
        assert DATASET not in file
    model = new_model()
    model.load_weights(tmp_path / "m.weights.h5")
    fit(model, "arrays", initial_epoch=2, epochs=3)


BAD = [
    lambda point: {},
    lambda point: [],
    lambda point: {**point, "epoch": -1},
    lambda point: {**point, "epoch": 1 << 60},
    lambda point: {**point, "random": [1, 1 << 32]},
    lambda point: {**point, "start": [1.5, 2]},
    lambda point: {**point, "form": {"samples": "many"}},
    lambda point: {**point, "data": {**point["data"], "orders": [[1, "x"]]}},
    lambda point: {**point, "data": {**point["data"], "taken": 4}},
    lambda point: {**point, "validation": 3},
    lambda point: {**point, "other": 3},
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_points_that_no_training_writes(number: int, tmp_path: Path) -> None:
    model = new_model()
    fit(model, "arrays", epochs=1)
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        point = json.loads(bytes(file[DATASET][()]))
        del file[DATASET]
        file[DATASET] = np.frombuffer(json.dumps(BAD[number](point)).encode(), np.uint8)
    with pytest.raises(ModelFileError, match="is not the state of a training"):
        new_model().load_weights(tmp_path / "m.weights.h5")


def test_a_point_that_does_not_fit_the_data(tmp_path: Path) -> None:
    model = new_model()
    fit(model, "arrays", epochs=1)
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        point = json.loads(bytes(file[DATASET][()]))
        del file[DATASET]
        point["data"] |= {"taken": 1000, "random": [1, 2]}
        file[DATASET] = np.frombuffer(json.dumps(point).encode(), np.uint8)
    model.load_weights(tmp_path / "m.weights.h5")
    with pytest.warns(UserWarning, match="cannot continue the order .* 5 batches, where 1000") as caught:
        fit(model, "arrays", initial_epoch=1, epochs=2)
    assert caught[0].filename == __file__
