"""Models of tables, which `hornbeam fit` wrote: the inputs are the columns, texts included."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.auto import Table, TableModel
from hornbeam.runtime import Signature, TensorSpec
from hornbeam.serving.models import DEFAULT_SIGNATURE


class ServedTable:
    """A model of a table as the server uses it: see `RunnableModel`.

    Numbers are float32, dates and words are texts, "" if missing. Outputs are "prediction", and "low" and
    "high" of a number, or "probabilities" and "in_set", in the order of the labels, of classes.
    """

    def __init__(self, model: TableModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._columns = list(dict.fromkeys(feature.column for feature in model.encoder.features))
        inputs = [
            TensorSpec(column.name, "float32" if column.kind == "number" else "string", (None,))
            for column in self._columns
        ]
        classes = model.task.classes
        outputs = [TensorSpec("prediction", "string" if classes else "float32", (None,))]
        if classes:
            outputs.append(TensorSpec("probabilities", "float32", (None, classes)))
        if model.calibration is not None:
            outputs += (
                [TensorSpec("in_set", "bool", (None, classes))]
                if classes
                else [TensorSpec(name, "float32", (None,)) for name in ("low", "high")]
            )
        self.signatures = {DEFAULT_SIGNATURE: Signature(tuple(inputs), tuple(outputs))}
        self.metadata: dict[str, Any] = {"name": model.task.target.name, "labels": list(model.task.labels)}

    @classmethod
    def load(cls, folder: Path) -> ServedTable:
        """Read a folder that `hornbeam fit` wrote."""
        from hornbeam.auto import load

        return cls(load(folder))

    def run(self, inputs: dict[str, np.ndarray], signature: str = DEFAULT_SIGNATURE) -> dict[str, np.ndarray]:
        """Predict rows."""
        table = Table({column.name: _column(inputs[column.name]) for column in self._columns})
        with self._lock:
            outputs = np.asarray(self._model.model.predict(self._model.encoder.inputs(table), verbose=0))
        task, calibration = self._model.task, self._model.calibration
        bounds = None if calibration is None else calibration.predict(outputs)
        if task.classes:
            labels = np.array(task.labels, object)[outputs.argmax(1)]
            sets = {} if bounds is None else {"in_set": bounds}
            return {"prediction": labels, "probabilities": outputs, **sets}
        ends = {} if bounds is None else {"low": bounds[:, 0], "high": bounds[:, 1]}
        return {name: end.astype("float32") for name, end in {"prediction": outputs[:, 0], **ends}.items()}


def _column(values: np.ndarray) -> np.ndarray:
    """Return an input as a column of a table."""
    if values.dtype != object:
        return values.astype("float64")
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist()]
    result = np.empty(len(texts), object)
    result[:] = [text.strip() or None for text in texts]
    return result
