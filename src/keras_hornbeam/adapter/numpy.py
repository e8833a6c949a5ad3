"""Functions of the module `numpy` of a backend."""

from hornbeam import ops
from keras_hornbeam.adapter.functions import functions_of

__getattr__ = functions_of(ops)
