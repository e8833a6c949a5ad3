"""`hornbeam launch`: run a script in several processes that train one model."""

from __future__ import annotations

import argparse
import os
import sys

from hornbeam.cli.arguments import add_engine_option, integer, positive_int, print_error

HELP = "run a script in several processes that train one model together"
DESCRIPTION = (
    "Run a script in several processes. With hornbeam.distribution.DataParallel() or "
    "ModelParallel() they train one model together, on the jax or the torch engine. When a process dies, "
    "the others are stopped. Arguments after the script's name are passed to it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--nproc", type=positive_int, default=1, help="processes on this machine (default 1)")
    parser.add_argument("--nodes", type=positive_int, default=1, help="machines that run this (default 1)")
    parser.add_argument("--node", type=integer, default=0, help="number of this machine, from 0")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="address of machine 0, where the processes meet"
    )
    parser.add_argument(
        "--keras", action="store_true", help="a Keras script: `import keras` means Hornbeam, as in `run`"
    )
    add_engine_option(parser)
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER, metavar="ARG")


def run(args: argparse.Namespace) -> int:
    """Start the processes and wait for them."""
    from hornbeam.distribution.launch import launch

    if not os.path.isfile(args.script):
        print_error("hornbeam launch", f"no script {args.script!r}")
        return 2
    if not 0 <= args.node < args.nodes:
        print_error("hornbeam launch", f"--node counts from 0 to {args.nodes - 1}, got {args.node}")
        return 2
    keras = ["-m", "hornbeam", "run"] if args.keras else []
    try:
        return launch(
            [sys.executable, *keras, args.script, *args.args],
            args.nproc,
            machines=args.nodes,
            machine=args.node,
            address=args.address,
            engine=args.engine,
        )
    except ValueError as error:
        print_error("hornbeam launch", error)
        return 2
