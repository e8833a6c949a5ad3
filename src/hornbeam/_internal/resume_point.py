"""State of a training between two epochs, as a model and its file hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# State of the global generator of random numbers.
Words = list[int]


@dataclass(frozen=True)
class ResumePoint:
    """State of a training between two epochs, besides the values of its model.

    Attributes:
        epoch: Number of finished epochs.
        form: Sizes of the training data, which must be equal to continue their order.
        start: State of the global generator before the validation samples were drawn.
        random: State of the global generator after the epochs.
        data: Position in the training data.
        validation: Position in the validation data, or None.
    """

    epoch: int
    form: dict[str, int | None]
    start: Words
    random: Words
    data: dict[str, Any]
    validation: dict[str, Any] | None
