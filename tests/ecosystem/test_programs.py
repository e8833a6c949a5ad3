"""Small programs over packages built on Keras, each where its packages are installed (requirements.txt).

`tools/package_programs.py` runs them on real Keras too, and makes the table of docs/ecosystem.md.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.package_programs import PROGRAMS, read_program

# Programs that do not run yet -> reason.
FAILING: dict[str, str] = {
    "k3_node_gcn": "the package imports torch",
    "kecam_mobilevit": "the package needs TensorFlow or PyTorch",
    "lip_classifier": "the package imports tensorflow.python",
    "shap_gradients": "the package imports tensorflow.python",
    "spektral_gcn": "the package imports tensorflow.python",
}


def imported(path: Path) -> set[str]:
    """Return the packages that a program imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in names} - {"keras", "tensorflow"}


def test_every_program_names_a_pinned_package() -> None:
    pins = (PROGRAMS.parent / "requirements.txt").read_text(encoding="utf-8")
    absent = [p.stem for p in PROGRAMS.glob("*.py") if f"\n{read_program(p).package}==" not in pins]
    assert absent == []


@pytest.mark.parametrize("path", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path) -> None:
    absent = sorted(name for name in imported(path) if importlib.util.find_spec(name) is None)
    if absent:
        pytest.skip(f"needs {', '.join(absent)}")
    program = read_program(path)
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"}
    environment.pop("KERAS_BACKEND", None)
    if program.here:
        environment["KERAS_BACKEND"] = program.here
    run = subprocess.run(
        [sys.executable, "-m", "hornbeam", "run", str(path)],
        capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path,
    )  # fmt: skip
    if path.stem in FAILING:
        assert run.returncode != 0, "it runs: remove it from FAILING"
        pytest.xfail(FAILING[path.stem])
    assert run.returncode == 0, run.stderr
