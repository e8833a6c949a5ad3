# ruff: noqa: F401
"""The namespace of a backend in Keras 3.15, which has all at one level: `keras.src.backend.hornbeam`."""

from keras.src.backend.common.name_scope import name_scope

from keras_hornbeam.src import distribution_lib, random
from keras_hornbeam.src.ops import core, image, linalg, math, nn, numpy
from keras_hornbeam.src.ops.core import (
    IS_THREAD_SAFE,
    SUPPORTS_COMPLEX_DTYPES,
    SUPPORTS_RAGGED_TENSORS,
    SUPPORTS_SPARSE_TENSORS,
    Variable,
    cast,
    compute_output_spec,
    cond,
    convert_to_numpy,
    convert_to_tensor,
    device_scope,
    is_tensor,
    random_seed_dtype,
    scatter,
    shape,
    stop_gradient,
    vectorized_map,
)
from keras_hornbeam.src.rnn import (
    bidirectional_gru,
    bidirectional_lstm,
    cudnn_ok,
    gru,
    lstm,
    rnn,
)
