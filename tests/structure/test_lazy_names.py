"""Packages whose names are imported when they are first used: what type checkers read and what runs agree."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

from hornbeam import layers


def _checked_names() -> set[str]:
    """Names that the block for type checkers binds."""
    tree = ast.parse(inspect.getsource(layers))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    found: set[str] = set()
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {x.id for target in node.targets for x in ast.walk(target) if isinstance(x, ast.Name)}
    return found - {"Config", "MISSING"}


def test_type_checkers_see_the_names_that_run() -> None:
    assert _checked_names() == set(layers.__all__) - {"serialize", "deserialize"}


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
