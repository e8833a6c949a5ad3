"""Batches of `ImageDataGenerator`: from arrays, from folders and from frames that name files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.data.folders.file_listing import list_files_below
from hornbeam.data.pipeline.py_dataset import PyDataset
from hornbeam.random import make_default_seed
from hornbeam.utils.images import array_to_img, img_to_array, load_img

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.preprocessing.generator import ImageDataGenerator

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
_CHANNELS = {"grayscale": 1, "rgb": 3, "rgba": 4}
_CLASS_MODES = ("categorical", "binary", "sparse", "input", "raw", None)


class BatchOptions(NamedTuple):
    """Size, order and seed of batches, and folder (None for none), prefix and format of images to write."""

    batch_size: int
    shuffle: bool
    seed: int | None
    folder: str | None
    prefix: str
    format: str


class ReadOptions(NamedTuple):
    """Size (height, width), colors and resizing of images that are read from files."""

    target_size: tuple[int, int]
    color_mode: str
    interpolation: str
    keep_aspect_ratio: bool


class Flow(PyDataset):
    """Images in batches: `flow[i]`, `len(flow)` for a pass, `next(flow)` without end.

    Random draws depend on the seed, the pass and the index of the batch, so the number of workers does not
    matter.
    """

    def __init__(self, generator: ImageDataGenerator, n: int, options: BatchOptions) -> None:
        super().__init__()
        if options.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {options.batch_size}")
        self.generator, self.n, self._options = generator, n, options
        self.batch_size, self.shuffle = options.batch_size, options.shuffle
        self.seed = make_default_seed() if options.seed is None else options.seed
        self._passes = 0
        self._next = 0

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, index: int) -> Tree:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} is out of bounds: the flow has {len(self)} batches")
        return self._nth_batch(self._passes * len(self) + index)

    def on_epoch_end(self) -> None:
        """Start a new pass, with another order and other draws."""
        self._passes += 1

    def reset(self) -> None:
        """Restart `next(flow)` with the first batch."""
        self._next = 0

    def __iter__(self) -> Flow:
        return self

    def __next__(self) -> Tree:
        self._next += 1
        return self._nth_batch(self._next - 1)

    next = __next__

    def _nth_batch(self, number: int) -> Any:
        """Return batch `number`, counted through all passes."""
        index = number % len(self)
        rng = np.random.RandomState(self.seed + number)
        if not self.shuffle:
            order = np.arange(self.n)
        else:  # the first batch of a pass draws the order before its images
            first = rng if index == 0 else np.random.RandomState(self.seed + number - index)
            order = first.permutation(self.n)
        rows = order[index * self.batch_size : (index + 1) * self.batch_size]
        x = np.stack([self._augment(self._image(row), rng) for row in rows])
        self._save(x, rows, number)
        return self._batch(x, rows)

    def _augment(self, image: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        parameters = self.generator.get_random_transform(image.shape, rng)
        return self.generator.standardize(self.generator.apply_transform(image, parameters))

    def _save(self, x: np.ndarray, rows: np.ndarray, number: int) -> None:
        options = self._options
        if options.folder:
            for pixels, row in zip(x, rows, strict=True):
                image = array_to_img(pixels, data_format=self.generator.data_format)
                image.save(Path(options.folder) / f"{options.prefix}_{row}_{number}.{options.format}")

    def _image(self, row: int) -> np.ndarray:
        raise NotImplementedError

    def _batch(self, x: np.ndarray, rows: np.ndarray) -> Any:
        raise NotImplementedError


class ArrayFlow(Flow):
    """Batches of images in memory. x: images, or a list of them and of further arrays."""

    def __init__(
        self, generator: ImageDataGenerator, x: Tree, y: Tree, sample_weight: Tree, options: BatchOptions
    ) -> None:
        images, others = x, []
        if isinstance(x, (list, tuple)):
            images, further = x
            others = [np.asarray(part) for part in (further if isinstance(further, list) else [further])]
        self.x = np.asarray(images, generator.dtype)
        self.others = others
        self.y = None if y is None else np.asarray(y)
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)
        if self.x.ndim != 4:
            raise ValueError(f"flow() takes images (n, height, width, channels), got shape {self.x.shape}")
        for name, part in (("y", self.y), ("sample_weight", self.sample_weight), *(("x", o) for o in others)):
            if part is not None and len(part) != len(self.x):
                raise ValueError(f"{name} must have {len(self.x)} items, one for each image, got {len(part)}")
        super().__init__(generator, len(self.x), options)

    def select_subset(self, subset: str, ignore_class_split: bool) -> ArrayFlow:
        """Return the flow of the first images for "validation", of the others for "training"."""
        start, stop = (int(self.n * fraction) for fraction in self.generator._subset_range(subset))
        rows = slice(start, stop if subset == "validation" else None)
        held_out = int(self.n * self.generator.validation_split)
        if self.y is not None and not ignore_class_split:
            classes = [np.unique(part).tolist() for part in (self.y[:held_out], self.y[held_out:])]
            if classes[0] != classes[1]:
                raise ValueError(
                    "the training and validation subsets have different classes: shuffle the data first, or "
                    "pass ignore_class_split=True"
                )
        x = self.x[rows] if not self.others else [self.x[rows], [part[rows] for part in self.others]]
        y, weight = (None if part is None else part[rows] for part in (self.y, self.sample_weight))
        return ArrayFlow(self.generator, x, y, weight, self._options._replace(seed=self.seed))

    def _image(self, row: int) -> np.ndarray:
        return self.x[row]

    def _batch(self, x: np.ndarray, rows: np.ndarray) -> Any:
        inputs: Any = [x, *(part[rows] for part in self.others)] if self.others else x
        if self.y is None:
            return inputs
        if self.sample_weight is None:
            return inputs, self.y[rows]
        return inputs, self.y[rows], self.sample_weight[rows]


class LabeledFiles(NamedTuple):
    """Image files: names in `directory`, their targets, class indices by name, and sample weights."""

    directory: str
    names: list[str]
    targets: Tree
    class_indices: dict[str, int]
    weights: np.ndarray | None = None


class FileFlow(Flow):
    """Batches of images that are read from files."""

    def __init__(
        self,
        generator: ImageDataGenerator,
        files: LabeledFiles,
        reading: ReadOptions,
        class_mode: str | None,
        options: BatchOptions,
    ) -> None:
        if class_mode not in _CLASS_MODES:
            raise ValueError(f"class_mode must be one of {_CLASS_MODES}, got {class_mode!r}")
        if reading.color_mode not in _CHANNELS:
            raise ValueError(f"color_mode must be one of {tuple(_CHANNELS)}, got {reading.color_mode!r}")
        if not files.names:
            raise ValueError(f"no images ({', '.join(ENDINGS)}) in {files.directory!r}")
        self.target_size, self.color_mode, self.interpolation, self.keep_aspect_ratio = reading
        self.class_mode = class_mode
        self.directory, self.filenames, self.class_indices = files.directory, files.names, files.class_indices
        self.filepaths = [os.path.join(files.directory, name) for name in files.names]
        self.classes = self.labels = files.targets
        self.sample_weight = files.weights
        self.samples, self.num_classes = len(files.names), len(files.class_indices)
        channels = (_CHANNELS[self.color_mode],)
        channels_first = generator.data_format == "channels_first"
        self.image_shape = (
            (*channels, *self.target_size) if channels_first else (*self.target_size, *channels)
        )
        super().__init__(generator, self.samples, options)
        print(f"Found {self.samples} images belonging to {self.num_classes} classes.")

    def _image(self, row: int) -> np.ndarray:
        image = load_img(
            self.filepaths[row], self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio
        )
        return img_to_array(image, data_format=self.generator.data_format, dtype=self.generator.dtype)

    def _batch(self, x: np.ndarray, rows: np.ndarray) -> Any:
        if self.class_mode is None:
            return x
        y = x.copy() if self.class_mode == "input" else self._targets(rows)
        return (x, y) if self.sample_weight is None else (x, y, self.sample_weight[rows])

    def _targets(self, rows: np.ndarray) -> np.ndarray:
        if self.class_mode != "categorical":
            targets = self.classes[rows]
            return targets if self.class_mode == "raw" else targets.astype(self.generator.dtype)
        one_hot = np.zeros((len(rows), self.num_classes), self.generator.dtype)
        for row, number in enumerate(rows):
            one_hot[row, self.classes[number]] = 1  # one class, or a list of them
        return one_hot


def list_class_files(
    directory: str | os.PathLike[str],
    classes: Sequence[str] | None,
    subset_range: tuple[float, float],
    follow_links: bool,
) -> LabeledFiles:
    """List the images in the subfolders of `directory`, of each those between two fractions."""
    root = os.fspath(directory)
    if not os.path.isdir(root):
        raise FileNotFoundError(f"folder {root!r} does not exist")
    folders = list(classes) if classes else sorted(e.name for e in os.scandir(root) if e.is_dir())
    names: list[str] = []
    targets: list[int] = []
    for number, folder in enumerate(folders):
        paths = list_files_below(os.path.join(root, folder), ENDINGS, follow_links)
        selected = paths[int(subset_range[0] * len(paths)) : int(subset_range[1] * len(paths))]
        names += [os.path.relpath(path, root) for path in selected]
        targets += [number] * len(selected)
    class_indices = {name: number for number, name in enumerate(folders)}
    return LabeledFiles(root, names, np.array(targets, np.int32), class_indices)


def list_frame_files(
    frame: Any,
    directory: str | os.PathLike[str] | None,
    x_col: str,
    y_col: Any,
    weight_col: str | None,
    classes: Sequence[str] | None,
    class_mode: str | None,
    subset_range: tuple[float, float],
    validate: bool,
) -> LabeledFiles:
    """List the images that a frame names, with their targets and weights."""
    root = os.fspath(directory or "")
    names = [str(name) for name in frame[x_col].to_list()]
    rows = list(range(len(names)))
    if validate:
        rows = [
            i
            for i in rows
            if names[i].lower().endswith(ENDINGS) and os.path.isfile(os.path.join(root, names[i]))
        ]
        if len(rows) < len(names):
            first = next(name for i, name in enumerate(names) if i not in set(rows))
            warn_user(f"{len(names) - len(rows)} invalid files of column {x_col!r} are skipped: {first!r}")
    class_indices: dict[str, int] = {}
    targets: Any = None
    if class_mode == "raw":
        columns = [y_col] if isinstance(y_col, str) else list(y_col)
        table = np.stack([np.asarray(frame[column].to_list()) for column in columns], axis=1)
        targets = table[:, 0] if isinstance(y_col, str) else table
    elif class_mode in ("categorical", "binary", "sparse"):
        labels = [each if isinstance(each, (list, tuple)) else [each] for each in frame[y_col].to_list()]
        class_names = (
            list(dict.fromkeys(classes)) if classes else sorted({name for row in labels for name in row})
        )
        class_indices = {name: number for number, name in enumerate(class_names)}
        rows = [i for i in rows if any(name in class_indices for name in labels[i])]
        numbers = [[class_indices[name] for name in row if name in class_indices] for row in labels]
        single = all(len(row) == 1 for row in numbers)
        targets = (
            np.array([row[0] for row in numbers], np.int32) if single else np.array(numbers, dtype=object)
        )
    rows = rows[int(subset_range[0] * len(rows)) : int(subset_range[1] * len(rows))]
    weights = None if weight_col is None else np.asarray(frame[weight_col].to_list(), float)[rows]
    selected_targets = None if targets is None else targets[rows]
    return LabeledFiles(root, [names[i] for i in rows], selected_targets, class_indices, weights)
