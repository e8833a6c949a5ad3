"""Global settings, with Keras's names."""

from __future__ import annotations

from typing import Any

from hornbeam.engines import current_engine, set_engine
from hornbeam.ir.types import FLOATS, dtype_name

__all__ = [
    "backend",
    "engine",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_engine",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def floatx() -> str:
    """Default float dtype of weights and of Python floats: "float32" unless set otherwise."""
    return str(_settings["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float dtype. Raises ValueError for anything but a float dtype."""
    name = dtype_name(value)
    if name not in FLOATS:
        raise ValueError(f"floatx must be one of {', '.join(FLOATS)}, got {value!r}")
    _settings["floatx"] = name


def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite: 1e-7 unless set otherwise."""
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the small number used against division by zero."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Default place of the channels of images: "channels_last" unless set otherwise."""
    return str(_settings["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the default to "channels_last" or "channels_first"."""
    _settings["image_data_format"] = standard_data_format(data_format)


def standard_data_format(data_format: str | None) -> str:
    """`data_format`, or the default for None. Raises ValueError for an unknown one."""
    if data_format is None:
        return image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f'data_format must be "channels_last" or "channels_first", got {data_format!r}')
    return data_format


def engine() -> str:
    """Name of the engine that runs everything now."""
    return current_engine().name


def backend() -> str:
    """Keras's word for the engine: the name of the engine that runs everything now."""
    return engine()
