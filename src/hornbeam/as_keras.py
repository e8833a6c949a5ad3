"""Importing this module lets `import keras` and `import tensorflow` mean Hornbeam.

`pytest -p hornbeam.as_keras` does so before tests are collected, and says so in pytest's header.
"""

from __future__ import annotations

from hornbeam_compat.installation import STATEMENT, install_as_keras

install_as_keras(verbose=False)


def pytest_report_header() -> str:
    """Return the line that pytest prints above its results."""
    return f"hornbeam: {STATEMENT} in these tests"
