"""Layers that work on values one by one or by their statistics: norms, noise, activations."""

from __future__ import annotations

from hornbeam import layers
from hornbeam.insight.arithmetic import number, size_of, volume
from hornbeam.insight.explanations.activations import says
from hornbeam.insight.explanations.layers.context import (
    LayerContext,
    LayerDescription,
    channels,
    plural,
    stays,
    values,
)


def batch_norm(place: LayerContext) -> LayerDescription:
    layer = place.layer
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    count = place.into[axis] if place.into else None
    memory = (
        ""
        if layer.momentum >= 1
        else f", which remember about 1 / (1 - {layer.momentum:g}) = {1 / (1 - layer.momentum):.3g} updates"
    )
    return LayerDescription(
        f"in training each of {plural(count, 'channel')} gets mean 0 and deviation 1 over the batch, then a "
        f"learned scale and shift; afterwards the running means are used{memory}",
        stays(place),
        "layers behind get values of one size whatever happens in front, so that larger steps hold",
        "smaller learning rates, and more care with initial weights; a bias in the layer before counts again",
    )


def other_norm(place: LayerContext) -> LayerDescription:
    layer = place.layer
    axis = getattr(layer, "axis", -1)
    last = place.into[-1] if place.into else None
    over = {
        layers.LayerNormalization: f"the {plural(last, 'value')} of each place get mean 0 and deviation 1",
        layers.GroupNormalization: f"channels in {getattr(layer, 'groups', 1)} groups get mean 0 and "
        "deviation 1 in each sample",
        layers.RMSNormalization: f"the {plural(last, 'value')} of each place are divided by their root "
        "mean square",
        layers.UnitNormalization: f"the {plural(last, 'value')} of each place are scaled to length 1",
    }
    does = next(
        (text for kind, text in over.items() if isinstance(layer, kind)), f"normalizes along axis {axis}"
    )
    learned = "; then a learned scale" + (" and shift" if getattr(layer, "beta", None) is not None else "")
    return LayerDescription(
        does + (learned if layer.weights else ""),
        stays(place),
        "values of one size for the layers behind, the same in training and afterwards, for any size of "
        "batch",
        "deep stacks (Transformers above all) train slowly or not at all without it",
    )


def spectral(place: LayerContext) -> LayerDescription:
    return LayerDescription(
        f"{place.layer.layer.name} with its kernel divided by its largest singular value "
        f"({plural(place.layer.power_iterations, 'power iteration')} an update)",
        f"{volume(place.into)} becomes {volume(place.out)}",
        "no input difference grows by more than a factor of 1 here (critics of GANs)",
        f"{place.layer.layer.name} alone, free to grow",
    )


def dropout(place: LayerContext) -> LayerDescription:
    layer = place.layer
    count = size_of(place.into[1:]) if place.into else None
    whole = "Spatial" in type(layer).__name__
    unit = "channels, whole ones," if whole else "values"
    if whole:
        count = channels(place.into, layer)
    zeros = (
        ""
        if count is None
        else f"about {layer.rate:g} × {number(count)} = {number(round(layer.rate * count))} {unit} "
    )
    kept = (
        f"; the others are multiplied by 1 / (1 - {layer.rate:g}) = {1 / (1 - layer.rate):.4g}"
        if layer.rate < 1
        else ""
    )
    return LayerDescription(
        f"in training {zeros or unit + ' '}are set to 0 at random, anew for each sample{kept}; "
        "afterwards it does nothing",
        stays(place),
        "no unit can rely on another one being there, which keeps a large layer from learning samples by "
        "heart",
        "predictions cost the same; the training loss falls faster, and the gap to validation is the "
        "thing to watch",
    )


def noise(place: LayerContext) -> LayerDescription:
    layer = place.layer
    kind = {
        layers.GaussianNoise: f"adds noise of deviation {getattr(layer, 'stddev', 0):g}",
        layers.GaussianDropout: f"multiplies by noise around 1 (rate {getattr(layer, 'rate', 0):g})",
        layers.AlphaDropout: f"sets a share of {getattr(layer, 'rate', 0):g} to the floor of selu, "
        "keeping mean and deviation",
        layers.ActivityRegularization: "adds a penalty on what passes through to the loss",
    }
    does = next(text for types, text in kind.items() if isinstance(layer, types))
    return LayerDescription(
        f"in training it {does}, on {values(place.into)}; afterwards it does nothing",
        stays(place),
        "small changes of the values must not change the answer",
        "predictions cost the same; the training loss falls faster",
    )


def activation(place: LayerContext) -> LayerDescription:
    layer = place.layer
    name = type(layer).__name__
    said = says(getattr(layer, "activation", None)) or says(name.lower()) or f"{name} bends each value"
    slope = getattr(layer, "negative_slope", None)
    if isinstance(layer, layers.LeakyReLU):
        said = f"keeps what is positive, and {slope:g} of what is negative"
    elif isinstance(layer, layers.PReLU):
        slopes = plural(layer.alpha.type.size, "slope")
        said = f"keeps what is positive, and a learned share of what is negative ({slopes})"
    elif isinstance(layer, layers.ELU):
        said = f"keeps what is positive; below 0 it is {layer.alpha:g} × (exp(x) - 1)"
    return LayerDescription(
        f"{said}, on {values(place.into)}",
        stays(place),
        "two linear layers in a row are one linear layer: what bends between them is what makes depth count"
        if not place.is_last
        else "brings the answer into the form that the loss and the reader expect",
        "the layer before and the one behind act as one linear map"
        if not place.is_last
        else "the model would give raw scores: the loss then needs from_logits=True",
    )
