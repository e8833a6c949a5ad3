"""Writes what real Keras on TensorFlow makes of the FeatureSpaces of the tests, and a file that it saves.

Run it with a Python that has keras and tensorflow, from the root of the repository:

    python tools/expected_features.py         writes the files
    python tools/expected_features.py check F  says, as JSON, what the FeatureSpace in the file F gives
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import keras

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "utils"

spec = importlib.util.spec_from_file_location("feature_cases", FOLDER / "feature_cases.py")
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)

if len(sys.argv) > 1:
    print(json.dumps(cases.facts(keras.models.load_model(sys.argv[2]))))
else:
    found = {name: cases.encoded(keras, name) for name in cases.SPACES}
    lines = [f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in found.items()]
    (FOLDER / "feature_expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    space = cases.short(keras)
    space.adapt(cases.columns(space, cases.DATA))
    space.save(FOLDER / "feature_space.keras")
