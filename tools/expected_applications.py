"""Write tests/applications/expected.json: descriptions of Keras's architectures. Needs Keras:

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
    descriptions = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    for key, (name, options) in CASES.items():
        if names and name not in names:
            continue
        keras.utils.clear_session()
        descriptions[key] = describe(getattr(keras.applications, name)(weights=None, **options))
        print(key, descriptions[key]["parameters"], flush=True)
        EXPECTED.write_text(json.dumps(descriptions, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
