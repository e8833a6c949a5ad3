"""Models and trainings in MLflow (the extra `mlflow`).

The names are those of MLflow's own modules, such as `mlflow.keras`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

# Public name -> the module that defines it.
_NAMES = {
    "autolog": "hornbeam.insight.trackers.mlflow",
    "load_model": "hornbeam.insight.trackers.mlflow_model",
    "log_model": "hornbeam.insight.trackers.mlflow_model",
    "save_model": "hornbeam.insight.trackers.mlflow_model",
}

if TYPE_CHECKING:
    from hornbeam.insight.trackers.mlflow import autolog as autolog
    from hornbeam.insight.trackers.mlflow_model import PyfuncModel
    from hornbeam.insight.trackers.mlflow_model import load_model as load_model
    from hornbeam.insight.trackers.mlflow_model import log_model as log_model
    from hornbeam.insight.trackers.mlflow_model import save_model as save_model

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, _public = attach(__name__, _NAMES)
__all__ = list(_NAMES)


def _load_pyfunc(path: str) -> PyfuncModel:
    """Load a model for `mlflow.pyfunc`, whose files name this module."""
    from hornbeam.insight.trackers.mlflow_model import PyfuncModel
    from hornbeam.saving import load_model

    return PyfuncModel(load_model(path))
