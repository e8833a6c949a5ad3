"""What a model is and does, for people: summaries, explanations, reports, pictures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> the module it lives in, imported when the name is first used.
_NAMES = {
    "Run": "runs",
    "RunError": "runs",
    "Told": "told",
    "Plan": "plan",
    "explain": "explaining",
    "explain_training": "training_told",
    "read_run": "runs",
    "Picture": "pictures.picture",
    "activations": "pictures.inside",
    "grad_cam": "pictures.attribution",
    "loss_landscape": "pictures.curves",
    "occlusion": "pictures.attribution",
    "plot_activations": "pictures.inside",
    "plot_confusion": "pictures.spread",
    "plot_embeddings": "pictures.spread",
    "plot_filters": "pictures.inside",
    "plot_history": "pictures.curves",
    "principal_components": "pictures.spread",
    "saliency": "pictures.attribution",
    "report": "reporting.page",
}

__all__ = list(_NAMES)

if TYPE_CHECKING:
    from hornbeam.insight.explaining import explain as explain
    from hornbeam.insight.pictures.attribution import grad_cam as grad_cam
    from hornbeam.insight.pictures.attribution import occlusion as occlusion
    from hornbeam.insight.pictures.attribution import saliency as saliency
    from hornbeam.insight.pictures.curves import loss_landscape as loss_landscape
    from hornbeam.insight.pictures.curves import plot_history as plot_history
    from hornbeam.insight.pictures.inside import activations as activations
    from hornbeam.insight.pictures.inside import plot_activations as plot_activations
    from hornbeam.insight.pictures.inside import plot_filters as plot_filters
    from hornbeam.insight.pictures.picture import Picture as Picture
    from hornbeam.insight.pictures.spread import plot_confusion as plot_confusion
    from hornbeam.insight.pictures.spread import plot_embeddings as plot_embeddings
    from hornbeam.insight.pictures.spread import principal_components as principal_components
    from hornbeam.insight.plan import Plan as Plan
    from hornbeam.insight.reporting.page import report as report
    from hornbeam.insight.runs import Run as Run
    from hornbeam.insight.runs import RunError as RunError
    from hornbeam.insight.runs import read_run as read_run
    from hornbeam.insight.told import Told as Told
    from hornbeam.insight.training_told import explain_training as explain_training


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        from hornbeam.naming import nearest

        raise AttributeError(f"hornbeam.insight has no {name!r}.{nearest(name, __all__)}")
    value = getattr(importlib.import_module(f"hornbeam.insight.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
