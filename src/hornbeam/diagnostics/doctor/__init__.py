"""What can be wrong with a training, and how it shows.

`CHECKS` is the table, in the order in which it is gone through: what causes others stands before them.
"""

from __future__ import annotations

from hornbeam.diagnostics.doctor import inputs, progress, propagation, structure, symptoms, update_ratios
from hornbeam.diagnostics.doctor.findings import Check as Check
from hornbeam.diagnostics.doctor.findings import Finding as Finding

CHECKS: tuple[Check, ...] = (
    *structure.check,
    *inputs.check,
    *update_ratios.check,
    *propagation.check,
    *progress.check,
    *symptoms.check,
)
