"""Writes expected.json: what real Keras's architectures are made of. Run it where Keras is installed:

KERAS_BACKEND=jax python tests/applications/record.py [NAME ...]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
from described import CASES, describe
from keras.src import backend

PLACE = Path(__file__).parent / "expected.json"


def zeros(shape: tuple[int, ...], *args: object, dtype: str | None = None, **kwargs: object) -> object:
    """In place of random numbers, which take minutes to compile."""
    return backend.convert_to_tensor(np.zeros(shape, "float32"))


def main(names: list[str]) -> None:
    for name in ("uniform", "normal", "truncated_normal"):
        setattr(backend.random, name, zeros)
    found = json.loads(PLACE.read_text()) if PLACE.exists() else {}
    for key, (name, options) in CASES.items():
        if names and name not in names:
            continue
        keras.utils.clear_session()
        found[key] = describe(getattr(keras.applications, name)(weights=None, **options))
        print(key, found[key]["parameters"], flush=True)
        PLACE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
