"""`keras.utils.conv_utils` of Keras 2: arguments and sizes of convolutions, which custom layers compute."""

from __future__ import annotations

from hornbeam import Model, layers, ops
from hornbeam_compat.keras_src.arguments import (
    compute_conv_output_shape,
    standardize_data_format,
    standardize_tuple,
)

# Name -> its replacement.
REPLACEMENTS = {
    "conv_output_length": "compute_output_shape() of the layer",
    "convert_all_kernels_in_model": "layer.kernel.assign(keras.ops.flip(layer.kernel, spatial_axes))",
    "normalize_data_format": "keras.config.image_data_format() for None",
    "normalize_padding": "padding.lower()",
    "normalize_tuple": "(n, n)",
}
__all__ = [*REPLACEMENTS]
normalize_data_format = standardize_data_format
normalize_padding = str.lower
normalize_tuple = standardize_tuple


def conv_output_length(
    input_length: int | None, filter_size: int, padding: str, stride: int, dilation: int = 1
) -> int | None:
    """Return the size of an axis after a convolution, None for an unknown one."""
    sizes = (filter_size,), stride, padding
    return compute_conv_output_shape((None, input_length, 1), 1, *sizes, dilation_rate=dilation)[1]


def convert_all_kernels_in_model(model: Model) -> None:
    """Flip the kernels of convolutions along their windows, as from Theano."""
    for layer in model.layers:
        if isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.Conv2DTranspose)):
            layer.kernel.assign(ops.flip(layer.kernel, tuple(range(len(layer.kernel.shape) - 2))))
