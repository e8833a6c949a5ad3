"""`hornbeam runs`: list recorded runs, or compare two of them."""

from __future__ import annotations

import argparse
import json

from hornbeam._internal.terminal import columns, command
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
    parser.add_argument(
        "--json", action="store_true", help="print the list as JSON (a pipe or file gets tab-separated lines)"
    )
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
        folder = words[0] if words else "runs"
        if args.json or columns() is None:
            _print_records(folder, args.json)
        else:
            list_runs(folder).show()
    except BrokenPipeError:
        raise
    except (RunError, OSError) as error:
        print_error("hornbeam runs", error)
        return 1
    return 0


def _print_records(folder: str, as_json: bool) -> None:
    """Print the runs for programs: as JSON, or one line of tab-separated values each, after the names."""
    from hornbeam.insight.runs.listing import record_of, runs_in

    runs, errors = runs_in(folder)
    records = [record_of(run) for run in runs]
    for error in errors:
        print_error("hornbeam runs", error)
    if as_json:
        print(json.dumps(records, indent=1))
        return
    for record in records[:1]:
        print("\t".join(record))
    for record in records:
        print("\t".join("" if value is None else str(value) for value in record.values()))
