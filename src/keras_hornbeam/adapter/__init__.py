# ruff: noqa: F401
"""The modules of a backend of Keras, by `hornbeam.ops`. Keras imports them as keras.src.backend.hornbeam."""

from keras.src.backend.common.name_scope import name_scope

from keras_hornbeam.adapter import core, distribution_lib, image, linalg, math, nn, numpy, random
from keras_hornbeam.adapter.core import (
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
from keras_hornbeam.adapter.rnn import (
    bidirectional_gru,
    bidirectional_lstm,
    cudnn_ok,
    gru,
    lstm,
    rnn,
)
