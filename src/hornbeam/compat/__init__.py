"""`import keras` and `import tensorflow` as Hornbeam, for scripts run by `hornbeam run`.

Never active by itself: only `hornbeam run` installs the policy, in the process that runs the script.
`policy` lists all changes of the process, `import_hook` maps modules, `legacy_api` has the names of Keras 1
and 2, `tensorflow` the parts of TensorFlow that Keras tutorials use.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from hornbeam.compat.backend_env import follow_backend as follow_backend
from hornbeam.compat.import_hook import KERAS_VERSION as KERAS_VERSION
from hornbeam.compat.policy import policy as policy
from hornbeam.errors import MissingModuleError as MissingModuleError
from hornbeam.errors import MissingNameError as MissingNameError


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
