"""The command line: `hornbeam run`, `hornbeam mnist`, `hornbeam bench`, `hornbeam runs`, ..."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from hornbeam import __version__
from hornbeam.cli.commands import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `hornbeam` command; return its exit status."""
    args = _parser().parse_args(argv)
    return int(args.run(args) or 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hornbeam", description="Deep learning that reads like Keras and runs on a plain computer."
    )
    parser.add_argument("--version", action="version", version=f"hornbeam {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands).set_defaults(run=command.run)
    return parser
