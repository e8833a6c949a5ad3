"""Checks of the inputs before the first step: order of axes, scale of pixels and features."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from hornbeam import layers
from hornbeam.core.jit import Traced
from hornbeam.ir.node import Node
from hornbeam.layers.shapes import build_shapes
from hornbeam.layers.weights import flatten_layers
from hornbeam.training.check_labels import skip_movement
from hornbeam.training.fit_facts import FitFacts, input_arrays, some_samples

# Largest absolute value of a feature that a layer may read as it is.
_LARGE = 10_000


def check_channels(facts: FitFacts) -> Iterator[str]:
    """Images (channels, height, width) that a layer reads as (height, width, channels)."""
    for x in input_arrays(facts):
        sizes = x.shape[1:]
        if len(sizes) != 3 or sizes[0] not in (1, 3, 4) or sizes[1] != sizes[2] or sizes[2] <= 4:
            continue
        for layer in flatten_layers(facts.model):
            shapes = build_shapes(layer).values()
            read = any(isinstance(shape, tuple) and tuple(shape[1:]) == sizes for shape in shapes)
            if read and getattr(layer, "data_format", None) == "channels_last":
                yield (
                    f"{facts.where}: images of shape {sizes} seem to have the channels first, and layer "
                    f"{layer.path!r} reads them as (height, width, channels): give it "
                    "np.moveaxis(x, 1, -1), or data_format='channels_first' to the layers"
                )
                break


def check_scale(facts: FitFacts) -> Iterator[str]:
    """Pixels from 0 to 255, or features of thousands, that reach the first weights as they are."""
    arrays = facts.batch.x_leaves
    for index, x in enumerate(arrays):
        pixels = _is_pixels(x)
        if not pixels and not _is_large(x):
            continue
        step = facts.step()
        if step is None or _is_normalized(facts) or not _reaches_weights(step, index):
            continue
        if pixels:
            yield (
                f"{facts.where}: the images hold values up to {some_samples(x).max():g}, with which networks "
                "train badly or not at all: divide them by 255, or put layers.Rescaling(1 / 255) first"
            )
        else:
            yield (
                f"{facts.where}: the features hold values up to {np.abs(some_samples(x)).max():.4g}, with "
                "which networks train badly or not at all: put a layers.Normalization() first and adapt it "
                "to the training data"
            )


def check_scaled_twice(facts: FitFacts) -> Iterator[str]:
    """Pixels from 0 to 1 for a model that divides them itself."""
    for layer in flatten_layers(facts.model):
        if type(layer) is not layers.Rescaling or not isinstance(layer.scale, float) or layer.scale > 1 / 100:
            continue
        for x in input_arrays(facts):
            values = some_samples(x, 64)
            if (
                x.ndim > 2
                and x.dtype.kind == "f"
                and values.size
                and 0 < values.max() <= 1
                and values.min() >= 0
            ):
                yield (
                    f"{facts.where}: the images hold values up to {values.max():g}, which layer "
                    f"{layer.path!r} multiplies by {layer.scale:.4g} again: give it pixels up to 255"
                )
                return


def check_dark(facts: FitFacts) -> Iterator[str]:
    """Images whose brightest pixel is 1 / 255: they were divided twice."""
    for x in facts.batch.x_leaves:
        if x.ndim < 3 or x.dtype.kind != "f" or not x.size or min(x.shape[1:3]) < 8:
            continue
        values = some_samples(x, 64)
        if values.min() >= 0 and 0.9 / 255 < values.max() <= 1.001 / 255 and not _is_normalized(facts):
            yield (
                f"{facts.where}: the brightest pixel is {values.max():.4f}, 1 / 255: the images were divided "
                "by 255 twice"
            )


def check_adapted(facts: FitFacts) -> Iterator[str]:
    """A `Normalization` that has seen no data."""
    for layer in flatten_layers(facts.model):
        if type(layer) is not layers.Normalization or layer.input_mean is not None or not layer.built:
            continue
        if not np.any(layer.adapt_mean.numpy()) and np.all(np.asarray(layer.adapt_variance.numpy()) == 1):
            yield (
                f"{facts.where}: layer {layer.path!r} normalizes nothing, since it has seen no data: call "
                "its adapt(x) before fit()"
            )


def _is_pixels(x: np.ndarray) -> bool:
    """True for images, or rows of as many values as a square image has, with values up to 255."""
    if x.ndim < 2 or x.dtype.kind not in "iuf" or not x.size:
        return False
    values = some_samples(x, 64)
    if x.ndim > 2:
        square = min(x.shape[1:3]) >= 8
    else:
        square = any(math.isqrt(size) >= 8 and math.isqrt(size) ** 2 == size for size in _areas(x.shape[1]))
        square = square and bool((values == np.round(values)).all())
    return bool(square and values.min() >= 0 and 50 < values.max() <= 255)


def _areas(count: int) -> list[int]:
    """Return the pixels that an image of `count` values may have, with one channel or three."""
    return [count, count // 3] if count % 3 == 0 else [count]


def _is_large(x: np.ndarray) -> bool:
    if x.ndim != 2 or x.dtype.kind not in "iuf" or not x.size:
        return False
    return bool(np.abs(some_samples(x).astype(np.float64)).max() >= _LARGE)


def _is_normalized(facts: FitFacts) -> bool:
    """True if a layer of the model normalizes what it reads, wherever it is."""
    return any("Normalization" in type(layer).__name__ for layer in flatten_layers(facts.model))


_MOVES = ("convert", "reshape", "broadcast", "transpose", "pad")
_PRODUCTS = ("conv", "dot_general")


def _reaches_weights(step: Traced, index: int) -> bool:
    """True if the forward pass multiplies an array of the data by variables, and reads it nowhere else."""
    first = len(step.variables) + len(step.captured)
    inputs = step.graph.inputs
    data, variables = inputs[first + index], set(inputs[: len(step.variables)])
    uses: dict[Node, list[Node]] = {}
    for node in step.graph.nodes:
        for operand in node.inputs:
            uses.setdefault(operand, []).append(node)
    stack, products = [data], 0
    while stack:
        value = stack.pop()
        for node in uses.get(value, ()):
            if node.name in _MOVES:
                stack.append(node)
            elif str(node.scope).endswith("(backward)"):
                continue
            elif node.name in _PRODUCTS and skip_movement(node.inputs[1]) in variables:
                products += 1
            else:
                return False
    return products > 0


INPUT_CHECKS = (check_channels, check_scale, check_scaled_twice, check_dark, check_adapted)
