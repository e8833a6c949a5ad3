"""Images as ImageNet's networks take them, and the names of what they answer."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.applications.building import cached
from hornbeam.config import floatx, standard_data_format
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import is_float

# Of ImageNet's training images, red, green and blue.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # blue, green, red, of 0 to 255

CLASS_INDEX = "imagenet_class_index.json"


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Images with values from 0 to 255 as a network was trained on them.

    x: one image or a batch, as an array or a tensor (also a symbolic one); a new one is returned. mode:
    "tf": x / 127.5 - 1. "torch": x / 255, then zero mean and unit variance for each channel, of ImageNet.
    "caffe": blue, green, red, less the mean of each. data_format: where the channels are, by default the
    global setting.

    Raises ValueError for an unknown mode or data format, or an image without three channels.

    >>> hornbeam.applications.imagenet_utils.preprocess_input(np.full((1, 1, 3), 255.0), mode="tf").tolist()
    [[[1.0, 1.0, 1.0]]]
    """
    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f'mode must be "caffe", "tf" or "torch", got {mode!r}')
    axis = -1 if standard_data_format(data_format) == "channels_last" else -3
    tensor = x if isinstance(x, Tensor) else as_tensor(np.asarray(x))
    if not is_float(tensor.dtype):
        tensor = ops.cast(tensor, floatx())
    if mode != "tf" and (len(tensor.shape) not in (3, 4) or tensor.shape[axis] != 3):
        raise ValueError(f"images need three channels at axis {axis}, got shape {tuple(tensor.shape)}")
    made = _scaled(tensor, mode, axis)
    return made if isinstance(x, Tensor) else np.array(made)


def _scaled(x: Any, mode: str, axis: int) -> Any:
    def along(values: Any) -> Any:
        shape = (3,) if axis == -1 else (3, 1, 1)
        return ops.reshape(ops.array(values, dtype=x.dtype), shape)

    if mode == "tf":
        return x / 127.5 - 1.0
    if mode == "torch":
        return (x / 255.0 - along(MEAN)) / along(DEVIATION)
    return ops.flip(x, axis=axis) - along(_CAFFE_MEAN)


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The `top` classes of each row of predictions: (WordNet's number, name, score), best first.

    preds: (samples, 1000). The names stand in a file of Keras's cache, which Keras downloads when it first
    needs it. Raises ValueError for another shape, FileNotFoundError that says which file is missing.

    >>> decode_predictions(model.predict(image), top=3)  # doctest: +SKIP
    """
    array = np.asarray(preds)
    if array.ndim != 2 or array.shape[1] != 1000:
        raise ValueError(f"predictions of ImageNet's classes have shape (samples, 1000), got {array.shape}")
    place = cached(CLASS_INDEX)
    if not place.is_file():
        raise FileNotFoundError(
            f"the names of ImageNet's classes are not on this machine: save {CLASS_INDEX} (the file that "
            f'Keras uses, {{"0": ["n01440764", "tench"], ...}}) as {place}'
        )
    names = json.loads(place.read_text())
    best = np.argsort(-array, axis=1, kind="stable")[:, :top]
    return [
        [(*names[str(index)], row[index]) for index in chosen]
        for row, chosen in zip(array, best, strict=True)
    ]
