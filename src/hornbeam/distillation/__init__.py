"""Training a small model to answer like a large one (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531)."""

from hornbeam.distillation.distiller import Distiller
from hornbeam.distillation.losses import DistillationLoss, FeatureDistillation, LogitsDistillation

__all__ = ["DistillationLoss", "Distiller", "FeatureDistillation", "LogitsDistillation"]
