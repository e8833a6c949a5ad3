"""Write tests/data/keras_folders.npz: the folders of `make_folders` as read by real Keras.

Needs TensorFlow and Keras 3.15.1:

    python tools/expected_folders.py
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
    """Return the results of Keras as arrays by name."""
    import keras

    arrays: dict[str, Any] = {}
    read_images = keras.utils.image_dataset_from_directory

    def concatenated(dataset: Any) -> list[np.ndarray]:
        batches = [b if isinstance(b, tuple) else (b,) for b in dataset.as_numpy_iterator()]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def resized(shape: tuple[int, int], **settings: Any) -> np.ndarray:
        return concatenated(read_images(root, image_size=shape, shuffle=False, verbose=False, **settings))[0][
            :6
        ]

    for method in METHODS:
        arrays[f"up/{method}"] = resized((13, 11), interpolation=method)
        arrays[f"down/{method}"] = resized((3, 5), interpolation=method)
    for name, settings in FITS.items():
        arrays[f"fit/{name}"] = resized((8, 10), **settings)
    for name, settings in ORDERS.items():
        dataset = read_images(root, image_size=(2, 2), verbose=False, **settings)
        arrays[f"paths/{name}"] = [str(Path(path).relative_to(root)) for path in dataset.file_paths]
        arrays[f"classes/{name}"] = dataset.class_names or []
        if settings.get("labels", 0) is not None and not settings.get("seed"):
            arrays[f"labels/{name}"] = concatenated(dataset)[1]
    texts = keras.utils.text_dataset_from_directory(root, shuffle=False, max_length=6, verbose=False)
    arrays["texts"] = concatenated(texts)[0].astype("S")
    sounds = keras.utils.audio_dataset_from_directory(root, shuffle=False, verbose=False)
    arrays["sounds"] = concatenated(sounds)[0]
    cut = keras.utils.audio_dataset_from_directory(
        root, shuffle=False, verbose=False, output_sequence_length=9
    )
    arrays["sounds/9"] = concatenated(cut)[0]
    series, targets = np.arange(60.0).reshape(30, 2), np.arange(30) * 10
    for name, settings in WINDOWS.items():
        windows = keras.utils.timeseries_dataset_from_array(series, targets, **settings)
        batches = list(windows.as_numpy_iterator())
        for part in (0, 1):
            arrays[f"windows/{name}/{part}"] = batches[0][part]
            arrays[f"windows/{name}/{part}/last"] = batches[-1][part]
        arrays[f"windows/{name}/number"] = len(batches)
    left, right = keras.utils.split_dataset((np.arange(20), np.arange(20) * 2), 0.7, shuffle=True, seed=5)
    arrays["split/left"], arrays["split/right"] = (
        np.array([x for x, _ in part.as_numpy_iterator()]) for part in (left, right)
    )
    return arrays


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        make_folders(Path(folder))
        np.savez_compressed(EXPECTED, **record(Path(folder)))
