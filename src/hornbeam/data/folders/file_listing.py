"""Files of a folder as Datasets: listing, classes, split and reading."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hornbeam._internal.typing import Tree
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.pipeline.memory import stage_of
from hornbeam.data.pipeline.prefetch import resolve_workers
from hornbeam.data.pipeline.stages import Slices
from hornbeam.data.pipeline.transforms import IgnoreErrors, Map
from hornbeam.random import make_default_seed

LABEL_MODES = ("int", "categorical", "binary", None)
_SUBSETS = ("training", "validation", "both")


class LabeledFiles(NamedTuple):
    """Paths of files, a label for each (None without labels), and the names of the classes.

    Labels are class ids (int32), or targets (float32) of files without classes.
    """

    paths: list[str]
    labels: np.ndarray | None
    class_names: list[str] | None

    def take(self, rows: np.ndarray | slice) -> LabeledFiles:
        """Return the files at these positions."""
        paths = np.array(self.paths, dtype=object)[rows].tolist()
        return LabeledFiles(paths, None if self.labels is None else self.labels[rows], self.class_names)


class FileFilter(NamedTuple):
    """Selection of files and labels: the arguments that Keras's loaders of folders have in common."""

    directory: str | os.PathLike[str]
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    verbose: bool

    def load(
        self,
        endings: tuple[str, ...],
        read: Callable[[str], Any],
        finish: Callable[[Dataset], Dataset],
        skip_unreadable: bool = False,
    ) -> Dataset | list[Dataset]:
        """Return a Dataset of `read(path)` with labels, or two of them for subset="both".

        finish: function that batches. skip_unreadable: drop files that cannot be read, up to one in ten.
        """
        self.check()
        seed = make_default_seed() if self.seed is None else self.seed
        files = self.list_files(endings, seed)
        names = (self.subset,) if self.subset != "both" else ("training", "validation")
        datasets = [
            self._dataset(self._select_subset(files, name), name, read, finish, skip_unreadable, seed)
            for name in names
        ]
        return datasets if self.subset == "both" else datasets[0]

    def check(self) -> None:
        """Raise ValueError for invalid or conflicting arguments."""
        if (
            self.labels is not None
            and not isinstance(self.labels, (list, tuple))
            and self.labels != "inferred"
        ):
            raise ValueError(
                f'labels must be "inferred" (from the folders), None or a list of class indices, got '
                f"{self.labels!r:.60}"
            )
        if self.label_mode not in LABEL_MODES:
            raise ValueError(f"label_mode must be one of {LABEL_MODES}, got {self.label_mode!r}")
        if self.class_names and self.labels != "inferred":
            raise ValueError('class_names select folders for labels="inferred": omit them with other labels')
        split, subset = self.validation_split, self.subset
        if split and not 0 < split < 1:
            raise ValueError(f"validation_split must be between 0 and 1, got {split}")
        if bool(split) != bool(subset):
            raise ValueError("validation_split and subset must be given together")
        if subset is not None and subset not in _SUBSETS:
            raise ValueError(f"subset must be one of {_SUBSETS} or None, got {subset!r}")
        if split and self.shuffle and self.seed is None:
            raise ValueError("a shuffled split needs a seed, so that the subsets of two calls do not overlap")

    def list_files(self, endings: tuple[str, ...], seed: int) -> LabeledFiles:
        """Return all files with one of the endings, in the order in which they are split and read."""
        root = Path(self.directory)
        if not root.is_dir():
            raise FileNotFoundError(f"folder {os.fspath(self.directory)!r} does not exist")
        has_labels = self.labels is not None and self.label_mode is not None
        inferred = has_labels and self.labels == "inferred"
        folders = class_folders(root, self.class_names) if inferred else [""]
        paths_by_folder = [
            list_files_below(os.path.join(root, name), endings, self.follow_links) for name in folders
        ]
        paths = [path for part in paths_by_folder for path in part]
        labels, names = None, None
        if inferred:
            counts = [len(part) for part in paths_by_folder]
            labels = np.repeat(np.arange(len(folders), dtype=np.int32), counts)
            names = list(folders)
        elif has_labels:
            labels, names = self._listed_labels(paths)
        if self.label_mode == "binary" and names is not None and len(names) != 2:
            raise ValueError(f'label_mode="binary" needs two classes, got {len(names)}: {names}')
        if self.verbose:
            classes = "" if names is None else f" belonging to {len(names)} classes"
            print(f"Found {len(paths)} files{classes}.")
        files = LabeledFiles(paths, labels, names)
        if not self.shuffle:
            return files
        # Keras's order for the same seed.
        order = np.arange(len(paths))
        np.random.RandomState(seed).shuffle(order)
        return files.take(order)

    def _listed_labels(self, paths: list[str]) -> tuple[np.ndarray, list[str]]:
        if len(self.labels) != len(paths):
            raise ValueError(
                f"labels must have one entry for each of the {len(paths)} files in {self.directory}, got "
                f"{len(self.labels)}"
            )
        labels = np.asarray(self.labels)
        if labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be class indices, got {self.labels[0]!r}")
        return labels.astype(np.int32), [str(label) for label in sorted(set(self.labels))]

    def _select_subset(self, files: LabeledFiles, subset: str | None) -> LabeledFiles:
        """Return the files of a subset: the last ones are for validation."""
        if not self.validation_split:
            return files
        held_out = int(self.validation_split * len(files.paths))
        rows = slice(-held_out, None) if subset == "validation" else slice(None, -held_out)
        part = files.take(rows)
        if self.verbose:
            print(f"Using {len(part.paths)} files for {subset}.")
        return part

    def _dataset(
        self,
        files: LabeledFiles,
        subset: str | None,
        read: Callable[[str], Any],
        finish: Callable[[Dataset], Dataset],
        skip_unreadable: bool,
        seed: int,
    ) -> Dataset:
        if not files.paths:
            raise ValueError(f"no {subset + ' ' if subset else ''}files of this kind in {self.directory}")
        paths = np.array(files.paths, dtype=object)
        labels = encode_labels(files.labels, files.class_names, self.label_mode)
        rows = Dataset(Slices(paths if labels is None else (paths, labels), "files"))
        if self.shuffle and subset != "validation":
            rows = rows.shuffle(len(paths), seed)

        def load(element: Tree) -> Tree:
            return read(element) if labels is None else (read(element[0]), element[1])

        stage = Map(stage_of(rows), load, resolve_workers(AUTOTUNE), raw=True)
        dataset = finish(Dataset(IgnoreErrors(stage, True, len(paths) // 10) if skip_unreadable else stage))
        dataset.class_names = files.class_names
        dataset.file_paths = files.paths
        return dataset


def class_folders(root: str | Path, class_names: Sequence[str] | None) -> list[str]:
    """Return the names of the folders of classes: sorted, or `class_names` if given and present."""
    folders = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if class_names is None:
        return folders
    missing = [name for name in class_names if name not in folders]
    if missing:
        raise ValueError(f"class_names has {missing[0]!r}, but the folders are {folders}")
    return list(class_names)


def encode_labels(
    labels: np.ndarray | None, class_names: Sequence[str] | None, mode: str | None
) -> np.ndarray | None:
    """Encode class ids for a `label_mode`: int32, one-hot rows, or a column of 0.0 and 1.0."""
    if labels is None or class_names is None or mode == "int":
        return labels
    if mode == "binary":
        return labels.astype(np.float32)[:, None]
    return (labels[:, None] == np.arange(len(class_names))).astype(np.float32)


def list_files_below(folder: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    """Return the paths of files in a folder and its subfolders, sorted by folder and name."""
    walk = sorted(os.walk(folder, followlinks=follow_links), key=lambda step: step[0])
    return [
        os.path.join(inside, name)
        for inside, _, names in walk
        for name in sorted(names)
        if name.lower().endswith(endings)
    ]


def check_format(format: str) -> None:
    """Raise ValueError for datasets of another library."""
    if format != "tf":
        raise ValueError(f'format must be "tf", which returns a hornbeam.data.Dataset, got {format!r}')
