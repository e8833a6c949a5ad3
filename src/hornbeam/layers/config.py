"""Configs of layers: constructor arguments as plain values, and layers rebuilt from them."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from hornbeam import dtype_policies
from hornbeam.core.registry import serialize
from hornbeam.dtype_policies import DTypePolicy, DTypePolicyMap
from hornbeam.layers.weights import flatten_layers

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer

# Arguments that every layer takes.
BASE_ARGUMENTS = ("name", "trainable", "dtype", "activity_regularizer", "autocast")


def constructor_arguments(variables: dict[str, Any], omit: Collection[str] = ()) -> dict[str, Any]:
    """Return the arguments in a constructor's `locals()`, to pass them on to the base class by keyword.

    A layer's constructor repeats the 10 to 20 arguments of its family, so that editors and signatures show
    them. `super().__init__(**constructor_arguments(locals()))`, as its first statement, forwards all of
    them, `**kwargs` included, but those that the base class does not take.
    """
    arguments = {**variables, **variables.get("kwargs", {})}
    hidden = {"self", "kwargs", "__class__", "own", *omit}
    return {name: value for name, value in arguments.items() if name not in hidden}


def serialize_argument(value: object) -> Any:
    """Convert a constructor's argument to plain values; tuples stay tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(serialize_argument(item) for item in value)
    if isinstance(value, Mapping):
        return {key: serialize_argument(item) for key, item in value.items()}
    return serialize(value)


def recorded_arguments(layer: Layer) -> dict[str, Any]:
    """Serialize the arguments that the layer was constructed with, without those of the base class."""
    args, kwargs = layer._hb_constructor  # type: ignore[attr-defined]
    signature = inspect.signature(type(layer).__init__)
    bound = signature.bind(layer, *args, **kwargs).arguments
    bound.pop(next(iter(bound)))  # self, under whatever name
    extra = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]
    bound.update(bound.pop(extra[0], {}) if extra else {})
    return {
        key: serialize_argument(value) for key, value in bound.items() if key not in ("self", *BASE_ARGUMENTS)
    }


def layer_from_config(cls: type[Layer], config: dict[str, Any]) -> Layer:
    """Construct a layer, setting `name`, `trainable` and `dtype` afterwards if its constructor lacks them."""
    config = dict(config)
    if isinstance(config.get("dtype"), dict):  # constructors get names, of policies that have no more to say
        policy = dtype_policies.deserialize(config["dtype"])
        plain = type(policy) is dtype_policies.DTypePolicy
        config["dtype"] = policy.name if plain else policy
    set_later: dict[str, Any] = {}
    parameters = inspect.signature(cls.__init__).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        set_later = {
            key: config.pop(key)
            for key in ("name", "trainable", "dtype")
            if key in config and key not in parameters
        }
    try:
        layer = cls(**config)
    except TypeError as error:
        raise TypeError(
            f"{cls.__name__}.from_config: {error}. Its config has {', '.join(config) or 'nothing'}; "
            "write get_config() so that it returns the arguments of __init__()"
        ) from error
    if "name" in set_later:
        layer._name = set_later["name"]
    if "dtype" in set_later:
        layer.dtype_policy = set_later["dtype"]
    if not set_later.get("trainable", True):
        layer.trainable = False
    return layer


def policy_to_save(layer: Layer) -> DTypePolicy:
    """Return the policy; a layer that passes it on to quantized layers inside has theirs by path."""
    inner = [part for part in flatten_layers(layer, include_self=False) if part._is_quantized]
    if not inner or layer.layers_in_file is not None or isinstance(layer.dtype_policy, DTypePolicyMap):
        return layer.dtype_policy
    policies = {part.path: part.dtype_policy.at(part.path) for part in inner}
    return DTypePolicyMap(layer.dtype_policy, policies)
