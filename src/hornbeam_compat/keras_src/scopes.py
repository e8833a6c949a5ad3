"""State of the scopes of Keras, and the global generator of random numbers."""

from __future__ import annotations

from hornbeam import StatelessScope
from hornbeam.extensions.tracing import Running
from hornbeam.random import draw_seed as draw_seed
from hornbeam.random import global_seed_generator as global_seed_generator
from hornbeam.random import make_default_seed as make_default_seed
from hornbeam_compat.import_hook import KERAS_VERSION as __version__

__all__ = [
    "StatelessScope",
    "__version__",
    "draw_seed",
    "get_stateless_scope",
    "global_seed_generator",
    "in_grain_data_pipeline",
    "in_stateless_scope",
    "in_symbolic_scope",
    "make_default_seed",
]


get_stateless_scope = StatelessScope.current
in_symbolic_scope = Running.is_symbolic


def in_stateless_scope() -> bool:
    """Return True inside of a `StatelessScope`."""
    return get_stateless_scope() is not None


def in_grain_data_pipeline() -> bool:
    """Return False: Hornbeam's layers give the same tensors in a pipeline of Grain as anywhere else."""
    return False
