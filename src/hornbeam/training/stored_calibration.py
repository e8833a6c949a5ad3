"""Calibration of a model's prediction sets or intervals, which is saved with the model."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.row_hash import fingerprint
from hornbeam.ir.node import Node
from hornbeam.layers.network import Network


class StoredCalibration:
    """Config of a calibration, valid for the weights that it was measured with."""

    def __init__(self) -> None:
        self._config: dict[str, Any] | None = None
        self._fingerprint = ""
        # Nodes of the weights that were found to be the same: an assignment gives a variable a new one.
        self._known: list[Node] = []

    def set(self, config: dict[str, Any] | None, model: Network) -> None:
        """Keep a config for the present weights of the model."""
        self._config = config
        self._fingerprint = "" if config is None else _fingerprint(model)

    def get(self, model: Network) -> dict[str, Any] | None:
        """Return the config, None without one, or if the weights have changed since."""
        if self._config is None:
            return None
        nodes = [variable.node for variable in model.weights]
        if self._known == nodes:
            return self._config
        if _fingerprint(model) != self._fingerprint:
            return None
        self._known = nodes
        return self._config

    def release_weights(self) -> None:
        """Drop the nodes of the weights: training may change them in place."""
        self._known = []


def _fingerprint(model: Network) -> str:
    return fingerprint([np.atleast_1d(np.asarray(variable)) for variable in model.weights])
