"""Results of an example program under Hornbeam, compared with those under Keras.

Both sides begin with the same weights and data (see side.py), but shuffle batches and draw dropout and noise
by themselves: losses have to follow each other, not to be equal. A value follows another if it lies within
`RELATIVE` of it plus `ABSOLUTE`, or within what the table says for programs with more chance in them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "examples" / "keras"
# Runs one program, under Keras or Hornbeam.
RUNNER = Path(__file__).with_name("example_side.py")
# Results of real Keras, written by benchmarks/examples.py.
RECORDED = ROOT / "tests" / "examples" / "keras_results.json"

RELATIVE, ABSOLUTE = 0.15, 0.06

# Program -> (relative, absolute), where noise is drawn all along or a loss falls off a cliff.
LOOSER: dict[str, tuple[float, float]] = {
    "addition_rnn": (0.3, 0.1),
    "gan": (0.3, 0.2),
    # The loss falls from 4 to 0.4 within two epochs, a little sooner or later.
    "ocr_ctc": (0.3, 0.8),
    "vae": (0.3, 1.0),
    "wgan_gp": (0.3, 0.5),
}


def programs() -> list[str]:
    """Names of all example programs."""
    return sorted(path.stem for path in PROGRAMS.glob("*.py"))


def uses_tensorflow(name: str) -> bool:
    source = (PROGRAMS / f"{name}.py").read_text()
    return "import tensorflow" in source or "from tensorflow" in source


def recorded() -> dict[str, Any]:
    return json.loads(RECORDED.read_text())


def farthest(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[float, str]:
    """The largest distance between two results in units of what is allowed, and where it is."""
    assert ours.keys() == theirs.keys(), f"{name}: {sorted(ours)} against {sorted(theirs)}"
    relative, absolute = LOOSER.get(name, (RELATIVE, ABSOLUTE))
    worst, location = 0.0, ""
    for key, wanted in theirs.items():
        a, b = np.atleast_1d(ours[key]), np.atleast_1d(wanted)
        assert a.shape == b.shape, f"{name}: {key} has {a.shape} values against {b.shape}"
        assert np.isfinite(a).all(), f"{name}: {key} = {a}"
        distances = np.abs(a - b) / (relative * np.abs(b) + absolute)
        if distances.max() > worst:
            worst, at = float(distances.max()), int(distances.argmax())
            location = f"{key}[{at}]: {a[at]:.4f} against {b[at]:.4f}"
    return worst, location
