"""`import keras` and `import tensorflow` mean Hornbeam, for scripts run by `hornbeam run`.

Never active by itself: only `hornbeam run` calls `install()`, in the process that runs the script.
`finder` maps modules, `spellings` holds what Keras was called before version 3, `tensorflow` the parts of
TensorFlow that Keras tutorials use.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from hornbeam import engines
from hornbeam.compat import warning_filter
from hornbeam.compat.backend_env import follow_backend as follow_backend
from hornbeam.compat.import_hook import KERAS_VERSION as KERAS_VERSION
from hornbeam.compat.import_hook import Finder
from hornbeam.compat.messages import MissingModuleError as MissingModuleError
from hornbeam.compat.messages import MissingNameError as MissingNameError
from hornbeam.compat.messages import remark
from hornbeam.compat.real_keras import real_libraries
from hornbeam.training import warning_policy


def install() -> None:
    """From here on `import keras` and `import tensorflow` mean Hornbeam in this process.

    Raises RuntimeError if the real Keras or TensorFlow has already been imported.
    """
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    loaded = [name for name in ("keras", "tensorflow") if name in sys.modules]
    if loaded:
        raise RuntimeError(
            f"{loaded[0]} is already imported: Hornbeam can only stand in for it from the start"
        )
    sys.meta_path.insert(0, Finder())
    warning_policy.on_warning = remark
    warning_filter.install()
    engines.host_libraries = lambda: real_libraries(lambda hook: isinstance(hook, Finder))


def run_script(path: str, args: Sequence[str]) -> None:
    """Run a Python script as `python path *args` would, with Hornbeam in Keras's place."""
    script = Path(path)
    if not script.is_file():
        raise FileNotFoundError(f"there is no script {path!r}")
    install()
    sys.argv = [path, *args]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
