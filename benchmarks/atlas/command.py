"""Command line of the atlas: select cases, measure them or read them from files, and print the tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.atlas import measure, report
from benchmarks.atlas.cases import Case
from benchmarks.atlas.session import Session, engine_side, peer_side
from benchmarks.atlas.table import CASES
from hornbeam._internal.naming import nearest
from hornbeam._internal.terminal import columns, print_wrapped
from hornbeam.cli.arguments import print_error
from hornbeam.cli.bench.report import machine
from hornbeam.engines import available, get_engine
from hornbeam.visualization.terminal import rich_console

PROGRAM = "python -m benchmarks.atlas"
DTYPES = ("float32", "bfloat16")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Measure single operations in shapes of real nets, and compare with PyTorch.",
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=available(),
        dest="engines",
        metavar="NAME",
        help=f"engine of Hornbeam, of {', '.join(available())} (default: native)",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON[:SCRIPT]",
        help="a peer to compare with: a Python with PyTorch, or with what SCRIPT needs",
    )
    parser.add_argument("--threads", type=int, help="CPUs of each side (default: all)")
    parser.add_argument("--dtype", help="float32 or bfloat16 (default: both)")
    parser.add_argument(
        "--family", action="append", metavar="NAME", help="kind of operation, such as conv2d (default: all)"
    )
    parser.add_argument("--match", metavar="TEXT", help="only cases whose names contain this")
    parser.add_argument("--forward", action="store_true", help="only forward passes")
    parser.add_argument("--backward", action="store_true", help="only forward passes with gradients")
    parser.add_argument(
        "--rounds", type=int, default=7, help="rounds, of which the least time counts (default 7)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="measure torch.compile where it is quicker, too"
    )
    parser.add_argument("--check", action="store_true", help="compare the results of all sides")
    _add_output(parser)
    return parser


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write all rows to a file")
    parser.add_argument(
        "--from",
        nargs="+",
        dest="files",
        metavar="FILE",
        help="show what --json wrote before, also in several runs, instead of measuring",
    )
    parser.add_argument("--chart", metavar="FILE", help="draw the heat map to a file (needs Matplotlib)")
    parser.add_argument("--markdown", action="store_true", help="print tables in Markdown")
    parser.add_argument(
        "--worst", type=int, default=20, metavar="N", help="rows of the table of the worst (default 20)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the atlas, or read it from files, and print it.

    The status is 1 if results are compared and differ.
    """
    args = parser().parse_args(arguments)
    try:
        atlas, heading = report.read_json(args.files) if args.files else _measured(args)
    except ValueError as error:
        print_error(PROGRAM, error)
        return 2
    _print(args, atlas, heading, rich_console())
    return 1 if atlas.disagreements() else 0


def _measured(args: argparse.Namespace) -> tuple[report.Atlas, str]:
    """Measure the cases that the arguments select. Raises ValueError for invalid ones."""
    cases, dtypes = selected(args.family, args.match), _dtypes(args.dtype)
    sides = [
        *map(engine_side, args.engines or ["native"]),
        *(peer_side(text, args.compile) for text in args.peer),
    ]
    if args.rounds < 1 or (args.threads is not None and args.threads < 1):
        raise ValueError("--rounds and --threads must be at least 1")
    passes = [backward for backward, asked in ((False, args.forward), (True, args.backward)) if asked]
    sessions = [Session(side, args.threads) for side in sides]
    count = f"{len(cases)} case{'s' * (len(cases) != 1)}"
    print_wrapped(f"{count} on {', '.join(side.name for side in sides)}", sys.stderr)
    rows = []
    with rich_console(stderr=True).status("") as status:
        try:
            for row in measure.measure_all(
                cases, dtypes, passes or (False, True), sessions, args.rounds, args.check, status.update
            ):
                rows.append(row)
        except KeyboardInterrupt:  # shows what has been measured
            if not rows:
                raise
    ours, *peers = (side.name for side in sides)
    heading = ", ".join([*machine(args.threads), f"least of {args.rounds} rounds, sides in alternation"])
    return report.Atlas(rows, ours, peers, _peak(args.threads)), heading


def selected(families: Sequence[str] | None, match: str | None) -> list[Case]:
    """Return the cases of some families whose names contain a text. Raises ValueError for unknown ones."""
    known = list(dict.fromkeys(case.family for case in CASES))
    for family in families or ():
        if family not in known:
            raise ValueError(
                f"no family {family!r}.{nearest(family, known)} The families are {', '.join(known)}"
            )
    cases = [
        case for case in CASES if (not families or case.family in families) and (match or "") in case.name
    ]
    if not cases:
        raise ValueError(f"no case contains {match!r}")
    return cases


def _dtypes(dtype: str | None) -> Sequence[str]:
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"--dtype of the atlas must be float32 or bfloat16, got {dtype!r}")
    return DTYPES if dtype is None else (dtype,)


def _peak(threads: int | None) -> dict[str, Any] | None:
    engine = get_engine("native")
    if threads:
        engine.set_threads(threads)  # type: ignore[attr-defined]
    return engine.peak()


def _print(args: argparse.Namespace, atlas: report.Atlas, heading: str, console: Any) -> None:
    if args.markdown:
        console.print(report.markdown(atlas, heading), soft_wrap=True, markup=False, highlight=False)
    else:
        console.print(heading, soft_wrap=columns() is None)
        console.print(report.overview(atlas))
        console.print(report.worst(atlas, args.worst))
        print_wrapped(f"{report.summary(atlas)}.")
        if atlas.peak is not None:
            print_wrapped(report.legend(atlas.peak))
        for line in atlas.failures():
            print_wrapped(f"failed: {line}", indent="  ")
    for line in atlas.disagreements():
        print_wrapped(line, sys.stderr, indent="  ")
    if args.json:
        report.write_json(args.json, atlas, heading)
    if args.chart:
        report.heat_map(atlas, heading).save(args.chart)
