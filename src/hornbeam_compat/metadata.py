"""Package metadata of Keras and TensorFlow, so that `importlib.metadata` agrees with the import hook."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

import hornbeam


class ReplacedDistribution(importlib.metadata.Distribution):
    """Metadata of a package in whose place Hornbeam is imported.

    Args:
        name: Name of the package.
        version: Version whose names Hornbeam follows.
    """

    def __init__(self, name: str, version: str) -> None:
        self._metadata = (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            f"Summary: Hornbeam {hornbeam.__version__} in place of {name}\n"
        )

    def read_text(self, filename: str) -> str | None:
        return self._metadata if filename == "METADATA" else None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        return Path(__file__).parents[1] / path


def replaced_distributions(name: str | None, keras_version: str) -> Iterator[ReplacedDistribution]:
    """Yield the metadata of the package `name`, or of all replaced packages for None."""
    from hornbeam_compat.tensorflow.root import VERSION

    versions = {"keras": keras_version, "tensorflow": VERSION, "tf-keras": keras_version}
    for package, version in versions.items():
        if name is None or name.lower().replace("_", "-") == package:
            yield ReplacedDistribution(package, version)
