"""Functions of the module `linalg` of a backend."""

from hornbeam import ops
from keras_hornbeam.src.functions import functions_of

__getattr__ = functions_of(ops.linalg, ops)
