"""`find_duplicates`: samples with the same values, bytes or pixels, and near-duplicate images."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, TypeAlias, Union

import numpy as np

from hornbeam import _native
from hornbeam._internal.typing import ArrayLike
from hornbeam.core.tensor import Tensor
from hornbeam.data.folders.file_listing import list_files_below
from hornbeam.data.folders.image_decoding import ENDINGS, ImageFile, decode_error
from hornbeam.data.inspection.duplicate_groups import Duplicates, Member, first_of_each, group_members
from hornbeam.data.inspection.image_hashing import (
    BLOCK,
    DISTANCE,
    MIN_CORRELATION,
    concatenate_hashes,
    hash_images,
    near_duplicate_pairs,
)
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.prefetch import map_ordered_chunked
from hornbeam.utils.images import resampling_filter

# One part of the data: samples in an array, or files by folder, by path or of a Dataset.
Part: TypeAlias = Union[
    "ArrayLike", Tensor, str, "os.PathLike[str]", Sequence["str | os.PathLike[str]"], "Dataset"
]

# Smaller images are compared only on request: two digits of MNIST are often as similar as two copies of a
# photo.
_MIN_SIDE = 32
# Files that are processed at a time.
_CHUNK = 32
# Files are compared at this size: eight times the points of the hash.
_THUMBNAIL = (72, 64)


def find_duplicates(
    data: Part | Mapping[str, Part],
    near: bool | None = None,
    distance: int = DISTANCE,
    min_correlation: float = MIN_CORRELATION,
) -> Duplicates:
    """Find duplicate samples within and across parts of the data.

    Samples of arrays are exact duplicates if all their values are equal (NaN equals NaN, 0.0 equals -0.0),
    files if their bytes are equal; with `near` also if their pixels are, in any format. Files need the extra
    `image` (Pillow).

    Args:
        data: Array whose first axis is the samples; folder of images, list of paths, or Dataset with
            `file_paths`; or a dict of any of these, e.g. {"train": x_train, "test": x_test}.
        near: Whether to find near-duplicate images too (resized, recompressed, brightened): in files, and in
            arrays (n, height, width) or (n, height, width, 1, 3 or 4) of at least 8 x 8. None: of at least
            32 x 32.
        distance: Maximum number of 64 bits in which the hashes of near-duplicates differ.
        min_correlation: Minimum correlation of the thumbnails of near-duplicates.

    Returns:
        `Duplicates`, which prints as a report.

    Raises:
        TypeError: For data of another type.
        ValueError: For parts of different types or shapes.

    Example:
        >>> x = np.array([[1, 2], [3, 4], [1, 2]])
        >>> duplicates = hornbeam.data.find_duplicates(x)
        >>> print(duplicates.groups[0].kind, *duplicates.groups[0].members)
        exact row 0 row 2
    """
    parts = data if isinstance(data, Mapping) else {"": data}
    if not 0 <= distance <= 63 or not 0 < min_correlation <= 1:
        raise ValueError(
            "distance must be 0 to 63 bits and min_correlation above 0 and at most 1, got "
            f"distance={distance}, min_correlation={min_correlation}"
        )
    files = {name: paths for name, part in parts.items() if (paths := _paths_of(part)) is not None}
    if len(files) == len(parts):
        return duplicate_files(files, near is not False, distance, min_correlation)
    if files:
        raise ValueError(f"parts must be all files or all arrays, but {', '.join(files)} are files")
    return duplicate_rows(parts, near, distance, min_correlation)


def _paths_of(part: Any) -> list[str] | None:
    """Return the paths of the files of a part, None for other parts."""
    if hasattr(part, "file_paths"):
        return list(part.file_paths)
    if isinstance(part, (str, os.PathLike)):
        root = os.fspath(part)
        if not os.path.isdir(root):
            raise FileNotFoundError(f"folder {root!r} does not exist")
        return list_files_below(root, ENDINGS, False)
    if isinstance(part, (list, tuple)) and part and all(isinstance(p, (str, os.PathLike)) for p in part):
        return [os.fspath(path) for path in part]
    return None


# -- arrays ------------------------------------------------------------------------------------------------


def duplicate_rows(
    parts: Mapping[str, Any],
    near: bool | None = None,
    distance: int = DISTANCE,
    min_correlation: float = MIN_CORRELATION,
) -> Duplicates:
    """Find duplicates in arrays by the names of their parts, with samples of one shape."""
    arrays = {name: _as_array(part, name) for name, part in parts.items()}
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"samples must have one shape in all parts, got {shapes}")
    shape = next(iter(shapes.values()))
    images = _is_image_shape(shape, 8 if near else _MIN_SIDE)
    if near and not images:
        raise ValueError(
            "near-duplicates are found among images (n, height, width[, 1, 3 or 4]) of at least 8 x 8, got "
            f"samples of shape {shape}: omit near"
        )
    members = [Member(name, row) for name, array in arrays.items() for row in range(len(array))]
    dtype = np.result_type(*arrays.values())
    keys: dict[bytes, list[int]] = defaultdict(list)
    hashes, number = [], 0
    for array in arrays.values():
        for start in range(0, len(array), BLOCK):
            rows = _canonical(array[start : start + BLOCK], dtype)
            for row in rows.reshape(len(rows), -1).view(np.uint8).reshape(len(rows), -1):
                keys[hashlib.blake2b(row.data, digest_size=16).digest()].append(number)
                number += 1
            if near is not False and images:
                hashes.append(hash_images(rows))
    exact = [group for group in keys.values() if len(group) > 1]
    pairs: list[tuple[int, int]] = []
    if hashes:
        firsts = np.flatnonzero(first_of_each(exact, number))
        pairs = near_duplicate_pairs(concatenate_hashes(hashes), firsts, distance, min_correlation)
    return Duplicates(group_members(members, exact, pairs), number)


def _as_array(part: Any, name: str) -> np.ndarray:
    array = part.numpy() if isinstance(part, Tensor) else np.asarray(part)
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        label = f"part {name!r}" if name else "data"
        raise TypeError(
            f"{label} must be an array of numbers with a first axis of samples, a folder or a list of paths, "
            f"got {type(part).__name__} of dtype {array.dtype} and shape {array.shape}"
        )
    return array


def _canonical(rows: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Convert rows so that equal values have equal bytes."""
    rows = np.ascontiguousarray(rows, dtype)
    if dtype.kind == "f":
        rows = rows + dtype.type(0)  # -0.0 becomes 0.0
        rows[np.isnan(rows)] = np.nan
    return rows


