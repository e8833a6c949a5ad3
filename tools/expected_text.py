"""Write the results of Keras on TensorFlow for the cases of text, lookups and hashes.

Run it with a Python that has keras and tensorflow, from the root of the repository:

    python tools/expected_text.py

The tests read the JSON file it writes and need no Keras.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers import text_cases as cases
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "layers"


results = {name: cases.plain(make(keras)) for name, make in cases.CASES.items()}
lines = [f"{json.dumps(name)}: {json.dumps(facts, ensure_ascii=False)}" for name, facts in results.items()]
(FOLDER / "text_expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
print(f"{len(results)} cases")
