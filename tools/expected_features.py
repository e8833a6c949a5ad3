"""Write the results of Keras on TensorFlow for the FeatureSpaces of the tests, and a saved one.

Run it with a Python that has keras and tensorflow, from the root of the repository:

    python tools/expected_features.py           # write the files
    python tools/expected_features.py check F   # print the results of the FeatureSpace in file F as JSON
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers import feature_cases as cases
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "utils"


if len(sys.argv) > 1:
    print(json.dumps(cases.facts(keras.models.load_model(sys.argv[2]))))
else:
    encodings = {name: cases.encoded(keras, name) for name in cases.SPACES}
    lines = [f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in encodings.items()]
    (FOLDER / "feature_expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    space = cases.short(keras)
    space.adapt(cases.columns(space, cases.DATA))
    space.save(FOLDER / "feature_space.keras")
