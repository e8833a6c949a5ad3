"""Looks into a model: its filters, and what its layers make of a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import layers, tree
from hornbeam._internal.naming import nearest
from hornbeam.core.jit import jit
from hornbeam.core.tensor import Tensor
from hornbeam.visualization.figure import Figure, ImagePanel, saved, square


def layer_of(model: Any, layer: Any) -> Any:
    """A layer of the model (or of a model inside), given itself or by name. Raises ValueError."""
    if not isinstance(layer, str):
        return layer
    found = [part for part in model._flatten_layers() if getattr(part, "name", None) == layer]
    if not found:
        names = [part.name for part in model.layers]
        raise ValueError(
            f"model {model.name!r} has no layer {layer!r}.{nearest(layer, names)} It has: {names}"
        )
    return found[0]


def batch_of(model: Any, x: Any) -> Any:
    """Arrays with a batch axis: a single sample gets one where the model says what a sample is."""
    symbols = getattr(model, "_symbolic_inputs", None)
    if symbols is None:
        return tree.map_structure(np.asarray, x)

    def widened(value: Any, symbol: Any) -> np.ndarray:
        array = np.asarray(value)
        return array[None] if array.ndim == len(symbol.shape) - 1 else array

    flat = [widened(v, s) for v, s in zip(tree.flatten(x), tree.flatten(symbols), strict=True)]
    return tree.pack_sequence_as(x, flat)


def called(model: Any, batch: Any, layer: Any) -> tuple[Any, Tensor]:
    """In a traced function: what the model gives in inference, and the first output of a layer's first call.
    Raises ValueError if the layer does not run."""
    from hornbeam.diagnostics.capture import capture_layer_calls

    with capture_layer_calls() as calls:
        result = model(batch, training=False)
    outputs = [call.outputs[0] for call in calls if call.layer is layer and call.outputs]
    if not outputs:
        raise ValueError(f"layer {layer.name!r} does not run when the model is called")
    return result, outputs[0]


def activations(model: Any, x: Any, layer: Any) -> np.ndarray:
    """What a layer gives (its first output in its first call) for a batch, in inference.

    model: any built model. x: a batch, or one sample. layer: a layer, or its name. Returns the array (n,
    ...). Raises ValueError for a layer that is not there, or does not run.

    >>> activations(model, x[:100], "conv_1").shape  # doctest: +SKIP
    (100, 26, 26, 32)
    """
    part = layer_of(model, layer)

    return np.asarray(jit(lambda batch: called(model, batch, part)[1])(batch_of(model, x)))


def plot_activations(
    model: Any, x: Any, layer: Any, *, limit: int = 32, path: str | Path | None = None
) -> Figure:
    """What a layer makes of one sample: a figure for each channel, the first `limit` of them.

    x: one sample (of a batch, the first one is shown). path: write the figure there. `data` is the array of
    the layer's output without the batch axis. Raises what `activations` raises.

    >>> plot_activations(model, x[0], "conv_1", path="maps.png")  # doctest: +SKIP
    """
    part = layer_of(model, layer)
    values = activations(model, x, part)[0]
    first = getattr(part, "data_format", "channels_last") == "channels_first"
    ordered = np.moveaxis(values, 0, -1) if first and values.ndim > 2 else values
    silent = int((np.abs(ordered.reshape(-1, ordered.shape[-1])).max(0) == 0).sum()) if ordered.ndim else 0
    panels = [ImagePanel(image, title=name, palette="heat") for name, image in _maps(ordered, limit)]
    title = f"{part.name} on one sample"
    alt = (
        f"Output of layer {part.name}, {'×'.join(map(str, values.shape))}: mean {values.mean():.3g}, from "
        f"{values.min():.3g} to {values.max():.3g}, {np.mean(values == 0):.0%} of the values are 0, {silent} "
        f"channel{'s are' if silent != 1 else ' is'} 0 throughout."
    )
    return saved(Figure(title, alt, panels, square(len(panels)), values), path)


def _maps(values: np.ndarray, limit: int) -> list[tuple[str, np.ndarray]]:
    """Images (h, w) out of an output: a channel each; steps by features are one image, a row is one too."""
    if values.ndim == 3:
        return [(f"channel {k}", values[..., k]) for k in range(min(values.shape[-1], limit))]
    if values.ndim == 4:
        middle = values.shape[0] // 2
        return [(f"channel {k}", values[middle, ..., k]) for k in range(min(values.shape[-1], limit))]
    return [("", values.T if values.ndim == 2 else np.atleast_2d(values))]


# -- filters ------------------------------------------------------------------------------------------------


def plot_filters(model: Any, layer: Any = None, *, limit: int = 64, path: str | Path | None = None) -> Figure:
    """The weights of a layer as figures: what each filter or unit looks for.

    layer: a convolution, or a Dense right behind a Flatten of images; by default the first such layer.
    Filters over 3 channels are shown in colours, over more in rows, a figure a channel. Grey in the middle
    of the scale is 0. limit: figures at most. `data`: the kernels (filters, h, w, channels). Raises
    ValueError for other layers.

    >>> plot_filters(model, "conv_1", path="filters.svg")  # doctest: +SKIP
    """
    part = layer_of(model, layer) if layer is not None else _first_with_filters(model)
    kernels = _kernels(model, part)
    if kernels is None:
        raise ValueError(
            f"layer {part.name!r} ({type(part).__name__}) has no filters that are figures: take a "
            "convolution, or a Dense behind a Flatten of images"
        )
    count, _, _, channels = kernels.shape
    top = float(np.abs(kernels).max()) or 1.0
    if channels == 3:
        panels = [ImagePanel(0.5 + k / (2 * top), title=str(i)) for i, k in enumerate(kernels[:limit])]
        columns = square(len(panels))
    else:
        wide = min(channels, 8)
        chosen = [(i, c) for i in range(count) for c in range(wide)][:limit]
        panels = [
            ImagePanel(kernels[i, ..., c], f"{i}" if channels == 1 else f"{i}, from {c}", "signed", -top, top)
            for i, c in chosen
        ]
        columns = square(len(panels)) if channels == 1 else wide
    size = f"{kernels.shape[1]}×{kernels.shape[2]} over {channels} channel{'s' * (channels != 1)}"
    weights = f"weights from {kernels.min():.3g} to {kernels.max():.3g}"
    alt = f"{count} filters of layer {part.name}, {size}; {weights}."
    return saved(Figure(f"Filters of {part.name}", alt, panels, columns, kernels), path)


def _first_with_filters(model: Any) -> Any:
    for part in model._flatten_layers():
        if part is not model and _kernels(model, part) is not None:
            return part
    raise ValueError(f"model {model.name!r} has no layer with filters that are figures")


def _kernels(model: Any, layer: Any) -> np.ndarray | None:
    """(filters, h, w, channels), or None for a layer that has none."""
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
    shape = _flattened(layer) if isinstance(layer, layers.Dense) else ()
    if not shape:
        return None
    kernel = np.asarray(layer.kernel)
    return kernel.T.reshape(kernel.shape[1], *shape, *([1] if len(shape) == 2 else []))


def _flattened(layer: Any) -> Sequence[int]:
    """The shape of the images that a Flatten right in front of a layer lays out, () if there is none."""
    for call in layer._inbound:
        for x in call.inputs:
            before = x.history
            while before is not None and isinstance(before.operation, (layers.Dropout, layers.Rescaling)):
                before = before.inputs[0].history
            if before is None or not isinstance(before.operation, layers.Flatten):
                continue
            shape = before.inputs[0].shape[1:]
            if None not in shape and (len(shape) == 2 or (len(shape) == 3 and shape[-1] in (1, 3))):
                return shape
    return ()
