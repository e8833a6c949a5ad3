"""Models from files of each format that Hornbeam reads."""

from __future__ import annotations

from pathlib import Path

from hornbeam.runtime import FrozenModel
from hornbeam.serving.models import RunnableModel
from hornbeam.serving.repository import TABLE


def load(path: Path) -> RunnableModel:
    """Read a model's file; one of another format than `.hornbeam` is frozen in this process.

    The bytes are read rather than mapped: a file that is overwritten must not change the model that answers.
    """
    if (path / TABLE).is_file():
        from hornbeam.serving.tables import ServedTable

        return ServedTable.load(path)
    if path.suffix == ".hornbeam":
        return FrozenModel.from_bytes(path.read_bytes())
    from hornbeam.export.frozen import freeze
    from hornbeam.saving import load_model

    return FrozenModel.from_bytes(freeze(load_model(path)))
