"""A local distribution named keras that hands on to Hornbeam, for environments whose user wants one.

It is built here and never published. `pip install PACKAGE` is satisfied if PACKAGE requires `keras>=3`, and
`import keras` means Hornbeam in each process of the environment, without `hornbeam run`.
"""

from __future__ import annotations

from hornbeam_compat.import_hook import KERAS_VERSION
from hornbeam_compat.local_wheel import LocalWheel

# The local part tells it from Keras's own release; `keras==3.15.1` accepts it all the same (PEP 440).
VERSION = f"{KERAS_VERSION}+hornbeam"

_MODULE = '''"""`import keras` means Hornbeam here. Written by `hornbeam keras-compat install`."""

import importlib
import sys

import hornbeam

del sys.modules["keras"]
hornbeam.install_as_keras(verbose=False)
importlib.import_module("keras")
'''

WHEEL = LocalWheel(
    "keras",
    VERSION,
    "Keras's names from Hornbeam, built on this machine by `hornbeam keras-compat install`",
    {"keras/__init__.py": _MODULE},
)


def install() -> None:
    """Install the distribution into the environment of this Python.

    Raises:
        RuntimeError: If another Keras is installed, or the installer failed.
    """
    version = WHEEL.installed_version
    if version == VERSION:
        return
    if version is not None:
        raise RuntimeError(f"keras {version} is installed here: pip uninstall keras first, to replace it")
    WHEEL.install()


def uninstall() -> None:
    """Remove the distribution.

    Raises:
        RuntimeError: If it is not installed, or the installer failed.
    """
    version = WHEEL.installed_version
    if version != VERSION:
        present = f"keras {version} is installed, which is not Hornbeam's" if version else "there is none"
        raise RuntimeError(f"nothing to remove: {present}")
    WHEEL.uninstall()
