"""The callback that writes checkpoints of Orbax (the extra `orbax`)."""

from __future__ import annotations

import os
from typing import Any

from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.distribution.processes import print_once
from hornbeam.training.callbacks.base import Logs
from hornbeam.training.callbacks.monitor import Monitor


@exported("keras.callbacks")
class OrbaxCheckpoint(Monitor):
    """Write checkpoints of Orbax while the model trains, as JAX's programs read them.

    A folder gets one subfolder a step: weights, the optimizer's state, and the config of the model.
    `load_model` and `load_weights` take the folder, or one of a step. For trainings that continue to the same
    bits see `Checkpoint`.

    Args:
        directory: Folder of the checkpoints, created if it does not exist.
        monitor: Name of the metric for save_best_only.
        verbose: 1 prints every save.
        save_best_only: Save only when the metric is better than ever.
        mode: "min", "max", or "auto" by the metric's name.
        save_freq: "epoch", or a number of steps.
        initial_value_threshold: Best value to start from.
        max_to_keep: Number of newest checkpoints to keep, None for all.
        save_on_background: Write in a thread while the next steps run.
        save_weights_only: Save the weights alone.

    Raises:
        ImportError: Without orbax-checkpoint.
        ValueError: For another save_freq or max_to_keep.

    Example:
        >>> save = OrbaxCheckpoint("checkpoints", save_freq=100)  # doctest: +SKIP

    Source: https://orbax.readthedocs.io.
    """

    checkpointed = ("best", "_steps")

    def __init__(
        self,
        directory: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
        max_to_keep: int | None = 1,
        save_on_background: bool = True,
        save_weights_only: bool = False,
    ) -> None:
        super().__init__(monitor, mode)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq <= 0):
            raise ValueError(f'save_freq must be "epoch" or a number of steps, got {save_freq!r}')
        if max_to_keep is not None:
            check_int("max_to_keep", max_to_keep, 1)
        from hornbeam.saving.orbax import library

        self._library = library()
        self.directory = os.path.abspath(os.fspath(directory))
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_freq: Any = save_freq
        self.max_to_keep = max_to_keep
        self.save_on_background = save_on_background
        self.save_weights_only = save_weights_only
        self.best = initial_value_threshold
        self._steps = 0
        self._pending: list[Any] = []
        self.checkpointer = self._open()
        if save_freq != "epoch":
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    def _open(self) -> Any:
        training = self._library.training
        keep = self.max_to_keep
        return training.Checkpointer(
            self.directory,
            preservation_policy=None if keep is None else training.preservation_policies.LatestN(keep),
            save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
        )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.checkpointer is None:  # a second training
            self.checkpointer = self._open()
        if self.save_best_only:
            self._sign()

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += self.model.steps_per_execution
        if self._steps >= self.save_freq:
            self._steps = 0
            self._save(int(self.model.optimizer.iterations), logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, step: int, logs: Logs | None) -> None:
        from hornbeam.saving.orbax import contents

        if self.save_best_only:
            value = self._value(logs)
            if value is None or not self._better(value, self.best):
                return
            self.best = value
        if self.verbose > 0:
            print_once(f"saving step {step} to {self.directory}")
        state = self.model.get_state_tree(value_format="numpy_array")
        results = contents(self.model, state, self.save_weights_only)
        if self.save_on_background:
            self._pending.append(self.checkpointer.save_checkpointables_async(step, results))
        else:
            self.checkpointer.save_checkpointables(step, results)

    def wait_until_finished(self) -> None:
        """Wait until all checkpoints are on the disk."""
        pending, self._pending = self._pending, []
        for save in pending:
            save.result()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.wait_until_finished()
        self.checkpointer.close()
        self.checkpointer = None

    def is_multihost_enabled(self) -> bool:
        """Return whether several processes train together.

        Returns:
            True or False.
        """
        from hornbeam.engines import current_engine

        return current_engine().process[1] > 1

    def is_primary_host(self) -> bool:
        """Return whether this is the process that prints, the first one.

        Returns:
            True or False.
        """
        from hornbeam.distribution.processes import is_first

        return is_first()
