"""Summaries, explanations, figures and reports of models and trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

# Public name -> the module it lives in, imported when the name is first used.
_NAMES = {
    "Run": "runs",
    "RunError": "hornbeam.errors",
    "Section": "hornbeam.visualization.display",
    "Explanation": "explanations.explanation",
    "TrainingSchedule": "hornbeam.training.schedule",
    "explain": "explanations.model",
    "explain_training": "explanations.training",
    "read_run": "runs",
    "Figure": "hornbeam.visualization.figure",
    "activations": "figures.activations",
    "grad_cam": "figures.attribution",
    "loss_landscape": "figures.curves",
    "occlusion": "figures.attribution",
    "plot_activations": "figures.activations",
    "plot_confusion": "figures.embeddings",
    "plot_embeddings": "figures.embeddings",
    "plot_filters": "figures.activations",
    "plot_history": "figures.curves",
    "principal_components": "figures.embeddings",
    "saliency": "figures.attribution",
    "report": "reporting.page",
}

if TYPE_CHECKING:
    from hornbeam.errors import RunError as RunError
    from hornbeam.insight.explanations.explanation import Explanation as Explanation
    from hornbeam.insight.explanations.model import explain as explain
    from hornbeam.insight.explanations.training import explain_training as explain_training
    from hornbeam.insight.figures.activations import activations as activations
    from hornbeam.insight.figures.activations import plot_activations as plot_activations
    from hornbeam.insight.figures.activations import plot_filters as plot_filters
    from hornbeam.insight.figures.attribution import grad_cam as grad_cam
    from hornbeam.insight.figures.attribution import occlusion as occlusion
    from hornbeam.insight.figures.attribution import saliency as saliency
    from hornbeam.insight.figures.curves import loss_landscape as loss_landscape
    from hornbeam.insight.figures.curves import plot_history as plot_history
    from hornbeam.insight.figures.embeddings import plot_confusion as plot_confusion
    from hornbeam.insight.figures.embeddings import plot_embeddings as plot_embeddings
    from hornbeam.insight.figures.embeddings import principal_components as principal_components
    from hornbeam.insight.reporting.page import report as report
    from hornbeam.insight.runs import Run as Run
    from hornbeam.insight.runs import read_run as read_run
    from hornbeam.training.schedule import TrainingSchedule as TrainingSchedule
    from hornbeam.visualization.display import Section as Section
    from hornbeam.visualization.figure import Figure as Figure

if not TYPE_CHECKING:  # there, `__getattr__` would let misspelled names pass
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
