"""The arithmetic of a training: samples, batches, updates, epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingSchedule:
    """What `fit` is going to do. samples, batch_size: None for streams. steps: updates an epoch, None if only
    the end of the data tells. one_pass: whether the steps are one pass over the samples.

    >>> TrainingSchedule(60_000, 128, 469, 12).sentence()
    '60,000 samples / 128 = 469 updates an epoch, 5,628 in all'
    """

    samples: int | None
    batch_size: int | None
    steps: int | None
    epochs: int
    one_pass: bool = True

    @property
    def updates(self) -> int | None:
        """In all epochs."""
        return None if self.steps is None else self.steps * max(self.epochs, 0)

    def sentence(self) -> str:
        """What `fit` says before it begins; "" where the number of steps is not known."""
        if self.steps is None:
            return ""
        updates = f"{_updates(self.steps)} an epoch, {self.updates:,} in all"
        if self.samples is None or self.batch_size is None:
            return updates
        if self.one_pass:
            return f"{self.samples:,} samples / {self.batch_size:,} = {updates}"
        return f"{self.samples:,} samples in batches of {self.batch_size:,}: {updates}"

    def epoch(self) -> str:
        """How the updates of an epoch come about: 60,000 / 128 = 468.75, so 469."""
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
            return f"{text}; steps_per_epoch makes {_updates(self.steps)} an epoch"
        return f"{text}; each batch is one update"

    def all(self) -> str:
        """All epochs together."""
        if self.updates is None or self.steps is None:
            return f"{self.epochs:,} epochs"
        text = f"{self.epochs:,} × {self.steps:,} = {_updates(self.updates)}"
        if self.samples is not None and self.batch_size is not None:
            seen = self.epochs if self.one_pass else self.updates * self.batch_size / self.samples
            text += f"; each sample is looked at {seen:.3g} time{'s' * (seen != 1)}"
        return text


def _updates(count: int) -> str:
    return f"{count:,} update{'s' * (count != 1)}"
