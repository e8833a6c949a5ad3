"""Quantization: weights and inputs as integers of 8 or 4 bits, or rounded to float8.

`model.quantize(mode)` and `layer.quantize(mode)` use it; see the guide on small models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.naming import to_snake_case
from hornbeam._internal.typing import Config
from hornbeam.core import registry
from hornbeam.quantizers.absmax import abs_max_quantize, abs_max_quantize_grouped_with_zero_point
from hornbeam.quantizers.configs import (
    AWQConfig,
    Float8QuantizationConfig,
    GPTQConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from hornbeam.quantizers.fake import fake_quant_with_min_max_vars
from hornbeam.quantizers.float8 import (
    compute_float8_amax_history,
    compute_float8_scale,
    quantize_and_dequantize,
)
from hornbeam.quantizers.packing import pack_int4, unpack_int4
from hornbeam.quantizers.quantizer import AbsMaxQuantizer, Quantizer

__all__ = [
    "AWQConfig", "AbsMaxQuantizer", "Float8QuantizationConfig", "GPTQConfig", "Int4QuantizationConfig",
    "Int8QuantizationConfig", "QuantizationConfig", "Quantizer", "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point", "compute_float8_amax_history", "compute_float8_scale",
    "deserialize", "fake_quant_with_min_max_vars", "get", "pack_int4", "quantize_and_dequantize",
    "serialize", "unpack_int4",
]  # fmt: skip

_MODULE = "keras.quantizers"


def serialize(initializer: Quantizer | QuantizationConfig) -> Config:
    """Convert a quantizer, or a config of quantization, to a config in Keras's format.

    Args:
        initializer: The object. Keras calls the parameter so.

    Returns:
        Dict.
    """
    return registry.serialize(initializer)


def deserialize(
    config: Config, custom_objects: dict[str, Any] | None = None
) -> Quantizer | QuantizationConfig | Callable[..., Any]:
    """Build the quantizer, or the config of quantization, that a config describes.

    Args:
        config: Config.
        custom_objects: Classes by name, in addition to the registered ones.

    Returns:
        The object.

    Raises:
        UnknownObjectError: If the class is unknown.
    """
    return registry.deserialize(config, custom_objects)


def get(
    identifier: Quantizer | QuantizationConfig | Callable[..., Any] | str | Config | None, **kwargs: Any
) -> Quantizer | QuantizationConfig | Callable[..., Any] | None:
    """Return the quantizer, or the config of quantization, for an identifier.

    Args:
        identifier: Object, name of a class, config, or None for None.
        **kwargs: Arguments of the class, for a name.

    Returns:
        The object, or None.

    Raises:
        UnknownObjectError: If nothing has the name.
        ValueError: If the identifier is of another kind.

    Example:
        >>> hornbeam.quantizers.get("abs_max_quantizer", axis=-1).axis
        (-1,)
    """
    if isinstance(identifier, QuantizationConfig):
        return identifier
    if isinstance(identifier, type):
        return identifier(**kwargs)
    if isinstance(identifier, str):
        names = (name for name in registry.names_in(_MODULE) if identifier in (name, to_snake_case(name)))
        identifier = {"class_name": next(names, identifier), "config": kwargs}
    return registry.resolve(identifier, _MODULE, "quantizer")


explain_missing(__name__)
