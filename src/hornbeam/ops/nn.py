"""Neural-network functions under Keras's names, re-exported from the modules that define them."""

# ruff: noqa: I001
from __future__ import annotations


from hornbeam._internal.lazy_imports import explain_missing

# fmt: off
from hornbeam.ops.activation import (
    celu, elu, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_swish, hard_tanh, leaky_relu,
    log_sigmoid, log_softmax, relu, relu6, selu, silu, soft_shrink, softmax, softplus, softsign,
    sparse_plus, sparse_sigmoid, sparsemax, squareplus, swish, tanh_shrink, threshold,
)
from hornbeam.ops.attention import dot_product_attention
from hornbeam.ops.convolution import (
    adaptive_average_pool, adaptive_max_pool, average_pool, conv, conv_transpose, depthwise_conv, max_pool,
    separable_conv,
)
from hornbeam.ops.crossentropy import (
    binary_crossentropy, categorical_crossentropy, multi_hot, one_hot, sparse_categorical_crossentropy,
)
from hornbeam.ops.ctc import (
    ctc_decode, ctc_loss,
)
from hornbeam.ops.complex_numbers import (
    polar,
)
from hornbeam.ops.elementwise import (
    sigmoid,
)
from hornbeam.ops.image import psnr
from hornbeam.ops.normalization import (
    batch_normalization, layer_normalization, moments, normalize, rms_normalization,
)
from hornbeam.ops.rearranging import (
    depth_to_space, fold, space_to_depth, unfold,
)
# fmt: on

# fmt: off
__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization",
    "binary_crossentropy", "categorical_crossentropy", "celu", "conv", "conv_transpose", "ctc_decode",
    "ctc_loss", "depth_to_space", "depthwise_conv", "dot_product_attention", "elu", "fold", "gelu", "glu",
    "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "layer_normalization",
    "leaky_relu", "log_sigmoid", "log_softmax", "max_pool", "moments", "multi_hot", "normalize", "one_hot",
    "polar", "psnr", "relu", "relu6", "rms_normalization", "selu", "separable_conv", "sigmoid", "silu",
    "soft_shrink", "softmax", "softplus", "softsign", "space_to_depth", "sparse_categorical_crossentropy",
    "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh_shrink", "threshold",
    "unfold",
]
# fmt: on


explain_missing(__name__)
