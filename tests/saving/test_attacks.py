"""Files from strangers: one proof of concept for each rule. None is executed, opened or fetched, and none
takes the memory or the time that it asks for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal.limits import SLACK_BYTES
from hornbeam.errors import ModelFileError, UnknownObjectError
from tests.helpers import malicious_files as bad_files
from tests.helpers import malicious_formats as bad_others
from tests.helpers.builders import compiled_model
from tests.helpers.malicious_pytorch import pytorch_files
from tests.helpers.paths import HELPERS

# Without attacking anything: they load, and take nothing until they are run.
HARMLESS = {
    "positions", "one-hot", "a loop without end", "ConstantOfShape", "Range", "Expand",
    "Tile", "many arrays of nothing",
}  # fmt: skip


def audited(folder: Path, files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Return the report on loading each file under an audit hook, in a separate process."""
    warm = folder / "warm"
    warm.mkdir()
    parts = [layers.RandAugment(), layers.Conv2D(1, 2), layers.Flatten(), layers.Dense(1)]
    model = compiled_model((4, 4, 3), [*parts], "adam", "mse", metrics=["mae"])
    model.save(warm / "other.keras")
    bad_others.write_good(warm)
    program = HELPERS / "audited_load.py"
    done = subprocess.run(
        [sys.executable, str(program), str(warm), *map(str, files.values())],
        capture_output=True, text=True, timeout=300, env={**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(files)
    return {name: report for name, report in zip(files, reports, strict=True)}


def check(reports: dict[str, dict[str, Any]], files: dict[str, Path]) -> None:
    for name, report in reports.items():
        outcome, message = report["outcome"]
        if name in HARMLESS and (outcome == "loaded" or "layers with weights" in message):
            pass  # the weights of a file of Keras 2 are those of another model
        else:
            assert outcome in ("ModelFileError", "UnknownObjectError"), f"{name}: {outcome}: {message}"
            assert len(message) > 20, name
        path = str(files[name])
        # Beside an ONNX file there may be its `data`; numbers are files that are open already.
        allowed = re.compile(
            rf"open \(('({re.escape(path)}|{re.escape(os.path.dirname(path))}/data)'|\d+),\)"
        )
        others = [event for event in report["events"] if not allowed.fullmatch(event)]
        assert others == [], f"{name} made the interpreter do {others}"
        assert report["peak"] < 4 * os.path.getsize(path) + (256 << 20), (
            f"{name} took {report['peak'] >> 20} MiB"
        )
        assert report["seconds"] < 30, f"{name} took {report['seconds']:.0f} s"


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_nothing_is_executed(tmp_path: Path) -> None:
    files = {}
    for number, (name, config) in enumerate(bad_files.code(tmp_path)):
        files[name] = bad_files.write(tmp_path / f"{number}.keras", config)
    check(audited(tmp_path, files), files)
    assert not (tmp_path / "executed").exists()


def test_nothing_is_as_large_as_it_says(tmp_path: Path) -> None:
    files = {}
    for number, (name, config) in enumerate(bad_files.sizes()):
        files[name] = bad_files.write(tmp_path / f"{number}.keras", config)
    check(audited(tmp_path, files), files)


def test_weights_are_in_the_file_and_nowhere_else(tmp_path: Path) -> None:
    files = {}
    for number, (name, h5) in enumerate(bad_files.hdf5(tmp_path)):
        files[name] = bad_files.write(tmp_path / f"{number}.keras", h5=h5)
    check(audited(tmp_path, files), files)


def test_archives(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in bad_files.archives(tmp_path)}
    check(audited(tmp_path, files), files)


@pytest.mark.long
@pytest.mark.parametrize(
    "attack",
    [
        bad_others.keras2_code, bad_others.keras2_sizes, bad_others.keras2_places, bad_others.npz_files,
        bad_others.safetensors_files, bad_others.onnx_files, pytorch_files,
    ],
)  # fmt: skip
def test_other_formats(attack: Any, tmp_path: Path) -> None:
    """The same of whole models of Keras 2, NumPy's archives, safetensors, PyTorch's files and ONNX."""
    endings = {"keras2": ".h5", "npz": ".npz", "safetensors": ".safetensors", "pytorch": ".pth"}
    ending = endings.get(attack.__name__.split("_")[0])
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    files = {}
    for number, (name, content) in enumerate(attack(tmp_path)):
        if ending is None:
            files[name] = bad_others.write_onnx(tmp_path, number, content)
        else:
            files[name] = tmp_path / f"{number}{ending}"
            files[name].write_bytes(content)
    check(audited(tmp_path, files), files)
    assert not (tmp_path / "executed").exists()


# -- in this process, with the text that is shown ------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        (bad_files.sequential(bad_files.layer("Lambda", function={"class_name": "__lambda__", "config": {}})),
         ModelFileError, "contains the code of a lambda, which is never run"),
        (bad_files.sequential(bad_files.dense(activation=bad_files.function("os", "system"))),
         UnknownObjectError, "uses 'system', which Hornbeam does not know"),
        (bad_files.sequential(bad_files.dense(600_000_000)),
         ModelFileError,
         r"shape \(4, 600000000\) needs 9600000000 bytes, more than the weights of the file allow"),
        (bad_files.sequential(bad_files.dense("many")), ModelFileError, "cannot be built"),
        (bad_files.sequential(bad_files.dense(float("inf"))), ModelFileError, "cannot be built"),
        (bad_files.sequential(bad_files.dense(-3)), ModelFileError, "cannot be built"),
        (bad_files.sequential(bad_files.dense(), "text"), ModelFileError, "cannot be built"),
        (bad_files.layer("Dense", units=3), ModelFileError, "contains a Dense, not a model"),
        ({}, ModelFileError, "contains a dict, not a model"),
        ({"module": "keras", "class_name": "Sequential", "config": {"layers": []}}, ModelFileError, "shapes"),
    ],
)  # fmt: skip
def test_messages(tmp_path: Path, config: Any, error: type[Exception], text: str) -> None:
    path = bad_files.write(tmp_path / "bad.keras", config)
    with pytest.raises(error, match=text):
        hb.models.load_model(path)


