"""Where in its input a model's answer comes from: saliency, Grad-CAM, occlusion.

All three ask for a score: the output of a class (the likeliest one by default), before the softmax or sigmoid
that ends the model, if one does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.validation import check_int
from hornbeam.config import image_data_format
from hornbeam.core.convert import as_tensor
from hornbeam.core.grad import gradients
from hornbeam.core.jit import jit
from hornbeam.core.tensor import Tensor
from hornbeam.insight.figures.activations import batch_of, called, layer_of
from hornbeam.ops.crossentropy import score_behind
from hornbeam.visualization.figure import Figure, ImagePanel, saved, square

SHOWN = 9


def _scores(model: Any, x: Any) -> Tensor:
    """(n, classes), before the last softmax or sigmoid."""
    return _as_scores(model, model(x, training=False))


def _as_scores(model: Any, output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise ValueError(f"model {model.name!r} has several outputs: make a model with the one that is meant")
    output = score_behind(output)
    if len(output.shape) == 1:
        return ops.expand_dims(output, -1)
    return ops.reshape(output, (output.shape[0], -1)) if len(output.shape) > 2 else output


def _targets(model: Any, x: np.ndarray, target: Any) -> np.ndarray:
    """One class a sample. Raises ValueError for classes that are not there."""
    scores = np.asarray(jit(lambda batch: _scores(model, batch))(x))
    if target is None:
        return scores.argmax(-1).astype("int32")
    chosen = np.broadcast_to(np.asarray(target, "int32"), (len(x),))
    if chosen.min() < 0 or chosen.max() >= scores.shape[-1]:
        raise ValueError(f"target must be a class of 0 ... {scores.shape[-1] - 1}, got {target!r}")
    return chosen


def _chosen(scores: Tensor, targets: Any) -> Tensor:
    """The score of each sample's class."""
    return ops.sum(scores * ops.one_hot(targets, scores.shape[-1], dtype=scores.dtype), axis=-1)


def _images(model: Any, x: Any) -> np.ndarray:
    array = np.asarray(batch_of(model, x))
    if array.dtype.kind in "iub":
        array = array.astype("float32")
    if array.ndim < 2:
        raise ValueError(f"x must be a batch of samples, or one of them, got shape {array.shape}")
    return array


def saliency(model: Any, x: Any, target: Any = None, *, path: str | Path | None = None) -> Figure:
    """How much the score of a class changes with each number of the input: |d score / d x|, of an image the
    largest over its channels.

    x: a batch (n, ...) or one sample, of a model with one input. target: a class, or one a sample; by default
    the likeliest. path: write the figure there. `data`: the gradients (n, ...) with their signs, all
    channels. Raises ValueError for classes that are not there.

    Simonyan, Vedaldi, Zisserman 2014, https://arxiv.org/abs/1312.6034.

    >>> saliency(model, x[:4], path="saliency.png").data.shape  # doctest: +SKIP
    (4, 28, 28, 1)
    """
    batch = _images(model, x)
    targets = _targets(model, batch, target)

    def run(inputs: Any, classes: Any) -> Any:
        tensor = as_tensor(inputs)
        return gradients(ops.sum(_chosen(_scores(model, tensor), classes)), [tensor])[0]

    slopes = np.asarray(jit(run)(batch, targets))
    heat = np.abs(slopes)
    maps = heat.max(1 if _first() else -1) if batch.ndim == 4 else heat
    return _figure("Saliency", batch, maps, targets, slopes, path)


def grad_cam(
    model: Any, x: Any, target: Any = None, *, layer: Any = None, path: str | Path | None = None
) -> Figure:
    """Which places speak for a class: relu(sum_k a_k A_k), where A_k are the channels of a layer and a_k the
    mean over its places of d score / d A_k; enlarged to the image's size.

    x: a batch of images (n, h, w, c), or one. layer: by default the last one that gives (n, h, w, channels).
    target, path: see `saliency`. `data`: {"maps": (n, h', w') in the layer's places, "enlarged": (n, h, w)}.
    Raises ValueError for a layer that gives no images.

    Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391.

    >>> grad_cam(model, x[:4], layer="conv_2", path="cam.png")  # doctest: +SKIP
    """
    batch = _images(model, x)
    targets = _targets(model, batch, target)
    part = layer_of(model, layer) if layer is not None else _last_with_places(model, batch)

    def run(inputs: Any, classes: Any) -> Any:
        output, maps = called(model, inputs, part)
        scores = _as_scores(model, output)
        if len(maps.shape) != 4:
            raise ValueError(f"layer {part.name!r} gives {maps.shape}: Grad-CAM needs (n, h, w, channels)")
        slopes = gradients(ops.sum(_chosen(scores, classes)), [maps])[0]
        first = getattr(part, "data_format", "channels_last") == "channels_first"
        places, channel = ((2, 3), 1) if first else ((1, 2), 3)
        weights = ops.mean(slopes, axis=places, keepdims=True)
        return ops.relu(ops.sum(weights * maps, axis=channel))

    maps = np.asarray(jit(run)(batch, targets))
    size = _size(batch)
    enlarged = np.asarray(ops.image.resize(maps[..., None], size, interpolation="bilinear"))[..., 0]
    data = {"maps": maps, "enlarged": enlarged, "layer": part.name}
    return _figure(f"Grad-CAM at {part.name}", batch, enlarged, targets, data, path)


def _first() -> bool:
    """Whether images have their channels first, by the global setting."""
    return image_data_format() == "channels_first"


