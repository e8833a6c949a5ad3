"""Certificates of trainings: small files by which a training can be checked again on another computer.

`fit(certificate="run.cert")` writes one, `verify` and `hornbeam verify` check one. docs/certificate.md has
the format, and says what a certificate does not prove.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
