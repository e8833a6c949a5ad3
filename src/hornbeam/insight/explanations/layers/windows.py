"""Layers with windows over places: convolutions, pooling, padding, upsampling."""

from __future__ import annotations

import math
from typing import Any

from hornbeam import layers
from hornbeam.insight.arithmetic import along_axes, equals, number, size_of, spread_sum, volume, window_sum
from hornbeam.insight.explanations.layers.context import (
    LayerContext,
    LayerDescription,
    channels,
    grid,
    places,
    plural,
    spatial,
    then,
)


def _window_arithmetic(place: LayerContext) -> str:
    layer = place.layer
    windows = layer.kernel_size if hasattr(layer, "kernel_size") else layer.pool_size
    strides = layer.strides or windows
    dilations = getattr(layer, "dilation_rate", (1,) * len(windows))
    if not place.given or not place.made:
        return "depends on the input"
    causal = layer.padding == "causal"
    sums = [
        window_sum(size, made, window, stride, dilation, layer.padding == "same" or causal)
        for size, made, window, stride, dilation in zip(
            spatial(place.into, layer), spatial(place.out, layer), windows, strides, dilations, strict=True
        )
    ]
    tail = f", {plural(channels(place.out, layer), 'value')} at each place"
    return along_axes(sums) + (" (zeros before the first step only)" if causal else "") + tail


def _how(layer: Any) -> str:
    """Stride and dilation, where they are not 1."""
    parts = []
    if max(layer.strides) > 1:
        parts.append(f"in steps of {grid(layer.strides)}")
    if max(layer.dilation_rate) > 1:
        parts.append(f"reading every {grid(layer.dilation_rate)}th place")
    return " " + " and ".join(parts) if parts else ""


def _seen(place: LayerContext, groups: int = 1) -> str:
    count = channels(place.into, place.layer)
    each = None if count is None else count // groups
    of = f"in {plural(each, 'channel')}" + (
        f" of {number(count)}" if groups > 1 and count is not None else ""
    )
    return f"{grid(place.layer.kernel_size)} {places(place.layer)} {of}"


def convolution(place: LayerContext) -> LayerDescription:
    layer = place.layer
    one = math.prod(layer.kernel_size) == 1
    given = channels(place.into, layer)
    why = (
        "mixes the channels of each place, and changes their number, without looking at neighbours"
        if one
        else "finds the same pattern wherever it lies, with "
        f"{number(math.prod(layer.kernel.shape) if layer.built else 0)} "
        "shared weights"
    )
    if not one and given is not None and None not in place.into[1:] and None not in place.out[1:]:
        dense = math.prod(place.into[1:]) * math.prod(place.out[1:])  # type: ignore[arg-type]
        why += f"; a Dense between the same volumes would need {number(dense)}"
    strided = max(layer.strides) > 1
    without = (
        f"the layers behind get {plural(given, 'channel')}"
        + (" at all places (it also makes the picture smaller)" if strided else "")
        + (" and see no more of the surroundings than before" if not one else "")
    )
    return LayerDescription(
        f"{plural(layer.filters, 'filter')} {'look' if layer.filters != 1 else 'looks'} at "
        f"{_seen(place, layer.groups)} at every place{_how(layer)}"
        f"{then(layer)}",
        _window_arithmetic(place),
        why,
        without,
    )


def depthwise(place: LayerContext) -> LayerDescription:
    layer = place.layer
    count = channels(place.into, layer)
    return LayerDescription(
        f"each of {plural(count, 'channel')} has {plural(layer.depth_multiplier, 'filter')} of its own over "
        f"{grid(layer.kernel_size)} {places(layer)}{_how(layer)}{then(layer)}",
        _window_arithmetic(place),
        "looks at neighbours at a fraction of the cost of a full convolution: channels are not mixed here"
        + (
            f" ({number(math.prod(layer.kernel_size) * count * layer.depth_multiplier)} weights instead of "
            f"{number(math.prod(layer.kernel_size) * count * count * layer.depth_multiplier)})"
            if count is not None
            else ""
        ),
        "no layer looks at neighbours at this depth; a 1×1 convolution behind it only mixes channels",
    )


def separable(place: LayerContext) -> LayerDescription:
    layer = place.layer
    count = channels(place.into, layer) or 0
    spread = count * layer.depth_multiplier
    window = math.prod(layer.kernel_size)
    split, full = window * spread + spread * layer.filters, window * count * layer.filters
    return LayerDescription(
        f"first each of {plural(count, 'channel')} by itself over {grid(layer.kernel_size)} "
        f"{places(layer)}{_how(layer)}, then {plural(layer.filters, 'mixture')} of the {number(spread)} "
        "results"
        f"{then(layer)}",
        _window_arithmetic(place),
        f"a convolution in two cheaper steps: {number(split)} weights where a full one has {number(full)}",
        f"the layers behind get {plural(count, 'channel')} and see no more of the surroundings than before",
    )


