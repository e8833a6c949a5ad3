"""The house rules on imports, read from the sources."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hornbeam

ROOT = Path(hornbeam.__file__).parent

# Each layer may import itself and the layers above it in this list.
LAYERS = [
    ["_native", "_internal", "errors", "tree"],
    ["ir"],
    ["primitives"],
    ["engines", "runtime"],
    ["config"],
    ["core", "legacy"],
    ["ops", "random"],
    ["distribution"],
    ["activations", "initializers", "regularizers", "constraints", "dtype_policies"],
    ["losses", "metrics", "optimizers", "mixed_precision", "quantizers"],
    ["layers"],
    ["data", "datasets", "preprocessing", "utils", "visualization", "web"],
    ["saving"],
    ["training"],
    ["models"],
    ["diagnostics"],
    ["evaluation", "insight"],
    [
        "applications", "callbacks", "distillation", "export", "hub", "interop", "mlflow",
        "quantization", "transfer", "tuning", "wrappers",
    ],
    ["as_keras", "backend", "cli", "serving", "__main__"],
]  # fmt: skip
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Modules of the largest circle of imports, those for type checkers counted. It may only fall.
LARGEST_CIRCLE = 507
# Engines whose functions write the files of `export`.
FORMAT_ENGINES = {"jax", "native", "onnx", "tensorflow"}


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else ""


def own(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix(".py")


@cache
def all_imports(path: Path) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """List the imports of a file, each with whether it is for type checkers alone."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    return [
        (node, id(node) in guarded)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]


def import_nodes(path: Path, types: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports of a file, also inside functions; with `types` those for type checkers, too."""
    return (node for node, for_types in all_imports(path) if types or not for_types)


def imports(path: Path) -> list[str]:
    """List the Hornbeam modules that a file imports at run time."""
    modules: list[str] = []
    for node in import_nodes(path):
        if isinstance(node, ast.Import):
            modules.extend(alias.name for alias in node.names if alias.name.startswith("hornbeam."))
        elif node.module == "hornbeam":
            modules.extend(f"hornbeam.{alias.name}" for alias in node.names)
        elif (node.module or "").startswith("hornbeam."):
            modules.append(str(node.module))
    return modules


def upward_imports(path: Path) -> set[tuple[str, str]]:
    here = own(path)
    if here in ("__init__", "_native"):
        return set()
    assert here in RANK, f"{here} has no place in the order of layers: add it to LAYERS"
    upward = set()
    for module in imports(path):
        target = part(module)
        if target not in RANK:  # a name of the package itself, such as hornbeam.__version__
            assert hasattr(hornbeam, target), f"{module} has no place in the order of layers"
        elif RANK[target] > RANK[here]:
            upward.add((path.relative_to(ROOT).as_posix(), module))
    return upward


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    assert not upward_imports(path), "move the code, or import the other way round"


def module_name(path: Path) -> str:
    pieces = ("hornbeam", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(pieces).removesuffix(".__init__")


def imported_files(path: Path, known: set[str], types: bool = False) -> set[str]:
    """Return the modules of Hornbeam whose files a file imports, also by `from package import module`."""
    files: set[str] = set()
    for node in import_nodes(path, types):
        if isinstance(node, ast.Import):
            files |= {alias.name for alias in node.names}
        else:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            files |= names & known if names <= known else {str(node.module), *(names & known)}
    return (files & known) - {module_name(path)}


def import_graph(types: bool = False) -> dict[str, set[str]]:
    known = {module_name(path) for path in sources()}
    return {module_name(path): imported_files(path, known, types) for path in sources()}


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    found, left = {start}, [start]
    while left:
        new = graph[left.pop()] - found
        found |= new
        left.extend(new)
    return found


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """List the sets of modules that import each other, directly or through others; the largest first."""
    backward: dict[str, set[str]] = {module: set() for module in graph}
    for module, imported in graph.items():
        for other in imported:
            backward[other].add(module)
    found: list[set[str]] = []
    left = set(graph)
    while left:
        module = min(left)
        circle = reachable(graph, module) & reachable(backward, module)
        found.append(circle)
        left -= circle
    return sorted((circle for circle in found if len(circle) > 1), key=len, reverse=True)


def test_no_imports_form_a_circle() -> None:
    """Neither at the top of files, nor with the imports inside functions."""
    graph = import_graph()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"move what both need into a module of its own: {' <- '.join(error.args[1])}")


def test_imports_for_type_checkers_form_small_circles() -> None:
    largest = circles(import_graph(types=True))[0]
    assert len(largest) == LARGEST_CIRCLE, f"the number may only fall: {sorted(largest)}"


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [{"a", "b", "c"}, {"d", "e"}]


def test_nothing_above_engines_names_an_engine() -> None:
    allowed = {"engines", "cli", "diagnostics"}
    for path in sources():
        if own(path) in allowed:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith("hornbeam.engines.")
            ):
                engine = node.module.split(".")[2]
                formats = own(path) == "export" and engine in FORMAT_ENGINES
                assert formats or node.module in ("hornbeam.engines.base", "hornbeam.engines.mesh"), (
                    f"{path} imports {node.module}"
                )


def run(code: str) -> str:
    # As users run it: with bytecode kept from the run before.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def test_import_brings_only_declared_dependencies() -> None:
    heavy = run(
        "import sys, hornbeam, hornbeam.layers, hornbeam.models\n"
        "print([m for m in ('torch', 'jax', 'tensorflow', 'keras', 'matplotlib', 'PIL', 'scipy', 'pandas', "
        "'rich', 'h5py') if m in sys.modules])"
    )
    assert heavy == "[]"


def test_importing_the_package_alone_imports_next_to_nothing() -> None:
    names = ("numpy", "pathlib", "shutil", "inspect")
    assert run(f"import sys, hornbeam; print([m for m in {names} if m in sys.modules])") == "[]"


def test_import_is_quick() -> None:
    """0.3 s of processor time for all that a script needs, beyond what Python and NumPy take themselves."""
    code = (
        "import time, numpy, ml_dtypes; t = time.process_time(); "
        "import hornbeam, hornbeam.models, hornbeam.layers; print(time.process_time() - t)"
    )
    assert min(float(run(code)) for _ in range(5)) < 0.3


def test_training_reads_no_files() -> None:
    """Nor does it import what reads them: h5py takes longer than building and compiling a small model."""
    code = (
        "import sys, numpy as np, hornbeam as hb\n"
        "model = hb.Sequential([hb.Input((3,)), hb.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "model.fit(np.ones((4, 3), 'float32'), np.ones((4, 1), 'float32'), verbose=0)\n"
        "print([m for m in ('h5py', 'zipfile', 'hornbeam.saving') if m in sys.modules])"
    )
    assert run(code) == "[]"
