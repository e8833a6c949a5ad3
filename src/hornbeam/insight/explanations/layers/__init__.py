"""What layers do, in words and numbers: one function a family, and the table that says which family is whose.

A function takes the `Place` of a layer, so what it says is said of this layer in this model. Arithmetic of
volumes is written by `insight.arithmetic`; parameters need no family, for they are the weights' shapes.
"""

from hornbeam.insight.explanations.layers.context import Place, Words
from hornbeam.insight.explanations.layers.table import describe

__all__ = ["Place", "Words", "describe"]
