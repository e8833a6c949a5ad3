"""MNIST: 70,000 handwritten digits, inside the package. No network is needed.

Yann LeCun, Corinna Cortes, Christopher J.C. Burges; CC BY-SA 3.0, see mnist.LICENSE beside this file.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.datasets.files import CorruptFileError

Split = tuple[np.ndarray, np.ndarray]

ARCHIVE = Path(__file__).with_name("mnist.npz")
SHA256 = "dac525553ce2316097581408028355f71b7d26ffedc9ec9574a4dab200c34c3f"


def load_data(path: str = "mnist.npz") -> tuple[Split, Split]:
    """The digits, as `(x_train, y_train), (x_test, y_test)`.

    Images are uint8 of shape (60000, 28, 28) and (10000, 28, 28), 0 for paper and 255 for ink; labels are
    uint8 of shape (60000,) and (10000,). The data is bundled and its SHA-256 is checked on every load.

    path: kept for Keras's signature. A path to an .npz file of your own with x_train, y_train, x_test and
    y_test is read instead; any other value means the bundled file.

    Raises CorruptFileError if the bundled file was changed.

    >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.mnist.load_data()
    >>> x_train.shape, y_train[:3].tolist()
    ((60000, 28, 28), [5, 0, 4])
    """
    if Path(path).is_file():
        with np.load(path, allow_pickle=False) as data:
            return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])
    content = ARCHIVE.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise CorruptFileError(
            f"{ARCHIVE} does not have the SHA-256 it was made with: install Hornbeam again"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        return _split(data, "train"), _split(data, "test")


def _split(data: Any, part: str) -> Split:
    """The archive holds which pixels have ink, as bits, and the values of those; all others are 0."""
    bits = np.unpackbits(data[f"x_{part}_ink"])
    images = np.zeros(bits.shape, np.uint8)
    images[bits.view(bool)] = data[f"x_{part}_values"]
    return images.reshape(-1, 28, 28), data[f"y_{part}"]
