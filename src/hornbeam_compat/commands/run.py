"""`hornbeam run`: run a Keras script, module or notebook unchanged."""

from __future__ import annotations

import argparse
import os
import sys

from hornbeam.extensions.packages import add_engine_option, choose_engine

USAGE = """hornbeam run [--engine NAME] SCRIPT [ARG ...]
       hornbeam run [--engine NAME] NOTEBOOK.ipynb [--output FILE.ipynb]
       hornbeam run [--engine NAME] -m MODULE [ARG ...]
       hornbeam run [--engine NAME] -c CODE [ARG ...]
       hornbeam run [--engine NAME] - [ARG ...]"""


HELP = "run a Keras script or notebook: `import keras` and `import tensorflow` mean Hornbeam"
DESCRIPTION = "Run a Keras script, module or notebook unchanged. Arguments after its name are passed to it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_engine_option(parser)
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="run a module, as python -m"
    )
    parser.add_argument(
        "-c", dest="code", nargs=argparse.REMAINDER, metavar="CODE", help="run a line of code"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write the notebook with its outputs into this file"
    )
    parser.add_argument(
        "script", nargs="?", metavar="SCRIPT", help="script, notebook, or - for the standard input"
    )
    parser.add_argument("args", nargs=argparse.REMAINDER, metavar="ARG")


def run(args: argparse.Namespace) -> int:
    """Run the program; the exit status is its own."""
    from hornbeam_compat.messages import log_once
    from hornbeam_compat.policy import policy

    problem = _problem(args)
    if problem:
        print(f"hornbeam run: {problem}", file=sys.stderr)
        return 2
    # Before the engine is chosen: its library may import the real Keras.
    policy.install()
    try:
        return _start(args) if choose_engine(args.engine) else 2
    except Exception as error:
        if "native" in str(error) and "backend" in str(error).lower():
            log_once(
                "the script refuses the name that keras.backend.backend() returns: KERAS_BACKEND=tensorflow "
                "(or jax, torch) hornbeam run ... shows it one that it knows"
            )
        raise


def _problem(args: argparse.Namespace) -> str:
    """Return what is wrong with the arguments, or ""."""
    for option, words in (("-m", args.module), ("-c", args.code)):
        if words is not None:
            return "" if words else f"{option} needs an argument; see hornbeam run --help"
    if args.script is None:
        return "which script? See hornbeam run --help"
    if args.script == "-":
        return ""
    if not os.path.isfile(args.script):
        return f"no script {args.script!r}"
    if args.script.endswith(".ipynb"):
        return _read_notebook_options(args)
    return "--output is for notebooks: a script writes its own files" if args.output else ""


def _read_notebook_options(args: argparse.Namespace) -> str:
    """Accept --output after the name of the notebook too; return what is wrong, or ""."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("-o", "--output", default=args.output)
    try:
        options, others = parser.parse_known_args(args.args)
    except argparse.ArgumentError:
        return "--output needs the name of a file"
    args.output = options.output
    return f"a notebook takes no arguments, got {' '.join(others)}" if others else ""


def _start(args: argparse.Namespace) -> int:
    from hornbeam_compat.programs import run_code, run_module, run_script

    if args.module is not None:
        run_module(args.module[0], args.module[1:])
    elif args.code is not None:
        run_code(args.code[0], args.code[1:])
    elif args.script == "-":
        run_code(sys.stdin.read(), args.args, "<stdin>")
    elif args.script.endswith(".ipynb"):
        from hornbeam_compat.notebook_runs.running import run_notebook

        return run_notebook(args.script, args.output)
    else:
        run_script(args.script, args.args)
    return 0
