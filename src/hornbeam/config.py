"""Global settings, with Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam.engines import current_engine, set_engine
from hornbeam.ir.types import FLOATS, dtype_name

__all__ = [
    "MISSING",
    "backend",
    "dtype_policy",
    "engine",
    "epsilon",
    "floatx",
    "image_data_format",
    "set_backend",
    "set_dtype_policy",
    "set_engine",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
]

_LOGGING = "fit(verbose=...) and whether the output is a terminal decide what progress looks like"
_TRACEBACKS = "tracebacks are short as they are, and are never cut"
_ATTENTION = "engines choose their kernels by themselves"
_LIMITS = "say how long to train with fit(epochs=..., steps_per_epoch=...)"
# Names of Keras's that are not here, and why.
MISSING: dict[str, str] = {
    "disable_flash_attention": _ATTENTION,
    "disable_interactive_logging": _LOGGING,
    "disable_traceback_filtering": _TRACEBACKS,
    "enable_flash_attention": _ATTENTION,
    "enable_interactive_logging": _LOGGING,
    "enable_traceback_filtering": _TRACEBACKS,
    "enable_unsafe_deserialization": "code from a file is never run, so there is nothing to enable",
    "is_flash_attention_enabled": _ATTENTION,
    "is_interactive_logging_enabled": _LOGGING,
    "is_nnx_enabled": "it is about Flax, which Hornbeam does not use",
    "is_traceback_filtering_enabled": _TRACEBACKS,
    "max_epochs": _LIMITS,
    "max_steps_per_epoch": _LIMITS,
    "set_max_epochs": _LIMITS,
    "set_max_steps_per_epoch": _LIMITS,
}

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
    """Set the small number used against division by zero. ValueError unless it is above 0 and below 1."""
    number = float(value)
    if not 0 < number < 1:
        raise ValueError(f"epsilon must be a small number above 0, got {value!r}")
    _settings["epsilon"] = number


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


def set_backend(backend: str) -> None:
    """Keras's word for `set_engine`: values move to the other engine when they are next used.

    Raises ValueError for a name that is no engine of this version.
    """
    set_engine(backend)


if TYPE_CHECKING:
    from hornbeam.dtype_policies import dtype_policy as dtype_policy
    from hornbeam.dtype_policies import set_dtype_policy as set_dtype_policy


def __getattr__(name: str) -> Any:
    if name in ("dtype_policy", "set_dtype_policy"):  # policies stand above this module
        from hornbeam import dtype_policies

        return getattr(dtype_policies, name)
    reason = f": {MISSING[name]}" if name in MISSING else ""
    raise AttributeError(f"hornbeam.config has no {name!r}{reason}")
