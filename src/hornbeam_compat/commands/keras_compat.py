"""`hornbeam keras-compat`: a local distribution keras, for `import keras` in any process."""

from __future__ import annotations

import argparse
import sys

HELP = "let `import keras` mean Hornbeam in this Python environment: install, uninstall, status"
DESCRIPTION = (
    "Install a small local distribution named keras into this Python environment. It suits "
    "packages that require keras>=3, and `import keras` means Hornbeam in each process. Nothing is "
    "downloaded, and an installed Keras is not touched: then it is an error. `pip uninstall keras` "
    "removes it as well."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("action", choices=["install", "uninstall", "status"])


def run(args: argparse.Namespace) -> int:
    """Install, uninstall or report; status 1 if that fails, and for `status` without the distribution."""
    from hornbeam_compat import keras_package

    try:
        if args.action == "install":
            keras_package.install()
        elif args.action == "uninstall":
            keras_package.uninstall()
    except RuntimeError as error:
        print(f"hornbeam keras-compat: {error}", file=sys.stderr)
        return 1
    version = keras_package.WHEEL.installed_version
    if version == keras_package.VERSION:
        print(f"keras {version}: `import keras` means Hornbeam in this environment ({sys.prefix})")
    elif version:
        print(f"keras {version}: Keras itself is installed in this environment ({sys.prefix})")
    else:
        print(f"no keras in this environment ({sys.prefix}): `hornbeam keras-compat install` adds Hornbeam's")
    return 0 if args.action != "status" or version == keras_package.VERSION else 1
