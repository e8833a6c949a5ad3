"""The arguments of `fit` other than data, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hornbeam._internal.validation import check_int
from hornbeam.training import check_arguments as check
from hornbeam.training.progress import resolve_verbose


@dataclass
class FitSettings:
    """Settings of one `fit`. steps, validation_steps: of an epoch, None for one pass over the data."""

    batch_size: int | None
    epochs: int
    initial_epoch: int
    verbose: int
    shuffle: bool | str | None
    class_weight: Mapping[int, float] | None
    steps: int | None
    validation_steps: int | None
    validation_batch_size: int | None
    validation_split: float
    validation_split_mode: str
    validation_freq: int | set[int]
    debug_nans: bool

    @classmethod
    def checked(
        cls,
        *,
        epochs: object,
        initial_epoch: object,
        verbose: object,
        class_weight: object,
        steps_per_epoch: object,
        validation_steps: object,
        validation_split: object,
        validation_freq: object,
        debug_nans: object,
        run_eagerly: bool,
        **others: Any,
    ) -> FitSettings:
        """Check the arguments of `fit`. Raises ValueError for values that cannot be right."""
        epochs, initial_epoch = check_int("epochs", epochs, 0), check_int("initial_epoch", initial_epoch, 0)
        return cls(
            epochs=check.limit_epochs(epochs),
            initial_epoch=initial_epoch,
            verbose=resolve_verbose(verbose),
            class_weight=check.check_class_weight(class_weight),
            steps=check.check_steps("steps_per_epoch", steps_per_epoch),
            validation_steps=check.check_steps("validation_steps", validation_steps),
            validation_split=check.check_split_fraction(validation_split),
            validation_freq=check.check_validation_freq(validation_freq),
            debug_nans=check.check_debug_nans(debug_nans, run_eagerly),
            **others,
        )

    def validates_after(self, epoch: int) -> bool:
        """Return whether validation follows an epoch, counted from 0."""
        frequency = self.validation_freq
        return epoch + 1 in frequency if isinstance(frequency, set) else (epoch + 1) % frequency == 0
