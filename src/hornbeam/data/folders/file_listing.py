"""Folders of files as Datasets: which files there are, their classes, and the part of them that is wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset
from hornbeam.data.pipeline.prefetch import resolve_workers
from hornbeam.data.pipeline.stages import Slices
from hornbeam.data.pipeline.transforms import IgnoreErrors, Map
from hornbeam.random import make_default_seed

_MODES = ("int", "categorical", "binary", None)
_SUBSETS = ("training", "validation", "both")


class Files(NamedTuple):
    """Paths of files, the class number of each (None without labels), and the names of the classes."""

    paths: list[str]
    labels: np.ndarray | None
    class_names: list[str] | None


class Wanted(NamedTuple):
    """What all functions for folders are asked for."""

    directory: Any
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    verbose: bool

    def datasets(
        self,
        endings: tuple[str, ...],
        read: Callable[[str], Any],
        finish: Callable[[Dataset], Dataset],
        skipping: bool = False,
    ) -> Any:
        """One Dataset of what `read(path)` gives, with labels; for subset="both" those of both parts.

        finish: makes batches. skipping: files that cannot be read are left out, up to one in ten.
        """
        self.check()
        seed = make_default_seed() if self.seed is None else self.seed
        files = self.indexed(endings, seed)
        names = (self.subset,) if self.subset != "both" else ("training", "validation")
        made = [self._dataset(self._part(files, name), name, read, finish, skipping, seed) for name in names]
        return made if self.subset == "both" else made[0]

    def check(self) -> None:
        """Raise ValueError for arguments that do not fit each other."""
        if (
            self.labels is not None
            and not isinstance(self.labels, (list, tuple))
            and self.labels != "inferred"
        ):
            raise ValueError(
                f'labels must be "inferred" (from the folders), None or a list of class numbers, got '
                f"{self.labels!r:.60}"
            )
        if self.label_mode not in _MODES:
            raise ValueError(f"label_mode must be one of {_MODES}, got {self.label_mode!r}")
        if self.class_names and self.labels != "inferred":
            raise ValueError(
                'class_names order the folders of labels="inferred": with other labels leave them away'
            )
        split, subset = self.validation_split, self.subset
        if split and not 0 < split < 1:
            raise ValueError(f"validation_split must lie between 0 and 1, got {split}")
        if bool(split) != bool(subset):
            raise ValueError("validation_split and subset go together: give both, or none")
        if subset is not None and subset not in _SUBSETS:
            raise ValueError(f"subset must be one of {_SUBSETS} or None, got {subset!r}")
        if split and self.shuffle and self.seed is None:
            raise ValueError("a shuffled split needs a seed: else the two parts of two calls would overlap")

    def indexed(self, endings: tuple[str, ...], seed: int) -> Files:
        """All files with one of the endings, in the order in which they are split and read."""
        root = Path(self.directory)
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {os.fspath(self.directory)!r}")
        labelled = self.labels is not None and self.label_mode is not None
        inferred = labelled and self.labels == "inferred"
        folders = self._classes(root) if inferred else [""]
        found = [list_files_below(os.path.join(root, name), endings, self.follow_links) for name in folders]
        paths = [path for part in found for path in part]
        labels, names = None, None
        if inferred:
            labels = np.repeat(np.arange(len(folders), dtype=np.int32), [len(part) for part in found])
            names = list(folders)
        elif labelled:
            labels, names = self._given(paths)
        if self.label_mode == "binary" and names is not None and len(names) != 2:
            raise ValueError(f'label_mode="binary" needs two classes, there are {len(names)}: {names}')
        if self.verbose:
            print(
                f"Found {len(paths)} files{'' if names is None else f' belonging to {len(names)} classes'}."
            )
        if self.shuffle:
            # The order that Keras gives for the same seed.
            order = np.arange(len(paths))
            np.random.RandomState(seed).shuffle(order)
            paths = [paths[index] for index in order]
            labels = None if labels is None else labels[order]
        return Files(paths, labels, names)

    def _classes(self, root: Path) -> list[str]:
        there = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
        if self.class_names is None:
            return there
        missing = [name for name in self.class_names if name not in there]
        if missing:
            raise ValueError(f"class_names has {missing[0]!r}, but the folders are {there}")
        return list(self.class_names)

    def _given(self, paths: list[str]) -> tuple[np.ndarray, list[str]]:
        if len(self.labels) != len(paths):
            raise ValueError(
                f"there are {len(self.labels)} labels for the {len(paths)} files in {self.directory}"
            )
        labels = np.asarray(self.labels)
        if labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be class numbers, got {self.labels[0]!r}")
        return labels.astype(np.int32), [str(label) for label in sorted(set(self.labels))]

    def _part(self, files: Files, subset: str | None) -> Files:
        """The files of a subset: the last ones are for validation."""
        if not self.validation_split:
            return files
        held = int(self.validation_split * len(files.paths))
        rows = slice(-held, None) if subset == "validation" else slice(None, -held)
        labels = None if files.labels is None else files.labels[rows]
        part = Files(files.paths[rows], labels, files.class_names)
        if self.verbose:
            print(f"Using {len(part.paths)} files for {subset}.")
        return part

    def _dataset(
        self,
        files: Files,
        subset: str | None,
        read: Callable[[str], Any],
        finish: Callable[[Dataset], Dataset],
        skipping: bool,
        seed: int,
    ) -> Dataset:
        if not files.paths:
            raise ValueError(
                f"no {subset + ' ' if subset else ''}files of this kind were found in {self.directory}"
            )
        paths = np.array(files.paths, dtype=object)
        labels = encoded(files.labels, files.class_names, self.label_mode)
        rows = Dataset(Slices(paths if labels is None else (paths, labels), "files"))
        if self.shuffle and subset != "validation":
            rows = rows.shuffle(len(paths), seed)

        def load(element: Any) -> Any:
            return read(element) if labels is None else (read(element[0]), element[1])

        stage = Map(rows._stage, load, resolve_workers(AUTOTUNE), raw=True)
        made = finish(Dataset(IgnoreErrors(stage, True, len(paths) // 10) if skipping else stage))
        made.class_names = files.class_names
        made.file_paths = files.paths
        return made


def encoded(labels: np.ndarray | None, class_names: Sequence[str] | None, mode: str | None) -> Any:
    """Class numbers as a `label_mode` wants them: int32, one-hot rows, or 0.0 and 1.0 in a column."""
    if labels is None or class_names is None or mode == "int":
        return labels
    if mode == "binary":
        return labels.astype(np.float32)[:, None]
    return (labels[:, None] == np.arange(len(class_names))).astype(np.float32)


def list_files_below(folder: str, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    """Files in a folder and those inside, sorted by folder and name."""
    walk = sorted(os.walk(folder, followlinks=follow_links), key=lambda step: step[0])
    return [
        os.path.join(inside, name)
        for inside, _, names in walk
        for name in sorted(names)
        if name.lower().endswith(endings)
    ]


def only_ours(format: str) -> None:
    """Raise ValueError for a format of another library."""
    if format != "tf":
        raise ValueError(
            f'datasets are hornbeam.data.Dataset, which stands where Keras has "tf", got {format!r}'
        )
