"""Methods of metrics as pure functions of the values of their variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hornbeam._internal.typing import Tree
from hornbeam.core.scopes import StatelessScope


class StatelessMethods:
    """Part of a metric, which has the other methods."""

    if TYPE_CHECKING:
        name: str

        @property
        def variables(self) -> list[Any]: ...
        def update_state(self, *args: Any, **kwargs: Any) -> None: ...
        def result(self) -> Any: ...
        def reset_state(self) -> None: ...

    def stateless_update_state(self, metric_variables: Sequence[Any], *args: Any, **kwargs: Any) -> list[Any]:
        """Compute the variables after `update_state`, as a pure function.

        Args:
            metric_variables: Sequence of tensors, the values of `variables`.
            *args: Arguments of `update_state`.
            **kwargs: Keyword arguments of `update_state`.

        Returns:
            List of tensors, the new values of `variables`.
        """
        with self._holding(metric_variables) as scope:
            self.update_state(*args, **kwargs)
        return [scope.get_current_value(variable) for variable in self.variables]

    def stateless_result(self, metric_variables: Sequence[Any]) -> Tree:
        """Compute `result` as a pure function.

        Args:
            metric_variables: Sequence of tensors, the values of `variables`.

        Returns:
            Result for these values.
        """
        with self._holding(metric_variables):
            return self.result()

    def stateless_reset_state(self) -> list[Any]:
        """Return the values of `variables` after a reset."""
        with self._holding(self.variables) as scope:
            self.reset_state()
        return [scope.get_current_value(variable) for variable in self.variables]

    def _holding(self, values: Sequence[Any]) -> StatelessScope:
        variables = self.variables
        if len(values) != len(variables):
            raise ValueError(f"metric {self.name!r} has {len(variables)} variables, got {len(values)} values")
        return StatelessScope(zip(variables, values, strict=True))
