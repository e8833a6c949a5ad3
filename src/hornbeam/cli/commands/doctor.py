"""`hornbeam doctor`: show the machine and what is installed, and conclude."""

from __future__ import annotations

import argparse

from hornbeam._internal.terminal import columns, folded, paint, uses_color

HELP = "check the installation: CPU, threads, engines, GPUs, versions; status 1 if something is wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""


_LABEL = 14


def run(args: argparse.Namespace) -> int:
    """Print the facts, then what is wrong or could be faster, or that all is fine."""
    from hornbeam.diagnostics.checkup import conclusions, gpu_rows
    from hornbeam.diagnostics.environment import facts

    colored = uses_color()
    for label, text in facts():
        _print_row(label, text, colored)
    rows, advice = gpu_rows()
    for label, text in rows:
        _print_row(label, text, colored)
    results = [*conclusions(), *advice]
    problems = [result for result in results if result.is_problem]
    print()
    if not problems:
        print(paint("All fine.", "good", colored))
    for result in sorted(results, key=lambda result: not result.is_problem):
        name = paint("problem:", "bad", colored) if result.is_problem else paint("hint:", "warning", colored)
        print(folded(f"{name} {result.text}.", columns(), "  "))
    return 1 if problems else 0


def _print_row(label: str, text: str, colored: bool) -> None:
    style = "dim" if text == "not installed" else ""
    shown = paint(text, style, colored) if style else text
    print(folded(f"{paint(f'{label:<{_LABEL}}', 'accent', colored)}{shown}", columns(), " " * _LABEL))
