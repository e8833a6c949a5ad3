"""`hornbeam run` takes scripts, modules, code and notebooks; `import keras` can mean Hornbeam anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hornbeam_compat.notebook_runs.outputs import after_carriage_returns
from hornbeam_compat.notebooks import without_replaced_packages
from tests.helpers.notebooks import outputs, write

pytest.importorskip("IPython")

# Cells as tutorials have them, and the texts that each must show.
CELLS = [
    ("%tensorflow_version 2.x\n!pip install -q tensorflow", "tensorflow means Hornbeam"),
    ("import tensorflow as tf\nprint(tf.__version__)", "2."),
    ("import keras, importlib.metadata\nimportlib.metadata.version('keras') == keras.__version__", "True"),
    ("import asyncio\nawait asyncio.sleep(0)\n'awaited'", "'awaited'"),
    ("display([1, 2])", "[1, 2]"),
    ("print('a\\rb')\n7;", "b"),
]
# The same without IPython.
PLAIN = """
import sys
sys.modules["IPython"] = None
from hornbeam.cli import main
sys.exit(main(["run", *sys.argv[1:]]))
"""


def hornbeam(*args: str | Path, text: str | None = None, folder: Path | None = None) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "hornbeam", *map(str, args)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout, done.stderr


def test_a_module_with_its_arguments(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("import sys, keras; print(keras.__version__, __name__, sys.argv[1:])")
    status, shown, errors = hornbeam("run", "-m", "part", "--its", "own", folder=tmp_path)
    assert (status, shown.split(" ", 1)[1].strip()) == (0, "__main__ ['--its', 'own']"), errors


def test_code_and_standard_input() -> None:
    code = "import sys, keras; print(sys.argv, keras.Sequential._hb_module)"
    assert hornbeam("run", "-c", code, "x")[1].strip() == "['-c', 'x'] hornbeam.models.sequential"
    assert hornbeam("run", "-", "x", text=code)[1].strip() == "['-', 'x'] hornbeam.models.sequential"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["run"], "which script?"),
        (["run", "-m"], "-m needs an argument"),
        (["run", "--output", "x.ipynb", "SCRIPT"], "--output is for notebooks"),
        (["run", "NOTEBOOK", "--epochs", "3"], "a notebook takes no arguments, got --epochs 3"),
        (["run", "NOTEBOOK", "--output"], "--output needs the name of a file"),
        (["run", "DAMAGED"], "is not a notebook"),
        (["run", "OLD"], "format 3 is too old"),
        (["run", "JULIA"], "is a notebook of julia"),
    ],
)
def test_what_cannot_be_run(tmp_path: Path, args: list[str], text: str) -> None:
    files = {name: tmp_path / f"{name.lower()}.ipynb" for name in ("NOTEBOOK", "DAMAGED", "OLD", "JULIA")}
    files["SCRIPT"] = tmp_path / "script.py"
    files["SCRIPT"].write_text("")
    write(files["NOTEBOOK"], ["1"])
    files["DAMAGED"].write_text("{")
    files["OLD"].write_text(json.dumps({"nbformat": 3, "worksheets": []}))
    write(files["JULIA"], ["1"], language_info={"name": "julia"})
    status, _, errors = hornbeam(*[str(files.get(arg, arg)) for arg in args])
    assert status == 2
    assert text in errors
    assert len(errors.splitlines()) == 1


def test_a_notebook_with_its_outputs(tmp_path: Path) -> None:
    path = write(tmp_path / "notebook.ipynb", [cell for cell, _ in CELLS])
    before = path.read_text()
    status, shown, errors = hornbeam("run", path, "--output", tmp_path / "out.ipynb")
    assert status == 0, errors
    assert path.read_text() == before
    for (_, text), parts in zip(CELLS, outputs(tmp_path / "out.ipynb"), strict=True):
        assert text in shown
        assert text in json.dumps(parts)
        assert [part for part in parts if part["output_type"] == "stream" and "\r" in part["text"]] == []
    counts = [cell["execution_count"] for cell in json.loads((tmp_path / "out.ipynb").read_text())["cells"]]
    assert counts == list(range(1, len(CELLS) + 1))


def test_a_notebook_that_fails(tmp_path: Path) -> None:
    cells = ["print('before')", "def f():\n    1 / 0\nf()", "print('after')"]
    path = write(tmp_path / "notebook.ipynb", cells)
    status, shown, errors = hornbeam("run", "-o", tmp_path / "out.ipynb", path)
    assert (status, shown) == (1, "before\n")
    assert "ZeroDivisionError" in errors
    assert errors.splitlines()[-1] == "hornbeam run: cell 2 failed"
    assert "hornbeam/" not in errors
    first, second, third = outputs(tmp_path / "out.ipynb")
    assert (first[0]["text"], second[0]["ename"], third) == ("before\n", "ZeroDivisionError", [])


def test_a_notebook_without_ipython(tmp_path: Path) -> None:
    cells = [
        "!pip install x",
        "%%time\nprint(1)",
        "%%bash\nls",
        "import asyncio\nawait asyncio.sleep(0)\n5",
        "6;",
    ]
    path = write(tmp_path / "notebook.ipynb", [*cells, "files = !ls"])
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, path, "-o", tmp_path / "out.ipynb"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == "1\n5\n"
    lines = done.stderr.splitlines()
    assert lines[:2] == [
        "hornbeam run: cell 1: the line '!pip install x' is skipped, it needs IPython",
        "hornbeam run: cell 3: the cell '%%bash' is skipped, it needs IPython",
    ]
    assert "cell 6: 'files = !ls' needs IPython: pip install ipython" in done.stderr
    parts = outputs(tmp_path / "out.ipynb")
    assert parts[3][0]["data"] == {"text/plain": "5"}
    assert parts[4] == []


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("!pip install tensorflow", None),
        ("!pip install -q --upgrade tensorflow==2.15.0 keras", None),
        ("%pip install 'tensorflow[and-cuda]>=2.16'", None),
        ("  !python -m pip install tf-keras tensorflow-cpu", None),
        ("!pip install -U keras pandas", "!pip install -U pandas"),
        ("!pip install tensorflow-datasets keras-tuner", "!pip install tensorflow-datasets keras-tuner"),
        ("x = 'pip install keras'", "x = 'pip install keras'"),
    ],
)
def test_installing_keras_is_skipped(line: str, kept: str | None) -> None:
    lines = without_replaced_packages([line + "\n"])
    assert all(part.endswith("\n") for part in lines)
    commands = [part.rstrip("\n") for part in lines if not part.lstrip().startswith("print(")]
    assert commands == ([] if kept is None else [kept])
    assert without_replaced_packages(lines) == lines
    for part in lines:
        if part.lstrip().startswith("print("):
            compile(part.strip(), "note", "exec")


@pytest.mark.parametrize(
    ("text", "shown"), [("ab\rc", "cb"), ("10/10\r2/2  \n", "2/2\n"), ("a\r\nb", "a\nb"), ("ab\n", "ab\n")]
)
def test_carriage_returns(text: str, shown: str) -> None:
    assert after_carriage_returns(text) == shown


INSTALL = """
import importlib.metadata, importlib.util, sys
import hornbeam
before = list(sys.meta_path)
hornbeam.install_as_keras()
hornbeam.install_as_keras()
assert importlib.util.find_spec("keras") and importlib.util.find_spec("tensorflow.keras.layers")
import keras, tensorflow as tf, tf_keras
for name, module in (("keras", keras), ("tensorflow", tf), ("tf_keras", tf_keras)):
    assert importlib.metadata.version(name) == module.__version__, name
    assert importlib.metadata.metadata(name)["Name"].replace("-", "_") == name
