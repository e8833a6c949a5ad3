"""tf.compat.v1: what scripts for TensorFlow 2 still call there."""

from __future__ import annotations

from typing import Any

from hornbeam.compat.tensorflow.random import set_seed

__all__ = [
    "as_bytes", "as_str", "as_text", "enable_eager_execution", "enable_v2_behavior", "executing_eagerly",
    "logging", "set_random_seed",
]  # fmt: skip

set_random_seed = set_seed


def enable_eager_execution(*args: Any, **kwargs: Any) -> None:
    """Accepted: code runs as it is read."""


def enable_v2_behavior() -> None:
    """Accepted: code runs as it is read."""


def executing_eagerly() -> bool:
    """True outside of functions that are being traced."""
    from hornbeam.ir.trace import current_level

    return current_level() == 0


def as_text(bytes_or_text: Any, encoding: str = "utf-8") -> str:
    """Text out of bytes."""
    return bytes_or_text.decode(encoding) if isinstance(bytes_or_text, bytes) else bytes_or_text


as_str = as_text


def as_bytes(bytes_or_text: Any, encoding: str = "utf-8") -> bytes:
    """Bytes out of text."""
    return bytes_or_text if isinstance(bytes_or_text, bytes) else bytes_or_text.encode(encoding)


class logging:
    """Levels, and the setting of one, which TensorFlow's own messages alone would follow."""

    DEBUG, ERROR, FATAL, INFO, WARN = 10, 40, 50, 20, 30

    @staticmethod
    def set_verbosity(level: Any) -> None:
        """Accepted."""
