"""`hornbeam course`: copy the notebooks of the course into a folder."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hornbeam._internal.terminal import print_wrapped
from hornbeam.cli.arguments import print_error

HELP = "copy the notebooks of the course into a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path("hornbeam-course"), metavar="FOLDER")
    parser.add_argument("--force", action="store_true", help="overwrite notebooks that you have changed")


def run(args: argparse.Namespace) -> int:
    """Copy the notebooks and print how to open them."""
    from hornbeam.cli.course import copy_notebooks

    try:
        copied, kept = copy_notebooks(args.folder, force=args.force)
    except OSError as error:
        print_error("hornbeam course", f"cannot write to {args.folder}: {error.strerror or error}")
        return 1
    print(f"{args.folder}: {len(copied)} notebooks of the course")
    if kept:
        names = ", ".join(kept)
        print_wrapped(
            f"kept: {len(kept)} that you have changed ({names}); --force overwrites them", indent="  "
        )
    if missing := _missing_packages():
        print(f"needed: pip install {' '.join(missing)}")
    print(f"open:   jupyter lab {shlex.quote(str(args.folder))}")
    return 0


def _missing_packages() -> list[str]:
    """Return the packages that the notebooks need, or that open them, and that are not installed."""
    from importlib.util import find_spec

    packages = {"matplotlib": "matplotlib", "PIL": "pillow", "jupyterlab": "jupyterlab"}
    return [package for module, package in packages.items() if find_spec(module) is None]
