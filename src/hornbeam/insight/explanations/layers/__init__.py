"""Descriptions of layers in words and numbers.

`templates` holds the sentences of each family of layers, `facts` the numbers of a layer in its model that the
sentences refer to, and `describe` puts them together.
"""

from hornbeam.insight.explanations.layers.context import LayerContext, LayerDescription
from hornbeam.insight.explanations.layers.describe import describe

__all__ = ["LayerContext", "LayerDescription", "describe"]
