"""Global settings, with Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hornbeam._internal.lazy_imports import attach
from hornbeam.engines import current_engine, set_engine
from hornbeam.ir.types import FLOATS, dtype_name

__all__ = [
    "backend", "disable_flash_attention", "disable_interactive_logging", "disable_traceback_filtering",
    "dtype_policy", "enable_flash_attention", "enable_interactive_logging", "enable_traceback_filtering",
    "engine", "epsilon", "floatx", "image_data_format", "is_flash_attention_enabled",
    "is_interactive_logging_enabled", "is_nnx_enabled", "is_traceback_filtering_enabled", "max_epochs",
    "max_steps_per_epoch", "set_backend", "set_dtype_policy", "set_engine", "set_epsilon", "set_floatx",
    "set_image_data_format", "set_max_epochs", "set_max_steps_per_epoch",
]  # fmt: skip

# Names of Keras that are missing, and the reason.
_MISSING: dict[str, str] = {
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
    """Return the default float dtype of weights and of Python floats: "float32" unless set otherwise."""
    return str(_settings["floatx"])


def set_floatx(value: str) -> None:
    """Set the default float dtype.

    Args:
        value: "bfloat16", "float16", "float32" or "float64".

    Raises:
        ValueError: If `value` is not a float dtype.
    """
    name = dtype_name(value)
    if name not in FLOATS:
        raise ValueError(f"floatx must be one of {', '.join(FLOATS)}, got {value!r}")
    _settings["floatx"] = name


def epsilon() -> float:
    """Return the small number that keeps divisions and logarithms finite: 1e-7 unless set otherwise."""
    return float(_settings["epsilon"])


def set_epsilon(value: float) -> None:
    """Set the small number that keeps divisions and logarithms finite.

    Args:
        value: Number in (0, 1).

    Raises:
        ValueError: If `value` is not in (0, 1).
    """
    number = float(value)
    if not 0 < number < 1:
        raise ValueError(f"epsilon must be a small number above 0, got {value!r}")
    _settings["epsilon"] = number


def image_data_format() -> str:
    """Return the default position of the channels of images: "channels_last" unless set otherwise."""
    return str(_settings["image_data_format"])


def set_image_data_format(data_format: str) -> None:
    """Set the default position of the channels of images.

    Args:
        data_format: "channels_last" or "channels_first".

    Raises:
        ValueError: If `data_format` is neither.
    """
    _settings["image_data_format"] = standard_data_format(data_format)


def standard_data_format(data_format: str | None) -> str:
    """Return `data_format`, or the default for None.

    Args:
        data_format: "channels_last", "channels_first" or None.

    Returns:
        "channels_last" or "channels_first".

    Raises:
        ValueError: If `data_format` is unknown.
    """
    if data_format is None:
        return image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f'data_format must be "channels_last" or "channels_first", got {data_format!r}')
    return data_format


def engine() -> str:
    """Return the name of the current engine."""
    return current_engine().name


# Gives the answer of `backend`. `hornbeam run`, in which it follows KERAS_BACKEND, replaces it.
backend_name: Callable[[], str] = engine


def backend() -> str:
    """Return the name of the current engine, under Keras's word for it.

    Where `import keras` means Hornbeam it is the value of KERAS_BACKEND, if that is set: scripts and packages
    choose among their own code paths by it (docs/keras_scripts.md).
    """
    return backend_name()


def set_backend(backend: str) -> None:
    """Set the engine, under Keras's word for it; values move to it when they are next used.

    Args:
        backend: Name of an engine.

    Raises:
        ValueError: If the engine is unknown.
    """
    set_engine(backend)


# -- progress, errors, kernels -------------------------------------------------------------------------------


def enable_interactive_logging() -> None:
    """Show progress as a live bar on a terminal, which is the default."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Show progress as one line per epoch, on a terminal, too."""
    _settings["interactive_logging"] = False


def is_interactive_logging_enabled() -> bool:
    """Return True if progress may be a live bar."""
    return bool(_settings["interactive_logging"])


def enable_traceback_filtering() -> None:
    """Hide frames inside of Hornbeam when an uncaught error is displayed, which is the default.

    This holds for scripts, threads, the interactive interpreter, IPython and Jupyter. Errors themselves keep
    all frames: for pytest, for loggers and for debuggers.
    """
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Show all frames of uncaught errors, those inside of Hornbeam included."""
    _settings["traceback_filtering"] = False


def is_traceback_filtering_enabled() -> bool:
    """Return True if frames inside of Hornbeam are hidden when an uncaught error is displayed."""
    return bool(_settings["traceback_filtering"])


def enable_flash_attention() -> None:
    """Accepted for programs that call it: engines choose their kernels, with the same results."""
    _settings["flash_attention"] = True


def disable_flash_attention() -> None:
    """Accepted for programs that call it; see `enable_flash_attention`."""
    _settings["flash_attention"] = False


def is_flash_attention_enabled() -> bool | None:
    """Return the last setting, None at first. It has no effect."""
    return _settings["flash_attention"]


def is_nnx_enabled() -> bool:
    """Return False: NNX is a library of Flax, which Hornbeam does not use."""
    return False


# -- short runs ----------------------------------------------------------------------------------------------


def set_max_epochs(max_epochs: int | None) -> None:
    """Limit the epochs of every `fit`, to try a program.

    Args:
        max_epochs: Positive integer, or None for no limit.

    Raises:
        ValueError: If `max_epochs` is neither.
    """
    _settings["max_epochs"] = _limit("max_epochs", max_epochs)


def max_epochs() -> int | None:
    """Return the limit of `set_max_epochs`, or None."""
    return _settings["max_epochs"]


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limit the batches of every pass of `fit`, `evaluate` and `predict`.

    Args:
        max_steps_per_epoch: Positive integer, or None for no limit.

    Raises:
        ValueError: If `max_steps_per_epoch` is neither.
    """
    _settings["max_steps_per_epoch"] = _limit("max_steps_per_epoch", max_steps_per_epoch)


def max_steps_per_epoch() -> int | None:
    """Return the limit of `set_max_steps_per_epoch`, or None."""
    return _settings["max_steps_per_epoch"]


def _limit(name: str, value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} must be a positive integer, or None for no limit, got {value!r}")
    return value


if TYPE_CHECKING:
    from hornbeam.dtype_policies import dtype_policy as dtype_policy
    from hornbeam.dtype_policies import set_dtype_policy as set_dtype_policy
else:
    # Policies are above this module.
    __getattr__, __dir__, _ = attach(
        __name__,
        {name: "hornbeam.dtype_policies" for name in ("dtype_policy", "set_dtype_policy")},
        missing=_MISSING,
    )
