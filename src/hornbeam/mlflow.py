"""Models and trainings in MLflow (the extra `mlflow`).

The names are those of MLflow's own modules, such as `mlflow.keras`.
"""

from __future__ import annotations

from hornbeam.insight.trackers.mlflow import autolog
from hornbeam.insight.trackers.mlflow_model import load_model, load_pyfunc, log_model, save_model

__all__ = ["autolog", "load_model", "log_model", "save_model"]

# `mlflow.pyfunc` calls it under this name.
_load_pyfunc = load_pyfunc
