"""Values that pass from a model's host part to its compiled part.

Layers for strings compute in NumPy. A model with such layers (see `models/host.py`) runs them on the data
before the step, and the step is traced with their outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HostInputs(dict[int, Any]):
    """Arrays (or symbolic tensors) at which the compiled part of a model begins, by number."""


# From the user's x to HostInputs, or to x itself for a model without a host part.
RunHostLayers = Callable[[Any], Any]