def _is_image_shape(shape: Sequence[int], min_side: int) -> bool:
    sized = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    return sized and min(shape[:2]) >= min_side


# -- files -------------------------------------------------------------------------------------------------


def duplicate_files(
    parts: Mapping[str, Sequence[str]],
    near: bool = True,
    distance: int = DISTANCE,
    min_correlation: float = MIN_CORRELATION,
    workers: int | None = None,
) -> Duplicates:
    """Find duplicates in files by the names of their parts.

    A file that is not an image is still compared by its bytes. workers: number of threads, None for one a
    processor.
    """
    members = [Member(name, row, path) for name, paths in parts.items() for row, path in enumerate(paths)]
    paths = [str(member.path) for member in members]
    keys: dict[bytes, list[int]] = defaultdict(list)
    thumbnails, hashes, hashed, unreadable = [], [], [], {}
    hash_file = functools.partial(_hash_file, near=near)
    results = map_ordered_chunked(hash_file, paths, workers or _native.available_cpus(), _CHUNK)
    for number, (key, thumbnail, reason) in enumerate(results):
        if key is not None:
            keys[key].append(number)
        if thumbnail is not None:
            thumbnails.append(thumbnail)
            hashed.append(number)
        if reason:
            unreadable[paths[number]] = reason
        if len(thumbnails) == _CHUNK or (thumbnails and number == len(members) - 1):
            hashes.append(hash_images(np.stack(thumbnails)))
            thumbnails = []
    exact = [group for group in keys.values() if len(group) > 1]
    pairs: list[tuple[int, int]] = []
    if hashes:
        firsts = np.flatnonzero(first_of_each(exact, len(members))[hashed])
        near_pairs = near_duplicate_pairs(concatenate_hashes(hashes), firsts, distance, min_correlation)
        pairs = [(hashed[a], hashed[b]) for a, b in near_pairs]
        exact += _equal_pixels(paths, pairs)
    return Duplicates(group_members(members, exact, pairs), len(members), unreadable)


def _hash_file(path: str, near: bool) -> tuple[bytes | None, np.ndarray | None, str]:
    """Return the digest of a file, its thumbnail, and the reason why one is missing."""
    try:
        with open(path, "rb") as file:
            key = _digest(file)
        if not near:
            return key, None, ""
    except OSError as error:
        return None, None, decode_error(error)
    try:
        with ImageFile(path) as image_file:
            image = image_file.decode("rgb", _THUMBNAIL, (0, 0, 0), keep_16_bits=False)
        return key, np.asarray(image.resize(_THUMBNAIL, resampling_filter("box"))), ""
    except Exception as error:  # decoders raise arbitrary errors
        return key, None, decode_error(error)


def _digest(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.digest()


def _equal_pixels(paths: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Return groups of near-duplicate files whose pixels are all equal."""
    keys: dict[tuple[Any, bytes], list[int]] = defaultdict(list)
    for number in sorted({number for pair in pairs for number in pair}):
        with ImageFile(paths[number]) as file:
            pixels = np.asarray(file.decode("rgba"))
        keys[pixels.shape, hashlib.blake2b(pixels.tobytes()).digest()].append(number)
    return [group for group in keys.values() if len(group) > 1]
