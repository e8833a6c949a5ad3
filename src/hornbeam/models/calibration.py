"""The type of a calibration, which `Model.calibrate` returns from a package above."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hornbeam._internal.typing import ArrayLike
from hornbeam.visualization.display import Report


class PredictionCalibration(Protocol):
    """Calibrated prediction sets or intervals; see `evaluation.conformal`."""

    @property
    def coverage(self) -> float:
        """Promised coverage."""

    def predict(
        self, y_pred: ArrayLike, /, *, groups: ArrayLike | None = None, weights: ArrayLike | None = None
    ) -> np.ndarray:
        """Return the sets or intervals of predictions."""

    def evaluate(
        self,
        y_pred: ArrayLike,
        y: ArrayLike,
        /,
        *,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        level: float = 0.95,
    ) -> Report:
        """Return a report of the coverage of new samples."""
