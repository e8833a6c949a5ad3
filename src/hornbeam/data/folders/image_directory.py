"""`image_dataset_from_directory`: folders of pictures as a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_int
from hornbeam.config import standard_data_format
from hornbeam.data.folders.file_listing import Wanted, only_ours
from hornbeam.data.folders.image_decoding import PictureFile
from hornbeam.data.folders.resizing import METHODS, resized
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.utils.images import center_box

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Pictures in `directory`, a folder for each class, as a Dataset of batches (pictures, labels).

    Pictures are float32 (batch, height, width, channels) from 0 to 255. labels: "inferred" from the folders'
    names, None, or a class number for each file, sorted by path. label_mode: "int" (int32, (batch,)),
    "categorical" (one-hot rows), "binary" (0.0 or 1.0, (batch, 1)), or None for pictures alone. class_names:
    the folders to take, in the order of their numbers. color_mode: "grayscale", "rgb" or "rgba". batch_size:
    None for single pictures. image_size: (height, width). crop_to_aspect_ratio, pad_to_aspect_ratio: cut or
    fill up to the wanted shape first, so that nothing is distorted. validation_split, subset: the fraction of
    files that is held out, and which part is wanted: "training", "validation", or "both" for a list of two.
    The Dataset's `class_names` and `file_paths` tell what was found.

    The order of files, their labels and the split are Keras's for the same seed; every pass is shuffled anew,
    over all files. A file that is no picture is left out and named in a warning, as long as there are not
    more than one in ten of them. Needs the extra `image` (Pillow).

    >>> train, validation = hornbeam.utils.image_dataset_from_directory(
    ...     "flowers", image_size=(180, 180), validation_split=0.2, subset="both", seed=1
    ... )  # doctest: +SKIP
    """
    only_ours(format)
    size = _size(image_size)
    if interpolation.lower() not in METHODS:
        hint = nearest(interpolation, METHODS)
        raise ValueError(f"interpolation must be one of {', '.join(METHODS)}, got {interpolation!r}.{hint}")
    if color_mode not in ("grayscale", "rgb", "rgba"):
        raise ValueError(f'color_mode must be "grayscale", "rgb" or "rgba", got {color_mode!r}')
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")
    fit = _cropped if crop_to_aspect_ratio else _padded if pad_to_aspect_ratio else resized
    first = standard_data_format(data_format) == "channels_first"

    def read(path: str) -> np.ndarray:
        picture = fit(_pixels(path, color_mode), size, interpolation.lower())
        return np.ascontiguousarray(picture.transpose(2, 0, 1)) if first else picture

    def finish(dataset: Dataset) -> Dataset:
        return (dataset if batch_size is None else dataset.batch(batch_size)).prefetch(AUTOTUNE)

    wanted = Wanted(
        directory,
        labels,
        label_mode,
        class_names,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
    )
    return wanted.datasets(ENDINGS, read, finish, skipping=True)


def _size(image_size: Any) -> tuple[int, int]:
    sizes = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sizes) != 2:
        raise ValueError(f"image_size must be (height, width), got {image_size!r}")
    return check_int("the height", sizes[0], minimum=1), check_int("the width", sizes[1], minimum=1)


def _pixels(path: str, color_mode: str) -> np.ndarray:
    """The picture in a file: uint8 (height, width, channels), as it lies there and without its alpha."""
    with PictureFile(path, upright=False) as file:
        pixels = np.asarray(file.pixels(color_mode, deep=False))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _cropped(picture: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    left, top, right, bottom = center_box(picture.shape[1], picture.shape[0], size[1], size[0])
    return resized(picture[top:bottom, left:right], size, method)


def _padded(picture: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    height, width, channels = picture.shape
    ratio = max(width / size[1], height / size[0])
    inner = max(int(height / ratio), 1), max(int(width / ratio), 1)
    made = resized(picture, inner, method)
    framed = np.zeros((*size, channels), made.dtype)
    top, left = int((size[0] - height / ratio) / 2), int((size[1] - width / ratio) / 2)
    framed[top : top + inner[0], left : left + inner[1]] = made
    return framed
