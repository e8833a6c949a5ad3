"""`images_from_folder`: images of any sizes from a folder, resized by a policy that reports its effect."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.data.folders.file_listing import LABEL_MODES, LabeledFiles, encode_labels, list_files_below
from hornbeam.data.folders.image_decoding import ENDINGS, Header, decode_error, read_header
from hornbeam.data.folders.image_labels import find_labeled_files
from hornbeam.data.folders.image_loader import (
    ImageBatches,
    ImageFiles,
    LoaderConfig,
    UnreadableFiles,
    list_reasons,
)
from hornbeam.data.folders.resize_plan import assign_buckets, describe_resizing, describe_sizes
from hornbeam.data.pipeline.dataset import Dataset
from hornbeam.data.pipeline.prefetch import map_ordered_chunked
from hornbeam.data.splits.split import NAMES, Split, permutation_function, split_indices, split_sizes
from hornbeam.distribution.processes import print_once
from hornbeam.random import make_default_seed


@overload
def images_from_folder(
    directory: str | os.PathLike[str], size: int | Sequence[int] | None = ..., resize: str = ..., *,
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = ..., label_mode: str | None = ...,
    class_names: Sequence[str] | None = ..., validation: None = ..., test: None = ...,
    batch_size: int | None = ..., shuffle: bool = ..., seed: int | None = ..., color_mode: str = ...,
    dtype: str = ..., fill: int | Sequence[int] = ..., interpolation: str = ..., draft: bool = ...,
    sizes: int = ..., cache: bool = ..., max_bad: float = ..., workers: int | None = ...,
    data_format: str | None = ..., follow_links: bool = ..., verbose: bool = ...,
) -> Dataset: ...  # fmt: skip


@overload
def images_from_folder(
    directory: str | os.PathLike[str], size: int | Sequence[int] | None = ..., resize: str = ..., *,
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = ..., label_mode: str | None = ...,
    class_names: Sequence[str] | None = ..., validation: float | None = ..., test: float | None = ...,
    batch_size: int | None = ..., shuffle: bool = ..., seed: int | None = ..., color_mode: str = ...,
    dtype: str = ..., fill: int | Sequence[int] = ..., interpolation: str = ..., draft: bool = ...,
    sizes: int = ..., cache: bool = ..., max_bad: float = ..., workers: int | None = ...,
    data_format: str | None = ..., follow_links: bool = ..., verbose: bool = ...,
) -> Split: ...  # fmt: skip


def images_from_folder(
    directory: str | os.PathLike[str],
    size: int | Sequence[int] | None = None,
    resize: str = "pad",
    *,
    labels: str | os.PathLike[str] | Mapping[str, Any] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    validation: float | int | None = None,
    test: float | int | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    color_mode: str = "rgb",
    dtype: str = "float32",
    fill: int | Sequence[int] = 0,
    interpolation: str = "bilinear",
    draft: bool = True,
    sizes: int = 8,
    cache: bool = False,
    max_bad: float = 0.05,
    workers: int | None = None,
    data_format: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Dataset | Split:
    """Load the images in a folder as a Dataset of batches (images, labels), or a Split of such Datasets.

    PNG, JPEG, GIF, BMP, WebP and TIFF are read: rotated as EXIF says, grayscale and color, transparent ones
    on a background of `fill`, 16-bit grayscale with its fractions. Images are (batch, height, width,
    channels) of `dtype`, from 0 to 255. Batches do not depend on the number of workers.

    Files that cannot be read are skipped and named with the reason: those without a valid header in the
    report (without one, in a warning), those damaged inside in a warning after the first pass. The Dataset's
    `bad_files` has all of them. The Dataset's
    `file_paths` and `class_names` name the others; `data.find_duplicates` accepts the Datasets. The effect of
    `resize` is printed, and in the Dataset's `report`. Needs the extra `image` (Pillow).

    Args:
        directory: Folder with the images.
        size: (height, width), or a number for both; None if all images have one size.
        resize: Policy for images of another shape. "pad": shrink until the complete image fits, pad with
            `fill`. "crop": crop the largest box of the target's shape from the middle. "random_crop": crop
            it at a position that is drawn anew every pass, in training data; from the middle in other data.
            "stretch": distort. "bucket": batches of similar sizes, at most `sizes` different ones, with
            about as many pixels as `size` has (None: as the images have), for models with global pooling
            and Input((None, None, 3)).
        labels: "inferred": the folders in `directory` are the classes. Or a table from path (relative to
            `directory`) to label, as a dict or a .csv file with these two columns: strings are classes,
            integers class indices, other numbers targets; files that it does not name are skipped. Or None.
        label_mode: "int" (int32), "categorical" (one-hot rows), "binary" (0.0 or 1.0 in a column), or None
            for images alone.
        class_names: Names of the classes, in the order of their numbers.
        validation: Fraction or number of images for validation, with every class in proportion. With
            `validation` or `test` the result is a `data.Split`.
        test: Fraction or number of images for the test set.
        batch_size: Number of images in a batch; None for single images.
        shuffle: Whether training data have a new order in every pass.
        seed: Seed of the split (None counts as 0) and of the orders of all passes.
        color_mode: "rgb", "rgba" or "grayscale".
        dtype: "float32" or "uint8".
        fill: Value from 0 to 255 for padding and behind transparent pixels, or one for each channel.
        interpolation: "bilinear", "nearest", "box", "hamming", "bicubic" or "lanczos"; all but "nearest"
            average over as many pixels as shrinking needs.
        draft: Whether JPEG's decoder first shrinks much larger images by 2, 4 or 8, and the native engine
            resizes, to within 1 of 255, which is faster. False: as `PIL.Image.resize` of the complete
            image, pixel for pixel.
        sizes: Maximum number of sizes for resize="bucket".
        cache: Whether to cache decoded images in memory, with a byte a value (16-bit grayscale: four); the
            report states the total. From the second pass on no file is read. Not for "random_crop", whose
            crops differ between passes.
        max_bad: Fraction of files that may be unreadable.
        workers: Number of threads that decode and resize; None for one a processor, 0 for none.
        data_format: "channels_last" or "channels_first"; the configured one if None.
        follow_links: Whether to follow symbolic links to folders.
        verbose: Whether to print the report.

    Returns:
        A Dataset, or a Split with `train`, `validation` and `test`.

    Raises:
        FileNotFoundError: If `directory` does not exist.
        ValueError: If an argument is invalid, no image is found, or more than `max_bad` of the files cannot
            be read.

    Example:
        >>> train, validation, test = hornbeam.data.images_from_folder(
        ...     "flowers", size=180, resize="crop", validation=0.1, test=0.1
        ... )  # doctest: +SKIP
    """
    folder = _Folder(
        root=os.fspath(directory),
        size=None if size is None else _check_size(size),
        max_buckets=check_int("sizes", sizes, minimum=1),
        labels=labels,
        label_mode=label_mode,
        class_names=class_names,
        follow_links=follow_links,
        batch_size=None if batch_size is None else check_int("batch_size", batch_size, minimum=1),
        shuffle=shuffle,
        seed=make_default_seed() if seed is None else seed,
        workers=None if workers is None else check_int("workers", workers, minimum=0),
        cache=cache,
        unreadable=UnreadableFiles(max_bad),
        config=LoaderConfig.checked(resize, color_mode, dtype, fill, interpolation, draft, data_format),
    )
    folder.check()
    folder.scan()
    if validation or test:
        loaded: Dataset | Split = folder.split(validation, test, seed or 0)
    else:
        loaded = folder.dataset(np.arange(len(folder.files.paths)), training=True)
    if verbose:
        print_once(folder.report)
    elif folder.bad:
        warn_user(folder.bad)
    return loaded


@dataclass
class _Folder:
    """Settings of `images_from_folder`, and the files that `scan` finds with their target sizes."""

    root: str
    size: tuple[int, int] | None  # (width, height)
    max_buckets: int
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    follow_links: bool
    batch_size: int | None
    shuffle: bool
    seed: int
    workers: int | None
    cache: bool
    unreadable: UnreadableFiles
    config: LoaderConfig

    def check(self) -> None:
        """Raise ValueError for invalid or conflicting settings."""
        if self.label_mode not in LABEL_MODES:
            raise ValueError(f"label_mode must be one of {LABEL_MODES}, got {self.label_mode!r}")
        if not 0 <= self.unreadable.max_fraction <= 1:
            raise ValueError(f"max_bad must be a fraction from 0 to 1, got {self.unreadable.max_fraction!r}")
        if self.cache and self.config.policy == "random_crop":
            raise ValueError('resize="random_crop" has other crops in every pass: omit cache')

    def scan(self) -> None:
        """List the files, read their headers, and determine target sizes and the report."""
        files = find_labeled_files(
            self.root, self.labels, self.label_mode, self.class_names, self.follow_links
        )
        self.files, headers = _read_headers(files, self.unreadable, self.root)
        image_sizes = np.array([(h.width, h.height) for h in headers], np.int64)
        self.target_sizes = self._target_sizes(image_sizes)
        reasons = self.unreadable.reasons
        noun, verb = ("file", "is") if len(reasons) == 1 else ("files", "are")
        heading = f"{len(reasons):,} {noun} cannot be read and {verb} omitted"
        self.bad = list_reasons(heading, reasons) if reasons else ""
        self.lines = [
            _count_classes(self.files, self.root) + _other_files(self.root, self.labels),
            *([self.bad] if self.bad else []),
            *_report_sizes(self.config.policy, image_sizes, self.target_sizes, headers),
        ]
        self.cache_dtype: str | None = None
        if self.cache:
            deep = self.config.dtype == "float32" and any(h.kind == "16 bit" for h in headers)
            self.cache_dtype = "float32" if deep else "uint8"
            values = int(self.target_sizes.prod(axis=1).sum()) * self.config.channels
            megabytes = values * np.dtype(self.cache_dtype).itemsize / 1e6
            self.lines.append(f"cached in memory after decoding: {megabytes:,.0f} MB")

    def _target_sizes(self, image_sizes: np.ndarray) -> np.ndarray:
        if self.config.policy == "bucket":
            return assign_buckets(image_sizes, self.size, self.max_buckets)
        size = self.size
        if size is None:
            distinct = np.unique(image_sizes, axis=0)
            if len(distinct) > 1:
                sizes = describe_sizes(image_sizes, {"in all": len(image_sizes)})
                raise ValueError(
                    f"the images have {len(distinct):,} sizes, {sizes}: set size=(height, width), or "
                    'resize="bucket" for batches of similar sizes'
                )
            size = int(distinct[0][0]), int(distinct[0][1])
        return np.tile(np.array(size, np.int64), (len(image_sizes), 1))

    @property
    def report(self) -> str:
        return "\n".join(self.lines)

    def dataset(self, rows: np.ndarray, training: bool) -> Dataset:
        """Return a Dataset of some of the files."""
        part = self.files.take(rows)
        config = self.config
        if config.policy == "random_crop" and not training:
            config = config._replace(policy="crop")
        labels = encode_labels(part.labels, part.class_names, self.label_mode)
        dataset = Dataset(
            ImageBatches(
                ImageFiles(part.paths, labels, self.target_sizes[rows]),
                config,
                self.batch_size,
                self.shuffle and training,
                self.seed,
                self.workers,
                self.unreadable,
                self.cache_dtype,
            )
        )
        dataset.file_paths, dataset.bad_files, dataset.report = (
            part.paths,
            self.unreadable.reasons,
            self.report,
        )
        if part.class_names is not None:
            dataset.class_names = part.class_names
        return dataset

    def split(self, validation: float | int | None, test: float | int | None, seed: int) -> Split:
        """Return training, validation and test Datasets, every class in proportion."""
        count = len(self.files.paths)
        classes = None if self.files.class_names is None else self.files.labels
        parts = split_indices(
            count, split_sizes(count, validation, test), classes, permutation_function(seed)
        )
        rows = dict(zip(NAMES, parts, strict=True))
        shown = ", ".join(f"{len(part):,} {name}" for name, part in rows.items() if len(part))
        method = f"drawn by seed {seed}" + ("" if classes is None else ", stratified")
        self.lines.append(f"{count:,} images: {shown}; {method}")
        datasets = {
            name: self.dataset(part, name == "train") if len(part) else None for name, part in rows.items()
        }
        return Split(**datasets, rows=rows, summary=self.lines[-1])


def _check_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Return (width, height) for (height, width) or a number."""
    sides = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"size must be (height, width) or a number, got {size!r}")
    return check_int("the width", sides[1], minimum=1), check_int("the height", sides[0], minimum=1)


