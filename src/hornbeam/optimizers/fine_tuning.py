"""Parts of optimizers for fine-tuning: learning rates by layer, and variables that join a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam._internal.naming import abbreviate, nearest
from hornbeam._internal.validation import check_number
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable


class FineTuning:
    """Part of an optimizer that knows how variables differ: by their layer, and by when they joined."""

    # Of the optimizer that this is a part of.
    name: str
    built: bool
    _variables: list[Variable]
    _trainable_variables: list[Variable]
    _slots: dict[str, dict[Variable, Variable]]
    learning_rate_multipliers: dict[str, float] | None

    def _begin_fine_tuning(self, multipliers: Mapping[str, float] | None) -> None:
        self.learning_rate_multipliers = _checked_multipliers(multipliers)
        self._multipliers_checked = not self.learning_rate_multipliers
        # Number of updates before a variable joined: a Variable, since compiled steps outlive it.
        self._joined: dict[Variable, Variable] = {}
        # The same of a config, until the optimizer is built.
        self._counts_of_config: Sequence[int] = ()
        # Variables that the constructor made: the counter, a learning rate that is a number.
        self._before_build: set[Variable] = set()

    @property
    def iterations(self) -> Tensor:
        raise NotImplementedError

    # -- learning rates by layer -----------------------------------------------------------------------------

    def multiplier(self, variable: Variable) -> float:
        """Return the factor by which the learning rate of a variable is multiplied.

        Args:
            variable: Trained variable.

        Returns:
            Number of the innermost layer in `learning_rate_multipliers`; 1 if there is none.
        """
        layers = variable.path.split("/")[:-1]
        ends = {name: _end(name.split("/"), layers) for name in self.learning_rate_multipliers or ()}
        name = max(ends, key=lambda name: (ends[name], len(name)), default="")
        return self.learning_rate_multipliers[name] if self.learning_rate_multipliers and ends[name] else 1.0

    def check_multipliers(self, variables: Sequence[Variable]) -> None:
        """Check that every layer in `learning_rate_multipliers` has one of the variables.

        Training does this with all weights of the model, a first `apply` with those that it gets.

        Args:
            variables: Sequence of variables.

        Raises:
            ValueError: If a layer has none of them.
        """
        if self._multipliers_checked:
            return
        paths = [variable.path.split("/")[:-1] for variable in variables]
        for name in self.learning_rate_multipliers or ():
            if not any(_end(name.split("/"), path) for path in paths):
                known = list(dict.fromkeys(layer for path in paths for layer in path))
                raise ValueError(
                    f"learning_rate_multipliers of {self.name}: no weight belongs to a layer {name!r}."
                    f"{nearest(name, known)} The paths of the weights have: {abbreviate(name, known)}"
                )
        self._multipliers_checked = True

    # -- variables that join ---------------------------------------------------------------------------------

    def build(self, variables: Sequence[Variable]) -> None:
        raise NotImplementedError

    def extend(self, variables: Sequence[Variable]) -> None:
        """Create the state for more variables, such as those of layers that were unfrozen.

        The state of the others keeps its values. `optimizer.variables` is then in the order of a build on
        `variables`.

        Args:
            variables: Sequence of all variables that will be trained, in the order of the model.

        Raises:
            ValueError: If a variable of the present state is missing.

        Example:
            >>> optimizer.extend(model.trainable_variables)  # doctest: +SKIP
        """
        known = set(self._trainable_variables)
        if not self.built or known == set(variables):
            self.build(variables)
            return
        missing = [v.path for v in self._trainable_variables if v not in set(variables)]
        if missing:
            raise ValueError(f"extend() of {self.name} needs all variables, {', '.join(missing)} is missing")
        states, slots = self._variables, self._slots
        of_slots = {state for column in slots.values() for state in column.values()}
        own = {state.name: state for state in states if state not in of_slots}
        self._variables = [state for state in states if state in self._before_build]
        self._slots, self.built = {}, False
        self.build(variables)
        # Compiled steps refer to the variables of the present state, which stay.
        kept = {
            state: slots[name][variable]
            for name, column in self._slots.items()
            for variable, state in column.items()
            if variable in slots.get(name, {})
        }
        fresh = [s for s in self._variables if s not in self._before_build and s not in kept]
        kept.update({state: own[state.name] for state in fresh if state.name in own})
        self._variables = [kept.get(state, state) for state in self._variables]
        for column in self._slots.values():
            column.update({variable: kept.get(state, state) for variable, state in column.items()})
        for name, value in list(vars(self).items()):
            if isinstance(value, Variable) and value in kept:
                setattr(self, name, kept[value])

    def _join(self, variables: Sequence[Variable]) -> None:
        """Count the updates of variables from now on: bias corrections take their state for fresh."""
        self._set_joined(dict.fromkeys(variables, int(self.iterations)))

    def _set_joined(self, counts: Mapping[Variable, int]) -> None:
        for variable, count in counts.items():
            if variable not in self._joined:
                self._joined[variable] = Variable(0, dtype="int64", trainable=False, name="joined")
            self._joined[variable].assign(count)

    @property
    def _joined_counts(self) -> list[int]:
        """Number of updates before each trained variable joined; empty if none joined later."""
        variables = self._trainable_variables if self._joined else ()
        return [int(self._joined[v].numpy()) if v in self._joined else 0 for v in variables]

    @_joined_counts.setter
    def _joined_counts(self, counts: Sequence[int]) -> None:
        if not self.built:
            self._counts_of_config = counts
            return
        everyone = dict.fromkeys(self._joined, 0)
        # Of another length, they belong to a state that does not fit either.
        if len(counts) == len(self._trainable_variables):
            pairs = zip(self._trainable_variables, counts, strict=True)
            everyone.update({variable: count for variable, count in pairs if count})
        self._set_joined(everyone)

    def _fine_tuning_config(self) -> dict[str, Any]:
        """Return what is set, for the config: Keras knows none of it."""
        entries = {"learning_rate_multipliers": self.learning_rate_multipliers, "joined": self._joined_counts}
        return {name: value for name, value in entries.items() if value}


def _checked_multipliers(multipliers: Any) -> dict[str, float] | None:
    """Return factors by layer, None for no factor. Raises TypeError or ValueError for anything else."""
    if not multipliers:
        return None
    if not isinstance(multipliers, Mapping) or not all(
        isinstance(name, str) and name for name in multipliers
    ):
        raise TypeError(
            "learning_rate_multipliers must be a dict from names of layers to numbers, such as "
            f'{{"base": 0.1}}, got {multipliers!r:.80}'
        )
    return {
        name: float(check_number(f"learning_rate_multipliers[{name!r}]", factor, minimum=0))
        for name, factor in multipliers.items()
    }


def _end(name: Sequence[str], path: Sequence[str]) -> int:
    """Return the index after the last occurrence of the parts of a name in a path, 0 if it does not occur."""
    starts = range(len(path) - len(name), -1, -1)
    return next((at + len(name) for at in starts if list(path[at : at + len(name)]) == list(name)), 0)
