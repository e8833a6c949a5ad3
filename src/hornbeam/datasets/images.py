"""Images to download: Fashion-MNIST, CIFAR-10, CIFAR-100."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from hornbeam.config import image_data_format
from hornbeam.datasets.files import get_file
from hornbeam.datasets.pickles import load_pickle
from hornbeam.errors import CorruptFileError

Split = tuple[np.ndarray, np.ndarray]

GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
TORONTO = "https://www.cs.toronto.edu/~kriz/"

_FASHION = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}


def load_fashion_mnist() -> tuple[Split, Split]:
    """Load images uint8 (60000, 28, 28) and (10000, 28, 28) of clothes, labels uint8 from 0 to 9."""
    paths = {
        name: get_file(name, GOOGLE + name, cache_subdir="datasets/fashion-mnist", file_hash=md5)
        for name, md5 in _FASHION.items()
    }

    def read(prefix: str) -> Split:
        images = _read_idx(paths[f"{prefix}-images-idx3-ubyte.gz"], 16)
        labels = _read_idx(paths[f"{prefix}-labels-idx1-ubyte.gz"], 8)
        return images.reshape(len(labels), 28, 28), labels

    return read("train"), read("t10k")


def _read_idx(path: str, header: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def load_cifar10() -> tuple[Split, Split]:
    """Load images uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3), labels uint8 (n, 1) from 0 to 9."""
    folder = _download_cifar(
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    )
    batches = [_read_batch(folder / f"data_batch_{number}", b"labels") for number in range(1, 6)]
    train = np.concatenate([x for x, _ in batches]), np.concatenate([y for _, y in batches])
    return train, _read_batch(folder / "test_batch", b"labels")


def load_cifar100(label_mode: str) -> tuple[Split, Split]:
    """Load images as in CIFAR-10; labels uint8 (n, 1), 0 to 99 ("fine") or 0 to 19 ("coarse")."""
    if label_mode not in ("fine", "coarse"):
        raise ValueError(f"label_mode must be 'fine' or 'coarse', got {label_mode!r}")
    folder = _download_cifar(
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    )
    key = f"{label_mode}_labels".encode()
    return _read_batch(folder / "train", key), _read_batch(folder / "test", key)


def _download_cifar(name: str, archive: str, sha256: str) -> Path:
    return Path(get_file(f"{name}-target", TORONTO + archive, extract=True, file_hash=sha256)) / name


def _read_batch(path: Path, key: bytes) -> Split:
    content = load_pickle(path)
    if not isinstance(content, dict) or key not in content or b"data" not in content:
        raise CorruptFileError(f"{path} is not a batch of CIFAR: it lacks {key.decode()!r} or 'data'")
    images = np.asarray(content[b"data"], np.uint8).reshape(-1, 3, 32, 32)
    if image_data_format() == "channels_last":
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return images, np.asarray(content[key], np.uint8).reshape(-1, 1)
