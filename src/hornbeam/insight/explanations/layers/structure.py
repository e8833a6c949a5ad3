"""Layers that rearrange, join or bring in values."""

from __future__ import annotations

from hornbeam import layers
from hornbeam.insight.arithmetic import equals, number, product, size_of, volume
from hornbeam.insight.explanations.layers.context import LayerContext, LayerDescription, plural, stays, values


def flatten(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"lays {volume(place.into)} out in a row; no value changes",
        equals(product(place.into[1:]), size_of(place.out[1:])),
        "a Dense reads a row of numbers",
        "a Dense behind would work along the last axis only, at each place alike",
    )


def reshape(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"the same {values(place.into)} in another form"
        if not isinstance(place.layer, layers.Permute)
        else f"axes in the order {tuple(place.layer.dims)}",
        f"{equals(product(place.into[1:]), size_of(place.out[1:]))} numbers as {volume(place.out)}",
        "the layer behind wants its axes so",
        f"it would get {volume(place.into)}",
    )


def repeat(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"the same vector {number(place.layer.n)} times, one a step",
        f"{number(place.layer.n)} × {volume(place.into)} = {number(size_of(place.out[1:]) or 0)} numbers",
        "a recurrent layer behind reads it anew at every step (decoders)",
        "the layer behind would get no steps",
    )


_MERGES = {
    "Add": "added up", "Subtract": "subtracted", "Multiply": "multiplied", "Average": "averaged",
    "Maximum": "compared, and the largest kept", "Minimum": "compared, and the smallest kept",
}  # fmt: skip


def merge(place: LayerContext) -> LayerDescription:
    count = len(place.given)
    does = _MERGES.get(type(place.layer).__name__, "joined")
    add = isinstance(place.layer, layers.Add)
    return LayerDescription(
        f"{plural(count, 'value')} of shape {volume(place.into)} {'are' if count != 1 else 'is'} {does}, "
        "number by number",
        f"{volume(place.out)}, as they came in" if len(set(place.given)) == 1 else volume(place.out),
        "a shortcut: what comes along it is kept, the other branch learns only the difference, and gradients "
        "pass unchanged"
        if add
        else "brings branches together without weights",
        "the branches stay apart: one of them would be lost",
    )


def concatenate(place: LayerContext) -> LayerDescription:
    axis = place.layer.axis
    widths = [shape[axis] for shape in place.given]
    total = place.out[axis] if place.out else None
    text = " + ".join("?" if w is None else number(w) for w in widths)
    return LayerDescription(
        f"lays {plural(len(widths), 'value')} side by side along axis {axis}",
        f"{equals(text, total)} along axis {axis}: {volume(place.out)}",
        "the layers behind see all branches and weigh them themselves",
        "one of the branches would be lost",
    )


def dot(place: LayerContext) -> LayerDescription:
    cosine = place.layer.normalize
    return LayerDescription(
        f"the {'cosine' if cosine else 'product'} of two values along axes {place.layer.axes}",
        f"{' and '.join(volume(s) for s in place.given)} become {volume(place.out)}",
        "says how alike two things are",
        "the two would be compared by nothing",
    )


def input(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"where data come in: {volume(place.out)} of {place.layer.dtype}, any number of samples",
        equals(product(place.out[1:]), size_of(place.out[1:])) + " numbers a sample",
        "with the shape known, all weights are made at once and mistakes in shapes are found before any data",
        "weights would be made at the first batch",
    )


def normalization(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"(x - mean) / deviation with the figures of adapt(), on {values(place.into)}",
        stays(place),
        "inputs of one size train faster; inside of the model nobody forgets it when the model is used",
        "the same must be done to all data by hand, with the figures of the training part",
    )


def rescaling(place: LayerContext) -> LayerDescription:
    layer = place.layer
    scale = f"{layer.scale:.6g}" if isinstance(layer.scale, (int, float)) else "its scale"
    offset = f" + {layer.offset:.6g}" if isinstance(layer.offset, (int, float)) and layer.offset else ""
    return LayerDescription(
        f"x × {scale}{offset}, on {values(place.into)}",
        stays(place),
        "pixels of 0 ... 255 are far too large for fresh weights"
        if scale == "0.00392157"
        else "brings inputs into the range that weights are made for",
        "the same must be done to all data by hand",
    )


def augmentation(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"in training each picture is changed at random ({type(place.layer).__name__}); afterwards it "
        "does nothing",
        f"{volume(place.out)}",
        "a picture that is turned, moved or recoloured a little means the same: more data for nothing",
        "the training loss falls faster, and pictures unlike those of the training are hit less often",
    )


def lookup(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"turns texts or categories into numbers by its vocabulary ({type(place.layer).__name__})",
        f"{volume(place.into)} becomes {volume(place.out)}",
        "graphs compute with numbers; kept in the model, the vocabulary goes wherever the model goes",
        "the same must be done to all data, with the same vocabulary",
    )


def encoding(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"puts values into bins or categories ({type(place.layer).__name__})",
        f"{volume(place.into)} becomes {volume(place.out)}",
        "a number whose effect is not a straight line, or that is only a code, becomes one input a case",
        "the layers behind would read codes as sizes",
    )


def identity(place: LayerContext) -> LayerDescription:
    return LayerDescription("hands on what it gets", stays(place), "holds a place, or a name", "nothing")


def masking(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"marks the steps at which all values are {place.layer.mask_value:g}: layers behind skip them",
        stays(place),
        "padding at the end of short sequences is not data",
        "padding is read as if it were data",
    )
