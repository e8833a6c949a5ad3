"""Functions of the module `linalg` of a backend."""

from hornbeam import ops
from hornbeam.keras_backend.adapter.functions import functions_of

__getattr__ = functions_of(ops.linalg, ops)