def _read_headers(
    files: LabeledFiles, unreadable: UnreadableFiles, root: str
) -> tuple[LabeledFiles, list[Header]]:
    """Return the files with a valid header, and these; the others are added to `unreadable`."""
    headers, valid = [], []
    # Threads help because reading headers waits for the disk.
    for row, header in enumerate(map_ordered_chunked(_read_header, files.paths, 4, 32)):
        if isinstance(header, str):
            unreadable.reasons[files.paths[row]] = header
        else:
            headers.append(header)
            valid.append(row)
    unreadable.check(unreadable.reasons, len(files.paths))
    if not valid:
        raise ValueError(
            list_reasons(
                f"none of the {len(files.paths):,} images in {root!r} can be read", unreadable.reasons
            )
        )
    return files.take(np.array(valid)), headers


def _read_header(path: str) -> Header | str:
    """Return the header, or the reason why it cannot be read."""
    try:
        return read_header(path)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # decoders raise arbitrary errors for damaged files
        return decode_error(error)


# -- report ------------------------------------------------------------------------------------------------


def _count_classes(files: LabeledFiles, root: str) -> str:
    text = f"{len(files.paths):,} images in {root}"
    if files.class_names is None or files.labels is None:
        return text
    counts = np.bincount(files.labels, minlength=len(files.class_names))
    shown = [f"{name} {count:,}" for name, count in zip(files.class_names, counts, strict=True)]
    more = f", ... ({len(shown)} classes)" if len(shown) > 10 else ""
    return f"{text}: {', '.join(shown[:10])}{more}"


