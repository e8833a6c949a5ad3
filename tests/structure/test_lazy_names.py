"""Packages whose names are imported when they are first used: what type checkers read and what runs agree."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hornbeam
from hornbeam import layers
from hornbeam._internal.origin import PACKAGES

LAZY_PACKAGES = (
    "applications", "callbacks", "data", "datasets", "evaluation", "hub", "insight", "layers", "quantization",
    "tuning", "utils", "visualization",
)  # fmt: skip


def _checked_names(package: ModuleType) -> set[str]:
    """Public names that a package binds for type checkers: under `if TYPE_CHECKING`, or everywhere."""
    checked: set[str] = set()
    tree = ast.parse(inspect.getsource(package))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    for node in [*block.body, *tree.body]:
        if isinstance(node, ast.ImportFrom):
            # Only `import a as a` exports a name of a typed package.
            checked |= {alias.name for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            checked.add(node.name)
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            checked |= names if node in block.body else names & set(package.__all__)
    return {name for name in checked if not name.startswith("_") or name == "__version__"}


@pytest.mark.parametrize("name", ["", *LAZY_PACKAGES])
def test_type_checkers_see_the_names_that_run(name: str) -> None:
    package = importlib.import_module(f"hornbeam.{name}".rstrip("."))
    assert _checked_names(package) == set(package.__all__)


def test_type_checkers_see_no_module_getattr() -> None:
    """`__getattr__` of a module makes every misspelled name an `Any`."""
    source = Path(hornbeam.__file__).parents[1]
    visible = {
        str(path.relative_to(source))
        for package in PACKAGES
        for path in (source / package).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        or (isinstance(node, ast.Assign) and "__getattr__" in ast.unparse(node.targets[0]))
    }
    # Modules that stand for TensorFlow's, or for those of a backend of Keras: their names come from tables.
    assert visible == {
        "hornbeam_compat/legacy_api/backend.py",
        "hornbeam_compat/tensorflow/numpy_names.py",
        "hornbeam_compat/tensorflow/records.py",
        "hornbeam_compat/tensorflow/root.py",
        *(f"keras_hornbeam/src/ops/{name}.py" for name in ("image", "linalg", "math", "nn", "numpy")),
    }


def test_every_name_is_found_and_listed() -> None:
    assert all(getattr(layers, name) is not None for name in layers.__all__)
    assert dir(layers) == sorted(layers.__all__)


def test_one_layer_does_not_bring_all_others() -> None:
    code = "import hornbeam, sys; hornbeam.layers.Dense(1); print('hornbeam.layers.attention' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_config_finds_a_layer_that_was_never_used() -> None:
    code = (
        "import hornbeam; from hornbeam.core import registry;made = registry.deserialize({'module': "
        "'keras.layers', 'class_name': 'AugMix', 'config': {}});print(type(made).__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "AugMix"
