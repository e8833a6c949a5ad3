"""`hornbeam runs`: list recorded runs, or compare two of them."""

from __future__ import annotations

import argparse

from hornbeam._internal.terminal import command
from hornbeam.cli.arguments import print_error


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "runs",
        help="list recorded runs, or compare two of them",
        description="`hornbeam runs [FOLDER]` lists the runs in a folder (default runs), the newest last. "
        "`hornbeam runs compare A B` shows the differences of two runs, and their curves side by side.",
    )
    parser.add_argument("arguments", nargs="*", metavar="FOLDER | compare A B")
    parser.set_defaults(parser=parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the list or the comparison."""
    from hornbeam.errors import RunError
    from hornbeam.insight.runs import compare_runs, list_runs, read_run

    words: list[str] = args.arguments
    try:
        if words[:1] == ["compare"]:
            if len(words) != 3:
                args.parser.error(
                    f"compare needs two folders of runs: {command('runs', 'compare', 'A', 'B')}"
                )
            compare_runs(read_run(words[1]), read_run(words[2])).show()
            return 0
        if len(words) > 1:
            args.parser.error(f"expected one folder with runs, or compare A B; got {' '.join(words)}")
        list_runs(words[0] if words else "runs").show()
    except (RunError, OSError) as error:
        print_error("hornbeam runs", error)
        return 1
    return 0
