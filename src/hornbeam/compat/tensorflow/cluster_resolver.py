"""tf.distribute.cluster_resolver: scripts ask for a TPU, and go on when there is none."""

from __future__ import annotations

from typing import Any

__all__ = ["TPUClusterResolver"]


class TPUClusterResolver:
    """Looks for a TPU. Raises ValueError, as TensorFlow does on a machine without one."""

    def __init__(self, tpu: Any = None, **kwargs: Any) -> None:
        raise ValueError("there is no TPU here: `hornbeam run` has the strategy of one replica")

    @classmethod
    def connect(cls, tpu: Any = None, **kwargs: Any) -> TPUClusterResolver:
        """The same question."""
        return cls(tpu, **kwargs)
