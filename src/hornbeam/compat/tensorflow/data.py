"""tf.data: Hornbeam's Datasets, which have its names and semantics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hornbeam.compat.tensorflow.csv_tables import make_csv_dataset
from hornbeam.compat.tensorflow.host import StringTensor
from hornbeam.data import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Dataset, TensorSpec

__all__ = [
    "AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "Dataset", "Options", "TextLineDataset",
    "cardinality", "make_csv_dataset",
]  # fmt: skip


class Options:
    """Accepted, whatever is set: pipelines here are deterministic, and there is nothing to tune."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Options())
        return vars(self)[name]


def cardinality(dataset: Dataset) -> Any:
    """The number of elements, or one of the two constants."""
    return dataset.cardinality()


def TextLineDataset(filenames: Any, *args: Any, **kwargs: Any) -> Dataset:
    """The lines of text files, without their ends."""
    names = [str(name) for name in StringTensor(filenames).texts().reshape(-1)]

    def lines() -> Iterator[str]:
        for name in names:
            with Path(name).open(encoding="utf-8") as file:
                yield from (line.rstrip("\r\n") for line in file)

    return Dataset.from_generator(lines, output_signature=TensorSpec((), "string"))
