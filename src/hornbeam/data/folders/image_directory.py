"""`image_dataset_from_directory`: folders of images as a Dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_int
from hornbeam.config import standard_data_format
from hornbeam.data.folders.file_listing import FileFilter, check_format
from hornbeam.data.folders.image_decoding import ImageFile
from hornbeam.data.folders.resizing import METHODS, resize
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.utils.images import center_box

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | Sequence[int] = (256, 256),
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
) -> Dataset | list[Dataset]:
    """Load the images in a folder, with a subfolder for each class, as a Dataset of batches (images, labels).

    Images are float32 (batch, height, width, channels) from 0 to 255. The Dataset has the attributes
    `class_names` and `file_paths`. The order of files, their labels and the split are Keras's for the same
    seed; every pass is shuffled anew, over all files. Files that are not images are skipped and named in a
    warning, up to one in ten. Needs the extra `image` (Pillow).

    Args:
        directory: Folder with the images.
        labels: "inferred" from the names of the subfolders, None, or a class index for each file, in the
            order of sorted paths.
        label_mode: "int" (int32, (batch,)), "categorical" (one-hot rows), "binary" (0.0 or 1.0, (batch, 1)),
            or None for images alone.
        class_names: Subfolders to read, in the order of their class indices; all, sorted, if None.
        color_mode: "grayscale", "rgb" or "rgba".
        batch_size: Number of images in a batch; None for single images.
        image_size: (height, width), or a number for both.
        shuffle: Whether every pass has a new order.
        seed: Seed of the order and the split.
        validation_split: Fraction of the files that is held out for validation.
        subset: "training", "validation", or "both" for a list of two Datasets.
        interpolation: Resizing method: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5",
            "gaussian" or "mitchellcubic".
        follow_links: Whether to follow symbolic links to folders.
        crop_to_aspect_ratio: Whether to crop images to the aspect ratio of `image_size` instead of
            distorting them.
        pad_to_aspect_ratio: Whether to pad images to the aspect ratio of `image_size` instead of distorting
            them.
        data_format: "channels_last" or "channels_first"; the configured one if None.
        format: "tf", for a hornbeam.data.Dataset.
        verbose: Whether to print the number of files and classes.

    Returns:
        A Dataset, or a list of two for subset="both".

    Raises:
        FileNotFoundError: If `directory` does not exist.
        ValueError: If an argument is invalid or no image is found.

    Example:
        >>> train, validation = hornbeam.utils.image_dataset_from_directory(
        ...     "flowers", image_size=(180, 180), validation_split=0.2, subset="both", seed=1
        ... )  # doctest: +SKIP
    """
    check_format(format)
    size = _check_size(image_size)
    if interpolation.lower() not in METHODS:
        hint = nearest(interpolation, METHODS)
        raise ValueError(f"interpolation must be one of {', '.join(METHODS)}, got {interpolation!r}.{hint}")
    if color_mode not in ("grayscale", "rgb", "rgba"):
        raise ValueError(f'color_mode must be "grayscale", "rgb" or "rgba", got {color_mode!r}')
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")
    fit = _crop_and_resize if crop_to_aspect_ratio else _resize_and_pad if pad_to_aspect_ratio else resize
    channels_first = standard_data_format(data_format) == "channels_first"

    def read(path: str) -> np.ndarray:
        image = fit(_read_pixels(path, color_mode), size, interpolation.lower())
        return np.ascontiguousarray(image.transpose(2, 0, 1)) if channels_first else image

    def finish(dataset: Dataset) -> Dataset:
        return (dataset if batch_size is None else dataset.batch(batch_size)).prefetch(AUTOTUNE)

    return FileFilter(
        directory, labels, label_mode, class_names, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    ).load(ENDINGS, read, finish, skip_unreadable=True)  # fmt: skip


def _check_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    sizes = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sizes) != 2:
        raise ValueError(f"image_size must be (height, width), got {image_size!r}")
    return check_int("the height", sizes[0], minimum=1), check_int("the width", sizes[1], minimum=1)


def _read_pixels(path: str, color_mode: str) -> np.ndarray:
    """Read an image as uint8 (height, width, channels), without rotation and without its alpha."""
    with ImageFile(path, upright=False) as file:
        pixels = np.asarray(file.decode(color_mode, keep_16_bits=False))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def _crop_and_resize(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    left, top, right, bottom = center_box(image.shape[1], image.shape[0], size[1], size[0])
    return resize(image[top:bottom, left:right], size, method)


def _resize_and_pad(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    height, width, channels = image.shape
    ratio = max(width / size[1], height / size[0])
    inner = max(int(height / ratio), 1), max(int(width / ratio), 1)
    resized = resize(image, inner, method)
    padded = np.zeros((*size, channels), resized.dtype)
    top, left = int((size[0] - height / ratio) / 2), int((size[1] - width / ratio) / 2)
    padded[top : top + inner[0], left : left + inner[1]] = resized
    return padded
