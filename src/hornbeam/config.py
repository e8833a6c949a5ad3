"""Global settings, with Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hornbeam.engines import current_engine, set_engine
from hornbeam.ir.types import FLOATS, dtype_name

__all__ = [
    "MISSING",
    "backend",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "engine",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_nnx_enabled",
    "is_traceback_filtering_enabled",
    "max_epochs",
    "max_steps_per_epoch",
    "set_backend",
    "set_dtype_policy",
    "set_engine",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_max_epochs",
    "set_max_steps_per_epoch",
]

# Names of Keras's that are not here, and why.
MISSING: dict[str, str] = {
    "enable_unsafe_deserialization": "code from a file is never run, so there is nothing to enable",
}

_settings: dict[str, Any] = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "interactive_logging": True,
    "traceback_filtering": True,
    "flash_attention": None,
    "max_epochs": None,
    "max_steps_per_epoch": None,
}


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


# -- progress, errors, kernels -------------------------------------------------------------------------------


def enable_interactive_logging() -> None:
    """Draw progress as a live bar where the output is a terminal: how it is from the start."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Write progress as one line an epoch, also on a terminal."""
    _settings["interactive_logging"] = False


def is_interactive_logging_enabled() -> bool:
    """Whether progress may be a live bar."""
    return bool(_settings["interactive_logging"])


def enable_traceback_filtering() -> None:
    """Kept for programs that call it: tracebacks are short as they are, and none is ever cut."""
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Kept for programs that call it; see `enable_traceback_filtering`."""
    _settings["traceback_filtering"] = False


def is_traceback_filtering_enabled() -> bool:
    """What was set last, True at first. Nothing depends on it."""
    return bool(_settings["traceback_filtering"])


def enable_flash_attention() -> None:
    """Kept for programs that call it: engines choose their kernels themselves, with the same results."""
    _settings["flash_attention"] = True


def disable_flash_attention() -> None:
    """Kept for programs that call it; see `enable_flash_attention`."""
    _settings["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """What was set last, None at first. Nothing depends on it."""
    return _settings["flash_attention"]


def is_nnx_enabled() -> bool:
    """False: NNX is a library of Flax's, which Hornbeam does not use."""
    return False


# -- short runs ----------------------------------------------------------------------------------------------


def set_max_epochs(max_epochs: int | None) -> None:
    """Let no `fit` make more than `max_epochs` epochs, to try a program out. None for no limit.

    Raises ValueError unless it is a whole number above 0 or None.
    """
    _settings["max_epochs"] = _limit("max_epochs", max_epochs)


def max_epochs() -> int | None:
    """The limit that `set_max_epochs` set, or None."""
    return _settings["max_epochs"]


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Let no pass of `fit`, `evaluate` or `predict` take more than so many batches. None for no limit.

    Raises ValueError unless it is a whole number above 0 or None.
    """
    _settings["max_steps_per_epoch"] = _limit("max_steps_per_epoch", max_steps_per_epoch)


def max_steps_per_epoch() -> int | None:
    """The limit that `set_max_steps_per_epoch` set, or None."""
    return _settings["max_steps_per_epoch"]


def _limit(name: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a whole number above 0, or None for no limit, got {value!r}")
    return value


if TYPE_CHECKING:
    from hornbeam.dtype_policies import dtype_policy as dtype_policy
    from hornbeam.dtype_policies import set_dtype_policy as set_dtype_policy


def __getattr__(name: str) -> Any:
    if name in ("dtype_policy", "set_dtype_policy"):  # policies stand above this module
        from hornbeam import dtype_policies

        return getattr(dtype_policies, name)
    reason = f": {MISSING[name]}" if name in MISSING else ""
    raise AttributeError(f"hornbeam.config has no {name!r}{reason}")
