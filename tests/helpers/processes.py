"""Child processes of tests."""

from __future__ import annotations

import os

from tests.helpers.paths import ROOT


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a child process that imports `tests` and has `variables` set."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **variables}
