"""What layers do, in words and numbers: one function a family, and the table that says which family is whose.

A function takes the `LayerContext` of a layer, so its sentences are about this layer in this model.
Arithmetic of volumes is written by `insight.arithmetic`; parameters follow from the weights' shapes.
"""

from hornbeam.insight.explanations.layers.context import LayerContext, LayerDescription
from hornbeam.insight.explanations.layers.table import describe

__all__ = ["LayerContext", "LayerDescription", "describe"]