def _size(batch: np.ndarray) -> tuple[int, int]:
    """Height and width of a batch of images."""
    return tuple(batch.shape[2:4] if batch.ndim == 4 and _first() else batch.shape[1:3])


def _last_with_places(model: Any, batch: np.ndarray) -> Any:
    """The last layer that runs and gives (n, h, w, channels) with more than one place."""
    from hornbeam.diagnostics.capture import capture_layer_calls

    found: list[Any] = []

    def run(inputs: Any) -> Any:
        with capture_layer_calls() as calls:
            result = model(inputs, training=False)
        for call in calls:
            shape = call.outputs[0].shape if call.outputs else ()
            first = getattr(call.layer, "data_format", "channels_last") == "channels_first"
            inner = hasattr(call.layer, "summary")  # a model, whose layers were noted themselves
            if not inner and len(shape) == 4 and max(shape[2:] if first else shape[1:3]) > 1:
                found.append(call.layer)
        return result

    jit(run)(batch[:1])
    if not found:
        raise ValueError(f"model {model.name!r} has no layer with places: name one with layer=")
    return found[-1]


def occlusion(
    model: Any,
    x: Any,
    target: Any = None,
    *,
    size: int = 4,
    stride: int | None = None,
    value: float = 0.0,
    batch_size: int = 128,
    path: str | Path | None = None,
) -> Figure:
    """How much the score of a class falls when a square of the image is covered; the mean over the squares
    that cover a pixel.

    x: a batch of images (n, h, w, c) or (n, h, w), or one. size, stride: of the squares, in pixels; stride is
    half the size by default. value: what they are painted with. target, path: see `saliency`. `data`: the
    falls (n, h, w), negative where the score rises. Raises ValueError for squares larger than the image.

    Zeiler, Fergus 2014, https://arxiv.org/abs/1311.2901.

    >>> occlusion(model, x[:2], size=6, path="occlusion.png")  # doctest: +SKIP
    """
    batch = _images(model, x)
    if batch.ndim not in (3, 4):
        raise ValueError(f"occlusion covers squares of images, got samples of shape {batch.shape[1:]}")
    height, width = _size(batch)
    size = check_int("size", size, 1)
    step = check_int("stride", stride if stride is not None else max(size // 2, 1), 1)
    if size > min(height, width):
        raise ValueError(f"size={size} is larger than the image, {height}×{width}")
    targets = _targets(model, batch, target)
    score = jit(lambda inputs, classes: _chosen(_scores(model, inputs), classes))
    whole_scores = np.asarray(score(batch, targets))
    falls, covered = np.zeros((len(batch), height, width)), np.zeros((height, width))
    corners = [(top, left) for top in _starts(height, size, step) for left in _starts(width, size, step)]
    each = max(batch_size // len(batch), 1)
    for start in range(0, len(corners), each):
        chosen = corners[start : start + each]
        hidden = np.repeat(batch[None], len(chosen), axis=0)
        for images, (top, left) in zip(hidden, chosen, strict=True):
            window = (slice(top, top + size), slice(left, left + size))
            images[(..., *window) if images.ndim == 3 or _first() else (slice(None), *window)] = value
        scores = np.asarray(score(hidden.reshape(-1, *batch.shape[1:]), np.tile(targets, len(chosen))))
        for fall, (top, left) in zip(whole_scores - scores.reshape(len(chosen), -1), chosen, strict=True):
            falls[:, top : top + size, left : left + size] += fall[:, None, None]
            covered[top : top + size, left : left + size] += 1
    falls /= np.maximum(covered, 1)
    return _figure(f"Occlusion by {size}×{size}", batch, np.maximum(falls, 0), targets, falls, path)


def _starts(length: int, size: int, step: int) -> list[int]:
    """Where squares begin; the last one ends with the image."""
    starts = list(range(0, length - size + 1, step))
    return starts if starts[-1] == length - size else [*starts, length - size]


def _figure(
    title: str, batch: np.ndarray, maps: np.ndarray, targets: np.ndarray, data: Any, path: str | Path | None
) -> Figure:
    panels = []
    for image, heat, target in list(zip(batch, maps, targets, strict=True))[:SHOWN]:
        if heat.ndim == 1:
            panels.append(ImagePanel(heat[None], f"class {target}", "heat", low=0.0))
        else:
            panels.append(ImagePanel(_shown(image), f"class {target}", over=heat))
    where = "; ".join(
        f"class {target}: {_strongest(heat)}" for heat, target in zip(maps, targets, strict=True)
    )
    figure = Figure(title, f"{title} of {len(batch)} samples. {where}.", panels, square(len(panels)), data)
    return saved(figure, path)


def _strongest(heat: np.ndarray) -> str:
    """Where a map is largest, in words."""
    if not heat.max() > 0:
        return "nothing speaks for it"
    place = np.unravel_index(int(heat.argmax()), heat.shape)
    return f"strongest at {', '.join(str(int(i)) for i in place)}"


def _shown(image: np.ndarray) -> np.ndarray:
    """An image for the background: (h, w) or (h, w, 3) in [0, 1]."""
    if image.ndim == 3 and _first():
        image = image.transpose(1, 2, 0)
    low, high = float(image.min()), float(image.max())
    scaled = (image - low) / (high - low if high > low else 1.0)
    if scaled.ndim == 3 and scaled.shape[-1] != 3:
        return scaled[..., 0] if scaled.shape[-1] == 1 else scaled.mean(-1)
    return scaled
