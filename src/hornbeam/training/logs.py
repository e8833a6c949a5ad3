"""Logs of steps: dicts of values by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam._internal.typing import Tree


def as_floats(logs: Tree) -> dict[str, Any]:
    """Convert logs to Python floats, without inner dicts. Values with axes stay arrays."""
    return {name: _as_float(value) for name, value in flattened(logs).items()}


def flattened(logs: dict[str, Any]) -> dict[str, Any]:
    """Merge inner dicts: a metric of several values logs each of them under its own name."""
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        flat.update(flattened(value) if isinstance(value, dict) else {name: value})
    return flat


def _as_float(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def checked_logs(logs: Tree, mode: str) -> dict[str, Any]:
    """Return the logs of a step without inner dicts. Raises TypeError unless they are a dict."""
    if not isinstance(logs, dict):
        raise TypeError(
            f"{mode}_step must return a dict of logs such as {{'loss': loss}}, got {type(logs).__name__}"
        )
    return flattened(logs)
