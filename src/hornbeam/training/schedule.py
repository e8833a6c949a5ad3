"""Arithmetic of a training: samples, batches, updates, epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSchedule:
    """Numbers of samples, batches, updates and epochs of a `fit`.

    Args:
        samples: Number of samples, None for streams.
        batch_size: Samples of a batch, None for streams.
        steps: Updates of an epoch, None if only the end of the data tells.
        epochs: Number of epochs.
        one_pass: True if an epoch is one pass over the samples.
        pass_steps: Batches of a pass, with which an epoch ends; None if passes repeat without an end.

    Example:
        >>> TrainingSchedule(60_000, 128, 469, 12).sentence()
        '60,000 samples / 128 = 469 updates per epoch, 5,628 in total'
    """

    samples: int | None
    batch_size: int | None
    steps: int | None
    epochs: int
    one_pass: bool = True
    pass_steps: int | None = None

    @property
    def updates(self) -> int | None:
        """Updates of all epochs, None if unknown."""
        if self.steps is None:
            return None
        epochs, length = max(self.epochs, 0), self.pass_steps
        if length is None or length % self.steps == 0:
            return self.steps * epochs
        passes, rest = divmod(epochs, math.ceil(length / self.steps))
        return passes * length + rest * self.steps

    def sentence(self) -> str:
        """Return the line that `fit` prints first; "" if the number of steps is unknown."""
        if self.steps is None:
            return ""
        some = "up to " if self.pass_steps is not None and self.pass_steps % self.steps else ""
        updates = f"{some}{_updates(self.steps)} per epoch, {self.updates:,} in total"
        if self.samples is None or self.batch_size is None:
            return updates
        if self.one_pass:
            return f"{self.samples:,} samples / {self.batch_size:,} = {updates}"
        return f"{self.samples:,} samples in batches of {self.batch_size:,}: {updates}"

    def epoch(self) -> str:
        """Return the arithmetic of the updates of an epoch: 60,000 / 128 = 468.75, so 469."""
        if self.samples is None or self.batch_size is None:
            steps = "as many updates as the stream gives batches"
            return steps if self.steps is None else f"{_updates(self.steps)}, one a batch of the stream"
        exact = self.samples / self.batch_size
        full, rest = divmod(self.samples, self.batch_size)
        text = f"{self.samples:,} / {self.batch_size:,} = {exact:,.10g}"
        if not full:
            text = f"{self.samples:,} samples are one batch, smaller than {self.batch_size:,}"
        elif rest:
            text += f", so {math.ceil(exact):,} batches: {full:,} of {self.batch_size:,} and one of {rest:,}"
        if self.steps is not None and not self.one_pass:
            return f"{text}; steps_per_epoch makes {_updates(self.steps)} per epoch"
        return f"{text}; each batch is one update"

    def all(self) -> str:
        """Return the arithmetic of all epochs."""
        if self.updates is None or self.steps is None:
            return f"{self.epochs:,} epochs"
        uneven = self.updates != self.epochs * self.steps
        times = (
            f"{self.epochs:,} epochs of up to {self.steps:,}"
            if uneven
            else f"{self.epochs:,} × {self.steps:,}"
        )
        text = f"{times} = {_updates(self.updates)}"
        if self.samples is not None and self.batch_size is not None:
            passes = self.epochs if self.one_pass else self.updates * self.batch_size / self.samples
            text += f"; each sample is used {passes:.3g} time{'s' * (passes != 1)}"
        return text


def _updates(count: int) -> str:
    return f"{count:,} update{'s' * (count != 1)}"
