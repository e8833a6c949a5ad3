"""Report of what `skip_mismatch=True` leaves out."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam._internal import warning_policy
from hornbeam._internal.warn import warn_user
from hornbeam.errors import ModelFileError

_NAMED = 3


def report_skipped(problems: Sequence[str], loaded: int) -> None:
    """Warn of what does not fit, before weights are assigned.

    Args:
        problems: A description of each part that does not fit.
        loaded: Number of weights that do.

    Raises:
        ModelFileError: If none does: the model would stay as it is.
    """
    if not problems:
        return
    more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    listed = "; ".join(problems[:_NAMED]) + more
    if loaded:
        warn_user(f"weights loaded: {loaded}; left out by skip_mismatch=True: {listed}")
    else:
        problem = f"no weight of the file fits the model; skip_mismatch=True would leave out all: {listed}"
        warning_policy.on_warning(ModelFileError(problem))
