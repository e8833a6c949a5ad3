"""MNIST: 70,000 handwritten digits, inside the package. No network is needed.

Yann LeCun, Corinna Cortes, Christopher J.C. Burges; CC BY-SA 3.0, see mnist.LICENSE in this folder.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.errors import CorruptFileError

__all__ = ["load_data"]

Split = tuple[np.ndarray, np.ndarray]

ARCHIVE = Path(__file__).with_name("mnist.npz")
SHA256 = "dac525553ce2316097581408028355f71b7d26ffedc9ec9574a4dab200c34c3f"


def load_data(path: str = "mnist.npz") -> tuple[Split, Split]:
    """Load the digits. The data are bundled, and their SHA-256 is verified on every load.

    Args:
        path: Path of an .npz file with x_train, y_train, x_test and y_test to load instead; any other value
            means the bundled file.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: images uint8 (60000, 28, 28) and (10000, 28, 28), 0 for paper
        and 255 for ink; labels uint8 (60000,) and (10000,).

    Raises:
        CorruptFileError: If the bundled file was changed.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = hornbeam.datasets.mnist.load_data()
        >>> x_train.shape, y_train[:3].tolist()
        ((60000, 28, 28), [5, 0, 4])
    """
    if Path(path).is_file():
        with np.load(path, allow_pickle=False) as data:
            return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])
    content = ARCHIVE.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise CorruptFileError(f"{ARCHIVE} does not have the expected SHA-256: reinstall Hornbeam")
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        return _unpack(data, "train"), _unpack(data, "test")


def _unpack(data: Mapping[str, np.ndarray], part: str) -> Split:
    """Restore images from a bit mask of nonzero pixels and the values of those."""
    bits = np.unpackbits(data[f"x_{part}_ink"])
    images = np.zeros(bits.shape, np.uint8)
    images[bits.view(bool)] = data[f"x_{part}_values"]
    return images.reshape(-1, 28, 28), data[f"y_{part}"]


explain_missing(__name__)
