"""The house rules on imports, read from the sources."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import hornbeam
from tests.helpers.sources import source_of

ROOT = Path(hornbeam.__file__).parent

# Each layer may import itself and the layers above it in this list. The room of a format has parts at several
# heights: an engine writes its files, layers are its operators.
LAYERS = [
    ["_native", "_internal", "errors", "onnx", "tree"],
    ["ir"],
    ["primitives"],
    ["engines", "onnx.emitter", "runtime"],
    ["config"],
    ["core", "legacy"],
    ["ops", "random"],
    ["distribution"],
    ["activations", "initializers", "regularizers", "constraints", "dtype_policies"],
    ["losses", "metrics", "optimizers", "mixed_precision", "quantizers"],
    ["layers", "onnx.operators"],
    ["data", "datasets", "preprocessing", "utils", "visualization", "web"],
    ["saving", "onnx.reading"],
    ["training"],
    ["models"],
    ["diagnostics"],
    ["certificate", "evaluation", "insight"],
    [
        "applications", "callbacks", "distillation", "export", "hub", "interop", "mlflow",
        "onnx.writing", "quantization", "text", "transfer", "tuning", "wrappers",
    ],
    ["auto"],
    ["as_keras", "backend", "cli", "serving", "__main__"],
    ["extensions"],
]  # fmt: skip
PARTED = {name.split(".")[0] for names in LAYERS for name in names if "." in name}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Files that import against that order for type checkers alone, by room and room above. The numbers may only
# fall: name a protocol, or move the type down.
UPWARD_TYPES = {
    ("config", "dtype_policies"): 1,
    ("onnx.reading", "models"): 1,
    ("saving", "models"): 2,
    ("training", "models"): 5,
    ("visualization", "models"): 1,
}

# Modules of the largest circle of imports, those for type checkers counted. It may only fall.
LARGEST_CIRCLE = 21
# Engines whose functions write the files of `export`.
FORMAT_ENGINES = {"jax", "native", "tensorflow"}


def sources() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def part(module: str) -> str:
    pieces = module.split(".")[1:]
    return ".".join(pieces[: 2 if pieces[:1] and pieces[0] in PARTED else 1])


def own(path: Path) -> str:
    return part(module_name(path)) or "__init__"


def imports(path: Path, types: bool = False) -> list[str]:
    """List the Hornbeam modules that a file imports at run time; with `types` for type checkers, too."""
    modules: list[str] = []
    source = source_of(path)
    for each in source.imports if types else source.run_time_imports():
        names = [name for name, _ in each.names]
        if not each.module:
            modules.extend(name for name in names if name.startswith("hornbeam."))
        elif each.module == "hornbeam":
            modules.extend(f"hornbeam.{name}" for name in names)
        elif each.module.startswith("hornbeam."):
            modules.append(each.module)
    return modules


def upward_imports(path: Path, types: bool = False) -> set[tuple[str, str]]:
    here = own(path)
    if here in ("__init__", "_native"):
        return set()
    assert here in RANK, f"{here} has no place in the order of layers: add it to LAYERS"
    upward = set()
    for module in imports(path, types):
        target = part(module)
        if target not in RANK:  # a name of the package itself, such as hornbeam.__version__
            assert hasattr(hornbeam, target), f"{module} has no place in the order of layers"
        elif RANK[target] > RANK[here]:
            upward.add((path.relative_to(ROOT).as_posix(), module))
    return upward


def test_imports_go_one_way() -> None:
    upward = set().union(*map(upward_imports, sources()))
    assert not upward, "move the code, or import the other way round"


def test_few_imports_for_type_checkers_go_the_other_way() -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for path in sources():
        counts.update({(own(path), part(module)) for _, module in upward_imports(path, types=True)})
    more = {rooms: count for rooms, count in counts.items() if count > UPWARD_TYPES.get(rooms, 0)}
    assert not more, "move the type down, or name a protocol"


def module_name(path: Path) -> str:
    pieces = ("hornbeam", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(pieces).removesuffix(".__init__")


def imported_files(path: Path, known: set[str], types: bool = False) -> set[str]:
    """Return the modules of Hornbeam whose files a file imports, also by `from package import module`."""
    files: set[str] = set()
    source = source_of(path)
    for each in source.imports if types else source.run_time_imports():
        if not each.module:
            files |= {name for name, _ in each.names}
        else:
            names = {f"{each.module}.{name}" for name, _ in each.names}
            files |= names & known if names <= known else {each.module, *(names & known)}
    return (files & known) - {module_name(path)}


def import_graph(types: bool = False) -> dict[str, set[str]]:
    known = {module_name(path) for path in sources()}
    return {module_name(path): imported_files(path, known, types) for path in sources()}


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    reached, left = {start}, [start]
    while left:
        new = graph[left.pop()] - reached
        reached |= new
        left.extend(new)
    return reached


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """List the sets of modules that import each other, directly or through others; the largest first."""
    backward: dict[str, set[str]] = {module: set() for module in graph}
    for module, imported in graph.items():
        for other in imported:
            backward[other].add(module)
    components: list[set[str]] = []
    left = set(graph)
    while left:
        module = min(left)
        circle = reachable(graph, module) & reachable(backward, module)
        components.append(circle)
        left -= circle
    return sorted((circle for circle in components if len(circle) > 1), key=len, reverse=True)


def test_no_imports_form_a_circle() -> None:
    """Neither at the top of files, nor with the imports inside functions."""
    graph = import_graph()
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"move what both need into a module of its own: {' <- '.join(error.args[1])}")


def test_imports_for_type_checkers_form_small_circles() -> None:
    largest = circles(import_graph(types=True))[0]
    assert len(largest) <= LARGEST_CIRCLE, f"the number may only fall: {sorted(largest)}"


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [{"a", "b", "c"}, {"d", "e"}]


def test_nothing_above_engines_names_an_engine() -> None:
    allowed = {"engines", "cli", "diagnostics", "onnx.emitter"}
    for path in sources():
        if own(path) in allowed:
            continue
        for each in source_of(path).imports:
            if each.module.startswith("hornbeam.engines."):
                formats = own(path) == "export" and each.module.split(".")[2] in FORMAT_ENGINES
                assert formats or each.module in ("hornbeam.engines.base", "hornbeam.engines.mesh"), (
                    f"{path} imports {each.module}"
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
