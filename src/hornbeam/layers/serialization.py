"""Layers as configs, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam._internal.typing import Config

if TYPE_CHECKING:
    from hornbeam.layers.layer import Layer


def serialize(layer: Layer) -> Config:
    """Describe a layer in Keras's config format.

    Args:
        layer: Layer.

    Returns:
        Dict of the class, its module and the result of `get_config()`.

    Raises:
        TypeError: If an argument of the layer has no config.
    """
    from hornbeam.core.registry import serialize

    return serialize(layer)


def deserialize(config: Config, custom_objects: dict[str, Any] | None = None) -> Layer:
    """Rebuild the layer that a config describes.

    Args:
        config: Result of `serialize`.
        custom_objects: Classes and functions by name, looked up before the registered ones.

    Returns:
        A new layer, with weights that are not built yet.

    Raises:
        UnknownObjectError: If a name is neither of this library nor registered.
        ValueError: If the config describes no layer.
    """
    from hornbeam.core.registry import deserialize
    from hornbeam.layers.layer import Layer

    layer = deserialize(config, custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(f"the config describes {layer!r}, which is not a layer")
    return layer
