"""Write the results of Keras for the cases of the layer tests: weights, config keys, outputs.

Run it with a Python that has keras and a backend, from the root of the repository:

    python tools/expected_layers.py

The tests read the JSON file it writes and need no Keras.
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


def expected(index: int, case: Any) -> dict[str, Any]:
    """Facts about one case."""
    layer = cases.make(case, keras.layers)
    values = cases.inputs(case, index)
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


if __name__ == "__main__":
    facts = [expected(index, case) for index, case in enumerate(cases.CASES)]
    path = FOLDER / "layer_expected.json"
    path.write_text("[\n" + ",\n".join(json.dumps(fact, separators=(",", ":")) for fact in facts) + "\n]\n")
    print(path)
