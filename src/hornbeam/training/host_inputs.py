"""What a model's host part hands to its compiled part.

Layers for strings compute in NumPy. A model that has some (see `models/host.py`) runs them on the data before
the step, and the step is traced with what they gave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class HostInputs(dict):
    """Arrays (or tensors in their place) at which the compiled part of a model begins, by their number."""


# From x as the user gave it to HostInputs, or to x itself where a model has no host part.
RunHostLayers = Callable[[Any], Any]
