"""A trained model with what it needs to read tables: the same columns, written in the same way."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.auto.columns import Column
from hornbeam.auto.encoding import Encoder, Feature
from hornbeam.auto.table import Table, TableLike, read_table
from hornbeam.auto.task import Task
from hornbeam.evaluation import Interval, conformal, mean_interval
from hornbeam.evaluation.conformal.model import calibration_of_model
from hornbeam.models import Model
from hornbeam.saving import load_model

MODEL, TABLE = "model.keras", "table.json"


class Importance(NamedTuple):
    """Use of a column by a model.

    Args:
        column: Name of the column.
        increase: Mean increase of the loss of a row where the column has the value of another row.
        interval: Its interval.
    """

    column: str
    increase: float
    interval: Interval


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

    @property
    def calibration(self) -> conformal.ConformalSets | conformal.ConformalIntervals | None:
        """The calibration of the model, None if its rows were too few."""
        try:
            return calibration_of_model(self.model, "calibration")[0]
        except ValueError:
            return None

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
        outputs = self.outputs(data)
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
        return dict(zip(self.task.labels, self.outputs(data).T, strict=True))

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

    def outputs(self, data: TableLike) -> np.ndarray:
        """Return the outputs of the model, (rows, units): numbers, or the probabilities of the classes.

        Args:
            data: A table: see `read_table`.
        """
        return np.asarray(self.model.predict(self.inputs(data), batch_size=1_024, verbose=0))

    def importance(self, data: TableLike, *, max_rows: int = 1_000, seed: int = 0) -> list[Importance]:
        """Return how much worse the predictions are where a column has the values of other rows.

        It is the permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019) of each column, the
        largest first: mean and interval (95%, Student's) of the increase of the loss of a row, which is the
        squared error, or the cross-entropy. Columns that tell the same share it. It says what the model uses,
        and not what the target depends on.

        Args:
            data: A table with the target, which the model has not learned from: see `read_table`.
            max_rows: Most rows that are used, drawn at random.
            seed: Seed of the rows and their order.

        Raises:
            ValueError: If fewer than two rows have a target that the model knows.
        """
        table = read_table(data)
        y = self.task.targets(table)
        rows = np.flatnonzero(y >= 0 if self.task.classes else np.isfinite(y))
        if len(rows) < 2:
            raise ValueError(f"at least two rows need a known value of {self.task.target.name!r}")
        random = np.random.default_rng(seed)
        rows = np.sort(random.permutation(rows)[:max_rows])
        table, y = table.rows(rows), y[rows]
        losses = self.task.losses(y, self.outputs(table))
        result = []
        for name in dict.fromkeys(feature.column.name for feature in self.encoder.features):
            mixed = Table({**table.columns, name: table.columns[name][random.permutation(len(rows))]})
            increases = self.task.losses(y, self.outputs(mixed)) - losses
            result.append(Importance(name, float(increases.mean()), mean_interval(increases.tolist())))
        return sorted(result, key=lambda each: -each.increase)

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
