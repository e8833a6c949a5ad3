"""`hornbeam report`: write an HTML page about a recorded run."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from hornbeam.cli.arguments import print_error, run_folder

HELP = "write one HTML page about a recorded run"
DESCRIPTION = (
    "Write a page about a run: findings, curves, evaluation, data, model, profile, "
    "environment. It is one file, loads nothing and runs no script."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "run_folder", nargs="?", metavar="RUN", help="a run's folder, or its name in runs (default: newest)"
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="default report.html in the run's folder")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(args: argparse.Namespace) -> int:
    """Write the page and print its path."""
    from hornbeam.errors import RunError
    from hornbeam.insight.reporting import report
    from hornbeam.insight.runs.listing import newest_run

    try:
        path = report(run_folder(args.run_folder) if args.run_folder else newest_run("runs"), args.output)
    except (RunError, OSError) as error:
        print_error("hornbeam report", error)
        return 1
    print(path)
    if args.open and not webbrowser.open(Path(path).resolve().as_uri()):
        print_error("hornbeam report", "no browser could be opened; the page is the file above")
        return 1
    return 0