def _other_files(root: str, labels: Any) -> str:
    """Count files of other types: a format that is not supported, such as HEIC, may be among them."""
    if labels is not None and not (isinstance(labels, str) and labels == "inferred"):
        return ""
    names = (Path(path).name for path in list_files_below(root, ("",), False))
    kinds = Counter(
        Path(name).suffix.lower() or "without an extension"
        for name in names
        if not name.startswith(".") and not name.lower().endswith(ENDINGS)
    )
    if not kinds:
        return ""
    shown = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common(5))
    return f" (and {kinds.total():,} files of other types, ignored: {shown})"


def _report_sizes(
    policy: str, image_sizes: np.ndarray, target_sizes: np.ndarray, headers: list[Header]
) -> list[str]:
    distinct, times = np.unique(target_sizes, axis=0, return_counts=True)
    target = f"{distinct[0][0]} x {distinct[0][1]}"
    if len(distinct) > 1:
        shown = [f"{w} x {h} ({n:,})" for (w, h), n in zip(distinct.tolist(), times.tolist(), strict=True)]
        target = f"{len(distinct)} sizes: {', '.join(shown)}"
    return [
        f"sizes (width x height): {describe_sizes(image_sizes, Counter(h.kind for h in headers))}",
        f'resize="{policy}" to {target}: {describe_resizing(policy, image_sizes, target_sizes)}',
    ]
