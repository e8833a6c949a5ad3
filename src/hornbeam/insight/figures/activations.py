"""Outputs of layers for samples, and filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import layers, tree
from hornbeam._internal.naming import abbreviate, nearest
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam.core.jit import jit
from hornbeam.core.operation import inbound_calls
from hornbeam.core.tensor import Tensor
from hornbeam.layers import Layer
from hornbeam.layers.weights import flatten_layers
from hornbeam.models import Model
from hornbeam.visualization.figure import Figure, save_if, square_columns
from hornbeam.visualization.panels import ImagePanel


def layer_of(model: Model, layer: Layer | str) -> Layer:
    """Return a layer of the model, or of a model inside, by name or itself. Raises ValueError."""
    if not isinstance(layer, str):
        return layer
    for part in flatten_layers(model):
        if getattr(part, "name", None) == layer:
            return part
    names = [part.name for part in model.layers]
    raise ValueError(
        f"model {model.name!r} has no layer {layer!r}.{nearest(layer, names)} Its layers are: "
        f"{abbreviate(str(layer), names)}"
    )


def batch_of(model: Model, x: Tree) -> Tree:
    """Return arrays with a batch axis, which single samples get where the model's inputs are known."""
    symbols = getattr(model, "_symbolic_inputs", None)
    if symbols is None:
        return tree.map_structure(np.asarray, x)

    def with_batch_axis(value: Any, symbol: Any) -> np.ndarray:
        array = np.asarray(value)
        return array[None] if array.ndim == len(symbol.shape) - 1 else array

    flat = [with_batch_axis(v, s) for v, s in zip(tree.flatten(x), tree.flatten(symbols), strict=True)]
    return tree.pack_sequence_as(x, flat)


def call_with_output(model: Model, batch: Tree, layer: Layer) -> tuple[Any, Tensor]:
    """Call the model in inference; return its output and the first output of a layer's first call.

    For traced functions. Raises ValueError if the layer does not run.
    """
    from hornbeam.diagnostics.capture import capture_layer_calls

    with capture_layer_calls() as calls:
        result = model(batch, training=False)
    outputs = [call.outputs[0] for call in calls if call.layer is layer and call.outputs]
    if not outputs:
        raise ValueError(f"layer {layer.name!r} does not run when the model is called")
    return result, outputs[0]


def is_channels_first(layer: Layer) -> bool:
    """Return True for a layer whose channels precede the spatial axes."""
    return getattr(layer, "data_format", "channels_last") == "channels_first"


def activations(model: Model, x: ArrayLike, layer: layers.Layer | str) -> np.ndarray:
    """Compute the output of a layer in inference.

    Args:
        model: Built model.
        x: Batch of samples, or one sample.
        layer: Layer or its name.

    Returns:
        Array (n, ...), the first output of the layer's first call.

    Raises:
        ValueError: If the model has no such layer, or the layer does not run.

    Example:
        >>> activations(model, x[:100], "conv_1").shape  # doctest: +SKIP
        (100, 26, 26, 32)
    """
    part = layer_of(model, layer)
    run = jit(lambda batch: call_with_output(model, batch, part)[1])
    return np.asarray(run(batch_of(model, x)))


def plot_activations(
    model: Model,
    x: ArrayLike,
    layer: layers.Layer | str,
    *,
    limit: int = 32,
    path: str | Path | None = None,
) -> Figure:
    """Draw the output of a layer for one sample, one image a channel.

    Args:
        model: Built model.
        x: One sample, or a batch of which the first one is drawn.
        layer: Layer or its name.
        limit: Most channels that are drawn.
        path: File that is written.

    Returns:
        Figure whose `data` is the layer's output without the batch axis.

    Raises:
        ValueError: If the model has no such layer, or the layer does not run.

    Example:
        >>> plot_activations(model, x[0], "conv_1", path="maps.png")  # doctest: +SKIP
    """
    part = layer_of(model, layer)
    values = activations(model, x, part)[0]
    channels_last = np.moveaxis(values, 0, -1) if is_channels_first(part) and values.ndim > 2 else values
    panels = [ImagePanel(image, name, "heat") for name, image in _channel_images(channels_last, limit)]
    silent = 0
    if channels_last.ndim:
        flat = channels_last.reshape(-1, channels_last.shape[-1])
        silent = int((np.abs(flat).max(0) == 0).sum())
    alt = (
        f"Output of layer {part.name}, {'×'.join(map(str, values.shape))}: mean {values.mean():.3g}, from "
        f"{values.min():.3g} to {values.max():.3g}, {np.mean(values == 0):.0%} of the values are 0, {silent} "
        f"channel{'s are' if silent != 1 else ' is'} 0 throughout."
    )
    figure = Figure(f"{part.name} on one sample", alt, panels, square_columns(len(panels)), values)
    return save_if(figure, path)


