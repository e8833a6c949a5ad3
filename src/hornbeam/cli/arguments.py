"""Options that several commands have."""

from __future__ import annotations

import argparse
import sys


def add_engine_option(parser: argparse.ArgumentParser) -> None:
    """Add `--engine`."""
    from hornbeam.engines import available

    parser.add_argument(
        "--engine",
        metavar="NAME",
        help=f"engine: {', '.join(available())}; torch:cuda:0 names a device (default: native)",
    )


def choose_engine(name: str | None) -> bool:
    """Make an engine the current one; print a line and return False if that fails."""
    from hornbeam.engines import set_engine

    try:
        if name:
            set_engine(name)
    except (ValueError, ImportError, RuntimeError) as error:
        print(f"hornbeam: --engine {name}: {error}", file=sys.stderr)
        return False
    return True


def positive_int(text: str) -> int:
    """Convert an argument to an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value
