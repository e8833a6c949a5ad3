"""Packages whose names are imported when they are first used: what type checkers read and what runs agree."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hornbeam
from hornbeam import layers
from hornbeam._internal.origin import PACKAGES

ROOT = Path(hornbeam.__file__).parent
STUBS = sorted(path for path in ROOT.rglob("*.pyi") if path.name != "_native.pyi")


def module_of(stub: Path) -> ModuleType:
    pieces = ("hornbeam", *stub.relative_to(ROOT).with_suffix("").parts)
    return importlib.import_module(".".join(pieces).removesuffix(".__init__"))


def stub_names(stub: Path) -> dict[str, object]:
    """Import what a stub exports for type checkers, which is all that it may contain."""
    names: dict[str, object] = {}
    for node in ast.parse(stub.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert alias.asname == alias.name, "only `import a as a` exports a name"
                names[alias.name] = getattr(module, alias.name)
        elif isinstance(node, ast.AnnAssign):
            assert ast.unparse(node.target).startswith("_"), "import public names"
        else:
            assert isinstance(node, ast.Assign), ast.unparse(node)
            names[ast.unparse(node.targets[0])] = names[ast.unparse(node.value)]
    return names


def test_large_packages_have_stubs() -> None:
    assert {"__init__.pyi", "callbacks.pyi", "layers/__init__.pyi", "applications/__init__.pyi"} <= {
        path.relative_to(ROOT).as_posix() for path in STUBS
    }


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_type_checkers_see_the_names_that_run(stub: Path) -> None:
    package = module_of(stub)
    names = stub_names(stub)
    assert sorted(names) == sorted(package.__all__)
    assert all(getattr(package, name) is value for name, value in names.items())


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_with_a_stub_have_no_code_of_their_own(stub: Path) -> None:
    """Type checkers read the stub in their place."""
    for node in ast.parse(stub.with_suffix(".py").read_text()).body:
        assert not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.If)), ast.unparse(node)


def test_type_checkers_see_no_module_getattr() -> None:
    """`__getattr__` of a module makes every misspelled name an `Any`."""
    source = Path(hornbeam.__file__).parents[1]
    visible = {
        str(path.relative_to(source))
        for package in PACKAGES
        for path in (source / package).rglob("*.py")
        if not path.with_suffix(".pyi").exists()
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