def _channel_images(values: np.ndarray, limit: int) -> list[tuple[str, np.ndarray]]:
    """Return an image (h, w) a channel; sequences and vectors are one image."""
    if values.ndim == 3:
        return [(f"channel {k}", values[..., k]) for k in range(min(values.shape[-1], limit))]
    if values.ndim == 4:
        middle = values.shape[0] // 2
        return [(f"channel {k}", values[middle, ..., k]) for k in range(min(values.shape[-1], limit))]
    return [("", values.T if values.ndim == 2 else np.atleast_2d(values))]


# -- filters ------------------------------------------------------------------------------------------------


def plot_filters(
    model: Model,
    layer: layers.Layer | str | None = None,
    *,
    limit: int = 64,
    path: str | Path | None = None,
) -> Figure:
    """Draw the filters of a layer.

    Filters over 3 channels are drawn in colors. Filters over more channels are rows, one image a channel, in
    which grey is 0.

    Args:
        model: Built model.
        layer: Convolution, or a Dense after a Flatten of images, or its name; the first such layer by
            default.
        limit: Most images that are drawn.
        path: File that is written.

    Returns:
        Figure whose `data` are the kernels (filters, h, w, channels).

    Raises:
        ValueError: If the layer has no filters over images.

    Example:
        >>> plot_filters(model, "conv_1", path="filters.svg")  # doctest: +SKIP
    """
    part = layer_of(model, layer) if layer is not None else _first_with_filters(model)
    kernels = _kernels(part)
    if kernels is None:
        raise ValueError(
            f"layer {part.name!r} ({type(part).__name__}) has no filters over images: choose a convolution, "
            "or a Dense after a Flatten of images"
        )
    count, _, _, channels = kernels.shape
    top = float(np.abs(kernels).max()) or 1.0
    if channels == 3:
        panels = [ImagePanel(0.5 + k / (2 * top), title=str(i)) for i, k in enumerate(kernels[:limit])]
        columns = square_columns(len(panels))
    else:
        shown = min(channels, 8)
        pairs = [(i, c) for i in range(count) for c in range(shown)][:limit]
        panels = [
            ImagePanel(kernels[i, ..., c], f"{i}" if channels == 1 else f"{i}, from {c}", "signed", -top, top)
            for i, c in pairs
        ]
        columns = square_columns(len(panels)) if channels == 1 else shown
    size = f"{kernels.shape[1]}×{kernels.shape[2]} over {channels} channel{'s' * (channels != 1)}"
    weights = f"weights from {kernels.min():.3g} to {kernels.max():.3g}"
    alt = f"{count} filters of layer {part.name}, {size}; {weights}."
    return save_if(Figure(f"Filters of {part.name}", alt, panels, columns, kernels), path)


def _first_with_filters(model: Model) -> Any:
    for part in flatten_layers(model):
        if part is not model and _kernels(part) is not None:
            return part
    raise ValueError(f"model {model.name!r} has no layer with filters over images")


def _kernels(layer: Any) -> np.ndarray | None:
    """Return the kernels (filters, h, w, channels) of a layer, None if it has none."""
    if not getattr(layer, "built", False):
        return None
    if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.Conv2DTranspose)):
        kernel = np.asarray(layer.kernel)
        if isinstance(layer, layers.Conv2D):
            return kernel.transpose(3, 0, 1, 2)
        if isinstance(layer, layers.Conv2DTranspose):
            return kernel.transpose(2, 0, 1, 3)
        return kernel.transpose(2, 3, 0, 1).reshape(-1, *kernel.shape[:2], 1)
    if isinstance(layer, layers.SeparableConv2D):
        kernel = np.asarray(layer.depthwise_kernel)
        return kernel.transpose(2, 3, 0, 1).reshape(-1, *kernel.shape[:2], 1)
    if isinstance(layer, layers.Conv1D):
        return np.asarray(layer.kernel).transpose(2, 1, 0)[..., None]
    shape = _flattened_shape(layer) if isinstance(layer, layers.Dense) else ()
    if not shape:
        return None
    kernel = np.asarray(layer.kernel)
    return kernel.T.reshape(kernel.shape[1], *shape, *([1] if len(shape) == 2 else []))


def _flattened_shape(layer: Layer) -> Sequence[int]:
    """Return the shape of the images that a Flatten in front of a layer flattens, or ()."""
    for call in inbound_calls(layer):
        for x in call.inputs:
            source = x.history
            while source is not None and isinstance(source.callee, (layers.Dropout, layers.Rescaling)):
                source = source.inputs[0].history
            if source is None or not isinstance(source.callee, layers.Flatten):
                continue
            shape = source.inputs[0].shape[1:]
            if None not in shape and (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))):
                return shape
    return ()
