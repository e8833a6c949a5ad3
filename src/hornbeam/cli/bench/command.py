"""`hornbeam bench`: its arguments and what it does."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from hornbeam.cli.bench.competitors import Competitor, engine_competitor, peer, workload_names

if TYPE_CHECKING:
    from hornbeam.cli.bench.runner import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `hornbeam bench`."""
    from hornbeam.engines import available

    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(workload_names())} (default: all)"
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=available(),
        dest="engines",
        help="an engine of ours to run (default: native; reference is exact and very slow)",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON[:WHAT]",
        help=(
            "somebody to compare with: a Python that has Keras, WHAT being its backend (tensorflow, jax, "
            "torch), or a script of its own with {} for the workload's name"
        ),
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of each, in alternation (default 5)")
    parser.add_argument("--threads", type=int, help="CPUs for everybody (default: all)")
    parser.add_argument("--dtype", help="a dtype policy such as mixed_bfloat16, for everybody")
    parser.add_argument("--json", metavar="FILE", help="write all runs there")
    parser.add_argument("--chart", metavar="FILE", help="draw the epochs there (needs matplotlib)")
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")


def main(args: argparse.Namespace) -> int:
    """Run, and print the tables. Returns the exit status."""
    from rich.console import Console

    from hornbeam.cli.bench import runner

    unknown = [name for name in args.workloads if name not in workload_names()]
    if unknown:
        print(
            f"hornbeam bench: no workload {unknown[0]!r}; there are {', '.join(workload_names())}",
            file=sys.stderr,
        )
        return 2
    if args.runs < 1 or (args.threads is not None and args.threads < 1):
        print("hornbeam bench: --runs and --threads must be at least 1", file=sys.stderr)
        return 2
    try:
        competitors = [engine_competitor(name) for name in args.engines or ["native"]] + [
            peer(text) for text in args.peer
        ]
    except ValueError as error:
        print(f"hornbeam bench: {error}", file=sys.stderr)
        return 2
    progress = Console(stderr=True)
    try:
        with progress.status("") as status:
            results = runner.compare(
                args.workloads or workload_names(),
                competitors,
                args.runs,
                args.threads,
                args.dtype,
                watch=status.update,
            )
    except runner.RunError as error:
        print(f"hornbeam bench: {error}", file=sys.stderr)
        return 1
    _show(args, results, competitors, Console())
    return 0


def _show(
    args: argparse.Namespace, results: list[Result], competitors: list[Competitor], console: Any
) -> None:
    from hornbeam.cli.bench import report
    from hornbeam.engines import get_engine

    # Measured after the runs, so that it disturbs none of them.
    engine = get_engine("native")
    if args.threads:
        engine.set_threads(args.threads)  # type: ignore[attr-defined]
    peak = engine.peak()
    heading = report.title(args.runs, args.threads, args.dtype)
    console.print(heading, soft_wrap=True)
    if args.markdown:
        console.print(report.markdown(results, competitors), soft_wrap=True, markup=False)
    elif len(competitors) == 1:
        console.print(report.overview(results, competitors[0], peak))
    else:
        for result in results:
            console.print(report.table(result, competitors, peak))
        console.print(report.bars(results, competitors), highlight=False)
    if args.json:
        report.write_json(args.json, results, competitors, {"about": heading, "peak": peak})
    if args.chart:
        report.chart(results, competitors, heading).save(args.chart)
