"""The base class of initializers."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam._internal.typing import DTypeLike
from hornbeam.core.configurable import Configurable
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self

MODULE = "keras.initializers"
Shape = Sequence[int]


@exported(MODULE)
class Initializer(Configurable):
    """Base class of initializers: a function (shape, dtype) -> tensor.

    Subclasses define `__call__`, and `get_config` if they have arguments.
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        """Draw the initial values of a weight.

        Args:
            shape: Sequence of integers.
            dtype: Dtype; None for `hornbeam.config.floatx()`.

        Returns:
            Tensor of `shape`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")

    def clone(self) -> Self:
        """Return an initializer with the same config."""
        return type(self).from_config(self.get_config())
