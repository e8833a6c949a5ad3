"""Limits on what a file may cost: every reader looks at them, and a caller raises them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal import limits
from hornbeam.errors import ModelFileError
from hornbeam.saving import budget, inspect_model, load_model, load_onnx
from tests.helpers import malicious_files as bad_files
from tests.helpers import malicious_formats as bad_others
from tests.helpers import onnx_bytes as onnx
from tests.helpers.builders import compiled_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bad_others.write_good(tmp_path)
    model = compiled_model((4,), [layers.Dense(3)], "adam", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0, resume=tmp_path / "run")
    return tmp_path


def weights_into(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        model = hb.Sequential([hb.Input((4,)), layers.Dense(3, name="dense")])
        return model.load_weights(folder / name)

    return read


def resumed(folder: Path) -> Any:
    model = compiled_model((4,), [layers.Dense(3)], "adam", "mse")
    model.fit(np.ones((4, 4)), np.ones((4, 3)), verbose=0, resume=folder / "run")


READERS: dict[str, Callable[[Path], Any]] = {
    "a model": lambda folder: load_model(folder / "good.keras"),
    "its arrays": lambda folder: load_model(folder / "good.keras", weights_only=True),
    "its layers": lambda folder: inspect_model(folder / "good.keras"),
    "a model of Keras 2": lambda folder: load_model(folder / "good.h5"),
    "its arrays too": lambda folder: load_model(folder / "good.h5", weights_only=True),
    "its layers too": lambda folder: inspect_model(folder / "good.h5"),
    "npz": weights_into("good.npz"),
    "safetensors": weights_into("good.safetensors"),
    "onnx": lambda folder: load_onnx(folder / "good.onnx"),
    "arrays of onnx": lambda folder: load_model(folder / "good.onnx", weights_only=True),
    "a checkpoint": resumed,
    "an editor": lambda folder: hb.saving.KerasFileEditor(folder / "good.keras"),
}
MODELS = {"a model", "its layers", "a model of Keras 2", "its layers too"}
# What each limit holds, at a value that the small files are beyond.
LOW: dict[str, tuple[int, set[str]]] = {
    "bytes": (20, set(READERS) - {"its layers too"}),
    "parameters": (5, set(READERS) - {"its layers", "its layers too"}),
    "members": (1, {"a model", "its arrays", "its layers", "npz", "an editor", "onnx", "arrays of onnx"}),
    "nesting": (2, {*MODELS, "an editor", "onnx", "arrays of onnx"}),
    "text": (40, {*MODELS, "its arrays", "a checkpoint", "an editor", "safetensors"}),
    "work": (1, {"a model", "a model of Keras 2", "onnx"}),
}  # fmt: skip


@pytest.mark.parametrize("limit", LOW)
def test_every_reader_keeps_within(limit: str, folder: Path) -> None:
    pytest.importorskip("safetensors")
    value, held = LOW[limit]
    for reader, read in READERS.items():
        read(folder)
        with budget(**{limit: value}):
            if reader in held:
                with pytest.raises(ModelFileError):
                    read(folder)
            else:
                read(folder)


def test_bytes_are_raised(tmp_path: Path) -> None:
    path = tmp_path / "zeros.h5"
    with h5py.File(path, "w") as store:
        store.create_dataset("zeros", (40 << 20,), "float32", chunks=(1 << 18,), compression="gzip")
    with pytest.raises(ModelFileError, match=r"saving\.budget\(bytes="):
        load_model(path, weights_only=True)
    with budget(bytes=200 << 20):
        assert load_model(path, weights_only=True)["zeros"].shape == (40 << 20,)


def test_members_are_raised(tmp_path: Path) -> None:
    path = tmp_path / "many.npz"
    members = [(f"{n}.npy", bad_others.npy(np.zeros(1, "float32"))) for n in range(12_000)]
    path.write_bytes(bad_others.npz(members))
    with pytest.raises(ModelFileError, match=r"saving\.budget\(members="):
        inspect_model(path)
    with budget(members=20_000):
        assert len(inspect_model(path).arrays) == 12_000


def test_nesting_is_raised(tmp_path: Path) -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    path = bad_files.write(tmp_path / "deep.keras", {**bad_files.GOOD, "notes": deep})
    with pytest.raises(ModelFileError, match=r"saving\.budget\(nesting="):
        load_model(path)
    with budget(nesting=400):
        assert load_model(path).count_params() == 15
    inner = onnx.graph([onnx.node("Neg", ["x"], ["y"])], input=[])
    for _ in range(9):
        inner = onnx.graph([onnx.node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)], input=[])
    outer = onnx.graph(
        [onnx.node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        input=[onnx.value("x", ["n", 3]), onnx.value("c", [], 9)],
    )
    (tmp_path / "deep.onnx").write_bytes(onnx.model(outer))
    with pytest.raises(ModelFileError, match="nesting"):
        load_onnx(tmp_path / "deep.onnx")
    with budget(nesting=400):
        assert load_onnx(tmp_path / "deep.onnx").count_params() == 0


def test_text_and_work_are_raised(tmp_path: Path) -> None:
    config = json.dumps({**bad_files.GOOD, "notes": "x" * (9 << 20)})
    path = bad_files.write(tmp_path / "long.keras", config)
    with budget(text=8 << 20), pytest.raises(ModelFileError, match=r"saving\.budget\(text="):
        load_model(path)
    with budget(text=10 << 20):
        load_model(path)
    unrolled = bad_files.sequential(
        bad_files.layer("RepeatVector", n=30_000), bad_files.layer("LSTM", units=1, unroll=True)
    )
    arrays = {f"layers/lstm/cell/vars/{i}": np.zeros(s, "f4") for i, s in enumerate([(4, 4), (1, 4), (4,)])}
    path = bad_files.write(tmp_path / "work.keras", unrolled, h5=bad_files.weights(arrays=arrays))
    with pytest.raises(ModelFileError, match=r"saving\.budget\(work="):
        load_model(path)


def test_arrays_in_a_config_are_read(tmp_path: Path) -> None:
    """An embedding with given vectors: their numbers are in the config, and the file is as large."""
    vectors = np.random.default_rng(0).normal(size=(4000, 200)).astype("float32")
    initializer = hb.initializers.Constant(vectors)
    model = hb.Sequential([hb.Input((3,), dtype="int32"), hb.layers.Embedding(4000, 200, initializer)])
    for path in (tmp_path / "vectors.keras", tmp_path / "vectors"):
        model.save(path, zipped=path.suffix != "")
        again = load_model(path)
        np.testing.assert_array_equal(again.layers[0].embeddings, vectors)
        np.testing.assert_array_equal(again.layers[0].embeddings_initializer.value, vectors)


def test_configs_that_take_much_memory_are_refused(tmp_path: Path) -> None:
    """Empty lists take a hundred times the memory of their text."""
    noise = np.random.default_rng(0).integers(0, 10, 9 << 20).astype("S1").tobytes().decode()
    config = json.dumps({**bad_files.GOOD, "notes": [noise, [[]] * (4 << 20)]}, separators=(",", ":"))
    path = bad_files.write(tmp_path / "lists.keras", config)
    with pytest.raises(ModelFileError, match=r"bytes of memory: refused as a decompression bomb"):
        load_model(path)


def test_a_budget_is_this_thread_s_and_ends() -> None:
    usual = hb.saving.Budget()
    seen: list[Any] = []
    with budget(members=5) as one, budget(nesting=7) as two:
        assert (one.members, two.members, two.nesting) == (5, 5, 7)
        thread = threading.Thread(target=lambda: seen.append(limits.current_budget()))
        thread.start()
        thread.join()
    assert seen == [usual]
    assert limits.current_budget() == usual
    for wrong in (0, -1, 1.5, True, "many"):
        with pytest.raises(ValueError, match="members must be"), budget(members=wrong):  # type: ignore[arg-type]
            pass
