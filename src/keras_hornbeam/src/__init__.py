# ruff: noqa: F401
"""The modules of a backend of Keras, by `hornbeam.ops`, as Keras proposes for backends that are packages.

`keras_NAME.src` has `ops`, `random`, `rnn`, `layer`, `trainer` and `export`.
"""

from keras.src.backend.common.name_scope import name_scope

from keras_hornbeam.src import distribution_lib, ops, random, rnn
from keras_hornbeam.src.ops.core import (
    IS_THREAD_SAFE,
    SUPPORTS_COMPLEX_DTYPES,
    SUPPORTS_RAGGED_TENSORS,
    SUPPORTS_SPARSE_TENSORS,
    Variable,
    compute_output_spec,
    device_scope,
)
