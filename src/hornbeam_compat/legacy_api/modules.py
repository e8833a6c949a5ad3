"""Modules and names of Keras 1 and 2, and their present ones."""

from __future__ import annotations

_LAYERS = (
    "advanced_activations convolutional convolutional_recurrent core cudnn_recurrent embeddings experimental "
    "experimental.preprocessing local merge noise normalization normalization.batch_normalization pooling "
    "preprocessing recurrent rnn wrappers"
)
_UTILS = (
    "np_utils generic_utils vis_utils data_utils layer_utils io_utils training_utils visualize_util tf_utils"
)

_ROOT = (
    "api api._v2 api._v2.keras engine engine.base_layer engine.input_layer engine.sequential "
    "engine.topology engine.training"
)

# Module of Keras 1 or 2 -> module of Keras 3 with its names.
MOVED_MODULES: dict[str, str] = {
    **{f"layers.{name}": "layers" for name in _LAYERS.split()},
    **{f"utils.{name}": "utils" for name in _UTILS.split()},
    **{name: "" for name in _ROOT.split()},
    "backend.tensorflow_backend": "backend",
    "callbacks.callbacks": "callbacks",
    "legacy.layers": "layers",
    "objectives": "losses",
    "optimizers.experimental": "optimizers",
    "optimizers.legacy": "optimizers",
    "optimizers.optimizer_v2": "optimizers",
    "wrappers.scikit_learn": "wrappers",
}

# Removed module -> the file in this folder with its content.
LEGACY_MODULES = {"preprocessing.text": "text", "utils.conv_utils": "conv_utils"}

# Module -> the file in this folder with its removed names. The file's REPLACEMENTS lists them.
LEGACY_NAMES = {
    **LEGACY_MODULES,
    "backend": "backend",
    "layers": "layers",
    "losses": "losses",
    "preprocessing.sequence": "sequence",
    "utils": "conv_utils",
}

# (module, earlier name) -> present name in the same module.
RENAMED = {
    ("", "get_source_inputs"): "utils.get_source_inputs",
    ("callbacks", "BaseLogger"): "Callback",
    ("initializers", "normal"): "RandomNormal",
    ("initializers", "uniform"): "RandomUniform",
    ("layers", "CuDNNGRU"): "GRU",
    ("layers", "CuDNNLSTM"): "LSTM",
    ("layers", "Deconvolution2D"): "Conv2DTranspose",
    ("losses", "cosine_proximity"): "cosine_similarity",
    ("metrics", "cosine_proximity"): "cosine_similarity",
    **{
        ("optimizers", name.lower()): name
        for name in ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam")
    },
    ("utils", "plot"): "plot_model",
}
