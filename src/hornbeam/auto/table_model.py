"""A trained model with what it needs to read tables: the same columns, written in the same way."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.auto.columns import Column
from hornbeam.auto.encoding import Encoder, Feature
from hornbeam.auto.table import TableLike, read_table
from hornbeam.auto.task import Task
from hornbeam.models import Model
from hornbeam.saving import load_model

MODEL, TABLE = "model.keras", "table.json"


@dataclasses.dataclass(frozen=True)
class TableModel:
    """A model that predicts from tables.

    Args:
        model: The model. Its inputs are named as `encoder.features`.
        encoder: Makes the inputs out of tables.
        task: The prediction task.
    """

    model: Model
    encoder: Encoder
    task: Task

    def inputs(self, data: TableLike) -> dict[str, np.ndarray]:
        """Return the inputs of the model, an array (rows, 1) each.

        Args:
            data: A table: see `read_table`.
        """
        table = read_table(data)
        known = {feature.column.name for feature in self.encoder.features if feature.part == "is missing"}
        for feature in self.encoder.features:
            column = feature.column
            if feature.is_category or column.name in known:
                continue
            known.add(column.name)
            if lost := int(column.is_missing(table).sum()):
                warn_user(
                    f"{column.name!r} has {lost:,} missing value{'s' * (lost > 1)}, but had none when the "
                    "model was made: the median is used"
                )
        return self.encoder.inputs(table)

    def predict(self, data: TableLike) -> np.ndarray:
        """Return a number, or the name of the likeliest class, for each row.

        Args:
            data: A table: see `read_table`.
        """
        outputs = self._outputs(data)
        return np.array(self.task.labels)[outputs.argmax(1)] if self.task.classes else outputs[:, 0]

    def predict_probabilities(self, data: TableLike) -> dict[str, np.ndarray]:
        """Return the probability of each class by its name.

        Args:
            data: A table: see `read_table`.

        Raises:
            ValueError: If the model predicts a number.
        """
        if not self.task.classes:
            raise ValueError(f"{self.task.target.name!r} is a number: use predict()")
        return dict(zip(self.task.labels, self._outputs(data).T, strict=True))

    def predict_interval(self, data: TableLike) -> np.ndarray:
        """Return lower and upper bounds, (rows, 2), that contain the truth as often as was promised.

        Args:
            data: A table: see `read_table`.

        Raises:
            ValueError: If the model predicts classes.
        """
        if self.task.classes:
            raise ValueError(f"{self.task.target.name!r} has classes: use predict_sets()")
        return np.asarray(self.model.predict_interval(self.inputs(data)))

    def predict_sets(self, data: TableLike) -> list[list[str]]:
        """Return the classes of each row that contain the truth as often as was promised.

        Args:
            data: A table: see `read_table`.

        Raises:
            ValueError: If the model predicts a number.
        """
        if not self.task.classes:
            raise ValueError(f"{self.task.target.name!r} is a number: use predict_interval()")
        sets = np.asarray(self.model.predict_sets(self.inputs(data)))
        return [[label for label, is_in in zip(self.task.labels, row, strict=True) if is_in] for row in sets]

    def _outputs(self, data: TableLike) -> np.ndarray:
        return np.asarray(self.model.predict(self.inputs(data), batch_size=1_024, verbose=0))

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `model.keras`, and `table.json`, which says how its inputs are made out of a table.

        Args:
            folder: Created if it does not exist.
        """
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.model.save(path / MODEL)
        parts = {"features": [dataclasses.asdict(x) for x in self.encoder.features]}
        text = json.dumps({**parts, "task": dataclasses.asdict(self.task)}, indent=1, ensure_ascii=False)
        (path / TABLE).write_text(text + "\n", encoding="utf-8")
        return path


def load(folder: str | os.PathLike[str]) -> TableModel:
    """Read what `TableModel.save` or `hornbeam fit` wrote.

    Args:
        folder: The folder.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If `table.json` is damaged, or does not belong to the model.

    Example:
        >>> houses = hornbeam.auto.load("houses")  # doctest: +SKIP
        >>> houses.predict("new_houses.csv")  # doctest: +SKIP
    """
    path = Path(folder)
    try:
        parts = json.loads((path / TABLE).read_text(encoding="utf-8"))
        features = [
            Feature(**{**x, "column": Column(**x["column"]), "words": tuple(x["words"])})
            for x in parts["features"]
        ]
        target = parts["task"]
        task = Task(Column(**target["target"]), tuple(target["labels"]))
    except (TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path / TABLE} does not describe a table: {error}") from error
    model = load_model(path / MODEL)
    names = [feature.name for feature in features]
    if not isinstance(model.input, dict) or sorted(model.input) != sorted(names):
        raise ValueError(f"{path / TABLE} has the inputs {', '.join(names)}, which are not those of {MODEL}")
    return TableModel(model, Encoder(tuple(features)), task)
