"""Print the tests that hold a source file, the closest first.

    python tools/tests_of.py src/hornbeam/layers/core.py crates/hornbeam-kernels/src/gemm/mod.rs

Read from the sources, nothing is run. A test module holds a file

    1  by its own use: it imports the module, or uses a name that the file defines (`layers.Dense`),
    2  through a helper (tests/helpers) that does, or by the name as a text ("Dense"),
    3  by its folder: tests/layers holds src/hornbeam/layers,
    4  through a file that imports it, of those that it uses itself.

A crate is held by its own tests (`cargo test -p CRATE`), and by the tests of what is built from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.helpers.sources import Source, source_of  # noqa: E402

PACKAGES = ("hornbeam", "hornbeam_compat", "keras_hornbeam")
OWN_USE, BY_HELPER, BY_FOLDER, BY_IMPORT = 1, 2, 3, 4

# Rules on public names, which `__init__.pyi` lists.
PUBLIC_NAME_TESTS = (
    "structure/test_public_docstrings.py", "structure/test_public_types.py", "structure/test_lazy_names.py",
    "docs/test_reference_pages.py",
)  # fmt: skip

# Tests in Python of what is built from a crate.
CRATE_TESTS = {
    "hornbeam-kernels": ("primitives", "engines/test_native_engine.py", "engines/test_determinism.py"),
    "hornbeam-engine": (
        "engines/test_native_engine.py", "engines/test_determinism.py", "primitives/test_native.py", "ir",
        "training/test_fit.py",
    ),
    "hornbeam-python": ("engines/test_native_engine.py", "structure/test_native_stub.py", "test_tiny.py"),
    "hornbeam-runtime": ("export/test_export_frozen.py", "export/test_export_frozen_training.py"),
    "hornbeam-capi": ("embed",),
    "hornbeam-web": ("web",),
}  # fmt: skip


class Tree:
    """Modules of the sources and of the tests, and the files that each uses."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self.modules: dict[str, Path] = {}
        for package in PACKAGES:
            for path in (root / "src" / package).rglob("*.py"):
                parts = path.relative_to(root / "src").with_suffix("").parts
                self.modules[".".join(parts).removesuffix(".__init__")] = path
        for folder in ("tests/helpers", "tools", "benchmarks"):
            for path in (root / folder).rglob("*.py"):
                parts = path.relative_to(root).with_suffix("").parts
                self.modules[".".join(parts).removesuffix(".__init__")] = path
        self._bindings: dict[str, dict[str, tuple[str, str]]] = {}
        self._used: dict[Path, tuple[set[Path], set[str]]] = {}

    @cached_property
    def tests(self) -> list[Path]:
        """All test modules."""
        return sorted((self.root / "tests").rglob("test_*.py"))

    @cached_property
    def definitions(self) -> dict[str, list[Path]]:
        """Files of the package that define a name."""
        files: dict[str, list[Path]] = {}
        for path in self.package_files():
            for name in source_of(path).defined:
                files.setdefault(name, []).append(path)
        return files

    def package_files(self) -> Iterator[Path]:
        """Yield the modules of the packages; what an `__init__.py` imports, it only passes on."""
        for module, path in self.modules.items():
            if module.partition(".")[0] in PACKAGES and path.name != "__init__.py":
                yield path

    def bindings(self, module: str) -> dict[str, tuple[str, str]]:
        """Return the names that a module imports, for type checkers too, as (module, name there)."""
        if module not in self._bindings:
            path = self.modules[module]
            stub = path.with_suffix(".pyi")
            names: dict[str, tuple[str, str]] = {}
            for each in [*source_of(path).imports, *(source_of(stub).imports if stub.exists() else ())]:
                if each.module.startswith(PACKAGES):
                    names.update({bound: (each.module, name) for name, bound in each.names})
            self._bindings[module] = names
        return self._bindings[module]

    def resolve(self, module: str, names: Iterable[str]) -> set[Path]:
        """Return the files behind `module.name.name`: the one that defines the last name found."""
        for name in names:
            full = f"{module}.{name}"
            if full in self.modules:
                module = full
                continue
            return {self.modules[module], *self._defining(module, name)}
        return {self.modules[module]}

    def _defining(self, module: str, name: str, depth: int = 0) -> set[Path]:
        if name in source_of(self.modules[module]).defined or depth > 6:
            return {self.modules[module]}
        bindings = self.bindings(module)
        if name in bindings:
            target, inner = bindings[name]
            if f"{target}.{inner}" in self.modules:
                return {self.modules[f"{target}.{inner}"]}
            return self._defining(target, inner, depth + 1) if target in self.modules else set()
        stars = [target for bound, (target, _) in bindings.items() if bound == "*" and target in self.modules]
        return set().union(*(self._defining(target, name, depth + 1) for target in stars))

    def used(self, path: Path) -> tuple[set[Path], set[str]]:
        """Return the files of the sources that a file uses, and the helpers that it imports."""
        if path not in self._used:
            self._used[path] = self._find_used(source_of(path))
        return self._used[path]

    def _find_used(self, source: Source) -> tuple[set[Path], set[str]]:
        aliases: dict[str, tuple[str, ...]] = {}
        files: set[Path] = set()
        helpers: set[str] = set()
        for each in source.imports:
            for name, bound in each.names:
                full = f"{each.module}.{name}" if each.module else name
                parts = tuple(full.split("."))
                aliases[bound] = parts if each.module or bound != name else parts[:1]
                if full.startswith("tests.helpers."):
                    helpers.add(full if full in self.modules else each.module)
                files |= self._files(parts)
        for chain in source.chains:
            first, _, rest = chain.partition(".")
            if first in aliases:
                files |= self._files((*aliases[first], *rest.split(".")))
        return files, helpers & self.modules.keys()

    def _files(self, parts: tuple[str, ...]) -> set[Path]:
        return self.resolve(parts[0], parts[1:]) if parts[0] in self.modules else set()


