"""The wall between the library and its extensions, read from the sources."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.helpers.public_names import public_modules
from tests.helpers.sources import source_of

SOURCES = Path(__file__).parents[2] / "src"

# Packages that a user may do without. They use the library; it does not use them.
EXTENSIONS = ("hornbeam_compat", "keras_hornbeam")

# The doors: files of the library that lead to an extension, and where to. This list may only shrink.
DOORS = {
    "hornbeam/__init__.pyi": {"hornbeam_compat.installation", "hornbeam_compat.notebooks"},
    "hornbeam/_internal/origin.py": {"hornbeam_compat", "keras_hornbeam"},
    "hornbeam/as_keras.py": {"hornbeam_compat.installation"},
    "hornbeam/cli/bench/workloads/common.py": {"keras_hornbeam"},
    "hornbeam/cli/commands/__init__.py": {"hornbeam_compat.commands"},
    "hornbeam/cli/script_trials.py": {"hornbeam_compat.programs"},
}
FACADE = "hornbeam.extensions"
# The names of the facade. This list may only shrink. A class is one name, for what it says; a module is none.
FACADE_NAMES = {
    "files": "KERAS1_ARGUMENTS MODEL_NAMES WEIGHTS_NAMES names_at parse_json read_array replace_file",
    "layers": (
        "Conv DropoutMasks GlobalPooling Merge Pooling attention_equations einsum_letters einsum_shapes "
        "projected_shape projection_equation standard_data_format"
    ),
    "packages": (
        "KEEPS_TRAINABLE ON_WARNING add_engine_option choose_engine displayable exported find_exported "
        "install_command set_module_names to_snake_case unique_name warn_user"
    ),
    "tensors": (
        "Composite as_tensor complex_ gru homography lstm map_parts masked_attention operation_class"
    ),
    "tracing": (
        "GraphHolder Node Running compute_output_spec eager_scope gradients is_unknown own_leaf retain_graph "
        "set_assignment_observer"
    ),
    "training": "ArrayData Batch Predictor Signature Step uninterrupted",
}
# Annotations of extensions that are a bare `Any`. This number may only fall.
MOST_ANY = 252
MODULE = re.compile(rf"(?:{'|'.join(EXTENSIONS)})(?:\.\w+)*")


def named_extensions(path: Path) -> Iterator[str]:
    """Yield the modules of extensions that a file imports, at any place, or names in a string."""
    text = path.read_text()
    # Few files name one, and parsing all takes seconds.
    for node in ast.walk(ast.parse(text)) if any(name in text for name in EXTENSIONS) else ():
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if MODULE.fullmatch(alias.name))
        elif isinstance(node, ast.ImportFrom) and MODULE.fullmatch(node.module or ""):
            yield str(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
            yield node.value


def test_the_library_leads_to_extensions_by_its_doors_alone() -> None:
    named = {
        path.relative_to(SOURCES).as_posix(): set(named_extensions(path))
        for path in sorted((SOURCES / "hornbeam").rglob("*.py*"))
        if path.suffix in (".py", ".pyi")
    }
    assert {path: modules for path, modules in named.items() if modules} == DOORS


def imported_names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the modules of the library that a file imports, each with the name taken from it, or ""."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "hornbeam")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hornbeam":
            yield from ((str(node.module), alias.name) for alias in node.names)


def uses() -> dict[str, set[tuple[str, str]]]:
    files = [path for name in EXTENSIONS for path in sorted((SOURCES / name).rglob("*.py"))]
    return {path.relative_to(SOURCES).as_posix(): set(imported_names(path)) for path in files}


def test_extensions_use_public_names_and_the_facade() -> None:
    public = set(public_modules())
    private = [
        f"{path}: {module}.{name}".removesuffix(".")
        for path, names in uses().items()
        for module, name in sorted(names)
        if not module.startswith(f"{FACADE}.")
        and not (module in public and (not name or name in public_names_of(module)))
    ]
    assert not private, "take public names, or add what they lack to hornbeam.extensions"


def public_names_of(module: str) -> set[str]:
    imported = importlib.import_module(module)
    return set(getattr(imported, "__all__", [name for name in vars(imported) if not name.startswith("_")]))


def test_the_facade_has_what_extensions_use_and_no_more() -> None:
    """Adding a name here is a decision: it ties extensions to the inside of the library."""
    used = {f"{module}.{name}" for names in uses().values() for module, name in names if FACADE in module}
    listed = {f"{FACADE}.{module}.{name}" for module, names in FACADE_NAMES.items() for name in names.split()}
    assert used == listed


def test_the_facade_has_no_modules() -> None:
    """Each attribute that an extension read of one would be a name that this list does not have."""
    exported = [
        (name, getattr(importlib.import_module(f"{FACADE}.{module}"), name, None))
        for module, names in FACADE_NAMES.items()
        for name in names.split()
    ]
    assert not [name for name, value in exported if isinstance(value, ModuleType)]


def test_few_annotations_of_extensions_are_any() -> None:
    """Each that is left is for what only a running program knows; `Tree` is for structures of the user."""
    files = [source_of(path) for name in EXTENSIONS for path in (SOURCES / name).rglob("*.py")]
    count = sum(source.annotations[1] for source in files)
    assert count <= MOST_ANY, "type what is new (hornbeam_compat/tensorflow/typing.py)"
    assert count == MOST_ANY, f"fewer than before: set MOST_ANY to {count}"
