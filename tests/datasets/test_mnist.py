"""The bundled MNIST: every pixel is the original's, and a changed file is noticed."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
import pytest

from hornbeam.datasets import mnist
from hornbeam.errors import CorruptFileError

# SHA-256 of the bytes behind the headers of the four original files.
ORIGINAL = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    (x_train, y_train), (x_test, y_test) = mnist.load_data()
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def test_shapes_and_dtypes(data: dict[str, np.ndarray]) -> None:
    assert {name: array.shape for name, array in data.items()} == {
        "x_train": (60000, 28, 28),
        "y_train": (60000,),
        "x_test": (10000, 28, 28),
        "y_test": (10000,),
    }
    assert {array.dtype for array in data.values()} == {np.dtype("uint8")}
    assert data["y_train"][:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(data["y_test"]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("name", ORIGINAL)
def test_every_byte_is_the_originals(data: dict[str, np.ndarray], name: str) -> None:
    assert hashlib.sha256(data[name].tobytes()).hexdigest() == ORIGINAL[name]


def test_budgets() -> None:
    assert mnist.ARCHIVE.stat().st_size < 11e6
    start = time.process_time()
    mnist.load_data()
    assert time.process_time() - start < 0.5


def test_licence_names_the_authors() -> None:
    text = mnist.ARCHIVE.with_name("mnist.LICENSE").read_text()
    for words in ("Yann LeCun", "Corinna Cortes", "Christopher J.C. Burges", "CC BY-SA 3.0"):
        assert words in text


def test_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(mnist.ARCHIVE.read_bytes())
    content[5_000_000] ^= 1
    changed = tmp_path / "changed"
    changed.write_bytes(content)
    monkeypatch.setattr(mnist, "ARCHIVE", changed)
    with pytest.raises(CorruptFileError, match="SHA-256"):
        mnist.load_data()


def test_a_file_of_your_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=np.ones(3), y_train=np.zeros(3), x_test=np.ones(2), y_test=np.zeros(2))
    (x_train, _), (_, y_test) = mnist.load_data(str(path))
    assert x_train.tolist() == [1, 1, 1]
    assert y_test.tolist() == [0, 0]
