"""`text_dataset_from_directory`: folders of texts as a Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hornbeam.data.folders.file_listing import Wanted, only_ours
from hornbeam.data.pipeline.dataset import AUTOTUNE, Dataset


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
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
) -> Any:
    """The .txt files in `directory`, a folder for each class, as a Dataset of batches (texts, labels).

    Texts are the bytes of the files, the first `max_length` of them; layers such as TextVectorization take
    them so. The other arguments are those of `image_dataset_from_directory`.

    >>> train = hornbeam.utils.text_dataset_from_directory("aclImdb/train", batch_size=32)  # doctest: +SKIP
    """
    only_ours(format)

    def read(path: str) -> bytes:
        return Path(path).read_bytes()[:max_length]

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
    return wanted.datasets((".txt",), read, finish)
