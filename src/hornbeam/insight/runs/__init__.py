"""Recorded runs: a folder of plain JSON for each training, listed and compared."""

from hornbeam.errors import RunError
from hornbeam.insight.runs.comparing import compare_runs
from hornbeam.insight.runs.listing import list_runs
from hornbeam.insight.runs.reading import Run, read_run

__all__ = ["Run", "RunError", "compare_runs", "list_runs", "read_run"]
