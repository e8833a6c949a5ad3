"""`hornbeam tune`: search for the best arguments of a script."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from hornbeam import _native
from hornbeam.cli.arguments import integer, positive_int, print_error

HELP = "search for the best arguments of a script that trains"
DESCRIPTION = (
    "Runs a script many times, with arguments that Optuna chooses, and compares the best run "
    "with the script's own settings, each repeated with new seeds. The objective is a metric of the "
    "script's last fit(). Runs that are worse than others end early. A search with --storage continues "
    "when the command is repeated."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("script", metavar="SCRIPT", help="script that reads the arguments")
    parser.add_argument(
        "--args", default="", metavar="TEXT", help='arguments of every run: --args "--data digits --small"'
    )
    parser.add_argument(
        "--param",
        action="append",
        required=True,
        metavar="NAME=VALUES",
        help="argument --NAME of the script: units=32,64,128 (one of several), depth=1..4, rate=0.1..0.5, "
        "lr=log:1e-4..1e-1, size=16..64/16 (with a step)",
    )
    parser.add_argument("--objective", default="val_loss", metavar="METRIC", help="(default %(default)s)")
    parser.add_argument(
        "--direction", choices=("min", "max"), help="better direction of a metric for which it is unknown"
    )
    parser.add_argument("--trials", type=positive_int, default=20, metavar="N", help="(default %(default)s)")
    parser.add_argument("--seconds", type=positive_int, metavar="S", help="begin no trial after this time")
    parser.add_argument("--sampler", default="tpe", help="tpe, random, cma or gp (default %(default)s)")
    parser.add_argument(
        "--pruner", default="median", help="median, asha, hyperband or none (default %(default)s)"
    )
    parser.add_argument("--storage", type=Path, metavar="FILE", help="file of the search")
    parser.add_argument(
        "--jobs",
        type=positive_int,
        default=1,
        metavar="N",
        help="runs at once, which share the cores (default 1)",
    )
    parser.add_argument(
        "--seeds",
        type=integer,
        default=3,
        metavar="N",
        help="runs that confirm, 0 for none (default %(default)s)",
    )
    parser.add_argument("--seed", type=integer, default=0, help="seed of the search (default 0)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the result as an HTML page")


def run(args: argparse.Namespace) -> int:
    """Search, and print the result."""
    from hornbeam.cli.script_trials import parse_parameter

    try:
        parameters = [parse_parameter(text) for text in args.param]
        _check(args, [parameter.name for parameter in parameters])
    except ValueError as error:
        print_error("hornbeam tune", error)
        return 2
    os.environ.setdefault("HORNBEAM_THREADS", str(max(_native.available_cpus() // args.jobs, 1)))
    try:
        return _search(args, parameters)
    except (ImportError, ValueError, RuntimeError) as error:
        print_error("hornbeam tune", error)
        return 1


def _check(args: argparse.Namespace, names: list[str]) -> None:
    if not Path(args.script).is_file():
        raise ValueError(f"no script {args.script!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"two --param have one name: {', '.join(names)}")
    if args.seeds < 0 or args.seeds == 1:
        raise ValueError(
            f"--seeds takes 0, or 2 and more: one run tells nothing of the variance, got {args.seeds}"
        )
    if args.sampler == "grid":
        raise ValueError("--sampler grid is for build functions (hornbeam.tuning.tune), not for scripts")


def _search(args: argparse.Namespace, parameters: list) -> int:  # type: ignore[type-arg]
    from hornbeam.cli.script_trials import ScriptTrainer
    from hornbeam.tuning.loop import Trials
    from hornbeam.tuning.search import Search
    from hornbeam.tuning.tuner import checked_objective, result_of

    name, sign = checked_objective((args.objective, args.direction) if args.direction else args.objective)
    trainer = ScriptTrainer(args.script, shlex.split(args.args), parameters, name, args.jobs)
    search = Search(name, sign, args.sampler, args.pruner, 0, args.storage, args.seed)
    Trials(search, trainer.run, args.trials, args.seconds, verbose=True).run(args.jobs)
    result = result_of(search, trainer, args.seeds, level=0.95, verbose=True)
    result.show()
    if args.page is not None:
        print(f"page: {result.save(args.page)}")
    return 0
