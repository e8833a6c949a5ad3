"""`hornbeam keras-backend doctor`: official Keras on Hornbeam's engines, checked."""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys

HELP = "official Keras with the backend hornbeam: which version is installed, and which engine computes"
DESCRIPTION = (
    "Say which Keras is installed, whether the backend knows that version, and which engine computes. A "
    "process of its own imports Keras. Status 1 if it does not work."
)
# Run in another process: importing the backend changes how Keras is imported.
_VERSIONS = "from keras_hornbeam.hook import KERAS_VERSIONS; print(*KERAS_VERSIONS)"
_ENGINE = (
    "import keras_hornbeam, keras; from hornbeam.engines import current_engine; "
    "assert float(keras.ops.sum(keras.ops.ones(3))) == 3; print(current_engine().name)"
)
_SECONDS = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("action", choices=["doctor"])


def run(args: argparse.Namespace) -> int:
    """Print versions and the engine; status 1 if Keras does not compute on it."""
    known = known_versions()
    try:
        version = importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError:
        print(f"keras: not installed; pip install keras=={known[-1]}")
        return 1
    if version not in known:
        print(
            f"keras: {version}, not known to the backend ({', '.join(known)}): pip install keras=={known[-1]}"
        )
        return 1
    print(f"keras: {version}, known to the backend ({', '.join(known)})")
    done = _python(_ENGINE)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"engine: Keras does not compute on it: {last}")
        return 1
    print(f"engine: {done.stdout.split()[-1]}, with KERAS_BACKEND=hornbeam; HORNBEAM_ENGINE chooses another")
    return 0


def known_versions() -> list[str]:
    """Return the versions of Keras that the backend knows, the newest last."""
    return _python(_VERSIONS).stdout.split()


def _python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
