"""Hornbeam in place of Keras and TensorFlow for any process: `install_as_keras` and its undoing."""

from __future__ import annotations

import hornbeam
from hornbeam_compat.policy import policy

STATEMENT = "`import keras` and `import tensorflow` mean Hornbeam"


def install_as_keras(verbose: bool = True) -> None:
    """Let `import keras`, `import tensorflow` and `import tf_keras` mean Hornbeam in this process.

    Code that was written for Keras then runs unchanged, as under `hornbeam run`: see docs/keras_scripts.md.
    `importlib.util.find_spec` and `importlib.metadata.version` agree. A second call changes nothing;
    `uninstall_as_keras` undoes the first. In a notebook `%load_ext hornbeam` does the same, for tests
    `pytest -p hornbeam.as_keras`.

    Args:
        verbose: Whether to print a line that says so.

    Raises:
        RuntimeError: If Keras or TensorFlow has already been imported.

    Example:
        >>> hornbeam.install_as_keras()  # doctest: +SKIP
        Hornbeam 0.1.0: `import keras` and `import tensorflow` mean Hornbeam, until uninstall_as_keras()
    """
    if policy.is_installed:
        return
    policy.install("hornbeam")
    if verbose:
        print(f"Hornbeam {hornbeam.__version__}: {STATEMENT}, until uninstall_as_keras()")


def uninstall_as_keras() -> None:
    """Undo `install_as_keras`: `import keras` finds the installed Keras again, if any.

    Names that were imported before stay what they are. Without `install_as_keras` nothing happens.

    Example:
        >>> hornbeam.uninstall_as_keras()
    """
    policy.uninstall()
