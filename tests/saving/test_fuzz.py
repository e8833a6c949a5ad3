"""Damaged and mutated files are refused with a clear error, or loaded: never a crash or a hang."""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import ModelFileError, UnknownObjectError
from tests.helpers.paths import TOOLS

few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Models that are built although their config was changed may warn, as any model may.
pytestmark = pytest.mark.filterwarnings("ignore")

CONTENT = st.sampled_from(
    [
        None, True, -1, 0, 1, 3.5, 10**9, 10**18, -(10**30), 1e308, float("inf"), float("nan"), "", "x",
        "Dense",
        "../../x", "relu", "float99", [], {}, [None], [1, 2, 3], [[]], {"class_name": "Dense", "config": {}},
        {"class_name": "__tensor__", "config": {"value": [1], "dtype": "float32"}},
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small file with an optimizer's state, batch statistics and an operation."""
    x = hb.Input((4,))
    h = layers.BatchNormalization()(layers.Dense(3, activation="relu")(x))
    model = hb.Model(x, layers.Dense(2)(h + 1.0))
    model.compile("adam", "mse")
    model.train_on_batch(np.ones((2, 4), "float32"), np.ones((2, 2), "float32"))
    path = tmp_path_factory.mktemp("base") / "model.keras"
    model.save(path)
    return path.read_bytes()


def member(base: bytes, name: str) -> bytes:
    return zipfile.ZipFile(io.BytesIO(base)).read(name)


def rebuilt(base: bytes, **changed: bytes) -> bytes:
    """The archive with other members under right checksums, as an attacker would write it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, short in (
            ("metadata.json", "metadata"),
            ("config.json", "config"),
            ("model.weights.h5", "h5"),
        ):
            archive.writestr(name, changed.get(short, member(base, name)))
    return buffer.getvalue()


def attempt(folder: Path, content: bytes) -> str:
    path = folder / "model.keras"
    path.write_bytes(content)
    try:
        hb.models.load_model(path)
        return "loaded"
    except (ModelFileError, UnknownObjectError) as error:
        outcome, message = type(error).__name__, str(error)
    assert len(message) > 15
    return outcome


@st.composite
def edits(draw: st.DrawFn, most: int = 6) -> list[tuple[float, bytes, int]]:
    """(place as a share of the length, bytes to put there, how many bytes to take away)."""
    one = st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 3, b""]) | st.binary(max_size=8),
        st.sampled_from([0, 1, 2, 4, 8, 64, 512]),
    )
    return draw(st.lists(one, min_size=1, max_size=most))


def edited(data: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
    for index, new, gone in changes:
        at = int(index * len(data))
        data = data[:at] + new + data[at + gone :]
    return data


def test_the_base_is_good(tmp_path: Path, base: bytes) -> None:
    assert attempt(tmp_path, base) == attempt(tmp_path, rebuilt(base)) == "loaded"


@few
@given(st.floats(0, 1, exclude_max=True))
def test_truncated_files(tmp_path: Path, base: bytes, share: float) -> None:
    assert attempt(tmp_path, base[: int(share * len(base))]) == "ModelFileError"


@few
@given(edits())
def test_damaged_files(tmp_path: Path, base: bytes, changes: list) -> None:
    attempt(tmp_path, edited(base, changes))


@few
@given(edits())
def test_damaged_configs(tmp_path: Path, base: bytes, changes: list) -> None:
    attempt(tmp_path, rebuilt(base, config=edited(member(base, "config.json"), changes)))


@few
@given(st.data())
def test_other_values_in_configs(tmp_path: Path, base: bytes, data: st.DataObject) -> None:
    config = json.loads(member(base, "config.json"))
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(_places(config))
        container, key = places[data.draw(st.integers(0, len(places) - 1))]
        if data.draw(st.booleans()) or isinstance(container, list):
            container[key] = copy.deepcopy(data.draw(CONTENT))  # values are shared between draws
        else:
            del container[key]
    attempt(tmp_path, rebuilt(base, config=json.dumps(config).encode()))


def _places(value: Any) -> Any:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


FUZZ_HDF5 = """
import sys, numpy as np
import hornbeam as hb
from pathlib import Path
from hornbeam.errors import ModelFileError
model = hb.models.load_model(sys.argv[1])
before = model.get_weights()
for path in sys.argv[2:]:
    try:
        model.load_weights(path)
        model.set_weights(before)
    except ModelFileError:
        assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
print("done")
"""


def test_damaged_weights(tmp_path: Path, base: bytes) -> None:
    """In a process of its own: here a C library reads what others wrote."""
    (tmp_path / "base.keras").write_bytes(base)
    h5 = member(base, "model.weights.h5")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(400):
        data = bytearray(h5)
        for _ in range(rng.choice([1, 1, 2, 4, 16])):
            at, size = int(rng.integers(len(data))), int(rng.choice([1, 2, 4, 8]))
            data[at : at + size] = rng.choice([rng.bytes(size), b"\xff" * size, b"\0" * size])
        if rng.random() < 0.1:
            del data[int(rng.integers(len(data))) :]
        path = tmp_path / f"{number}.weights.h5"
        path.write_bytes(bytes(data))
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FUZZ_HDF5, str(tmp_path / "base.keras"), *paths],
        capture_output=True, text=True, timeout=300, env=dict(os.environ),
    )  # fmt: skip
    assert done.stdout.strip() == "done", done.stderr[-2000:]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 4))])
def test_ten_thousand_mutated_files_of_all_formats(part: int, tmp_path: Path) -> None:
    """Each part in a process of its own, which a crash or a hang ends."""
    program = [sys.executable, str(TOOLS / "fuzz_files.py"), "--keep", str(tmp_path)]
    done = subprocess.run(
        [*program, "--start", str(part * 2500), "--count", "2500"],
        capture_output=True, text=True, timeout=900, env={**os.environ, "HDF5_USE_FILE_LOCKING": "FALSE"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert done.stdout.count("{") == 3
