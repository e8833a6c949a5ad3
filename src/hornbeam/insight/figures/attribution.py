"""Attribution of a model's output to its input: saliency, Grad-CAM, occlusion.

All three explain the score of a class: its output before the softmax or sigmoid that ends the model, if one
does. The class with the highest score is explained by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import layers, ops
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int
from hornbeam.config import image_data_format
from hornbeam.core.convert import as_tensor
from hornbeam.core.grad import gradients
from hornbeam.core.jit import jit
from hornbeam.core.tensor import Tensor
from hornbeam.insight.figures.activations import batch_of, call_with_output, is_channels_first, layer_of
from hornbeam.models import Model
from hornbeam.ops.crossentropy import score_behind
from hornbeam.visualization.figure import Figure, save_if, square_columns
from hornbeam.visualization.panels import ImagePanel

_MOST_SAMPLES = 9


def saliency(
    model: Model,
    x: ArrayLike,
    target: int | Sequence[int] | None = None,
    *,
    path: str | Path | None = None,
) -> Figure:
    """Draw how much the score of a class changes with each input value.

    Formula: `|d score / d x|`, of images the largest value over the channels.

    Args:
        model: Model with one input and one output.
        x: Batch (n, ...) or one sample.
        target: Class, or one class a sample; the predicted classes by default.
        path: File that is written.

    Returns:
        Figure whose `data` are the gradients (n, ...), with their signs and all channels.

    Raises:
        ValueError: If the model has no such class.

    Example:
        >>> saliency(model, x[:4], path="saliency.png").data.shape  # doctest: +SKIP
        (4, 28, 28, 1)

    Source: Simonyan, Vedaldi, Zisserman 2014, https://arxiv.org/abs/1312.6034.
    """
    batch = _float_batch(model, x)
    classes = _classes(model, batch, target)

    def run(inputs: Tree, classes: Any) -> Any:
        tensor = as_tensor(inputs)
        return gradients(ops.sum(_chosen_scores(_scores(model, tensor), classes)), [tensor])[0]

    grads = np.asarray(jit(run)(batch, classes))
    heat = np.abs(grads)
    maps = heat.max(1 if _channels_first() else -1) if batch.ndim == 4 else heat
    return save_if(_map_figure("Saliency", batch, maps, classes, grads), path)


def grad_cam(
    model: Model,
    x: ArrayLike,
    target: int | Sequence[int] | None = None,
    *,
    layer: layers.Layer | str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw the regions of an image that increase the score of a class.

    Formula: `relu(sum_k a_k A_k)`, where `A_k` are the channels of a layer's output and `a_k` the mean over
    its positions of `d score / d A_k`; resized to the image.

    Args:
        model: Model with one input and one output.
        x: Batch of images (n, h, w, c), or one image.
        target: Class, or one class a sample; the predicted classes by default.
        layer: Layer with outputs (n, h, w, channels), or its name; the last such layer by default.
        path: File that is written.

    Returns:
        Figure whose `data` is a dict of "maps" (n, h', w') at the layer's positions, "enlarged" (n, h, w) and
        the name of the "layer".

    Raises:
        ValueError: If the layer's output is not (n, h, w, channels).

    Example:
        >>> grad_cam(model, x[:4], layer="conv_2", path="cam.png")  # doctest: +SKIP

    Source: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391.
    """
    batch = _float_batch(model, x)
    classes = _classes(model, batch, target)
    part = layer_of(model, layer) if layer is not None else _last_spatial_layer(model, batch)

    def run(inputs: Tree, classes: Any) -> Any:
        output, maps = call_with_output(model, inputs, part)
        scores = _as_scores(model, output)
        if len(maps.shape) != 4:
            raise ValueError(
                f"the output of layer {part.name!r} has shape {maps.shape}: Grad-CAM needs (n, h, w, "
                "channels)"
            )
        grads = gradients(ops.sum(_chosen_scores(scores, classes)), [maps])[0]
        spatial, channel = ((2, 3), 1) if is_channels_first(part) else ((1, 2), 3)
        weights = ops.mean(grads, axis=spatial, keepdims=True)
        return ops.relu(ops.sum(weights * maps, axis=channel))

    maps = np.asarray(jit(run)(batch, classes))
    size = _image_size(batch)
    enlarged = np.asarray(ops.image.resize(maps[..., None], size, interpolation="bilinear"))[..., 0]
    data = {"maps": maps, "enlarged": enlarged, "layer": part.name}
    return save_if(_map_figure(f"Grad-CAM at {part.name}", batch, enlarged, classes, data), path)


