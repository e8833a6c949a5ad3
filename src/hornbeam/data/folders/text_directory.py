"""`text_dataset_from_directory`: folders of texts as a Dataset."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hornbeam.data.folders.file_listing import FileFilter, check_format
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Dataset | list[Dataset]:
    """Load the .txt files in a folder, with a subfolder for each class, as a Dataset of (texts, labels).

    Texts are the bytes of the files; layers such as TextVectorization accept them. The Dataset has the
    attributes `class_names` and `file_paths`.

    Args:
        directory: Folder with the texts.
        labels: "inferred" from the names of the subfolders, None, or a class index for each file, in the
            order of sorted paths.
        label_mode: "int" (int32, (batch,)), "categorical" (one-hot rows), "binary" (0.0 or 1.0, (batch, 1)),
            or None for texts alone.
        class_names: Subfolders to read, in the order of their class indices; all, sorted, if None.
        batch_size: Number of texts in a batch; None for single texts.
        max_length: Maximum number of bytes of a text; the rest is cut off. None for no limit.
        shuffle: Whether every pass has a new order.
        seed: Seed of the order and the split.
        validation_split: Fraction of the files that is held out for validation.
        subset: "training", "validation", or "both" for a list of two Datasets.
        follow_links: Whether to follow symbolic links to folders.
        format: "tf", for a hornbeam.data.Dataset.
        verbose: Whether to print the number of files and classes.

    Returns:
        A Dataset, or a list of two for subset="both".

    Raises:
        FileNotFoundError: If `directory` does not exist.
        ValueError: If an argument is invalid or no text is found.

    Example:
        >>> train = hornbeam.utils.text_dataset_from_directory("aclImdb/train")  # doctest: +SKIP
    """
    check_format(format)

    def read(path: str) -> bytes:
        return Path(path).read_bytes()[:max_length]

    def finish(dataset: Dataset) -> Dataset:
        return (dataset if batch_size is None else dataset.batch(batch_size)).prefetch(AUTOTUNE)

    return FileFilter(
        directory, labels, label_mode, class_names, shuffle, seed,
        validation_split, subset, follow_links, verbose,
    ).load((".txt",), read, finish)  # fmt: skip
