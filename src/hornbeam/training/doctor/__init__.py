"""What can be wrong with a training, and how it shows.

`CHECKS` is the table, in the order in which it is gone through: what causes others stands before them.
"""

from __future__ import annotations

from hornbeam.training.doctor import inputs, progress, rates, signals, structure, symptoms
from hornbeam.training.doctor.table import Check as Check
from hornbeam.training.doctor.table import Finding as Finding

CHECKS: tuple[Check, ...] = (
    *structure.check,
    *inputs.check,
    *rates.check,
    *signals.check,
    *progress.check,
    *symptoms.check,
)
