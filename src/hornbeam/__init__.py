"""Hornbeam: deep learning that reads like Keras, over interchangeable engines.

Names are re-exported explicitly and imported when they are first used, so that `import hornbeam` stays quick.
"""

from __future__ import annotations

from hornbeam._internal import entry_points, tracebacks
from hornbeam._internal.lazy_imports import attach_stub

# Names of Keras's that are not here, and why.
_MISSING: dict[str, str] = {
    "src": "Keras's own sources, which `hornbeam run` has for packages: use the public names.",
}

tracebacks.install()
# Methods of `Model` that layers above it carry out.
entry_points.enter(
    {
        "calibrate_model": "hornbeam.evaluation.conformal.model",
        "candidate_engines": "hornbeam.diagnostics.devices",
        "predict_with": "hornbeam.evaluation.conformal.model",
        "explain": "hornbeam.insight",
        "explain_training": "hornbeam.insight",
        "export": "hornbeam.export",
        "with_certificate": "hornbeam.certificate.recorder",
    }
)

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__, _MISSING)