def occlusion(
    model: Model,
    x: ArrayLike,
    target: int | Sequence[int] | None = None,
    *,
    size: int = 4,
    stride: int | None = None,
    value: float = 0.0,
    batch_size: int = 128,
    path: str | Path | None = None,
) -> Figure:
    """Draw how much the score of a class drops when a square of the image is covered.

    The drop of a pixel is the mean over the squares that cover it.

    Args:
        model: Model with one input and one output.
        x: Batch of images (n, h, w, c) or (n, h, w), or one image.
        target: Class, or one class a sample; the predicted classes by default.
        size: Side of a square in pixels.
        stride: Distance of squares in pixels, half of the size by default.
        value: Value of covered pixels.
        batch_size: Number of images in a batch.
        path: File that is written.

    Returns:
        Figure whose `data` are the drops (n, h, w), negative where the score rises.

    Raises:
        ValueError: If the samples are not images, or a square is larger than an image.

    Example:
        >>> occlusion(model, x[:2], size=6, path="occlusion.png")  # doctest: +SKIP

    Source: Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901.
    """
    batch = _float_batch(model, x)
    if batch.ndim not in (3, 4):
        raise ValueError(f"occlusion covers squares of images, got samples of shape {batch.shape[1:]}")
    height, width = _image_size(batch)
    size = check_int("size", size, 1)
    step = check_int("stride", stride if stride is not None else max(size // 2, 1), 1)
    if size > min(height, width):
        raise ValueError(f"size={size} is larger than the image, {height}×{width}")
    classes = _classes(model, batch, target)
    score = jit(lambda inputs, classes: _chosen_scores(_scores(model, inputs), classes))
    uncovered = np.asarray(score(batch, classes))
    drops, cover_counts = np.zeros((len(batch), height, width)), np.zeros((height, width))
    corners = [(top, left) for top in _starts(height, size, step) for left in _starts(width, size, step)]
    squares = max(batch_size // len(batch), 1)
    for start in range(0, len(corners), squares):
        chosen = corners[start : start + squares]
        covered = np.repeat(batch[None], len(chosen), axis=0)
        for images, (top, left) in zip(covered, chosen, strict=True):
            window = (slice(top, top + size), slice(left, left + size))
            last_axes = images.ndim == 3 or _channels_first()
            images[(..., *window) if last_axes else (slice(None), *window)] = value
        scores = np.asarray(score(covered.reshape(-1, *batch.shape[1:]), np.tile(classes, len(chosen))))
        for drop, (top, left) in zip(uncovered - scores.reshape(len(chosen), -1), chosen, strict=True):
            drops[:, top : top + size, left : left + size] += drop[:, None, None]
            cover_counts[top : top + size, left : left + size] += 1
    drops /= np.maximum(cover_counts, 1)
    figure = _map_figure(f"Occlusion by {size}×{size}", batch, np.maximum(drops, 0), classes, drops)
    return save_if(figure, path)


def _starts(length: int, size: int, step: int) -> list[int]:
    """Return the starts of squares; the last square ends with the image."""
    starts = list(range(0, length - size + 1, step))
    return starts if starts[-1] == length - size else [*starts, length - size]


# -- scores --------------------------------------------------------------------------------------------------


def _scores(model: Model, x: Tree) -> Tensor:
    """Return the scores (n, classes) before the last softmax or sigmoid."""
    return _as_scores(model, model(x, training=False))


def _as_scores(model: Model, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(f"model {model.name!r} has several outputs: build a model with one of them")
    output = score_behind(output)
    if len(output.shape) == 1:
        return ops.expand_dims(output, -1)
    return ops.reshape(output, (output.shape[0], -1)) if len(output.shape) > 2 else output


def _classes(model: Model, x: np.ndarray, target: Any) -> np.ndarray:
    """Return one class a sample. Raises ValueError for classes that the model does not have."""
    scores = np.asarray(jit(lambda batch: _scores(model, batch))(x))
    if target is None:
        return scores.argmax(-1).astype("int32")
    classes = np.broadcast_to(np.asarray(target, "int32"), (len(x),))
    if classes.min() < 0 or classes.max() >= scores.shape[-1]:
        raise ValueError(f"target must be a class of 0 ... {scores.shape[-1] - 1}, got {target!r}")
    return classes


def _chosen_scores(scores: Tensor, classes: Any) -> Tensor:
    """Return the score of each sample's class."""
    return ops.sum(scores * ops.one_hot(classes, scores.shape[-1], dtype=scores.dtype), axis=-1)


# -- images --------------------------------------------------------------------------------------------------


def _float_batch(model: Model, x: Tree) -> np.ndarray:
    array = np.asarray(batch_of(model, x))
    if array.dtype.kind in "iub":
        array = array.astype("float32")
    if array.ndim < 2:
        raise ValueError(f"x must be a batch of samples, or one of them, got shape {array.shape}")
    return array


def _channels_first() -> bool:
    return image_data_format() == "channels_first"


def _image_size(batch: np.ndarray) -> tuple[int, int]:
    """Return height and width of a batch of images."""
    return tuple(batch.shape[2:4] if batch.ndim == 4 and _channels_first() else batch.shape[1:3])


def _last_spatial_layer(model: Model, batch: np.ndarray) -> Any:
    """Return the last layer with outputs (n, h, w, channels) of more than one position."""
    from hornbeam.diagnostics.capture import capture_layer_calls

    spatial: list[Any] = []

    def run(inputs: Tree) -> Any:
        with capture_layer_calls() as calls:
            result = model(inputs, training=False)
        for call in calls:
            shape = call.outputs[0].shape if call.outputs else ()
            inner = hasattr(call.layer, "summary")  # a model, whose layers are recorded themselves
            sizes = shape[2:] if is_channels_first(call.layer) else shape[1:3]
            if not inner and len(shape) == 4 and max(sizes) > 1:
                spatial.append(call.layer)
        return result

    jit(run)(batch[:1])
    if not spatial:
        raise ValueError(f"model {model.name!r} has no layer with spatial outputs: name a layer with layer=")
    return spatial[-1]


def _map_figure(title: str, batch: np.ndarray, maps: np.ndarray, classes: np.ndarray, data: Any) -> Figure:
    """Draw maps over images, or maps of vectors as rows."""
    panels = []
    for image, heat, label in list(zip(batch, maps, classes, strict=True))[:_MOST_SAMPLES]:
        if heat.ndim == 1:
            panels.append(ImagePanel(heat[None], f"class {label}", "heat", low=0.0))
        else:
            panels.append(ImagePanel(_background(image), f"class {label}", overlay=heat))
    places = "; ".join(
        f"class {label}: {_strongest(heat)}" for heat, label in zip(maps, classes, strict=True)
    )
    alt = f"{title} of {len(batch)} samples. {places}."
    return Figure(title, alt, panels, square_columns(len(panels)), data)


def _strongest(heat: np.ndarray) -> str:
    """Return the position of the largest value in words."""
    if not heat.max() > 0:
        return "no region increases it"
    position = np.unravel_index(int(heat.argmax()), heat.shape)
    return f"strongest at {', '.join(str(int(i)) for i in position)}"


def _background(image: np.ndarray) -> np.ndarray:
    """Return an image as (h, w) or (h, w, 3), scaled to [0, 1]."""
    if image.ndim == 3 and _channels_first():
        image = image.transpose(1, 2, 0)
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low if high > low else 1.0)
    if scaled.ndim == 3 and scaled.shape[-1] != 3:
        return scaled[..., 0] if scaled.shape[-1] == 1 else scaled.mean(-1)
    return scaled
