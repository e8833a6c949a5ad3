"""Names of Keras's operations that are not here, and why."""

from __future__ import annotations

_COMPLEX = "tensors are real; complex numbers are pairs (real, imaginary), as fft and stft take and give them"

MISSING: dict[str, str] = {
    "eig": "eigenvalues of matrices that are not symmetric are complex; use eigh for symmetric ones",
    "polar": _COMPLEX,
    "view_as_complex": _COMPLEX,
    "view_as_real": _COMPLEX,
}


class MissingOperationError(AttributeError):
    """An operation of Keras that Hornbeam does not have; the message says why."""
