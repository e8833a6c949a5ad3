"""tf.version: what scripts ask of TensorFlow's version."""

from __future__ import annotations

__all__ = ["COMPILER_VERSION", "GIT_VERSION", "VERSION"]

# The version whose names the shim follows.
VERSION = "2.19.0"
GIT_VERSION = "hornbeam"
COMPILER_VERSION = "hornbeam"
