"""Distillation: training a small model to predict like a large one.

Source: Hinton et al. 2015, https://arxiv.org/abs/1503.02531.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.distillation.distiller import Distiller
from hornbeam.distillation.losses import DistillationLoss, FeatureDistillation, LogitsDistillation

__all__ = ["DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"]


explain_missing(__name__)
