"""Programs with Hornbeam in place of Keras: scripts, modules and lines of code."""

from __future__ import annotations

import builtins
import linecache
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from hornbeam_compat.policy import policy


def run_script(path: str, args: Sequence[str]) -> None:
    """Run a Python script as `python path *args` would, with Hornbeam in place of Keras.

    Args:
        path: Path of the script.
        args: Arguments of the script, its `sys.argv[1:]`.

    Raises:
        FileNotFoundError: If the script does not exist.
        RuntimeError: If Keras or TensorFlow has already been imported.
    """
    script = Path(path)
    if not script.is_file():
        raise FileNotFoundError(f"no script {path!r}")
    policy.install()
    sys.argv = [path, *args]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")


def run_module(name: str, args: Sequence[str]) -> None:
    """Run a module as `python -m name *args` would, with Hornbeam in place of Keras.

    Args:
        name: Name of the module or package.
        args: Arguments of the module, its `sys.argv[1:]`.

    Raises:
        ImportError: If the module does not exist.
        RuntimeError: If Keras or TensorFlow has already been imported.
    """
    policy.install()
    sys.argv = [name, *args]
    sys.path.insert(0, "")
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def run_code(source: str, args: Sequence[str], filename: str = "<string>") -> None:
    """Run the text of a script as `python -c source *args` would, with Hornbeam in place of Keras.

    Args:
        source: The script.
        args: Arguments of the script, its `sys.argv[1:]`.
        filename: Name of the script in tracebacks; "<stdin>" gives `sys.argv[0]` as "-".

    Raises:
        RuntimeError: If Keras or TensorFlow has already been imported.
    """
    policy.install()
    sys.argv = ["-" if filename == "<stdin>" else "-c", *args]
    sys.path.insert(0, "")
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    main = ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    sys.modules["__main__"] = main
    exec(compile(source, filename, "exec"), vars(main))
