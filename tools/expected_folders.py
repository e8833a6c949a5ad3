"""Writes keras_folders.npz: what real Keras makes of the folders that `make_folders` writes.

Run with TensorFlow and Keras 3.15.1 installed: python tools/expected_folders.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.media_folders import FITS, METHODS, ORDERS, WINDOWS, make_folders
from tests.helpers.paths import ROOT

EXPECTED = ROOT / "tests" / "data" / "keras_folders.npz"


def record(root: Path) -> dict[str, Any]:
    """What Keras gives, as arrays by name."""
    import keras

    found: dict[str, Any] = {}
    pictures = keras.utils.image_dataset_from_directory

    def whole(dataset: Any) -> list[np.ndarray]:
        batches = [b if isinstance(b, tuple) else (b,) for b in dataset.as_numpy_iterator()]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def size(shape: tuple[int, int], **settings: Any) -> np.ndarray:
        return whole(pictures(root, image_size=shape, shuffle=False, verbose=False, **settings))[0][:6]

    for method in METHODS:
        found[f"up/{method}"] = size((13, 11), interpolation=method)
        found[f"down/{method}"] = size((3, 5), interpolation=method)
    for name, settings in FITS.items():
        found[f"fit/{name}"] = size((8, 10), **settings)
    for name, settings in ORDERS.items():
        made = pictures(root, image_size=(2, 2), verbose=False, **settings)
        found[f"paths/{name}"] = [str(Path(path).relative_to(root)) for path in made.file_paths]
        found[f"classes/{name}"] = made.class_names or []
        if settings.get("labels", 0) is not None and not settings.get("seed"):
            found[f"labels/{name}"] = whole(made)[1]
    texts = keras.utils.text_dataset_from_directory(root, shuffle=False, max_length=6, verbose=False)
    found["texts"] = whole(texts)[0].astype("S")
    sounds = keras.utils.audio_dataset_from_directory(root, shuffle=False, verbose=False)
    found["sounds"] = whole(sounds)[0]
    cut = keras.utils.audio_dataset_from_directory(
        root, shuffle=False, verbose=False, output_sequence_length=9
    )
    found["sounds/9"] = whole(cut)[0]
    series, targets = np.arange(60.0).reshape(30, 2), np.arange(30) * 10
    for name, settings in WINDOWS.items():
        made = keras.utils.timeseries_dataset_from_array(series, targets, **settings)
        batches = list(made.as_numpy_iterator())
        for part in (0, 1):
            found[f"windows/{name}/{part}"] = batches[0][part]
            found[f"windows/{name}/{part}/last"] = batches[-1][part]
        found[f"windows/{name}/number"] = len(batches)
    left, right = keras.utils.split_dataset((np.arange(20), np.arange(20) * 2), 0.7, shuffle=True, seed=5)
    found["split/left"], found["split/right"] = (
        np.array([x for x, _ in part.as_numpy_iterator()]) for part in (left, right)
    )
    return found


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        make_folders(Path(folder))
        np.savez_compressed(EXPECTED, **record(Path(folder)))
