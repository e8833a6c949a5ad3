"""`hornbeam fit`: a model for a table, with an account of what it is worth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hornbeam.cli.arguments import print_error

HELP = "make a model for a table (CSV, Parquet), and say what it is worth"
DESCRIPTION = (
    "Reads the table, leaves out columns that tell the target or say nothing, seals a fifth of the rows, "
    "tries linear models, boosted trees (extra `auto`) and nets within the time, mixes the best, and scores "
    "the mixture once on the sealed rows. Writes the model, a report and a program that makes the same model "
    "again (docs/auto.md)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("table", help="CSV (.csv, .tsv, .csv.gz) or Parquet file")
    parser.add_argument("--target", required=True, metavar="COLUMN", help="what to predict")
    parser.add_argument(
        "--time", type=_seconds, default=60.0, metavar="60s|5m", help="time for all (default: 60s)"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="number of candidates, in place of the time")
    parser.add_argument("--kind", choices=("number", "category"), help="of the target, if the guess is wrong")
    parser.add_argument(
        "--column",
        action="append",
        type=_kind,
        default=[],
        metavar="NAME=KIND",
        help="kind of a column, if the guess is wrong: number, category, date, or drop",
    )
    parser.add_argument("--groups", metavar="COLUMN", help="rows with one value are never separated")
    parser.add_argument("--time-column", metavar="COLUMN", help="dates or numbers; seals the latest rows")
    parser.add_argument("--coverage", type=float, default=0.9, help="of sets and intervals (default: 0.9)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default: 0)")
    parser.add_argument("--output", metavar="FOLDER", help="default: the name of the file without its ending")


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600}
    unit = units.get(text[-1:], 0)
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        value = 0.0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a time such as 60s or 5m, got {text!r}")
    return value


def _kind(text: str) -> tuple[str, str]:
    name, _, kind = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"expected NAME=KIND, such as zip=category, got {text!r}")
    return name, "left out" if kind == "drop" else kind


def run(args: argparse.Namespace) -> int:
    """Make the model, and write it."""
    from hornbeam import auto

    folder = Path(args.output or Path(args.table).name.split(".")[0])
    if (folder / "model.keras").exists():
        print_error("hornbeam fit", f"{folder} has a model already: remove it, or pass another --output")
        return 1
    try:
        fitted = auto.fit(
            args.table,
            args.target,
            time=args.time,
            trials=args.trials,
            kind=args.kind,
            kinds=dict(args.column),
            groups=args.groups,
            time_column=args.time_column,
            coverage=args.coverage,
            seed=args.seed,
        )
    except (OSError, ValueError, ImportError) as error:
        print_error("hornbeam fit", error)
        return 1
    fitted.save(folder)
    print(f"written: {folder}/model.keras, report.txt, program.py, table.json", file=sys.stderr)
    return 0
