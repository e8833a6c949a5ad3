"""Names of layers, arguments and values in Keras 1, for its files and scripts (`compat.legacy_api`)."""

from __future__ import annotations

from collections.abc import Mapping

# Marks an argument that was removed.
REMOVED = ""

# Renamed classes.
CLASSES = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"AtrousConvolution{n}D": f"Conv{n}D" for n in (1, 2)},
    "Deconvolution2D": "Conv2DTranspose", "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}  # fmt: skip

# Arguments for the sizes of a kernel, by the number of spatial axes.
SIZES = {1: ("filter_length",), 2: ("nb_row", "nb_col"), 3: ("kernel_dim1", "kernel_dim2", "kernel_dim3")}

DATA_FORMATS = {"tf": "channels_last", "th": "channels_first"}

_DENSE = {
    "output_dim": "units", "init": "kernel_initializer", "bias": "use_bias",
    "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint",
}  # fmt: skip
_WINDOWS = {"border_mode": "padding", "dim_ordering": "data_format"}
_CONV = {
    **_DENSE, **_WINDOWS, "nb_filter": "filters", "subsample": "strides", "subsample_length": "strides",
    "filter_length": "kernel_size", "atrous_rate": "dilation_rate",
}  # fmt: skip
_POOL = {**_WINDOWS, "pool_length": "pool_size", "stride": "strides"}
_RNN = {
    **_DENSE, "inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer", "U_constraint": "recurrent_constraint",
    "dropout_W": "dropout", "dropout_U": "recurrent_dropout", "forget_bias_init": REMOVED,
    "consume_less": REMOVED, "implementation": REMOVED,
}  # fmt: skip

# Class -> earlier argument -> present one.
ARGUMENTS: dict[str, Mapping[str, str]] = {
    "Dense": _DENSE,
    **{f"Conv{n}D": _CONV for n in (1, 2, 3)},
    **{name: _CONV for name in ("SeparableConv2D", "Conv2DTranspose", "DepthwiseConv2D")},
    **{f"{kind}Pooling{n}D": _POOL for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"Global{kind}Pooling{n}D": _WINDOWS for kind in ("Max", "Average") for n in (1, 2, 3)},
    **{f"{kind}{n}D": _WINDOWS for kind in ("UpSampling", "ZeroPadding", "Cropping") for n in (2, 3)},
    "UpSampling1D": {"length": "size"},
    **{name: _RNN for name in ("LSTM", "GRU", "SimpleRNN")},
    "ConvLSTM2D": {**_RNN, **_CONV},
    "Embedding": {
        "init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer",
        "W_constraint": "embeddings_constraint", "input_length": REMOVED,
    },
    "BatchNormalization": {
        "mode": REMOVED, "gamma_init": "gamma_initializer", "beta_init": "beta_initializer",
    },
    "Dropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    **{f"SpatialDropout{n}D": {"p": "rate", "dim_ordering": "data_format"} for n in (2, 3)},
    "GaussianDropout": {"p": "rate"},
    "GaussianNoise": {"sigma": "stddev"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "PReLU": {"init": "alpha_initializer"},
}  # fmt: skip
