"""Preprocessing and class names of ImageNet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import ArrayLike
from hornbeam.applications.building import cache_path
from hornbeam.config import floatx, standard_data_format
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Images
from hornbeam.datasets.files import get_file
from hornbeam.ir.types import is_float

__all__ = [
    "decode_predictions",
    "preprocess_input",
]

# Mean and standard deviation of ImageNet's training images: red, green, blue.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red, from 0 to 255

CLASS_INDEX = "imagenet_class_index.json"
CLASS_INDEX_ADDRESS = f"https://storage.googleapis.com/download.tensorflow.org/data/{CLASS_INDEX}"
CLASS_INDEX_MD5 = "c2c37ea517e94d9795004a39431a14cb"


def preprocess_input(x: Images, data_format: str | None = None, mode: str = "caffe") -> Images:
    """Preprocess images with values from 0 to 255 as a network was trained on them.

    Args:
        x: Image or batch of images, RGB, as an array or a tensor (also a symbolic one).
        data_format: "channels_last" or "channels_first"; the configured one if None.
        mode: "tf": x / 127.5 - 1. "torch": x / 255, standardized by mean and standard deviation of each
            channel of ImageNet. "caffe": BGR, minus the mean of each channel.

    Returns:
        A new array, or a tensor for a tensor.

    Raises:
        ValueError: For an unknown mode or data format, or an image without three channels.

    Example:
        >>> image = np.full((1, 1, 3), 255.0)
        >>> hornbeam.applications.imagenet_utils.preprocess_input(image, mode="tf").tolist()
        [[[1.0, 1.0, 1.0]]]
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f'mode must be "caffe", "tf" or "torch", got {mode!r}')
    axis = -1 if standard_data_format(data_format) == "channels_last" else -3
    tensor: Tensor = x if isinstance(x, Tensor) else as_tensor(np.asarray(x))
    if not is_float(tensor.dtype):
        tensor = ops.cast(tensor, floatx())
    if mode != "tf" and (len(tensor.shape) not in (3, 4) or tensor.shape[axis] != 3):
        raise ValueError(f"images need three channels at axis {axis}, got shape {tuple(tensor.shape)}")
    scaled = _scale(tensor, mode, axis)
    result: Any = scaled if isinstance(x, Tensor) else np.array(scaled)
    return result


def _scale(x: Tensor, mode: str, axis: int) -> Tensor:
    def by_channel(values: Sequence[float]) -> Tensor:
        shape = (3,) if axis == -1 else (3, 1, 1)
        return ops.reshape(ops.array(values, dtype=x.dtype), shape)

    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "torch":
        return (x / 255.0 - by_channel(MEAN)) / by_channel(DEVIATION)
    return ops.flip(x, axis=axis) - by_channel(_CAFFE_MEAN)


def decode_predictions(preds: ArrayLike, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the most probable classes of each prediction, best first.

    The names are in a file of Keras's cache, which is downloaded on first use.

    Args:
        preds: Predictions of ImageNet's classes (samples, 1000).
        top: Number of classes.

    Returns:
        A list (WordNet id, name, score) of each sample's classes.

    Raises:
        ValueError: For another shape.
        DownloadError: If the file of names has to be downloaded and the network is not available.

    Example:
        >>> decode_predictions(model.predict(image), top=3)  # doctest: +SKIP
    """
    array = np.asarray(preds)
    if array.ndim != 2 or array.shape[1] != 1000:
        raise ValueError(f"predictions of ImageNet's classes have shape (samples, 1000), got {array.shape}")
    path = cache_path(CLASS_INDEX)
    if not path.is_file():  # a file of the user's own has other names
        get_file(CLASS_INDEX, CLASS_INDEX_ADDRESS, cache_subdir="models", file_hash=CLASS_INDEX_MD5)
    names = json.loads(path.read_text())
    best = np.argsort(-array, axis=1, kind="stable")[:, :top]
    return [
        [(*names[str(index)], row[index]) for index in classes]
        for row, classes in zip(array, best, strict=True)
    ]


explain_missing(__name__)
