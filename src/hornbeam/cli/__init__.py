"""The command line: `hornbeam run`, `hornbeam mnist`, `hornbeam bench`, `hornbeam runs`, ..."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

from hornbeam import __version__
from hornbeam._internal.naming import nearest
from hornbeam._internal.terminal import folded, program
from hornbeam.cli.arguments import Parser, print_error
from hornbeam.cli.commands import commands_by_purpose

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
    groups, width = commands_by_purpose(), shutil.get_terminal_size().columns - 2
    parser = Parser(
        prog=program(),
        usage=folded(f"{program()} [-h] [--version] COMMAND ...", width - len("usage: "), "  "),
        description=_overview(groups, width),
        epilog=folded(
            f"`{program()} COMMAND --help` describes a command. To begin with: `{program()} mnist`.", width
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hornbeam {__version__}")
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog=program(), parser_class=Parser
    )
    for command in itertools.chain(*groups.values()):
        of_command = commands.add_parser(
            _name(command),
            usage=getattr(command, "USAGE", None),
            description=getattr(command, "DESCRIPTION", None),
        )
        command.add_arguments(of_command)
        of_command.set_defaults(run=command.run)
    return parser, list(commands.choices)


def _name(command: ModuleType) -> str:
    return command.__name__.rpartition(".")[2].replace("_", "-")


def _overview(groups: Mapping[str, list[ModuleType]], width: int) -> str:
    """Return what the library is, and a line for each command, by purpose."""
    lines = [folded("Deep learning that reads like Keras and runs on a plain computer.", width)]
    for purpose, commands in groups.items():
        lines += ["", f"{purpose}:"]
        lines += [folded(f"  {_name(command):<13} {command.HELP}", width, " " * 16) for command in commands]
    return "\n".join(lines)