assert keras.Sequential is hornbeam.Sequential
try:
    from google.colab import drive
except ModuleNotFoundError as error:
    print(error)
hornbeam.uninstall_as_keras()
assert sys.meta_path == before
assert not {"keras", "tensorflow"} & set(sys.modules)
hornbeam.uninstall_as_keras()
"""


def test_install_as_keras_and_its_undoing() -> None:
    done = subprocess.run([sys.executable, "-c", INSTALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    statement, colab = done.stdout.splitlines()
    assert statement.endswith(
        "`import keras` and `import tensorflow` mean Hornbeam, until uninstall_as_keras()"
    )
    assert "exists in Colab only" in colab


def test_another_keras_is_imported_already(tmp_path: Path) -> None:
    (tmp_path / "keras.py").write_text("")
    code = "import keras, hornbeam; hornbeam.install_as_keras()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    last = done.stderr.splitlines()[-1]
    assert "keras is already imported here" in last
    assert "restart the kernel" in last


def test_a_plugin_of_pytest(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import keras\ndef test_it():\n    assert keras.Model._hb_module.startswith('hornbeam')\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "hornbeam.as_keras",
        "-p",
        "no:cacheprovider",
        "test_it.py",
    ]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout
    header = "hornbeam: `import keras` and `import tensorflow` mean Hornbeam in these tests"
    assert done.stdout.count(header) == 1
