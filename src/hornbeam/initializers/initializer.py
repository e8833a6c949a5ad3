"""The base class of initializers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam._internal.call_errors import ArgumentChecks
from hornbeam._internal.formatting import scalars_repr
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

    from hornbeam._internal.typing import DTypeLike

MODULE = "keras.initializers"
Shape = Sequence[int]


@exported(MODULE)
class Initializer(ArgumentChecks):
    """Base class of initializers: a function (shape, dtype) -> tensor.

    Subclasses define `__call__`, and `get_config` if they have arguments.
    """

    def __repr__(self) -> str:
        return scalars_repr(self)

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Tensor:
        """Draw the initial values of a weight.

        Args:
            shape: Sequence of integers.
            dtype: Dtype; None for `hornbeam.config.floatx()`.

        Returns:
            Tensor of `shape`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None)")

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal initializer is built."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build the initializer that `get_config` described.

        Args:
            config: Dict of arguments.

        Returns:
            Initializer.
        """
        return cls(**config)

    def clone(self) -> Self:
        """Return an initializer with the same config."""
        return type(self).from_config(self.get_config())
