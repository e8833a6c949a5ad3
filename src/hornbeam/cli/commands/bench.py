"""`hornbeam bench`: train everyday nets, and compare with Keras and PyTorch."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from hornbeam.cli.bench.competitors import Competitor, engine_competitor, peer, workload_names

if TYPE_CHECKING:
    from hornbeam.cli.bench.runner import Result

from hornbeam._internal.naming import nearest
from hornbeam._internal.terminal import columns, print_wrapped
from hornbeam.cli.arguments import positive_int, print_error

HELP = "run everyday workloads, and compare with installations of Keras and PyTorch"
DESCRIPTION = (
    "Train everyday nets on synthetic data, each run in a fresh process, and print medians; "
    "with peers, the ratio to the best of them."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from hornbeam.engines import available

    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(workload_names())} (default: all)"
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=available(),
        dest="engines",
        metavar="NAME",
        help=f"engine of Hornbeam, of {', '.join(available())} (default: native; reference is exact "
        "and very slow)",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON[:BACKEND|:SCRIPT]",
        help="a peer to compare with: a Python with Keras and a BACKEND (tensorflow, jax, torch, "
        "hornbeam), or a SCRIPT with {} for the workload's name",
    )
    parser.add_argument(
        "--runs", type=positive_int, default=5, help="runs of each competitor, in alternation (default 5)"
    )
    parser.add_argument("--threads", type=positive_int, help="CPUs of each competitor (default: all)")
    parser.add_argument("--dtype", help="dtype policy of all competitors, such as mixed_bfloat16")
    parser.add_argument("--json", metavar="FILE", help="write all runs to a file")
    parser.add_argument(
        "--chart", metavar="FILE", help="draw the times of epochs to a file (needs Matplotlib)"
    )
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")


def run(args: argparse.Namespace) -> int:
    """Run the workloads and print the tables."""
    from hornbeam.cli.bench import runner
    from hornbeam.visualization.terminal import rich_console

    try:
        competitors = _competitors(args)
    except ValueError as error:
        print_error("hornbeam bench", error)
        return 2
    workloads = args.workloads or workload_names()
    progress = rich_console(stderr=True)
    print_wrapped(runner.announcement(workloads, competitors, args.runs), sys.stderr)
    try:
        with progress.status("") as status:
            results = runner.compare(
                workloads, competitors, args.runs, args.threads, args.dtype, watch=status.update
            )
    except runner.WorkloadError as error:
        print_error("hornbeam bench", error)
        return 1
    _print_results(args, results, competitors, rich_console())
    return 0


def _competitors(args: argparse.Namespace) -> list[Competitor]:
    """Return the competitors of the arguments. Raises ValueError for invalid ones."""
    unknown = [name for name in args.workloads if name not in workload_names()]
    if unknown:
        hint = nearest(unknown[0], workload_names())
        raise ValueError(f"no workload {unknown[0]!r}.{hint} The workloads are {', '.join(workload_names())}")
    return [*map(engine_competitor, args.engines or ["native"]), *map(peer, args.peer)]


def _print_results(
    args: argparse.Namespace, results: list[Result], competitors: list[Competitor], console: Any
) -> None:
    from hornbeam.cli.bench import report
    from hornbeam.engines import get_engine

    # Measured after the runs, to disturb none of them.
    engine = get_engine("native")
    if args.threads:
        engine.set_threads(args.threads)  # type: ignore[attr-defined]
    peak = engine.peak()
    heading = report.title(args.runs, args.threads, args.dtype)
    console.print(heading, soft_wrap=columns() is None)
    if args.markdown:
        console.print(report.markdown(results, competitors), soft_wrap=True, markup=False)
    elif len(competitors) == 1:
        console.print(report.overview(results, competitors[0], peak))
    else:
        for result in results:
            console.print(report.table(result, competitors, peak))
        names = max(len(competitor.name) for competitor in competitors)
        width = min(44, console.width - names - len("    1,000.00 s"))
        console.print(report.bars(results, competitors, width), highlight=False)
    if peak is not None and not args.markdown:
        print_wrapped(report.legend(peak))
    if args.json:
        report.write_json(args.json, results, competitors, {"about": heading, "peak": peak})
    if args.chart:
        report.chart(results, competitors, heading).save(args.chart)
