"""`hornbeam runs` and `hornbeam report`."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_commands(commands: Any) -> None:
    """Put the two commands behind the others."""
    runs = commands.add_parser(
        "runs",
        help="list recorded runs, or compare two of them",
        description="`hornbeam runs [FOLDER]` lists the runs in a folder (default runs), the newest last. "
        "`hornbeam runs compare A B` shows what differs between two, and their curves side by side.",
    )
    runs.add_argument("what", nargs="*", metavar="FOLDER | compare A B")
    runs.set_defaults(action=_runs, parser=runs)

    report = commands.add_parser(
        "report",
        help="write one HTML page about a recorded run",
        description="Write a page about a run: findings, curves, evaluation, data, model, profile, "
        "environment. It is one file, loads nothing and runs no script.",
    )
    report.add_argument("run", nargs="?", help="the folder of a run (default: the newest in runs)")
    report.add_argument("-o", "--output", metavar="FILE", help="default report.html in the run's folder")
    report.set_defaults(action=_report)


def _report(args: argparse.Namespace) -> int:
    from hornbeam.insight.reporting import report
    from hornbeam.insight.runs import RunError
    from hornbeam.insight.runs.listing import newest_run

    try:
        print(report(args.run or newest_run("runs"), args.output))
    except (RunError, OSError) as error:
        print(f"hornbeam report: {error}", file=sys.stderr)
        return 1
    return 0


def _runs(args: argparse.Namespace) -> int:
    from rich.console import Console

    from hornbeam.insight.runs import RunError, compare_runs, list_runs, read_run

    what: list[str] = args.what
    try:
        if what[:1] == ["compare"]:
            if len(what) != 3:
                args.parser.error("compare needs two folders of runs: hornbeam runs compare A B")
            Console().print(compare_runs(read_run(what[1]), read_run(what[2])))
            return 0
        if len(what) > 1:
            args.parser.error(f"one folder with runs, or compare A B; got {' '.join(what)}")
        Console().print(list_runs(what[0] if what else "runs"))
    except (RunError, OSError) as error:
        print(f"hornbeam runs: {error}", file=sys.stderr)
        return 1
    return 0
