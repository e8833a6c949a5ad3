"""Validation with averaged weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hornbeam.core.registry import exported
from hornbeam.core.variable import Variable
from hornbeam.optimizers import Optimizer
from hornbeam.training.callbacks.base import Callback, Logs


@exported("keras.callbacks")
class SwapEMAWeights(Callback):
    """Use the moving averages of the weights for every validation, `evaluate` and `predict`.

    The averages are those that an optimizer with `use_ema=True` keeps. The trained weights return afterwards.

    Args:
        swap_on_epoch: Leave the averages in the model from the end of an epoch to the beginning of the next,
            so that other callbacks save or test those.

    Raises:
        ValueError: When training begins, if no optimizer of the model keeps averages.

    Example:
        >>> swap = hornbeam.callbacks.SwapEMAWeights()
        >>> optimizer = hornbeam.optimizers.Adam(use_ema=True)
    """

    checkpointed = ("_averages_in_model",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._averages_in_model = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        list(_averaging(self.model.optimizer))

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap_in(averages=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.swap_on_epoch:
            return
        self._swap_in(averages=True)
        if epoch == self.params["epochs"] - 1 or self.model.stop_training:
            # At its end `fit` assigns the averages to the variables, which hold them already.
            for variable, average in _pairs(self.model.optimizer):
                average.assign(variable.value)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap_in(averages=True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap_in(averages=False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap_in(averages=True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap_in(averages=False)

    def _swap_in(self, averages: bool) -> None:
        """Put the averages into the model, or the trained weights."""
        if averages == self._averages_in_model:
            return
        self._averages_in_model = averages
        for variable, average in _pairs(self.model.optimizer):
            trained = variable.value
            variable.assign(average.value)
            average.assign(trained)


def _averaging(optimizer: Optimizer) -> Iterator[Any]:
    """Yield the optimizers that keep averages: this one, or those inside it."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    parts = getattr(optimizer, "optimizers", [optimizer])
    averaging = [part for part in parts if getattr(part, "use_ema", False)]
    if not averaging:
        raise ValueError(
            f"SwapEMAWeights needs an optimizer that keeps averages: give {optimizer!r} use_ema=True"
        )
    yield from averaging


def _pairs(optimizer: Optimizer) -> Iterator[tuple[Variable, Variable]]:
    """Yield every variable with its average; none before the first update."""
    for part in _averaging(optimizer):
        yield from part.averages()
