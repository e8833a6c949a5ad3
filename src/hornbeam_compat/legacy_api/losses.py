"""Names of `keras.losses` that Keras 3 removed."""

from __future__ import annotations

# Name -> its replacement.
REPLACEMENTS = {"Reduction": 'the names of reductions, such as reduction="sum"'}


class Reduction:
    """Names of reductions: AUTO is the mean over a batch."""

    AUTO = SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    NONE = "none"
    SUM = "sum"
