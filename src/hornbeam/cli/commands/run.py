"""`hornbeam run`: run a Keras script unchanged."""

from __future__ import annotations

import argparse
import os
import sys

from hornbeam.cli.arguments import add_engine_option, choose_engine


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "run",
        help="run a Keras script: `import keras` and `from tensorflow import keras` mean Hornbeam",
        description="Run a Keras script unchanged. Arguments after the script's name are passed to it.",
    )
    add_engine_option(parser)
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER, metavar="ARG")
    return parser


def run(args: argparse.Namespace) -> int:
    """Run the script; the exit status is the script's."""
    from hornbeam.compat import follow_backend, policy, run_script

    if not os.path.isfile(args.script):
        print(f"hornbeam run: no script {args.script!r}", file=sys.stderr)
        return 2
    # Before the engine is chosen: its library may import the real Keras.
    policy.install()
    if not choose_engine(args.engine):
        return 2
    try:
        follow_backend(by_user=True)
    except (ValueError, ImportError) as error:
        print(f"hornbeam run: {error}", file=sys.stderr)
        return 2
    run_script(args.script, args.args)
    return 0
