"""Tensors, variables, tracing: the layer between the graph and `hornbeam.ops`."""

# They install the operators of Tensor, and the dispatch of sparse tensors.
from hornbeam.core import indexing as indexing
from hornbeam.core import operators as operators
from hornbeam.core import sparse as sparse
