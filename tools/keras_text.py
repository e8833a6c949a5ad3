"""Write tests/saving/keras_text.zip: models with layers for strings, saved by Keras on TensorFlow.

Run it with a Python that has keras and tensorflow, from the root of the repository:

    python tools/keras_text.py            # write the file
    python tools/keras_text.py check F    # print the predictions of the models in folder F as JSON
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers import text_models as models
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "saving"


def predicted(model: Any, name: str) -> Any:
    x = tf.nest.map_structure(tf.constant, models.inputs(name))
    return model(x).numpy().tolist()


if len(sys.argv) > 1:
    folder = Path(sys.argv[2])
    print(
        json.dumps({n: predicted(keras.models.load_model(folder / f"{n}.keras"), n) for n in models.MODELS})
    )
else:
    keras.utils.set_random_seed(0)
    predictions = {}
    with (
        tempfile.TemporaryDirectory() as temporary,
        zipfile.ZipFile(FOLDER / "keras_text.zip", "w") as archive,
    ):
        for name, make in models.MODELS.items():
            model = make(keras)
            model.save(Path(temporary) / f"{name}.keras")
            archive.write(Path(temporary) / f"{name}.keras", f"{name}.keras", zipfile.ZIP_DEFLATED)
            predictions[name] = predicted(model, name)
        archive.writestr("expected.json", json.dumps(predictions))
