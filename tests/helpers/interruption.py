"""A callback that interrupts training."""

from __future__ import annotations

from typing import Any

from hornbeam import callbacks


class RaiseAtStep(callbacks.Callback):
    """Raise an error after a step of training, counted over all epochs."""

    def __init__(self, step: int, error: type[BaseException]) -> None:
        super().__init__()
        self.left = step
        self.error = error

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error
