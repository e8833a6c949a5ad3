"""Writes expected.json: what real Keras's architectures are made of. Run it where Keras is installed:

KERAS_BACKEND=jax python tools/expected_applications.py [NAME ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
from keras.src import backend

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers.architectures import CASES, describe
from tests.helpers.paths import ROOT

EXPECTED = ROOT / "tests" / "applications" / "expected.json"


def zeros(shape: tuple[int, ...], *args: object, dtype: str | None = None, **kwargs: object) -> object:
    """In place of random numbers, which take minutes to compile."""
    return backend.convert_to_tensor(np.zeros(shape, "float32"))


def main(names: list[str]) -> None:
    for name in ("uniform", "normal", "truncated_normal"):
        setattr(backend.random, name, zeros)
    found = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    for key, (name, options) in CASES.items():
        if names and name not in names:
            continue
        keras.utils.clear_session()
        found[key] = describe(getattr(keras.applications, name)(weights=None, **options))
        print(key, found[key]["parameters"], flush=True)
        EXPECTED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
