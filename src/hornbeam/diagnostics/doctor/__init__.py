"""Problems of a training, and their symptoms.

`CHECKS` is the table in the order of evaluation: causes come before their effects.
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
