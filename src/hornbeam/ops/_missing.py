"""Names of Keras's operations that are missing, and the reason."""

from __future__ import annotations

_COMPLEX = "tensors are real; complex numbers are pairs (real, imaginary), as in fft and stft"

MISSING: dict[str, str] = {
    "eig": "eigenvalues of matrices that are not symmetric are complex; use eigh for symmetric ones",
    "polar": _COMPLEX,
    "view_as_complex": _COMPLEX,
    "view_as_real": _COMPLEX,
}
