"""Functions of the module `linalg` of a backend."""

from hornbeam import ops
from hornbeam.keras_backend.adapter.functions import backend_functions

__getattr__ = backend_functions(ops.linalg, ops)