def transposed(place: LayerContext) -> LayerDescription:
    layer = place.layer
    extras = layer.output_padding or (None,) * layer.rank
    sums = (
        [
            spread_sum(size, made, window, stride, dilation, layer.padding == "same", extra)
            for size, made, window, stride, dilation, extra in zip(
                spatial(place.into, layer),
                spatial(place.out, layer),
                layer.kernel_size,
                layer.strides,
                layer.dilation_rate,
                extras,
                strict=True,
            )
        ]
        if place.given and place.made
        else ["depends on the input"]
    )
    return LayerDescription(
        f"each place is painted into {grid(layer.kernel_size)} {places(layer)} of the output, "
        f"{grid(layer.strides)} apart, by {plural(layer.filters, 'filter')}{then(layer)}",
        f"{along_axes(sums)}, {plural(channels(place.out, layer), 'value')} at each place",
        "makes a picture larger by weights that are learned (decoders, segmentation)",
        f"the picture stays {grid(spatial(place.into, layer))}; UpSampling and a Conv make it larger "
        "too, with "
        "less of a chequered pattern",
    )


def pooling(place: LayerContext) -> LayerDescription:
    layer = place.layer
    largest = isinstance(layer, (layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D))
    before, behind = size_of(place.into[1:]), size_of(place.out[1:])
    fewer = f"{number(before)} values become {number(behind)}" if before and behind else "fewer values go on"
    return LayerDescription(
        f"keeps the {'largest' if largest else 'mean'} of {grid(layer.pool_size)} {places(layer)} in each "
        f"channel, in steps of {grid(layer.strides)}",
        _window_arithmetic(place),
        f"{fewer}: what lies behind costs less, sees more of the input, and minds less where exactly a "
        "thing is",
        f"everything behind works on {volume(place.into)} instead of {volume(place.out)}",
    )


def global_pooling(place: LayerContext) -> LayerDescription:
    layer = place.layer
    largest = "Max" in type(layer).__name__
    sizes = spatial(place.into, layer)
    count = channels(place.into, layer)
    places = size_of(sizes)
    return LayerDescription(
        f"one number a channel: the {'largest' if largest else 'mean'} of its {grid(sizes)} places",
        f"{plural(places, 'place')} × {plural(count, 'channel')} become {plural(count, 'number')}",
        "where in the picture a thing was no longer counts, and pictures of any size fit"
        + (
            f"; a Flatten would hand on {number(places * count)} numbers"
            if places is not None and count is not None
            else ""
        ),
        "a Flatten in its place makes the next Dense larger by the number of places, and fixes the size "
        "of pictures",
    )


def adaptive(place: LayerContext) -> LayerDescription:
    layer = place.layer
    return LayerDescription(
        f"{'largest values' if 'Max' in type(layer).__name__ else 'means'} of windows that are as large "
        "as it "
        f"takes to make {grid(layer.output_size)} places",
        f"{grid(spatial(place.into, layer))} places become {grid(layer.output_size)}",
        "pictures of any size give a volume of one size",
        "the layers behind get as many places as the picture has",
    )


def padding(place: LayerContext) -> LayerDescription:
    layer = place.layer
    cuts = hasattr(layer, "cropping")
    amounts = layer.cropping if cuts else layer.padding
    pairs = (amounts,) if layer.rank == 1 else amounts
    sign = "-" if cuts else "+"
    sums = [
        "depends on the input" if size is None else equals(f"{number(size)} {sign} {low} {sign} {high}", made)
        for size, made, (low, high) in zip(
            spatial(place.into, layer), spatial(place.out, layer), pairs, strict=True
        )
    ]
    what = "cuts a rim off" if cuts else "puts a rim of zeros around"
    return LayerDescription(
        f"{what} ({', '.join(f'{low} and {high}' for low, high in pairs)} at the two ends of each axis)",
        along_axes(sums),
        "sizes that fit: for skips that are added, or so that a window sees the border as often as the middle"
        if not cuts
        else "sizes that fit: what was padded before, or what only the border spoils, goes",
        "sizes behind differ by the rim",
    )


def upsampling(place: LayerContext) -> LayerDescription:
    layer = place.layer
    factors = layer.size if isinstance(layer.size, (tuple, list)) else (layer.size,)
    sums = [
        "depends on the input" if size is None else equals(f"{number(size)} × {factor}", made)
        for size, made, factor in zip(
            spatial(place.into, layer), spatial(place.out, layer), factors, strict=True
        )
    ]
    how = getattr(layer, "interpolation", "nearest")
    return LayerDescription(
        f"repeats each place {grid(factors)} times"
        if how == "nearest"
        else f"{how} interpolation to {grid(factors)} times the size",
        along_axes(sums),
        "makes a picture larger without weights; a convolution behind it smooths",
        f"the picture stays {grid(spatial(place.into, layer))}",
    )
