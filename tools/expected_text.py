"""Write the results of Keras on TensorFlow for the cases of text, lookups and hashes.

Run it with a Python that has keras and tensorflow, from the root of the repository:

    python tools/expected_text.py

The tests read the JSON file it writes and need no Keras.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import keras

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "layers"

spec = importlib.util.spec_from_file_location("text_cases", FOLDER / "text_cases.py")
assert spec is not None
assert spec.loader is not None
cases = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cases)

results = {name: cases.plain(make(keras)) for name, make in cases.CASES.items()}
lines = [f"{json.dumps(name)}: {json.dumps(facts, ensure_ascii=False)}" for name, facts in results.items()]
(FOLDER / "text_expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
print(f"{len(results)} cases")
