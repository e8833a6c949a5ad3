"""`hornbeam keras-backend`: `KERAS_BACKEND=hornbeam` for official Keras, in any process."""

from __future__ import annotations

import argparse
import sys

import hornbeam
from hornbeam._internal.local_wheel import LocalWheel

# Python runs each line of such a file when it starts. Without Hornbeam, Keras itself says that the backend is
# missing.
_LINE = (
    'import os; exec("try: import keras_hornbeam\\nexcept ImportError: pass") '
    'if os.environ.get("KERAS_BACKEND") == "hornbeam" else None\n'
)
WHEEL = LocalWheel(
    "hornbeam-keras-backend",
    hornbeam.__version__,
    "KERAS_BACKEND=hornbeam for Keras, built on this machine by `hornbeam keras-backend enable`",
    {"hornbeam_keras_backend.pth": _LINE},
)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "keras-backend",
        help="let KERAS_BACKEND=hornbeam run official Keras on Hornbeam: enable, disable, status",
        description="Install a start-up file into this Python environment, as the distribution "
        f"{WHEEL.name}: with KERAS_BACKEND=hornbeam, `import keras` (the official one) computes on "
        "Hornbeam's engine in each process. Without the variable it does nothing. No file of Keras is "
        "changed. Programs that import keras_hornbeam before keras do not need it.",
    )
    parser.add_argument("action", choices=["enable", "disable", "status"])
    return parser


def run(args: argparse.Namespace) -> int:
    """Enable, disable or report; status 1 if that fails, and for `status` while it is disabled."""
    try:
        if args.action == "enable" and WHEEL.installed_version != WHEEL.version:
            WHEEL.install()
        elif args.action == "disable" and WHEEL.installed_version is not None:
            WHEEL.uninstall()
    except RuntimeError as error:
        print(f"hornbeam keras-backend: {error}", file=sys.stderr)
        return 1
    enabled = WHEEL.installed_version is not None
    if enabled:
        print(f"enabled: KERAS_BACKEND=hornbeam runs Keras on Hornbeam in this environment ({sys.prefix})")
    else:
        print(f"disabled in this environment ({sys.prefix}): KERAS_BACKEND=hornbeam has no effect")
    return 0 if args.action != "status" or enabled else 1
