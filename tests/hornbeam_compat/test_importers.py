"""TensorFlow's names are for scripts, and for packages that cannot do without."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = """
try:
    {line}
except {errors}:
    answer = None
"""
IMPORT = "import tensorflow; answer = tensorflow.__name__"
PACKAGE = {
    "needs.py": IMPORT,
    "guarded.py": GUARD.format(line=IMPORT, errors="ImportError"),
    "tuple_guard.py": GUARD.format(line=IMPORT, errors="(AttributeError, ModuleNotFoundError)"),
    "other_guard.py": GUARD.format(line=IMPORT, errors="KeyError"),
    "inside.py": GUARD.format(line="from needs import answer", errors="ImportError"),
    "late.py": "def ask():\n    import tensorflow\n    return tensorflow.__name__\nanswer = ask()",
    "called.py": "from late import ask" + GUARD.format(line="answer = ask()", errors="ImportError"),
    "spec.py": "import importlib.util\nanswer = importlib.util.find_spec('tensorflow') and 'tensorflow'",
    "inner_spec.py": "import importlib.util\nanswer = importlib.util.find_spec('tensorflow.keras')",
    "dynamic.py": "import importlib"
    + GUARD.format(line="answer = importlib.import_module('tensorflow').__name__", errors="Exception"),
    "version.py": "import importlib.metadata as m"
    + GUARD.format(line="answer = m.version('tensorflow') and 'tensorflow'", errors="m.PackageNotFoundError"),
}
NEEDS = {"needs", "other_guard", "late", "called"}
CODE = """
import sys
sys.path.insert(0, {folder!r})
import hornbeam
hornbeam.install_as_keras(verbose=False)
import {module}
print({module}.answer)
"""


def answer(tmp_path: Path, module: str, **environment: str) -> str:
    for name, source in PACKAGE.items():
        (tmp_path / name).write_text(source)
    code = CODE.format(folder=str(tmp_path), module=module)
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env={**_environment(), **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}


@pytest.mark.parametrize("module", [name[:-3] for name in PACKAGE])
def test_packages_that_can_do_without_do_without(tmp_path: Path, module: str) -> None:
    assert answer(tmp_path, module) == ("tensorflow" if module in NEEDS else "None")


@pytest.mark.parametrize("module", ["guarded", "spec"])
def test_hidden_tensorflow_is_said_once(tmp_path: Path, module: str) -> None:
    for name, source in PACKAGE.items():
        (tmp_path / name).write_text(source)
    code = CODE.format(folder=str(tmp_path), module=module) + "import guarded, spec\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment())
    assert done.stderr.count("TensorFlow is hidden from packages") == 1, done.stderr
    assert done.stderr.count("KERAS_BACKEND=tensorflow shows them to all") == 1


@pytest.mark.parametrize(("legacy", "version"), [("1", "2.19.0"), ("0", "3.15.1")])
def test_programs_that_ask_for_keras_2_see_its_version(legacy: str, version: str) -> None:
    code = "import tensorflow as tf, keras; print(tf.keras.__version__, keras.version())"
    run = [sys.executable, "-m", "hornbeam", "run", "-c", code]
    environment = {**_environment(), "TF_USE_LEGACY_KERAS": legacy}
    done = subprocess.run(run, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == [version, version], done.stderr


@pytest.mark.parametrize("module", ["guarded", "spec", "version"])
def test_with_the_backend_tensorflow_all_see_it(tmp_path: Path, module: str) -> None:
    assert answer(tmp_path, module, KERAS_BACKEND="tensorflow") == "tensorflow"


def test_scripts_always_see_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import importlib.util\n"
        "assert importlib.util.find_spec('tensorflow') is not None\n"
        "try:\n    import tensorflow as tf\nexcept ImportError:\n    tf = None\n"
        "print(tf.__name__)\n"
    )
    run = [sys.executable, "-m", "hornbeam", "run", str(script)]
    done = subprocess.run(run, capture_output=True, text=True, env=_environment())
    assert done.stdout.strip() == "tensorflow", done.stderr


CHILD = """
import multiprocessing
import sys


def ask(queue):
    import keras
    queue.put(keras.__doc__.split(":")[0])


if "__main__" == __name__:
    import keras
    context = multiprocessing.get_context(sys.argv[1])
    queue = context.Queue()
    process = context.Process(target=ask, args=(queue,))
    process.start()
    print(queue.get(timeout=60))
    process.join()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_child_processes_see_the_same(tmp_path: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this platform has no {method}")
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    run = [sys.executable, "-m", "hornbeam", "run", str(script), method]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.stdout.strip() == "Hornbeam", done.stderr


def test_absent_modules_are_module_not_found_errors(tmp_path: Path) -> None:
    """Packages try modules of several versions, and expect Python's error for those that are absent."""
    script = """
import tensorflow.python.keras.layers
from tensorflow.python.keras import layers
import keras
assert layers is keras.layers
for name in ("tensorflow.python.distribute", "tensorflow.python.keras.engine.input_layer.InputLayer",
             "keras.src.engine.nothing"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
    else:
        raise AssertionError(name)
"""
    (tmp_path / "script.py").write_text(script)
    run = [sys.executable, "-m", "hornbeam", "run", "script.py"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, env=_environment())
    assert done.returncode == 0, done.stderr
