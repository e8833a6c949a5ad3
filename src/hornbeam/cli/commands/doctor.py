"""`hornbeam doctor`: show the machine and what is installed."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="show CPU features, threads, installed engines and versions"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the facts."""
    from hornbeam.diagnostics.environment import report

    print(report())
    return 0
