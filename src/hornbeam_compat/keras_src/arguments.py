"""Checks of arguments, and names of objects, as Keras's layers use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from hornbeam.extensions.layers import standard_data_format as standardize_data_format
from hornbeam.extensions.packages import to_snake_case as to_snake_case
from hornbeam.extensions.packages import unique_name

__all__ = [
    "auto_name",
    "class_weight_to_sample_weights",
    "compute_conv_output_shape",
    "obtain_input_shape",
    "standardize_data_format",
    "standardize_tuple",
    "to_snake_case",
]


def auto_name(prefix: str) -> str:
    """Return a name for an object: the prefix in snake case, numbered from the second on.

    Args:
        prefix: Name of its class.
    """
    return unique_name(to_snake_case(prefix))


def standardize_tuple(
    value: int | Sequence[int], n: int, name: str, allow_zero: bool = False
) -> tuple[int, ...]:
    """Return `n` integers; one integer is repeated.

    Args:
        value: Integer or `n` of them.
        n: Their number.
        name: Name of the argument, for the error.
        allow_zero: Whether 0 is allowed.

    Raises:
        ValueError: For anything else.
    """
    sizes = (value,) * n if isinstance(value, (int, np.integer)) else tuple(value)
    minimum = 0 if allow_zero else 1
    if len(sizes) != n or not all(isinstance(x, (int, np.integer)) and x >= minimum for x in sizes):
        raise ValueError(f"{name} must be {n} integers, each at least {minimum}, got {value!r}")
    return tuple(map(int, sizes))


def obtain_input_shape(
    input_shape: Sequence[int | None] | None, default_size: int, min_size: int, data_format: str,
    require_flatten: bool, weights: str | None = None,
) -> tuple[int | None, ...]:  # fmt: skip
    """Return the shape of one image of an image model: the one asked for, checked, or the default.

    Args:
        input_shape: Shape of one image, or None.
        default_size: Default height and width.
        min_size: Least height and width.
        data_format: "channels_last" or "channels_first".
        require_flatten: Whether the size must be known (`include_top`).
        weights: "imagenet" wants three channels, and the default size with `require_flatten`.

    Raises:
        ValueError: If the shape does not fit.
    """
    last = data_format != "channels_first"

    def shape(side: int | None, channels: int | None) -> tuple[int | None, ...]:
        return (side, side, channels) if last else (channels, side, side)

    pretrained = weights == "imagenet"
    if not input_shape:
        return shape(default_size if require_flatten else None, 3)
    result = tuple(input_shape)
    if len(result) != 3:
        raise ValueError(f"input_shape must be that of one image, three sizes, got {result}")
    channels, sides = (result[-1], result[:2]) if last else (result[0], result[1:])
    if pretrained and channels != 3:
        raise ValueError(f"weights='imagenet' is for images of 3 channels, got input_shape={result}")
    if pretrained and require_flatten and result != shape(default_size, channels):
        raise ValueError(
            f"include_top=True with weights='imagenet' wants input_shape={shape(default_size, 3)}, "
            f"got {result}"
        )
    if any(side is not None and side < min_size for side in sides):
        raise ValueError(f"images must be at least {min_size} by {min_size}, got input_shape={result}")
    if require_flatten and None in result:
        # The first words are those of Keras: packages look for them.
        raise ValueError(f"If `include_top` is True, the size must be known, got input_shape={result}")
    return result


def compute_conv_output_shape(
    input_shape: Sequence[int | None], filters: int, kernel_size: Sequence[int],
    strides: int | Sequence[int] = 1, padding: str = "valid", data_format: str = "channels_last",
    dilation_rate: int | Sequence[int] = 1,
) -> tuple[int | None, ...]:  # fmt: skip
    """Return the shape of the result of a convolution; None stays for unknown sizes.

    Args:
        input_shape: Shape (batch, ..., channels), or with channels first.
        filters: Number of filters.
        kernel_size: Sizes of the window.
        strides: Steps of the window, one or one for each axis.
        padding: "valid", "same" or "causal".
        data_format: "channels_last" or "channels_first".
        dilation_rate: Distance of the elements of the window, one or one for each axis.
    """
    rank = len(input_shape) - 2
    spatial = input_shape[1:-1] if data_format == "channels_last" else input_shape[2:]
    steps = standardize_tuple(strides, rank, "strides")
    rates = standardize_tuple(dilation_rate, rank, "dilation_rate")
    sizes: list[int | None] = []
    for size, kernel, step, rate in zip(spatial, kernel_size, steps, rates, strict=True):
        window = rate * (kernel - 1) + 1 if padding.lower() == "valid" else 1
        sizes.append(None if size is None else (size - window) // step + 1)
    batch = input_shape[0]
    return (batch, *sizes, filters) if data_format == "channels_last" else (batch, filters, *sizes)


def class_weight_to_sample_weights(y: npt.ArrayLike, class_weight: Mapping[int, float]) -> np.ndarray:
    """Return the weight of each sample's class, 1 for classes without one.

    Args:
        y: Class indices (samples,) or (samples, 1), or one-hot rows (samples, classes).
        class_weight: Dict from class indices to weights. Those of other classes are ignored.

    Raises:
        ValueError: If a key is no class index, or the labels have more axes.
    """
    for key in class_weight:
        if isinstance(key, bool) or not isinstance(key, (int, np.integer)):
            raise ValueError(f"the keys of class_weight must be class indices, got {key!r}")
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(axis=-1)
    if labels.ndim != 1:
        raise ValueError(f"class_weight needs class indices or one-hot rows, got shape {np.shape(y)}")
    return np.array([class_weight.get(int(number), 1.0) for number in np.round(labels)], np.float32)
