"""The library of an engine imports the real Keras and TensorFlow, a script that runs on it Hornbeam's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hornbeam.engines import get_engine

CODE = """
import sys
sys.path.insert(0, sys.argv[1])
import hornbeam_compat.policy as compat
from hornbeam import engines

compat.policy.install()
import keras
import tensorflow as shim
for _ in range(2):
    with engines.host_libraries():
        import tensorflow as real
        assert real.KIND == "real" and real.keras.KIND == "real keras"
    import tensorflow as imported_again
    assert imported_again is shim and sys.modules["keras"] is keras and keras.layers.Dense
assert real.load_later() == "internal"
"""


def test_both_live_in_one_process(tmp_path: Path) -> None:
    internal = tmp_path / "tensorflow" / "python"
    internal.mkdir(parents=True)
    (tmp_path / "keras.py").write_text('KIND = "real keras"\n')
    (internal / "__init__.py").write_text("")
    (internal / "later.py").write_text('KIND = "internal"\n')
    (tmp_path / "tensorflow" / "__init__.py").write_text(
        "import keras\nimport tensorflow.python\nKIND = 'real'\n"
        "def load_later():\n    from tensorflow.python import later\n    return later.KIND\n"
    )
    run = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_a_script_runs_on_tensorflow(tmp_path: Path) -> None:
    try:
        get_engine("tensorflow")
    except ImportError as error:
        pytest.skip(f"{error}")
    script = tmp_path / "script.py"
    script.write_text(
        "import keras, numpy as np, tensorflow as tf\n"
        "model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
        "model.compile('adam', 'mse')\n"
        "data = tf.data.Dataset.from_tensor_slices((np.ones((8, 3)), np.ones((8, 2)))).batch(4)\n"
        "model.fit(data, verbose=0)\n"
        "print(keras.config.backend(), type(tf).__module__)\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", "--engine", "tensorflow", str(script)],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "hornbeam" in run.stdout
