"""Functions of the module `nn` of a backend."""

from hornbeam import ops
from hornbeam.keras_backend.adapter.functions import backend_functions

__getattr__ = backend_functions(ops.nn, ops)
