"""Write which public name each module of Keras's sources defines: compat/keras_src/modules.json.

Run it from the root of the repository with the git directory of Keras and the version to read:

    python tools/keras_sources.py KERAS_GIT_DIR v3.15.1

The file maps a module below `keras.src` to its public names by their public paths below `keras`, several
with commas where the module defines the name. A package (`__init__.py`) has the names that it imports too, by
one path. Only names are read; no source is copied.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
from pathlib import Path

PATH = Path(__file__).resolve().parent.parent / "src" / "hornbeam_compat" / "keras_src" / "modules.json"

# Module -> name there -> public paths below `keras`.
Table = dict[str, dict[str, list[str]]]


def exported(node: ast.stmt) -> list[str]:
    """Return the public paths that a class or function declares with `keras_export`."""
    for decorator in getattr(node, "decorator_list", ()):
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "keras_export":
            paths = ast.literal_eval(decorator.args[0])
            paths = [paths] if isinstance(paths, str) else paths
            return [path.removeprefix("keras.") for path in paths if not path.startswith("keras._")]
    return []


def module_of(path: str) -> str:
    """Return "layers.core" for keras/src/layers/core/__init__.py."""
    return (
        path.removeprefix("keras/src/")
        .removesuffix(".py")
        .removesuffix("__init__")
        .strip("/")
        .replace("/", ".")
    )


def read(git_dir: str, version: str) -> Table:
    """Return the public names of every module of `keras/src`."""

    def git(*args: str) -> str:
        return subprocess.run(
            ["git", f"--git-dir={git_dir}", *args], capture_output=True, text=True, check=True
        ).stdout

    paths = git("ls-tree", "-r", "--name-only", version, "keras/src").split()
    paths = [p for p in paths if p.endswith(".py") and not p.endswith(("_test.py", "conftest.py"))]
    trees = {path: ast.parse(git("show", f"{version}:{path}")) for path in paths}
    table: Table = {module_of(path): {} for path in paths}
    for path, tree in trees.items():
        for node in tree.body:
            public = exported(node)
            if public:
                table[module_of(path)][node.name] = public  # type: ignore[attr-defined]
    for path, tree in trees.items():
        if path.endswith("__init__.py"):
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras.src"):
                    names = table.get((node.module or "").removeprefix("keras.src").strip("."), {})
                    for name in node.names:
                        imported = (
                            names if name.name == "*" else {name.asname or name.name: names.get(name.name)}
                        )
                        here = table[module_of(path)]
                        here.update({k: v[:1] for k, v in imported.items() if v and k not in here})
    return table


def compact(table: Table) -> dict[str, str]:
    """Return one string for each module: "layers.Dense", or "name=layers.Dense" where the names differ."""
    return {
        module: " ".join(
            ",".join(paths) if paths[0].rpartition(".")[2] == name else f"{name}={','.join(paths)}"
            for name, paths in sorted(names.items())
        )
        for module, names in sorted(table.items())
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("git_dir")
    parser.add_argument("version")
    arguments = parser.parse_args()
    PATH.write_text(json.dumps(compact(read(arguments.git_dir, arguments.version)), indent=0) + "\n")
    print(PATH)
