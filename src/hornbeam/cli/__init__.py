"""The command line: `hornbeam run`, `hornbeam mnist`, `hornbeam bench`, `hornbeam runs`, ..."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from hornbeam import __version__
from hornbeam._internal.naming import nearest
from hornbeam._internal.terminal import program
from hornbeam.cli.arguments import Parser, print_error
from hornbeam.cli.commands import all_commands

# Statuses by which shells report a program that SIGINT ended, and one whose reader is gone.
INTERRUPTED, BROKEN_PIPE = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `hornbeam` command; return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser, names = _parser()
    if not words:
        parser.print_help()
        return 0
    if not words[0].startswith("-") and words[0] not in names:
        hint = nearest(words[0], names)
        print_error("hornbeam", f"no command {words[0]!r}.{hint} The commands are {', '.join(names)}.")
        return 2
    args = parser.parse_args(words)
    try:
        return int(args.run(args) or 0)
    except KeyboardInterrupt as error:
        _print_interrupt(words[0], error)
        return INTERRUPTED
    except BrokenPipeError:  # `hornbeam runs | head`: nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _print_interrupt(command: str, error: KeyboardInterrupt) -> None:
    """Say that the command ended, unless `fit` said so."""
    interruption = sys.modules.get("hornbeam.training.interruption")
    if interruption is None or not interruption.is_printed(error):
        print_error(f"\nhornbeam {command}", f"interrupted{f': {error}' if error.args else ''}")


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """Return the parser, and the names of the commands."""
    parser = Parser(
        prog=program(),
        description="Deep learning that reads like Keras and runs on a plain computer.",
        epilog=f"`{program()} COMMAND --help` describes a command. To begin with: `{program()} mnist`.",
    )
    parser.add_argument("--version", action="version", version=f"hornbeam {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands", parser_class=Parser)
    for command in all_commands():
        name = command.__name__.rpartition(".")[2].replace("_", "-")
        texts: dict[str, Any] = {
            text: getattr(command, text.upper(), None) for text in ("usage", "help", "description")
        }
        of_command = commands.add_parser(name, **texts)
        command.add_arguments(of_command)
        of_command.set_defaults(run=command.run)
    return parser, list(commands.choices)