def _room_folder(tree: Tree, path: Path) -> Path | None:
    """Return the folder of the tests of a file's package."""
    parts = path.relative_to(tree.root).parts
    if parts[0] != "src":
        return None
    name = parts[2] if parts[1] == "hornbeam" and len(parts) > 3 else parts[1]
    folder = tree.root / "tests" / name
    return folder if folder.is_dir() else None


def tests_of(tree: Tree, path: Path) -> dict[Path, int]:
    """Return the test modules that hold a Python file, with how closely, the closest first."""
    folder = _room_folder(tree, path)
    importers = {
        other
        for module, other in tree.modules.items()
        if module.partition(".")[0] in PACKAGES
        and other.name != "__init__.py"
        and path in tree.used(other)[0]
    }
    # A text means a name if only one file defines it.
    words = {name for name in source_of(path).defined if tree.definitions.get(name) == [path]}
    by_helper: dict[str, bool] = {}
    ranks: dict[Path, int] = {}
    for test in tree.tests:
        files, helpers = tree.used(test)
        if test == path or path in files:
            ranks[test] = OWN_USE
        elif words & source_of(test).words or any(_uses(tree, h, path, words, by_helper) for h in helpers):
            ranks[test] = BY_HELPER
        elif folder is not None and folder in test.parents:
            ranks[test] = BY_FOLDER
        elif files & importers:
            ranks[test] = BY_IMPORT
    return dict(sorted(ranks.items(), key=lambda item: _order(item, folder, path)))


def _uses(tree: Tree, helper: str, path: Path, words: set[str], known: dict[str, bool]) -> bool:
    """Return True if a helper, or one that it imports, uses a file."""
    if helper not in known:
        known[helper] = False  # of a circle
        source, (files, others) = source_of(tree.modules[helper]), tree.used(tree.modules[helper])
        known[helper] = (
            tree.modules[helper] == path
            or path in files
            or bool(words & source.words)
            or any(_uses(tree, other, path, words, known) for other in others)
        )
    return known[helper]


def _order(item: tuple[Path, int], folder: Path | None, path: Path) -> tuple[int, bool, bool, int, Path]:
    """Closest first; of these the mirrored module, the package's own tests, and those that use least."""
    test, rank = item
    source: Source = source_of(test)
    mirrored = test.stem == f"test_{path.stem}"
    return rank, not mirrored, folder not in test.parents, len(source.chains), test


def tests_of_crate(tree: Tree, crate: str) -> dict[Path, int]:
    """Return the test modules of what is built from a crate."""
    tests = tree.root / "tests"
    return {
        test: OWN_USE
        for name in CRATE_TESTS.get(crate, ())
        for test in ([tests / name] if name.endswith(".py") else sorted((tests / name).rglob("test_*.py")))
    }


def tests_of_names(tree: Tree, stub: Path) -> dict[Path, int]:
    """Return the tests that go through the public names of a package: those that read its `__all__`."""
    names = f"{stub.parent.name}.__all__"
    readers = [test for test in tree.tests if any(chain.endswith(names) for chain in source_of(test).chains)]
    readers.sort(key=lambda test: "parity" in test.parts)  # which take long
    return dict.fromkeys([*(tree.root / "tests" / name for name in PUBLIC_NAME_TESTS), *readers], OWN_USE)


def tests_of_files(tree: Tree, paths: Iterable[Path]) -> dict[Path, int]:
    """Return the test modules that hold any of the files, the closest first."""
    ranks: dict[Path, int] = {}
    # A list of public names first: what a new name needs is little, and quickly seen.
    for path in sorted(paths, key=lambda path: path.suffix != ".pyi"):
        parts = path.relative_to(tree.root).parts
        if path.suffix == ".rs" and parts[0] == "crates":
            some = tests_of_crate(tree, parts[1])
        elif path.suffix == ".py" and path.exists():
            some = tests_of(tree, path)
        elif path.name == "__init__.pyi":
            some = tests_of_names(tree, path)
        else:
            continue
        for test, rank in some.items():
            ranks[test] = min(rank, ranks.get(test, rank))
    return dict(sorted(ranks.items(), key=lambda item: item[1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    paths = [path.resolve() for path in parser.parse_args().files]
    if missing := [str(path) for path in paths if not path.exists()]:
        parser.error(f"no file {missing[0]}")
    for crate in sorted({p.relative_to(ROOT).parts[1] for p in paths if "crates" in p.parts}):
        print(f"   cargo test --release -p {crate}")
    for test, rank in tests_of_files(Tree(), paths).items():
        print(f"{rank}  {test.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
