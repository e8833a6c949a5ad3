"""`hornbeam runs`: list recorded runs, compare two of them, or send some to a tracker."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from hornbeam._internal.terminal import columns, command
from hornbeam.cli.arguments import print_error, run_folder

if TYPE_CHECKING:
    from hornbeam.insight.trackers.tracker import Tracker


HELP = "list recorded runs, compare two of them, or send some to a tracker"
DESCRIPTION = (
    "`hornbeam runs [FOLDER]` lists the runs in a folder (default runs), the newest last. "
    "`hornbeam runs compare A B` shows the differences of two runs, and their curves side by side. "
    "`hornbeam runs send RUN ... --to mlflow` sends runs to MLflow, Weights & Biases or TensorBoard."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("arguments", nargs="*", metavar="FOLDER | compare A B | send RUN ...")
    parser.add_argument("--to", choices=("mlflow", "wandb", "tensorboard"), help="tracker that gets the runs")
    parser.add_argument(
        "--json", action="store_true", help="print the list as JSON (a pipe or file gets tab-separated lines)"
    )
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Print the list or the comparison."""
    from hornbeam.errors import RunError
    from hornbeam.insight.runs import compare_runs, list_runs, read_run

    words: list[str] = args.arguments
    try:
        if words[:1] == ["compare"]:
            if len(words) != 3:
                args.parser.error(f"compare needs two runs: {command('runs', 'compare', 'A', 'B')}")
            compare_runs(*(read_run(run_folder(word)) for word in words[1:])).show()
            return 0
        if words[:1] == ["send"]:
            return _send(args, words[1:])
        if args.to is not None:
            args.parser.error(f"--to belongs to send: {command('runs', 'send', 'RUN', '--to', args.to)}")
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


def _send(args: argparse.Namespace, folders: list[str]) -> int:
    """Send runs to a tracker, all that it takes."""
    from hornbeam.insight.runs import read_run

    if not folders or args.to is None:
        usage = command("runs", "send", "RUN", "--to", args.to or "mlflow")
        args.parser.error(f"send needs folders of runs and a tracker: {usage}")
    failed = False
    for run in [read_run(run_folder(folder)) for folder in folders]:
        try:
            run_id = _tracker(args.to, run.path.name).send(run)
        except Exception as error:  # each library has errors of its own
            print_error("hornbeam runs", f"{run.path} was not sent: {error}")
            failed = True
        else:
            print(f"sent {run.path} to {args.to}: {run_id}")
    return int(failed)


def _tracker(kind: str, name: str) -> Tracker:
    if kind == "mlflow":
        from hornbeam.insight.trackers.mlflow import MlflowTracker

        return MlflowTracker(name=name)
    if kind == "wandb":
        from hornbeam.insight.trackers.wandb import WandbTracker

        return WandbTracker(name=name)
    from hornbeam.insight.trackers.tensorboard import TensorBoardTracker

    return TensorBoardTracker(name=name)


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