def test_safe_mode_cannot_be_turned_off(tmp_path: Path) -> None:
    path = bad_files.write(tmp_path / "good.keras")
    assert hb.models.load_model(path, safe_mode=True).layers
    for off in (False, None, 0, "False", []):
        with pytest.raises(ValueError, match="no code from a file is ever run"):
            hb.models.load_model(path, safe_mode=off)
        with pytest.raises(ValueError):
            hb.saving.deserialize_keras_object(bad_files.GOOD, safe_mode=off)
    # A switch inside the file is not one.
    config = {
        **bad_files.GOOD,
        "safe_mode": False,
        "config": {**bad_files.GOOD["config"], "safe_mode": False},
    }
    config["config"]["layers"] = [
        *config["config"]["layers"],
        bad_files.layer(
            "Lambda",
            function={"class_name": "__lambda__", "config": {"value": ["", None, None]}},
            safe_mode=False,
        ),
    ]
    with pytest.raises(ModelFileError, match="never run"):
        hb.models.load_model(bad_files.write(tmp_path / "bad.keras", config))


def test_names_never_become_paths(tmp_path: Path) -> None:
    """Neither those of members nor those of layers: nothing is extracted, weights are found by classes."""
    inside = tmp_path / "inside"
    inside.mkdir()
    config = bad_files.sequential(bad_files.dense(3, name="../../evil"))
    with pytest.raises(ModelFileError, match="without '/'"):
        hb.models.load_model(bad_files.write(inside / "names.keras", config))
    path = bad_files.write(inside / "members.keras")
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../evil", "/tmp/hornbeam-evil", "assets/../../evil", "layers\\..\\evil"):
            archive.writestr(name, "x")
        link = zipfile.ZipInfo("assets/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
    hb.models.load_model(path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["inside", "members.keras", "names.keras"]


def test_weights_files_alone(tmp_path: Path) -> None:
    """`.weights.h5` files are read by the same rules, and leave the model as it was."""
    model = hb.Sequential([hb.Input((4,)), layers.Dense(3)])
    before = model.get_weights()
    for name, h5 in bad_files.hdf5(tmp_path):
        path = tmp_path / "bad.weights.h5"
        path.write_bytes(h5)
        with pytest.raises(ModelFileError):
            model.load_weights(path)
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new, err_msg=name)


def test_honest_files_fit_into_the_limits(tmp_path: Path) -> None:
    """Deep, wide, nested and unrolled models as users build them."""
    x = y = hb.Input((16,))
    for _ in range(150):
        y = layers.Add()([y, layers.Dense(16, activation="relu")(y)])
    deep = hb.Model(x, y)
    unrolled = hb.Sequential([hb.Input((300, 2)), layers.LSTM(3, unroll=True)])
    nested: Any = hb.Sequential([hb.Input((8,)), layers.Dense(8)])
    for _ in range(10):
        nested = hb.Sequential([hb.Input((8,)), nested, layers.Dense(8)])
    wide = hb.Sequential([hb.Input((1000,)), layers.Dense(8000), layers.Dense(1, activation="sigmoid")])
    image = hb.Sequential([hb.Input((64, 64, 3)), layers.Resizing(512, 512), layers.Conv2D(2, 3)])
    for model in (deep, unrolled, nested, wide, image):
        model.save(tmp_path / "model.keras")
        again = hb.models.load_model(tmp_path / "model.keras")
        assert again.count_params() == model.count_params()
    assert wide.count_params() * 4 < SLACK_BYTES
