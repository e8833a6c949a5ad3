"""A trial that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hornbeam.tuning.hyperparameters import HyperParameters, described

if TYPE_CHECKING:
    import optuna


class PrunedError(Exception):
    """The trial is worse than others were at the same epoch."""


@dataclass(frozen=True)
class Running:
    """A trial that was begun.

    Args:
        trial: Optuna's trial.
        index: Its number in the search. An interrupted trial is repeated under its number.
        hp: Its settings.
        seed: Seed of its training.
    """

    trial: optuna.Trial
    index: int
    hp: HyperParameters
    seed: int

    def report(self, epoch: int, value: float) -> None:
        """Note the objective after an epoch.

        Raises:
            PrunedError: If the trial is to end.
        """
        self.trial.report(value, epoch)
        # The defaults are what the winner is compared with.
        if self.index > 0 and self.trial.should_prune():
            raise PrunedError

    def described(self) -> str:
        """Return the settings as text."""
        return described(self.hp.values)
