"""Write the results of Keras for the cases of the layer tests: weights, config keys, outputs.

Run it with a Python that has keras and a backend, from the root of the repository:

    KERAS_BACKEND=numpy python tools/expected_layers.py

It computes what is missing in the JSON file; delete the file to compute all. A case that Keras cannot run on
one backend is printed and stays missing: run it again on another (jax). The tests need no Keras.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers import layer_cases as cases
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "layers"


def expected(case: cases.Case) -> dict[str, Any]:
    """Facts about one case."""
    layer = cases.make(case, keras.layers)
    values = cases.inputs(case, cases.seed_of(case))
    layer(*values, **case.call)
    new_weights = cases.weights([tuple(w.shape) for w in layer.weights])
    layer.set_weights([value.astype(w.dtype) for value, w in zip(new_weights, layer.weights, strict=True)])
    outputs = keras.tree.map_structure(keras.ops.convert_to_numpy, layer(*values, **case.call))
    arrays = cases.flatten(outputs)
    return {
        "weights": [[w.path.split("/")[-1], list(w.shape), str(w.dtype)] for w in layer.weights],
        "config": sorted(layer.get_config()),
        "outputs": [
            [list(a.shape), str(a.dtype), [float(f"{x:.7g}") for x in cases.digest(a)]] for a in arrays
        ],
        "after": [[float(f"{x:.7g}") for x in cases.digest(np.array(w))] for w in layer.get_weights()],
    }


def main() -> int:
    """Add the cases without results; return 1 if this backend cannot run one."""
    path = FOLDER / "layer_expected.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    missing = []
    facts: dict[str, Any] = {}
    for case in cases.CASES:
        label = cases.label(case)
        try:
            facts[label] = known[label] if label in known else expected(case)
        except (TypeError, ValueError) as error:
            missing.append(f"Keras on {keras.backend.backend()} cannot run {label}: {error}")
    lines = (
        f"{json.dumps(label)}:{json.dumps(facts[label], separators=(',', ':'))}" for label in sorted(facts)
    )
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print("\n".join([*missing, str(path)]))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
