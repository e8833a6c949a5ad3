"""Data pipelines with the names of tf.data, loaders of folders and shards, splits, and checks of data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

if TYPE_CHECKING:
    from hornbeam.data.elements import Strings as Strings
    from hornbeam.data.elements import TensorSpec as TensorSpec
    from hornbeam.data.folders.images_from_folder import images_from_folder as images_from_folder
    from hornbeam.data.inspection.duplicates import find_duplicates as find_duplicates
    from hornbeam.data.inspection.inspect import DataReport as DataReport
    from hornbeam.data.inspection.inspect import look as look
    from hornbeam.data.inspection.leakage import find_leaks as find_leaks
    from hornbeam.data.pipeline.dataset import AUTOTUNE as AUTOTUNE
    from hornbeam.data.pipeline.dataset import INFINITE_CARDINALITY as INFINITE_CARDINALITY
    from hornbeam.data.pipeline.dataset import UNKNOWN_CARDINALITY as UNKNOWN_CARDINALITY
    from hornbeam.data.pipeline.dataset import Dataset as Dataset
    from hornbeam.data.sources.csv_files import from_csv as from_csv
    from hornbeam.data.sources.huggingface import from_huggingface as from_huggingface
    from hornbeam.data.sources.parquet import from_parquet as from_parquet
    from hornbeam.data.sources.webdataset import from_webdataset as from_webdataset
    from hornbeam.data.splits.folds import k_fold as k_fold
    from hornbeam.data.splits.sealed import Sealed as Sealed
    from hornbeam.data.splits.sealed import seal as seal
    from hornbeam.data.splits.split import split as split
    from hornbeam.errors import SealedError as SealedError

_NAMES = {
    "AUTOTUNE": "pipeline.dataset",
    "DataReport": "inspection.inspect",
    "Dataset": "pipeline.dataset",
    "INFINITE_CARDINALITY": "pipeline.dataset",
    "Sealed": "splits.sealed",
    "SealedError": "hornbeam.errors",
    "Strings": "elements",
    "TensorSpec": "elements",
    "UNKNOWN_CARDINALITY": "pipeline.dataset",
    "find_duplicates": "inspection.duplicates",
    "find_leaks": "inspection.leakage",
    "from_csv": "sources.csv_files",
    "from_huggingface": "sources.huggingface",
    "from_parquet": "sources.parquet",
    "from_webdataset": "sources.webdataset",
    "images_from_folder": "folders.images_from_folder",
    "k_fold": "splits.folds",
    "look": "inspection.inspect",
    "seal": "splits.sealed",
    "split": "splits.split",
}

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
