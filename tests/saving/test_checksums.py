"""Files that we write have a checksum of all that is loaded: damage never becomes other weights."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.cli import main
from hornbeam.errors import ModelFileError, UnknownObjectError
from hornbeam.saving import verify_model
from hornbeam.saving.hdf5 import create_hdf5

pytestmark = pytest.mark.filterwarnings("ignore")

X = np.ones((4, 4), "float32")


def build_model() -> hb.Model:
    inputs = hb.Input((4,))
    hidden = layers.BatchNormalization()(layers.Dense(3, activation="relu")(inputs))
    model = hb.Model(inputs, layers.Dense(2)(hidden))
    model.compile("adam", "mse")
    model.fit(X, np.ones((4, 2)), verbose=0)
    return model


MODEL = build_model()


def state_of(model: hb.Model) -> list[np.ndarray]:
    return [*model.get_weights(), *(value.numpy() for value in model.optimizer.variables)]


def whole(path: Path) -> list[np.ndarray]:
    model = hb.models.load_model(path)
    return [*state_of(model), model.predict(X, verbose=0)]


def weights(path: Path) -> list[np.ndarray]:
    MODEL.set_weights([np.zeros_like(value) for value in MODEL.get_weights()])
    MODEL.load_weights(path)
    return MODEL.get_weights()


# What writes, the name that is loaded, and what loads it.
CASES: dict[str, tuple[Callable[[hb.Model, Path], None], str, Callable[[Path], Any]]] = {
    "archive": (lambda model, path: model.save(path), "m.keras", whole),
    "legacy model": (lambda model, path: model.save(path), "m.h5", whole),
    "weights": (lambda model, path: model.save_weights(path), "w.weights.h5", weights),
    "legacy weights": (lambda model, path: model.save_weights(path), "w.h5", weights),
    "shards": (lambda model, path: model.save_weights(path, max_shard_size=1e-7), "w.weights.json", weights),
    "npz": (lambda model, path: model.save_weights(path), "w.npz", weights),
    "safetensors": (lambda model, path: model.save_weights(path), "w.safetensors", weights),
}


def written(case: str, folder: Path) -> tuple[Path, Callable[[Path], Any]]:
    write, name, load = CASES[case]
    if case == "safetensors":
        pytest.importorskip("safetensors")
    write(build_model(), folder / name)
    return folder / name, load


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip a few bits, or clear a region, as disks and transfers do."""
    changed = bytearray(data)
    if rng.random() < 0.5:
        for at in rng.integers(len(data), size=rng.choice([1, 2])):
            changed[at] ^= 1 << int(rng.integers(8))
    else:
        at, size = int(rng.integers(len(data))), int(rng.choice([1, 8, 64, 300]))
        changed[at : at + size] = bytes(len(changed[at : at + size]))
    return bytes(changed)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_damage_is_never_silent(case: str, count: int, tmp_path: Path) -> None:
    path, load = written(case, tmp_path)
    expected = load(path)
    files = sorted(tmp_path.iterdir(), key=lambda file: file.stat().st_size)
    rng = np.random.default_rng(count)
    for _ in range(count):
        file = files[-1 - int(rng.integers(min(2, len(files))))]
        original = file.read_bytes()
        file.write_bytes(damaged(original, rng))
        try:
            for one, other in zip(load(path), expected, strict=True):
                np.testing.assert_array_equal(one, other)
        except (ModelFileError, UnknownObjectError, FileNotFoundError):
            pass
        file.write_bytes(original)


HDF5 = ["legacy model", "weights", "legacy weights"]


@pytest.mark.parametrize("case", HDF5)
@pytest.mark.parametrize("region", [1, 23, 300])
def test_an_end_that_never_reached_the_disk(case: str, region: int, tmp_path: Path) -> None:
    path, load = written(case, tmp_path)
    path.write_bytes(path.read_bytes()[:-region] + bytes(region))
    with pytest.raises(ModelFileError, match="the file is damaged: its checksum is wrong"):
        load(path)


@pytest.mark.parametrize("case", [*HDF5, "safetensors"])
def test_files_without_a_checksum_load_and_verify_says_so(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of older versions, and files that another program changed."""
    path, load = written(case, tmp_path)
    expected = load(path)
    assert main(["verify", str(path)]) == 0
    assert "no checksum" not in capsys.readouterr().out
    if case == "safetensors":
        import safetensors.numpy

        safetensors.numpy.save_file(safetensors.numpy.load_file(path), path)
    else:
        with h5py.File(path, "r+"):  # HDF5 cuts off what is behind the file
            pass
    for one, other in zip(load(path), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert verify_model(path) == []
    assert main(["verify", str(path)]) == 0
    assert "good (no checksum in this file" in " ".join(capsys.readouterr().out.split())


def test_a_file_that_h5py_changed_is_loaded(tmp_path: Path) -> None:
    path, load = written("weights", tmp_path)
    with h5py.File(path, "r+") as store:
        store["layers/dense/vars/1"][...] = 7
    np.testing.assert_array_equal(load(path)[1], np.full(3, 7, "float32"))


def test_the_weights_of_a_folder(tmp_path: Path) -> None:
    build_model().save(tmp_path / "m", zipped=False)
    file = tmp_path / "m" / "model.weights.h5"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match="its checksum is wrong"):
        hb.models.load_model(tmp_path / "m")


class ShortOfMemory(io.BytesIO):
    """Fails as `BytesIO` does, which is closed afterwards."""

    def write(self, data: Any) -> int:
        if len(data) > 1000:
            self.close()
            raise MemoryError("no memory is left")
        return super().write(data)


def test_a_lack_of_memory_is_named() -> None:
    with pytest.raises(MemoryError, match="no memory is left"), create_hdf5(ShortOfMemory()) as store:
        store["values"] = np.zeros(10_000)


IN_KERAS = """
import sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
results = [model.predict(np.ones((4, 4)), verbose=0)]
for path in sys.argv[2:]:
    model = keras.models.load_model(path) if path.endswith("m.h5") else model
    if not path.endswith("m.h5"):
        model.set_weights([np.zeros_like(value) for value in model.get_weights()])
        model.load_weights(path)
    results.append(model.predict(np.ones((4, 4)), verbose=0))
np.save("results.npy", results)
"""


@pytest.mark.skipif(find_spec("keras") is None, reason="compares with Keras")
def test_keras_reads_the_files(tmp_path: Path) -> None:
    model, names = build_model(), []
    for case in ("archive", "weights", "legacy weights", "shards", "legacy model"):
        write, name, _ = CASES[case]
        write(model, tmp_path / name)
        names.append(name)
    done = subprocess.run(
        [sys.executable, "-c", IN_KERAS, *names], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        env={**os.environ, "KERAS_BACKEND": "numpy"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for result in np.load(tmp_path / "results.npy"):
        np.testing.assert_allclose(result, model.predict(X, verbose=0), rtol=1e-5)
