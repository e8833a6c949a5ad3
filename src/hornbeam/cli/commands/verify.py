"""`hornbeam verify`: check files of models for damage."""

from __future__ import annotations

import argparse

from hornbeam._internal.terminal import paint, print_wrapped, uses_color

HELP = "read a whole file, compare checksums, and name damaged parts; status 1 if any is damaged"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", nargs="+", help="as for inspect, checkpoints too")


def run(args: argparse.Namespace) -> int:
    """Print the state of each file."""
    from hornbeam.saving import verify_model
    from hornbeam.saving.inspection import has_checksum

    problems = {name: verify_model(name) for name in args.file}
    colored = uses_color()
    for name, lines in problems.items():
        state = paint("damaged", "bad", colored) if lines else paint("good", "good", colored)
        if not lines and not has_checksum(name):
            state += " (no checksum in this file: only what cannot be read would show)"
        print_wrapped("\n".join([f"{name}: {state}", *(f"  {line}" for line in lines)]), indent="    ")
    return int(any(problems.values()))
