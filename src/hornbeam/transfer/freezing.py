"""Freezing layers by their names, and learning rates that fall from the last layer to the first."""

from __future__ import annotations

from collections.abc import Iterable

from hornbeam._internal.naming import abbreviate, nearest
from hornbeam._internal.validation import check_int, check_number
from hornbeam.layers import Layer
from hornbeam.layers.tracking import own_variables
from hornbeam.layers.weights import flatten_layers
from hornbeam.models import Model


def freeze(model: Model, *layers: Layer | str, except_last: int = 0) -> None:
    """Exclude layers from training: `layer.trainable = False`. Call it before `compile`.

    A frozen `BatchNormalization` computes as in inference, and keeps its statistics.

    Args:
        model: The model.
        *layers: Layers of it, at any depth, or their names or paths, with all inside of them. Nothing for
            all layers.
        except_last: Integer, the number of last layers with weights that stay as they are.

    Raises:
        ValueError: If a layer is not in the model, or `except_last` is used together with layers or with a
            model that is not built.

    Example:
        >>> hornbeam.transfer.freeze(model, except_last=1)  # doctest: +SKIP
        >>> model.compile("adam", "sparse_categorical_crossentropy")  # doctest: +SKIP
    """
    check_int("except_last", except_last, minimum=0)
    if except_last:
        _reject_both("except_last", layers)
        set_trainable(model, layers_with_weights(model)[:-except_last], False)
    else:
        set_trainable(model, layers_named(model, layers) if layers else [model], False)


def unfreeze(model: Model, *layers: Layer | str, last: int | None = None) -> None:
    """Include layers in training: `layer.trainable = True`. Call it before `compile`.

    Args:
        model: The model.
        *layers: Layers of it, at any depth, or their names or paths, with all inside of them. Nothing for
            all layers.
        last: Integer, the number of last layers with weights to unfreeze; None for `layers`.

    Raises:
        ValueError: If a layer is not in the model, or `last` is used together with layers or with a model
            that is not built.

    Example:
        >>> hornbeam.transfer.unfreeze(model, last=2)  # doctest: +SKIP
        >>> model.compile("adam", "sparse_categorical_crossentropy")  # doctest: +SKIP
    """
    if last is not None:
        check_int("last", last, minimum=1)
        _reject_both("last", layers)
        set_trainable(model, layers_with_weights(model)[-last:], True)
    else:
        set_trainable(model, layers_named(model, layers) if layers else [model], True)


def layerwise_decay(model: Model, decay: float) -> dict[str, float]:
    """Compute `learning_rate_multipliers` that fall from the last layer to the first.

    The last layer with weights gets 1, the one before it `decay`, then `decay**2`, and so on.

    Args:
        model: A built model.
        decay: Number in (0, 1].

    Returns:
        Dict from names of layers to numbers; from paths, where several layers have one name.

    Raises:
        ValueError: If the model is not built, or `decay` is not in (0, 1].

    Example:
        >>> rates = hornbeam.transfer.layerwise_decay(model, 0.5)  # doctest: +SKIP
        >>> hornbeam.optimizers.Adam(1e-3, learning_rate_multipliers=rates)  # doctest: +SKIP

    Source: Howard & Ruder 2018, https://arxiv.org/abs/1801.06146.
    """
    if not 0 < check_number("decay", decay) <= 1:
        raise ValueError(f"decay must be a number in (0, 1], got {decay!r}")
    layers = layers_with_weights(model)
    names = [layer.name for layer in flatten_layers(model)]
    # A path may begin with the name of the model, which a loaded one does not have there.
    keys = [layer.name if names.count(layer.name) == 1 else layer.path for layer in layers]
    return {key: float(decay) ** (len(layers) - 1 - index) for index, key in enumerate(keys)}


def layers_with_weights(model: Model) -> list[Layer]:
    """Return the layers that have weights to train of their own, in the order of the model."""
    if not model.built:
        raise ValueError(
            f"model {model.name!r} is not built, so that its weights are not known: begin it with an Input, "
            "or call it on a batch of data"
        )
    return [layer for layer in flatten_layers(model) if any(own_variables(layer).values())]


def layers_named(model: Model, layers: Iterable[Layer | str]) -> list[Layer]:
    """Return layers of a model by their names or paths. Raises ValueError for one that it does not have."""
    if isinstance(layers, (str, Layer)):
        layers = [layers]
    own: list[Layer] = flatten_layers(model)
    result: list[Layer] = []
    for wanted in layers:
        if isinstance(wanted, str):
            matching = [each for each in own if wanted in (each.name, each.path)]
        else:
            matching = [each for each in own if each is wanted]
        if not matching:
            raise ValueError(_unknown(model, wanted, own))
        if len(matching) > 1:
            paths = ", ".join(repr(each.path) for each in matching)
            raise ValueError(
                f"model {model.name!r} has several layers {wanted!r}: {paths}. Pass a path, or the layer "
                "itself"
            )
        result.append(matching[0])
    return result


def _unknown(model: Model, wanted: object, own: list[Layer]) -> str:
    if not isinstance(wanted, (str, Layer)):
        return f"layers are named by strings, or layers themselves; got {wanted!r:.80}"
    name = wanted if isinstance(wanted, str) else wanted.path
    names = list(dict.fromkeys(each.name for each in own[1:]))
    return (
        f"model {model.name!r} has no layer {name!r}.{nearest(name, names)} It has: {abbreviate(name, names)}"
    )


def set_trainable(model: Model, layers: Iterable[Layer], value: bool) -> None:
    """Set `trainable` of layers. A container of a layer that is trained becomes trainable, too."""
    for layer in layers:
        layer.trainable = value
        for container in flatten_layers(model) if value else ():
            # One with weights of its own would begin to train these.
            if not own_variables(container) and layer in flatten_layers(container, include_self=False):
                container._trainable = True


def _reject_both(name: str, layers: tuple[Layer | str, ...]) -> None:
    if layers:
        raise ValueError(f"pass either layers or {name}=, not both")
