"""Exchange files between Keras and Hornbeam.

Run with a Python that has Keras 3 (and one of its backends):

    python tools/keras_files.py write           # write tests/saving/keras_files.zip
    python tools/keras_files.py check FOLDER    # load Hornbeam's files in FOLDER, print differences as JSON
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.helpers import keras_models
from tests.helpers.paths import ROOT

FOLDER = ROOT / "tests" / "saving"


def write(target: Path) -> None:
    """All files, as Keras wrote them, in one archive."""
    with tempfile.TemporaryDirectory() as folder:
        keras_models.write(keras, folder)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(Path(folder).iterdir()):
                archive.write(path, path.name)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    if sys.argv[1:] == ["write"]:
        write(FOLDER / "keras_files.zip")
    else:
        print(json.dumps(keras_models.differences(keras, sys.argv[2])))
